"""OpenAI's own client as the judge of the responses and chat faces, validating every field it knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from reasoning_cli.gateway.dialects.forms import Json
from tests.gateway import canned
from tests.gateway.official import CODE, ONE_FILE, TWO_FILES, chat_tools, relaying, responses_tools, sandboxed
from tests.gateway.prompts import PROMPTS
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served

if TYPE_CHECKING:  # takes long to load: by whoever runs these tests, not by all who collect them
    import openai

MESSAGE_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
CALL_EVENTS = [
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]


@contextmanager
def client_of(gateway: Served, **more: Any) -> Iterator[openai.OpenAI]:
    """The client, in the strictest way it can be used."""
    import openai

    with openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key="sk-mine", _strict_response_validation=True, max_retries=0, **more
    ) as client:
        yield client


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[tuple[Served, openai.OpenAI]]:
    with sandboxed(tmp_path) as gateway, client_of(gateway) as client:
        yield gateway, client


@pytest.fixture
def no_slots(tmp_path: Path) -> Iterator[tuple[Served, openai.OpenAI]]:
    with relaying(tmp_path) as gateway, client_of(gateway) as client:
        yield gateway, client


Judged = tuple[Served, "openai.OpenAI"]


def billed(gateway: Served) -> tuple[int | None, int | None]:
    """The tokens of the one decision in the log, as the model billed them."""
    (sample,) = gateway.samples(1)
    assert sample.source == "slot"
    assert (sample.prompt_tokens or 0) > 10 < (sample.completion_tokens or 0)
    return sample.prompt_tokens, sample.completion_tokens


@pytest.mark.parametrize("model_type", ["should_respond", "planning", "coding"])
def test_responses_whole(slots: Judged, model_type: str) -> None:
    gateway, client = slots
    answer = client.responses.create(model="gpt-4o", instructions="You are Nova.", input=PROMPTS[model_type])
    assert (answer.status, answer.model, answer.error, answer.incomplete_details) == ("completed", "gpt-4o", None, None)
    assert ("```python" if model_type == "coding" else "<response>") in answer.output_text
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == billed(gateway)
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert gateway.original.received == []


def test_responses_stream(slots: Judged) -> None:
    gateway, client = slots
    with client.responses.stream(model="gpt-4o", input=PROMPTS["planning"]) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [one.type for one in events] == MESSAGE_EVENTS
    assert [one.sequence_number for one in events] == list(range(len(events)))  # type: ignore[union-attr]
    assert final.output_text.startswith("<response>")
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == billed(gateway)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_responses_with_tools(slots: Judged, stream: bool) -> None:
    """Two files are read at once, their contents handed back, and the model answers in words."""
    gateway, client = slots
    asked: list[Any] = [{"role": "user", "content": TWO_FILES}]

    def answer() -> tuple[Any, list[str]]:
        if not stream:
            return client.responses.create(model="gpt-4o", input=asked, tools=responses_tools()), []  # type: ignore[arg-type]
        with client.responses.stream(model="gpt-4o", input=asked, tools=responses_tools()) as events:  # type: ignore[arg-type]
            names = [one.type for one in events]
            return events.get_final_response(), names

    first, names = answer()
    calls = [item for item in first.output if item.type == "function_call"]
    assert [(one.name, json.loads(one.arguments)["file_path"]) for one in calls] == [
        ("Read", "app.py"),
        ("Read", "lib.py"),
    ]
    assert len({one.call_id for one in calls}) == len({one.id for one in calls}) == 2
    if stream:
        assert names == [*MESSAGE_EVENTS[:2], *CALL_EVENTS, *CALL_EVENTS, "response.completed"]
    asked += [item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in first.output]
    asked += [
        {"type": "function_call_output", "call_id": one.call_id, "output": f"text of {one.name} {number}"}
        for number, one in enumerate(calls)
    ]
    last, _ = answer()
    assert last.output_text == "The tools said: text of Read 0 | text of Read 1"
    assert [one.source for one in gateway.samples(2)] == ["slot", "slot"]
    assert gateway.original.received == []


@pytest.mark.parametrize("model_type", ["should_respond", "planning", "coding"])
def test_chat_whole(slots: Judged, model_type: str) -> None:
    gateway, client = slots
    answer = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": PROMPTS[model_type]}], temperature=0
    )
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == ("chat.completion", "gpt-4o", "stop")
    assert ("```python" if model_type == "coding" else "<response>") in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == billed(gateway)


@pytest.mark.parametrize("counted", [False, True], ids=["plain", "with usage"])
def test_chat_stream(slots: Judged, counted: bool) -> None:
    gateway, client = slots
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": CODE}],
            stream=True,
            stream_options={"include_usage": counted},
        )
    )
    assert len({one.id for one in chunks}) == 1
    spoken = chunks[:-1] if counted else chunks
    assert spoken[0].choices[0].delta.role == "assistant"
    assert "```python" in "".join(one.choices[0].delta.content or "" for one in spoken)
    assert [one.choices[0].finish_reason for one in spoken if one.choices[0].finish_reason] == ["stop"]
    assert [one.usage for one in spoken] == [None] * len(spoken)
    if counted:
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == billed(gateway)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_chat_with_tools(slots: Judged, stream: bool) -> None:
    gateway, client = slots
    messages: list[Any] = [{"role": "user", "content": TWO_FILES}]

    def answer() -> Any:
        if not stream:
            return client.chat.completions.create(model="gpt-4o", messages=messages, tools=chat_tools())  # type: ignore[arg-type]
        with client.chat.completions.stream(model="gpt-4o", messages=messages, tools=chat_tools()) as events:  # type: ignore[arg-type]
            events.until_done()
            return events.get_final_completion()

    first = answer().choices[0]
    calls = first.message.tool_calls
    assert first.finish_reason == "tool_calls"
    assert not first.message.content
    assert [json.loads(one.function.arguments) for one in calls] == [{"file_path": "app.py"}, {"file_path": "lib.py"}]
    assert len({one.id for one in calls}) == 2
    # OpenAI refuses an id of more than 40 characters, and it may be asked for the next turn.
    assert all(len(one.id) <= 40 for one in calls)
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [_call(one) for one in calls]},
        *({"role": "tool", "tool_call_id": one.id, "content": "x = 1"} for one in calls),
    ]
    last = answer().choices[0]
    assert (last.finish_reason, last.message.content) == ("stop", "The tools said: x = 1 | x = 1")
    assert gateway.original.received == []


def _call(call: Any) -> Json:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.function.name, "arguments": call.function.arguments},
    }


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_status"}}, "none"])
def test_a_choice_among_tools_is_kept_to(slots: Judged, choice: Any) -> None:
    gateway, client = slots
    answer = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": CODE}],
        tools=chat_tools(),  # type: ignore[arg-type]
        tool_choice=choice,
    )
    calls = answer.choices[0].message.tool_calls or []
    expected = {"required": ["Read"], "none": []}.get(choice if isinstance(choice, str) else "", ["get_status"])
    assert [one.function.name for one in calls] == expected  # type: ignore[union-attr]
    if expected == ["get_status"]:
        assert calls[0].function.arguments == "{}"  # type: ignore[union-attr]
    assert gateway.original.received == []


def test_one_call_at_a_time_when_asked(slots: Judged) -> None:
    _, client = slots
    answer = client.responses.create(
        model="gpt-4o",
        input=TWO_FILES,
        tools=responses_tools(),  # type: ignore[arg-type]
        parallel_tool_calls=False,
        tool_choice={"type": "function", "name": "Read"},
    )
    assert [one.type for one in answer.output] == ["function_call"]


def test_without_slots_the_client_gets_what_the_original_said(no_slots: Judged) -> None:
    gateway, client = no_slots
    for model_type in ("should_respond", "planning", "coding"):
        text = canned.ORIGINAL_SAYS[model_type]
        assert client.responses.create(model="gpt-4o", input=PROMPTS[model_type]).output_text == text
        chat = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": PROMPTS[model_type]}]
        )
        assert (chat.choices[0].message.content, chat._request_id) == (text, "up-1")
        streamed = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": PROMPTS[model_type]}], stream=True
        )
        assert "".join(one.choices[0].delta.content or "" for one in streamed) == text
        deltas = client.responses.create(model="gpt-4o", input=PROMPTS[model_type], stream=True)
        assert "".join(one.delta for one in deltas if one.type == "response.output_text.delta") == text
    assert [one.source for one in gateway.samples(12)] == ["original"] * 12


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (404, "NotFoundError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
    ],
)
def test_errors_of_the_original_are_raised_as_without_us(no_slots: Judged, status: int, error: str) -> None:
    import openai

    gateway, client = no_slots

    async def refuses(request: Received, answering: Answering) -> None:
        problem = {"message": "no", "type": "t", "param": None, "code": "odd"}
        await answering.whole(status, {"error": problem}, {"x-request-id": "req_1", "retry-after": "3"})

    gateway.original.handler = refuses
    with pytest.raises(getattr(openai, error)) as raised:
        client.responses.create(model="gpt-4o", input=PROMPTS["planning"])
    assert (raised.value.code, raised.value.request_id) == ("odd", "req_1")
    assert raised.value.response.headers["retry-after"] == "3"


def test_an_original_that_cannot_be_reached_is_an_error_the_client_knows(no_slots: Judged) -> None:
    import openai

    gateway, client = no_slots
    gateway.original.close()
    with pytest.raises(openai.InternalServerError, match="cannot be reached"):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": ONE_FILE}])


def test_a_body_that_came_in_parts_is_read(slots: Judged) -> None:
    """Chunked, as clients send what they stream up."""
    gateway, _ = slots
    body = json.dumps({"model": "gpt-4o", "input": PROMPTS["should_respond"]}).encode()
    answer = httpx.post(f"{gateway.url}/v1/responses", content=iter([body[:50], body[50:]]), timeout=60)
    assert (answer.status_code, answer.headers["x-reasoning-source"]) == (200, "slot")
