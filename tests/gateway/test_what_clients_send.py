"""What real clients send that a proxy must not stumble over, and what of it may be kept."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from reasoning_cli.decisions.answers import parse_answer
from tests.gateway import canned
from tests.gateway.official import CODE, anthropic_tools
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.serving import Served

Json = dict[str, Any]
every_face = pytest.mark.parametrize("face", PATHS)


def test_system_text_may_stand_among_the_messages(gateway: Served) -> None:
    """Since 2026 Anthropic's clients send it there too."""
    body = request("messages", CODE)
    body["messages"].append({"role": "system", "content": [{"type": "text", "text": "Be brief."}]})
    gateway.client.post(PATHS["messages"], json=body)
    (asked,) = gateway.model.received
    assert asked.json["messages"] == [
        {"role": "system", "content": "You are Nova.\nBe brief."},
        {"role": "user", "content": CODE},
    ]


@every_face
def test_parts_that_are_no_text_are_never_read_as_text(gateway: Served, face: str) -> None:
    """A decision whose message has thoughts, results or unknown parts beside the text is read by its text alone."""
    kinds: Json = {
        "responses": [{"type": "input_text", "text": PROMPTS["planning"]}, {"type": "input_audio", "data": "x"}],
        "chat": [{"type": "text", "text": PROMPTS["planning"]}, {"type": "input_audio", "input_audio": {}}],
        "messages": [{"type": "text", "text": PROMPTS["planning"]}, {"type": "search_result", "source": "x"}],
    }
    body = request(face, "")
    body["input" if face == "responses" else "messages"][-1]["content"] = kinds[face]
    answer = gateway.client.post(PATHS[face], json=body)
    assert answer.status_code == 200
    assert "x-reasoning-source" not in answer.headers
    (sample,) = gateway.samples(1)
    assert (sample.model_type, sample.prompt, sample.source) == ("planning", PROMPTS["planning"], "original")


@every_face
def test_what_carries_images_goes_to_who_can_see(gateway: Served, face: str) -> None:
    image: Json = {
        "responses": {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
        "chat": {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        "messages": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
    }[face]
    body = request(face, CODE)
    last = body["input" if face == "responses" else "messages"][-1]
    content = last["content"]
    last["content"] = [*(content if isinstance(content, list) else [{"type": "text", "text": content}]), image]
    gateway.client.post(PATHS[face], json=body)
    assert gateway.model.received == []
    reasons = gateway.client.get("/stats").json()["model_types"]["coding"]["by_source"]["original"]["reasons"]
    assert reasons == {"carries images": 1}


@every_face
@pytest.mark.parametrize("finish", ["length", "tool_calls", "eos"])
def test_why_a_model_ended_is_told_in_the_callers_words(gateway: Served, face: str, finish: str) -> None:
    """What was cut at the token limit is not an answer; whatever a model calls an end of its own is a plain end."""
    gateway.model.handler = canned.saying("", **canned.chat_answer(canned.MODEL_SAYS["coding"], finish=finish))
    answer = gateway.client.post(PATHS[face], json=request(face, CODE))
    if finish == "length":
        assert canned.ORIGINAL_SAYS["coding"].splitlines()[1] in answer.text
        assert gateway.samples(1)[0].metadata["fallback"] == "invalid: cut at the token limit"
        return
    found = answer.json()
    ends = {
        "responses": lambda: found["status"],
        "chat": lambda: found["choices"][0]["finish_reason"],
        "messages": lambda: found["stop_reason"],
    }
    assert ends[face]() == {"responses": "completed", "chat": "stop", "messages": "end_turn"}[face]


@every_face
@pytest.mark.parametrize("temperature", [0, 0.7, None])
def test_the_temperature_is_the_callers(gateway: Served, face: str, temperature: float | None) -> None:
    body = request(face, CODE)
    del body["temperature"]
    gateway.client.post(PATHS[face], json=body | ({} if temperature is None else {"temperature": temperature}))
    (asked,) = gateway.model.received
    assert asked.json.get("temperature", None) == temperature
    assert ("temperature" in asked.json) is (temperature is not None)


def test_the_headers_a_vendor_reads_arrive_there(gateway: Served) -> None:
    headers = {
        "x-api-key": "sk-ant-1",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
        "user-agent": "claude-cli/2.1.329 (external, sdk-cli)",
        "x-stainless-retry-count": "0",
        "x-app": "cli",
    }
    body = request("messages", "hi", tools=anthropic_tools())
    gateway.client.post("/v1/messages?beta=true", json=body, headers=headers)
    (asked,) = gateway.original.received
    assert {name: asked.header(name) for name in headers} == headers
    assert asked.target == "/v1/messages?beta=true"


def test_markup_in_an_answer_cuts_it_for_no_reader(gateway: Served) -> None:
    text = "Use <b>, then </text></response> & 'quotes', \"too\"."
    plan = f"<response><thought>t</thought><actions>reply</actions><providers/><text><![CDATA[]]>{text}"
    gateway.model.handler = canned.saying(f"{plan}</text></response>")
    answer = gateway.client.post(PATHS["chat"], json=request("chat", PROMPTS["planning"]))
    said = answer.json()["choices"][0]["message"]["content"]
    found = parse_answer("planning", said)
    assert found == parse_answer("planning", said.replace("\n", " ")), "one element a line, or all in one"
    assert said.count("<response>") == said.count("</response>") == said.count("</text>") == 1


@every_face
def test_no_key_and_no_device_is_kept(gateway: Served, face: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = {"authorization": "Bearer sk-very-secret-1234567890", "x-api-key": "sk-ant-very-secret-1234567890"}
    body = request(face, PROMPTS["planning"], metadata={"user_id": "device-4711"}, user="device-4711")
    for model_type in ("planning", "should_respond"):
        gateway.client.post(PATHS[face], json=body, headers=keys)
        gateway.change(model_type, closed="closed")
    gateway.samples(2)
    kept = b"".join(one.read_bytes() for one in gateway.database.parent.glob("log.db*"))
    assert b"device-4711" not in kept + caplog.text.encode()
    assert b"very-secret" not in kept + caplog.text.encode()
    # The model gets its own key, never the caller's.
    assert [one.header("authorization") for one in gateway.model.received] == ["Bearer model-key"]
    assert gateway.model.received[0].header("x-api-key") is None
    assert "metadata" not in gateway.model.received[0].json


@pytest.mark.parametrize("path", ["/", "/api/hello"])
def test_a_clients_greeting_goes_to_the_root_of_the_provider(gateway: Served, path: str) -> None:
    """Claude Code greets the base it was given, which has no /v1."""
    headers = {"user-agent": "claude-cli/2.1.197 (external, sdk-cli)"}
    assert gateway.client.head(path, headers=headers).status_code == 200
    (asked,) = gateway.original.received
    assert (asked.method, asked.target) == ("HEAD", path)
