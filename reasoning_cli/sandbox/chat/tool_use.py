"""Calls of tools by the stand-in's models: the same every time, decided from the conversation and the tools offered.

A model calls what the last message speaks of, once, and answers in words when it has the results.
"""

from __future__ import annotations

import json
import re
from typing import cast

from reasoning_cli.sandbox.http.problems import bad_request
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.world import new_id

_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[\w.-]+)?/[\w./-]*\w|\b[\w-]+\.(?:py|ts|js|mjs|md|txt|json|toml|ya?ml|rs|go)\b")
_ADDED = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_WORD = re.compile(r"[A-Z]?[a-z]{3,}")
# What coding agents call it to look into a file.
_READERS = ("Read", "read_file", "view")
_MOST_CALLS = 4


def offered(body: Json) -> list[Json]:
    """The functions a request offers. Refuses what is not a function."""
    tools = body.get("tools")
    if tools is None:
        return []
    if not isinstance(tools, list):
        raise bad_request("tools must be a list", param="tools")
    found: list[Json] = []
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise bad_request("each tool must be a function with a name", param="tools")
        found.append(function)
    return found


def calls(body: Json, asked: str) -> list[Json]:
    """The calls a model makes in answer to a request, as a message holds them; none when it answers in words."""
    functions, choice = offered(body), body.get("tool_choice", "auto")
    messages = cast("list[Json]", body["messages"])
    if not functions or choice == "none":
        return []
    must = choice == "required" or isinstance(choice, dict)
    if not must and messages[-1].get("role") == "tool":
        return []
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        functions = [function for function in functions if function["name"] == name]
        if not functions:
            raise bad_request("tool_choice names no tool of the request", param="tool_choice")
    words = _ADDED.sub("", asked)
    function = _spoken_of(functions, words) or (functions[0] if must else None)
    if function is None:
        return []
    paths = list(dict.fromkeys(_PATH.findall(words)))[:_MOST_CALLS] or [""]
    if body.get("parallel_tool_calls") is False or not _takes_path(function):
        paths = paths[:1]
    return [
        {
            "index": index,
            "id": new_id("call"),
            "type": "function",
            "function": {"name": function["name"], "arguments": json.dumps(_arguments(function, path, words))},
        }
        for index, path in enumerate(paths)
    ]


def results(messages: list[Json]) -> list[str]:
    """What the tools said since the last call; none when the conversation does not end with it."""
    found: list[str] = []
    for message in reversed(messages):
        if message.get("role") != "tool":
            break
        content = message.get("content")
        found.insert(0, content if isinstance(content, str) else json.dumps(content))
    return found


def _spoken_of(functions: list[Json], words: str) -> Json | None:
    """What looks into the file that is spoken of, else the tool one of whose own words is."""
    if _PATH.search(words):
        reader = next((function for function in functions if function["name"] in _READERS), None)
        if reader is not None:
            return reader
    lowered = words.lower()
    for function in functions:
        own = [word.lower() for word in _WORD.findall(str(function["name"]))]
        if own and re.search(rf"\b{re.escape(own[-1])}\b", lowered):
            return function
    return None


def _properties(function: Json) -> Json:
    schema = function.get("parameters")
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


def _takes_path(function: Json) -> bool:
    return any("path" in name or "file" in name for name in _properties(function))


def _arguments(function: Json, path: str, words: str) -> Json:
    """What the tool requires, and nothing else."""
    schema = function.get("parameters")
    required = schema.get("required") if isinstance(schema, dict) else None
    properties = _properties(function)
    return {name: _value(name, properties.get(name), path, words) for name in required or []}


def _value(name: str, schema: object, path: str, words: str) -> object:
    described = schema if isinstance(schema, dict) else {}
    if isinstance(described.get("enum"), list) and described["enum"]:
        return described["enum"][0]
    match described.get("type", "string"):
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case "array":
            return []
        case "object":
            return {}
    if path and ("path" in name or "file" in name):
        return path
    capitals = re.findall(r"(?<=\s)[A-Z][a-z]+", words)
    return capitals[-1] if capitals else " ".join(words.split())[:80]
