"""What all dialects have in common: a request as read, an answer as written, an answer as captured.

The common tongue is that of chat completions: messages are its dicts (`role`, `content`, `tool_calls`,
`tool_call_id`), tools its `{"type": "function", "function": …}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import getrandbits
from typing import Any, Literal

import orjson

from reasoning_cli.decisions.turns import Untidy, arranged

Json = dict[str, Any]
# What the free text that a custom tool takes is called where tools take objects.
FREE_TEXT = "input"
# The space of names in which clients look anyway.
_USUAL_SPACE = "functions"
Finish = Literal["stop", "length", "tool_calls"]
Upstream = Literal["openai", "anthropic"]


class Untranslatable(ValueError):
    """A request that our model cannot be asked, and why in few words: it goes to the original provider."""


def in_order(messages: Iterable[Json]) -> list[Json]:
    """Messages as our models are asked them, and trained on them. Raises Untranslatable."""
    try:
        return arranged(messages)
    except Untidy as why:
        raise Untranslatable(str(why)) from None


def as_offered(calls: Iterable[ToolCall], tools: Sequence[Json]) -> tuple[ToolCall, ...]:
    """A model's calls as those of the tools a request offers: custom ones, and ones in a space of names."""
    kinds = {str(tool.get("name")): tool for tool in tools}

    def offered(call: ToolCall) -> ToolCall:
        tool = kinds.get(call.name, {})
        space = tool.get("namespace")
        return replace(call, custom=is_custom(tool), namespace=None if space == _USUAL_SPACE else space)

    return tuple(map(offered, calls))


def is_custom(tool: Json) -> bool:
    """Whether a tool takes free text. Anthropic calls all tools custom that are its customers' own."""
    return tool.get("type") == "custom" and "input_schema" not in tool


def text_function(tool: Json) -> Json:
    """A custom tool as the function of one text that our models are offered."""
    text = {"type": "object", "properties": {FREE_TEXT: {"type": "string"}}, "required": [FREE_TEXT]}
    return {**{name: tool[name] for name in ("name", "description") if name in tool}, "parameters": text}


def text_arguments(text: object) -> str:
    """What a custom tool is called with, as the arguments of that function."""
    return orjson.dumps({FREE_TEXT: str(text or "")}).decode()


def text_called_with(call: ToolCall) -> str:
    """The text in the arguments of such a call. Raises ValueError where a model gave something else."""
    text = json_of(call.arguments).get(FREE_TEXT)
    if not isinstance(text, str):
        raise ValueError("a custom tool takes text")
    return text


class Unreadable(ValueError):
    """An answer that is none in this dialect, or not a whole one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What recognition and routing need of a request: the last user message's text, and what else it carries.

    `user` is whom the decision is about, where the caller says so: nothing over HTTP does.
    """

    text: str
    model: str
    stream: bool
    system: str | None = None
    tools: Sequence[Json] = ()
    turns: int = 1
    has_images: bool = False
    max_tokens: int | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool; `arguments` is JSON as text. Of a `custom` tool, which takes free text, it is an object that
    holds it as FREE_TEXT. `namespace` is where the caller offers the tool, if in one."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of one of our models, to be written in the caller's dialect. Token counts are those it was billed;
    `stop_sequence` is what of the caller's ended it."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    finish: Finish = "stop"
    tool_calls: Sequence[ToolCall] = ()
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class CapturedResponse:
    """The original provider's answer, as it went by. `whole` is False for one that was cut, `end` what it called its
    end, `stopped_by` the text that ended it. Cached tokens are among those of the prompt."""

    text: str
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    whole: bool = True
    tool_calls: Sequence[ToolCall] = field(default_factory=tuple)
    end: str | None = None
    stopped_by: str | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """One dialect. `to_chat` and `conversation` raise Untranslatable, `capture` and `capture_events` raise Unreadable.

    `conversation` is what the log keeps of messages and tools, see `decisions.turns`.
    `read` takes a parsed body; None means it is not a call of this dialect, to be handed through. `write` gives the
    JSON body of an answer, `events` its server-sent events. `capture_events` takes (event name, data) pairs; `ends`
    says of such a pair whether it is a stream's last. `write` and `events` are handed the request's body, too.
    `restored` gives a request whole that names what our models said, None for any other. `heartbeat` is what a stream
    may begin with and means nothing; `error_event` writes what `error` gives, or the provider's own error, as an event
    that ends a stream.
    """

    name: str
    upstream: Upstream
    read: Callable[[Json], Asked | None]
    to_chat: Callable[[Json], Json]
    conversation: Callable[[Json], str | None]
    write: Callable[[Reply, Json], Json]
    events: Callable[[Reply, Json], Iterator[bytes]]
    error: Callable[[int, str], Json]
    capture: Callable[[Json], CapturedResponse]
    capture_events: Callable[[Iterable[tuple[str, str]]], CapturedResponse]
    ends: Callable[[str, str], bool]
    heartbeat: bytes
    error_event: Callable[[Json], bytes]
    restored: Callable[[Json], Json | None] = lambda _: None


_TEXT_ALONE = {"text"}
# Those that stand in texts are counted too.
MOST_OBJECTS = 250_000


def text_of(content: object, kinds: Sequence[str] = ("text", "input_text", "output_text"), between: str = "\n") -> str:
    """The text of a message's content: a string, or the text parts of a list. Those of an answer belong together: they
    have nothing `between` them."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part if isinstance(part, str) else part.get("text") for part in content if _is_text(part, kinds)]
    return between.join(part for part in parts if isinstance(part, str))


def kinds_of(content: object) -> set[str]:
    """The kinds of parts in a message's content; a string is `text`."""
    if not isinstance(content, list):
        return _TEXT_ALONE
    return {str(part.get("type")) if isinstance(part, dict) else "text" for part in content}


def new_id(prefix: str) -> str:
    """An id such as providers give. Made without the system: the loop would wait there for the log's writer."""
    return f"{prefix}{getrandbits(128):032x}"


def objects(value: object) -> list[Json]:
    """The objects of a list; what is none is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def begun_in(content: bytes | str) -> int:
    """How many objects and lists JSON may hold at the most."""
    if isinstance(content, bytes):
        return content.count(b"[") + content.count(b"{")
    return content.count("[") + content.count("{")


def json_of(content: bytes | str) -> Any:
    """JSON of others, of no more objects and lists than any of them has need of: while more are made, and looked at by
    the garbage collector, all calls wait. Raises ValueError."""
    if begun_in(content) > MOST_OBJECTS:
        raise ValueError("too many objects")
    return orjson.loads(content)


def whole_number(value: object) -> int | None:
    """A count as JSON gives it, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def sampling(body: Mapping[str, Any], names: Mapping[str, str]) -> Json:
    """The sampling settings of a request, named as in chat completions; a 0 stays 0, what is absent stays so."""
    return {ours: body[theirs] for theirs, ours in names.items() if body.get(theirs) is not None}


def _is_text(part: object, kinds: Sequence[str]) -> bool:
    return isinstance(part, str) or (isinstance(part, dict) and part.get("type", "text") in kinds)
