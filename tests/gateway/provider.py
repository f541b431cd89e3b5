"""A provider to stand behind the gateway: real HTTP on a real socket, each byte of its answers in the test's hand."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Received:
    """One request as it arrived. `body` is raw; `json` parses it. `left` is set when the caller closed the connection
    before the answer was whole; `port` is the caller's, one for each of its connections."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    left: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def json(self) -> Json:
        found: Json = json.loads(self.body)
        return found

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Answering:
    """What an answer is written with."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str) -> None:
        self._reader, self._writer, self._to_head = reader, writer, method == "HEAD"
        self.closes = False

    async def raw(self, content: bytes) -> None:
        """Bytes as they are."""
        self._writer.write(content)
        await self._writer.drain()

    async def whole(self, status: int, body: bytes | Json, headers: dict[str, str] | None = None) -> None:
        """A whole answer with its length."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"content-type": "application/json", **(headers or {}), "content-length": str(len(content))}
        head = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
        await self.raw(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + (b"" if self._to_head else content))

    async def head(self, status: int, headers: dict[str, str]) -> None:
        """The head of an answer in chunks."""
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        await self.raw(f"HTTP/1.1 {status} Whatever\r\n{lines}transfer-encoding: chunked\r\n\r\n".encode())

    async def chunk(self, content: bytes) -> None:
        """One chunk; an empty one ends the answer."""
        await self.raw(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    async def events(self, events: list[bytes], headers: dict[str, str] | None = None) -> None:
        """A whole stream of server-sent events, each in a chunk of its own."""
        await self.head(200, {"content-type": "text/event-stream; charset=utf-8", **(headers or {})})
        for one in events:
            await self.chunk(one)
        await self.chunk(b"")

    def cut(self) -> None:
        """Close the connection now, whatever was promised."""
        self.closes = True
        self._writer.transport.abort()

    async def until_caller_leaves(self) -> None:
        """Say nothing until the other side closes."""
        self.closes = True
        await self._reader.read()


Handler = Callable[[Received, Answering], Awaitable[None]]


class Provider:
    """A server in a thread of its own. `handler` answers each request; `received` holds them in order."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.handler, self._tls, self._host = handler, tls, host
        self.received: list[Received] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(60)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(60)

    def asked(self, path: str = "") -> list[Received]:
        """The requests whose target holds `path`."""
        return [one for one in self.received if path in one.target]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, self._host, 0, ssl=self._tls))
        self.port: int = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _request(reader)) is not None:
                request.port = writer.get_extra_info("peername")[1]
                self.received.append(request)
                answering = Answering(reader, writer, request.method)
                try:
                    await self.handler(request, answering)
                except ConnectionError:
                    request.left.set()
                    return
                if answering.closes:
                    request.left.set()
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = [(key, value.strip()) for key, _, value in (line.partition(":") for line in lines)]
    named = {key.lower(): value for key, value in headers}
    if named.get("transfer-encoding", "") == "chunked":
        parts = []
        while size := int(await reader.readline(), 16):
            parts.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        body = b"".join(parts)
    else:
        body = await reader.readexactly(int(named.get("content-length", 0)))
    return Received(method, target, headers, body)
