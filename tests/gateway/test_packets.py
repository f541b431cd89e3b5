"""An answer leaves in as few packets as it can, and nothing of it waits."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from reasoning_cli.gateway.exchange import Exchange


class Written(asyncio.Transport):
    """A transport that keeps what it was given, packet by packet."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[bytes] = []

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.packets.append(data)

    def close(self) -> None:
        self.packets.append(b"closed")


def written(
    *pieces: bytes,
    headers: tuple[tuple[bytes, bytes], ...] = (),
    status: int = 200,
    method: str = "POST",
    version: str = "1.1",
    whole: bool = True,
) -> list[bytes]:
    """The packets of an answer with these pieces of a body, the last of them its end when it is `whole`."""

    async def send() -> list[bytes]:
        transport = Written()
        scope: Any = {"type": "http", "method": method, "http_version": version}
        ended = lambda: transport.packets.append(b"ended")  # noqa: E731
        cycle = Exchange(
            scope,
            transport,
            FlowControl(transport),
            lambda: None,
            ended,
            expects_100=False,
            keep_alive=version != "1.0",
        )
        await cycle.send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for number, piece in enumerate(pieces):
            more = not whole or number < len(pieces) - 1
            await cycle.send({"type": "http.response.body", "body": piece, "more_body": more})
        return transport.packets

    return asyncio.run(send())


HEAD, CHUNKS = b"HTTP/1.1 200 OK\r\n", b"transfer-encoding: chunked\r\n"


def test_a_whole_answer_is_one_packet() -> None:
    told = ((b"content-length", b"2"),)
    assert written(b"{}", headers=told) == [HEAD + b"content-length: 2\r\n\r\n{}", b"ended"]
    assert written(b"{}") == [HEAD + CHUNKS + b"\r\n2\r\n{}\r\n0\r\n\r\n", b"ended"]


def test_a_head_waits_for_nothing_that_comes_later() -> None:
    assert written(b"", b"ab", b"", whole=False) == [HEAD + CHUNKS + b"\r\n", b"2\r\nab\r\n"]


def test_an_answer_without_a_body_is_its_head() -> None:
    told = ((b"content-length", b"9"),)
    assert written(b"", headers=told, method="HEAD") == [HEAD + b"content-length: 9\r\n\r\n", b"ended"]
    assert written(b"", status=204) == [b"HTTP/1.1 204 No Content\r\n\r\n", b"ended"]


def test_to_http_1_0_an_answer_without_a_length_ends_with_the_connection() -> None:
    assert written(b"ab", b"c", version="1.0") == [HEAD + b"connection: close\r\n\r\nab", b"c", b"closed", b"ended"]
