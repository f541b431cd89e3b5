"""Files to train on, read as strictly as the service reads them, and the samples in them."""

from __future__ import annotations

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
            asked = [_content(one) for one in messages if one.get("role") == "user"]
            said = [_content(one) for one in messages if one.get("role") == "assistant"]
            yield Sample(asked[-1] if asked else "", said[-1])
        elif "prompt" in row:
            yield Sample(str(row["prompt"]), str(row["completion"]))
        elif "input" in row:
            messages = cast("list[Json]", cast(Json, row["input"])["messages"])
            better, worse = (cast("list[Json]", row[one])[0] for one in ("preferred_output", "non_preferred_output"))
            yield Sample(_content(messages[-1]), _content(better), _content(worse))


def tokens_of(row: object) -> int:
    """Every four characters of text are one."""
    return -(-_characters(row) // CHARACTERS_PER_TOKEN)


def _rows(content: bytes) -> Iterator[tuple[int, Json]]:
    """(number of the line, object), blank lines left out."""
    for number, line in enumerate(io.BytesIO(content), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise FlawError(f"line {number}: not UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise FlawError(f"line {number}: not JSON") from error
        if not isinstance(row, dict):
            raise FlawError(f"line {number}: not a JSON object")
        yield number, row


def _format_of(row: Json) -> str:
    fitting = [name for name, keys in _FORMATS.items() if all(key in row for key in keys)]
    if len(fitting) != 1:
        raise FlawError("no known format" if not fitting else f"both {' and '.join(fitting)}")
    return fitting[0]


def _check(form: str, row: Json, found: dict[str, bool]) -> None:
    weight = row.get("weight")
    if weight is not None:
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            raise FlawError("weight must be a number that is not negative")
        found["sample_weights"] = True
    if form == "conversation":
        _check_tools(row, found)
        _check_messages(row["messages"], found)
        if not any(one.get("role") == "assistant" for one in cast("list[Json]", row["messages"])):
            raise FlawError("messages need at least one of the assistant")
    elif form == "preference_openai":
        _check_preference(row, found)
    elif not all(isinstance(row[key], str) and row[key] for key in _FORMATS[form]):
        raise FlawError(f"{' and '.join(_FORMATS[form])} must be texts that are not empty")


def _check_preference(row: Json, found: dict[str, bool]) -> None:
    given = row["input"]
    if not isinstance(given, dict) or "messages" not in given:
        raise FlawError("input must be an object with messages")
    _check_tools(given, found)
    _check_messages(given["messages"], found)
    if cast("list[Json]", given["messages"])[-1].get("role") not in ("user", "tool"):
        raise FlawError("input.messages must not end with the assistant")
    for name in ("preferred_output", "non_preferred_output"):
        output = row[name]
        if not isinstance(output, list) or len(output) != 1 or not isinstance(output[0], dict):
            raise FlawError(f"{name} must be a list of one message")
        if output[0].get("role") != "assistant" or not isinstance(output[0].get("content"), str):
            raise FlawError(f"{name} must hold a text of the assistant")


def _check_tools(row: Json, found: dict[str, bool]) -> None:
    if "tools" in row:
        if not isinstance(row["tools"], list):
            raise FlawError("tools must be a list")
        found["tools"] = True


def _check_messages(messages: object, found: dict[str, bool]) -> None:
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise FlawError("messages must be a list of objects that is not empty")
    before = ""
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
        _check_message(index, message, found)
        before = role


def _check_message(index: int, message: Json, found: dict[str, bool]) -> None:
    role, calls = message["role"], message.get("tool_calls")
    _check_content(index, message, found)
    if calls is not None:
        if role != "assistant" or not isinstance(calls, list):
            raise FlawError(f"messages[{index}]: tool_calls are a list, of the assistant")
        found["parallel"] = found.get("parallel", False) or len(calls) > 1
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise FlawError(f"messages[{index}]: a tool's message needs a tool_call_id")
    if "weight" in message:
        if role != "assistant" or message["weight"] not in (0, 1):
            raise FlawError(f"messages[{index}]: weight is 0 or 1, of the assistant")
        found["message_weights"] = True
    if "reasoning" in message or "reasoning_content" in message:
        found["reasoning"] = True


def _check_content(index: int, message: Json, found: dict[str, bool]) -> None:
    """A text, or parts of a user; only an assistant that calls tools may say nothing."""
    role, content, calls = message["role"], message.get("content"), message.get("tool_calls")
    if isinstance(content, list) and role == "user":
        found["multimodal"] = found.get("multimodal", False) or any(
            isinstance(part, dict) and part.get("type") != "text" for part in content
        )
    elif not isinstance(content, str) and not (role == "assistant" and content is None and calls):
        raise FlawError(f"messages[{index}]: content must be a text")


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
        return sum(_characters(one) for one in value.values())
    if isinstance(value, list):
        return sum(_characters(one) for one in value)
    return 0
