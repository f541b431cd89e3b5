"""Slots at servers of the operator's own, as real ones behave: llama.cpp's Python server, vLLM, Ollama."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served

Json = dict[str, Any]
SURE, UNSURE = -0.0001, -1.5


def ask(gateway: Served, kind: str = "should_respond") -> str:
    """Whose answer an agent gets."""
    answer = gateway.client.post(PATHS["chat"], json=request("chat", PROMPTS[kind]))
    assert answer.status_code == 200, answer.text
    return answer.headers.get("x-reasoning-source", "original")


def reasons(gateway: Served, source: str = "fallback", kind: str = "should_respond") -> Json:
    by_source = gateway.client.get("/stats").json()["model_types"][kind]["by_source"]
    found: Json = by_source[source]["reasons"]
    return found


class TellsProbabilities:
    """A model that is as sure of each token as `logprob` says, and tells it to who asks as llama.cpp wants it."""

    def __init__(self, logprob: float) -> None:
        self.logprob = logprob

    async def __call__(self, request: Received, answering: Answering) -> None:
        body, text = request.json, canned.MODEL_SAYS["should_respond"]
        asked = body.get("logprobs") is True and isinstance(body.get("top_logprobs"), int)
        token = {"token": "x", "logprob": self.logprob, "bytes": None, "top_logprobs": []}
        told = {"logprobs": {"content": [token] * 3}} if asked else {"logprobs": None}
        answer = canned.chat_answer(text)
        if not body.get("stream"):
            answer["choices"][0] |= told
            await answering.whole(200, answer)
            return
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        chunks = [
            {"index": 0, "delta": {"role": "assistant"}, "finish_reason": None},
            *(
                {"index": 0, "delta": {"content": piece}, "finish_reason": None, **told}
                for piece in canned.pieces(text)
            ),
            {"index": 0, "delta": {}, "finish_reason": "stop"},
        ]
        await answering.events([*(canned.sse({**head, "choices": [chunk]}) for chunk in chunks), b"data: [DONE]\n\n"])


@pytest.mark.parametrize(("logprob", "source"), [(SURE, "slot"), (UNSURE, "original")])
def test_confidence_is_asked_for_as_llama_cpp_wants_it(gateway: Served, logprob: float, source: str) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None, confidence=0.9)
    gateway.model.handler = TellsProbabilities(logprob)
    assert ask(gateway) == source
    if source == "original":
        assert reasons(gateway) == {"not confident enough": 1}


@pytest.mark.parametrize("own_server", [True, False])
def test_a_model_that_tells_no_probabilities_is_not_taken_for_sure(gateway: Served, own_server: bool) -> None:
    gateway.change("should_respond", own_server=own_server, confidence=0.5)
    assert [ask(gateway) for _ in range(6)] == ["original"] * 6
    assert reasons(gateway) == {"tells no probabilities to be confident by": 6}, "its circuit stays closed"


class LlamaPython:
    """As llama.cpp's Python server does: one question at a time. A whole answer is worked out to its end whether or not
    its caller is there, and whoever asks next waits; a stream ends with its caller, and is cut off by the next
    question, without a finish chunk and in the midst of a chunk of HTTP. It counts no tokens of a stream."""

    def __init__(self, seconds: float, cuts: bool = True) -> None:
        self.seconds, self.cuts = seconds, cuts
        self.working = asyncio.Lock()
        self.streaming: asyncio.Event | None = None
        self.worked_seconds = 0.0

    async def __call__(self, request: Received, answering: Answering) -> None:
        text = canned.MODEL_SAYS[canned.kind_of(canned.last_text(request.json))]
        if not request.json.get("stream"):
            async with self.working:
                await asyncio.sleep(self.seconds)
                self.worked_seconds += self.seconds
            await answering.whole(200, canned.chat_answer(text))
            return
        if self.streaming is not None and self.cuts:
            self.streaming.set()
        async with self.working:
            self.streaming = interrupted = asyncio.Event()
            await answering.head(200, {"content-type": "text/event-stream; charset=utf-8"})
            try:
                for event in canned.chat_events(text)[:-1]:
                    await asyncio.sleep(self.seconds / 10)
                    self.worked_seconds += self.seconds / 10
                    if interrupted.is_set():
                        await answering.raw(b"e\r\ndata: [DONE]\n\n")
                        answering.cut()
                        return
                    await answering.chunk(event)
            finally:
                self.streaming = None
            await answering.chunk(b"data: [DONE]\n\n")
            await answering.chunk(b"")


def test_a_question_that_is_too_late_does_not_run_on_and_hold_up_the_next(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None, deadline_seconds=0.5)
    slow = gateway.model.handler = LlamaPython(20)
    assert ask(gateway) == "original"
    assert reasons(gateway) == {"too late": 1}
    assert gateway.model.received[0].left.wait(10), "its connection is closed"
    slow.seconds = 0.1
    assert ask(gateway) == "slot", "the server is free again"
    assert slow.worked_seconds < 5


def test_a_caller_who_leaves_ends_the_work_at_the_server(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    slow = gateway.model.handler = LlamaPython(60)
    with pytest.raises(Exception, match="timed out"):
        gateway.client.post(PATHS["chat"], json=request("chat", PROMPTS["should_respond"]), timeout=1)
    assert gateway.model.received[0].left.wait(15)
    slow.seconds = 0.1
    assert ask(gateway) == "slot"


def at_once(gateway: Served, count: int) -> list[str]:
    with ThreadPoolExecutor(count) as pool:
        asked = []
        for _ in range(count):
            asked.append(pool.submit(ask, gateway))
            time.sleep(0.3)
        return [answer.result() for answer in asked]


def test_no_more_questions_than_the_server_takes(gateway: Served) -> None:
    """What would cut off the one under way goes to the baseline, and counts as no failure of the model."""
    gateway.change("should_respond", own_server=True, deployment_key=None, parallel=1)
    gateway.model.handler = LlamaPython(3)
    assert at_once(gateway, 3) == ["slot", "original", "original"]
    assert len(gateway.model.received) == 1
    assert reasons(gateway, "original") == {"its server has as many questions as it takes": 2}
    assert ask(gateway) == "slot"


def test_that_a_server_takes_one_question_at_a_time_is_learned(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = LlamaPython(3)
    assert at_once(gateway, 2) == ["original", "slot"], "the first was cut off by the second"
    assert at_once(gateway, 2) == ["slot", "original"]
    assert len(gateway.model.received) == 3


def test_a_server_that_takes_many_is_asked_many(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = Streams()
    assert at_once(gateway, 4) == ["slot"] * 4


class Streams:
    """As vLLM does: many at once, and tokens counted at the end."""

    async def __call__(self, request: Received, answering: Answering) -> None:
        assert request.json["stream"] is True
        await asyncio.sleep(1)
        await answering.events(canned.chat_events(canned.MODEL_SAYS["should_respond"]))


def test_a_prompt_longer_than_the_context_goes_to_the_baseline(gateway: Served) -> None:
    """llama.cpp's Python server answers a stream with 200, no body, and a dropped connection."""

    async def drops(request: Received, answering: Answering) -> None:
        await answering.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        answering.cut()

    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = drops
    assert ask(gateway) == "original"
    assert reasons(gateway) == {"unreachable: CutOff": 1}


