"""The conversation of a coding agent: the messages before an answer, with calls of tools and their results.

Messages and tools are those of chat completions (`role`, `content`, `tool_calls`, `tool_call_id`), which is what models
are asked in and trained on alike. Of a sample they are kept as JSON: `{"messages": […], "tools": […]}`, or
`{"lost": why}` for what cannot be written so: such a sample is nothing to train on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reasoning_cli.decisions.coding_agents import without_billing
from reasoning_cli.decisions.recognise import users_words

Json = dict[str, Any]
# What stands for the result of a tool that said nothing: no message may be empty.
_NOTHING = "(empty)"
_BETWEEN = "\n\n"
_FIRST_CHARS = 200  # of a message, where a line of it is all that is shown


class Untidy(ValueError):
    """Messages that nobody can put in order, and why in few words."""


def arranged(messages: Iterable[Json]) -> list[Json]:
    """Messages in the order that trainers and chat templates take: one system message, first; no role twice in a row;
    the results of calls behind them, in their order. Raises Untidy for a call without its result and the reverse."""
    arrangement = _Arrangement()
    for message in messages:
        arrangement.add(message)
    return arrangement.finished()


class _Arrangement:
    """Messages put in order as they come."""

    def __init__(self) -> None:
        self._systems: list[str] = []
        self._made: list[Json] = []
        self._asked: dict[object, Json | None] = {}  # the calls of the last answer by id, and what came of each
        self._waiting: list[Json] = []  # what was said before all of that had come

    def add(self, message: Json) -> None:
        content = message.get("content") or ""
        match message.get("role"):
            case "system":
                if content.strip():
                    self._systems.append(content)
            case "tool":
                self._add_result(message, content)
            case "assistant":
                self._add_answer(message, content)
            case _:
                if content.strip():
                    self._waiting.append(message)

    def finished(self) -> list[Json]:
        self._settle()
        system = [{"role": "system", "content": _BETWEEN.join(self._systems)}] if self._systems else []
        return [*system, *self._made]

    def _add_result(self, message: Json, content: str) -> None:
        named = message.get("tool_call_id")
        if named not in self._asked or self._asked[named] is not None:
            raise Untidy("the result of a tool that was not called")
        self._asked[named] = {**message, "content": content if content.strip() else _NOTHING}

    def _add_answer(self, message: Json, content: str) -> None:
        calls = message.get("tool_calls") or []
        if not self._is_calling():
            self._settle()
        if self._made and self._made[-1]["role"] == "assistant":
            self._made[-1] = _with_calls(self._made[-1], content, calls)
        elif calls or content.strip():
            self._made.append(message)
        before = len(self._asked)
        self._asked.update((call.get("id"), None) for call in calls)
        if len(self._asked) != before + len(calls):
            raise Untidy("two calls of tools with one name")

    def _is_calling(self) -> bool:
        """Whether the last answer called tools and nothing was said since: more of the assistant's belongs to it."""
        return bool(self._asked) and not self._waiting and all(result is None for result in self._asked.values())

    def _settle(self) -> None:
        """End the last answer: the results of its calls, and what was said meanwhile as one message."""
        if any(result is None for result in self._asked.values()):
            raise Untidy("a call of a tool without its result")
        self._made.extend(result for result in self._asked.values() if result is not None)
        self._asked.clear()
        for message in self._waiting:
            if self._made and self._made[-1]["role"] == "user":
                last = self._made[-1]
                self._made[-1] = {**last, "content": _joined(last["content"], message["content"])}
            else:
                self._made.append(message)
        self._waiting.clear()


def written(messages: Iterable[Json], tools: Sequence[Json]) -> str | None:
    """A conversation as it is kept; None where it is no more than one message, which the sample holds anyway."""
    try:
        found = arranged(messages)
    except Untidy as why:
        return lost(str(why))
    turns = [message for message in found if message["role"] != "system"]
    if not turns or turns[0]["role"] != "user" or turns[-1]["role"] == "assistant":
        return lost("a conversation that neither begins nor ends with the user")
    if len(turns) == 1 and not tools:
        return None
    return json.dumps({"messages": found, **({"tools": list(tools)} if tools else {})}, ensure_ascii=False)


