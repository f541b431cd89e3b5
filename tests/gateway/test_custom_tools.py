"""Tools that take free text: asked of our models as functions of one text, and called as what the caller offers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reasoning_cli.gateway.dialects import chat, responses
from reasoning_cli.gateway.dialects.events import read_events
from reasoning_cli.gateway.dialects.forms import Untranslatable
from tests.gateway import canned
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served

Json = dict[str, Any]
PATCH = '*** Begin Patch\n*** Add File: a.py\n+x = "1"\n*** End Patch\n'
CODEX = {"user-agent": "codex_exec/0.171.0 (Debian 12.0.0; x86_64) unknown (codex_exec; 0.171.0)"}
CUSTOM = {"type": "custom", "name": "apply_patch", "description": "Changes files.", "format": {"type": "grammar"}}
RUN = {"type": "function", "name": "exec_command", "parameters": {"type": "object", "properties": {}}}
WAIT = {"type": "function", "name": "wait", "parameters": {"type": "object", "properties": {}}}
TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def body(*, spaces: bool = False, **more: object) -> Json:
    made: Json = {
        "model": "m",
        "store": False,
        "input": [
            {"role": "user", "content": "Write a.py"},
            {"type": "custom_tool_call", "call_id": "1", "name": "apply_patch", "input": "*** Begin"},
            {"type": "custom_tool_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "Bad."}]},
            {"type": "configuration_update", "reasoning": {"effort": "low"}},
        ],
    }
    if spaces:
        given = [
            {"type": "namespace", "name": "functions", "tools": [CUSTOM, RUN]},
            {"type": "namespace", "name": "clock", "tools": [WAIT]},
        ]
        made["input"].insert(0, {"type": "additional_tools", "role": "developer", "tools": given})
    else:
        made["tools"] = [CUSTOM, RUN, WAIT]
    return {**made, **more}


async def model(request: Received, answering: Answering) -> None:
    calls = [("apply_patch", {"input": PATCH}), ("wait", {})]
    made = canned.chat_answer("", "acme/model", "tool_calls")
    made["choices"][0]["message"]["tool_calls"] = [
        {"id": str(number), "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for number, (name, given) in enumerate(calls)
    ]
    await answering.whole(200, made)


@pytest.mark.parametrize("spaces", [False, True], ids=["tools", "spaces"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_custom_tool_is_a_function_of_one_text_and_back(gateway: Served, spaces: bool, stream: bool) -> None:
    gateway.change("coding", tools=True)
    gateway.model.handler = model
    answer = gateway.client.post("/v1/responses", json=body(spaces=spaces, stream=stream), headers=CODEX)
    assert answer.headers.get("x-reasoning-source") == "slot"
    asked = gateway.model.received[0].json
    assert asked["tools"][0]["function"] == {
        "name": "apply_patch",
        "description": "Changes files.",
        "parameters": TEXT,
    }
    assert [one["function"]["name"] for one in asked["tools"]] == ["apply_patch", "exec_command", "wait"]
    assert asked["messages"][1]["tool_calls"][0]["function"] == {
        "name": "apply_patch",
        "arguments": '{"input":"*** Begin"}',
    }
    assert asked["messages"][2] == {"role": "tool", "tool_call_id": "1", "content": "Bad."}
    if stream:
        events = [json.loads(data) for _, data in read_events(answer.content)]
        output = events[-1]["response"]["output"]
        [told] = [one for one in events if one["type"] == "response.custom_tool_call_input.done"]
        assert told["input"] == PATCH
    else:
        output = answer.json()["output"]
    patch, wait = output
    assert (patch["type"], patch["name"], patch["input"]) == ("custom_tool_call", "apply_patch", PATCH)
    assert "namespace" not in patch
    assert (wait["type"], wait["name"], wait.get("namespace")) == ("function_call", "wait", "clock" if spaces else None)
    [sample] = gateway.samples(1)
    assert (sample.source, sample.decision) == ("slot", "apply_patch,wait")


@pytest.mark.parametrize("kind", ["web_search", "tool_search", "image_generation", "mcp", "local_shell"])
def test_what_only_a_vendor_runs_stays_there(kind: str) -> None:
    with pytest.raises(Untranslatable, match="a tool only its vendor knows"):
        responses.DIALECT.to_chat(body(tools=[CUSTOM, {"type": kind}]))


def test_two_tools_of_one_name_cannot_be_told_apart() -> None:
    twice = [{"type": "namespace", "name": name, "tools": [WAIT]} for name in ("clock", "agents")]
    with pytest.raises(Untranslatable, match="two tools of one name"):
        responses.DIALECT.to_chat(body(tools=twice))


CHAT_CUSTOM = {"type": "custom", "custom": {"name": "apply_patch", "description": "Changes files."}}
CHAT_WAIT = {"type": "function", "function": {"name": "wait", "parameters": {"type": "object", "properties": {}}}}


def chat_body(**more: object) -> Json:
    call = {"id": "1", "type": "custom", "custom": {"name": "apply_patch", "input": "*** Begin"}}
    made = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Write a.py"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "Bad."},
        ],
        "tools": [CHAT_CUSTOM, CHAT_WAIT],
    }
    return {**made, **more}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_custom_tool_of_the_chat_dialect_is_one_too(gateway: Served, stream: bool) -> None:
    gateway.change("coding", tools=True)
    gateway.model.handler = model
    chosen = {"type": "custom", "custom": {"name": "apply_patch"}}
    answer = gateway.client.post("/v1/chat/completions", json=chat_body(stream=stream), headers=CODEX)
    assert answer.headers.get("x-reasoning-source") == "slot"
    asked = gateway.model.received[0].json
    assert asked["tools"][0]["function"] == {
        "name": "apply_patch",
        "description": "Changes files.",
        "parameters": TEXT,
    }
    assert asked["messages"][1]["tool_calls"] == [
        {"id": "1", "type": "function", "function": {"name": "apply_patch", "arguments": '{"input":"*** Begin"}'}}
    ]
    assert chat.DIALECT.to_chat(chat_body(tool_choice=chosen))["tool_choice"] == {
        "type": "function",
        "function": {"name": "apply_patch"},
    }
    if stream:
        heard = chat.DIALECT.capture_events(read_events(answer.content))
        calls = [(call.name, call.arguments) for call in heard.tool_calls]
        assert calls == [("apply_patch", json.dumps({"input": PATCH}, separators=(",", ":"))), ("wait", "{}")]
        deltas = [json.loads(data) for _, data in read_events(answer.content) if data != "[DONE]"]
        pieces = [call for one in deltas for call in one["choices"][0]["delta"].get("tool_calls", [])]
        assert [one["custom"]["input"] for one in pieces if "custom" in one] == ["", PATCH]
    else:
        patch, wait = answer.json()["choices"][0]["message"]["tool_calls"]
        assert (patch["type"], patch["custom"]) == ("custom", {"name": "apply_patch", "input": PATCH})
        assert (wait["type"], wait["function"]) == ("function", {"name": "wait", "arguments": "{}"})
    [sample] = gateway.samples(1)
    assert (sample.source, sample.decision) == ("slot", "apply_patch,wait")


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_custom_tool_called_with_no_text_is_not_called(gateway: Served, path: str) -> None:
    async def numbers(request: Received, answering: Answering) -> None:
        made = canned.chat_answer("", "acme/model", "tool_calls")
        function = {"name": "apply_patch", "arguments": '{"input": 7}'}
        made["choices"][0]["message"]["tool_calls"] = [{"id": "1", "type": "function", "function": function}]
        await answering.whole(200, made)

    gateway.change("coding", tools=True)
    gateway.model.handler = numbers
    asked = body() if path == "/v1/responses" else chat_body()
    answer = gateway.client.post(path, json=asked, headers=CODEX)
    assert "x-reasoning-source" not in answer.headers
    [sample] = gateway.samples(1)
    assert sample.source == "fallback"
