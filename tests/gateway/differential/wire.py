"""Both ends of the wire, each byte in the test's hand: a provider that tells what it was asked, and callers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

# For what is sure to come; a busy machine is slow.
PATIENCE_SECONDS = 30.0
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_ID = re.compile(r"[?&]id=([A-Za-z0-9-]+)")


@dataclass
class Seen:
    """One request as the provider saw it, on its connection of that number. `whole`: all of its body has come."""

    connection: int
    method: str = ""
    target: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    framing: str = "no body"
    body: bytes = b""
    whole: bool = False
    over: bool = False  # nothing more of it comes

    @property
    def id(self) -> str:
        found = _ID.search(self.target)
        return found[1] if found else ""

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


class Garbled(Exception):
    """What came is not a request that every server would understand in the same way."""


Answerer = Callable[["Wire", Seen], Awaitable[bool]]


@dataclass
class Wire:
    """A connection to the provider. `read_body` reads what is left of the request."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read_body(self, seen: Seen) -> None:
        if seen.whole:
            return
        try:
            if seen.framing == "chunked":
                await self._chunks(seen)
            elif seen.framing == "length":
                left = int(seen.header("content-length")[0])
                while left:
                    piece = await self.reader.read(min(left, 65536))
                    if not piece:
                        raise asyncio.IncompleteReadError(b"", left)
                    seen.body += piece
                    left -= len(piece)
            seen.whole = True
        finally:
            seen.over = True

    async def _chunks(self, seen: Seen) -> None:
        while True:
            line = await self.reader.readuntil(b"\r\n")
            if not re.fullmatch(rb"[0-9A-Fa-f]+\r\n", line):
                raise Garbled(f"a chunk of size {line!r}")
            size = int(line, 16)
            if size == 0:
                break
            seen.body += await self.reader.readexactly(size)
            if await self.reader.readexactly(2) != b"\r\n":
                raise Garbled("a chunk of another length than told")
        if trailer := (await self.reader.readuntil(b"\r\n"))[:-2]:
            raise Garbled(f"a trailer {trailer!r}")

    def reset(self) -> None:
        """Close it at once: the other side gets a RST."""
        tcp: socket.socket = self.writer.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Origin:
    """A provider. `answerer` answers a request, and says whether the connection stays; `echo` is the one of those that
    behave well. What no server should be sent is noted in `garbled`."""

    def __init__(self, answerer: Answerer | None = None) -> None:
        self.answerer = answerer
        self.seen: list[Seen] = []
        self.garbled: list[str] = []
        self.raw: dict[int, bytearray] = {}
        self.together: dict[str, asyncio.Barrier] = {}
        self.port = 0
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Origin:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._connections += 1
        wire = Wire(self._connections, reader, writer)
        try:
            while await self._one(wire):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except (Garbled, asyncio.LimitOverrunError) as error:
            self.garbled.append(str(error))
        finally:
            for seen in self.seen:
                seen.over = seen.over or seen.connection == wire.number
            writer.close()

    async def _one(self, wire: Wire) -> bool:
        try:
            head = await wire.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                self.garbled.append(f"half a head {error.partial[:60]!r}")
            return False
        seen = request_of(head, wire.number)
        self.seen.append(seen)
        if self.answerer is not None and not seen.id.startswith("good"):
            return await self.answerer(wire, seen)
        return await self.echo(wire, seen)

    async def echo(self, wire: Wire, seen: Seen) -> bool:
        await wire.read_body(seen)
        if seen.id in self.together:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.together[seen.id].wait()
        body = echo_of(seen.id, seen.method, seen.body)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        wire.writer.write(head + (b"" if seen.method == "HEAD" else body))
        await wire.writer.drain()
        return True


