"""What the caller of a stream hears while a slot's model thinks long, and what the original may still say then."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.gateway.dialects import chat, messages, responses
from reasoning_cli.gateway.dialects.events import read_events
from reasoning_cli.gateway.dialects.forms import Json
from tests.gateway import canned
from tests.gateway.node import node_folder
from tests.gateway.official import CODE
from tests.gateway.packing import flushed
from tests.gateway.prompts import PATHS, request
from tests.gateway.provider import Answering, Handler, Received
from tests.gateway.serving import Served, served
from tests.gateway.test_leaving_at_the_end import ask_and_leave, had, no_decision_is_kept
from tests.waiting import until

SECONDS = 0.2
THINKS_SECONDS = 5 * SECONDS
FACES = {"responses": responses.DIALECT, "chat": chat.DIALECT, "messages": messages.DIALECT}
HEARTBEATS = {"responses": b": still at work\n\n", "chat": b": still at work\n\n"}
HEARTBEATS["messages"] = b'event: ping\ndata: {"type":"ping"}\n\n'
EVENTS = {"responses": canned.responses_events, "chat": canned.chat_events, "messages": canned.messages_events}
every_face = pytest.mark.parametrize("face", PATHS)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    """A gateway that waits for no more than a moment before it says that it waits."""
    with served(tmp_path) as running:
        running.gateway.heartbeat_seconds = SECONDS
        yield running


def thinking(status: int = 200, text: str = canned.MODEL_SAYS["coding"]) -> Handler:
    """A model that thinks long, and then answers, says nothing that can be used, or refuses."""

    async def handler(request: Received, answering: Answering) -> None:
        await asyncio.sleep(THINKS_SECONDS)
        await answering.whole(status, canned.chat_answer(text, "acme/model"))

    return handler


def refusing(face: str) -> Handler:
    async def handler(request: Received, answering: Answering) -> None:
        await answering.whole(429, refusal(face), {"retry-after": "7", "x-ratelimit-remaining": "0"})

    return handler


def refusal(face: str) -> Json:
    error = {"type": "rate_limit_error", "message": "Slow down.", "code": "rate_limit_exceeded", "param": None}
    return {"type": "error", "error": error} if face == "messages" else {"error": error}


@every_face
def test_the_caller_of_a_stream_hears_while_the_model_thinks(gateway: Served, face: str) -> None:
    gateway.model.handler = thinking()
    began = time.monotonic()
    with gateway.client.stream("POST", PATHS[face], json=request(face, CODE, stream=True)) as answer:
        waited = time.monotonic() - began
        content = answer.read()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert SECONDS <= waited < THINKS_SECONDS
    assert "x-reasoning-source" not in answer.headers  # nobody knows yet
    assert content.startswith(2 * HEARTBEATS[face])
    assert FACES[face].capture_events(read_events(content)).text.strip() == canned.MODEL_SAYS["coding"]
    [sample] = gateway.samples(1)
    assert sample.source == "slot"
    assert gateway.original.received == []


@every_face
def test_before_the_first_one_the_original_answers_in_its_own_words(gateway: Served, face: str) -> None:
    async def broken(request: Received, answering: Answering) -> None:
        await asyncio.sleep(SECONDS / 4)
        await answering.whole(500, {})

    gateway.model.handler, gateway.original.handler = broken, refusing(face)
    gateway.gateway.heartbeat_seconds = 2.0
    answer = gateway.client.post(PATHS[face], json=request(face, CODE, stream=True))
    assert (answer.status_code, answer.json()) == (429, refusal(face))
    assert (answer.headers["retry-after"], answer.headers["x-ratelimit-remaining"]) == ("7", "0")


@every_face
@pytest.mark.parametrize("why", ["no stream", "no time"])
def test_none_where_nobody_waits_for_long(gateway: Served, face: str, why: str) -> None:
    """A caller that takes one body gets its status with it; a deadline that is near is waited for in silence."""
    gateway.model.handler, gateway.original.handler = thinking(500), refusing(face)
    if why == "no time":
        gateway.change("coding", deadline_seconds=1.5 * SECONDS)
    answer = gateway.client.post(PATHS[face], json=request(face, CODE, stream=why == "no time"))
    assert (answer.status_code, answer.json()) == (429, refusal(face))
    assert answer.headers["retry-after"] == "7"


@every_face
@pytest.mark.parametrize("late", ["refused", "unusable", "too late"])
def test_a_model_that_fails_later_is_replaced_in_the_stream(gateway: Served, face: str, late: str) -> None:
    text = canned.ORIGINAL_SAYS["coding"]
    gateway.model.handler = thinking(500) if late == "refused" else thinking(text="")
    if late == "too late":
        gateway.change("coding", deadline_seconds=3 * SECONDS)

    async def slowly(request: Received, answering: Answering) -> None:
        await asyncio.sleep(2.5 * SECONDS)
        await answering.events(EVENTS[face](text), {"x-request-id": "theirs"})

    gateway.original.handler = slowly
    headers = {"accept-encoding": "gzip, br"}
    answer = gateway.client.post(PATHS[face], json=request(face, CODE, stream=True), headers=headers)
    assert answer.status_code == 200
    assert answer.content.startswith(4 * HEARTBEATS[face])  # for the original too
    assert answer.content.endswith(b"".join(EVENTS[face](text)))
    assert answer.content.replace(HEARTBEATS[face], b"") == b"".join(EVENTS[face](text))
    assert gateway.original.received[0].header("accept-encoding") == "identity"
    [sample] = gateway.samples(1)
    assert (sample.source, sample.output) == ("fallback", text)


@every_face
@pytest.mark.parametrize("how", ["refuses", "is gone", "no stream", "packed"])
def test_what_the_original_cannot_say_any_more_is_an_error_in_the_stream(gateway: Served, face: str, how: str) -> None:
    gateway.model.handler = thinking(500)

    async def packed(request: Received, answering: Answering) -> None:
        pieces = flushed(EVENTS[face]("Hello."), "gzip")
        await answering.events(pieces, {"content-encoding": "gzip"})

    async def whole(request: Received, answering: Answering) -> None:
        await answering.whole(200, {"hello": "world"})

    match how:
        case "refuses":
            gateway.original.handler = refusing(face)
        case "is gone":
            gateway.original.close()
        case "no stream":
            gateway.original.handler = whole
        case _:
            gateway.original.handler = packed
    answer = gateway.client.post(PATHS[face], json=request(face, CODE, stream=True))
    assert answer.status_code == 200
    *_, (name, data) = read_events(answer.content)
    assert name == ("" if face == "chat" else "error")
    error = json.loads(data)["error"]
    if how == "refuses":
        assert error == refusal(face)["error"]
    else:
        assert "cannot be reached" in error["message"] if how == "is gone" else "status 200" in error["message"]
    no_decision_is_ours(gateway)


def no_decision_is_ours(gateway: Served) -> None:
    figures, recorder = gateway.gateway.figures, gateway.gateway.recorder
    until(lambda: figures.in_flight == 0 and recorder.figures.unreadable == 1, "the end of the call")
    assert gateway.samples(0) == []


@every_face
def test_who_leaves_meanwhile_is_not_waited_for(gateway: Served, face: str) -> None:
    async def never(request: Received, answering: Answering) -> None:
        await answering.until_caller_leaves()
        request.left.set()

    gateway.model.handler = never
    ask_and_leave(gateway, face, when=had(HEARTBEATS[face]), prompt=CODE)
    assert gateway.model.received[0].left.wait(60)
    no_decision_is_kept(gateway)
    assert gateway.original.received == []


@pytest.mark.parametrize("fails", [False, True], ids=["slot", "fallback"])
def test_the_vendors_own_clients_read_past_them(gateway: Served, fails: bool) -> None:
    import anthropic
    import openai

    gateway.model.handler = thinking(500) if fails else thinking()
    text = (canned.ORIGINAL_SAYS if fails else canned.MODEL_SAYS)["coding"]
    asked: list[Any] = [{"role": "user", "content": CODE}]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-mine", max_retries=0) as client:
        chunks = list(client.chat.completions.create(model="gpt-4o", messages=asked, stream=True))
        assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices).strip() == text
        *_, last = client.responses.create(model="gpt-4o", input=CODE, stream=True)
        assert last.type == "response.completed"
        assert last.response.output_text.strip() == text
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="sk-ant-mine", max_retries=0) as anthropics,
        anthropics.messages.stream(model="claude-x", max_tokens=8192, messages=asked) as stream,
    ):
        assert stream.get_final_text().strip() == text


def test_the_vendors_own_clients_raise_what_the_original_says_too_late(gateway: Served) -> None:
    import anthropic
    import openai

    gateway.model.handler = thinking(500)
    asked: list[Any] = [{"role": "user", "content": CODE}]
    gateway.original.handler = refusing("chat")
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-mine", max_retries=0) as client:
        with pytest.raises(openai.APIError, match="Slow down"):
            list(client.chat.completions.create(model="gpt-4o", messages=asked, stream=True))
        with pytest.raises(openai.APIError, match="Slow down"):
            list(client.responses.create(model="gpt-4o", input=CODE, stream=True))
    gateway.original.handler = refusing("messages")
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="sk-ant-mine", max_retries=0) as anthropics,
        pytest.raises(anthropic.APIStatusError, match="Slow down"),
        anthropics.messages.stream(model="claude-x", max_tokens=8192, messages=asked) as stream,
    ):
        stream.get_final_text()


SCRIPT = r"""
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const [, , modules, origin, prompt] = process.argv;
const require = createRequire(pathToFileURL(modules + '/'));
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const { streamText } = await load('ai');
const { createOpenAI } = await load('@ai-sdk/openai');
const { createAnthropic } = await load('@ai-sdk/anthropic');
const openai = createOpenAI({ baseURL: origin + '/v1', apiKey: 'sk-mine' });
const anthropic = createAnthropic({ baseURL: origin + '/v1', apiKey: 'sk-ant-mine' });
const models = { chat: openai.chat('gpt-4o'), responses: openai.responses('gpt-4o'), messages: anthropic('claude-x') };
const out = {};
for (const [name, model] of Object.entries(models)) {
  const errors = [];
  const onError = ({ error }) => errors.push(String(error.message ?? error));
  const { textStream } = streamText({ model, prompt, maxRetries: 0, onError });
  let text = '';
  for await (const part of textStream) text += part;
  out[name] = { text, errors };
}
console.log(JSON.stringify(out));
"""


@pytest.mark.parametrize("fails", [False, True], ids=["slot", "fallback"])
def test_the_ai_sdk_reads_past_them(gateway: Served, tmp_path: Path, fails: bool) -> None:
    folder = node_folder("@ai-sdk/anthropic")
    gateway.model.handler = thinking(500) if fails else thinking()
    text = (canned.ORIGINAL_SAYS if fails else canned.MODEL_SAYS)["coding"]
    script = tmp_path / "judge.mjs"
    script.write_text(SCRIPT)
    command = ["node", str(script), str(folder), gateway.url, CODE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = {name: (one["text"].strip(), one["errors"]) for name, one in json.loads(done.stdout).items()}
    assert found == {name: (text, []) for name in PATHS}
