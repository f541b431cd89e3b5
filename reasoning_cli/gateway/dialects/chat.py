"""OpenAI chat completions, as plugin-openai 1.0, OpenRouter and most others speak them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import orjson

from reasoning_cli.decisions.answers import is_natural_end
from reasoning_cli.decisions.turns import written
from reasoning_cli.gateway.dialects.events import COMMENT, DONE, event
from reasoning_cli.gateway.dialects.forms import (
    Asked,
    CapturedResponse,
    Dialect,
    Json,
    Reply,
    ToolCall,
    Unreadable,
    Untranslatable,
    in_order,
    json_of,
    kinds_of,
    new_id,
    objects,
    sampling,
    text_arguments,
    text_called_with,
    text_function,
    text_of,
    whole_number,
)

_SYSTEM_ROLES = ("system", "developer")
_SAMPLING = {"temperature": "temperature", "top_p": "top_p", "stop": "stop", "seed": "seed"}
# What each kind of tool is called with.
_GIVEN = {"function": "arguments", "custom": "input"}
_KINDS = tuple(_GIVEN)
_FOREIGN = (
    "functions",
    "function_call",
    "audio",
    "modalities",
    "prediction",
    "logit_bias",
    "logprobs",
    "web_search_options",
)


def _read(body: Json) -> Asked | None:
    messages = objects(body.get("messages"))
    last, instructions, has_images = None, [], False
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role == "user":
            last = content if content is not None else ""
        elif role in _SYSTEM_ROLES:
            instructions.append(text_of(content))
        has_images = has_images or "image_url" in kinds_of(content)
    if last is None or not isinstance(body.get("model"), str):
        return None
    return Asked(
        text=text_of(last),
        model=body["model"],
        stream=body.get("stream") is True,
        system="\n".join(instructions) or None,
        tools=[{**said, "type": kind} for kind, said in _tools_of(body) if said is not None],
        turns=len(messages) - len(instructions),
        has_images=has_images,
        max_tokens=whole_number(body.get("max_completion_tokens")) or whole_number(body.get("max_tokens")),
    )


def _to_chat(body: Json) -> Json:
    if foreign := next((name for name in _FOREIGN if body.get(name)), None):
        raise Untranslatable(f"uses `{foreign}`")
    if (body.get("n") or 1) != 1:
        raise Untranslatable("asks for several answers")
    if (body.get("response_format") or {"type": "text"}).get("type") != "text":
        raise Untranslatable("asks for structured output")
    chat: Json = {"messages": in_order(_messages(body)), **sampling(body, _SAMPLING)}
    tools = _tools_of(body)
    if any(kind not in _KINDS or said is None for kind, said in tools):
        raise Untranslatable("a tool only its vendor knows")
    if tools:
        choice = body.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") not in _KINDS:
            raise Untranslatable("a choice among tools only its vendor knows")
        chat["tools"] = _functions(tools)
        for name in ("tool_choice", "parallel_tool_calls"):
            if body.get(name) is not None:
                chat[name] = body[name]
        if isinstance(choice, dict) and choice["type"] == "custom":
            chat["tool_choice"] = {"type": "function", "function": choice.get("custom")}
    return chat


def _tools_of(body: Json) -> list[tuple[str, Json | None]]:
    """(kind, what it says) of each tool of a request; None for one that says nothing we know."""
    found: list[tuple[str, Json | None]] = []
    for tool in objects(body.get("tools")):
        kind = str(tool.get("type"))
        said = tool.get("custom" if kind == "custom" else "function")
        found.append((kind, said if isinstance(said, dict) else None))
    return found


def _functions(tools: Iterable[tuple[str, Json | None]]) -> list[Json]:
    """The tools as our models are offered them."""
    return [
        {"type": "function", "function": text_function(said) if kind == "custom" else said}
        for kind, said in tools
        if said is not None
    ]


def _conversation(body: Json) -> str | None:
    return written(_messages(body), _functions(_tools_of(body)))


def _messages(body: Json) -> list[Json]:
    messages: list[Json] = []
    for message in objects(body.get("messages")):
        content = message.get("content")
        if strange := kinds_of(content) - {"text", "refusal"}:
            raise Untranslatable(f"a part that is not text: {sorted(strange)[0]}")
        role = "system" if message.get("role") in _SYSTEM_ROLES else message.get("role")
        if role == "function":
            raise Untranslatable("calls of an older or another kind")
        plain: Json = {"role": role, "content": text_of(content)}
        if message.get("tool_calls"):
            plain["tool_calls"] = [_called(call) for call in objects(message["tool_calls"])]
        if message.get("tool_call_id"):
            plain["tool_call_id"] = message["tool_call_id"]
        messages.append(plain)
    return messages


def _called(call: Json) -> Json:
    """An earlier call as our models made it."""
    custom = call.get("custom")
    if call.get("type") == "custom" and isinstance(custom, dict):
        function = {"name": custom.get("name"), "arguments": text_arguments(custom.get("input"))}
        return {"id": call.get("id"), "type": "function", "function": function}
    if "function" not in call:
        raise Untranslatable("calls of an older or another kind")
    return call


def _head(reply: Reply) -> Json:
    return {"id": new_id("chatcmpl-"), "created": int(time.time()), "model": reply.model}


def _calls(reply: Reply) -> list[Json]:
    return [
        {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": text_called_with(call)}}
        if call.custom
        else {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in reply.tool_calls
    ]


def _usage(reply: Reply) -> Json:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }


def _write(reply: Reply, _: Json) -> Json:
    message: Json = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = _calls(reply)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
    return {**_head(reply), "object": "chat.completion", "choices": [choice], "usage": _usage(reply)}


def _events(reply: Reply, body: Json) -> Iterator[bytes]:
    head = {**_head(reply), "object": "chat.completion.chunk"}
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    uncounted = {"usage": None} if wants_usage else {}

    def chunk(delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**head, "choices": [choice], **uncounted})

    yield chunk({"role": "assistant", "content": ""})
    if reply.text:
        yield chunk({"content": reply.text})
    for index, call in enumerate(_calls(reply)):
        kind, name = call["type"], _GIVEN[call["type"]]
        yield chunk({"tool_calls": [{**call, "index": index, kind: {**call[kind], name: ""}}]})
        yield chunk({"tool_calls": [{"index": index, kind: {name: call[kind][name]}}]})
    yield chunk({}, reply.finish)
    if wants_usage:
        yield event({**head, "choices": [], "usage": _usage(reply)})
    yield b"data: [DONE]\n\n"


def error(status: int, message: str) -> Json:
    """An error in OpenAI's form."""
    kind = "invalid_request_error" if status < 500 else "api_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def tool_calls_of(message: Json) -> tuple[ToolCall, ...]:
    """The tool calls in a chat message."""
    found = []
    for call in objects(message.get("tool_calls")):
        custom = call.get("custom")
        if isinstance(custom, dict) and isinstance(custom.get("name"), str):
            found.append(ToolCall(str(call.get("id")), custom["name"], text_arguments(custom.get("input"))))
            continue
        function = call.get("function") or {}
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            arguments = function.get("arguments") or "{}"
            if not isinstance(arguments, str):
                arguments = orjson.dumps(arguments).decode()
            found.append(ToolCall(str(call.get("id")), function["name"], arguments))
    return tuple(found)


