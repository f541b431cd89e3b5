"""About a hundred files to train on, and whether each is one: the table `data check` and the sandbox are held to."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass

USER = {"role": "user", "content": "Write a function that adds."}
SAID = {"role": "assistant", "content": "Sure."}
THOUGHT = {**SAID, "reasoning": "because"}
EMPTY = {"role": "assistant", "content": ""}
OTHER = {"role": "assistant", "content": "No."}
SYSTEM = {"role": "system", "content": "Be brief."}
FUNCTION = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "3", "tool_call_id": "call_1"}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
PAIR = {"preferred_output": [SAID], "non_preferred_output": [OTHER]}


def image(url: object = f"data:image/png;base64,{PIXEL}") -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}}


def talk(*messages: object, **more: object) -> dict[str, object]:
    return {"messages": list(messages), **more}


def called(*calls: object, **more: object) -> dict[str, object]:
    return talk(USER, {**CALLED, "tool_calls": list(calls)}, RESULT, SAID, **more)


def seen(*parts: object, role: str = "user") -> dict[str, object]:
    message = {"role": role, "content": list(parts)}
    return talk(message, SAID) if role == "user" else talk(USER, message)


@dataclass(frozen=True)
class File:
    """A file by what is odd about it: its lines, objects or bytes, and whether Together takes it."""

    what: str
    lines: tuple[object, ...]
    taken: bool
    has_tools: bool = False
    name: str = "a.jsonl"

    @property
    def content(self) -> bytes:
        return b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in self.lines)


def good(what: str, *lines: object, has_tools: bool = False) -> File:
    return File(what, lines, True, has_tools)


def bad(what: str, *lines: object, name: str = "a.jsonl") -> File:
    return File(what, lines, False, name=name)


TEXT = {"type": "text", "text": "What is this?"}

FILES = [
    good("a conversation", talk(USER, SAID)),
    good("with a system message", talk(SYSTEM, USER, SAID)),
    good("of several turns", talk(SYSTEM, USER, SAID, USER, SAID)),
    good("that ends with the user", talk(USER, SAID, USER)),
    good("with a weight", talk(USER, SAID, weight=0.5)),
    good("with weight 0", talk(USER, SAID, weight=0)),
    good("with weights of messages", talk(USER, {**SAID, "weight": 0}, USER, {**SAID, "weight": 1})),
    good("with names", talk({**USER, "name": "joe"}, SAID)),
    good("with reasoning", talk(USER, THOUGHT)),
    good("with reasoning_content", talk(USER, {**SAID, "reasoning_content": "because"})),
    good("with no reasoning", talk(USER, {**SAID, "reasoning": None})),
    good("instruction", {"prompt": "p", "completion": "c"}),
    good("instruction with a weight", {"prompt": "p", "completion": "c", "weight": 2}),
    good("text", {"text": "t"}),
    good("preference", {"input": talk(USER), **PAIR}),
    good("preference with tools", {"input": talk(USER, tools=[FUNCTION]), **PAIR}, has_tools=True),
    good("preference after a result", {"input": talk(USER, CALLED, RESULT), **PAIR}, has_tools=True),
    good("empty lines between", talk(USER, SAID), b"\n", b"  \n", talk(USER, SAID)),
    good("no line break at the end", json.dumps(talk(USER, SAID)).encode()),
    good("line breaks of Windows", json.dumps(talk(USER, SAID)).encode() + b"\r\n"),
    good("a call", called(CALL), has_tools=True),
    good("a call with its tools", called(CALL, tools=[FUNCTION]), has_tools=True),
    good("two calls", called(CALL, {**CALL, "id": "call_2"}), has_tools=True),
    good("a call that ends it", talk(USER, CALLED), has_tools=True),
    good("a call with a text", talk(USER, {**CALLED, "content": "I add."}), has_tools=True),
    good("a call with an empty text", talk(USER, {**CALLED, "content": ""}), has_tools=True),
    good("no calls", talk(USER, {**SAID, "tool_calls": []})),
    good("calls that are null", talk(USER, {**SAID, "tool_calls": None})),
    good("tools that nobody calls", talk(USER, SAID, tools=[FUNCTION]), has_tools=True),
    good("no tools", talk(USER, SAID, tools=[])),
    good("plain lines and lines with tools", talk(USER, SAID), called(CALL, tools=[FUNCTION]), has_tools=True),
    good("lines with tools and plain lines", called(CALL), talk(USER, SAID), has_tools=True),
    good("plain, tools and reasoning", talk(USER, SAID), called(CALL), talk(USER, THOUGHT), has_tools=True),
    good("an image", seen(TEXT, image())),
    good("an image alone", seen(image())),
    good("a photo", seen(TEXT, image(f"data:image/jpeg;base64,{PIXEL}"))),
    good("ten images", seen(TEXT, *[image()] * 10)),
    good("parts of text", seen(TEXT, TEXT)),
    good("parts of text of the assistant", seen(TEXT, role="assistant")),
    good("images and plain lines", seen(TEXT, image()), talk(USER, SAID)),
    bad("nothing", b""),
    bad("an empty line", b"\n"),
    bad("no JSON", b"nope\n"),
    bad("half a line", b'{"messages": [\n'),
    bad("a document over lines", b'{\n  "text": "t"\n}\n'),
    bad("an array", [talk(USER, SAID)]),
    bad("a number", 1),
    bad("no UTF-8", b'{"text": "\xff"}\n'),
    bad("half a character", b'{"text": "\\ud800"}\n'),
    bad("NaN", b'{"text": "t", "weight": NaN}\n'),
    bad("a byte-order mark", b"\xef\xbb\xbf" + json.dumps(talk(USER, SAID)).encode()),
    bad("gzip", gzip.compress(json.dumps(talk(USER, SAID)).encode(), mtime=0)),
    bad("CSV", b"prompt,completion\r\na,b\r\n", name="a.csv"),
    bad("nothing in it", {}),
    bad("another format", {"question": "q", "answer": "a"}),
    bad("a prompt alone", {"prompt": "p"}),
    bad("a completion alone", {"completion": "c"}),
    bad("two formats at once", talk(USER, SAID, text="t")),
    bad("two formats in one file", talk(USER, SAID), {"text": "t"}),
    bad("conversations and preferences", talk(USER, SAID), {"input": talk(USER), **PAIR}),
    bad("instructions and text", {"prompt": "p", "completion": "c"}, {"text": "t"}),
    bad("a key beside the sample", talk(USER, SAID, metadata={})),
    bad("a key beside a text", {"text": "t", "id": 1}),
    bad("a key beside a message", talk({**USER, "id": 1}, SAID)),
    bad("no messages", talk()),
    bad("messages that are no list", {"messages": {}}),
    bad("a message that is not an object", talk(USER, "Sure.")),
    bad("no assistant", talk(USER)),
    bad("the assistant first", talk(SAID)),
    bad("the assistant after the system", talk(SYSTEM, SAID)),
    bad("the user twice", talk(USER, USER, SAID)),
    bad("the assistant twice", talk(USER, SAID, SAID)),
    bad("a late system message", talk(USER, SYSTEM, SAID)),
    bad("two system messages", talk(SYSTEM, SYSTEM, USER, SAID)),
    bad("an unknown role", talk(USER, {"role": "robot", "content": "s"})),
    bad("a developer", talk({"role": "developer", "content": "s"}, USER, SAID)),
    bad("a role that is not text", talk(USER, {"role": 1, "content": "s"})),
    bad("no role", talk(USER, {"content": "s"})),
    bad("an empty answer", talk(USER, {"role": "assistant", "content": " "})),
    bad("an empty question", talk({"role": "user", "content": ""}, SAID)),
    bad("no content", talk(USER, {"role": "assistant"})),
    bad("a content that is a number", talk(USER, {"role": "assistant", "content": 1})),
    bad("a NUL character", talk(USER, {"role": "assistant", "content": "a\0"})),
    bad("a weight of the user", talk({**USER, "weight": 1}, SAID)),
    bad("a weight of a half", talk(USER, {**SAID, "weight": 0.5})),
    bad("a weight that is true", talk(USER, {**SAID, "weight": True})),
    bad("a weight below 0", talk(USER, SAID, weight=-1)),
    bad("a weight in words", talk(USER, SAID, weight="much")),
    bad("reasoning of the user", talk({**USER, "reasoning": "r"}, SAID)),
    bad("reasoning that is a number", talk(USER, {**SAID, "reasoning": 1})),
    bad("an empty completion", {"prompt": "p", "completion": ""}),
    bad("a blank text", {"text": " \n"}),
    bad("a text that is a list", {"text": ["t"]}),
    bad("calls of nothing", called(None)),
    bad("a call with nothing in it", called({})),
    bad("a call without a function", called({"id": "call_1", "type": "function"})),
    bad("a call without a name", called({**CALL, "function": {"arguments": "{}"}})),
    bad("a call without an id", called({"type": "function", "function": CALL["function"]})),
    bad("a call whose arguments are an object", called({**CALL, "function": {"name": "add", "arguments": {"a": 1}}})),
    bad("one good call and one of nothing", called(CALL, None)),
    bad("calls that are no list", talk(USER, {**SAID, "tool_calls": CALL})),
    bad("calls of the user", talk({**USER, "tool_calls": [CALL]}, SAID)),
    bad("a call of another kind", called({**CALL, "type": "retrieval"})),
    bad("a result without an id", talk(USER, CALLED, {"role": "tool", "content": "3"}, SAID)),
    bad("a result that nobody asked for", talk(USER, RESULT, SAID)),
    bad("tools that are no list", talk(USER, SAID, tools=FUNCTION)),
    bad("tools that are null", talk(USER, SAID, tools=None)),
    bad("tools with nothing in them", talk(USER, SAID, tools=[{}])),
    bad("a tool without a name", talk(USER, SAID, tools=[{"type": "function", "function": {}}])),
    bad("an image by its address", seen(TEXT, image("https://example.com/a.png"))),
    bad("an image from a disk", seen(TEXT, image("file:///a.png"))),
    bad("an image that is not base64", seen(TEXT, image("data:image/png;base64,!!"))),
    bad("an image with nothing in it", seen(TEXT, image("data:image/png;base64,"))),
    bad("an image of no address", seen(TEXT, {"type": "image_url"})),
    bad("a film", seen(TEXT, image(f"data:video/mp4;base64,{PIXEL}"))),
    bad("eleven images", seen(TEXT, *[image()] * 11)),
    bad("eleven images in two messages", talk(
        {"role": "user", "content": [image()] * 6}, SAID, {"role": "user", "content": [image()] * 5}, SAID)),
    bad("an image of eleven megabytes", seen(image("data:image/png;base64," + "AAAA" * (11 * 1024 * 1024 // 3)))),
    bad("an image of the assistant", seen(TEXT, image(), role="assistant")),
    bad("an image of the system", talk({"role": "system", "content": [image()]}, USER, SAID)),
    bad("parts of an unknown kind", seen(TEXT, {"type": "audio", "audio": {}})),
    bad("no parts", seen()),
    bad("a part without a text", seen({"type": "text"})),
    bad("a part that is a text", seen("What is this?")),
    bad("a preference without an input", PAIR),
    bad("a preference with an empty input", {"input": {}, **PAIR}),
    bad("a preference that ends with the assistant", {"input": talk(USER, SAID), **PAIR}),
    bad("a preference of two messages", {"input": talk(USER), **PAIR, "preferred_output": [SAID, SAID]}),
    bad("a preference of none", {"input": talk(USER), **PAIR, "non_preferred_output": []}),
    bad("a preference of the user", {"input": talk(USER), **PAIR, "preferred_output": [USER]}),
    bad("an empty preference", {"input": talk(USER), **PAIR, "preferred_output": [EMPTY]}),
    bad("a preference with a weight", {"input": talk(USER), **PAIR, "weight": 1}),
    bad("a key beside an input", {"input": talk(USER, weight=1), **PAIR}),
]  # fmt: skip
