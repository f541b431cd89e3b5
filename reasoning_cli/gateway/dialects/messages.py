"""Anthropic messages, as plugin-anthropic, Anthropic's own clients and Claude Code speak them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from reasoning_cli.decisions.answers import is_natural_end
from reasoning_cli.decisions.recognise import REMINDER
from reasoning_cli.decisions.turns import written
from reasoning_cli.gateway.dialects.events import event
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
    text_of,
    whole_number,
)

_SAMPLING = {"temperature": "temperature", "top_p": "top_p", "stop_sequences": "stop"}
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_THOUGHTS = {"thinking", "redacted_thinking"}
_FOREIGN = ("mcp_servers", "container", "output_format")
_ERRORS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}


def _read(body: Json) -> Asked | None:
    messages = objects(body.get("messages"))
    users = [message for message in messages if message.get("role") == "user"]
    if not users or not isinstance(body.get("model"), str):
        return None
    parts = [text_of(body.get("system"))]
    parts += [text_of(message.get("content")) for message in messages if message.get("role") == "system"]
    return Asked(
        text=text_of(next(filter(_has_words, reversed(users)), users[-1]).get("content")),
        model=body["model"],
        stream=body.get("stream") is True,
        system="\n".join(part for part in parts if part) or None,
        tools=objects(body.get("tools")),
        turns=sum(1 for message in messages if message.get("role") != "system"),
        has_images=any(kinds_of(message.get("content")) & {"image", "document"} for message in messages),
        max_tokens=whole_number(body.get("max_tokens")),
    )


def _to_chat(body: Json) -> Json:
    if foreign := next((name for name in _FOREIGN if body.get(name)), None):
        raise Untranslatable(f"uses `{foreign}`")
    if (body.get("output_config") or {}).get("format"):
        raise Untranslatable("asks for structured output")
    if body.get("tools") and (body.get("thinking") or {}).get("type") == "enabled":
        # With a budget for thinking (adaptive thinking has none) each turn of a conversation with tools has to begin
        # with what its vendor signed: after an answer of ours the original would refuse the next.
        raise Untranslatable("thinks, and only its vendor could go on")
    messages = in_order(_turns(body))
    if not messages or messages[-1]["role"] == "assistant":
        raise Untranslatable("asks to go on with an answer that was begun")
    chat: Json = {"messages": messages, **sampling(body, _SAMPLING)}
    if not chat.get("stop", True):
        del chat["stop"]  # plugin-anthropic sends an empty list
    if tools := objects(body.get("tools")):
        chat["tools"] = [_tool(tool) for tool in tools]
        chat |= _tool_choice(body.get("tool_choice"))
    return chat


def _conversation(body: Json) -> str | None:
    tools = objects(body.get("tools"))
    known = [
        tool for tool in tools if tool.get("type", "custom") == "custom" and isinstance(tool.get("input_schema"), dict)
    ]
    return written(_turns(body), [_tool(tool) for tool in known])


def _turns(body: Json) -> list[Json]:
    """Its messages in the common tongue."""
    asked = _read(body)
    messages: list[Json] = [{"role": "system", "content": asked.system}] if asked and asked.system else []
    for message in objects(body.get("messages")):
        match message.get("role"):
            case "user":
                messages += _user(message.get("content"))
            case "assistant":
                messages.append(_assistant(message.get("content")))
    return messages


def _has_words(message: Json) -> bool:
    """Whether a user's message holds more than results of tools and what the program adds."""
    content = message.get("content")
    if isinstance(content, str):
        return True
    return any(
        part.get("type", "text") != "tool_result" and not str(part.get("text") or "").startswith(REMINDER)
        for part in objects(content)
    )


def _user(content: object) -> list[Json]:
    """A user's message: the results of tools first, as chat completions want them, then the text."""
    made: list[Json] = []
    for block in objects(content):
        kind = block.get("type")
        if kind == "tool_result":
            if kinds_of(block.get("content")) - {"text", "None"}:
                raise Untranslatable("the result of a tool that is not text")
            text = text_of(block.get("content")) or ("error" if block.get("is_error") else "")
            made.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text})
        elif kind != "text":
            raise Untranslatable(f"a part that is not text: {kind}")
    if (text := text_of(content)) or not made:
        made.append({"role": "user", "content": text})
    return made


