"""One call of the agent: its head, its body as far as it was read, and its answer going out."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from random import getrandbits
from typing import Any

import orjson

from reasoning_cli.decisions.coding_agents import HEADERS_READ

_READ = [(name, name.encode()) for name in HEADERS_READ]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# A decision's prompt is read whole, to be recognised. What is longer goes through as it comes, unread; so does what
# would be too much together with what other calls hold.
LONGEST_READ_BYTES = 8 * 1024 * 1024
MOST_HELD_BYTES = 64 * 1024 * 1024


class CallerLeft(Exception):
    """The agent closed its connection: nobody waits for an answer any more."""


class Held:
    """How many bytes of bodies are held at once, over all calls."""

    bytes = 0


class Call:
    """One call. `notes` is what the access log says of it beside the plain facts."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, held: Held) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["raw_path"].decode("latin-1") if scope.get("raw_path") else scope["path"]
        self.query: bytes = scope["query_string"]
        self.version: str = scope["http_version"]
        self.headers: Headers = list(scope["headers"])
        self._first = dict(reversed(self.headers))
        self.id = f"{getrandbits(128):032x}"
        self.started = time.perf_counter()
        self.status: int | None = None
        self.sent_bytes = 0
        self.notes: dict[str, Any] = {}
        self._receive, self._send = receive, send
        self._caller_left: asyncio.Future[None] | None = scope.get("extensions", {}).get("left")
        self._held, self._holds = held, 0
        self._read: deque[bytes] = deque()
        self._whole = False  # the body was received to its end
        self._waits = b"expect" in self._first  # for our word that it may send its body
        self._head_sent = self._finished = False
        self._left = False
        self._task = asyncio.current_task()

    def header(self, name: bytes) -> bytes | None:
        """The first header of that (lower-case) name."""
        return self._first.get(name)

    def headers_read(self) -> dict[str, str]:
        """The headers that recognition reads."""
        return {name: value.decode("latin-1") for name, key in _READ if (value := self._first.get(key)) is not None}

    def since_ms(self) -> int:
        return round((time.perf_counter() - self.started) * 1000)

    def note(self, text: str) -> None:
        self.notes["note"] = text

    async def read(self, limit: int = LONGEST_READ_BYTES) -> bytes | None:
        """The whole body; None when it is longer than `limit` or too long for now, and then `rest` gives all of it."""
        if self.announced_bytes > limit:
            return None
        size = 0
        while not self._whole:
            part = await self._next()
            self._read.append(part)
            self._hold(len(part))
            size += len(part)
            if size > limit or self._held.bytes > MOST_HELD_BYTES:
                return None
        self.watch()
        return self._read[0] if len(self._read) == 1 else b"".join(self._read)

    async def rest(self) -> AsyncIterator[bytes]:
        """The body, piece by piece as it comes, after what was read already."""
        while self._read:
            part = self._read.popleft()
            self._hold(-len(part))
            yield part
        while not self._whole:
            if part := await self._next():
                yield part
        self.watch()

    @property
    def announced_bytes(self) -> int:
        """How long the body is said to be; -1 when it comes in chunks."""
        return int(self._first.get(b"content-length", -1))

    @property
    def has_body(self) -> bool:
        """Whether a body was announced."""
        return any(key in (b"content-length", b"transfer-encoding") and value != b"0" for key, value in self.headers)

    def _hold(self, size: int) -> None:
        self._holds += size
        self._held.bytes += size

    async def _next(self) -> bytes:
        self._waits = False
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True
            raise CallerLeft
        self._whole = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    def watch(self) -> None:
        """From now on, with the body whole, a caller that leaves ends what is done for it."""
        if self._caller_left is not None:
            self._caller_left.add_done_callback(self._leaves)

    def _leaves(self, _: object) -> None:
        if not (self._finished or self._left) and self._task is not None:
            self._left = True
            self._task.cancel()

    @property
    def left(self) -> bool:
        """Whether the caller went away before its answer was whole."""
        return self._left

    @property
    def begun(self) -> bool:
        """Whether a byte of the answer is out: from then on no other answer can be given."""
        return self._head_sent

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin the answer."""
        self.status, self._head_sent = status, True
        if self._waits:  # whether its body comes nobody knows: what comes next may be that, or another call
            headers = [*headers, (b"connection", b"close")]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, body: bytes, *, more: bool) -> None:
        """Send a piece of the answer's body."""
        self.sent_bytes += len(body)
        self._finished = self._finished or not more
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        await self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.send(b"" if self.method == "HEAD" else body, more=False)

    async def answer_json(self, status: int, value: object, headers: Headers | None = None) -> None:
        """Send a whole answer of JSON."""
        await self.answer(status, [(b"content-type", b"application/json"), *(headers or [])], orjson.dumps(value))

    async def refuse(
        self,
        status: int,
        message: str,
        error: Callable[[int, str], dict[str, Any]] | None,
        headers: Headers | None = None,
    ) -> None:
        """Answer with an error in the caller's dialect, if nothing was sent yet."""
        if not self._head_sent and not self._left:
            value = error(status, message) if error is not None else {"error": {"message": message}}
            await self.answer_json(status, value, [(b"x-request-id", self.id.encode()), *(headers or [])])

    def end(self) -> None:
        """The call is over: stop watching."""
        self._finished = True
        if self._caller_left is not None:
            self._caller_left.remove_done_callback(self._leaves)
        self._hold(-self._holds)
