"""Coding agents are known by what they send, and what they ask for beside their work is not a decision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.decisions.coding_agents import AGENTS
from reasoning_cli.decisions.recognise import recognise
from reasoning_cli.gateway.dialects import chat, messages, responses
from reasoning_cli.gateway.routing import route
from reasoning_cli.gateway.target import dialect_of
from tests.gateway import canned
from tests.gateway.official import CODE, anthropic_tools, chat_tools, responses_tools
from tests.gateway.prompts import PATHS, request
from tests.gateway.serving import Served

Json = dict[str, Any]
FACES = {"responses": responses.DIALECT, "chat": chat.DIALECT, "messages": messages.DIALECT}
TOOLS = {"responses": responses_tools, "chat": chat_tools, "messages": anthropic_tools}
OPENCODE = {"user-agent": "opencode/1.18.33 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14"}
CODEX = {"user-agent": "codex_exec/0.171.0 (Debian 12.0.0; x86_64) unknown (codex_exec; 0.171.0)"}
CLAUDE = {"user-agent": "claude-cli/2.1.332 (external, sdk-cli)"}
TITLE = "You are a title generator. You output only a title.\n\nFollow the rules below."
every_face = pytest.mark.parametrize("face", PATHS)


def with_system(face: str, system: str, prompt: str, **more: object) -> Json:
    body = request(face, prompt, **more)
    if face == "messages":
        return {**body, "system": [{"type": "text", "text": system}]}
    name = "input" if face == "responses" else "messages"
    return {**body, name: [{"role": "system", "content": system}, *body[name][1:]]}


def kind_of(face: str, body: Json, headers: dict[str, str]) -> tuple[str | None, str]:
    asked = FACES[face].read(body)
    assert asked is not None
    found = route(asked, headers, {}, 100, {}).recognition
    return found.model_type, found.reason


def test_the_recorded_cases(shared: Path) -> None:
    found = []
    for line in (shared / "cases" / "coding-agents.jsonl").read_text().splitlines():
        asked = json.loads(line)["request"]
        face = dialect_of("POST", asked["path"])
        assert face is not None
        read = face.read(asked["body"])
        assert read is not None
        found.append(route(read, asked["headers"], {}, 100, {}).recognition.model_type)
    assert found == ["coding", "coding", None]


@every_face
@pytest.mark.parametrize("headers", [OPENCODE, CODEX, {"originator": "codex_exec"}, CLAUDE, {"x-app": "cli"}])
def test_an_agent_is_known_by_its_headers(face: str, headers: dict[str, str]) -> None:
    assert kind_of(face, request(face, "hi", tools=TOOLS[face]()[2:]), headers)[0] == "coding"
    assert kind_of(face, request(face, "Write a function."), headers) == (
        None,
        "a request beside the work of a coding agent",
    )


def test_tools_may_stand_in_an_item_of_the_input() -> None:
    patch = {"type": "custom", "name": "apply_patch", "description": "Changes files."}
    run = {"type": "function", "name": "exec_command", "parameters": {"type": "object"}}
    item = {"type": "additional_tools", "role": "developer"}
    words = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    for tools in ([run, patch], [{"type": "namespace", "name": "functions", "tools": [run, patch]}]):
        body = {"model": "m", "input": [{**item, "tools": tools}, words]}
        asked = responses.DIALECT.read(body)
        assert asked is not None
        assert [one["name"] for one in asked.tools] == ["exec_command", "apply_patch"]
        assert kind_of("responses", body, {})[0] == kind_of("responses", body, CODEX)[0] == "coding"


@pytest.mark.parametrize(
    ("tools", "coding"),
    [
        (["bash", "edit", "read", "write", "grep", "glob"], True),
        (["exec_command", "write_stdin"], True),
        (["apply_patch", "shell"], True),
        (["Read", "Edit"], True),
        (["read", "write"], False),  # so does whoever keeps notes
        (["read", "grep", "glob"], False),
        (["bash"], False),
        (["get_weather", "Read"], False),
    ],
)
def test_two_tools_that_code_is_written_with_make_an_agent(tools: list[str], coding: bool) -> None:
    assert (recognise("hi", tools=[{"name": one} for one in tools]).model_type == "coding") == coding


ASIDE: dict[str, tuple[str, str, Json]] = {
    "title by the system": (TITLE, CODE, {}),
    "title behind a bill": (f"x-anthropic-billing-header: cc_version=2.1.332.abc;\n{TITLE}", CODE, {}),
    "summary by the system": ("You are a helpful assistant tasked with summarizing conversations.", CODE, {}),
    "summary by the message": ("You write code.", "Your task is to create a detailed summary of the conversation", {}),
    "a word": ("You write code.", CODE, {"max_tokens": 1, "max_output_tokens": 16}),
}


@every_face
@pytest.mark.parametrize("case", ASIDE)
@pytest.mark.parametrize("headers", [{}, OPENCODE, CLAUDE], ids=["nobody", "opencode", "claude"])
@pytest.mark.parametrize("tools", [False, True], ids=["plain", "with tools"])
def test_what_an_agent_asks_beside_its_work_is_no_decision(
    face: str, case: str, headers: dict[str, str], tools: bool
) -> None:
    system, prompt, more = ASIDE[case]
    body = with_system(face, system, prompt, **more, **({"tools": TOOLS[face]()} if tools else {}))
    assert kind_of(face, body, headers)[0] is None


@every_face
def test_a_title_goes_to_the_original_and_is_not_recorded(gateway: Served, face: str) -> None:
    gateway.change("coding", tools=True)
    title = with_system(face, TITLE, CODE)
    assert "x-reasoning-source" not in gateway.client.post(PATHS[face], json=title, headers=OPENCODE).headers
    assert gateway.model.received == []
    work = request(face, CODE, tools=TOOLS[face]())
    assert gateway.client.post(PATHS[face], json=work, headers=OPENCODE).headers["x-reasoning-source"] == "slot"
    [sample] = gateway.samples(1)
    assert sample.output == canned.MODEL_SAYS["coding"]


def test_each_agent_of_the_table_has_a_name_of_its_own() -> None:
    assert len({agent.name for agent in AGENTS}) == len({agent.user_agent for agent in AGENTS}) == len(AGENTS)
