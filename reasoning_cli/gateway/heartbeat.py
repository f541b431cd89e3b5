"""Heartbeats for the caller of a stream while a slot's model thinks: what stands between takes silence for death.

The rule. With the first byte the answer is begun and its status is 200, so none goes out while the original provider
may still have to answer in its own words:

- only to a caller that asked for a stream: another one gets a single body, and its status with it;
- only after `Context.heartbeat_seconds` of silence: a model that refuses, cannot be reached or answers nonsense has
  mostly done so by then, and the original's status and headers arrive as they came;
- only where the slot's deadline leaves as much again: for less, nobody closes a connection.

From then on one goes out in each such time, until the answer comes. A model that fails after the first one is still
replaced by the original, inside the stream that was begun (see `relay`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from reasoning_cli.gateway.calls import Call, Headers

# Proxies and load balancers close a connection on which nothing comes for a minute, some after half of one.
HEARTBEAT_SECONDS = 15.0
_STREAM: Headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


def stream_headers(call: Call) -> Headers:
    """The head of a stream of ours."""
    return [*_STREAM, (b"x-request-id", call.id.encode())]


@contextlib.asynccontextmanager
async def heartbeats(call: Call, heartbeat: bytes, seconds: float) -> AsyncIterator[None]:
    """Send `heartbeat` every so many seconds while the block runs; the first one begins the answer, if nothing has."""
    over = asyncio.Event()
    sending: list[asyncio.Task[None]] = []

    def begin() -> None:
        sending.append(asyncio.ensure_future(_send(call, heartbeat, seconds, over)))

    timer = asyncio.get_running_loop().call_later(seconds, begin)  # a model in time costs no task
    try:
        yield
    finally:
        timer.cancel()
        over.set()
        for task in sending:  # not cut in the middle of its head
            await task


async def _send(call: Call, heartbeat: bytes, seconds: float, over: asyncio.Event) -> None:
    if not call.begun:
        await call.begin(200, stream_headers(call))
    while not over.is_set():
        await call.send(heartbeat, more=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), seconds)
