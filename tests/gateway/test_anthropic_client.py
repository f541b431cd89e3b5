"""Anthropic's own clients as the judges of the messages face: the Python one in strict use, and the TypeScript one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reasoning_cli.gateway.dialects.forms import Json
from tests.gateway import canned
from tests.gateway.node import node_folder
from tests.gateway.official import CODE, ONE_FILE, TWO_FILES, anthropic_tools, relaying, sandboxed
from tests.gateway.prompts import PROMPTS
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served

if TYPE_CHECKING:  # takes long to load: by whoever runs these tests, not by all who collect them
    import anthropic

CALL_EVENTS = ["content_block_start", "content_block_delta", "content_block_stop"]


@contextmanager
def client_of(gateway: Served) -> Iterator[anthropic.Anthropic]:
    """The client, in the strictest way it can be used. Its base has no `/v1`."""
    import anthropic

    with anthropic.Anthropic(
        base_url=gateway.url, api_key="sk-ant-mine", _strict_response_validation=True, max_retries=0
    ) as client:
        yield client


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[tuple[Served, anthropic.Anthropic]]:
    with sandboxed(tmp_path) as gateway, client_of(gateway) as client:
        yield gateway, client


@pytest.fixture
def no_slots(tmp_path: Path) -> Iterator[tuple[Served, anthropic.Anthropic]]:
    with relaying(tmp_path) as gateway, client_of(gateway) as client:
        yield gateway, client


Judged = tuple[Served, "anthropic.Anthropic"]


def asked(text: str, **more: Any) -> Json:
    return {"model": "claude-x", "max_tokens": 8192, "messages": [{"role": "user", "content": text}], **more}


def billed(gateway: Served) -> tuple[int | None, int | None]:
    """The tokens of the one decision in the log, as the model billed them."""
    (sample,) = gateway.samples(1)
    assert sample.source == "slot"
    assert (sample.prompt_tokens or 0) > 10 < (sample.completion_tokens or 0)
    return sample.prompt_tokens, sample.completion_tokens


@pytest.mark.parametrize("model_type", ["should_respond", "planning", "coding"])
def test_whole(slots: Judged, model_type: str) -> None:
    gateway, client = slots
    answer = client.messages.create(**asked(PROMPTS[model_type], system="You are Nova."))
    assert (answer.type, answer.role, answer.model, answer.stop_reason) == (
        "message",
        "assistant",
        "claude-x",
        "end_turn",
    )
    (block,) = answer.content
    assert block.type == "text"
    assert ("```python" if model_type == "coding" else "<response>") in block.text
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == billed(gateway)
    assert answer.usage.cache_read_input_tokens == answer.usage.cache_creation_input_tokens == 0
    assert gateway.original.received == []


def test_stream(slots: Judged) -> None:
    gateway, client = slots
    events = list(client.messages.create(**asked(PROMPTS["planning"]), stream=True))
    assert [one.type for one in events if one.type != "ping"] == [
        "message_start",
        *CALL_EVENTS,
        "message_delta",
        "message_stop",
    ]
    delta = next(one for one in events if one.type == "message_delta")
    assert delta.delta.stop_reason == "end_turn"
    assert (delta.usage.input_tokens, delta.usage.output_tokens) == billed(gateway)


def test_the_clients_own_reading_of_a_stream(slots: Judged) -> None:
    gateway, client = slots
    with client.messages.stream(**asked(CODE)) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert "```python" in text
    assert [one.text for one in final.content if one.type == "text"] == [text]
    assert (final.usage.input_tokens, final.usage.output_tokens) == billed(gateway)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tools(slots: Judged, stream: bool) -> None:
    """Two files are read at once, their contents handed back, and the model answers in words."""
    gateway, client = slots
    body = asked(TWO_FILES, tools=anthropic_tools())

    def answer() -> Any:
        if not stream:
            return client.messages.create(**body)
        with client.messages.stream(**body) as events:
            names = [one.type for one in events if one.type.startswith(("message_", "content_block"))]
            assert names[0] == "message_start"
            assert names[-2:] == ["message_delta", "message_stop"]
            return events.get_final_message()

    first = answer()
    assert first.stop_reason == "tool_use"
    assert [(one.type, one.name, one.input) for one in first.content] == [
        ("tool_use", "Read", {"file_path": "app.py"}),
        ("tool_use", "Read", {"file_path": "lib.py"}),
    ]
    assert len({one.id for one in first.content}) == 2
    results: list[Json] = [
        {"type": "tool_result", "tool_use_id": one.id, "content": [{"type": "text", "text": "x = 1"}]}
        for one in first.content
    ]
    results[1] |= {"content": "no such file", "is_error": True}
    body["messages"] += [
        {
            "role": "assistant",
            "content": [one.model_dump(include={"type", "id", "name", "input"}) for one in first.content],
        },
        {
            "role": "user",
            "content": [*results, {"type": "text", "text": "<system-reminder>Be brief.</system-reminder>"}],
        },
    ]
    body["tools"] = anthropic_tools()
    last = answer()
    assert last.stop_reason == "end_turn"
    assert gateway.original.received == []
    # What the model was asked: results first, each to its call, and the text after them.
    sent = [one.metadata.get("tool_calls") for one in gateway.samples(2)]
    assert [one["id"] for one in sent[0] or []] == [one.id for one in first.content]


def test_a_call_without_arguments(slots: Judged) -> None:
    _, client = slots
    for stream in (False, True):
        body = asked("How is the status?", tools=anthropic_tools(), tool_choice={"type": "tool", "name": "get_status"})
        if stream:
            with client.messages.stream(**body) as events:
                final = events.get_final_message()
        else:
            final = client.messages.create(**body)
        assert [(one.type, one.name, one.input) for one in final.content] == [("tool_use", "get_status", {})]  # type: ignore[union-attr]


def test_one_call_at_a_time_when_asked(slots: Judged) -> None:
    _, client = slots
    choice = {"type": "any", "disable_parallel_tool_use": True}
    answer = client.messages.create(**asked(TWO_FILES, tools=anthropic_tools(), tool_choice=choice))
    assert [one.type for one in answer.content] == ["tool_use"]


def test_what_only_the_vendor_knows_goes_to_the_vendor(slots: Judged) -> None:
    gateway, client = slots
    search = {"type": "web_search_20250305", "name": "web_search"}
    thing = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    begun = [{"role": "user", "content": CODE}, {"role": "assistant", "content": "```python"}]
    for more in (
        {"tools": [*anthropic_tools(), search]},
        {"tools": anthropic_tools(), "extra_body": {"output_config": thing}},
        {"messages": begun},
    ):
        answer = client.messages.create(**{**asked(CODE), **more})
        assert answer.model == "claude-original"
    reasons = gateway.client.get("/stats").json()["model_types"]["coding"]["by_source"]["original"]["reasons"]
    assert reasons == {"a tool only its vendor knows": 1, "asks for structured output": 1} | {
        "asks to go on with an answer that was begun": 1
    }


def test_tokens_are_counted_by_the_original(slots: Judged, no_slots: Judged) -> None:
    slots[0].original.handler = no_slots[0].original.handler
    for gateway, client in (slots, no_slots):
        assert client.messages.count_tokens(model="claude-x", messages=asked(CODE)["messages"]).input_tokens == 42
        (sent,) = gateway.original.received
        assert sent.target == "/v1/messages/count_tokens"


def test_without_slots_the_client_gets_what_the_original_said(no_slots: Judged) -> None:
    gateway, client = no_slots
    for model_type in ("should_respond", "planning", "coding"):
        text = canned.ORIGINAL_SAYS[model_type]
        answer = client.messages.create(**asked(PROMPTS[model_type]))
        assert [one.text for one in answer.content if one.type == "text"] == [text]
        with client.messages.stream(**asked(PROMPTS[model_type])) as stream:
            assert stream.get_final_text() == text
    assert [one.source for one in gateway.samples(6)] == ["original"] * 6


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "invalid_request_error", "BadRequestError"),
        (401, "authentication_error", "AuthenticationError"),
        (429, "rate_limit_error", "RateLimitError"),
        (529, "overloaded_error", "InternalServerError"),
    ],
)
def test_errors_of_the_original_are_raised_as_without_us(
    no_slots: Judged, status: int, kind: str, error: str, stream: bool
) -> None:
    import anthropic

    gateway, client = no_slots

    async def refuses(request: Received, answering: Answering) -> None:
        problem = {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_1"}
        await answering.whole(status, problem, {"request-id": "req_1", "retry-after": "3"})

    gateway.original.handler = refuses
    with pytest.raises(getattr(anthropic, error)) as raised:
        client.messages.create(**asked(PROMPTS["planning"]), stream=stream)
    assert (raised.value.status_code, raised.value.request_id) == (status, "req_1")
    assert raised.value.body == {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_1"}
    assert raised.value.response.headers["retry-after"] == "3"


def test_an_error_in_the_middle_of_the_originals_stream_is_raised(no_slots: Judged) -> None:
    import anthropic

    gateway, client = no_slots

    async def breaks(request: Received, answering: Answering) -> None:
        events = canned.messages_events("begun")[:2]
        problem = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
        await answering.events([*events, canned.sse(problem, "error")])

    gateway.original.handler = breaks
    with pytest.raises(anthropic.APIStatusError, match="busy"), client.messages.stream(**asked(ONE_FILE)) as stream:
        stream.get_final_message()


SCRIPT = r"""
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const [, , modules, baseURL, task] = process.argv;
const require = createRequire(pathToFileURL(modules + '/'));
const { default: Anthropic } = await import(pathToFileURL(require.resolve('@anthropic-ai/sdk')).href);
const client = new Anthropic({ baseURL, apiKey: 'sk-ant-mine', maxRetries: 0 });
const { body, runs } = JSON.parse(task);
const out = {};
try {
  out.count = (await client.messages.countTokens({ model: body.model, messages: body.messages })).input_tokens;
} catch (e) { out.count = [e.constructor.name, e.status]; }
try {
  const whole = await client.messages.create(body);
  out.whole = { content: whole.content, stop: whole.stop_reason, usage: whole.usage, model: whole.model };
  const stream = client.messages.stream(body);
  const inputs = [], kinds = [];
  stream.on('inputJson', (part, snapshot) => inputs.push(snapshot));
  stream.on('streamEvent', (e) => kinds.push(e.type));
  const final = await stream.finalMessage();
  out.stream = { content: final.content, stop: final.stop_reason, usage: final.usage, kinds, inputs };
  if (final.stop_reason === 'tool_use') {
    const results = final.content.filter((b) => b.type === 'tool_use')
      .map((b) => ({ type: 'tool_result', tool_use_id: b.id, content: 'x = 1' }));
    const turn = { role: 'assistant', content: final.content };
    const messages = [...body.messages, turn, { role: 'user', content: results }];
    const next = await client.messages.stream({ ...body, messages }).finalMessage();
    out.next = { content: next.content, stop: next.stop_reason };
  }
} catch (e) {
  out.error = { name: e.constructor.name, status: e.status, type: e.error?.error?.type, id: e.requestID };
}
console.log(JSON.stringify(out));
"""


def typescript(gateway: Served, tmp_path: Path, **body: Any) -> Json:
    script = tmp_path / "judge.mjs"
    script.write_text(SCRIPT)
    done = subprocess.run(
        ["node", str(script), str(node_folder("@anthropic-ai/sdk")), gateway.url, json.dumps({"body": body})],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: Json = json.loads(done.stdout)
    return found


def test_the_typescript_client_with_slots(tmp_path: Path) -> None:
    node_folder("@anthropic-ai/sdk")
    with sandboxed(tmp_path) as gateway:
        found = typescript(gateway, tmp_path, **asked(CODE))
        assert found["whole"]["stop"] == found["stream"]["stop"] == "end_turn"
        assert "```python" in found["whole"]["content"][0]["text"]
        assert found["whole"]["content"] == found["stream"]["content"]
        assert found["whole"]["usage"]["output_tokens"] == found["stream"]["usage"]["output_tokens"] > 10
        found = typescript(gateway, tmp_path, **asked(TWO_FILES, tools=anthropic_tools()))
        for way in ("whole", "stream"):
            assert found[way]["stop"] == "tool_use"
            assert [one["input"] for one in found[way]["content"]] == [{"file_path": "app.py"}, {"file_path": "lib.py"}]
        assert found["stream"]["kinds"] == [
            "message_start",
            *CALL_EVENTS,
            *CALL_EVENTS,
            "message_delta",
            "message_stop",
        ]
        assert found["stream"]["inputs"] == [{"file_path": "app.py"}, {"file_path": "lib.py"}]
        assert found["next"]["content"][0]["text"] == "The tools said: x = 1 | x = 1"


def test_the_typescript_client_without_slots(tmp_path: Path) -> None:
    node_folder("@anthropic-ai/sdk")
    with relaying(tmp_path) as gateway:
        found = typescript(gateway, tmp_path, **asked(CODE))
        assert found["count"] == 42
        assert found["whole"]["content"] == [{"type": "text", "text": canned.ORIGINAL_SAYS["coding"]}]
        assert found["stream"]["content"] == found["whole"]["content"]

        async def refuses(request: Received, answering: Answering) -> None:
            problem = {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}
            await answering.whole(529, problem, {"request-id": "req_1"})

        gateway.original.handler = refuses
        found = typescript(gateway, tmp_path, **asked(CODE))
        assert found["count"] == ["OverloadedError", 529]
        assert found["error"] == {
            "name": "OverloadedError",
            "status": 529,
            "type": "overloaded_error",
            "id": "req_1",
        }
