"""Bad days of the log, the clock and kept connections: none of it reaches the agent."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasoning_cli.decisions.recognise import Recognition
from reasoning_cli.gateway.dialects import chat
from reasoning_cli.gateway.log import access_log, capture
from reasoning_cli.gateway.log.capture import Decision
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.gateway.routing import route
from reasoning_cli.store.database import Store, UnreachableError
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.serving.spool import Recording
from tests.gateway import canned
from tests.gateway.faults import AT_THE_ORIGINAL, exchange, less
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served, served
from tests.waiting import until

CHAT, DECISION = PATHS["chat"], request("chat", PROMPTS["planning"])


def answered(gateway: Served, count: int = 1) -> None:
    for _ in range(count):
        answer = gateway.client.post(CHAT, json=DECISION)
        assert (answer.status_code, answer.headers["x-reasoning-source"]) == (200, "slot")


@pytest.mark.sqlite("a lock on the file itself")
def test_a_locked_database_delays_nobody_and_loses_nothing(gateway: Served) -> None:
    with closing(sqlite3.connect(gateway.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answered(gateway, 20)
        time.sleep(0.2)
        assert gateway.gateway.recorder.figures.stored == 0
        other.execute("ROLLBACK")
    assert len(gateway.samples(20)) == 20
    assert gateway.gateway.recorder.figures.dropped == 0


@pytest.mark.sqlite("a file that cannot grow any more")
def test_a_full_disk_costs_samples_not_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("reasoning_cli.gateway.log.recorder._RETRY_SECONDS", 0.01)
    with served(tmp_path) as gateway:
        recorder = gateway.gateway.recorder
        figures, write = recorder.figures, recorder._write_together
        with open_store(gateway.database) as store:
            most_pages = [store.number("PRAGMA page_count")]

        def write_to_a_small_disk(store: Store, made: list[Recording], again: bool) -> None:
            store.connection.execute(f"PRAGMA max_page_count={most_pages[0]}")
            write(store, made, again)

        monkeypatch.setattr(recorder, "_write_together", write_to_a_small_disk)
        answered(gateway, 70)
        until(lambda: figures.stored + figures.dropped == 70, "each to be kept or counted")
        assert "the disk is full" in caplog.text
        assert figures.dropped > 0
        stored, most_pages[0] = figures.stored, 1_000_000
        answered(gateway, 3)
        until(lambda: figures.stored == stored + 3, "what came once there was room")
        assert figures.last_error is None


def decision_of(answer: object, size: int = 0) -> Decision:
    body = {**DECISION, "padding": "x" * size}
    asked = chat.DIALECT.read(body)
    where = route(asked, {}, {}, 100, {})
    assert isinstance(where.recognition, Recognition)
    content = json.dumps(answer).encode()
    return Decision(chat.DIALECT, asked, where, body, "id", status=200, chunks=[content], size_bytes=size)


def test_more_than_can_be_written_is_counted_and_dropped_and_memory_stays_bounded(tmp_path: Path) -> None:
    released = threading.Event()

    def open_late() -> Store:
        released.wait(60)
        return open_store(tmp_path / "log.db")

    recorder = Recorder(open_late, queue_bytes=100_000)
    recorder.start()
    for _ in range(500):
        recorder.put(decision_of(canned.chat_answer(canned.ORIGINAL_SAYS["planning"]), 1000))
    assert recorder.figures.waiting_bytes <= 100_000
    dropped = recorder.figures.dropped
    assert 400 < dropped < 500
    released.set()
    recorder.stop()
    assert (recorder.figures.stored, recorder.figures.waiting_bytes) == (500 - dropped, 0)


@pytest.mark.parametrize("hangs", [False, True], ids=["away", "stands still"])
def test_what_waits_at_the_end_for_a_store_that_does_not_answer_is_logged_as_lost(
    hangs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()

    def away() -> Store:
        if hangs:
            released.wait(60)
        raise UnreachableError("the server is away", "wait")

    recorder = Recorder(away)
    for _ in range(3):
        recorder.put(decision_of(canned.chat_answer(canned.ORIGINAL_SAYS["planning"])))
    recorder.start()
    recorder.stop(0.5 if hangs else 30)
    recorder.stop()  # waits no second time
    assert not released.is_set()
    assert recorder._thread.is_alive() == hangs
    released.set()
    assert caplog.text.count("3 decisions that waited to be stored are lost") == 1


def test_what_no_database_can_hold_goes_without_the_others(tmp_path: Path) -> None:
    recorder = Recorder(lambda: open_store(tmp_path / "log.db"))
    good = canned.chat_answer(canned.ORIGINAL_SAYS["planning"])
    huge = {**good, "usage": {"prompt_tokens": 2**64 - 1, "completion_tokens": 1}}
    for one in (good, huge, good, [1], "x", {**good, "model": "\0m\0"}):
        recorder.put(decision_of(one))
    recorder.start()
    recorder.stop()
    assert (recorder.figures.stored, recorder.figures.dropped, recorder.figures.unreadable) in ((3, 1, 2), (4, 0, 2))
    with open_store(tmp_path / "log.db") as store:
        assert Samples(store).count() == recorder.figures.stored


def test_a_recorder_outlives_whatever_redaction_does(tmp_path: Path) -> None:
    def alter(*given: object) -> object:
        raise RecursionError("too deep")

    recorder = Recorder(lambda: open_store(tmp_path / "log.db"), alter=alter)  # type: ignore[arg-type]
    recorder.start()
    recorder.put(decision_of(canned.chat_answer("x")))
    until(lambda: recorder.figures.dropped == 1)
    recorder.stop()
    assert recorder.figures.last_error == "too deep"


def test_a_clock_that_jumps(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day go to the log as they are told; what is measured goes by another clock."""
    now = datetime.now(UTC)
    days = iter([0, -400, 30, -1, 0, 9000] * 20)

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return now + timedelta(days=next(days))

    monkeypatch.setattr(capture, "datetime", Jumping)
    answered(gateway, 6)
    assert len(gateway.samples(6)) == 6
    assert all(0 <= sample.latency_ms < 5000 for sample in gateway.samples(6) if sample.latency_ms is not None)
    assert gateway.client.get("/stats").json()["slots"]["planning"]["circuit"] == "closed"


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
def test_a_connection_that_is_closed_between_two_calls_is_nobodys_loss(gateway: Served, path: str) -> None:
    """The original and the model close each connection once they have answered, without a word of it before."""

    def closed() -> None:
        until(lambda: all(one.left.is_set() for one in gateway.original.received + gateway.model.received), "the ends")
        time.sleep(0.1)

    async def once(received: Received, answering: Answering) -> None:
        await (canned.model if answering._writer.get_extra_info("sockname")[1] == port else canned.original)(
            received, answering
        )
        answering.closes = True

    port = gateway.model.port
    gateway.original.handler = gateway.model.handler = once
    for _ in range(5):
        assert gateway.client.post(path, json=request("chat", PROMPTS["other"])).status_code == 200
        closed()
    asked_before = len(gateway.original.received)
    for _ in range(5):
        answered(gateway)
        closed()
    assert len(gateway.original.received) == asked_before
    assert gateway.gateway.figures.upstream_errors == {}


