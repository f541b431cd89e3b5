"""A recorded call to a provider, read by the dialect it was in; what the import of request logs is handed."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from reasoning_cli.gateway.dialects import chat, messages, responses
from reasoning_cli.gateway.dialects.events import read_events
from reasoning_cli.gateway.dialects.forms import CapturedResponse, Dialect, Unreadable
from reasoning_cli.gateway.target import dialect_of
from reasoning_cli.operations.data.ingest.http_exchanges import Exchange


def read_exchange(path: str, body: Mapping[str, object], answer: object) -> Exchange | None:
    """What was asked and answered; None for a call of no known dialect. `answer` is JSON or the text of a stream."""
    dialect = _dialect(path, body, answer)
    asked = dialect.read(dict(body)) if dialect is not None else None
    if dialect is None or asked is None:
        return None
    captured = _captured(dialect, answer)
    return Exchange(
        text=asked.text,
        system=asked.system,
        tools=asked.tools,
        turns=asked.turns,
        has_images=asked.has_images,
        model=(captured.model if captured is not None else None) or asked.model,
        provider=dialect.upstream,
        answer=captured.text if captured is not None else None,
        is_whole=captured is not None and captured.whole,
        has_tool_calls=captured is not None and bool(captured.tool_calls),
        prompt_tokens=captured.prompt_tokens if captured is not None else None,
        completion_tokens=captured.completion_tokens if captured is not None else None,
        cached_tokens=captured.cached_tokens if captured is not None else None,
        max_tokens=asked.max_tokens,
    )


def _dialect(path: str, body: Mapping[str, object], answer: object) -> Dialect | None:
    """The dialect by the path; without one by what only one dialect has."""
    if path:
        return dialect_of("POST", urlsplit(path).path)
    if "input" in body and "messages" not in body:
        return responses.DIALECT
    is_message = answer.get("type") == "message" if isinstance(answer, dict) else "message_start" in str(answer)[:200]
    return messages.DIALECT if is_message else chat.DIALECT


def _captured(dialect: Dialect, answer: object) -> CapturedResponse | None:
    try:
        if isinstance(answer, str):
            return dialect.capture_events(read_events(answer.encode("utf-8", "replace")))
        return dialect.capture(answer) if isinstance(answer, dict) else None
    except (Unreadable, ValueError, AttributeError, TypeError, KeyError):
        return None
