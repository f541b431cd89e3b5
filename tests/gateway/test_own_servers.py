"""Slots at servers of the operator's own, as real ones behave: llama.cpp's Python server, vLLM, Ollama."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reasoning_cli.values import TokenLimit
from tests.gateway.model_server import ModelServer
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served
from tests.waiting import until

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


@pytest.mark.parametrize(("logprob", "source"), [(SURE, "slot"), (UNSURE, "original")])
def test_confidence_is_asked_for_as_llama_cpp_wants_it(gateway: Served, logprob: float, source: str) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None, confidence=0.9)
    gateway.model.handler = ModelServer(probability=logprob)
    assert ask(gateway) == source
    if source == "original":
        assert reasons(gateway) == {"not confident enough": 1}


@pytest.mark.parametrize("own_server", [True, False])
def test_a_model_that_tells_no_probabilities_is_not_taken_for_sure(gateway: Served, own_server: bool) -> None:
    gateway.change("should_respond", own_server=own_server, confidence=0.5)
    assert [ask(gateway) for _ in range(6)] == ["original"] * 6
    assert reasons(gateway) == {"tells no probabilities to be confident by": 6}, "its circuit stays closed"


def llama_python(seconds: float) -> ModelServer:
    """One question at a time, each cut off by the next."""
    return ModelServer(seconds=seconds, cuts=True, counts_streams=False)


def test_a_question_that_is_too_late_does_not_run_on_and_hold_up_the_next(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None, deadline_seconds=0.5)
    slow = gateway.model.handler = llama_python(20)
    assert ask(gateway) == "original"
    assert reasons(gateway) == {"too late": 1}
    assert gateway.model.received[0].left.wait(10), "its connection is closed"
    slow.seconds = 0.1
    assert ask(gateway) == "slot", "the server is free again"
    assert slow.worked_seconds < 5


def test_a_caller_who_leaves_ends_the_work_at_the_server(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    slow = gateway.model.handler = llama_python(60)
    with pytest.raises(Exception, match="timed out"):
        gateway.client.post(PATHS["chat"], json=request("chat", PROMPTS["should_respond"]), timeout=1)
    assert gateway.model.received[0].left.wait(15)
    slow.seconds = 0.1
    assert ask(gateway) == "slot"


def at_once(gateway: Served, count: int) -> list[str]:
    """One after the other, each when somebody has been asked for the one before."""

    def arrived() -> int:
        return len(gateway.model.received) + len(gateway.original.received)

    with ThreadPoolExecutor(count) as pool:
        asked = []
        for _ in range(count):
            before = arrived()
            asked.append(pool.submit(ask, gateway))
            until(lambda before=before: arrived() > before, "the question to arrive")  # type: ignore[misc]
        return [answer.result() for answer in asked]


def test_no_more_questions_than_the_server_takes(gateway: Served) -> None:
    """What would cut off the one under way goes to the baseline, and counts as no failure of the model."""
    gateway.change("should_respond", own_server=True, deployment_key=None, parallel=1)
    gateway.model.handler = llama_python(3)
    assert at_once(gateway, 3) == ["slot", "original", "original"]
    assert len(gateway.model.received) == 1
    assert reasons(gateway, "original") == {"its server has as many questions as it takes": 2}
    assert ask(gateway) == "slot"


def test_that_a_server_takes_one_question_at_a_time_is_learned(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = llama_python(3)
    assert at_once(gateway, 2) == ["original", "slot"], "the first was cut off by the second"
    assert at_once(gateway, 2) == ["slot", "original"]
    assert len(gateway.model.received) == 3


def test_a_server_that_takes_many_is_asked_many(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = ModelServer(seconds=1)
    assert at_once(gateway, 4) == ["slot"] * 4


def test_a_prompt_longer_than_the_context_goes_to_the_baseline(gateway: Served) -> None:
    """llama.cpp's Python server answers a stream with 200, no body, and a dropped connection."""

    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = ModelServer(context_tokens=20)
    assert ask(gateway) == "original"
    assert reasons(gateway) == {"unreachable: CutOff": 1}


@pytest.mark.parametrize("change", [{"model": "acme/other"}, {"url": "again"}, {"deadline_seconds": 9.0}])
def test_an_open_circuit_closes_when_something_else_is_in_the_slot(gateway: Served, change: Json) -> None:
    async def breaks(request: Received, answering: Answering) -> None:
        await answering.whole(500, {"detail": "Internal Server Error"})

    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = breaks
    assert [ask(gateway) for _ in range(6)] == ["original"] * 6
    assert len(gateway.model.received) == 5
    gateway.model.handler = ModelServer()
    assert ask(gateway) == "original", "nothing has changed yet"
    again = {"url": f"{gateway.model.url.replace('127.0.0.1', 'localhost')}/v1"}
    gateway.change("should_respond", **(again if "url" in change else change))
    assert ask(gateway) == "slot"
    gateway.change("should_respond", share_percent=50)
    assert ask(gateway) == "slot"


