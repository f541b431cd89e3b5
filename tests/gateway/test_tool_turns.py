"""A coding agent's turn is the whole conversation with its calls and results: kept, exported, taken by `data check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.data.browse import look_at
from reasoning_cli.operations.data.validate.sample import check_sample
from reasoning_cli.store.open import open_store
from tests.gateway import canned
from tests.gateway.official import anthropic_tools, chat_tools, responses_tools
from tests.gateway.prompts import PATHS
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import served
from tests.gateway.test_how_answers_end import exported, saying

Json = dict[str, Any]
every_face = pytest.mark.parametrize("face", PATHS)
ASKS, FOUND, SAYS = "What does calc.py do? Mail bob@x.example", "def add(a, b):\n    return a - b", "It subtracts."
AGENT = {"user-agent": "claude-cli/2.1.332 (external, sdk-cli)"}
CALLS = [("c1", "Read", '{"file_path":"calc.py"}'), ("c2", "Bash", '{"command":"ls"}')]


def chat_calls(calls: list[tuple[str, str, str]]) -> list[Json]:
    return [
        {"id": one, "type": "function", "function": {"name": name, "arguments": given}} for one, name, given in calls
    ]


def after_results(face: str, *, split: bool = False, without: str = "") -> Json:
    """A request after two calls of tools whose results are there; `split` over messages with words between, or one of
    them missing."""
    results = [(one, text) for one, text in (("c2", "calc.py"), ("c1", FOUND)) if one != without]
    if face == "chat":
        told = [{"role": "tool", "tool_call_id": one, "content": text} for one, text in results]
        if split:
            told.insert(1, {"role": "user", "content": "Go on."})
        turns = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": ASKS},
            {"role": "assistant", "content": None, "tool_calls": chat_calls(CALLS)},
            *told,
        ]
        return {"model": "m", "messages": turns, "tools": chat_tools()}
    if face == "messages":
        blocks: list[Json] = [{"type": "tool_result", "tool_use_id": one, "content": text} for one, text in results]
        told = [{"role": "user", "content": blocks}]
        if split:
            said = {"type": "text", "text": "Go on."}
            told = [{"role": "user", "content": [blocks[0], said]}, {"role": "user", "content": blocks[1:]}]
        used = [{"type": "tool_use", "id": one, "name": name, "input": json.loads(given)} for one, name, given in CALLS]
        turns = [{"role": "user", "content": ASKS}, {"role": "assistant", "content": used}, *told]
        return {"model": "m", "max_tokens": 99, "system": "Be brief.", "messages": turns, "tools": anthropic_tools()}
    told = [{"type": "function_call_output", "call_id": one, "output": text} for one, text in results]
    if split:
        told.insert(1, {"role": "user", "content": "Go on."})
    used = [{"type": "function_call", "call_id": one, "name": name, "arguments": given} for one, name, given in CALLS]
    items = [{"role": "user", "content": ASKS}, *used, *told]
    return {"model": "m", "instructions": "Be brief.", "input": items, "tools": responses_tools()}


def answer(face: str, text: str, calls: list[tuple[str, str, str]]) -> Json:
    if face == "chat":
        made = canned.chat_answer(text, finish="tool_calls" if calls else "stop")
        made["choices"][0]["message"] |= {"content": text or None, "tool_calls": chat_calls(calls)}
        return made
    if face == "messages":
        blocks: list[Json] = [{"type": "text", "text": text}] if text else []
        blocks += [{"type": "tool_use", "id": i, "name": name, "input": json.loads(given)} for i, name, given in calls]
        return {**canned.messages_answer(""), "content": blocks, "stop_reason": "tool_use" if calls else "end_turn"}
    made = canned.responses_answer(text)
    if not text:
        made["output"] = []
    made["output"] += [
        {"type": "function_call", "call_id": i, "name": name, "arguments": given} for i, name, given in calls
    ]
    return made


def expected(*, split: bool, text: str, calls: list[tuple[str, str, str]], asks: str = ASKS) -> list[Json]:
    used = [{"id": one, "type": "function", "function": {"name": n, "arguments": given}} for one, n, given in CALLS]
    last: Json = {"role": "assistant", "content": text}
    if calls:
        last["tool_calls"] = chat_calls(calls)
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": asks},
        {"role": "assistant", "content": "", "tool_calls": used},
        {"role": "tool", "tool_call_id": "c1", "content": FOUND},
        {"role": "tool", "tool_call_id": "c2", "content": "calc.py"},
        *([{"role": "user", "content": "Go on."}] if split else []),
        last,
    ]


@every_face
@pytest.mark.parametrize("split", [False, True], ids=["together", "split"])
@pytest.mark.parametrize("calls", [[], [("c3", "Bash", '{"command":"rm x"}')]], ids=["words", "call alone"])
def test_a_turn_after_results_is_kept_with_all_before_it(
    tmp_path: Path, face: str, split: bool, calls: list[tuple[str, str, str]]
) -> None:
    text = "" if calls else SAYS
    with served(tmp_path, slots=False) as gateway:
        gateway.original.handler = saying(answer(face, text, calls))
        body = after_results(face, split=split)
        assert gateway.client.post(PATHS[face], json=body, headers=AGENT).status_code == 200
        (sample,) = gateway.samples(1)
        assert sample.prompt == ("Go on." if split else ASKS)
        assert (sample.output, sample.cut) == (text, None)
        [line] = exported(gateway.database)
        assert line["messages"] == expected(split=split, text=text, calls=calls)
        assert [one["function"]["name"] for one in line["tools"]] == ["Read", "Bash", "get_status"]
        found = check_sample(line)
        assert (found.kind, found.refusals, found.warnings) == ("tools", (), ())
        with open_store(gateway.database) as store:
            look = look_at(store, sample)
        assert look.problem is None
        assert look.parts == ((("calls Bash", '{"command":"rm x"}'),) if calls else (("answer", SAYS),))
        assert any("calc.py" in line for line in look.talk)


@every_face
@pytest.mark.parametrize("without", ["c1", "c2"])
def test_a_call_without_its_result_is_for_the_original_and_not_trained_on(
    tmp_path: Path, face: str, without: str
) -> None:
    with served(tmp_path, tools=True) as gateway:
        gateway.original.handler = saying(answer(face, SAYS, []))
        body = after_results(face, without=without)
        assert gateway.client.post(PATHS[face], json=body, headers=AGENT).status_code == 200
        assert gateway.model.received == []
        gateway.samples(1)
        with pytest.raises(ReasoningError, match="a call of a tool without its result"):
            exported(gateway.database)


@every_face
def test_a_slots_model_sees_what_will_be_trained_on(tmp_path: Path, face: str) -> None:
    async def handler(request: Received, answering: Answering) -> None:
        await answering.whole(200, answer("chat", "", [("x", "Bash", '{"command":"ls"}')]))

    with served(tmp_path, tools=True) as gateway:
        gateway.model.handler = handler
        body = after_results(face, split=True)
        assert gateway.client.post(PATHS[face], json=body, headers=AGENT).status_code == 200
        asked = gateway.model.received[0].json
        gateway.samples(1)
        [line] = exported(gateway.database)
        assert line["messages"][:-1] == asked["messages"]
        assert [one["function"] for one in line["tools"]] == [
            {name: value for name, value in one["function"].items() if name != "strict"} for one in asked["tools"]
        ]


def test_turns_of_one_conversation_are_no_copies_and_stay_on_one_side(tmp_path: Path) -> None:
    with served(tmp_path, slots=False) as gateway:
        gateway.original.handler = saying(answer("messages", SAYS, []))
        first = after_results("messages")
        for turns in (first["messages"][:1], first["messages"]):
            gateway.client.post(PATHS["messages"], json={**first, "messages": turns}, headers=AGENT)
        one, two = gateway.samples(2)
        assert one.prompt == two.prompt
        assert one.room_id == two.room_id is not None
        with open_store(gateway.database) as store:
            hashes = [tuple(row) for row in store.rows("SELECT prompt_hash, shape_hash FROM samples")]
        assert hashes[0][0] != hashes[1][0]
        assert hashes[0][1] != hashes[1][1]


def test_personal_data_leaves_a_conversation_at_export(tmp_path: Path) -> None:
    with served(tmp_path, slots=False) as gateway:
        gateway.original.handler = saying(answer("messages", SAYS, []))
        gateway.client.post(PATHS["messages"], json=after_results("messages"), headers=AGENT)
        gateway.samples(1)
        [line] = exported(gateway.database, salt="5a" * 16)
        assert "bob@x.example" not in json.dumps(line)
        assert line["messages"][3]["content"] == FOUND