def _first(payload: Json) -> Json | None:
    """The first of the answers in an answer or a piece of one: the others are nobody's decision. One choice that tells
    no number is the first."""
    choices = objects(payload.get("choices"))
    return next((choice for choice in choices if (choice.get("index") or 0) == 0), None)


class _Calls:
    """The calls of tools in a stream. By the rules each piece names its call by index and only the first one its id and
    name; some say all of it in each piece, or give all calls the same index, or none."""

    def __init__(self) -> None:
        self.made: list[Json] = []
        self._at: dict[object, Json] = {}  # the call that was last begun at an index

    def add(self, part: Json) -> None:
        kind = "custom" if isinstance(part.get("custom"), dict) else "function"
        said = part.get(kind) or {}
        name, arguments = said.get("name") or "", said.get(_GIVEN[kind]) or ""
        known = self._at.get(part.get("index"))
        if known is None or _begins(known, part.get("id"), name, arguments):
            known = {"id": part.get("id"), "name": "", "arguments": "", "kind": kind}
            self._at[part.get("index")] = known
            self.made.append(known)
        if name != known["name"]:
            known["name"] += name
        known["arguments"] += arguments

    def calls(self) -> tuple[ToolCall, ...]:
        """Those that were made."""
        return tuple(
            ToolCall(
                str(call["id"]),
                call["name"],
                text_arguments(call["arguments"]) if call["kind"] == "custom" else call["arguments"] or "{}",
            )
            for call in self.made
        )


