"""Server-sent events: read from bytes as they came, written as the vendors' own clients want them."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from reasoning_cli.gateway.dialects.forms import Json, json_of

# What OpenAI's streams end with, and those of many who speak its dialects.
DONE = "[DONE]"
# From the end of a stream: what follows its last event is a comment or two.
_LOOKED_AT = 16
# A comment: clients read past it. OpenAI's dialects know no event that means nothing.
COMMENT = b": still at work\n\n"


def event(data: Json, name: str | None = None) -> bytes:
    """One event."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + orjson.dumps(data) + b"\n\n"


def read_events(content: bytes) -> Iterator[tuple[str, str]]:
    """The (name, data) of each whole event of a stream; a last one that was cut is left out."""
    text, at = _text(content), 0
    while (end := text.find("\n\n", at)) >= 0:  # one by one: all at once they would hold up who does something else
        if (found := _event(text[at:end])) is not None:
            yield found
        at = end + 2
    if (found := _unended(text[at:])) is not None:
        yield found


def last_event(content: bytes) -> tuple[str, str] | None:
    """The last whole event of a stream, however long it is; None where nothing but comments stand for long."""
    *blocks, last = _text(content).rsplit("\n\n", _LOOKED_AT)
    if len(blocks) == _LOOKED_AT:
        del blocks[0]  # all there is before the others
    return _unended(last) or next(filter(None, map(_event, reversed(blocks))), None)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


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


def _unended(block: str) -> tuple[str, str] | None:
    """The event at the end of a stream, if what it lacks, where it was cut, is only the line that ends an event."""
    found = _event(block)
    try:
        is_whole = found is not None and (found[1].strip() == DONE or isinstance(json_of(found[1]), dict))
    except ValueError:
        return None
    return found if is_whole else None
