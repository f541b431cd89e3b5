"""One row of ElizaOS's `logs` table, read as a sample.

A row is `{id, created_at, entity_id, room_id, type, body}`; the body of a `useModel:*` row is the model call with its
prompt and its response. Bodies changed over time: from 1.6 on they hold the system prompt; 1.0 has neither time nor
duration and keeps the prompt under `params`; some exports write the body as a JSON string.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from reasoning_cli.decisions.answers import InvalidAnswer, decision_of, read_answer
from reasoning_cli.decisions.prompts import agent_name, sender_id, shape_of
from reasoning_cli.decisions.recognise import recognise, without_codes
from reasoning_cli.sources.rows import parsed
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.times import read_time

ORIGIN = "elizaos-logs"
TOON = "answer in TOON, which is not supported"

# Names the content of rows that carry no id of their own, so that importing them twice finds them again.
_NAMESPACE = UUID("5f0c2f5e-6f0b-5c58-9d0b-6a1f6d1f2c11")
_CALL = "useModel:"
_NO_TEXT = {
    "TEXT_EMBEDDING": "embedding",
    "IMAGE": "image",
    "IMAGE_DESCRIPTION": "image",
    "TEXT_TOKENIZER_ENCODE": "tokenizer",
    "TEXT_TOKENIZER_DECODE": "tokenizer",
    "TRANSCRIPTION": "audio",
    "TEXT_TO_SPEECH": "audio",
    "AUDIO": "audio",
    "VIDEO": "video",
    "OBJECT_SMALL": "structured object",
    "OBJECT_LARGE": "structured object",
}
_LONGEST_MS = 7 * 24 * 3600 * 1000


@dataclass(frozen=True)
class NoDecision:
    """A sound row that holds none of the three decisions, and why."""

    reason: str


class BadRow(ValueError):
    """A row that is broken, with what is wrong with it."""


def read_row(row: object) -> Sample | NoDecision:
    """The sample in a row of the `logs` table, or why there is none. Raises BadRow for what is not such a row."""
    if not isinstance(row, dict):
        raise BadRow("not a JSON object")
    kind, body = row.get("type"), _object(row.get("body"))
    if not isinstance(kind, str) or body is None:
        raise BadRow("no `type` and `body`: not a row of the `logs` table")
    if kind.startswith("prompt:"):
        return NoDecision("no response")
    if not kind.startswith(_CALL):
        return NoDecision("not a model call")
    model = _text(body, "modelKey", "modelType") or kind.removeprefix(_CALL)
    if model in _NO_TEXT:
        return NoDecision(_NO_TEXT[model])
    params = _object(body.get("params")) or {}
    prompt = _text(body, "prompt") or _text(params, "prompt")
    response = _text(body, "response")
    if prompt is None:
        return NoDecision("no prompt")
    if response is None or not response.strip():
        return NoDecision("no response")
    found = recognise(prompt)
    if found.model_type is None:
        return NoDecision(found.reason)
    if found.fmt != "xml":
        return NoDecision(TOON)

    prompt = without_codes(prompt)
    answer = read_answer(found.model_type, prompt, response)
    return storable(
        Sample(
            id=_text(row, "id") or content_id(row),
            created_at=_time(row, body),
            model_type=found.model_type,
            model=model,
            source="original",
            origin=ORIGIN,
            prompt=prompt,
            output=response,
            system=_text(body, "systemPrompt") or _text(params, "system"),
            decision=None if isinstance(answer, InvalidAnswer) else decision_of(answer),
            agent_id=_text(row, "entity_id", "entityId"),
            agent_name=agent_name(prompt),
            room_id=_text(row, "room_id", "roomId"),
            run_id=_text(body, "runId"),
            entity_id=sender_id(prompt),
            provider=_text(body, "provider"),
            latency_ms=milliseconds(body.get("executionTime")),
            shape=shape_of(prompt),
        )
    )


def _object(value: object) -> Mapping[str, object] | None:
    """An object, also when it was written as a string of JSON."""
    if isinstance(value, str):
        try:
            value, _ = parsed(value.encode())
        except UnicodeEncodeError:
            return None
    return value if isinstance(value, dict) else None


def _text(holder: Mapping[str, object], *names: str) -> str | None:
    """The first non-empty string under these names, or None."""
    values = map(holder.get, names)
    return next((value for value in values if isinstance(value, str) and value), None)


def _time(row: Mapping[str, object], body: Mapping[str, object]) -> datetime:
    """When the call was logged."""
    values = [row.get("created_at"), row.get("createdAt"), body.get("timestamp")]
    for value in values:
        if (moment := read_time(value)) is not None:
            return moment
    raise BadRow("no `created_at`" if values == [None] * 3 else "`created_at` is not a time that can be read")


def milliseconds(value: object) -> int | None:
    """How long a call took, if that can be."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LONGEST_MS:
        return round(value)
    return None


def content_id(content: object) -> str:
    """An id made of what is there, so that the same is found again."""
    return str(uuid5(_NAMESPACE, json.dumps(content, sort_keys=True)))


def storable(sample: Sample) -> Sample:
    """The sample, if every text in it is text: JSON can spell characters that no file or database keeps."""
    for value in vars(sample).values():
        if isinstance(value, str):
            if "\0" in value:
                raise BadRow("holds a NUL character")
            try:
                value.isascii() or value.encode()
            except UnicodeEncodeError:
                raise BadRow("holds half a Unicode character") from None
    return sample
