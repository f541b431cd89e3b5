"""One recorded call to a provider, request and response, read as a sample.

    {"at", "ms", "request": {"path", "headers", "body"}, "response": {"status", "body"} or {"status", "sse"}}

is what a recorder between agent and provider writes; the bodies alone (`request`, `response`) do as well. What the
bodies mean in each dialect is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.decisions.answers import InvalidAnswer, decision_of, read_answer
from reasoning_cli.decisions.prompts import agent_name, sender_id, shape_of
from reasoning_cli.decisions.recognise import recognise, without_codes
from reasoning_cli.decisions.turns import identity
from reasoning_cli.operations.data.ingest.elizaos_logs import (
    TOON,
    BadRow,
    NoDecision,
    content_id,
    milliseconds,
    storable,
)
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.times import read_time

ORIGIN = "request-log"


@dataclass(frozen=True)
class Exchange:
    """What a call asked and what it was answered, whatever the dialect. `answer` is None for one nobody can read."""

    text: str
    system: str | None
    tools: Sequence[Mapping[str, object]]
    turns: int
    has_images: bool
    model: str
    provider: str
    answer: str | None
    is_whole: bool = True
    has_tool_calls: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    max_tokens: int | None = None


# The path, the body of the request, and the answer: JSON, or the text of a stream. None: no call of a known dialect.
ReadExchange = Callable[[str, Mapping[str, object], object], Exchange | None]


def read_exchange_row(row: Mapping[str, object], read: ReadExchange, default_time: datetime) -> Sample | NoDecision:
    """The sample in a recorded call, or why there is none. Raises BadRow for what is not such a record."""
    request, response = row.get("request"), row.get("response")
    if not isinstance(request, dict):
        raise BadRow("no `request` with a body")
    body = request.get("body", request)
    if not isinstance(body, dict):
        return NoDecision("not a model call")
    answer, refused = _answer(response)
    if refused:
        return NoDecision("no answer: the provider said no")
    if answer is None:
        return NoDecision("no response")
    exchange = read(str(request.get("path") or request.get("url") or ""), body, answer)
    if exchange is None:
        return NoDecision("not a model call")
    headers = request.get("headers")
    found = recognise(
        exchange.text,
        {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, dict) else None,
        exchange.tools,
        system=exchange.system,
        max_tokens=exchange.max_tokens,
    )
    if found.model_type is None:
        return NoDecision(found.reason)
    if found.fmt != "xml":
        return NoDecision(TOON)
    if flaw := _flaw(exchange):
        return NoDecision(flaw)

    prompt, output = without_codes(exchange.text), exchange.answer or ""
    read_as = read_answer(found.model_type, prompt, output)
    return storable(
        Sample(
            id=content_id([body, answer, row.get("at")]),
            created_at=_time(row, answer) or default_time,
            model_type=found.model_type,
            model=exchange.model,
            source="original",
            origin=ORIGIN,
            prompt=prompt,
            output=output,
            system=exchange.system,
            decision=None if isinstance(read_as, InvalidAnswer) else decision_of(read_as),
            agent_name=agent_name(prompt),
            entity_id=sender_id(prompt),
            provider=exchange.provider,
            prompt_tokens=exchange.prompt_tokens,
            completion_tokens=exchange.completion_tokens,
            cached_tokens=exchange.cached_tokens,
            latency_ms=milliseconds(row.get("ms", row.get("latency_ms"))),
            shape=shape_of(prompt),
            identity=identity(prompt, None) if found.model_type == "coding" else "",
        )
    )


def _answer(response: object) -> tuple[object, bool]:
    """The answer, as JSON or as the text of a stream, and whether it is an error."""
    if isinstance(response, str):
        return response or None, False
    if not isinstance(response, dict):
        return None, False
    status = response.get("status")
    if isinstance(status, int) and status >= 400:
        return None, True
    for name in ("sse", "body"):
        if response.get(name):
            return response[name], False
    return (None if "status" in response else response), bool(response.get("error"))


def _flaw(exchange: Exchange) -> str | None:
    if exchange.turns > 1:
        return "conversation of several turns"
    if exchange.has_images:
        return "asks about an image"
    if exchange.has_tool_calls:
        return "answered with a call of a tool"
    if exchange.answer is None or not exchange.answer.strip():
        return "no response"
    if not exchange.is_whole:
        return "answer was cut"
    return None


def _time(row: Mapping[str, object], answer: object) -> datetime | None:
    """When the call was made, by the log or by the answer; None where neither says. What says it unreadably raises
    BadRow: to take the present instead would be an invention."""
    said = [row.get("at"), row.get("created_at"), row.get("timestamp")]
    if isinstance(answer, dict):
        said += [answer.get("created"), answer.get("created_at")]
    for value in said:
        if (moment := read_time(value)) is not None:
            return moment
    if any(value is not None for value in said):
        raise BadRow("its time (`at`) is not a time that can be read")
    return None
