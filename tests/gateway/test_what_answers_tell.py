"""What an answer tells beside its text: what ended it, what was cached, what a broken one cost, who may go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.gateway.dialects import messages
from reasoning_cli.gateway.dialects.events import read_events
from reasoning_cli.gateway.dialects.forms import Untranslatable
from reasoning_cli.values import Mode
from tests.gateway import canned
from tests.gateway.official import CODE, anthropic_tools
from tests.gateway.prompts import PATHS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served, served
from tests.gateway.test_how_answers_end import saying
from tests.waiting import until

Json = dict[str, Any]
every_face = pytest.mark.parametrize("face", PATHS)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("by", "told"), [("END", "END"), ("other", None), (None, None)])
def test_the_sequence_that_ended_an_answer_is_told(
    gateway: Served, stream: bool, by: str | None, told: str | None
) -> None:
    made = canned.chat_answer(canned.MODEL_SAYS["coding"], "acme/model")
    made["choices"][0]["stop_reason"] = by
    gateway.model.handler = saying(made)
    body = request("messages", CODE, stream=stream, stop_sequences=["END"])
    answer = gateway.client.post("/v1/messages", json=body)
    assert answer.headers["x-reasoning-source"] == "slot"
    if stream:
        events = [json.loads(data) for _, data in read_events(answer.content)]
        found = next(one["delta"] for one in events if one["type"] == "message_delta")
    else:
        found = answer.json()
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence" if told else "end_turn", told)


@pytest.mark.parametrize("by", ["END", None])
def test_one_stop_sequence_may_be_a_text(gateway: Served, by: str | None) -> None:
    made = canned.chat_answer(canned.MODEL_SAYS["coding"], "acme/model")
    made["choices"][0]["stop_reason"] = by
    gateway.model.handler = saying(made)
    answer = gateway.client.post("/v1/chat/completions", json=request("chat", CODE, stop="END"))
    assert answer.headers.get("x-reasoning-source") == "slot"
    assert answer.json()["choices"][0]["finish_reason"] == "stop"


def cached(face: str, stream: bool) -> Json | list[bytes]:
    """An answer for which the provider had kept 30 tokens of the prompt."""
    text = canned.ORIGINAL_SAYS["coding"]
    if face == "chat":
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 30}}
        if not stream:
            return {**canned.chat_answer(text), "usage": usage}
        *rest, done = canned.chat_events(text)
        return [*rest, canned.sse({"choices": [], "usage": usage}), done]
    if face == "responses":
        answer = canned.responses_answer(text)
        answer["usage"]["input_tokens_details"]["cached_tokens"] = 30
        kind = "response.completed"
        return (
            [*canned.responses_events(text)[:-1], canned.sse({"type": kind, "response": answer}, kind)]
            if stream
            else answer
        )
    answer = canned.messages_answer(text)
    answer["usage"] = {"input_tokens": 70, "cache_read_input_tokens": 30, "output_tokens": 20}
    begun = canned.sse({"type": "message_start", "message": {**answer, "content": []}}, "message_start")
    return [begun, *canned.messages_events(text)[1:]] if stream else answer


@every_face
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_cached_tokens_are_kept_apart(tmp_path: Path, face: str, stream: bool) -> None:
    with served(tmp_path, slots=False) as gateway:
        gateway.original.handler = saying(cached(face, stream))
        gateway.client.post(PATHS[face], json=request(face, CODE, stream=stream))
        [sample] = gateway.samples(1)
        assert (sample.prompt_tokens, sample.cached_tokens, sample.completion_tokens) == (100, 30, 20)


def test_what_our_own_server_had_cached_is_kept_apart_too(gateway: Served) -> None:
    made = canned.chat_answer(canned.MODEL_SAYS["coding"], "acme/model")
    made["usage"]["prompt_tokens_details"] = {"cached_tokens": 64}
    gateway.model.handler = saying(made)
    gateway.client.post("/v1/messages", json=request("messages", CODE))
    [sample] = gateway.samples(1)
    assert (sample.source, sample.prompt_tokens, sample.cached_tokens) == ("slot", 100, 64)


async def breaks_off(request: Received, answering: Answering) -> None:
    """An original that says what goes in, and leaves in the middle of a word."""
    await answering.head(200, {"content-type": "text/event-stream"})
    for one in canned.messages_events(canned.ORIGINAL_SAYS["coding"])[:3]:
        await answering.chunk(one)
    answering.cut()


async def never_ends(request: Received, answering: Answering) -> None:
    await answering.head(200, {"content-type": "text/event-stream"})
    for one in canned.messages_events(canned.ORIGINAL_SAYS["coding"])[:3]:
        await answering.chunk(one)
    await answering.until_caller_leaves()


@pytest.mark.parametrize("who", ["original", "caller"])
def test_what_a_broken_stream_used_is_kept(tmp_path: Path, who: str) -> None:
    with served(tmp_path, slots=False) as gateway:
        gateway.original.handler = breaks_off if who == "original" else never_ends
        body = request("messages", CODE, stream=True)
        try:
            with gateway.client.stream("POST", "/v1/messages", json=body) as answer:
                for piece in answer.iter_bytes():
                    if who == "caller" and b"content_block_delta" in piece:
                        break
        except Exception:
            assert who == "original"
        [sample] = gateway.samples(1)
        why = "broken off at the original" if who == "original" else "the caller left"
        assert (sample.cut, sample.decision, sample.prompt_tokens) == (why, None, 100)
        until(lambda: gateway.gateway.figures.in_flight == 0, "the end of all calls")


THOUGHT = {"type": "thinking", "thinking": "Which file?", "signature": "c2lnbmVk"}
READ = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "app.py"}}


def in_the_middle(**more: object) -> Json:
    """A conversation whose first turn the original answered, thinking, with the call of a tool."""
    asked = request("messages", CODE, tools=anthropic_tools(), **more)
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x = 1"}
    asked["messages"] += [{"role": "assistant", "content": [THOUGHT, READ]}, {"role": "user", "content": [result]}]
    return asked


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.SHADOW])
def test_who_thinks_by_a_budget_gets_no_turn_of_ours(gateway: Served, mode: Mode) -> None:
    gateway.change("coding", tools=True, mode=mode)
    asked = in_the_middle(thinking={"type": "enabled", "budget_tokens": 2000})
    answer = gateway.client.post("/v1/messages", json=asked)
    assert "x-reasoning-source" not in answer.headers
    assert gateway.original.received[0].json == asked
    if mode is Mode.LIVE:
        reasons = gateway.gateway.figures.reasons
        assert reasons["coding", "original", "thinks, and only its vendor could go on"] == 1
    [sample] = gateway.samples(1)
    assert sample.source == "original"
    assert gateway.model.received == []


def test_with_adaptive_thinking_turns_of_both_follow_each_other(gateway: Served) -> None:
    gateway.change("coding", tools=True)
    asked = in_the_middle(thinking={"type": "adaptive"})
    said = f"<think>Mine.</think>{canned.MODEL_SAYS['coding']}"
    gateway.model.handler = saying(canned.chat_answer(said, "acme/model"))
    answer = gateway.client.post("/v1/messages", json=asked)
    assert answer.headers["x-reasoning-source"] == "slot"
    assert "Which file?" not in json.dumps(gateway.model.received[0].json)  # its vendor's, and signed
    assert [block["type"] for block in answer.json()["content"]] == ["text"]
    assert "Mine." not in answer.text
    gateway.change("coding", closed="no model is deployed")
    turn = [{"role": "assistant", "content": answer.json()["content"]}, {"role": "user", "content": "And in Rust?"}]
    asked["messages"] += turn
    assert gateway.client.post("/v1/messages", json=asked).status_code == 200
    assert gateway.original.received[0].json == asked


def test_a_conversation_that_thinks_by_a_budget_stays_where_it_began() -> None:
    asked = request("messages", CODE, tools=anthropic_tools())
    with pytest.raises(Untranslatable, match="only its vendor could go on"):
        messages.DIALECT.to_chat({**asked, "thinking": {"type": "enabled", "budget_tokens": 2000}})
    for thinking in ({"type": "adaptive"}, {"type": "disabled"}, None):
        assert messages.DIALECT.to_chat({**asked, "thinking": thinking})["tools"]
    assert messages.DIALECT.to_chat({**request("messages", CODE), "thinking": {"type": "enabled"}})
