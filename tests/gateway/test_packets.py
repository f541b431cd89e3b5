"""An answer leaves in as few packets as it can, and nothing of it waits."""

from __future__ import annotations

import asyncio

from reasoning_cli.gateway.limits import _Joined

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"{}"


class Written(asyncio.Transport):
    """A transport that keeps what it was given, packet by packet."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[bytes] = []

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.packets.append(data)

    def close(self) -> None:
        self.packets.append(b"closed")


async def written(*pieces: bytes | None) -> list[bytes]:
    """What leaves when these are written, None standing for a turn of the loop."""
    transport = Written()
    joined = _Joined(transport, asyncio.get_running_loop())
    for piece in pieces:
        if piece is None:
            await asyncio.sleep(0)
        else:
            joined.write(piece)
    joined.close()
    return transport.packets


def test_a_head_leaves_with_what_follows_at_once() -> None:
    assert asyncio.run(written(HEAD, BODY, None, BODY)) == [HEAD + BODY, BODY, b"closed"]


def test_a_head_waits_for_nothing_that_comes_later() -> None:
    assert asyncio.run(written(HEAD, None, BODY, BODY)) == [HEAD, BODY, BODY, b"closed"]


def test_a_head_alone_leaves_before_the_end() -> None:
    assert asyncio.run(written(HEAD)) == [HEAD, b"closed"]


def test_a_body_that_looks_like_a_head_passes_too() -> None:
    assert asyncio.run(written(HEAD, HEAD, HEAD, None, BODY)) == [HEAD + HEAD, HEAD, BODY, b"closed"]
