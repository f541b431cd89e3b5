"""A decision is whole with the last event of its dialect: who hangs up then, as Codex does, loses none."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reasoning_cli.values import Mode
from tests.gateway import canned
from tests.gateway.packing import flushed
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Handler, Received
from tests.gateway.serving import Served, served
from tests.waiting import until

TEXT = canned.ORIGINAL_SAYS["planning"]
EVENTS = {
    "responses": canned.responses_events(TEXT),
    "chat": canned.chat_events(TEXT),
    "messages": canned.messages_events(TEXT),
}
WHOLE = {
    "responses": canned.responses_answer(TEXT),
    "chat": canned.chat_answer(TEXT),
    "messages": canned.messages_answer(TEXT),
}
TIMES = 20
every_face = pytest.mark.parametrize("face", EVENTS)


def stalling(pieces: list[bytes], *, content_type: str = "text/event-stream", encoding: str = "identity") -> Handler:
    """What an original says before it says no more, its answer never at an end."""

    async def handler(request: Received, answering: Answering) -> None:
        await answering.head(200, {"content-type": content_type, "content-encoding": encoding})
        for one in pieces:
            await answering.chunk(one)
        await answering.until_caller_leaves()
        request.left.set()

    return handler


def ask_and_leave(
    gateway: Served,
    face: str,
    *,
    when: Callable[[bytes], bool],
    stream: bool = True,
    prompt: str = PROMPTS["planning"],
) -> bytes:
    """Ask for a decision and hang up as soon as what has come is enough, or the gateway does; what has come."""
    body = json.dumps(request(face, prompt, stream=stream)).encode()
    place = urlsplit(gateway.url)
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        head = f"POST {PATHS[face]} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        connection.sendall(head + body)
        found = b""
        while not when(found) and (piece := connection.recv(65536)):
            found += piece
    return found


def had(piece: bytes) -> Callable[[bytes], bool]:
    return lambda found: piece in found


def answered(gateway: Served) -> int:
    figures = gateway.gateway.figures.answered
    return sum(figures.values())


def no_decision_is_kept(gateway: Served) -> None:
    """Once all that was begun is over: of a stream that broke off only what it used is."""
    figures, recorder = gateway.gateway.figures, gateway.gateway.recorder.figures
    until(lambda: figures.in_flight == 0 and not gateway.gateway.shadows, "the end of all calls")
    until(lambda: recorder.waiting_bytes == 0, "the recorder")
    assert (recorder.unreadable, recorder.dropped, answered(gateway)) == (0, 0, 0)
    kept = gateway.samples(recorder.stored)
    assert [(one.decision, one.cut) for one in kept] == [(None, "the caller left")] * len(kept)


@every_face
@pytest.mark.parametrize("shadow", [False, True], ids=["alone", "shadow"])
def test_who_leaves_with_the_last_event_has_had_a_decision(tmp_path: Path, face: str, shadow: bool) -> None:
    with served(tmp_path, slots=shadow, mode=Mode.SHADOW) as gateway:
        gateway.original.handler = stalling(EVENTS[face])
        for _ in range(TIMES):
            ask_and_leave(gateway, face, when=had(EVENTS[face][-1]))
        samples = gateway.samples(TIMES)
        assert [(one.source, one.output) for one in samples] == [("original", TEXT)] * TIMES
        assert answered(gateway) == TIMES
        for sample in samples if shadow else []:
            (attempt,) = gateway.attempts(sample)
            assert (attempt.mode, attempt.failure, attempt.agrees) == ("shadow", None, True)
        assert all(one.left.wait(60) for one in gateway.original.received)


@every_face
def test_who_leaves_one_event_earlier_has_had_none(gateway: Served, face: str) -> None:
    gateway.change("planning", mode=Mode.SHADOW)
    gateway.model.handler = stalling([])
    gateway.original.handler = stalling(EVENTS[face][:-1])
    for _ in range(3):
        ask_and_leave(gateway, face, when=had(EVENTS[face][-2]))
    no_decision_is_kept(gateway)
    assert all(one.left.wait(60) for one in [*gateway.original.received, *gateway.model.received])


@every_face
def test_the_connection_that_said_all_is_used_again(gateway: Served, face: str) -> None:
    gateway.change("planning", closed="no model is deployed")

    async def late(request: Received, answering: Answering) -> None:
        await answering.head(200, {"content-type": "text/event-stream"})
        for one in EVENTS[face]:
            await answering.chunk(one)
        await asyncio.sleep(0.1)
        await answering.chunk(b"")

    gateway.original.handler = late
    for number in range(1, 4):
        ask_and_leave(gateway, face, when=had(EVENTS[face][-1]))
        gateway.samples(number)
        until(lambda: not gateway.gateway.upstream.finishing, "the rest of the answer")
    assert len({one.port for one in gateway.original.received}) == 1


@every_face
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_packed_stream_is_read_as_far_as_it_came(tmp_path: Path, face: str, encoding: str) -> None:
    *pieces, _ = flushed(EVENTS[face], encoding)
    with served(tmp_path, slots=False) as gateway:
        gateway.original.handler = stalling(pieces, encoding=encoding)
        ask_and_leave(gateway, face, when=had(pieces[-1]))
        assert gateway.samples(1)[0].output == TEXT
    with served(tmp_path / "again", slots=False) as gateway:
        gateway.original.handler = stalling(pieces[:-1], encoding=encoding)
        ask_and_leave(gateway, face, when=had(pieces[-2]))
        no_decision_is_kept(gateway)


@every_face
def test_the_line_that_ends_the_last_event_may_be_missing(gateway: Served, face: str) -> None:
    gateway.change("planning", closed="no model is deployed")
    *events, last = EVENTS[face]
    gateway.original.handler = stalling([*events, last[:-4]])
    ask_and_leave(gateway, face, when=had(last[:-4]))
    no_decision_is_kept(gateway)
    gateway.original.handler = stalling([*events, last[:-2]])
    ask_and_leave(gateway, face, when=had(last[:-2]))
    assert [(one.cut, one.output) for one in gateway.samples(2)] == [("the caller left", TEXT), (None, TEXT)]


@every_face
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_original_that_is_cut_after_the_end_has_decided_and_its_caller_is_cut_too(
    gateway: Served, face: str, stream: bool
) -> None:
    gateway.change("planning", closed="no model is deployed")
    pieces = EVENTS[face] if stream else [json.dumps(WHOLE[face]).encode()]

    async def cut(request: Received, answering: Answering) -> None:
        kind = "text/event-stream" if stream else "application/json"
        await answering.head(200, {"content-type": kind})
        for one in pieces:
            await answering.chunk(one)
        answering.closes = True  # its connection ends in order, its answer does not

    gateway.original.handler = cut
    found = ask_and_leave(gateway, face, when=lambda found: False, stream=stream)
    assert found.endswith(pieces[-1] + b"\r\n")  # no last chunk
    assert gateway.samples(1)[0].output == TEXT
    assert gateway.gateway.figures.upstream_errors == {"CutOff": 1}


@every_face
def test_a_whole_answer_without_its_end_is_one(gateway: Served, face: str) -> None:
    gateway.change("planning", closed="no model is deployed")
    whole = json.dumps(WHOLE[face]).encode()
    gateway.original.handler = stalling([whole[:-1]], content_type="application/json")
    ask_and_leave(gateway, face, when=had(whole[:-1]), stream=False)
    no_decision_is_kept(gateway)
    gateway.original.handler = stalling([whole], content_type="application/json")
    ask_and_leave(gateway, face, when=had(whole), stream=False)
    assert gateway.samples(1)[0].output == TEXT


def test_what_follows_the_last_event_of_a_dialect_changes_nothing(gateway: Served) -> None:
    gateway.change("planning", closed="no model is deployed")
    for more in (b"data: [DONE]\n\n", b": bye\n\n", b"data: [DO"):
        gateway.original.handler = stalling([*EVENTS["responses"], more])
        ask_and_leave(gateway, "responses", when=had(more))
    assert len(gateway.samples(3)) == 3


@every_face
def test_who_leaves_with_the_models_last_event_has_had_its_decision(gateway: Served, face: str) -> None:
    last = {"responses": b"response.completed", "chat": b"data: [DONE]", "messages": b"event: message_stop"}[face]
    for _ in range(TIMES):
        ask_and_leave(gateway, face, when=had(last))
    samples = gateway.samples(TIMES)
    assert [one.source for one in samples] == ["slot"] * TIMES
    assert answered(gateway) == TIMES


def test_who_leaves_while_the_model_thinks_has_had_none(gateway: Served) -> None:
    gateway.model.handler = stalling([])
    ask_and_leave(
        gateway, "chat", when=lambda _: until(lambda: gateway.model.received, "the model to be asked") is None
    )
    assert gateway.model.received[0].left.wait(60)
    no_decision_is_kept(gateway)
