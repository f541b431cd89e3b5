"""What is asked, as the requests that go the way of decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from random import getrandbits
from typing import Any

import orjson

from reasoning_cli.decisions.compose import Message, compose
from reasoning_cli.decisions.scope import Scope
from reasoning_cli.errors import UsageError
from reasoning_cli.gateway.decision_path import Request
from reasoning_cli.gateway.dialects import chat
from reasoning_cli.gateway.log.capture import LIBRARY
from reasoning_cli.library.results import ModelType
from reasoning_cli.values import parse_model_type

Said = Message | tuple[str, str] | Mapping[str, Any]
_NO_HEADERS: Mapping[str, str] = {}


def type_named(model_type: str | None) -> ModelType | None:
    """A model type as it is written inside. Raises UsageError."""
    if model_type is None or model_type in ("should_respond", "planning", "coding"):
        return model_type  # type: ignore[return-value]
    return parse_model_type(model_type)  # type: ignore[return-value]


def request_of(
    messages: Iterable[Mapping[str, Any]],
    model_type: str | None,
    scope: Scope,
    *,
    model: str | None = None,
    max_tokens: int | None = None,
    stream: bool = False,
) -> Request:
    """The request that messages of chat completions are. Raises UsageError for what are none."""
    said = [dict(message) for message in messages]
    body = {"model": model or "", "messages": said, **({"max_tokens": max_tokens} if max_tokens is not None else {})}
    try:
        asked = chat.DIALECT.read(body)
        raw = orjson.dumps(body)
    except (TypeError, AttributeError, ValueError):
        asked, raw = None, b""
    if asked is None:
        raise UsageError("messages without a user's are nothing to decide on", '`[{"role": "user", "content": "…"}]`')
    if scope.entity_id is not None or stream:
        asked = replace(asked, user=scope.entity_id, stream=stream)
    named = type_named(model_type)
    return Request(
        f"{getrandbits(128):032x}",
        chat.DIALECT,
        asked,
        body,
        _NO_HEADERS,
        len(raw),
        raw=raw,
        named=named,
        scope=scope,
        origin=LIBRARY,
    )


def composed(
    model_type: ModelType,
    conversation: str | Sequence[Said],
    agent: str,
    scope: Scope,
    *,
    system: str | None = None,
    actions: Sequence[str] = (),
    providers: Sequence[str] = (),
) -> Request:
    """The request for a decision about a conversation. Raises UsageError for one that cannot be read."""
    said = [("User", conversation)] if isinstance(conversation, str) else conversation
    messages = [_message(message) for message in said]
    if not messages:
        raise UsageError("a conversation of no message is nothing to decide on", 'pass `[("Sam", "Hello")]`')
    prompt = compose(model_type, agent, messages, actions=actions, providers=providers)
    scope = replace(scope, agent_name=scope.agent_name or agent, entity_id=scope.entity_id or messages[-1].entity_id)
    return request_of(_asking(prompt, system), model_type, scope)


def coding(prompt: str, language: str | None, context: str | None, scope: Scope) -> Request:
    """The request for code: what is wanted, in which language, and what there is already."""
    parts = [f"{prompt.rstrip()}\n\nAnswer in {language}." if language else prompt]
    if context:
        parts.append(context if "```" in context else f"```{language or ''}\n{context.rstrip()}\n```")
    return request_of(_asking("\n\n".join(parts), None), "coding", scope)


def _asking(prompt: str, system: str | None) -> list[dict[str, str]]:
    return [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": prompt}]


def _message(said: Said) -> Message:
    match said:
        case Message():
            return said
        case (str(name), str(text)):
            return Message(name, text)
        case Mapping():
            who, what = said.get("name") or said.get("role"), said.get("text") or said.get("content")
            if isinstance(who, str) and isinstance(what, str):
                return Message(who, what, said.get("entity_id"), said.get("at"))
    raise UsageError(
        "a message of the conversation cannot be read", 'pass `Message(name, text)`, `("Sam", "Hello")` or a mapping'
    )
