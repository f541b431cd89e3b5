"""Streams that keep to no rule are put together as they were meant, or not taken for whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.gateway.dialects import chat, messages, responses
from reasoning_cli.gateway.dialects.events import last_event, read_events
from reasoning_cli.gateway.dialects.forms import CapturedResponse
from tests.gateway import canned

Json = dict[str, Any]


def stream(*chunks: Json) -> bytes:
    return b"".join(canned.sse(one) for one in chunks) + b"data: [DONE]\n\n"


def piece(*calls: Json, finish: str | None = None, index: int = 0, text: str | None = None) -> Json:
    delta: Json = {"tool_calls": list(calls)} if calls else {} if text is None else {"content": text}
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def call(name: str | None, arguments: str, **more: object) -> Json:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"type": "function", "function": function, **more}


END = piece(finish="tool_calls")
READ, EDIT = ("Read", '{"path":"x"}'), ("Edit", '{"path":"y"}')
CHAT: dict[str, tuple[list[Json], list[tuple[str, str]]]] = {
    "name in each piece": (
        [piece(call("Read", part, index=0, id="a")) for part in ("", '{"path":', '"x"}')],
        [READ],
    ),
    "name in pieces": (
        [piece(call(part, "", index=0)) for part in ("Re", "ad")] + [piece(call(None, READ[1]))],
        [READ],
    ),
    "two at index 0": ([piece(call(*READ, index=0, id="a")), piece(call(*EDIT, index=0, id="b"))], [READ, EDIT]),
    "two without index": ([piece(call(*READ, id="a")), piece(call(*EDIT, id="b"))], [READ, EDIT]),
    "two without index or id": ([piece(call(*READ)), piece(call(*EDIT))], [READ, EDIT]),
    "the same twice, without id": ([piece(call(*READ)), piece(call(*READ))], [READ, READ]),
    "two in one piece": ([piece(call(*READ, index=0, id="a"), call(*EDIT, index=1, id="b"))], [READ, EDIT]),
    "in pieces, at index 0": (
        [
            piece(call("Read", '{"path":', index=0, id="a")),
            piece(call(None, '"x"}', index=0)),
            piece(call("Edit", '{"path":', index=0, id="b")),
            piece(call(None, '"y"}', index=0)),
        ],
        [READ, EDIT],
    ),
}


def calls_of(heard: CapturedResponse) -> list[tuple[str, str]]:
    return [(one.name, one.arguments) for one in heard.tool_calls]


@pytest.mark.parametrize("case", CHAT)
def test_calls_of_tools_in_chat_streams(case: str) -> None:
    chunks, right = CHAT[case]
    if case == "name in pieces":
        chunks[-1]["choices"][0]["delta"]["tool_calls"][0]["index"] = 0
    heard = chat.DIALECT.capture_events(read_events(stream(*chunks, END)))
    assert calls_of(heard) == right
    assert heard.whole


def test_of_several_answers_the_first_is_followed() -> None:
    texts = [("first ", 0), ("second ", 1), ("answer", 0), ("reply", 1)]
    chunks = [piece(text=text, index=index) for text, index in texts]
    ends = [piece(finish="stop", index=1), piece(finish="length", index=0)]
    heard = chat.DIALECT.capture_events(read_events(stream(*chunks, *ends)))
    assert (heard.text, heard.whole, heard.end) == ("first answer", False, "length")
    both = {"choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]}
    assert chat.DIALECT.capture_events(read_events(stream(both, piece(finish="stop")))).text == "a"
    whole = canned.chat_answer("a")
    whole["choices"].insert(0, {**whole["choices"][0], "index": 1, "message": {"role": "assistant", "content": "b"}})
    assert chat.DIALECT.capture(whole).text == "a"


def test_the_recorded_cases(shared: Path) -> None:
    for line in (shared / "cases" / "chat-streams.jsonl").read_text().splitlines():
        case = json.loads(line)
        heard = chat.DIALECT.capture_events(read_events(stream(*case["chunks"])))
        right = case["right"]
        said = {"calls": [list(one) for one in calls_of(heard)], "text": heard.text, "whole": heard.whole}
        assert {name: said[name] for name in right} == right, case["case"]


def items(*found: Json, output: bool = False, names: bool = True, calls: bool = True) -> bytes:
    """A stream of the Responses dialect that tells its items when each is done; in its last event only by `output`."""
    answer = {**canned.responses_answer(""), "output": list(found) if output else []}
    events = [("response.created", {"response": {**answer, "status": "in_progress", "output": []}})]
    if calls:
        events += [("response.output_item.done", {"output_index": 0, "item": one}) for one in found]
    events.append(("response.completed", {"response": answer}))
    return b"".join(canned.sse({"type": kind, **more}, kind if names else None) for kind, more in events)


FUNCTION = {"type": "function_call", "call_id": "1", "name": "Read", "arguments": '{"path":"x"}'}
CUSTOM = {"type": "custom_tool_call", "call_id": "2", "name": "apply_patch", "input": "*** Begin\n"}
SAYS = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "So: "}]}


@pytest.mark.parametrize("output", [False, True], ids=["told when done", "told at the end"])
@pytest.mark.parametrize("names", [True, False], ids=["named", "unnamed"])
def test_calls_of_tools_in_responses_streams(output: bool, names: bool) -> None:
    content = items(SAYS, FUNCTION, CUSTOM, output=output, names=names, calls=not output)
    heard = responses.DIALECT.capture_events(read_events(content))
    assert calls_of(heard) == [READ, ("apply_patch", '{"input":"*** Begin\\n"}')]
    assert (heard.text, heard.whole, heard.prompt_tokens) == ("So: ", True, 100)
    last = last_event(content)
    assert last is not None
    assert responses.DIALECT.ends(*last)


def test_a_whole_response_tells_calls_of_custom_tools() -> None:
    heard = responses.DIALECT.capture({**canned.responses_answer(""), "output": [CUSTOM]})
    assert calls_of(heard) == [("apply_patch", '{"input":"*** Begin\\n"}')]


DIALECTS = {
    "chat": (chat.DIALECT, canned.chat_events),
    "responses": (responses.DIALECT, canned.responses_events),
    "messages": (messages.DIALECT, canned.messages_events),
}


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("named", [True, False])
def test_neither_names_nor_the_last_blank_line_are_needed(name: str, named: bool) -> None:
    dialect, events = DIALECTS[name]
    content = b"".join(events("Hi there"))
    if not named:
        content = b"".join(line for line in content.splitlines(keepends=True) if not line.startswith(b"event:"))
    for cut in (0, 1, 2):
        heard = dialect.capture_events(read_events(content[: len(content) - cut]))
        assert (heard.text, heard.whole) == ("Hi there", True)


def test_blocks_of_text_are_joined_with_nothing_whole_and_streamed_alike() -> None:
    blocks = [{"type": "text", "text": text} for text in ("One, ", "two", " three")]
    whole = messages.DIALECT.capture({**canned.messages_answer(""), "content": blocks})
    events = [canned.sse({"type": "message_start", "message": canned.messages_answer("")}, "message_start")]
    for index, block in enumerate(blocks):
        said = {"index": index, "content_block": {"type": "text", "text": ""}}
        events.append(canned.sse({"type": "content_block_start", **said}, "content_block_start"))
        more = {"index": index, "delta": {"type": "text_delta", "text": block["text"]}}
        events.append(canned.sse({"type": "content_block_delta", **more}, "content_block_delta"))
    events += canned.messages_events("")[-2:]
    streamed = messages.DIALECT.capture_events(read_events(b"".join(events)))
    assert whole.text == streamed.text == "One, two three"
    parts = [{"type": "output_text", "text": block["text"]} for block in blocks]
    answer = {**canned.responses_answer(""), "output": [{"type": "message", "content": parts}]}
    assert responses.DIALECT.capture(answer).text == "One, two three"
