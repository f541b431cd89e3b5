"""What uvicorn makes of an answer in the gateway's hands: how it is framed, and that nothing of it waits."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from reasoning_cli.gateway.http.limits import Protocol


class Written(asyncio.Transport):
    """A transport that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[bytes] = []

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.packets.append(data)

    def close(self) -> None:
        self.packets.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.packets


def written(
    *pieces: bytes,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    status: int = 200,
    method: str = "GET",
    version: str = "1.1",
    whole: bool = True,
) -> bytes:
    """What goes out of an answer with these pieces of a body, the last of them its end when it is `whole`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for number, piece in enumerate(pieces):
            more = not whole or number < len(pieces) - 1
            await send({"type": "http.response.body", "body": piece, "more_body": more})
        if not whole:
            await asyncio.sleep(60)

    async def answered() -> bytes:
        config = uvicorn.Config(app, http=Protocol, log_config=None, access_log=False)
        protocol, transport = Protocol(config, ServerState(), {}), Written()
        protocol.connection_made(transport)
        protocol.data_received(f"{method} / HTTP/{version}\r\nhost: localhost\r\n\r\n".encode())
        await asyncio.sleep(0)  # one turn of the loop: what it wrote now leaves together
        return b"".join(transport.packets)

    return asyncio.run(answered())


HEAD, CHUNKS = b"HTTP/1.1 200 OK\r\n", b"transfer-encoding: chunked\r\n"


def test_a_whole_answer_leaves_at_once() -> None:
    told = ((b"content-length", b"2"),)
    assert written(b"{}", headers=told) == HEAD + b"content-length: 2\r\n\r\n{}"
    assert written(b"{}") == HEAD + CHUNKS + b"\r\n2\r\n{}\r\n0\r\n\r\n"


def test_a_head_waits_for_nothing_that_comes_later() -> None:
    assert written(b"", b"ab", b"", whole=False) == HEAD + CHUNKS + b"\r\n2\r\nab\r\n"


def test_an_answer_without_a_body_is_its_head() -> None:
    told = ((b"content-length", b"9"),)
    assert written(b"", headers=told, method="HEAD") == HEAD + b"content-length: 9\r\n\r\n"
    assert written(b"", status=204) == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_to_http_1_0_an_answer_without_a_length_ends_with_the_connection() -> None:
    assert written(b"ab", b"c", version="1.0") == HEAD + b"connection: close\r\n\r\nabcclosed"
    assert written(b"ab", b"", version="1.0") == HEAD + b"connection: close\r\n\r\nabclosed"
    told = ((b"content-length", b"2"),)
    assert written(b"ab", headers=told, version="1.0") == (
        HEAD + b"content-length: 2\r\nconnection: close\r\n\r\nabclosed"
    )
