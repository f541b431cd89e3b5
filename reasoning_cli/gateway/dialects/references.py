"""Items of our models' answers that a client names later, where it takes the provider to keep them.

The provider does not know them, and no memory of ours would outlive every conversation, nor be shared by all workers
and hosts. So the id of such an item holds the item itself, and a request that names it is given the item in its place.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

import orjson

from reasoning_cli.gateway.dialects.forms import MOST_OBJECTS, Json, begun_in, json_of, new_id, objects

_MARK = "_own_"
_RANDOM = 32  # as many digits as of any other id: two answers may say the same
_KINDS = ("message", "function_call", "custom_tool_call")
# What the ids of one request may unpack to, items of ours or not: an id is short, and what is packed in it need not be.
LONGEST_RESTORED_BYTES = 8 * 1024 * 1024
_LEAST_BYTES = 1024  # that an id counts for: to begin with one takes as long


@dataclass(slots=True)
class _Room:
    """What is left for the ids of one request: anybody can make some up, and all calls wait while one is read."""

    bytes: int
    objects: int


def with_id(item: Json, prefix: str, *, may_be_named: bool) -> Json:
    """An item with an id that begins with `prefix` (`msg_`); with one that holds it, where it `may_be_named`."""
    if not may_be_named:
        return {"id": new_id(prefix), **item}
    held = urlsafe_b64encode(zlib.compress(orjson.dumps(item))).rstrip(b"=").decode()
    return {"id": f"{prefix.rstrip('_')}{_MARK}{new_id('')}_{held}", **item}


def restored(body: Json) -> Json | None:
    """A request with our items where it names them, and without their ids where it sends them; None where it does
    neither. What is not an id of ours, or cannot be read any more, stays for the provider to judge."""
    given = body.get("input")
    if not any(_MARK in str(item.get("id", "")) for item in objects(given)):
        return None
    assert isinstance(given, list)
    room = _Room(LONGEST_RESTORED_BYTES, MOST_OBJECTS)
    items, changed = [], False
    for item in given:
        named = _held(item.get("id"), room) if isinstance(item, dict) else None
        if named is None:
            items.append(item)
            continue
        changed = True
        is_named = item.get("type") == "item_reference"
        items.append(named if is_named else {name: value for name, value in item.items() if name != "id"})
    return {**body, "input": items} if changed else None


def _held(id_: object, room: _Room) -> Json | None:
    """The item that an id holds; None where it is another id, or nothing is left for it. What was unpacked is taken off
    what is left, whatever it was."""
    before, mark, rest = str(id_).partition(_MARK)
    if not mark or not before.isalpha() or room.bytes <= 0:
        return None
    packed = rest[_RANDOM + 1 :]
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(urlsafe_b64decode(packed + "=" * (-len(packed) % 4)), room.bytes)
        room.bytes -= max(len(text), _LEAST_BYTES)
        room.objects -= begun_in(text)
        item = json_of(text) if unpacking.eof and room.objects >= 0 else None
    except (ValueError, zlib.error):
        return None
    return item if isinstance(item, dict) and item.get("type") in _KINDS else None
