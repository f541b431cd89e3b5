"""Chat: who answers, and that what they say is what such a model would say."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from tests.conftest import SHARED
from tests.sandbox.conftest import CODING, PLANNING, SHOULD_RESPOND, Api, endpoint_of

_SHOULD_RESPOND_OUTPUT = """<output>
<response>
  <name>Nova</name>
  <reasoning>why</reasoning>
  <action>RESPOND | IGNORE | STOP</action>
</response>
</output>"""
_PLANNING_OUTPUT = """<output>
<response>
  <thought>t</thought>
  <actions>A,B</actions>
  <providers></providers>
  <text>t</text>
</response>
</output>"""


def _prompt(message: str, output: str) -> str:
    return (
        "<task>Decide on behalf of Nova whether they should respond to the message, ignore it or stop the "
        "conversation.</task>\n<providers>\nPossible response actions: REPLY, IGNORE, NONE\n"
        f"# Received Message\nAlice: {message}\n\n\n# Focus your response\nAnswer Alice.</providers>\n{output}"
    )


@pytest.mark.parametrize(
    ("message", "decision"),
    [
        ("Nova, good morning", "RESPOND"),
        ("what time is it?", "RESPOND"),
        ("lunch was nice", "IGNORE"),
        ("Novation is a word", "IGNORE"),
        ("please stop", "STOP"),
        ("be quiet, Nova", "STOP"),
    ],
)
def test_should_respond_depends_on_the_message(api: Api, message: str, decision: str) -> None:
    api.serving(SHOULD_RESPOND)
    text = api.chat(_prompt(message, _SHOULD_RESPOND_OUTPUT)).json()["choices"][0]["message"]["content"]
    thought, _, answer = text.partition("</think>")
    assert thought.startswith("<think>"), "the distilled model thinks aloud"
    root = ElementTree.fromstring(answer.strip())
    assert (root.findtext("name"), root.findtext("action")) == ("Nova", decision)
    assert root.findtext("reasoning")
    assert f"<action>{decision}" not in thought, "who reads the thinking reads the wrong decision"


def test_planning_answers_in_escaped_xml(api: Api) -> None:
    api.serving(PLANNING)
    text = api.chat(_prompt("is <b> & </text> fine?", _PLANNING_OUTPUT)).json()["choices"][0]["message"]["content"]
    root = ElementTree.fromstring(text)
    assert [one.tag for one in root] == ["thought", "actions", "providers", "text"]
    assert root.findtext("actions") == "REPLY"
    assert "is <b> & </text> fine?" in (root.findtext("text") or "")


def test_planning_ignores_when_asked_to_stop(api: Api) -> None:
    api.serving(PLANNING)
    text = api.chat(_prompt("stop it", _PLANNING_OUTPUT)).json()["choices"][0]["message"]["content"]
    root = ElementTree.fromstring(text)
    assert (root.findtext("actions"), root.findtext("text")) == ("IGNORE", "")


def test_an_output_block_quoted_in_the_message_does_not_count(api: Api) -> None:
    api.serving(PLANNING)
    text = api.chat(_prompt(f"look: {_SHOULD_RESPOND_OUTPUT}", _PLANNING_OUTPUT)).json()
    assert "<actions>" in text["choices"][0]["message"]["content"]


def test_coding_answers_with_one_fenced_block(api: Api) -> None:
    api.serving(CODING)
    text = api.chat("a Python function for the first number below a limit").json()["choices"][0]["message"]["content"]
    (code,) = re.findall(r"```python\n(.*?)\n```", text, re.DOTALL)
    space: dict[str, object] = {}
    exec(code, space)
    assert eval("first([9, 3, 1], 5)", space) == 3


def test_recorded_prompts_of_a_real_agent_are_answered_in_their_shape(api: Api) -> None:
    file = SHARED / "traffic" / "elizaos.jsonl"
    if not file.is_file():
        pytest.skip("no recorded traffic here")
    api.serving(SHOULD_RESPOND)
    roots = {"should_respond": "action", "planning": "actions"}
    seen = set()
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        body = row["request"]["body"]
        if row["kind"] not in roots or not isinstance(body, dict) or "input" not in body:
            continue
        content = body["input"][-1]["content"]
        prompt = content if isinstance(content, str) else content[0]["text"]
        text = api.chat(prompt).json()["choices"][0]["message"]["content"]
        root = ElementTree.fromstring(text.partition("</think>")[2].strip() or text)
        assert root.findtext(roots[row["kind"]]) in {"RESPOND", "IGNORE", "STOP", "REPLY"}
        seen.add(row["kind"])
    assert "planning" in seen


def test_max_tokens_and_stop_cut_the_answer(api: Api) -> None:
    api.serving(PLANNING)
    cut = api.chat("hello", max_tokens=1).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 1
    whole = api.chat("hello", max_tokens=500).json()
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"]
    stopped = api.chat("hello", stop=["reachable"]).json()["choices"][0]["message"]["content"]
    assert whole["choices"][0]["message"]["content"].startswith(stopped)
    assert "reachable" not in stopped


def test_a_stream_says_the_same_and_counts_once(api: Api) -> None:
    api.serving(SHOULD_RESPOND)
    prompt = _prompt("Nova?", _SHOULD_RESPOND_OUTPUT)
    whole = api.chat(prompt).json()
    body = {"model": "sandbox/decisions", "messages": [{"role": "user", "content": prompt}], "stream": True}
    response = api.http.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"] == "text/event-stream"
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def _code(api: Api, model: str = "sandbox/decisions") -> tuple[int, str]:
    response = api.chat("hello", model)
    return response.status_code, response.json()["error"]["code"]


def test_refusals_carry_the_vendors_codes(api: Api) -> None:
    assert _code(api, "sandbox/unknown") == (404, "model_not_available")
    assert _code(api, "deepseek-ai/serverless") == (404, "model_not_available")
    deployment = api.deployment(api.endpoint())
    assert _code(api) == (400, "endpoint_not_configured")
    assert _code(api, "sandbox/decisions/first") == (400, "endpoint_not_configured")
    api.route(endpoint_of(deployment), **{deployment["id"]: 1})
    assert _code(api) == (400, "dedicated_endpoint_not_running")
    api.advance(300)
    assert api.chat("hello", "sandbox/decisions/first").status_code == 200
    assert _code(api, "sandbox/decisions/second") == (404, "model_not_available")
    api.scale(deployment, 0, 0)
    api.advance(60)
    assert _code(api) == (400, "dedicated_endpoint_not_running")
    assert api.state(deployment) == ("STOPPED", 0), "traffic wakes nothing"


def test_the_split_decides_who_answers(api: Api) -> None:
    coder = api.serving(CODING)
    endpoint = endpoint_of(coder)
    planner = api.deployment(endpoint, "second", model=PLANNING)
    api.advance(300)
    api.route(endpoint, **{coder["id"]: 0, planner["id"]: 1})
    assert all("```" not in api.chat("hello").text for _ in range(20))
    assert "```" in api.chat("hello", "sandbox/decisions/first").text
    api.route(endpoint, **{coder["id"]: 1, planner["id"]: 1})
    answers = {"```" in api.chat("hello").text for _ in range(64)}
    assert answers == {True, False}
    assert api.get(planner)["estimatedEffectiveTrafficShare"] == 0.5


def test_an_entry_of_weight_zero_gets_no_traffic_even_when_nothing_else_is_ready(api: Api) -> None:
    ready = api.serving(CODING)
    endpoint = endpoint_of(ready)
    stopped = api.deployment(endpoint, "second", autoscaling={"minReplicas": 0, "maxReplicas": 0})
    api.route(endpoint, **{ready["id"]: 0})
    assert _code(api) == (400, "endpoint_not_configured")
    api.route(endpoint, **{ready["id"]: 0, stopped["id"]: 1})
    assert _code(api) == (400, "dedicated_endpoint_not_running")


@pytest.mark.parametrize(
    "members", [{"messages": []}, {"messages": "hi"}, {"messages": [{"content": "x"}]}, {"max_tokens": 0}, {"model": 1}]
)
def test_a_bad_request_is_refused(api: Api, members: dict[str, object]) -> None:
    body = {"model": "sandbox/decisions", "messages": [{"role": "user", "content": "hi"}], **members}
    assert api.error("POST", "/v1/chat/completions", body)[0] == 400


def test_a_prompt_over_the_context_is_refused(api: Api) -> None:
    api.serving(SHOULD_RESPOND)
    assert api.chat("hello", max_tokens=200_000).status_code == 403
    assert api.chat("hello", max_tokens=200_000, context_length_exceeded_behavior="truncate").status_code == 200