def request_of(head: bytes, connection: int) -> Seen:
    """The request that begins with this head. Raises Garbled where two servers may read it differently."""
    first, *lines = head[:-4].split(b"\r\n")
    parts = first.split(b" ")
    if len(parts) != 3 or not _TOKEN.match(parts[0]) or parts[2] != b"HTTP/1.1":
        raise Garbled(f"a request line {first[:80]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.match(name) or re.search(rb"[\r\n\0]", value):
            raise Garbled(f"a header {line[:80]!r}")
        headers.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    seen = Seen(connection, parts[0].decode("latin-1"), parts[1].decode("latin-1"), headers)
    lengths, codings = seen.header("content-length"), seen.header("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Garbled(f"framed twice: {lengths} {codings}")
    if len(seen.header("host")) != 1:
        raise Garbled(f"hosts: {seen.header('host')}")
    if codings:
        if codings[0].lower() != "chunked":
            raise Garbled(f"a coding {codings[0]!r}")
        seen.framing = "chunked"
    elif lengths:
        if not re.fullmatch("[0-9]+", lengths[0]) or int(lengths[0]) >= 2**63:
            raise Garbled(f"a length {lengths[0]!r}")
        seen.framing = "length"
    seen.whole = seen.over = seen.framing == "no body"
    return seen


def echo_of(name: str, method: str, body: bytes) -> bytes:
    """What the provider answers to a request of that id."""
    return json.dumps({"echo": name, "method": method, "body": digest(body)}).encode()


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def shown(body: bytes) -> str:
    """A body in few characters."""
    return repr(body)[1:] if len(body) <= 40 else f"{len(body)} bytes {digest(body)[:6]}"


# ---- the caller


@dataclass
class Got:
    """An answer as a caller got it. `end`: `whole`, `cut` (closed before what was promised), `silent` (nothing more
    came), `nothing` (closed without an answer), or `garbled` (not HTTP)."""

    end: str = "nothing"
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    interim: list[int] = field(default_factory=list)
    why: str = ""

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


Where = int | str
"""A port of this machine, or the path of a Unix socket."""


class Caller:
    """A connection to whatever stands before the provider."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.patience = PATIENCE_SECONDS

    @classmethod
    async def connect(cls, where: Where) -> Caller:
        if isinstance(where, int):
            return cls(*await asyncio.open_connection("127.0.0.1", where, limit=1 << 20))
        return cls(*await asyncio.open_unix_connection(where, limit=1 << 20))

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.writer.close()

    async def send(self, content: bytes) -> None:
        """Send it as far as anybody takes it."""
        try:
            self.writer.write(content)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.writer.drain()
        except ConnectionError:
            pass

    async def read(self, method: str, seconds: float | None = None, *, stop_at_100: bool = False) -> Got:
        """The next answer, its interim ones before it."""
        got = Got()
        try:
            async with asyncio.timeout(seconds or self.patience):
                await self._read(method, got, stop_at_100)
        except TimeoutError:
            got.end = "silent"
        except asyncio.IncompleteReadError as error:
            got.body += error.partial if got.status else b""
            got.end = "cut" if got.status or error.partial else "nothing"
        except ConnectionError:
            got.end = "cut" if got.status else "nothing"
        except (ValueError, asyncio.LimitOverrunError) as error:
            got.end, got.why = "garbled", str(error)
        return got

    async def _read(self, method: str, got: Got, stop_at_100: bool) -> None:
        while True:
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].split(b"\r\n")
            if not re.fullmatch(rb"HTTP/1\.[01] [0-9]{3}( [^\0\r\n]*)?", first):
                raise ValueError(f"a status line {first[:60]!r}")
            status = int(first[9:12])
            if status >= 200 or status == 101:
                break
            got.interim.append(status)
            if stop_at_100:
                return
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not _TOKEN.match(name) or re.search(rb"[\r\n\0]", value):
                raise ValueError(f"a header {line[:60]!r}")
            got.headers.append((name.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1")))
        got.status = status
        lengths, codings = got.header("content-length"), got.header("transfer-encoding")
        if len(lengths) + len(codings) > 1:
            raise ValueError(f"framed twice: {lengths} {codings}")
        if method == "HEAD" or status in (101, 204, 304):
            pass
        elif codings:
            while size := int((await self.reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                await self._exactly(size, got)
                await self.reader.readuntil(b"\r\n")
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
        elif lengths:
            await self._exactly(int(lengths[0]), got)
        else:
            while piece := await self.reader.read(65536):
                got.body += piece
        got.end = "whole"

    async def _exactly(self, size: int, got: Got) -> None:
        while size:
            piece = await self.reader.read(min(size, 65536))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            got.body += piece
            size -= len(piece)

    async def ask(self, name: str, method: str = "GET", body: bytes = b"", path: str = "/v1/other") -> str:
        """A well-behaved call: `own` when it gets its own answer, `closed` when the connection was closed, and else
        what is wrong."""
        await self.send(well_behaved(name, method, body, path))
        return own(await self.read(method), name, method, body)


def well_behaved(name: str, method: str = "GET", body: bytes = b"", path: str = "/v1/other") -> bytes:
    framing = f"content-length: {len(body)}\r\n" if body or method in ("POST", "PUT", "PATCH") else ""
    return f"{method} {path}?id={name} HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n".encode() + body


def own(got: Got, name: str, method: str = "GET", body: bytes = b"") -> str:
    """Whether this is the very answer to a well-behaved call."""
    wanted = b"" if method == "HEAD" else echo_of(name, method, body)
    if got.status == 200 and got.end == "whole" and got.body == wanted:
        return "own"
    if got.end == "nothing":
        return "closed"
    return f"{got.status} {got.end} {shown(got.body)} {got.why}".strip()
