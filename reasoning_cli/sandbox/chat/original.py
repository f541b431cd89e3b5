"""A stand-in for the provider that an agent called before: it answers whatever is asked, in each dialect.

What a gateway on the sandbox hands on ends here, so that nothing of a rehearsal reaches a real provider. No key is
looked at: agents bring their own.
"""

from __future__ import annotations

import base64
import json
import random
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from reasoning_cli.sandbox.chat.answers import answer
from reasoning_cli.sandbox.chat.prompts import kind_of
from reasoning_cli.sandbox.clock import real_now
from reasoning_cli.sandbox.http.paths import ORIGINAL, Methods, compile_routes, match_route, unknown_path
from reasoning_cli.sandbox.http.problems import bad_request
from reasoning_cli.sandbox.http.requests import Raw, Reply, Request
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.world import new_id

MODEL = "stand-in"

_CHARACTERS_PER_TOKEN = 4
_PIECE = 24
_MOST_DIMENSIONS = 4096
_HELLO = "This is the sandbox's stand-in for your agent's own provider. Nothing left this machine."


def respond(request: Request) -> Reply:
    """The answer to a call. Raises ApiError (400, 404, 405), as the vendor would."""
    found = match_route(_ROUTES, request)
    if found is None:
        raise unknown_path(request)
    return found[0](request)


def _chat(request: Request) -> Reply:
    body = request.body()
    asked, said = _asked_and_said(body.get("messages"), body)
    head: Json = {"id": new_id("chatcmpl"), "created": real_now() // 1000, "model": _model(body)}
    usage = {
        "prompt_tokens": _tokens(asked),
        "completion_tokens": _tokens(said),
        "total_tokens": _tokens(asked) + _tokens(said),
    }
    if body.get("stream") is not True:
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}

    def chunks() -> Iterator[Json]:
        for delta, reason in [
            *(({"role": "assistant", "content": piece}, None) for piece in _pieces(said)),
            ({}, "stop"),
        ]:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            yield {**head, "object": "chat.completion.chunk", "choices": [choice]}
        options = body.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage"):
            yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}

    return _events([*map(json.dumps, chunks()), "[DONE]"])


def _messages(request: Request) -> Reply:
    body = request.body()
    asked, said = _asked_and_said(body.get("messages"), body)
    usage = {"input_tokens": _tokens(asked), "output_tokens": _tokens(said)}
    message: Json = {
        "id": new_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": _model(body),
        "content": [{"type": "text", "text": said}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    if body.get("stream") is not True:
        return message
    return _named_events(
        [
            {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            *(
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
                for piece in _pieces(said)
            ),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
    )


def _count_tokens(request: Request) -> Reply:
    return {"input_tokens": _tokens(request.raw_body.decode(errors="replace"))}


def _responses(request: Request) -> Reply:
    body = request.body()
    asked, said = _asked_and_said(body.get("input"), body)
    text = {"type": "output_text", "text": said, "annotations": []}
    item = {"id": new_id("msg"), "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    usage = {
        "input_tokens": _tokens(asked),
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": _tokens(said),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": _tokens(asked) + _tokens(said),
    }
    response: Json = {
        "id": new_id("resp"),
        "object": "response",
        "created_at": real_now() // 1000,
        "status": "completed",
        "model": _model(body),
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "usage": usage,
    }
    if body.get("stream") is not True:
        return response
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **where, "part": {**text, "text": ""}},
        *({"type": "response.output_text.delta", **where, "delta": piece} for piece in _pieces(said)),
        {"type": "response.output_text.done", **where, "text": said},
        {"type": "response.content_part.done", **where, "part": text},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    ]
    return _named_events({**event, "sequence_number": number} for number, event in enumerate(events))


def _embeddings(request: Request) -> Reply:
    """Vectors that mean nothing, the same for the same text."""
    body = request.body()
    given = body.get("input")
    texts = given if isinstance(given, list) and all(isinstance(text, str) for text in given) else [given]
    wanted = body.get("dimensions")
    size = min(wanted, _MOST_DIMENSIONS) if isinstance(wanted, int) and wanted > 0 else 1536

    def vector(text: object) -> list[float] | str:
        dice = random.Random(str(text))
        numbers = [dice.gauss(0, size**-0.5) for _ in range(size)]
        if body.get("encoding_format") == "base64":
            return base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode()
        return numbers

    tokens = sum(_tokens(str(text)) for text in texts)
    return {
        "object": "list",
        "model": _model(body),
        "data": [{"object": "embedding", "index": at, "embedding": vector(text)} for at, text in enumerate(texts)],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _models(request: Request) -> Reply:
    return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "sandbox"}]}


_TABLE: dict[str, Methods] = {
    f"{ORIGINAL}/chat/completions": {"POST": _chat},
    f"{ORIGINAL}/messages": {"POST": _messages},
    f"{ORIGINAL}/messages/count_tokens": {"POST": _count_tokens},
    f"{ORIGINAL}/responses": {"POST": _responses},
    f"{ORIGINAL}/embeddings": {"POST": _embeddings},
    f"{ORIGINAL}/models": {"GET": _models},
}
_ROUTES = compile_routes(_TABLE)


def _model(body: Json) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise bad_request("model is required", param="model")
    return model


def _asked_and_said(given: object, body: Json) -> tuple[str, str]:
    """What the last message of the user says, and the answer: a decision is decided, all else gets a greeting."""
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise bad_request("messages (or input) must be text or a list that is not empty")
    asked = next((_text(item) for item in reversed(given) if isinstance(item, dict) and item.get("role") == "user"), "")
    return asked, _HELLO if kind_of(asked) == "other" else answer(asked, _model(body))


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return content if isinstance(content, str) else ""


def _pieces(text: str) -> list[str]:
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _named_events(events: Iterable[Json]) -> Raw:
    return _stream(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def _events(payloads: Iterable[str]) -> Raw:
    return _stream(f"data: {payload}\n\n" for payload in payloads)


def _stream(events: Iterable[str]) -> Raw:
    return Raw("".join(events).encode(), {"Content-Type": "text/event-stream"})
