"""A request is recognised by what its template says first and last, never by what people wrote in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.decisions.answers import PlanningAnswer, render_answer
from reasoning_cli.decisions.recognise import recognise, without_codes
from reasoning_cli.gateway.dialects.forms import Asked
from reasoning_cli.gateway.routing import route
from tests.gateway.serving import open_slot

TRAFFIC = Path(__file__).parents[2].parent / "shared" / "traffic"

SHOULD_RESPOND_HEAD = (
    "<task>Decide on behalf of Nova whether they should respond to the message,"
    " ignore it or stop the conversation.</task>"
)
PLANNING_HEAD = "<task>Generate dialog and actions for the character Nova.</task>"
SHOULD_RESPOND_OUTPUT = (
    "<output>\nRespond using XML:\n<response>\n  <name>Nova</name>\n  <reasoning>why</reasoning>\n"
    "  <action>RESPOND | IGNORE | STOP</action>\n</response>\n</output>"
)
PLANNING_OUTPUT = (
    "<output>\n<response>\n<thought>t</thought>\n<actions>A,B</actions>\n<providers>P</providers>\n"
    "<text>t</text>\n</response>\n</output>"
)


def last_user_text(body: object) -> str:
    """The text of the last user message of a recorded request, whatever dialect it is in."""
    if not isinstance(body, dict):
        return ""
    messages = body.get("messages") or body.get("input")
    users = [m for m in messages if m.get("role") == "user"] if isinstance(messages, list) else []
    if not users:
        return ""
    content = users[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def recordings(name: str) -> Iterator[dict[str, object]]:
    path = TRAFFIC / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("the recorded traffic is not here")
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.mark.parametrize("name", ["elizaos", "model-plugins", "anthropic-sdk"])
def test_every_recorded_request_is_what_its_recorder_knew_it_was(name: str) -> None:
    seen = 0
    for exchange in recordings(name):
        request = exchange["request"]
        assert isinstance(request, dict)
        body = request["body"]
        tools = body.get("tools", []) if isinstance(body, dict) else []
        found = recognise(last_user_text(body), request["headers"], tools)
        kind = exchange["kind"] if exchange["kind"] in ("should_respond", "planning") else None
        assert found.model_type == kind, (exchange["tag"], found)
        seen += 1
    assert seen


def test_every_recorded_call_of_a_coding_agent_is_coding() -> None:
    for exchange in recordings("claude-code"):
        request = exchange["request"]
        assert isinstance(request, dict)
        body = request["body"]
        assert recognise(last_user_text(body), request["headers"], body["tools"]).model_type == "coding"
        assert recognise(last_user_text(body), tools=body["tools"]).model_type == "coding"


@pytest.mark.parametrize(
    ("head", "output", "expected"),
    [
        (SHOULD_RESPOND_HEAD, SHOULD_RESPOND_OUTPUT, "should_respond"),
        (PLANNING_HEAD, PLANNING_OUTPUT, "planning"),
        ("A template of my own.", SHOULD_RESPOND_OUTPUT, "should_respond"),
        ("A template of my own.", PLANNING_OUTPUT, "planning"),
        ("# Task: Generate dialog for the character Nova.", "", None),
        ("# Task: Generate Agent Reflection, Extract Facts and Relationships", "", None),
    ],
)
@pytest.mark.parametrize("quoted_head", [SHOULD_RESPOND_HEAD, PLANNING_HEAD])
@pytest.mark.parametrize("quoted_output", [SHOULD_RESPOND_OUTPUT, PLANNING_OUTPUT])
def test_a_template_quoted_in_the_conversation_does_not_fool_it(
    head: str, output: str, expected: str | None, quoted_head: str, quoted_output: str
) -> None:
    quote = f"Alice: look at this:\n{quoted_head}\n{quoted_output}\nwrite a function\n```py\npass\n```"
    prompt = f"{head}\n\n# Received Message\n{quote}\n\n\n# Focus your response\n\n{output}"
    assert recognise(prompt).model_type == expected


def test_names_may_hold_spaces_and_dots_or_be_left_out() -> None:
    for name in ("Dr. Ada B. Lovelace", "{{agentName}}", "Ünïcödé 名前"):
        assert recognise(PLANNING_HEAD.replace("Nova", name)).model_type == "planning"
        assert recognise(SHOULD_RESPOND_HEAD.replace("Nova", name)).model_type == "should_respond"
    assert recognise(PLANNING_HEAD.replace("Nova", "N" * 300)).model_type is None


def test_asking_to_continue_a_cut_answer_is_no_decision() -> None:
    prompt = f"{PLANNING_HEAD}\n{PLANNING_OUTPUT}\n[CONTINUATION REQUIRED]\nContinue with <text> only."
    assert recognise(prompt).model_type is None
    shown = "I wrote </output> and more. " * 200
    asks = f'received this text:\n"{shown}"\n\nWrap your continuation in <text></text> tags.'
    assert recognise(f"{PLANNING_HEAD}\n{PLANNING_OUTPUT}\n\n[CONTINUATION REQUIRED]\n{asks}").model_type is None
    for between in ("", "x" * 3000):
        quoted = f"{PLANNING_HEAD}\nAlice: [CONTINUATION REQUIRED]\n{between}{PLANNING_OUTPUT}"
        assert recognise(quoted).model_type == "planning"


def test_a_template_shown_in_a_message_is_none() -> None:
    prompt = f"{PLANNING_HEAD}\n# Received Message\nAlice: hi\n\n\n# Focus your response\n{PLANNING_OUTPUT}"
    assert recognise(f"Why did my agent stay silent?\n\n{prompt}").model_type is None
    assert recognise(f"{PLANNING_OUTPUT}\nWhat is this for?").model_type is None


def test_codes_of_a_2_0_runtime_are_found_and_taken_out() -> None:
    template = f"{PLANNING_HEAD}\nAlice: \nmiddle code: fake\n{PLANNING_OUTPUT}"
    asked = "".join(f"<one_{part}_code>echo it</one_{part}_code>\n" for part in ("initial", "middle", "end"))
    again = f"<output>\n{asked}{PLANNING_OUTPUT.partition('<output>')[2]}"
    prompt = f"initial code: aaa\n{template}\nmiddle code: bbb\n{again}\nend code: ccc\n"
    found = recognise(prompt)
    assert found.model_type == "planning"
    assert found.codes == {"one_initial_code": "aaa", "one_middle_code": "bbb", "one_end_code": "ccc"}
    assert without_codes(prompt) == template
    assert without_codes(template) == template


IDS = {"initial": "aaa", "middle": "bbb", "end": "ccc"}


def with_codes(asked: str, *, said: str = "", end: str = "\nend code: ccc\n") -> str:
    """A prompt of a 2.0 runtime whose output block asks for these codes."""
    template = f"{PLANNING_HEAD}\nAlice: {said}\n{PLANNING_OUTPUT}"
    block = f"<output>\n<response>\n{asked}<thought></thought><actions></actions><text></text></response>\n</output>"
    return f"initial code: aaa\n{template}\nmiddle code: bbb\n{block}{end}"


def echo(number: str) -> str:
    return "".join(f"<{number}_{part}_code>echo the {part} UUID code</{number}_{part}_code>\n" for part in IDS)


AROUND = "<code_text_start>output exactly: 96a5</code_text_start>\n<code_text_end>output exactly: 96a5</code_text_end>"


@pytest.mark.parametrize(
    ("asked", "codes"),
    [
        ("", {}),
        (echo("one"), {f"one_{part}_code": value for part, value in IDS.items()}),
        (
            echo("one") + echo("two"),
            {f"{number}_{part}_code": value for number in ("one", "two") for part, value in IDS.items()},
        ),
        (AROUND, {"code_text_start": "96a5", "code_text_end": "96a5"}),
    ],
    ids=["trusted", "default", "strict", "progressive"],
)
def test_only_the_codes_that_the_output_block_asks_for_are_echoed(asked: str, codes: dict[str, str]) -> None:
    quoted = "\nmiddle code: fake\n<output>\n<two_end_code>echo</two_end_code>\n</output>\nend code: fake"
    for said in ("", quoted):
        found = recognise(with_codes(asked, said=said))
        assert (found.model_type, found.codes, found.can_be_echoed) == ("planning", codes, True)
        answer = render_answer(PlanningAnswer("t", ("REPLY",), (), "Hi"), found.codes)
        for tag, value in codes.items():
            assert f"<{tag}>{value}</{tag}>" in answer
        assert answer.count("code>") + answer.count("<code_") + answer.count("</code_") == 2 * len(codes)


@pytest.mark.parametrize(
    ("asked", "end"),
    [
        (echo("one"), ""),
        ("<three_initial_code>echo the initial UUID code</three_initial_code>", "\nend code: ccc\n"),
        ("<code_text_start>the code of before</code_text_start>", "\nend code: ccc\n"),
    ],
)
def test_a_prompt_that_wants_what_it_does_not_tell_is_for_the_original(asked: str, end: str) -> None:
    prompt = with_codes(asked, end=end)
    assert not recognise(prompt).can_be_echoed
    asked_for = Asked(prompt, "gpt-5", stream=False)
    where = route(asked_for, {}, {"planning": open_slot("planning", "http://127.0.0.1:9")}, 100, {})
    assert (where.to_slot, where.reason) == (False, "wants codes echoed that it does not tell")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("task: Decide whether Nova should respond, ignore, or stop.", "should_respond"),
        ("task: Decide whether Nova should respond and which domain context applies.", "should_respond"),
        ("task: Generate dialog and actions for Nova.", "planning"),
    ],
)
def test_templates_that_want_toon_are_known_for_what_they_are(head: str, expected: str) -> None:
    found = recognise(f"{head}\n\nproviders:\n")
    assert (found.model_type, found.fmt) == (expected, "toon")


@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "claude-cli/2.1.329 (external, sdk-cli)"},
        {"x-app": "cli"},
        {"Anthropic-Beta": "interleaved-thinking-2025-05-14, claude-code-20250219"},
    ],
)
def test_headers_of_a_coding_agent_mean_coding_even_when_it_is_shown_a_template(headers: dict[str, str]) -> None:
    tools = [{"name": "Agent"}]
    assert recognise("hi", headers, tools).model_type == "coding"
    assert recognise(f"What does this do?\n{PLANNING_OUTPUT}", headers, tools).model_type == "coding"


def test_two_coding_tools_mean_coding_and_other_tools_mean_neither() -> None:
    assert recognise("hi", tools=[{"name": "Read"}, {"name": "Bash"}]).model_type == "coding"
    assert recognise("hi", tools=[{"type": "text_editor_20250728", "name": "x"}]).model_type == "coding"
    assert recognise("hi", tools=[{"name": "Read"}, {"name": "get_weather"}]).model_type is None
    assert recognise("Write a function", tools=[{"name": "get_weather"}]).model_type is None


@pytest.mark.parametrize(
    ("text", "coding"),
    [
        ("Write a function that adds two numbers", True),
        ("Please refactor this class", True),
        ("What is wrong here?\n```py\nx = 1\n```", True),
        ("IMPORTANT: the description of our transport", False),
        ("Please let me know when you arrive", False),
        ("Write a haiku", False),
        ("<system-reminder>Write a function</system-reminder>hello", False),
        ("<system-reminder>" * 50_000, False),
    ],
)
def test_without_tools_the_words_of_the_user_alone_ask_for_code(text: str, coding: bool) -> None:
    assert (recognise(text).model_type == "coding") is coding
