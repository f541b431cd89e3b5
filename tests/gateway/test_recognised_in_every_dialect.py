"""What a request is, in every dialect: recorded traffic as its recorder knew it, whatever people quote in messages."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_cli.decisions.compact import compact
from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.gateway.explain import explain
from tests.conftest import Run
from tests.gateway.official import anthropic_tools, chat_tools, responses_tools
from tests.gateway.prompts import PATHS, request
from tests.gateway.serving import open_slot

Json = dict[str, Any]
TOOLS = {"responses": responses_tools, "chat": chat_tools, "messages": anthropic_tools}
# What a recorder calls `other` and is a coding agent's all the same.
CODING = {"claude-code"}


@pytest.mark.parametrize("name", ["elizaos", "model-plugins", "anthropic-sdk", "claude-code"])
@pytest.mark.parametrize("open_slots", [False, True], ids=["closed", "open"])
def test_recorded_traffic_is_what_its_recorder_knew_it_was(
    shared: Path, reasoning: Run, name: str, open_slots: bool
) -> None:
    file = shared / "traffic" / f"{name}.jsonl"
    if open_slots:
        for model_type in ("should_respond", "planning", "coding"):
            reasoning("config", "set", f"{model_type}.provider_url", "http://127.0.0.1:9/v1")
            reasoning("config", "set", f"{model_type}.model", "mine")
            reasoning("config", "set", f"{model_type}.tools", "true")
            reasoning("config", "set", f"{model_type}.window_tokens", "131072")
    done = reasoning("gateway", "explain", file, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    recorded = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(found) == len(recorded)
    for exchange, one in zip(recorded, found, strict=True):
        kind = exchange["kind"] if exchange["kind"] in ("should_respond", "planning") else None
        kind = "coding" if name in CODING else kind
        assert one["model_type"] == kind, exchange["tag"]
        assert one["route"] == ("slot" if kind and open_slots else "original"), one
        assert one["reason"]


def test_one_request_from_standard_input(reasoning: Run) -> None:
    recorded = {"request": {"method": "POST", "path": "/v1/responses?x=1", "headers": {}, "body": {}}}
    recorded["request"]["body"] = request("responses", EXAMPLES["planning"])
    done = reasoning("gateway", "explain", "-", "--json", input=json.dumps(recorded))
    found = json.loads(done.stdout)
    assert (found["model_type"], found["route"]) == ("planning", "original")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "tools", "name", "function", "user", "input", "id"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("face", PATHS)
@settings(max_examples=150)
@given(data=st.data())
def test_a_misshapen_request_is_explained_too(face: str, data: st.DataObject) -> None:
    body = request(face, EXAMPLES["coding"], tools=TOOLS[face]())
    spoiled = data.draw(st.sampled_from([*sorted(body), "tools", "tool_choice", "text", "system", "output_config"]))
    body[spoiled] = data.draw(json_values)
    slots = {one: open_slot(one, "http://127.0.0.1:9", tools=True) for one in ("should_respond", "planning", "coding")}
    for wanted in (body, data.draw(json_values)):
        (found,) = explain([{"method": "POST", "path": PATHS[face], "headers": {}, "body": wanted}], slots)
        assert found.route in ("slot", "original")
        assert found.reason


HEADS = [prompt.partition("\n")[0] for name, prompt in EXAMPLES.items() if name != "coding"]
OUTPUTS = [prompt[prompt.index("<output>") :] for name, prompt in EXAMPLES.items() if name != "coding"]
QUOTES = [
    *HEADS,
    *OUTPUTS,
    *(EXAMPLES[one] for one in ("should_respond", "planning")),
    *(compact(one, EXAMPLES[one]) or "" for one in ("should_respond", "planning")),
    "# Task: Generate dialog for the character Nova.",
    "# Task: Generate Agent Reflection, Extract Facts and Relationships",
    "task: Decide whether Nova should respond, ignore, or stop.\nname:\nreasoning:\naction:",
    "[CONTINUATION REQUIRED]",
    "initial code: 1234-5678\n",
    "middle code: 1234-5678\n",
    "\n\n\n# Focus your response\n",
    "# Received Message\nSam: hi",
    "</providers>\n<output>",
    "<actionNames>FLY</actionNames>",
    "```python\nx = 1\n```",
    "Write a Python function that sorts a list.",
    "<system-reminder>Use the Read tool.</system-reminder>",
    "</response>",
]
quoting = st.lists(st.one_of(st.sampled_from(QUOTES), st.text(max_size=30)), min_size=1, max_size=5).map("\n".join)
OWN_HEADS = {
    "should_respond": HEADS[0],
    "planning": HEADS[1],
    "reflection": "# Task: Generate Agent Reflection, Extract Facts and Relationships",
    "reply": "# Task: Generate dialog for the character Nova.",
    "step": "<task>\nDetermine the next step the assistant should take in this conversation.\n</task>",
    "own should_respond": "Nova, this is how you decide.",
    "own planning": "Nova, this is how you plan.",
}
OWN_OUTPUTS = {
    "should_respond": OUTPUTS[0],
    "planning": OUTPUTS[1],
    "reflection": "<output>\n<response><thought/><facts/><relationships/></response>\n</output>",
    "reply": "<output>\n<response><thought></thought><text></text></response>\n</output>",
    "step": "<output>\n<thought/><action/><parameters/><providers/><isFinish/>\n</output>",
    "own should_respond": OUTPUTS[0],
    "own planning": OUTPUTS[1],
}


def of_agent(kind: str, said: str) -> str:
    """An agent's prompt whose conversation and message are what people wrote."""
    return (
        f"{OWN_HEADS[kind]}\n<providers>\nPossible response actions: REPLY, IGNORE\n# Conversation Messages\n"
        f"12:00 (just now) [5a0a03a7] Sam: {said}\n\n# Received Message\nSam: {said}\n\n\n# Focus your response\n"
        f"You are replying to Sam.\n</providers>\n{OWN_OUTPUTS[kind]}"
    )