def _assistant(content: object) -> Json:
    made: Json = {"role": "assistant", "content": text_of(content)}
    calls = []
    for block in objects(content):
        kind = block.get("type")
        if kind == "tool_use":
            arguments = orjson.dumps(block.get("input") or {}).decode()
            calls.append(
                {"id": block.get("id"), "type": "function", "function": {"name": block["name"], "arguments": arguments}}
            )
        elif kind != "text" and kind not in _THOUGHTS:
            raise Untranslatable(f"a part only its vendor knows: {kind}")
    if calls:
        made["tool_calls"] = calls
    return made


def _tool(tool: Json) -> Json:
    if tool.get("type", "custom") != "custom" or not isinstance(tool.get("input_schema"), dict):
        raise Untranslatable("a tool only its vendor knows")
    return {
        "type": "function",
        "function": {
            "name": tool.get("name"),
            "description": tool.get("description") or "",
            "parameters": tool["input_schema"],
        },
    }


def _tool_choice(choice: object) -> Json:
    if not isinstance(choice, dict):
        return {}
    named = {"type": "function", "function": {"name": choice.get("name")}}
    made: Json = {
        "tool_choice": {"auto": "auto", "any": "required", "none": "none"}.get(str(choice.get("type")), named)
    }
    if choice.get("disable_parallel_tool_use"):
        made["parallel_tool_calls"] = False
    return made


def _input(call: ToolCall) -> Json:
    """A tool's arguments as an object; the answer was checked, so they are one."""
    found = orjson.loads(call.arguments or "{}")
    return found if isinstance(found, dict) else {}


def _usage(reply: Reply, output_tokens: int) -> Json:
    return {
        "input_tokens": reply.prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _message(reply: Reply, content: list[Json], stop_reason: str | None, output_tokens: int) -> Json:
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": reply.stop_sequence if stop_reason is not None else None,
        "usage": _usage(reply, output_tokens),
    }


def _write(reply: Reply, _: Json) -> Json:
    content: list[Json] = [{"type": "text", "text": reply.text}] if reply.text or not reply.tool_calls else []
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call)} for call in reply.tool_calls
    ]
    return _message(reply, content, _stop_reason(reply), reply.completion_tokens)


def _events(reply: Reply, body: Json) -> Iterator[bytes]:
    def said(kind: str, **fields: object) -> bytes:
        return event({"type": kind, **fields}, kind)

    yield said("message_start", message=_message(reply, [], None, 1))
    index = 0
    if reply.text or not reply.tool_calls:
        yield said("content_block_start", index=index, content_block={"type": "text", "text": ""})
        yield said("ping")
        if reply.text:
            yield said("content_block_delta", index=index, delta={"type": "text_delta", "text": reply.text})
        yield said("content_block_stop", index=index)
        index += 1
    for number, call in enumerate(reply.tool_calls, start=index):
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield said("content_block_start", index=number, content_block=block)
        arguments = orjson.dumps(_input(call)).decode()
        yield said("content_block_delta", index=number, delta={"type": "input_json_delta", "partial_json": arguments})
        yield said("content_block_stop", index=number)
    yield said(
        "message_delta",
        delta={"stop_reason": _stop_reason(reply), "stop_sequence": reply.stop_sequence},
        usage=_usage(reply, reply.completion_tokens),
    )
    yield said("message_stop")


def _stop_reason(reply: Reply) -> str:
    return "stop_sequence" if reply.stop_sequence is not None else _STOP_REASONS[reply.finish]


def _error(status: int, message: str) -> Json:
    return {"type": "error", "error": {"type": _ERRORS.get(status, "api_error"), "message": message}}


def _input_tokens(usage: Json) -> int | None:
    """All tokens that went in, cached ones included: they are billed too."""
    counted = [whole_number(usage.get(name)) for name in ("input_tokens",)]
    if counted[0] is None:
        return None
    cached = (whole_number(usage.get(f"cache_{how}_input_tokens")) or 0 for how in ("creation", "read"))
    return counted[0] + sum(cached)


