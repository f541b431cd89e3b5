"""What callers accept of a provider is theirs to say: its answer passes as it came, and the log reads it, bounded."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from reasoning_cli.gateway.log import recorder
from tests.gateway import canned
from tests.gateway.packing import LAYERED, PACKERS, flushed, packed
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served, served
from tests.waiting import until

TEXT = canned.ORIGINAL_SAYS["planning"]
WHOLE = json.dumps(canned.chat_answer(TEXT)).encode()
MB = 1024 * 1024


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    """A gateway without models: every decision is the original's."""
    with served(tmp_path, slots=False) as running:
        yield running


def ask(gateway: Served, accepted: str = "gzip", *, stream: bool = False) -> bytes:
    """Ask for a decision; its answer as it came, packed."""
    body, headers = request("chat", PROMPTS["planning"], stream=stream), {"accept-encoding": accepted}
    with gateway.client.stream("POST", PATHS["chat"], json=body, headers=headers) as answer:
        return b"".join(answer.iter_raw())


def answers(gateway: Served, content: bytes, encoding: str) -> None:
    async def handler(request: Received, answering: Answering) -> None:
        await answering.whole(200, content, {"content-encoding": encoding})

    gateway.original.handler = handler


@pytest.mark.parametrize(
    "accepted", ["gzip, br, zstd", "br;q=1.0,gzip;q=0.5 , *;q=0", "dcb, dcz, foo", "identity;q=0", "Br", "*", ""]
)
def test_what_a_caller_accepts_goes_on_as_it_stands(gateway: Served, accepted: str) -> None:
    ask(gateway, accepted)
    (asked,) = gateway.original.received
    assert [value for key, value in asked.headers if key == "accept-encoding"] == [accepted]


@pytest.mark.parametrize("encoding", [*PACKERS, *LAYERED])
def test_a_packed_answer_passes_as_it_came_and_is_recorded(gateway: Served, encoding: str) -> None:
    answers(gateway, packed(WHOLE, encoding), encoding)
    assert ask(gateway, encoding) == packed(WHOLE, encoding)
    assert gateway.samples(1)[0].output == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate"])
def test_a_packed_stream_is_recorded(gateway: Served, encoding: str) -> None:
    async def handler(request: Received, answering: Answering) -> None:
        await answering.events(flushed(canned.chat_events(TEXT), encoding), {"content-encoding": encoding})

    gateway.original.handler = handler
    assert ask(gateway, encoding, stream=True) == b"".join(flushed(canned.chat_events(TEXT), encoding))
    assert gateway.samples(1)[0].output == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_an_answer_packed_in_parts_is_recorded(gateway: Served, encoding: str) -> None:
    content = packed(WHOLE[:50], encoding) + packed(b"", encoding) + packed(WHOLE[50:], encoding)
    answers(gateway, content, encoding)
    assert ask(gateway) == content
    assert gateway.samples(1)[0].output == TEXT


def test_two_lines_of_encodings_are_one_list(gateway: Served) -> None:
    async def handler(request: Received, answering: Answering) -> None:
        content = packed(WHOLE, "br, gzip")
        lines = b"content-type: application/json\r\ncontent-encoding: br\r\ncontent-encoding: gzip\r\n"
        await answering.raw(b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (lines, len(content), content))

    gateway.original.handler = handler
    ask(gateway)
    assert gateway.samples(1)[0].output == TEXT


UNPACKED = 100 * MB  # more than is to be held at any time


@cache
def long(encoding: str) -> bytes:
    """An answer that is short only while it is packed."""
    return packed(b'{"choices": [{"message": {"content": "' + b" " * UNPACKED + b'"}}]}', encoding)


BOMBS = {
    "gzip": lambda: long("gzip"),
    "deflate": lambda: long("deflate"),
    "Deflate": lambda: long("Deflate"),
    "br": lambda: long("br"),
    "zstd": lambda: long("zstd"),
    "gzip, gzip": lambda: packed(long("gzip"), "gzip"),
    "zstd, br": lambda: packed(long("zstd"), "br"),
    "gzip, identity": lambda: long("gzip"),
    # In members, each of them short, and so many without anything that they take a machine's time instead.
    "x-gzip": lambda: gzip.compress(b" " * MB) * (UNPACKED // MB),
    "X-GZIP": lambda: gzip.compress(b"") * 100_000,
    "ZSTD": lambda: b"\x50\x2a\x4d\x18\0\0\0\0" * 500_000,
    "gzip" + ", gzip" * 50: lambda: packed(long("gzip"), "gzip" + ", gzip" * 49),
}


@pytest.mark.parametrize("encoding", BOMBS)
def test_an_answer_that_unpacks_without_end_is_not_unpacked(gateway: Served, encoding: str) -> None:
    content = BOMBS[encoding]()
    answers(gateway, content, encoding)
    tracemalloc.start()
    try:
        assert ask(gateway, encoding) == content
        recorded = gateway.gateway.recorder.figures
        until(lambda: recorded.unreadable + recorded.dropped == 1, "it to be looked at", seconds=60)
        assert tracemalloc.get_traced_memory()[1] < 0.8 * UNPACKED
    finally:
        tracemalloc.stop()
    assert (recorded.unreadable, recorded.stored) == (1, 0)


def test_many_long_answers_that_wait_packed_are_not_all_unpacked_at_once(
    gateway: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_BATCH_SECONDS", 3.0)
    long = json.dumps(canned.chat_answer("```python\n" + " " * 6 * MB + "pass\n```")).encode()
    answers(gateway, packed(long, "gzip"), "gzip")
    tracemalloc.start()
    try:
        for _ in range(40):
            ask(gateway)
        until(lambda: gateway.gateway.recorder.figures.stored == 40, "all of them")
        assert tracemalloc.get_traced_memory()[1] < 120 * MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_of_a_million_lists_is_not_made_into_them(gateway: Served, stream: bool) -> None:
    lists = b', "logprobs": [' + b"[]," * 1_000_000 + b"0]}"

    async def handler(request: Received, answering: Answering) -> None:
        if stream:
            first, *events = canned.chat_events(TEXT)
            await answering.events([first[:-3] + lists + b"\n\n", *events])
        else:
            await answering.whole(200, packed(WHOLE[:-1] + lists, "gzip"), {"content-encoding": "gzip"})

    gateway.original.handler = handler
    ask(gateway, stream=stream)
    recorded = gateway.gateway.recorder.figures
    until(lambda: recorded.unreadable + recorded.stored == 1, "it to be looked at")
    assert (recorded.unreadable, recorded.stored) == (1, 0)


FLAWED = {
    "an encoding nobody knows": ("dcb", WHOLE, "encoding dcb is not known"),
    "not what it says": ("br", WHOLE, "broken br"),
    "cut": ("gzip", packed(WHOLE, "gzip")[:-9], "packed and cut"),
    "more behind it": ("gzip", packed(WHOLE, "gzip") + b"more", "broken gzip"),
    "a window of 32 MB": ("zstd", b"\x28\xb5\x2f\xfd\x00\x78" + b"\0" * 20, "broken zstd"),
}


@pytest.mark.parametrize("flaw", FLAWED)
def test_why_an_answer_is_not_read_is_told_and_it_passes(gateway: Served, flaw: str) -> None:
    encoding, content, why = FLAWED[flaw]
    answers(gateway, content, encoding)
    assert ask(gateway, f"{encoding}, gzip") == content
    until(lambda: gateway.gateway.recorder.figures.unreadable == 1, "it to be looked at")
    assert gateway.client.get("/stats").json()["recording"]["why_unreadable"] == {why: 1}
