"""Server-sent events: read from bytes as they came, written as the vendors' own clients want them."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from reasoning_cli.gateway.faces.forms import Json

# What OpenAI's streams end with, and those of many who speak its dialects.
DONE = "[DONE]"


def event(data: Json, name: str | None = None) -> bytes:
    """One event."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + orjson.dumps(data) + b"\n\n"


def read_events(content: bytes) -> Iterator[tuple[str, str]]:
    """The (name, data) of each whole event of a stream; a last one that was cut is left out."""
    return filter(None, map(_event, _blocks(content)))


def last_event(content: bytes) -> tuple[str, str] | None:
    """The last whole event of a stream. Those before it are not read: it may be long."""
    return next(filter(None, map(_event, reversed(_blocks(content)))), None)


def _blocks(content: bytes) -> list[str]:
    text = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    *blocks, last = text.split("\n\n")
    # Where a stream was cut, only the line may be missing that ends an event.
    if (found := _event(last)) is not None and _is_whole(found[1]):
        blocks.append(last)
    return blocks


def _event(block: str) -> tuple[str, str] | None:
    name, data = "", []
    for line in block.split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
    return (name, "\n".join(data)) if data else None


def _is_whole(data: str) -> bool:
    try:
        return data.strip() == DONE or isinstance(orjson.loads(data), dict)
    except ValueError:
        return False