def test_nothing_is_sent_that_small_servers_break_at(gateway: Served) -> None:
    """llama.cpp's Python server answers 500 to the role developer and to a temperature of null, and ignores
    max_completion_tokens."""
    gateway.model.handler = ModelServer()
    gateway.change("should_respond", own_server=True, deployment_key=None, max_tokens=100)
    body = request("chat", PROMPTS["should_respond"])
    del body["max_tokens"]
    body |= {"temperature": None, "max_completion_tokens": 4096}
    body["messages"] = [{"role": "developer", "content": "Be kind."}, *body["messages"]]
    assert gateway.client.post(PATHS["chat"], json=body).headers["x-reasoning-source"] == "slot"
    (asked,) = gateway.model.received
    assert [message["role"] for message in asked.json["messages"]] == ["system", "user"]
    assert {name: asked.json.get(name) for name in ("max_tokens", "temperature", "stream")} == {
        "max_tokens": 100,
        "temperature": 0,
        "stream": True,
    }
    assert "max_completion_tokens" not in asked.json


@pytest.mark.parametrize("temperature", [0.7, 1])
def test_the_gateway_asks_at_the_temperature_of_the_evaluation(gateway: Served, temperature: float) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    body = request("chat", PROMPTS["should_respond"]) | {"temperature": temperature}
    assert gateway.client.post(PATHS["chat"], json=body).headers["x-reasoning-source"] == "slot"
    assert gateway.model.received[0].json["temperature"] == 0


def test_a_stream_without_counted_tokens_is_recorded_without_them(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = llama_python(0)
    assert ask(gateway) == "slot"
    (sample,) = gateway.samples(1)
    assert (sample.source, sample.prompt_tokens, sample.completion_tokens) == ("slot", None, None)


def test_a_stream_that_ends_without_a_finish_is_no_answer(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = ModelServer(ends=False)
    assert ask(gateway) == "original"
    assert reasons(gateway) == {"invalid: cut (no end)": 1}


def test_tokens_of_a_stream_are_asked_for_and_recorded(gateway: Served) -> None:
    """vLLM counts a stream's tokens only for who asks."""
    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = ModelServer()
    assert ask(gateway) == "slot"
    (sample,) = gateway.samples(1)
    assert (sample.prompt_tokens, sample.completion_tokens) == (100, 20)


@pytest.mark.parametrize("limit", TokenLimit)
def test_the_limit_of_an_answer_goes_by_the_name_that_the_server_knows(gateway: Served, limit: TokenLimit) -> None:
    """llama.cpp's Python server ignores the one, OpenAI's newer models refuse the other."""
    gateway.change("should_respond", own_server=True, deployment_key=None, max_tokens_name=limit)
    gateway.model.handler = ModelServer(limit=limit, refuses_limit=True)
    assert ask(gateway) == "slot"
    other = next(name for name in TokenLimit if name is not limit)
    asked = gateway.model.received[0].json
    assert (limit.value in asked, other.value in asked) == (True, False)


@pytest.mark.parametrize(
    ("asked", "said", "source"),
    [
        ("local/smol", "local/other", "original"),
        ("smol", "smol-v2", "original"),
        ("local/smol", "smol.gguf", "slot"),
        ("smol", "smol:latest", "slot"),
        ("gpt-4o", "gpt-4o-2024-08-06", "slot"),
        ("gpt-4o", "gpt-4o-mini", "original"),
        ("models/smol.gguf", "models/smol.gguf", "slot"),
    ],
)
def test_an_answer_of_another_model_is_not_taken(gateway: Served, asked: str, said: str, source: str) -> None:
    """What was evaluated is the model of that name, and a server loads what it likes."""
    gateway.change("should_respond", own_server=True, deployment_key=None, model=asked)
    gateway.model.handler = ModelServer(says_model=said)
    assert ask(gateway) == source
    if source == "original":
        assert reasons(gateway) == {"answered as another model": 1}


def test_a_server_that_dies_in_the_midst_of_an_answer_leaves_it_to_the_baseline(gateway: Served) -> None:
    gateway.change("should_respond", own_server=True, deployment_key=None)
    gateway.model.handler = ModelServer(dies_after=2)
    assert ask(gateway) == "original"
    assert reasons(gateway) == {"unreachable: CutOff": 1}
    gateway.model.handler = ModelServer()
    assert ask(gateway) == "slot", "one of those does not open its circuit"
