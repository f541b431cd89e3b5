"""Run the gateway: its worker processes, what each of them reads, and its log of calls."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.gateway.app import Gateway
from reasoning_cli.gateway.book import Book, View
from reasoning_cli.gateway.calls import Call
from reasoning_cli.gateway.recording import Recorder
from reasoning_cli.operations.agent_env import refuse_circle
from reasoning_cli.operations.slots import read_slots
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import Settings, environment, load_settings
from reasoning_cli.store.database import Store, open_store
from reasoning_cli.store.deployments import Deployments
from reasoning_cli.store.ledger import Ledger

# How a worker process learns what its parent was told; holds no secret.
_OPTIONS_VARIABLE = "_REASONING_GATEWAY"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DRAIN_SECONDS = 30
# Longer than clients keep a connection, so that it is they who close it: a call on a closing one would be lost.
_KEEP_ALIVE_SECONDS = 75


@dataclass(frozen=True)
class Options:
    """What a worker needs beside the settings. `together_url` is where slots' models are asked."""

    host: str
    port: int
    together_url: str
    together_key_of_sandbox: str | None = None
    profile: str | None = None
    flags: Mapping[str, str] | None = None
    access_log: bool = False


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    return host in _LOOPBACK or host.startswith("127.")


def check(settings: Settings, host: str, port: int) -> None:
    """Refuse (ConfigurationError) what must not start: an upstream that is ourselves, a door open to everybody."""
    for upstream in (s.OPENAI_UPSTREAM, s.ANTHROPIC_UPSTREAM):
        refuse_circle(settings.get(upstream), port)
    if not is_loopback(host) and settings.get(s.GATEWAY_TOKEN) is None:
        raise ConfigurationError(
            f"on `{host}` others can reach the gateway, and no token is set: they would spend your money",
            "`reasoning config set gateway.token --stdin`, or listen on 127.0.0.1",
        )


def serve(options: Options, workers: int = 1) -> None:
    """Serve until told to stop. SIGTERM and Ctrl-C let calls under way end first."""
    import uvicorn

    os.environ[_OPTIONS_VARIABLE] = json.dumps(asdict(options))
    uvicorn.run(
        "reasoning_cli.gateway.serving:make_app",
        factory=True,
        host=options.host,
        port=options.port,
        workers=workers if workers > 1 else None,
        access_log=False,
        log_level="error",
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        lifespan="on",
        ws="none",
    )


def make_app() -> Gateway:
    """The application of one worker process."""
    options = Options(**json.loads(os.environ[_OPTIONS_VARIABLE]))
    _quiet_uvicorn()
    settings = _settings(options)
    book = Book(_reader(options))
    recorder = Recorder(lambda: _open(_settings(options)))
    return Gateway(
        book,
        recorder,
        token=None if is_loopback(options.host) else settings.get(s.GATEWAY_TOKEN),
        access_log=_log_call if options.access_log else None,
    )


def _settings(options: Options) -> Settings:
    environ = environment()
    return load_settings(find_paths(environ, options.profile), environ, options.flags)


def _open(settings: Settings) -> Store:
    return open_store(settings.database(), "sandbox" if settings.outside is not None else "together")


def _reader(options: Options) -> Callable[[], View]:
    """What reads the settings and the ledger anew, over one connection of its own."""
    stores: list[Store] = []

    def read() -> View:
        settings = _settings(options)
        if not stores:
            stores.append(_open(settings))
        slots = read_slots(
            settings,
            stores[0],
            ledger_now(stores[0], in_sandbox=settings.outside is not None),
            together_url=options.together_url,
            together_key=options.together_key_of_sandbox or settings.get(s.API_KEY),
        )
        return View(slots, settings.get(s.OPENAI_UPSTREAM), settings.get(s.ANTHROPIC_UPSTREAM))

    return read


def ledger_now(store: Store, *, in_sandbox: bool) -> datetime:
    """Until when costs are known: the newest reading; in the sandbox its clock is another than ours."""
    ledger = Ledger(store)
    seen = [reading.at for one in Deployments(store).live() if (reading := ledger.last(one.key)) is not None]
    return max([*seen, *([] if in_sandbox and seen else [datetime.now(UTC)])])


def _quiet_uvicorn() -> None:
    """A cut answer is told in the log of calls; uvicorn would add a traceback."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def _log_call(call: Call) -> None:
    """One line of JSON a call, on stderr. Never a header, never a word of what was said."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "id": call.id,
        "method": call.method,
        "path": call.path,
        "status": call.status,
        "ms": call.since_ms(),
        "sent_bytes": call.sent_bytes,
        **call.notes,
    }
    sys.stderr.write(json.dumps(line) + "\n")
