"""Only an end that a model came to by itself makes an answer whole, whatever the dialect and whoever answered."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.gateway.dialects import chat, messages, responses
from reasoning_cli.gateway.dialects.events import read_events
from reasoning_cli.operations.data.browse import look_at
from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.operations.data.export.run import ExportRequest, export_samples
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample
from tests.gateway import canned
from tests.gateway.official import CODE
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Handler, Received
from tests.gateway.serving import Served, served

Json = dict[str, Any]
FACES = {"responses": responses.DIALECT, "chat": chat.DIALECT, "messages": messages.DIALECT}
WHOLE = ("stop", "eos", "tool_calls", "function_call", "end_turn", "tool_use", "stop_sequence")
CUT = (
    *("length", "max_tokens", "error", "content_filter", "abort", "refusal", "pause_turn"),
    *("model_context_window_exceeded", "repetition", "something new", None),
)
TEXT = canned.ORIGINAL_SAYS["coding"]
every_face = pytest.mark.parametrize("face", PATHS)
whole_or_stream = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def ending(face: str, reason: str | None, stream: bool, text: str = TEXT) -> Json | list[bytes]:
    """An answer of the original that ends so."""
    if face == "chat":
        if not stream:
            return canned.chat_answer(text, finish=reason)  # type: ignore[arg-type]
        begins, *rest, _, done = canned.chat_events(text)
        end = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}}]}
        end["choices"][0]["finish_reason"] = reason  # type: ignore[index]
        return [begins, *rest, canned.sse(end), done]
    if face == "messages":
        if not stream:
            return {**canned.messages_answer(text), "stop_reason": reason}
        *rest, _, done = canned.messages_events(text)
        delta = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 20}}
        return [*rest, canned.sse(delta, "message_delta"), done]
    answer = canned.responses_answer(text)
    if reason not in WHOLE:
        answer["status"], answer["incomplete_details"] = "incomplete", {"reason": reason}
    if not stream:
        return answer
    *rest, _ = canned.responses_events(text)
    kind = f"response.{answer['status']}"
    return [*rest, canned.sse({"type": kind, "response": answer}, kind)]


def saying(answer: Json | list[bytes]) -> Handler:
    async def handler(request: Received, answering: Answering) -> None:
        if isinstance(answer, list):
            await answering.events(answer)
        else:
            await answering.whole(200, answer)

    return handler


def text_of(face: str, stream: bool, content: bytes) -> str:
    dialect = FACES[face]
    return (dialect.capture_events(read_events(content)) if stream else dialect.capture(json.loads(content))).text


def exported(database: Path, **rules: Any) -> list[Json]:
    """The lines of an export of all that can be exported."""
    lines = io.BytesIO()
    with open_store(database) as store:
        export_samples(store, lines, ExportRequest(rules=Rules(**rules)), now=datetime.now(UTC))
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def problem_of(database: Path, sample: Sample) -> str | None:
    with open_store(database) as store:
        return look_at(store, sample).problem


@every_face
@whole_or_stream
def test_an_answer_of_the_original_is_whole_by_a_natural_end_alone(tmp_path: Path, face: str, stream: bool) -> None:
    with served(tmp_path, slots=False) as gateway:
        for reason in (*WHOLE, *CUT):
            gateway.original.handler = saying(ending(face, reason, stream))
            answer = gateway.client.post(PATHS[face], json=request(face, CODE, stream=stream))
            assert text_of(face, stream, answer.content) == TEXT  # the agent gets what the original said
        samples = gateway.samples(len(WHOLE) + len(CUT))
        cut = [None] * len(WHOLE) + [reason or ("incomplete" if face == "responses" else "no end") for reason in CUT]
        assert [one.cut for one in samples] == cut
        assert [one.decision for one in samples] == ["python"] * len(WHOLE) + [None] * len(CUT)
        problems = [problem_of(gateway.database, one) for one in samples]
        assert len(exported(gateway.database)) == len(WHOLE)
        assert problems == [None if why is None else f"it was cut ({why})" for why in cut]


@every_face
@whole_or_stream
@pytest.mark.parametrize("model_type", ["should_respond", "coding"])
def test_a_slots_answer_reaches_the_agent_by_a_natural_end_alone(
    gateway: Served, face: str, stream: bool, model_type: str
) -> None:
    prompt = CODE if model_type == "coding" else PROMPTS[model_type]
    said = canned.MODEL_SAYS[model_type]
    for reason in (*WHOLE, *CUT):
        for slot in ("should_respond", "coding"):
            gateway.gateway.circuits[gateway.gateway.book.view.slots[slot].circuit].succeeded()
        finish: Any = reason
        gateway.model.handler = canned.saying("", **canned.chat_answer(said, "acme/model", finish))
        answer = gateway.client.post(PATHS[face], json=request(face, prompt, stream=stream))
        source = answer.headers.get("x-reasoning-source")
        assert (source == "slot") == (reason in WHOLE), reason
        heard = text_of(face, stream, answer.content)
        assert heard == (said if reason in WHOLE else canned.ORIGINAL_SAYS[model_type]), reason
