"""Server-sent events: read from bytes as they came, written as the vendors' own clients want them."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from reasoning_cli.gateway.faces.forms import Json


def event(data: Json, name: str | None = None) -> bytes:
    """One event."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + orjson.dumps(data) + b"\n\n"


def read_events(content: bytes) -> Iterator[tuple[str, str]]:
    """The (name, data) of each whole event of a stream; a last one that was cut is left out."""
    text = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    blocks = text.split("\n\n")
    for block in blocks[:-1]:
        name, data = "", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        if data:
            yield name, "\n".join(data)
