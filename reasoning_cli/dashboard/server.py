"""The dashboard as a server: pages, the reader beside them, and the door before them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from nicegui import Client, app, ui
from starlette.responses import FileResponse

from reasoning_cli.dashboard.access import LOGIN, Access, Keys, origins_of
from reasoning_cli.dashboard.acts import Acts
from reasoning_cli.dashboard.frame import Context
from reasoning_cli.dashboard.pages import configuration, decisions, money, now, review, train
from reasoning_cli.dashboard.program import Program, Runner
from reasoning_cli.dashboard.reader import Reader

# The tab that logs out is on its way to another page: reloaded at once, it would not get there.
_LEFT_ALONE_SECONDS = 2.0
# How often one that was begun by another process looks whether that is there.
_LOOK_SECONDS = 1.0
# How old the date in the head of an answer may be.
_DATE_SECONDS = 1.0
_STYLE = Path(__file__).with_name("style.css")


@dataclass(frozen=True)
class Serving:
    """How the dashboard is served: `names` are what it may be called, the first of them in the link; `certificate` and
    `key` are files, None without TLS. It ends when the process `beside`, which began it, does."""

    port: int
    names: tuple[str, ...]
    certificate: Path | None = None
    key: Path | None = None
    read_only: bool = False
    beside: int | None = None

    @property
    def scheme(self) -> str:
        return "http" if self.certificate is None else "https"


class _Server(uvicorn.Server):
    """One that wakes when it is to end. The library's own looks ten times a second whether it is to, which costs more
    than all else does while nothing happens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # sets the date of answers
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DATE_SECONDS):
                    await self._asked.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.wake()

    def wake(self) -> None:
        """Look now whether it is to end. From any thread, and from a signal."""
        if self._loop is not None:  # a signal may come before there is one; then the first look sees it
            self._loop.call_soon_threadsafe(self._asked.set)


def serve(
    serving: Serving,
    door: socket.socket,
    programs: tuple[Program, Program],
    runner: Runner,
    *,
    show_link: Callable[[str, bool], None],
) -> None:
    """Serve until Ctrl-C. `programs` are the reader's and the pages'; `show_link` is handed each link to log in, and
    whether it is the first."""
    keys = Keys()
    name = serving.names[0]
    shown = f"{serving.scheme}://{f'[{name}]' if ':' in name else name}:{serving.port}"
    context = Context(Reader(programs[0]), Acts(runner), programs[1], programs[1].facts, keys, serving.read_only)
    context.acts.after = context.reader.look_now

    def offer(first: bool = False) -> None:
        show_link(f"{shown}{LOGIN}?key={keys.new_link()}", first)

    def end(session: str) -> None:
        """Pages that are open in a session that is over."""
        context.looks.pop(session, None)
        asyncio.get_running_loop().call_later(_LEFT_ALONE_SECONDS, reload_pages, session)

    def reload_pages(session: str) -> None:
        for client in list(Client.instances.values()):
            state: dict[str, Any] = client.request.scope.get("state", {}) if client.has_socket_connection else {}
            if state.get("session") == session:
                client.run_javascript("location.reload()")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> Any:
        tasks = [asyncio.create_task(end_with(serving.beside))] if serving.beside is not None else []
        tasks += [asyncio.create_task(context.reader.run()), asyncio.create_task(context.reader.watch_age())]
        offer(first=True)
        yield
        for task in tasks:
            task.cancel()

    host = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.add_route("/style.css", lambda _: FileResponse(_STYLE, media_type="text/css"))
    for page in (now, money, decisions, review, train, configuration):
        page.register(context)
    app.config.socket_io_js_transports = ["websocket"]
    app.config.quasar_config["loadingBar"] = {"skipHijack": True}  # it has no name for those who do not see it
    ui.run_with(
        host,
        title="reasoning",
        language="en-US",
        dark=None,
        tailwind=False,
        reconnect_timeout=60.0,  # a machine that is busy, or a phone that slept, keeps its page
        message_history_length=100,
        binding_refresh_interval=None,
        gzip_middleware_factory=None,  # the door reads what passes; on this machine nothing is gained
        show_welcome_message=False,
        favicon="◧",
    )
    logging.getLogger("nicegui").setLevel(logging.WARNING)
    access = Access(
        host,
        keys,
        origins_of(serving.scheme, serving.names, serving.port),
        f"reasoning_dashboard_{serving.port}",
        offer,
        end,
    )
    config = uvicorn.Config(
        access,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws_max_size=1 << 20,
        ssl_certfile=serving.certificate,
        ssl_keyfile=serving.key,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)

    async def end_with(parent: int) -> None:
        while os.getppid() == parent:
            await asyncio.sleep(_LOOK_SECONDS)
        server.should_exit = True
        server.wake()

    try:
        server.run(sockets=[door])
    finally:
        context.reader.close()
        context.thread.shutdown(wait=False, cancel_futures=True)
