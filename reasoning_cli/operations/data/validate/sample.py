"""What Together takes as one sample of a fine-tuning file, and what else a model should not learn from.

Flaws come as few fixed phrases, fit for counting. Those Together would refuse are apart from those it takes and that
are mistakes all the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard

Kind = Literal["conversational", "tools", "reasoning", "instruction", "preference", "text", "tokenised"]

_ROLES = ("system", "user", "assistant", "tool")
_OUTPUTS = ("preferred_output", "non_preferred_output")  # the better and the worse answer of a preference
_NOT_BEFORE = {"user": ("user",), "assistant": ("", "system", "assistant")}
_KEYS: Mapping[str, frozenset[str]] = {
    "conversational": frozenset({"messages", "tools", "weight"}),
    "preference": frozenset({"input", "preferred_output", "non_preferred_output"}),
    "instruction": frozenset({"prompt", "completion", "weight"}),
    "text": frozenset({"text", "weight"}),
}
# The key that tells a format, in the order in which they are looked for.
_FORMATS_BY_KEY = (
    ("messages", "conversational"),
    ("preferred_output", "preference"),
    ("completion", "instruction"),
    ("text", "text"),
)
_MESSAGE_KEYS = frozenset(
    {"role", "content", "weight", "name", "tool_calls", "tool_call_id", "reasoning", "reasoning_content"}
)
# Images go in whole, of user messages only.
MOST_IMAGES = 10
MOST_IMAGE_BYTES = 10 * 1024 * 1024
_IMAGE = re.compile(r"data:image/(?:jpeg|png|webp|gif);base64,")
# Lines with calls or reasoning are conversations like others: Together's report says of a whole file whether some are
# in it (`dataset_has_tools`, `dataset_has_reasoning`), not that all are.
FORMATS: Mapping[Kind, str] = {"tools": "conversational", "reasoning": "conversational"}


@dataclass(frozen=True)
class SampleCheck:
    """What one sample is: its format, what Together refuses in it, what it takes but should not be there, the text
    that was asked and the text that is to be learnt."""

    kind: Kind | None
    refusals: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    asked: str = ""
    answer: str = ""
    texts: tuple[str, ...] = ()


def check_sample(sample: object) -> SampleCheck:
    """Judge one decoded line."""
    if not isinstance(sample, dict):
        return SampleCheck(None, ("not a JSON object",))
    formats = [name for key, name in _FORMATS_BY_KEY if key in sample]
    if not formats:
        return SampleCheck(None, ("none of the formats: no messages, prompt and completion, preferences or text",))
    if len(formats) > 1:
        return SampleCheck(None, ("fits two formats at once",))
    [name] = formats
    refusals = [f"a key beside the sample: {key}" for key in sorted(set(sample) - _KEYS[name])]
    weight = sample.get("weight")
    if weight is not None and not (_is_number(weight) and weight >= 0):
        refusals.append("a weight that is not a number from 0 on")
    match name:
        case "conversational":
            return _conversational(sample, refusals)
        case "preference":
            return _preference(sample, refusals)
        case "instruction":
            return _plain(sample, ("prompt", "completion"), "instruction", refusals)
        case _:
            return _plain(sample, ("text",), "text", refusals)


def _conversational(sample: Mapping[str, object], refusals: list[str]) -> SampleCheck:
    messages = sample["messages"]
    refusals += conversation_flaws(messages)
    kind: Kind = "conversational"
    asked = answer = ""
    texts: tuple[str, ...] = ()
    warnings: list[str] = []
    if isinstance(messages, list):
        mine = [message for message in messages if isinstance(message, dict)]
        if any("reasoning" in message or "reasoning_content" in message for message in mine):
            kind = "reasoning"
        if "tools" in sample or any("tool_calls" in message or message.get("role") == "tool" for message in mine):
            kind = "tools"
        texts = tuple(_texts(mine))
        asked, answer = _last_text(mine, "user"), _last_text(mine, "assistant")
        if mine and mine[-1].get("role") == "user":
            warnings.append("ends with a user message, which nobody answers")
        if any(message.get("role") == "assistant" and "<think" in _text(message) for message in mine):
            warnings.append("thinking in an answer")
    refusals += _tools_flaws(sample)
    return SampleCheck(kind, tuple(refusals), tuple(warnings), asked, answer, texts)


def _preference(sample: Mapping[str, object], refusals: list[str]) -> SampleCheck:
    given = sample.get("input")
    messages = given.get("messages") if isinstance(given, dict) else None
    if isinstance(given, dict):
        refusals += [f"a key beside the input: {key}" for key in sorted(set(given) - {"messages", "tools"})]
        refusals += _tools_flaws(given)
    refusals += _input_flaws(messages)
    outputs = {key: sample.get(key) for key in _OUTPUTS}
    for key, output in outputs.items():
        refusals += _output_flaws(key, output)
    better, worse = (_text(output[0]) if _is_answer(output) else "" for output in outputs.values())
    warnings = ("both outputs are the same",) if better and better == worse else ()
    mine = [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
    asked = _last_text(mine, "user")
    return SampleCheck("preference", tuple(refusals), warnings, asked, better, (*_texts(mine), better, worse))


def _input_flaws(messages: object) -> Iterator[str]:
    """What Together would refuse in the messages that two answers are compared for."""
    if messages is None:
        yield "no input with messages"
        return
    yield from (flaw for flaw in conversation_flaws(messages) if flaw != "no assistant message")
    if isinstance(messages, list) and messages and _role(messages[-1]) not in ("user", "tool"):
        yield "an input that does not end with the user"


def _output_flaws(key: str, output: object) -> Iterator[str]:
    if not _is_answer(output):
        yield f"{key} that is not one assistant message"
        return
    [message] = output
    yield from (f"a key beside a message: {key}" for key in sorted(set(message) - {"role", "content"}))
    if isinstance(message.get("content"), str):
        yield from _content_flaws(message)
    else:
        yield f"{key} that is not text"


def _is_answer(output: object) -> TypeGuard[list[dict[str, object]]]:
    """Whether it is a list of one assistant message."""
    return isinstance(output, list) and len(output) == 1 and _role(output[0]) == "assistant"


def _plain(sample: Mapping[str, object], keys: Sequence[str], kind: Kind, refusals: list[str]) -> SampleCheck:
    texts = []
    for key in keys:
        value = sample.get(key)
        if not isinstance(value, str):
            refusals.append(f"{key} that is not text")
            value = ""
        elif not value.strip():
            refusals.append(f"an empty {key}")
        elif "\0" in value:
            refusals.append("a NUL character")
        texts.append(value)
    return SampleCheck(kind, tuple(refusals), (), texts[0], texts[-1], tuple(texts))


def conversation_flaws(messages: object) -> list[str]:
    """What Together would refuse in a list of messages."""
    if not isinstance(messages, list) or not messages:
        return ["messages that are no list, or an empty one"]
    flaws: list[str] = []
    before = ""
    for place, message in enumerate(messages):
        role = _role(message)
        if not isinstance(message, dict) or role not in _ROLES:
            flaws.append("a message without a known role")
            before = ""
            continue
        flaws += [f"a key beside a message: {key}" for key in sorted(set(message) - _MESSAGE_KEYS)]
        flaws += _turn_flaws(role, before, is_first=not place)
        flaws += _content_flaws(message)
        flaws += _call_flaws(message)
        flaws += _weight_flaws(message)
        before = role
    if not any(_role(message) == "assistant" for message in messages):
        flaws.append("no assistant message")
    if sum(len(list(_images(message))) for message in messages) > MOST_IMAGES:
        flaws.append(f"more than {MOST_IMAGES} images")
    return flaws


def _turn_flaws(role: str, before: str, *, is_first: bool) -> Iterator[str]:
    """What is wrong with a message of this role behind one of the role `before`."""
    if role == "system" and not is_first:
        yield "a system message that is not the first"
    elif role == "tool" and before not in ("assistant", "tool"):
        yield "a tool's message that follows no assistant"
    elif role in ("user", "assistant") and before in _NOT_BEFORE[role]:
        yield "roles out of turn"


def _weight_flaws(message: Mapping[str, object]) -> Iterator[str]:
    weight = message.get("weight")
    if weight is not None and (message["role"] != "assistant" or weight not in (0, 1) or isinstance(weight, bool)):
        yield "a weight that is not 0 or 1 on an assistant message"


def _tools_flaws(holder: Mapping[str, object]) -> Iterator[str]:
    tools = holder.get("tools")
    if "tools" in holder and not (isinstance(tools, list) and all(_names_function(tool) for tool in tools)):
        yield "tools that are no list of functions with names"


def _names_function(tool: object) -> bool:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type", "function") == "function" else None
    return isinstance(function, dict) and isinstance(function.get("name"), str) and bool(function["name"])


def _call_flaws(message: Mapping[str, object]) -> Iterator[str]:
    role, calls = message.get("role"), message.get("tool_calls")
    if calls is not None:
        if role != "assistant" or not isinstance(calls, list):
            yield "tool_calls that are no list of the assistant's"
        elif not all(_is_call(call) for call in calls):
            yield "a tool call without id, function name or arguments as text"
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        yield "a tool's message without the call's id"
    for name in ("reasoning", "reasoning_content"):
        if message.get(name) is not None and (role != "assistant" or not isinstance(message[name], str)):
            yield f"{name} that is not text of the assistant's"


def _is_call(call: object) -> bool:
    if not isinstance(call, dict) or not _names_function(call) or not isinstance(call.get("id"), str):
        return False
    return bool(call["id"]) and isinstance(call["function"].get("arguments"), str)


def _images(message: object) -> Iterator[Mapping[str, object]]:
    content = message.get("content") if isinstance(message, dict) else None
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type") == "image_url":
            yield part


def _content_flaws(message: Mapping[str, object]) -> Iterator[str]:
    role, content = message.get("role"), message.get("content")
    if content is None and role == "assistant" and message.get("tool_calls"):
        return
    if isinstance(content, list):
        yield from _part_flaws(str(role), content)
        return
    if not isinstance(content, str):
        yield "a content that is not text"
    elif not content.strip() and not message.get("tool_calls"):
        yield f"an empty {role} message"
    elif "\0" in content:
        yield "a NUL character"


def _part_flaws(role: str, content: Sequence[object]) -> Iterator[str]:
    """What is wrong with a content in parts: texts, and images of a user, each in the file itself."""
    if not content:
        yield f"an empty {role} message"
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, dict) and kind == "text" and isinstance(part.get("text"), str):
            if "\0" in part["text"]:
                yield "a NUL character"
        elif isinstance(part, dict) and kind == "image_url":
            if role != "user":
                yield "an image that is not in a user message"
            yield from _image_flaws(part.get("image_url"))
        else:
            yield "a content that is neither text nor parts"


def _image_flaws(image: object) -> Iterator[str]:
    address = image.get("url") if isinstance(image, dict) else None
    found = _IMAGE.match(address) if isinstance(address, str) else None
    if found is None or not isinstance(address, str):
        yield "an image that is not base64 in the file (data:image/…;base64,…)"
        return
    data = address[found.end() :]
    try:
        size = len(base64.b64decode(data, validate=True))
    except ValueError:
        size = 0
    if not size:
        yield "an image that is not base64 in the file (data:image/…;base64,…)"
    elif size > MOST_IMAGE_BYTES:
        yield "an image of more than 10 MB"


def _texts(messages: Sequence[Mapping[str, object]]) -> Iterator[str]:
    for message in messages:
        if text := _text(message):
            yield text
        for key in ("reasoning", "reasoning_content"):
            if isinstance(message.get(key), str):
                yield str(message[key])


def _text(message: object) -> str:
    """The text of a message, of all its parts."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _last_text(messages: Sequence[Mapping[str, object]], role: str) -> str:
    """What was last said in a role."""
    return next((_text(message) for message in reversed(messages) if message.get("role") == role), "")


def _role(message: object) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    return role if isinstance(role, str) else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
