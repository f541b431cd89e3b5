"""The entry point: answers `--version` by itself, because that must not cost more than starting Python, and sees to it
that Ctrl-C ends with 130 wherever it comes."""

from __future__ import annotations

import sys

from reasoning_cli import __version__

TYPE_CHECKING = False  # `typing` would have to be imported for it
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

_AGAIN_SECONDS = 0.01


class Interrupted(KeyboardInterrupt):
    """Ctrl-C.

    Not KeyboardInterrupt itself: where that passes `exec` of a text, as in the making of a dataclass, Python remembers
    it, and ends by the signal whatever exit code was asked for later.
    """


def main() -> None:
    """Run the command line of this process."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_closed_streams()
    if sys.argv[1:] in (["--version"], ["-V"]):
        sys.stdout.write(f"reasoning {__version__}\n")
        return
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it was started to take no notice
            _catch_interrupts()
        try:
            _run()
        finally:
            if signal.getsignal(signal.SIGINT) is _interrupt:
                signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:
        sys.exit(130)


def _open_closed_streams() -> None:
    """Open nothing in the place of what was closed (`<&-`, `>&-`): nobody is there. A file that is opened later would
    get its number, and a line meant for a person would go into the database."""
    import os

    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is not None:
            continue
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _run() -> None:
    from reasoning_cli.app import app

    app(prog_name="reasoning")


def _catch_interrupts() -> None:
    import atexit
    import signal

    def again(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # It was lost, in a `__del__` for example: once more, somewhere else.
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            sys.__unraisablehook__(unraisable)

    signal.signal(signal.SIGALRM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = again
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the last that is called: Python would die of it
    # Whoever started us may have held it back, for as long as only Python was there to answer it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Ctrl-C when all is done, and only Python's own end is left, where it would write a traceback."""
    import os

    os._exit(130)


if __name__ == "__main__":
    main()