def _begins(known: Json, call_id: object, name: str, arguments: str) -> bool:
    """Whether a piece at the index of a known call begins another one."""
    if not name:
        return False
    if call_id and known["id"]:
        return bool(call_id != known["id"])
    return bool(known["arguments"]) and arguments[:1] == "{" and _is_json(known["arguments"])


def _is_json(text: str) -> bool:
    try:
        json_of(text)
    except ValueError:
        return False
    return True


def capture(payload: Json) -> CapturedResponse:
    """A whole answer."""
    choice = _first(payload)
    message = choice.get("message") if choice is not None else None
    if choice is None or not isinstance(message, dict):
        raise Unreadable("no message in the answer")
    usage = payload.get("usage") or {}
    return CapturedResponse(
        text=text_of(message.get("content"), between=""),
        model=payload.get("model"),
        prompt_tokens=whole_number(usage.get("prompt_tokens")),
        completion_tokens=whole_number(usage.get("completion_tokens")),
        whole=is_natural_end(choice.get("finish_reason")),
        tool_calls=tool_calls_of(message),
        end=choice.get("finish_reason"),
        stopped_by=stopped_by if isinstance(stopped_by := choice.get("stop_reason"), str) else None,
        cached_tokens=_cached(usage),
    )


def _cached(usage: Json) -> int | None:
    return whole_number((usage.get("prompt_tokens_details") or {}).get("cached_tokens"))


def _ends(name: str, data: str) -> bool:
    return data.strip() == DONE


def _capture_events(events: Iterable[tuple[str, str]]) -> CapturedResponse:
    texts: list[str] = []
    calls = _Calls()
    usage: Json = {}
    model, finish = None, None
    for _, data in events:
        if _ends("", data):
            break
        chunk = json_of(data)
        model, usage = chunk.get("model") or model, chunk.get("usage") or usage
        if chunk.get("error"):
            finish = "error"
        if (choice := _first(chunk)) is not None:
            delta = choice.get("delta") or {}
            texts.append(delta.get("content") or "")
            finish = choice.get("finish_reason") or finish
            for part in objects(delta.get("tool_calls")):
                calls.add(part)
    if finish is None and not any(texts) and not calls.made:
        raise Unreadable("no choice in the stream")
    return CapturedResponse(
        text="".join(texts),
        model=model,
        prompt_tokens=whole_number(usage.get("prompt_tokens")),
        completion_tokens=whole_number(usage.get("completion_tokens")),
        whole=is_natural_end(finish),
        tool_calls=calls.calls(),
        end=finish,
        cached_tokens=_cached(usage),
    )


DIALECT = Dialect(
    "chat",
    "openai",
    _read,
    _to_chat,
    _conversation,
    _write,
    _events,
    error,
    capture,
    _capture_events,
    _ends,
    heartbeat=COMMENT,
    error_event=event,
)
