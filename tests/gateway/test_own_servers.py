"""Slots at servers of the operator's own, as real ones behave: llama.cpp's Python server, vLLM, Ollama."""

from __future__ import annotations

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