def lost(why: str) -> str:
    """What is kept of a conversation that cannot be written."""
    return json.dumps({"lost": why}, ensure_ascii=False)


def read(conversation: str | None) -> tuple[list[Json], list[Json], str | None]:
    """(messages, tools, why there are none) of what was kept."""
    found = json.loads(conversation) if conversation else {}
    return found.get("messages", []), found.get("tools", []), found.get("lost")


def changed(conversation: str, change: Callable[[str], str]) -> str:
    """A conversation with each text of its messages changed; names, ids and tools stay."""
    messages, tools, why = read(conversation)
    if why is not None:
        return conversation
    made = [message_changed(message, change) for message in messages]
    return json.dumps({"messages": made, **({"tools": tools} if tools else {})}, ensure_ascii=False)


def message_changed(message: Json, change: Callable[[str], str]) -> Json:
    """A message with its texts changed, those it calls tools with among them."""
    new = {**message, "content": change(message.get("content") or "")}
    if message.get("tool_calls"):
        new["tool_calls"] = [_call_changed(call, change) for call in message["tool_calls"]]
    return new


def texts_of(conversation: str | None) -> list[str]:
    """All texts of a conversation's messages."""
    found: list[str] = []
    for message in read(conversation)[0]:
        found.append(message.get("content") or "")
        found += [call["function"].get("arguments") or "" for call in message.get("tool_calls", [])]
    return found


def without_additions(messages: Sequence[Json]) -> list[Json]:
    """The messages without what a coding agent's program puts into them of its own accord and anew each time."""
    return [{**message, "content": _own(message["role"], message.get("content") or "")} for message in messages]


def _own(role: str, text: str) -> str:
    if role == "system":
        return without_billing(text)
    return users_words(text) if role == "user" else text


def identity(prompt: str, conversation: str | None) -> str:
    """What tells a coding sample from others: what was said, without what the program added."""
    messages = read(conversation)[0]
    if not messages:
        return users_words(prompt)
    turns = [message for message in without_additions(messages) if message["role"] != "system"]
    return "\0".join(
        f"{turn['role']}\0{turn['content']}\0{json.dumps([call['function'] for call in turn.get('tool_calls', [])])}"
        for turn in turns
    )


def opening(conversation: str | None) -> str | None:
    """What a conversation began with: the same for all of its turns."""
    messages = without_additions(read(conversation)[0])
    return next((message["content"] for message in messages if message["role"] == "user"), None)


def lines_of(conversation: str | None) -> tuple[str, ...]:
    """The conversation for a person, a line a message."""
    return tuple(
        f"{message['role']}: {_line(message)}"
        for message in without_additions(read(conversation)[0])
        if message["role"] != "system"
    )


def answer_message(text: str, calls: Sequence[Mapping[str, object]]) -> Json:
    """An answer as the last message; `calls` are `{"id", "name", "arguments"}`."""
    made: Json = {"role": "assistant", "content": text}
    if calls:
        made["tool_calls"] = [
            {
                "id": str(call.get("id")),
                "type": "function",
                "function": {"name": call.get("name"), "arguments": call.get("arguments")},
            }
            for call in calls
        ]
    return made


def _line(message: Json) -> str:
    calls = ", ".join(call["function"]["name"] for call in message.get("tool_calls", []))
    text = " ".join(str(message["content"])[:_FIRST_CHARS].split())
    return f"{text} [calls {calls}]".strip() if calls else text


def _call_changed(call: Json, change: Callable[[str], str]) -> Json:
    function = call["function"]
    return {**call, "function": {**function, "arguments": change(function.get("arguments") or "")}}


def _with_calls(message: Json, content: str, calls: Sequence[Json]) -> Json:
    made = {**message, "content": _joined(message.get("content") or "", content)}
    if both := [*message.get("tool_calls", []), *calls]:
        made["tool_calls"] = both
    return made


def _joined(first: str, second: str) -> str:
    return _BETWEEN.join(part for part in (first, second) if part.strip())
