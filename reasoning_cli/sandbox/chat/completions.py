"""Chat completions: who answers (the split), whether they can (ready replicas), and the answer's wire form."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import cast

from reasoning_cli.sandbox.chat import tool_use
from reasoning_cli.sandbox.chat.answers import answer
from reasoning_cli.sandbox.deploy import adapters, lifecycle
from reasoning_cli.sandbox.deploy.analytics import count_usage
from reasoning_cli.sandbox.http.problems import ApiError, bad_request
from reasoning_cli.sandbox.http.requests import Request, Stream
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.catalog import PROJECT_SLUG
from reasoning_cli.sandbox.world.records import Deployment, Endpoint
from reasoning_cli.sandbox.world.world import World, new_id

_CHARACTERS_PER_TOKEN = 4
_CHUNK_CHARACTERS = 24
_LOGPROB = -0.05
_ROLES = {"system", "user", "assistant", "tool", "function"}


def complete(world: World, request: Request) -> Json | Stream:
    """Answer, or refuse with the vendor's codes: see `_serving`."""
    body = request.body()
    messages = _messages(body)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise bad_request("model is required", param="model")
    max_tokens = body.get("max_tokens")
    if max_tokens is not None and (isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1):
        raise bad_request("max_tokens must be a positive integer", param="max_tokens")
    served, _, adapter = model.partition(":")
    deployment = _serving(world, served)
    model_id = _adapted(world, deployment, model, adapter) if adapter else deployment.model_id
    prompt_tokens = sum(_tokens(_text(message)) for message in messages)
    if body.get("context_length_exceeded_behavior") != "truncate":
        _check_context(world, deployment, prompt_tokens + (max_tokens or 0))
    lifecycle.touch(world, deployment)
    asked = next((_text(message) for message in reversed(messages) if message["role"] == "user"), "")
    prompt_tokens += sum(_tokens(json.dumps(function)) for function in tool_use.offered(body))
    called = tool_use.calls(body, asked)
    said = "" if called else _said(world, deployment, model_id, asked, tool_use.results(messages))
    text, reason = _cut(said, max_tokens, body.get("stop"))
    completion_tokens = _tokens(text) + sum(_tokens(json.dumps(call["function"])) for call in called)
    usage: Json = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    count_usage(world, deployment, ok=True, input_tokens=prompt_tokens, output_tokens=completion_tokens)
    head: Json = {"id": new_id("chat"), "created": world.now // 1000, "model": model}
    if called:
        reason = "tool_calls"
    if body.get("stream") is True:
        return Stream(_chunks(head, text, called, reason, usage))
    message: Json = {"role": "assistant", "content": text}
    if called:
        message = {"role": "assistant", "content": None, "tool_calls": called}
    return {
        **head,
        "object": "chat.completion",
        "prompt": [],
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": _logprobs(body, text)}],
        "usage": usage,
    }


def _serving(world: World, model: str) -> Deployment:
    """The deployment that takes this request.

    `sandbox/<endpoint>` follows the split; `sandbox/<endpoint>/<deployment>` is pinned, but must be in the split too.
    Nothing wakes up by itself: without a ready replica the answer is 400.
    """
    endpoint, routed = _routed(world, model)
    if not routed:
        raise bad_request(
            f"{model} has no deployment in the endpoint's traffic split", code="endpoint_not_configured", param="model"
        )
    ready = [deployment for deployment in routed if deployment.ready and not _flaps(world, deployment)]
    if not ready:
        count_usage(world, routed[0], ok=False)
        raise bad_request(
            f"the dedicated endpoint of {model} is not running", code="dedicated_endpoint_not_running", param="model"
        )
    weights = [endpoint.split[deployment.id] * deployment.ready for deployment in ready] if len(ready) > 1 else [1]
    return random.choices(ready, weights)[0]


def _routed(world: World, model: str) -> tuple[Endpoint, list[Deployment]]:
    """The endpoint that a name means, and what of it the name may reach."""
    slug, *names = model.split("/")
    endpoint = next((endpoint for endpoint in world.live_endpoints() if names and endpoint.name == names[0]), None)
    if slug != PROJECT_SLUG or len(names) not in {1, 2} or endpoint is None:
        raise _unknown_model(model)
    live = world.live_deployments(endpoint.id)
    if len(names) == 1:
        return endpoint, [deployment for deployment in live if endpoint.split.get(deployment.id, 0) > 0]
    pinned = [deployment for deployment in live if deployment.name == names[1]]
    if not pinned:
        raise _unknown_model(model)
    return endpoint, [deployment for deployment in pinned if deployment.id in endpoint.split]


def _adapted(world: World, deployment: Deployment, model: str, adapter: str) -> str:
    """The id of the model of an adapter on the deployment; one that is not loaded yet does not answer.

    `sandbox/<endpoint>:<adapter>`: how v2 spells it is not documented, and this is how v1 did.
    """
    found = adapters.named(world, deployment, adapter)
    if found is None:
        raise _unknown_model(model)
    if not found.is_loaded:
        raise bad_request(f"the adapter of {model} is loading", code="dedicated_endpoint_not_running", param="model")
    return found.model_id


def _said(world: World, deployment: Deployment, model_id: str, asked: str, results: Sequence[str]) -> str:
    """What was learned here comes first; for the rest a fine-tuned model is as its base is."""
    model = world.models.get(model_id)
    if model is None or not model.learned:
        return answer(asked, model.name if model else deployment.model_name, results)
    if not results:
        from reasoning_cli.sandbox.chat import learned

        if (said := learned.answer(world.blobs, model.learned, asked)) is not None:
            return said
    base = world.models.get(model.base_model_id or "")
    return answer(asked, base.name if base else model.name, results)


def _flaps(world: World, deployment: Deployment) -> bool:
    """Whether it denies running, as the real service was seen to do for minutes; each denial counts."""
    if deployment.flap_calls:
        deployment.flap_calls -= 1
        return True
    return world.now < deployment.flap_until


def _unknown_model(model: str) -> ApiError:
    return ApiError(
        HTTPStatus.NOT_FOUND,
        f"unable to access model {model}: no such model, or it is not available to this key",
        code="model_not_available",
        param="model",
    )


def _messages(body: Json) -> list[Json]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad_request("messages must be a list that is not empty", param="messages")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise bad_request("each message needs a role: " + ", ".join(sorted(_ROLES)), param="messages")
    return cast("list[Json]", messages)


def _text(message: Json) -> str:
    """The text of a message: a string, or the text parts of a list."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _check_context(world: World, deployment: Deployment, tokens: int) -> None:
    model = world.models.get(deployment.model_id)
    if model is not None and tokens > model.context_length:
        raise ApiError(
            HTTPStatus.FORBIDDEN,
            f"prompt and max_tokens are {tokens} tokens, the model's context is {model.context_length}",
            code="context_length_exceeded",
            param="max_tokens",
        )


def _logprobs(body: Json, text: str) -> Json | None:
    """How probable the tokens of an answer were, where that is asked for: about 0.95 each, for nobody knows."""
    if not body.get("logprobs"):
        return None
    tokens = [text[start : start + _CHARACTERS_PER_TOKEN] for start in range(0, len(text), _CHARACTERS_PER_TOKEN)]
    return {"tokens": tokens, "token_ids": list(range(len(tokens))), "token_logprobs": [_LOGPROB] * len(tokens)}


def _cut(text: str, max_tokens: int | None, stop: object) -> tuple[str, str]:
    """(what is left of the answer, finish reason)."""
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    ends = [text.find(stop) for stop in stops if isinstance(stop, str) and stop and stop in text]
    if ends:
        text = text[: min(ends)]
    if max_tokens is not None and _tokens(text) > max_tokens:
        return text[: max_tokens * _CHARACTERS_PER_TOKEN], "length"
    return text, "stop"


def _chunks(head: Json, text: str, called: list[Json], reason: str, usage: Json) -> Iterator[str]:
    def chunk(content: str, finish_reason: str | None, counted: Json | None, **more: object) -> str:
        delta = {"role": "assistant", "content": content, **more}
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice], "usage": counted})

    for start in range(0, len(text), _CHUNK_CHARACTERS):
        yield chunk(text[start : start + _CHUNK_CHARACTERS], None, None)
    for call in called:
        yield chunk("", None, None, tool_calls=[call])
    yield chunk("", reason, usage)
    yield "[DONE]"
