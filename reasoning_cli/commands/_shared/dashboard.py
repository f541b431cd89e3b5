"""The dashboard beside another command, in a process of its own: the one that answers agents never builds a page."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reasoning_cli.errors import ConfigurationError
from reasoning_cli.gateway.serving import listen

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session

HOST = "127.0.0.1"
_END_SECONDS = 5.0


def require_library() -> None:
    """Refuse where what the pages are made with is not installed."""
    if importlib.util.find_spec("nicegui") is None:
        raise ConfigurationError(
            "the dashboard needs a library that is not installed", "`pip install 'reasoning[dashboard]'`"
        )


def refuse_dashboard(port: int) -> None:
    """Refuse, before anything is started, what a dashboard on this port would refuse."""
    require_library()
    listen(HOST, port).close()


@contextmanager
def dashboard_beside(session: Session, port: int) -> Iterator[None]:
    """A dashboard for this machine until the block ends, or this process does; it prints its link as it does alone."""
    begin = [sys.executable, "-m", "reasoning_cli", *session.global_options, *session.database_option]
    words = ["dashboard", "--no-open", "--host", HOST, "--port", str(port), "--beside", str(os.getpid())]
    process = subprocess.Popen([*begin, *words], stdin=subprocess.DEVNULL)
    ended = threading.Event()

    def watch() -> None:
        code = process.wait()
        if not ended.is_set() and code not in (0, -signal.SIGTERM, -signal.SIGINT):  # nobody told it to
            session.terminal.note(f"The dashboard ended ({code}); the gateway goes on without it.")

    watching = threading.Thread(target=watch, name="dashboard", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        process.terminate()
        watching.join(_END_SECONDS)
        if process.poll() is None:
            process.kill()
            watching.join(_END_SECONDS)
