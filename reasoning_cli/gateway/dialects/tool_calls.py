"""Calls of tools in a model's answer: whether the agent can carry them out, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from reasoning_cli.gateway.dialects.forms import Json, ToolCall, json_of, new_id, objects


def flaw_of_calls(chat: Json, calls: Sequence[ToolCall]) -> str | None:
    """What is wrong with the calls in the answer to a request, in words fit for counting; None when they can be made.

    `chat` is the request as the model got it: a call must be of a tool in it, with an object that holds what the tool
    requires, and as many and such as the request wants.
    """
    offered = {str(tool["function"].get("name")): tool["function"] for tool in objects(chat.get("tools"))}
    for call in calls:
        if call.name not in offered:
            return "invalid: a tool that was not offered"
        try:
            arguments = json_of(call.arguments)
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            return "invalid: arguments of a tool that are no object"
        schema = offered[call.name].get("parameters")
        required = schema.get("required") if isinstance(schema, dict) else None
        if isinstance(required, list) and not set(map(str, required)) <= arguments.keys():
            return "invalid: arguments of a tool that lack what it requires"
    return _flaw_of_choice(chat, calls)


def _flaw_of_choice(chat: Json, calls: Sequence[ToolCall]) -> str | None:
    if len(calls) > 1 and chat.get("parallel_tool_calls") is False:
        return "invalid: several calls of tools where one was asked for"
    match chat.get("tool_choice"):
        case "none" if calls:
            return "invalid: a call of a tool where none was asked for"
        case "required" if not calls:
            return "invalid: no call of a tool where one was asked for"
        case {"function": {"name": name}} if {call.name for call in calls} != {name}:
            return "invalid: not the tool that was asked for"
    return None


def named_anew(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls with ids of ours. Models number theirs anew in each answer or put signs into them, and an original
    provider that is asked later in the conversation takes neither."""
    return tuple(replace(call, id=new_id("call_")) for call in calls)


def calls_decided(calls: Sequence[ToolCall]) -> str:
    """The few words statistics count calls by: the names of the tools."""
    return ",".join(call.name for call in calls)


def same_calls(ours: Sequence[ToolCall], theirs: Sequence[ToolCall]) -> bool:
    """Whether two answers call the same tools with the same arguments, in whatever order."""
    return _plain(ours) == _plain(theirs)


def _plain(calls: Sequence[ToolCall]) -> list[bytes]:
    made = []
    for call in calls:
        try:
            arguments = json_of(call.arguments)
        except ValueError:
            arguments = call.arguments
        made.append(orjson.dumps([call.name, arguments], option=orjson.OPT_SORT_KEYS))
    return sorted(made)
