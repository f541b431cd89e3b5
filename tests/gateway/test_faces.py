"""The three dialects and the tongue they share: what goes in comes out, in every dialect, whole and as a stream."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.gateway.dialects import chat, messages, responses
from reasoning_cli.gateway.dialects.events import read_events
from reasoning_cli.gateway.dialects.forms import CapturedResponse, Dialect, Json, Reply, ToolCall, Untranslatable
from reasoning_cli.gateway.dialects.tool_calls import flaw_of_calls
from tests.gateway import canned
from tests.gateway.official import CODE, anthropic_tools, chat_tools, responses_tools
from tests.gateway.prompts import PATHS, request
from tests.gateway.serving import Served

FACES = {"responses": responses.DIALECT, "chat": chat.DIALECT, "messages": messages.DIALECT}
TOOLS = {"responses": responses_tools, "chat": chat_tools, "messages": anthropic_tools}
every_face = pytest.mark.parametrize("face", FACES.values(), ids=FACES)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda inner: st.lists(inner, max_size=3)
)
calls = st.builds(
    ToolCall,
    id=st.text("abcdef0123456789_", min_size=1, max_size=40),
    name=st.text("abcXYZ_-", min_size=1, max_size=20),
    arguments=st.dictionaries(st.text(max_size=8), values, max_size=3).map(lambda one: orjson.dumps(one).decode()),
)
replies = st.builds(
    Reply,
    text=st.text(),
    model=st.just("gpt-4o"),
    prompt_tokens=st.integers(0, 10**9),
    completion_tokens=st.integers(0, 10**9),
    tool_calls=st.lists(calls, max_size=4, unique_by=lambda one: one.id).map(tuple),
)


def said(heard: CapturedResponse) -> tuple[object, ...]:
    called = [(one.id, one.name, json.loads(one.arguments)) for one in heard.tool_calls]
    return heard.text, called, heard.prompt_tokens, heard.completion_tokens, heard.whole


@every_face
@given(reply=replies)
def test_an_answer_reads_back_as_it_was_written(face: Dialect, reply: Reply) -> None:
    reply = Reply(
        reply.text,
        reply.model,
        reply.prompt_tokens,
        reply.completion_tokens,
        "tool_calls" if reply.tool_calls else "stop",
        reply.tool_calls,
    )
    called = [(one.id, one.name, json.loads(one.arguments)) for one in reply.tool_calls]
    wanted = (reply.text, called, reply.prompt_tokens, reply.completion_tokens, True)
    assert said(face.capture(orjson.loads(orjson.dumps(face.write(reply, {}))))) == wanted
    stream = b"".join(face.events(reply, {"stream_options": {"include_usage": True}}))
    assert said(face.capture_events(read_events(stream))) == wanted


CONVERSATIONS: dict[str, Json] = {
    "chat": {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Read a.py and b.py"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "Read", "arguments": '{"file_path":"a.py"}'}},
                    {"id": "2", "type": "function", "function": {"name": "get_status", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "x = 1"},
            {"role": "tool", "tool_call_id": "2", "content": ""},
        ],
        "tool_choice": {"type": "function", "function": {"name": "Read"}},
        "parallel_tool_calls": False,
        "stop": ["END"],
    },
    "responses": {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Read a.py and b.py"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "1", "name": "Read", "arguments": '{"file_path":"a.py"}'},
            {"type": "function_call", "call_id": "2", "name": "get_status", "arguments": ""},
            {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "x = 1"}]},
            {"type": "function_call_output", "call_id": "2", "output": ""},
        ],
        "tool_choice": {"type": "function", "name": "Read"},
        "parallel_tool_calls": False,
    },
    "messages": {
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "Read a.py and b.py"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                    {"type": "tool_use", "id": "1", "name": "Read", "input": {"file_path": "a.py"}},
                    {"type": "tool_use", "id": "2", "name": "get_status", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "x = 1"}]},
                    {"type": "tool_result", "tool_use_id": "2"},
                ],
            },
        ],
        "tool_choice": {"type": "tool", "name": "Read", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "thinking": {"type": "adaptive"},
        "metadata": {"user_id": "device-1"},
        "context_management": {"edits": []},
        "output_config": {"effort": "medium"},
        "service_tier": "auto",
    },
}


@pytest.mark.parametrize("name", FACES)
def test_a_conversation_with_tools_is_the_same_one_in_every_dialect(name: str) -> None:
    body = {"model": "m", "max_tokens": 10, "temperature": 0, **CONVERSATIONS[name], "tools": TOOLS[name]()}
    found = FACES[name].to_chat(body)
    wanted = FACES["chat"].to_chat({"model": "m", "temperature": 0, **CONVERSATIONS["chat"], "tools": chat_tools()})
    wanted["messages"][0]["role"] = "system"
    if name == "responses":
        del wanted["stop"]  # that dialect has none
    for one in found["tools"] + wanted["tools"]:
        one.get("function", one).pop("strict", None)
    # What only one vendor knows (thinking, caching, metadata) is not sent on; a temperature of 0 is.
    assert found == wanted
    assert found["temperature"] == 0


UNTRANSLATABLE: dict[str, list[Json]] = {
    "chat": [
        {"n": 2},
        {"logprobs": True},
        {"functions": [{"name": "f"}]},
        {"response_format": {"type": "json_object"}},
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "function", "name": "f", "content": "1"}]},
        {"tools": [{"type": "custom", "custom": "grep"}]},
        {"tools": [{"type": "web_search"}]},
        {"tools": chat_tools(), "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
    ],
    "responses": [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"store": True},
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": {}}}},
        {"tools": [{"type": "web_search"}]},
        {"tools": responses_tools(), "tool_choice": {"type": "web_search"}},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
        {"input": [{"role": "user", "content": "x"}, {"type": "custom_tool_call", "name": "x", "input": "y"}]},
        {"input": [{"role": "user", "content": "x"}, {"type": "item_reference", "id": "msg_1"}]},
    ],
    "messages": [
        {"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]},
        {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
        {"tools": [{"type": "bash_20250124", "name": "bash"}]},
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]},
        {
            "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": [{"type": "server_tool_use", "id": "1", "name": "web_search"}]},
                {"role": "user", "content": "y"},
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image"}]}],
                }
            ]
        },
    ],
}


@pytest.mark.parametrize(("name", "more"), [(name, one) for name, many in UNTRANSLATABLE.items() for one in many])
def test_what_our_models_cannot_be_asked_is_told_in_few_words(name: str, more: Json) -> None:
    with pytest.raises(Untranslatable) as why:
        FACES[name].to_chat({**request(name, CODE), **more})
    assert 5 < len(str(why.value)) < 60


@pytest.mark.parametrize(
    ("called", "more", "flaw"),
    [
        (("Write", "{}"), {}, "invalid: a tool that was not offered"),
        (("Read", '{"file_path": '), {}, "invalid: arguments of a tool that are no object"),
        (("Read", "[]"), {}, "invalid: arguments of a tool that are no object"),
        (("Read", '{"path": "a.py"}'), {}, "invalid: arguments of a tool that lack what it requires"),
        (("get_status", "{}"), {"tool_choice": "none"}, "invalid: a call of a tool where none was asked for"),
        (None, {"tool_choice": "required"}, "invalid: no call of a tool where one was asked for"),
        (
            ("get_status", "{}"),
            {"tool_choice": {"type": "function", "function": {"name": "Read"}}},
            "invalid: not the tool that was asked for",
        ),
        (("Read", '{"file_path": "a.py"}'), {"tool_choice": "required"}, None),
        (("get_status", "{}"), {}, None),
    ],
)
def test_a_call_that_cannot_be_carried_out_goes_to_the_original(
    gateway: Served, called: tuple[str, str] | None, more: Json, flaw: str | None
) -> None:
    gateway.change("coding", tools=True)
    message: dict[str, Any] = {"role": "assistant", "content": CODE if called is None else None}
    if called is not None:
        function = {"name": called[0], "arguments": called[1]}
        message["tool_calls"] = [{"id": "functions.Read:0", "type": "function", "function": function}]
    answer = canned.chat_answer("")
    answer["choices"][0] |= {"message": message, "finish_reason": "tool_calls"}
    gateway.model.handler = canned.saying("", **answer)
    body = request("chat", CODE, tools=chat_tools(), **more)
    found = gateway.client.post(PATHS["chat"], json=body)
    (sample,) = gateway.samples(1)
    if flaw is not None:
        assert found.json()["choices"][0]["message"]["content"] == canned.ORIGINAL_SAYS["coding"]
        assert (sample.source, sample.metadata["fallback"]) == ("fallback", flaw)
        return
    assert called is not None
    (one,) = found.json()["choices"][0]["message"]["tool_calls"]
    assert (sample.source, sample.decision) == ("slot", called[0])
    assert (one["function"]["name"], one["function"]["arguments"]) == called
    # An id of the model's own making is one that other providers refuse, and may come twice.
    assert one["id"].startswith("call_")
    assert one["id"].replace("_", "").isalnum()


def test_several_calls_where_one_was_asked_for_are_refused() -> None:
    twice = [ToolCall("1", "get_status", "{}"), ToolCall("2", "get_status", "{}")]
    assert flaw_of_calls({"tools": chat_tools()}, twice) is None
    wanted = {"tools": chat_tools(), "parallel_tool_calls": False}
    assert flaw_of_calls(wanted, twice) == "invalid: several calls of tools where one was asked for"