def _capture(payload: Json) -> CapturedResponse:
    if payload.get("type") != "message":
        raise Unreadable("no message in the answer")
    usage = payload.get("usage") or {}
    return CapturedResponse(
        text=text_of(payload.get("content"), between=""),
        model=payload.get("model"),
        prompt_tokens=_input_tokens(usage),
        completion_tokens=whole_number(usage.get("output_tokens")),
        whole=is_natural_end(payload.get("stop_reason")),
        end=payload.get("stop_reason"),
        stopped_by=payload.get("stop_sequence"),
        cached_tokens=whole_number(usage.get("cache_read_input_tokens")),
        tool_calls=tuple(
            ToolCall(str(block.get("id")), str(block.get("name")), orjson.dumps(block.get("input") or {}).decode())
            for block in objects(payload.get("content"))
            if block.get("type") == "tool_use"
        ),
    )


def _ends(name: str, data: str) -> bool:
    return (name or json_of(data).get("type")) in ("message_stop", "error")


def _capture_events(events: Iterable[tuple[str, str]]) -> CapturedResponse:
    answer = _StreamedAnswer()
    for name, data in events:
        said = json_of(data)
        match name or said.get("type"):
            case "message_start":
                answer.begin(said.get("message") or {})
            case "content_block_start":
                answer.begin_block(said.get("index"), said.get("content_block") or {})
            case "content_block_delta":
                answer.add(said.get("index"), said.get("delta") or {})
            case "message_delta":
                answer.end(said.get("delta") or {}, said.get("usage") or {})
            case "message_stop":
                answer.ended = True
            case "error":
                answer.break_off()
                break
    return answer.captured()


class _StreamedAnswer:
    """An answer as its events put it together."""

    __slots__ = ("_begun", "_calls", "_model", "_stop", "_texts", "_usage", "ended")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: list[Json] = []
        self._begun: dict[object, Json] = {}  # a call by the index it was last begun at
        self._model: str | None = None
        self._usage: Json = {}
        self._stop: str | None = None
        self.ended = False

    def begin(self, message: Json) -> None:
        self._model, self._usage = message.get("model"), dict(message.get("usage") or {})

    def begin_block(self, index: object, block: Json) -> None:
        if block.get("type") == "tool_use":
            call = {"id": block.get("id"), "name": block.get("name"), "arguments": "", "input": block.get("input")}
            self._begun[index] = call
            self._calls.append(call)
        elif block.get("type") == "text":
            self._texts.append(str(block.get("text") or ""))

    def add(self, index: object, delta: Json) -> None:
        """More of a text, or of the arguments of the call begun at `index`."""
        if delta.get("type") == "text_delta":
            self._texts.append(str(delta.get("text") or ""))
        elif delta.get("type") == "input_json_delta" and index in self._begun:
            self._begun[index]["arguments"] += str(delta.get("partial_json") or "")

    def end(self, delta: Json, usage: Json) -> None:
        """Why it ends, and what it came to."""
        self._stop = delta.get("stop_reason") or self._stop
        self._usage |= {key: value for key, value in usage.items() if value is not None}

    def break_off(self) -> None:
        self._stop, self.ended = "error", False

    def captured(self) -> CapturedResponse:
        """Raises Unreadable where nothing came."""
        if not self._texts and not self._calls and not self.ended and not self._usage:
            raise Unreadable("no text in the stream")
        return CapturedResponse(
            text="".join(self._texts),
            model=self._model,
            prompt_tokens=_input_tokens(self._usage),
            completion_tokens=whole_number(self._usage.get("output_tokens")),
            whole=self.ended and is_natural_end(self._stop),
            end=self._stop,
            cached_tokens=whole_number(self._usage.get("cache_read_input_tokens")),
            tool_calls=tuple(
                ToolCall(
                    str(call["id"]), str(call["name"]), call["arguments"] or orjson.dumps(call["input"] or {}).decode()
                )
                for call in self._calls
            ),
        )


DIALECT = Dialect(
    "messages",
    "anthropic",
    _read,
    _to_chat,
    _conversation,
    _write,
    _events,
    _error,
    _capture,
    _capture_events,
    _ends,
    heartbeat=event({"type": "ping"}, "ping"),
    error_event=lambda payload: event(payload, "error"),
)