@pytest.mark.parametrize("change", [{"model": "acme/other"}, {"url": "again"}, {"deadline_seconds": 9.0}])
def test_an_open_circuit_closes_when_something_else_is_in_the_slot(gateway: Served, change: Json) -> None:
    async def breaks(request: Received, answering: Answering) -> None:
        await answering.whole(500, {"detail": "Internal Server Error"})

    gateway.change("should_respond", own_server=True, deployment_key=None)
    works, gateway.model.handler = gateway.model.handler, breaks
    assert [ask(gateway) for _ in range(6)] == ["original"] * 6
    assert len(gateway.model.received) == 5
    gateway.model.handler = works
    assert ask(gateway) == "original", "nothing has changed yet"
    again = {"url": f"{gateway.model.url.replace('127.0.0.1', 'localhost')}/v1"}
    gateway.change("should_respond", **(again if "url" in change else change))
    assert ask(gateway) == "slot"
    gateway.change("should_respond", share_percent=50)
    assert ask(gateway) == "slot"


def test_nothing_is_sent_that_small_servers_break_at(gateway: Served) -> None:
    """llama.cpp's Python server answers 500 to the role developer and to a temperature of null, and ignores
    max_completion_tokens and stream_options."""
    gateway.change("should_respond", own_server=True, deployment_key=None, max_tokens=100)
    body = request("chat", PROMPTS["should_respond"])
    del body["max_tokens"]
    body |= {"temperature": None, "max_completion_tokens": 4096, "stream_options": {"include_usage": True}}
    body["messages"] = [{"role": "developer", "content": "Be kind."}, *body["messages"]]
    assert gateway.client.post(PATHS["chat"], json=body).headers["x-reasoning-source"] == "slot"
    (asked,) = gateway.model.received
    assert [message["role"] for message in asked.json["messages"]] == ["system", "user"]
    assert {name: asked.json.get(name) for name in ("max_tokens", "temperature", "stream")} == {
        "max_tokens": 100,
        "temperature": 0,
        "stream": True,
    }
    assert not {"max_completion_tokens", "stream_options"} & set(asked.json)


@pytest.mark.parametrize("temperature", [0.7, 1])
def test_the_gateway_asks_at_the_temperature_of_the_evaluation(gateway: Served, temperature: float) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    body = request("chat", PROMPTS["should_respond"]) | {"temperature": temperature}
    assert gateway.client.post(PATHS["chat"], json=body).headers["x-reasoning-source"] == "slot"
    assert gateway.model.received[0].json["temperature"] == 0


def test_a_stream_without_counted_tokens_is_recorded_without_them(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = LlamaPython(0)
    assert ask(gateway) == "slot"
    (sample,) = gateway.samples(1)
    assert (sample.source, sample.prompt_tokens, sample.completion_tokens) == ("slot", None, None)


def test_a_stream_that_ends_without_a_finish_is_no_answer(gateway: Served) -> None:
    async def cut(request: Received, answering: Answering) -> None:
        events = canned.chat_events(canned.MODEL_SAYS["should_respond"])
        await answering.events([*events[:-2], b"data: [DONE]\n\n"])

    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = cut
    assert ask(gateway) == "original"
    assert reasons(gateway) == {"invalid: cut (no end)": 1}
