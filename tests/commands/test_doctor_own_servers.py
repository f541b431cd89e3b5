"""`reasoning doctor` with slots at the operator's own server, as such servers answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.gateway.model_server import MODEL, ModelServer
from tests.gateway.provider import Answering, Provider, Received

Json = dict[str, Any]


@pytest.fixture
def own(home: Path, reasoning: Run) -> Iterator[Provider]:
    server = Provider(ModelServer(listed=[{"id": MODEL, "object": "model", "max_model_len": 32_768}]))
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
    asked = own.asked("/chat/completions")[1].json
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
            {"probability": None},
            "the server tells no probabilities",
            "reasoning config unset should_respond.confidence",
        ),
        (
            {"limit": None},
            "the server ignores max_tokens",
            "reasoning config set should_respond.deadline_ms MILLISECONDS",
        ),
        (
            {"limit": "max_completion_tokens"},
            "the server ignores max_tokens, and keeps to max_completion_tokens",
            "reasoning config set should_respond.max_tokens_name max_completion_tokens",
        ),
        (
            {"limit": "max_completion_tokens", "refuses_limit": True},
            "the server refuses max_tokens, and keeps to max_completion_tokens",
            "reasoning config set should_respond.max_tokens_name max_completion_tokens",
        ),
        (
            {"listed": [{"id": MODEL}], "context_tokens": 2048},
            "the context there is 2,048 tokens, and the slot sends up to 32,768",
            "reasoning config set should_respond.window_tokens 2048",
        ),
        (
            {"context_tokens": 2048},
            "the context there is 2,048 tokens, not 32,768 as it lists, and the slot sends up to 32,768",
            "reasoning config set should_respond.window_tokens 2048",
        ),
        (
            {"cuts": True, "seconds": 0.3},
            "the server answers one question at a time, and a second waits or cuts the first off",
            "reasoning config set should_respond.parallel 1",
        ),
        (
            {"says_model": "local/other"},
            f"asked for {MODEL}, the server answers as local/other; the original answers in its place",
            "reasoning config set should_respond.model local/other",
        ),
        (
            {"calls_tools": False},
            "the server ignores tools: it was to call one, and answered in text",
            "reasoning config set should_respond.tools false",
        ),
    ],
)
def test_what_a_slot_cannot_use_is_told(reasoning: Run, own: Provider, changes: Json, words: str, fix: str) -> None:
    if changes == {"seconds": 0.3}:
        reasoning("config", "set", "should_respond.deadline_ms", "100")
    if "calls_tools" in changes:
        reasoning("config", "set", "should_respond.tools", "true")
    reasoning("config", "set", "should_respond.confidence", "0.8")
    own.handler = ModelServer(**{"listed": [{"id": MODEL, "max_model_len": 32_768}], **changes})
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


def test_where_a_gateway_runs_no_second_question_is_asked_and_no_long_prompt(reasoning: Run, own: Provider) -> None:
    """It could cut off what an agent waits for."""
    own.handler = ModelServer(cuts=True, seconds=0.1, context_tokens=2048)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        reasoning("config", "set", "gateway.port", str(taken.getsockname()[1]))
        _, found = told(reasoning)
    assert finds(found, "one question at a time").startswith("nothing")
    assert finds(found, "the context there").startswith("nothing")
    assert len(own.asked("/chat/completions")) == 2, "its limit, and a decision"
