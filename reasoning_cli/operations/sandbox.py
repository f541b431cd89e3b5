"""Start the embedded sandbox, or find the one that runs.

The sandbox is a process of its own and is reached over HTTP only. Its exclusive lock on the state file tells whether it
lives: no port is guessed and no other program is mistaken for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

from reasoning_cli.errors import DataError, RemoteError
from reasoning_cli.paths import make_private_dir

KEY = "sandbox-key"
ORIGINAL_PATH = "/_original/v1"  # of the stand-in for the provider that an agent called before
EXIT_WHEN_IDLE_MINUTES = 30
START_SECONDS = 60.0  # for a machine that is busy: one that fails is seen at once


@dataclass(frozen=True)
class RunningSandbox:
    """Where the sandbox answers, its process, and how fast its clock runs."""

    url: str
    pid: int
    speed: Decimal


def start_sandbox(state: Path, speed: Decimal) -> RunningSandbox:
    """The sandbox whose state is in `state`: the one that runs, or a new one (its clock at `speed` times real).

    A new one outlives this process and ends by itself after half an hour without a request. Raises RemoteError when
    it does not start.
    """
    make_private_dir(state.parent)
    if running := find_sandbox(state):
        return running
    log = state.with_suffix(".log")
    process: subprocess.Popen[bytes] | None = None
    try:
        with log.open("wb") as output, _interrupts_held_back():
            log.chmod(0o600)
            process = _spawn(state, speed, output)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if running := find_sandbox(state):
                if running.pid != process.pid:  # another start was quicker; ours must not come up when that one stops
                    process.kill()
                    process.wait()
                return running
            if process.poll() not in (None, 0) and not _is_locked(state):
                break
            time.sleep(0.02)
    except KeyboardInterrupt:
        if process is not None:
            process.terminate()  # nobody would know where it listens, to stop it
        raise
    said = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise RemoteError(
        f"the sandbox did not start{': ' + said[0] if said else ''}", "try `reasoning sandbox serve` to see why"
    )


def _spawn(state: Path, speed: Decimal, output: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            # -P: what lies in the working folder must not be taken for a module of ours.
            *(sys.executable, "-P", "-m", "reasoning_cli", "sandbox", "serve"),
            *("--state", str(state), "--speed", f"{speed:f}x", "--exit-when-idle", str(EXIT_WHEN_IDLE_MINUTES)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("REASONING_SANDBOX")},
    )


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C come when the block is left: between a process and its handle it would leave the process to nobody."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda got, frame: came.append(got))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def find_sandbox(state: Path) -> RunningSandbox | None:
    """The sandbox that holds `state`, if one runs and answers."""
    if not _is_locked(state):
        return None
    try:
        facts = json.loads(_server_file(state).read_text())
        found = RunningSandbox(str(facts["url"]), int(facts["pid"]), Decimal(str(facts["speed"])))
        os.kill(found.pid, 0)  # one that was killed leaves its address behind
    except (OSError, ValueError, KeyError):
        return None  # it holds the lock and is about to say where it listens
    return found


def stay_awake(url: str) -> None:
    """Let the sandbox at `url` know that somebody is there: it ends after half an hour in which nobody asks."""
    with (
        contextlib.suppress(OSError),
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/_sandbox", timeout=5),
    ):
        pass


def stop_sandbox(state: Path, seconds: float = 60) -> bool:
    """Stop the sandbox that holds `state`; False when none ran. Its state stays on disk."""
    running = find_sandbox(state)
    if running is None:
        return False
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while _is_locked(state):
        if time.monotonic() > deadline:
            raise DataError(f"the sandbox (process {running.pid}) does not stop", f"`kill -9 {running.pid}`")
        time.sleep(0.02)
    return True


def _server_file(state: Path) -> Path:
    return state.with_name(f"{state.name}.server.json")


def _is_locked(state: Path) -> bool:
    lock = state.with_name(f"{state.name}.lock")
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
