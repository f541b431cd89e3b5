"""Calls of tools by the stand-in's models: what is spoken of is looked up once, then answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from together import Together

from reasoning_cli.decisions.compact import compact
from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.sandbox.server import SandboxServer
from tests.sandbox.conftest import CODING, PLANNING, SHOULD_RESPOND, Api


def tool(name: str, *required: str, **properties: object) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


READ = tool("Read", "file_path", file_path={"type": "string"}, limit={"type": "integer"})
WEATHER = tool("get_weather", "city", "unit", city={"type": "string"}, unit={"type": "string", "enum": ["C", "F"]})


def message(api: Api, text: str, **members: object) -> tuple[dict[str, Any], str]:
    """(the message, why it ended)."""
    choice = api.ok(
        "POST",
        "/v1/chat/completions",
        {"model": "sandbox/decisions", "messages": [{"role": "user", "content": text}], **members},
    )["choices"][0]
    return choice["message"], choice["finish_reason"]


def called(found: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        (one["function"]["name"], json.loads(one["function"]["arguments"])) for one in found.get("tool_calls") or []
    ]


def test_a_file_that_is_spoken_of_is_read(api: Api) -> None:
    api.serving(CODING)
    found, why = message(api, "Explain /src/app.py to me", tools=[WEATHER, READ])
    assert (called(found), found["content"], why) == ([("Read", {"file_path": "/src/app.py"})], None, "tool_calls")
    found, _ = message(api, "Compare a.py with b.py", tools=[READ])
    assert called(found) == [("Read", {"file_path": "a.py"}), ("Read", {"file_path": "b.py"})]
    found, _ = message(api, "Compare a.py with b.py", tools=[READ], parallel_tool_calls=False)
    assert called(found) == [("Read", {"file_path": "a.py"})]
    found, _ = message(api, "How is the weather in Lisbon?", tools=[READ, WEATHER])
    assert called(found) == [("get_weather", {"city": "Lisbon", "unit": "C"})]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", []),
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "Read"}}, ["Read"]),
    ],
)
def test_the_choice_among_tools_is_kept_to(api: Api, choice: object, expected: list[str]) -> None:
    api.serving(CODING)
    found, _ = message(api, "Write a function", tools=[WEATHER, READ], tool_choice=choice)
    assert [name for name, _ in called(found)] == expected
    assert bool(found["content"]) is (expected == [])


def test_what_a_tool_said_is_answered_in_words(api: Api) -> None:
    api.serving(CODING)
    call = {"id": "call_1", "type": "function", "function": {"name": "Read", "arguments": '{"file_path": "a.py"}'}}
    conversation = [
        {"role": "user", "content": "Read a.py"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "print(42)"},
    ]
    body = {"model": "sandbox/decisions", "messages": conversation, "tools": [READ]}
    answer = api.ok("POST", "/v1/chat/completions", body)
    assert "print(42)" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["prompt_tokens"] > 40, "tools and results are billed"


def test_tools_that_are_none_are_refused(api: Api) -> None:
    api.serving(CODING)
    for tools in ("Read", [{"type": "function"}], [{"type": "web_search"}]):
        body = {"model": "sandbox/decisions", "messages": [{"role": "user", "content": "hi"}], "tools": tools}
        assert api.error("POST", "/v1/chat/completions", body)[0] == 400


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_vendors_client_reads_the_calls(api: Api, server: SandboxServer, stream: bool) -> None:
    api.serving(CODING)
    with Together(api_key="sandbox-key", base_url=server.url) as client:
        answer: Any = client.chat.completions.create(
            model="sandbox/decisions",
            messages=[{"role": "user", "content": "Read a.py and b.py"}],
            tools=[READ],
            stream=stream,
        )
        if stream:
            chunks = list(answer)
            calls = [one for chunk in chunks if chunk.choices for one in chunk.choices[0].delta.tool_calls or []]
            assert chunks[-1].choices[0].finish_reason == "tool_calls"
        else:
            calls = answer.choices[0].message.tool_calls
    assert [json.loads(one.function.arguments)["file_path"] for one in calls] == ["a.py", "b.py"]


@pytest.mark.parametrize(("model", "model_type"), [(SHOULD_RESPOND, "should_respond"), (PLANNING, "planning")])
def test_the_compact_form_is_answered_as_the_exact_one(api: Api, model: str, model_type: str) -> None:
    api.serving(model)
    exact, short = EXAMPLES[model_type], compact(model_type, EXAMPLES[model_type])
    assert short is not None
    assert api.chat(short).json()["choices"][0]["message"] == api.chat(exact).json()["choices"][0]["message"]
