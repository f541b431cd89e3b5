"""`reasoning doctor` with slots at the operator's own server, as such servers answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.gateway.canned import MODEL_SAYS, chat_answer, chat_events, kind_of, last_text
from tests.gateway.provider import Answering, Provider, Received

MODEL = "local/smol"
Json = dict[str, Any]


@dataclass
class Serves:
    """A server that is all right, but for what a test changes."""

    listed: list[Json] = field(default_factory=lambda: [{"id": MODEL, "object": "model", "max_model_len": 32_768}])
    says: Callable[[str], str] = lambda kind: MODEL_SAYS[kind]
    seconds: float = 0
    probabilities: bool = True
    ignores_max_tokens: bool = False

    async def __call__(self, request: Received, answering: Answering) -> None:
        if request.method == "GET":
            await answering.whole(200, {"object": "list", "data": self.listed})
            return
        body = request.json
        if body.get("stream"):
            # An endless answer, as of a small model that nothing stops.
            events = chat_events("one two three " * 200)
            await answering.head(200, {"content-type": "text/event-stream"})
            for event in events if self.ignores_max_tokens else [*events[:2], *events[-2:]]:
                await answering.chunk(event)
            await answering.chunk(b"")
            return
        await asyncio.sleep(self.seconds)
        answer = chat_answer(self.says(kind_of(last_text(body))))
        if self.probabilities and body.get("logprobs") is True and body.get("top_logprobs"):
            answer["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": -0.1}]}
        await answering.whole(200, answer)


@pytest.fixture
def own(home: Path, reasoning: Run) -> Iterator[Provider]:
    server = Provider(Serves())
    home.mkdir(mode=0o700)
    for name, value in (("provider_url", f"{server.url}/v1"), ("model", MODEL)):
        reasoning("config", "set", f"should_respond.{name}", value)
    yield server
    server.close()


def told(reasoning: Run) -> tuple[int, dict[str, str]]:
    """The exit code, and what is told of the slot with its status and fix."""
    done = reasoning("doctor", "--json")
    checks = [check for check in json.loads(done.stdout) if check["name"] in ("gateway", "account")]
    return done.exit_code, {check["detail"]: f"{check['status']} {check['fix'] or ''}".strip() for check in checks}


def finds(found: dict[str, str], words: str) -> str:
    return next((status for detail, status in found.items() if words in detail), f"nothing, but {list(found)}")


def test_a_server_that_is_all_right_needs_no_key_of_together(reasoning: Run, own: Provider) -> None:
    reasoning("config", "set", "should_respond.confidence", "0.8")
    code, found = told(reasoning)
    assert code == 0, found
    assert finds(found, f"should-respond is served at {own.url}/v1, which answers") == "ok"
    assert finds(found, f"should-respond: {MODEL} answered a built-in decision in ") == "ok"
    assert finds(found, "no Together key is set, and nothing here needs one") == "ok"
    assert not any(status.startswith("warn") for status in found.values()), found
    asked = own.asked("/chat/completions")[0].json
    assert (asked["temperature"], asked["max_tokens"]) == (0, 512)


@pytest.mark.parametrize(
    ("changes", "words", "fix"),
    [
        (
            {"listed": [{"id": "smol-2"}]},
            f"{MODEL} is not among the models listed there (smol-2)",
            "reasoning config set should_respond.model smol-2",
        ),
        (
            {"listed": [{"id": MODEL, "max_model_len": 2048}]},
            "the context there is 2,048 tokens, and the slot sends up to 32,768",
            "reasoning config set should_respond.window_tokens 2048",
        ),
        (
            {"listed": [{"id": MODEL, "meta": {"n_ctx_train": 8192}}]},
            "the context there is 8,192 tokens",
            "reasoning config set should_respond.window_tokens 8192",
        ),
        (
            {"says": lambda kind: "Sure! I would answer that."},
            "and not as an agent needs it: ",
            "reasoning models test should-respond",
        ),
        ({"seconds": 0.3}, "its deadline is 100 ms", "reasoning config set should_respond.deadline_ms 2000"),
        (
            {"probabilities": False},
            "the server tells no probabilities",
            "reasoning config unset should_respond.confidence",
        ),
        (
            {"ignores_max_tokens": True},
            "the server ignores max_tokens",
            "reasoning config set should_respond.deadline_ms MILLISECONDS",
        ),
    ],
)
def test_what_a_slot_cannot_use_is_told(reasoning: Run, own: Provider, changes: Json, words: str, fix: str) -> None:
    if "seconds" in changes:
        reasoning("config", "set", "should_respond.deadline_ms", "100")
    reasoning("config", "set", "should_respond.confidence", "0.8")
    own.handler = Serves(**changes)
    code, found = told(reasoning)
    assert (code, finds(found, words)) == (0, f"warn {fix}")


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_refusal_is_told_in_the_servers_words(reasoning: Run, own: Provider, status: int) -> None:
    async def refuses(request: Received, answering: Answering) -> None:
        if request.method == "GET":
            await answering.whole(200, {"data": [{"id": MODEL}]})
        else:
            await answering.whole(status, {"error": {"message": "max_tokens is not supported", "code": "x"}})

    own.handler = refuses
    assert finds(told(reasoning)[1], "max_tokens is not supported") == "warn reasoning models test should-respond"
