"""Run the gateway: its worker processes, what each of them reads, and its log of calls."""

from __future__ import annotations

import asyncio
import atexit
import errno
import gc
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from reasoning_cli import settings as s
from reasoning_cli.addresses import is_loopback
from reasoning_cli.errors import ConfigurationError, ReasoningError
from reasoning_cli.gateway.account import Account, Reader, redaction, wake
from reasoning_cli.gateway.app import Gateway
from reasoning_cli.gateway.log.access_log import AccessLog
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.gateway.slot_cache import Book
from reasoning_cli.gateway.stats.siblings import Siblings
from reasoning_cli.gateway.waking import Waker
from reasoning_cli.operations.agents.env import refuse_circle
from reasoning_cli.operations.gateway.presence import Presence, instance
from reasoning_cli.redact import redact
from reasoning_cli.settings import Settings

if TYPE_CHECKING:
    from uvicorn import Config

# How a worker process learns what its parent was told; holds no secret.
_OPTIONS_VARIABLE = "_REASONING_GATEWAY"
# What an answer of a thinking model may take; a call that lasts longer is cut.
DRAIN_SECONDS = 60
_PILED_UP = 10_000  # objects that hold others
_BACKLOG = 2048
# How long an end takes before somebody who pressed Ctrl-C is told what it waits for.
_PATIENCE_SECONDS = 0.3
# Longer than clients keep a connection, so that it is they who close it: a call on a closing one would be lost.
_KEEP_ALIVE_SECONDS = 75


@dataclass(frozen=True)
class Options:
    """What a worker needs beside the settings, what `Account` explains among it. `hop` names the gateway to others
    it sends calls through; `siblings` is the folder where workers leave their figures, `parent` the process that
    started them."""

    host: str
    port: int
    sandbox_url: str | None = None
    sandbox_key: str | None = None
    profile: str | None = None
    flags: Mapping[str, str] | None = None
    access_log: bool = False
    hop: str = field(default_factory=lambda: uuid4().hex)
    siblings: str | None = None
    parent: int | None = None
    poll_seconds: float = 5.0
    tls_cert: str | None = None
    tls_key: str | None = None

    @property
    def account(self) -> Account:
        """Whose settings and log."""
        return Account(self.profile, self.flags, self.sandbox_url, self.sandbox_key)


def check(settings: Settings, host: str, port: int) -> None:
    """Refuse (ConfigurationError) what must not start: an address that is not to be used or is our own, a door open to
    everybody."""
    for upstream in (s.OPENAI_UPSTREAM, s.ANTHROPIC_UPSTREAM):
        refuse_circle(settings.get(upstream), port)
    for of_model in (s.BASE_URL, *s.PROVIDER_URL.values()):
        settings.get(of_model)
    if not is_loopback(host) and settings.get(s.GATEWAY_TOKEN) is None:
        raise ConfigurationError(
            f"on `{host}` others can reach the gateway, and no token is set: they would spend your money",
            "`reasoning config set gateway.token --stdin`, or listen on 127.0.0.1",
        )


