"""A recorded call to a provider, read by the dialect it was in; what the import of request logs is handed."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from reasoning_cli.gateway.dialects import chat, messages, responses
from reasoning_cli.gateway.dialects.events import read_events
from reasoning_cli.gateway.dialects.forms import Face, Heard, Unreadable
from reasoning_cli.gateway.target import face_of
from reasoning_cli.operations.data.ingest.http_exchanges import Exchange


def read_exchange(path: str, body: Mapping[str, object], answer: object) -> Exchange | None:
    """What was asked and answered; None for a call of no known dialect. `answer` is JSON or the text of a stream."""
    face = _face(path, body, answer)
    asked = face.read(dict(body)) if face is not None else None
    if face is None or asked is None:
        return None
    heard = _heard(face, answer)
    return Exchange(
        text=asked.text,
        system=asked.system,
        tools=asked.tools,
        turns=asked.turns,
        has_images=asked.has_images,
        model=(heard.model if heard is not None else None) or asked.model,
        provider=face.upstream,
        answer=heard.text if heard is not None else None,
        is_whole=heard is not None and heard.whole,
        has_tool_calls=heard is not None and bool(heard.tool_calls),
        prompt_tokens=heard.prompt_tokens if heard is not None else None,
        completion_tokens=heard.completion_tokens if heard is not None else None,
        cached_tokens=heard.cached_tokens if heard is not None else None,
        max_tokens=asked.max_tokens,
    )


def _face(path: str, body: Mapping[str, object], answer: object) -> Face | None:
    """The dialect by the path; without one by what only one dialect has."""
    if path:
        return face_of("POST", urlsplit(path).path)
    if "input" in body and "messages" not in body:
        return responses.FACE
    is_message = answer.get("type") == "message" if isinstance(answer, dict) else "message_start" in str(answer)[:200]
    return messages.FACE if is_message else chat.FACE


def _heard(face: Face, answer: object) -> Heard | None:
    try:
        if isinstance(answer, str):
            return face.hear_events(read_events(answer.encode("utf-8", "replace")))
        return face.hear(answer) if isinstance(answer, dict) else None
    except (Unreadable, ValueError, AttributeError, TypeError, KeyError):
        return None