@pytest.mark.parametrize("how", ["closes at once", "resets"])
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
def test_what_costs_money_is_sent_once(gateway: Served, how: str, path: str) -> None:
    """However many connections are kept, and each of them is closed when it is asked again: the original may have read
    what it was asked, so that asking again could cost twice. The model's call is answered by the original."""
    all_asked, again = asyncio.Event(), False

    async def then_closes(received: Received, answering: Answering) -> None:
        if again:
            await AT_THE_ORIGINAL[how](received, answering)
            return
        if len(gateway.original.received) == 20:
            all_asked.set()
        await all_asked.wait()
        await canned.original(received, answering)

    gateway.original.handler = then_closes
    with ThreadPoolExecutor(20) as callers:
        first = callers.map(
            lambda _: httpx.post(f"{gateway.url}{path}", json=request("chat", PROMPTS["other"]), timeout=60), range(20)
        )
        assert {one.status_code for one in first} == {200}
    again = True
    assert gateway.client.post(path, json=request("chat", PROMPTS["other"])).status_code == 502
    assert len(gateway.original.received) == 21


def test_a_log_of_calls_that_nobody_reads_holds_up_no_call(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "_MOST_LINES", 3)
    reads, lines = threading.Event(), []

    def write(line: str) -> None:
        reads.wait(60)
        lines.append(json.loads(line))

    gateway.gateway.access_log = log = access_log.AccessLog(write)
    answered(gateway, 10)
    reads.set()
    until(lambda: len(lines) >= 3)
    answered(gateway)
    until(lambda: any(line.get("left_out", 0) >= 6 for line in lines))
    log.close()
    assert all(line["status"] == 200 for line in lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["model", "messages", "input", "instructions", "system", "stream", "tools", "tool_choice", "max_tokens", "stop"]
)
BODIES = st.one_of(
    st.binary(max_size=300),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(FIELDS, JSON, max_size=6).map(lambda value: json.dumps(value).encode()),
    # A request that is sound but for one field, so that it is read to the end.
    st.tuples(FIELDS, JSON, st.sampled_from(sorted(PATHS)), st.sampled_from(sorted(PROMPTS))).map(
        lambda found: json.dumps({**request(found[2], PROMPTS[found[3]]), found[0]: found[1]}).encode()
    ),
)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz-_!#$%&'*+.^`|~0123456789", min_size=1, max_size=20).map("x-".__add__)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=5)
KNOWN = st.dictionaries(
    st.sampled_from(
        ["content-type", "content-encoding", "accept-encoding", "authorization", "cookie", "accept", "range"]
    ),
    st.sampled_from(["gzip", "br", "deflate", "identity;q=0", "*", ",", "text/plain", "application/json", "=;=", '"']),
    max_size=3,
)


def test_no_body_and_no_header_makes_an_error_of_our_own(gateway: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is sent: the answer is what the original says, and it hears just what was sent."""
    gateway.gateway.circuits["planning"].failed = lambda: None  # type: ignore[method-assign]
    gateway.model.handler = AT_THE_ORIGINAL["500"]
    heard: list[Received] = []

    async def echoes(received: Received, answering: Answering) -> None:
        heard.append(received)
        await answering.whole(418, received.body, {"x-length": str(len(received.body)), "content-type": "x/y"})

    gateway.original.handler = echoes

    @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
    @given(body=BODIES, headers=HEADERS, known=KNOWN, face=st.sampled_from([*PATHS.values(), "/v1/other", "/"]))
    def sent(body: bytes, headers: dict[str, str], known: dict[str, str], face: str) -> None:
        heard.clear()
        all_headers = {**headers, **known}

        async def both() -> None:
            direct = await exchange(gateway.original.url, "POST", face, all_headers, body)
            got = await exchange(gateway.url, "POST", face, all_headers, body)
            assert less(direct, got) is None, (less(direct, got), got)

        asyncio.run(both())
        directly, through = heard
        assert through.body == directly.body
        arrived = {key.lower(): value for key, value in through.headers}
        for key, value in headers.items():
            assert arrived[key].strip() in (value.strip(), value.encode().decode("latin-1").strip())

    sent()
    assert [one.message for one in caplog.records if one.name.startswith("reasoning_cli")] == []
    assert gateway.gateway.figures.upstream_errors == {}