def listen(host: str, port: int) -> socket.socket:
    """The open door, before anything else is started; port 0 takes a free one. Raises ReasoningError when it cannot."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError):
        raise ConfigurationError(
            f"`{host}` is not an address of this machine", "`--host 127.0.0.1`, or unset gateway.host"
        ) from None
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.listen(_BACKLOG)
    except OSError as error:
        door.close()
        if error.errno == errno.EADDRINUSE:
            raise ReasoningError(
                f"port {port} of {host} is taken",
                f"`reasoning gateway status` says whether by a gateway; or take another: `--port {port + 1}`",
            ) from None
        why = os.strerror(error.errno or errno.EIO).lower()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {why}", "`--host` and `--port` name another place"
        ) from None
    door.set_inheritable(True)
    return door


def serve(
    options: Options, door: socket.socket, workers: int = 1, say: Callable[[str], None] = lambda text: None
) -> None:
    """Serve until told to stop; calls under way are answered, and decisions written, first.

    Returns after SIGTERM; raises KeyboardInterrupt after Ctrl-C. `say` tells the operator what is waited for.
    """
    import uvicorn

    from reasoning_cli.gateway.http.certificate import LOOK_SECONDS, Certificate
    from reasoning_cli.gateway.http.limits import Protocol

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if sig == signal.SIGINT and not self.should_exit:
                loop = asyncio.get_running_loop()
                loop.call_soon_threadsafe(loop.call_later, _PATIENCE_SECONDS, self.notify)
            super().handle_exit(sig, frame)

        def notify(self) -> None:
            if waiting := gateway.figures.in_flight:
                say(
                    f"ending when {waiting} under way {'is' if waiting == 1 else 'are'} answered; Ctrl-C again cuts off"
                )

    config = partial(
        uvicorn.Config,
        access_log=False,
        log_level="critical",
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        backlog=_BACKLOG,
        lifespan="on",
        ws="none",
        proxy_headers=False,  # nothing here asks who called
        http=Protocol,
    )
    if options.tls_cert is not None and options.tls_key is not None:
        certificate = Certificate(Path(options.tls_cert), Path(options.tls_key))
        config = partial(
            config,
            ssl_context_factory=certificate.serve,
            callback_notify=certificate.renew,
            timeout_notify=LOOK_SECONDS,
        )
    if workers > 1:
        _serve_many(options, door, workers, config)
        return
    gateway = _make(options)
    _collect_seldom()
    # The server raises its signal once more when all is done; whoever sent it wants no more than this.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        Server(config(gateway)).run(sockets=[door])
    finally:
        gateway.recorder.stop()  # after a second Ctrl-C nobody else does


def _serve_many(options: Options, door: socket.socket, workers: int, config: Callable[..., Config]) -> None:
    from uvicorn.supervisors import Multiprocess

    class Supervisor(Multiprocess):
        interrupted = False

        def handle_int(self) -> None:
            self.interrupted = True
            super().handle_int()

        def terminate_all(self) -> None:
            # Else the system would go on taking calls that no worker will answer.
            door.close()
            super().terminate_all()

    reader = _reader(options)
    Book(reader, reader.last_seen)  # what cannot work must not be tried by each of them again and again
    folder = Path(tempfile.mkdtemp(prefix="reasoning-gateway-"))
    os.environ[_OPTIONS_VARIABLE] = json.dumps(asdict(replace(options, siblings=str(folder), parent=os.getpid())))
    try:
        supervisor = Supervisor(config(f"{__name__}:make_app", factory=True, workers=workers), sockets=[door])
        supervisor.run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if supervisor.interrupted:
        raise KeyboardInterrupt


class _Redacted(logging.Formatter):
    """What a worker says goes past the terminal of the command that started it."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def make_app() -> Gateway:
    """The application of one of several worker processes."""
    shown = logging.StreamHandler()
    shown.setFormatter(_Redacted("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[shown], level=logging.WARNING)
    made = _make(Options(**json.loads(os.environ[_OPTIONS_VARIABLE])))
    _collect_seldom()
    return made


def _collect_seldom() -> None:
    """Let the garbage collector look at what has piled up, not at what the calls under way and decisions waiting to be
    written hold: going through those time and again took a tenth of a busy gateway's time."""
    gc.freeze()
    gc.set_threshold(_PILED_UP, 10, 10)


def _make(options: Options) -> Gateway:
    """The application of this process. Raises ReasoningError for settings or a log that cannot be read."""
    # A cut answer is told in the log of calls; uvicorn would add a traceback.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    account = options.account
    reader = _reader(options)
    book = Book(reader, reader.last_seen)
    recorder = Recorder(account.open_log, alter=redaction(book), spool=account.spool())
    return Gateway(
        book,
        recorder,
        access_log=_access_log() if options.access_log else None,
        hop=options.hop,
        siblings=Siblings(Path(options.siblings)) if options.siblings else None,
        parent=options.parent,
        waker=Waker(partial(wake, account, partial(time.sleep, options.poll_seconds))),
        presence=partial(_presence, account, options.parent) if account.is_shared() else None,
    )


def _presence(
    account: Account, parent: int | None, instance_id: str, facts: Callable[[], Mapping[str, Any] | None]
) -> Presence:
    return Presence(instance("gateway", instance_id=instance_id, pid=parent), account.open_log, facts)


def _reader(options: Options) -> Reader:
    """What reads the settings and the ledger anew, as far as they let a gateway run at its address."""
    return Reader(options.account, options.host, lambda settings: check(settings, options.host, options.port))


def _access_log() -> AccessLog:
    """The log of calls, on stderr."""
    log = AccessLog(sys.stderr.write)
    atexit.register(log.close)
    return log
