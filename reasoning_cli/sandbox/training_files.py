"""Files to train on, read as strictly as the service reads them, and the samples in them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from reasoning_cli.sandbox.http.shapes import Json

CHARACTERS_PER_TOKEN = 4
_ROLES = ("system", "user", "assistant", "tool")
_FORMATS = {
    "conversation": ("messages",),
    "instruction": ("prompt", "completion"),
    "preference_openai": ("input", "preferred_output", "non_preferred_output"),
    "general": ("text",),
}
# The keys that tell a format, and those that may stand beside its own.
_FORMATS_BY_KEY = {
    "conversation": ("messages",),
    "instruction": ("completion",),
    "preference_openai": ("preferred_output",),
    "general": ("text",),
}
_BESIDE = {
    "conversation": {"tools", "weight"},
    "instruction": {"weight"},
    "preference_openai": set[str](),
    "general": {"weight"},
}
_MESSAGE_KEYS = {"role", "content", "weight", "name", "tool_calls", "tool_call_id", "reasoning", "reasoning_content"}
_MOST_IMAGES = 10
_MOST_IMAGE_BYTES = 10 * 1024 * 1024
_IMAGES = tuple(f"data:image/{kind};base64" for kind in ("jpeg", "png", "webp", "gif"))
_NO_TEXT = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5": "zstd",
    b"PK": "zip",
    b"\xef\xbb\xbf": "a byte-order mark and more",
}


class FlawError(Exception):
    """What is wrong with a file, in words for its owner."""


@dataclass(frozen=True)
class Inspection:
    """What a check found: the report as it goes on the wire, and what a price is made of."""

    report: Json
    lines: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Sample:
    """What is asked and what is to be said; `worse` is what is not to be said, of a preference."""

    prompt: str
    answer: str
    worse: str = ""


def inspect(file_id: str, file_type: str, content: bytes) -> Inspection:
    """Check a whole file."""
    found: dict[str, bool] = {}
    kind, lines, tokens = "", 0, 0
    try:
        if file_type != "jsonl":
            raise FlawError(f"a file to train on must be jsonl here, not {file_type}")
        for number, row in _rows(content):
            lines += 1
            try:
                form = _format_of(row)
                if kind and form != kind:
                    raise FlawError(f"{form} among {kind}: all samples of a file must have one format")
                kind = form
                _check(form, row, found)
            except FlawError as flaw:
                raise FlawError(f"line {number}: {flaw}") from flaw
            tokens += tokens_of(row)
        if not lines:
            raise FlawError("the file has no samples")
    except FlawError as flaw:
        report: Json = {"valid": False, "error": str(flaw), "error_type": "INVALID_FORMAT", "file_id": file_id}
        return Inspection(report)
    return Inspection(
        {
            "valid": True,
            "file_id": file_id,
            "nlines": lines,
            "dataset_format": kind,
            "dataset_has_tools": found.get("tools", False),
            "dataset_has_reasoning": found.get("reasoning", False),
            "dataset_has_message_weights": found.get("message_weights", False),
            "dataset_has_sample_weights": found.get("sample_weights", False),
            "dataset_has_parallel_tool_calls": found.get("parallel", False),
            "dataset_is_multimodal": found.get("multimodal", False),
        },
        lines,
        tokens,
    )


def samples(content: bytes) -> Iterator[Sample]:
    """The samples of a file that passed the check: the last question and its answer."""
    for _, row in _rows(content):
        if "messages" in row:
            messages = cast("list[Json]", row["messages"])
            asked = [_content(message) for message in messages if message.get("role") == "user"]
            said = [_content(message) for message in messages if message.get("role") == "assistant"]
            yield Sample(asked[-1] if asked else "", said[-1])
        elif "prompt" in row:
            yield Sample(str(row["prompt"]), str(row["completion"]))
        elif "input" in row:
            messages = cast("list[Json]", cast(Json, row["input"])["messages"])
            better, worse = (cast("list[Json]", row[key])[0] for key in ("preferred_output", "non_preferred_output"))
            yield Sample(_content(messages[-1]), _content(better), _content(worse))


def tokens_of(row: object) -> int:
    """Every four characters of text are one."""
    return -(-_characters(row) // CHARACTERS_PER_TOKEN)


def _rows(content: bytes) -> Iterator[tuple[int, Json]]:
    """(number of the line, object), blank lines left out."""
    for magic, name in _NO_TEXT.items():
        if content.startswith(magic):
            raise FlawError(f"line 1: not JSON but {name}")
    for number, line in enumerate(io.BytesIO(content), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"), parse_constant=_no_number)
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        except UnicodeDecodeError as error:
            raise FlawError(f"line {number}: not UTF-8") from error
        except UnicodeEncodeError as error:
            raise FlawError(f"line {number}: half a Unicode character") from error
        except (ValueError, RecursionError) as error:
            raise FlawError(f"line {number}: not JSON") from error
        if not isinstance(row, dict):
            raise FlawError(f"line {number}: not a JSON object")
        yield number, row


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _format_of(row: Json) -> str:
    fitting = [name for name, keys in _FORMATS.items() if any(key in row for key in _FORMATS_BY_KEY[name])]
    if len(fitting) != 1:
        raise FlawError("no known format" if not fitting else f"both {' and '.join(fitting)}")
    [form] = fitting
    for key in _FORMATS[form]:
        if key not in row:
            raise FlawError(f"{form} needs {key}")
    if strange := sorted(set(row) - set(_FORMATS[form]) - _BESIDE[form]):
        raise FlawError(f"unknown key {strange[0]!r}")
    return form


def _check(form: str, row: Json, found: dict[str, bool]) -> None:
    weight = row.get("weight")
    if weight is not None:
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            raise FlawError("weight must be a number that is not negative")
        found["sample_weights"] = True
    if form == "conversation":
        _check_tools(row, found)
        _check_messages(row["messages"], found)
        if not any(message.get("role") == "assistant" for message in cast("list[Json]", row["messages"])):
            raise FlawError("messages need at least one of the assistant")
    elif form == "preference_openai":
        _check_preference(row, found)
    else:
        for key in _FORMATS[form]:
            _check_text(f"{' and '.join(_FORMATS[form])} must be texts that are not empty: {key}", row[key])


def _check_preference(row: Json, found: dict[str, bool]) -> None:
    given = row["input"]
    if not isinstance(given, dict) or "messages" not in given or set(given) - {"messages", "tools"}:
        raise FlawError("input must be an object with messages, and tools at most")
    _check_tools(given, found)
    _check_messages(given["messages"], found)
    if cast("list[Json]", given["messages"])[-1].get("role") not in ("user", "tool"):
        raise FlawError("input.messages must not end with the assistant")
    for name in ("preferred_output", "non_preferred_output"):
        output = row[name]
        if not isinstance(output, list) or len(output) != 1 or not isinstance(output[0], dict):
            raise FlawError(f"{name} must be a list of one message")
        if output[0].get("role") != "assistant" or set(output[0]) != {"role", "content"}:
            raise FlawError(f"{name} must hold a text of the assistant")
        _check_text(name, output[0]["content"])


def _check_text(where: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise FlawError(f"{where}: a text that is not empty, without NUL")


def _check_tools(row: Json, found: dict[str, bool]) -> None:
    if "tools" in row:
        tools = row["tools"]
        if not isinstance(tools, list) or not all(_is_function(tool) for tool in tools):
            raise FlawError("tools must be a list of functions with names")
        found["tools"] = found.get("tools", False) or bool(tools)


def _is_function(value: object) -> bool:
    if not isinstance(value, dict) or value.get("type", "function") != "function":
        return False
    function = value.get("function")
    return isinstance(function, dict) and isinstance(function.get("name"), str) and function["name"] != ""


def _check_messages(messages: object, found: dict[str, bool]) -> None:
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise FlawError("messages must be a list of objects that is not empty")
    before, images = "", 0
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in _ROLES:
            raise FlawError(f"messages[{index}]: unknown role {role!r}")
        if role == "system" and index:
            raise FlawError(f"messages[{index}]: a system message must be the first")
        if not index and role not in ("system", "user"):
            raise FlawError("messages must begin with system or user")
        if role == before and role != "tool":
            raise FlawError(f"messages[{index}]: {role} follows {before}: user and assistant must alternate")
        if role == "assistant" and before == "system":
            raise FlawError(f"messages[{index}]: assistant follows system")
        if role == "tool" and before not in ("assistant", "tool"):
            raise FlawError(f"messages[{index}]: tool follows {before}")
        images += _check_message(f"messages[{index}]", message, found)
        before = role
    if images > _MOST_IMAGES:
        raise FlawError(f"{images} images, more than {_MOST_IMAGES}")


def _check_message(where: str, message: Json, found: dict[str, bool]) -> int:
    """Raises for what is wrong with a message; returns how many images are in it."""
    role, calls = str(message["role"]), message.get("tool_calls")
    if strange := sorted(set(message) - _MESSAGE_KEYS):
        raise FlawError(f"{where}: unknown key {strange[0]!r}")
    if calls is not None:
        _check_calls(where, role, calls)
        found["tools"] = found.get("tools", False) or bool(calls)
        found["parallel"] = found.get("parallel", False) or len(cast("list[Json]", calls)) > 1
    images = _check_content(where, message, found)
    if role == "tool":
        found["tools"] = True
        if not isinstance(message.get("tool_call_id"), str):
            raise FlawError(f"{where}: a tool's message needs a tool_call_id")
    _check_weight(where, message, found)
    _check_reasoning(where, message, found)
    return images


def _check_content(where: str, message: Json, found: dict[str, bool]) -> int:
    """How many images are in a message. Of an answer that calls tools there may be no text."""
    role, content, calls = message["role"], message.get("content"), message.get("tool_calls")
    if isinstance(content, list):
        images = _check_parts(where, str(role), content)
        found["multimodal"] = found.get("multimodal", False) or images > 0
        return images
    if role == "assistant" and content is None and calls:
        return 0
    if not isinstance(content, str):
        raise FlawError(f"{where}: content must be a text")
    if not calls or content.strip():
        _check_text(where, content)
    return 0


def _check_weight(where: str, message: Json, found: dict[str, bool]) -> None:
    weight = message.get("weight")
    if weight is None:
        return
    if message["role"] != "assistant" or isinstance(weight, bool) or weight not in (0, 1):
        raise FlawError(f"{where}: weight is 0 or 1, of the assistant")
    found["message_weights"] = True


def _check_reasoning(where: str, message: Json, found: dict[str, bool]) -> None:
    for name in ("reasoning", "reasoning_content"):
        if message.get(name) is None:
            continue
        if message["role"] != "assistant" or not isinstance(message[name], str):
            raise FlawError(f"{where}: {name} is a text of the assistant")
        found["reasoning"] = True


def _check_calls(where: str, role: str, calls: object) -> None:
    if role != "assistant" or not isinstance(calls, list):
        raise FlawError(f"{where}: tool_calls are a list, of the assistant")
    for call in calls:
        if not _is_function(call) or not isinstance(call.get("id"), str) or not call["id"]:
            raise FlawError(f"{where}: a tool call needs an id and a function with a name")
        if not isinstance(call["function"].get("arguments"), str):
            raise FlawError(f"{where}: the arguments of a tool call are a text")


def _check_parts(where: str, role: str, parts: list[object]) -> int:
    if not parts:
        raise FlawError(f"{where}: content must not be empty")
    images = 0
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, dict) and kind == "text":
            if not isinstance(part.get("text"), str) or "\0" in part["text"]:
                raise FlawError(f"{where}: a part of text needs its text")
        elif isinstance(part, dict) and kind == "image_url":
            if role != "user":
                raise FlawError(f"{where}: images belong into user messages")
            _check_image(where, part.get("image_url"))
            images += 1
        else:
            raise FlawError(f"{where}: parts are text or image_url")
    return images


def _check_image(where: str, image: object) -> None:
    address = image.get("url") if isinstance(image, dict) else None
    head, comma, data = address.partition(",") if isinstance(address, str) else ("", "", "")
    try:
        size = len(base64.b64decode(data, validate=True)) if comma and head in _IMAGES else 0
    except ValueError:
        size = 0
    if not size:
        raise FlawError(f"{where}: an image is data:image/…;base64,…")
    if size > _MOST_IMAGE_BYTES:
        raise FlawError(f"{where}: an image is at most 10 MB")


def _content(message: Json) -> str:
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _characters(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_characters(item) for item in value.values())
    if isinstance(value, list):
        return sum(_characters(item) for item in value)
    return 0