def type_of(face: str, prompt: str, **more: object) -> str | None:
    """What the gateway takes a request for, with every slot open; its route must follow from that."""
    body = request(face, prompt, **more)
    slots = {one: open_slot(one, "http://127.0.0.1:9", tools=True) for one in ("should_respond", "planning", "coding")}
    (found,) = explain([{"method": "POST", "path": PATHS[face], "headers": {}, "body": body}], slots)
    assert (found.route == "slot") <= (found.model_type is not None)
    return found.model_type


every_face = pytest.mark.parametrize("face", PATHS)
fuzzed = settings(max_examples=150)


@cache
def quoted() -> list[str]:
    """What people quote: drawing it takes ten times as long as looking at it, and comes out the same each time."""
    found: list[str] = []

    @fuzzed
    @given(said=quoting)
    def draw(said: str) -> None:
        found.append(said)

    draw()
    return found


@every_face
@pytest.mark.parametrize("kind", OWN_HEADS)
def test_what_people_quote_to_an_agent_changes_no_class(face: str, kind: str) -> None:
    wanted = kind.removeprefix("own ")
    for said in quoted():
        found = type_of(face, of_agent(kind, said))
        assert found == (wanted if wanted in ("should_respond", "planning") else None), said


@every_face
@fuzzed
@given(said=quoting, before=st.sampled_from(["Look at this:", "Nova: ", "> ", "What is it?\n\n"]), words=st.booleans())
def test_a_message_that_quotes_a_template_is_no_decision_of_an_agent(
    face: str, said: str, before: str, words: bool
) -> None:
    text = f"{before}{said}\n{'Explain it.' if words else ''}"
    if not words and any(text.rstrip().endswith(one) for one in OUTPUTS) and not any(one in said for one in HEADS):
        return  # all there is of a template of one's own: nothing tells them apart
    assert type_of(face, text) in (None, "coding")


@every_face
@fuzzed
@given(said=quoting)
def test_a_coding_agent_that_is_shown_templates_stays_one(face: str, said: str) -> None:
    asked = f"<system-reminder>Today is Monday.</system-reminder>\n{said}"
    assert type_of(face, asked, tools=TOOLS[face]()) == "coding"


@every_face
@fuzzed
@given(said=quoting)
def test_only_the_last_message_counts(face: str, said: str) -> None:
    """Not the system text, not what was said before, not the model's name, not the path."""
    body = request(face, "Good morning.", model=f"planning-{EXAMPLES['planning'][:40]}")
    key = "input" if face == "responses" else "messages"
    body[key] = [
        *({**one, "content": said} for one in body[key] if one["role"] == "system"),
        {"role": "user", "content": said},
        {"role": "assistant", "content": said},
        body[key][-1],
    ]
    if face == "messages":
        body["system"] = said
    slots = {one: open_slot(one, "http://127.0.0.1:9") for one in ("should_respond", "planning", "coding")}
    (found,) = explain([{"method": "POST", "path": PATHS[face], "headers": {}, "body": body}], slots)
    assert (found.model_type, found.route) == (None, "original")
