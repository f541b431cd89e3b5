"""Run as a program, it writes what state Python is in, as JSON."""

from __future__ import annotations

import json
import locale
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def _stream(stream: Any) -> list[object]:
    kind = type(stream.buffer).__name__, type(getattr(stream.buffer, "raw", stream.buffer)).__name__
    how = stream.encoding, stream.errors, stream.line_buffering, stream.write_through, stream.mode, stream.name
    return [*kind, *how, stream.isatty(), stream.fileno()]


def _files() -> dict[str, object]:
    """Open files with what they are, but for the folder that is being listed."""
    found = {}
    for number in sorted((one.name for one in Path("/proc/self/fd").iterdir()), key=int):
        try:
            found[number] = [os.fstat(int(number)).st_mode, os.get_inheritable(int(number))]
        except OSError:
            continue
    return found


def state() -> dict[str, object]:
    return {
        "name": [__name__, __spec__.name],
        "argv": sys.argv,
        "orig_argv": sys.orig_argv,
        "path": sys.path,
        "folder": str(Path.cwd()),
        "environ": dict(os.environ),
        "streams": [_stream(one) for one in (sys.stdin, sys.stdout, sys.stderr)],
        "same": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
        "files": _files(),
        "signals": [str(signal.getsignal(one)) for one in sorted(signal.valid_signals())],
        "held": [str(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "group": None if os.getpgid(0) == os.getpid() else os.getpgid(0),
        "umask": os.umask(0o22),
        "locale": [
            *locale.getlocale(),
            locale.getpreferredencoding(),
            sys.getfilesystemencoding(),
            sys.flags.utf8_mode,
        ],
        "time": time.tzname,
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "hooks": [sys.excepthook is sys.__excepthook__, sys.unraisablehook is sys.__unraisablehook__],
    }


def _line() -> list[str]:
    return Path("/proc/self/cmdline").read_text().split("\0")


def _two(options: dict[str, Any]) -> list[dict[str, object]]:
    """The state of this one and of another that it starts, with the command lines that the system knows of them."""
    asked = [sys.executable, "-m", "tests.state", "0", "line"]
    inner = subprocess.run(asked, stdout=subprocess.PIPE, check=True, **options)
    return [state() | {"line": _line()}, json.loads(inner.stdout)]


if __name__ == "__main__":
    code, *words = sys.argv[1:] or ["0"]
    if words[:1] == ["within"]:
        sys.stdout.write(json.dumps(_two(json.loads(words[1]))))
    else:
        sys.stdout.write(json.dumps(state() | ({"line": _line()} if words == ["line"] else {})))
    sys.exit(int(code))
