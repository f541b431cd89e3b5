"""OpenAI responses, as plugin-openai 1.5 and later speak them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from reasoning_cli.decisions.turns import written
from reasoning_cli.gateway.dialects.chat import error
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
from reasoning_cli.gateway.dialects.references import restored, with_id

_SYSTEM_ROLES = ("system", "developer")
_SAMPLING = {"temperature": "temperature", "top_p": "top_p"}
_TEXTS = {"text", "input_text", "output_text", "refusal"}
_WITH_ANSWER = ("response.completed", "response.incomplete", "response.failed")
_ENDS = (*_WITH_ANSWER, "error")
# An item before anything of it was said.
_EMPTY: dict[str, Json] = {
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
}
_READ = (*_ENDS, "response.created", "response.output_text.delta", "response.output_item.done")
_KINDS = ("function", "custom")
_CALLS = ("function_call", "custom_tool_call")
# Items that are neither said nor done: what a model thought is its vendor's, and where the tools stand is read apart.
_SAYS_NOTHING = ("reasoning", "additional_tools", "configuration_update")
_STATEFUL = ("previous_response_id", "conversation", "prompt", "background", "store")


def _items(body: Json) -> list[Json]:
    given = body.get("input")
    return [{"role": "user", "content": given}] if isinstance(given, str) else objects(given)


def _read(body: Json) -> Asked | None:
    items = _items(body)
    users = [item for item in items if item.get("role") == "user"]
    if not users or not isinstance(body.get("model"), str):
        return None
    parts = [text_of(item.get("content")) for item in items if item.get("role") in _SYSTEM_ROLES]
    if isinstance(body.get("instructions"), str):
        parts.insert(0, body["instructions"])
    return Asked(
        text=text_of(users[-1].get("content")),
        model=body["model"],
        stream=body.get("stream") is True,
        system="\n".join(parts) or None,
        tools=_tools_of(body),
        turns=sum(1 for item in items if item.get("role") not in _SYSTEM_ROLES),
        has_images=any("input_image" in kinds_of(item.get("content")) for item in items),
        max_tokens=whole_number(body.get("max_output_tokens")),
    )


def _to_chat(body: Json) -> Json:
    if stateful := next((name for name in _STATEFUL if body.get(name)), None):
        raise Untranslatable(f"rests on what the provider keeps (`{stateful}`)")
    wanted = (body.get("text") or {}).get("format") or {"type": "text"}
    if wanted.get("type") != "text":
        raise Untranslatable("asks for structured output")
    chat: Json = {"messages": in_order(_messages(body)), **sampling(body, _SAMPLING)}
    tools = _tools_of(body)
    if any(tool.get("type") not in _KINDS for tool in tools):
        raise Untranslatable("a tool only its vendor knows")
    if len({tool.get("name") for tool in tools}) < len(tools):
        raise Untranslatable("two tools of one name")
    if tools:
        chat["tools"] = [_tool(tool) for tool in tools]
        choice = body.get("tool_choice")
        if isinstance(choice, dict) and choice.get("type") not in _KINDS:
            raise Untranslatable("a choice among tools only its vendor knows")
        if isinstance(choice, dict):
            choice = {"type": "function", "function": {"name": choice.get("name")}}
        if choice is not None:
            chat["tool_choice"] = choice
        if body.get("parallel_tool_calls") is False:
            chat["parallel_tool_calls"] = False
    return chat


def _tools_of(body: Json) -> list[Json]:
    """The tools of a request: where its newest clients put them, in an item of the input, and in spaces of names."""
    given = objects(body.get("tools"))
    for item in objects(body.get("input"))[:1]:
        if item.get("type") == "additional_tools":
            given = [*given, *objects(item.get("tools"))]
    found: list[Json] = []
    for tool in given:
        if tool.get("type") == "namespace":
            found += [{**item, "namespace": tool.get("name")} for item in objects(tool.get("tools"))]
        else:
            found.append(tool)
    return found


def _tool(tool: Json) -> Json:
    if tool.get("type") == "custom":
        return {"type": "function", "function": text_function(tool)}
    return {
        "type": "function",
        "function": {name: tool[name] for name in ("name", "description", "parameters") if name in tool},
    }


def _conversation(body: Json) -> str | None:
    return written(_messages(body), [_tool(tool) for tool in _tools_of(body) if tool.get("type") in _KINDS])


def _messages(body: Json) -> list[Json]:
    messages: list[Json] = []
    if isinstance(body.get("instructions"), str):
        messages.append({"role": "system", "content": body["instructions"]})
    for item in _items(body):
        kind = item.get("type", "message")
        if kind == "message":
            if strange := kinds_of(item.get("content")) - _TEXTS:
                raise Untranslatable(f"a part that is not text: {sorted(strange)[0]}")
            role = "system" if item.get("role") in _SYSTEM_ROLES else item.get("role")
            messages.append({"role": role, "content": text_of(item.get("content"))})
        elif kind in _CALLS:
            function = {"name": item.get("name"), "arguments": _arguments(item)}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            if messages and messages[-1]["role"] == "assistant":
                messages[-1].setdefault("tool_calls", []).append(call)
            else:
                messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        elif kind in ("function_call_output", "custom_tool_call_output"):
            if kinds_of(item.get("output")) - _TEXTS:
                raise Untranslatable("the result of a tool that is not text")
            output = text_of(item.get("output"))
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})
        elif kind not in _SAYS_NOTHING:
            raise Untranslatable(f"an item of kind `{kind}`")
    return messages


def _output(reply: Reply, body: Json) -> list[Json]:
    # Unless it says that nothing is kept, a client may name an item later instead of sending it.
    may_be_named = body.get("store") is not False
    items: list[Json] = []
    if reply.text or not reply.tool_calls:
        content = [{"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}]
        said = {"type": "message", "status": "completed", "role": "assistant", "content": content}
        items.append(with_id(said, "msg_", may_be_named=may_be_named))
    return items + [
        with_id(_call(call), "ctc_" if call.custom else "fc_", may_be_named=may_be_named) for call in reply.tool_calls
    ]


def _call(call: ToolCall) -> Json:
    space = {"namespace": call.namespace} if call.namespace else {}
    made = {"status": "completed", "call_id": call.id, "name": call.name, **space}
    if call.custom:
        return {"type": "custom_tool_call", **made, "input": text_called_with(call)}
    return {"type": "function_call", **made, "arguments": call.arguments}


def _response(reply: Reply, output: list[Json], status: str, response_id: str) -> Json:
    cut = status == "incomplete"
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": None,
        "max_output_tokens": None,
        "model": reply.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None
        if status == "in_progress"
        else {
            "input_tokens": reply.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": reply.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        },
        "user": None,
        "metadata": {},
    }


def _end(reply: Reply) -> str:
    return "incomplete" if reply.finish == "length" else "completed"


def _write(reply: Reply, body: Json) -> Json:
    return _response(reply, _output(reply, body), _end(reply), new_id("resp_"))


def _events(reply: Reply, body: Json) -> Iterator[bytes]:
    response_id, output = new_id("resp_"), _output(reply, body)
    number = iter(range(1_000_000))

    def said(kind: str, **fields: object) -> bytes:
        return event({"type": kind, "sequence_number": next(number), **fields}, kind)

    begun = _response(reply, [], "in_progress", response_id)
    yield said("response.created", response=begun)
    yield said("response.in_progress", response=begun)
    for place, item in enumerate(output):
        where = {"item_id": item["id"], "output_index": place}
        empty = _EMPTY[item["type"]]
        yield said("response.output_item.added", output_index=place, item={**item, "status": "in_progress", **empty})
        if item["type"] == "message":
            part = item["content"][0]
            inside = {**where, "content_index": 0}
            yield said("response.content_part.added", **inside, part={**part, "text": ""})
            if reply.text:
                yield said("response.output_text.delta", **inside, delta=reply.text, logprobs=[])
            yield said("response.output_text.done", **inside, text=reply.text, logprobs=[])
            yield said("response.content_part.done", **inside, part=part)
        elif item["type"] == "custom_tool_call":
            yield said("response.custom_tool_call_input.delta", **where, delta=item["input"])
            yield said("response.custom_tool_call_input.done", **where, input=item["input"])
        else:
            yield said("response.function_call_arguments.delta", **where, delta=item["arguments"])
            yield said("response.function_call_arguments.done", **where, name=item["name"], arguments=item["arguments"])
        yield said("response.output_item.done", output_index=place, item=item)
    kind = f"response.{_end(reply)}"
    yield said(kind, response=_response(reply, output, _end(reply), response_id))


def _capture(payload: Json) -> CapturedResponse:
    if payload.get("object") != "response" and "output" not in payload:
        raise Unreadable("no response object")
    items = objects(payload.get("output"))
    usage = payload.get("usage") or {}
    return CapturedResponse(
        text="".join(text_of(item.get("content"), between="") for item in items if item.get("type") == "message"),
        model=payload.get("model"),
        prompt_tokens=whole_number(usage.get("input_tokens")),
        completion_tokens=whole_number(usage.get("output_tokens")),
        whole=payload.get("status") == "completed",
        end=_end_reason(payload),
        cached_tokens=whole_number((usage.get("input_tokens_details") or {}).get("cached_tokens")),
        tool_calls=tuple(
            ToolCall(str(item.get("call_id")), str(item.get("name")), _arguments(item))
            for item in items
            if item.get("type") in _CALLS
        ),
    )


def _arguments(item: Json) -> str:
    """The arguments of a call; the free text of one of a custom tool is the only one."""
    if item.get("type") == "custom_tool_call":
        return text_arguments(item.get("input"))
    return str(item.get("arguments") or "{}")


def _end_reason(payload: Json) -> str | None:
    """What an answer calls its end: why it is incomplete, where it says so."""
    details, status = payload.get("incomplete_details"), payload.get("status")
    reason = details.get("reason") if isinstance(details, dict) and status != "completed" else None
    found = reason or status
    return found if isinstance(found, str) else None


def _ends(name: str, data: str) -> bool:
    # Some say the common end after their own.
    return data.strip() == DONE or (name or json_of(data).get("type")) in _ENDS


def _capture_events(events: Iterable[tuple[str, str]]) -> CapturedResponse:
    texts: list[str] = []
    items: list[Json] = []
    envelope: Json = {}  # what the first and the last event say of all of it
    end: str | None = None
    for name, data in events:
        if data.strip() == DONE:
            break
        # Some name no events.
        if name and name not in _READ:
            continue
        said = json_of(data)
        kind = name or said.get("type")
        if kind == "response.output_text.delta":
            texts.append(str(said.get("delta") or ""))
        elif kind == "response.output_item.done" and isinstance(said.get("item"), dict):
            items.append(said["item"])
        elif kind == "response.created" and isinstance(said.get("response"), dict):
            envelope = said["response"]
        elif kind in _WITH_ANSWER:
            return _completed(said.get("response") or {}, items, texts)
        elif kind == "error":
            end = "error"
            break
    if not texts and not items:
        raise Unreadable("no text in the stream")
    before = _capture({"output": items, "model": envelope.get("model")})
    return replace(before, text=before.text or "".join(texts), whole=False, end=end)


def _completed(response: Json, items: list[Json], texts: list[str]) -> CapturedResponse:
    """An answer by the last event. Some leave the output out of it: that was told already, in `items` or `texts`."""
    captured = _capture(response)
    if captured.text or captured.tool_calls:
        return captured
    before = _capture({"output": items})
    return replace(captured, text=before.text or "".join(texts), tool_calls=before.tool_calls)


def _error_event(payload: Json) -> bytes:
    """Both as it is written down and as it is sent: some clients look at the top, some inside."""
    inside = payload["error"]
    top = {name: inside.get(name) for name in ("code", "message", "param")}
    return event({"type": "error", "sequence_number": 0, **top, "error": inside}, "error")


DIALECT = Dialect(
    "responses",
    "openai",
    _read,
    _to_chat,
    _conversation,
    _write,
    _events,
    error,
    _capture,
    _capture_events,
    _ends,
    heartbeat=COMMENT,
    error_event=_error_event,
    restored=restored,
)
