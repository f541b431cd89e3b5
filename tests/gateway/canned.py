"""What an original provider and a slot's model say in tests: whole answers and streams in each dialect."""

from __future__ import annotations

import json
from typing import Any

from tests.gateway.provider import Answering, Handler, Received

Json = dict[str, Any]

ORIGINAL_SAYS = {
    "should_respond": (
        "<response>\n  <name>Nova</name>\n  <reasoning>The original decided.</reasoning>\n"
        "  <action>RESPOND</action>\n</response>"
    ),
    "planning": (
        "<response>\n  <thought>The original thought.</thought>\n  <actions>REPLY</actions>\n"
        "  <providers></providers>\n  <text>Hello from the original ✨ &lt;3</text>\n</response>"
    ),
    "coding": "```python\nprint('the original')\n```",
    "other": "A plain answer of the original.",
}
MODEL_SAYS = {
    name: text.replace("original", "model").replace("original", "model") for name, text in ORIGINAL_SAYS.items()
}


def kind_of(text: str) -> str:
    if "<task>Decide on behalf of" in text[:200]:
        return "should_respond"
    if "<task>Generate dialog and actions" in text[:200]:
        return "planning"
    return "coding" if "function" in text or "```" in text else "other"


def last_text(body: Json) -> str:
    """The last user message of a request in any dialect."""
    items = body.get("messages") or body.get("input") or []
    if isinstance(items, str):
        return items
    content = next(item for item in reversed(items) if item.get("role") == "user")["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def sse(data: Json, name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def chat_answer(text: str, model: str = "gpt-original", finish: str = "stop") -> Json:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


def chat_events(text: str, model: str = "gpt") -> list[bytes]:
    def chunk(delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sse({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]})

    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": piece}) for piece in pieces(text)),
        chunk({}, "stop"),
        b"data: [DONE]\n\n",
    ]


def responses_answer(text: str) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-original",
        "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 120,
        },
    }


def responses_events(text: str) -> list[bytes]:
    numbers = iter(range(1000))

    def said(kind: str, **fields: object) -> bytes:
        return sse({"type": kind, "sequence_number": next(numbers), **fields}, kind)

    inside = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    begun = {**responses_answer(""), "status": "in_progress", "output": [], "usage": None}
    return [
        said("response.created", response=begun),
        *(said("response.output_text.delta", **inside, delta=piece) for piece in pieces(text)),
        said("response.completed", response=responses_answer(text)),
    ]


def messages_answer(text: str) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-original",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 90, "cache_read_input_tokens": 10, "output_tokens": 20},
    }


def messages_events(text: str) -> list[bytes]:
    def said(kind: str, **fields: object) -> bytes:
        return sse({"type": kind, **fields}, kind)

    begun = {**messages_answer(""), "content": [], "stop_reason": None}
    return [
        said("message_start", message=begun),
        said("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(said("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in pieces(text)),
        said("content_block_stop", index=0),
        said("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 20}),
        said("message_stop"),
    ]


def pieces(text: str, size: int = 40) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


async def original(request: Received, answering: Answering) -> None:
    """A provider that answers all three dialects, whole or as a stream; anything else gets an echo of its path."""
    path = request.target.partition("?")[0]
    if request.method != "POST" or not path.endswith(("/chat/completions", "/responses", "/messages")):
        await answering.whole(200, {"path": request.target, "method": request.method}, {"x-request-id": "up-1"})
        return
    body = request.json
    text = ORIGINAL_SAYS[kind_of(last_text(body))]
    kind = path.rpartition("/")[2]
    whole, events = {
        "completions": (chat_answer, chat_events),
        "responses": (responses_answer, responses_events),
        "messages": (messages_answer, messages_events),
    }[kind]
    if body.get("stream"):
        await answering.events(events(text), {"x-request-id": "up-1"})
    else:
        await answering.whole(200, whole(text), {"x-request-id": "up-1"})


async def model(request: Received, answering: Answering) -> None:
    """A slot's model that answers well."""
    await answering.whole(200, chat_answer(MODEL_SAYS[kind_of(last_text(request.json))], "acme/model"))


def saying(text: str, **changes: object) -> Handler:
    """A slot's model that always says the same."""

    async def handler(request: Received, answering: Answering) -> None:
        await answering.whole(200, {**chat_answer(text, "acme/model"), **changes})

    return handler
