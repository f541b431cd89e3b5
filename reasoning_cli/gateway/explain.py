"""Say of a recorded request what it is, where it would go and why, without sending anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from reasoning_cli.decisions.addressing import AnsweredMessages
from reasoning_cli.decisions.recognise import Recognition
from reasoning_cli.errors import DataError
from reasoning_cli.gateway.dialects.forms import Asked, Dialect, Untranslatable
from reasoning_cli.gateway.head import Use, judge, may_judge
from reasoning_cli.gateway.routing import route
from reasoning_cli.gateway.target import dialect_of
from reasoning_cli.operations.deploy.slots import SlotNow

_FORM = 'one request, or one a line: {"request": {"method", "path", "headers", "body"}}'
# What reading a body raises that has the right keys with the wrong things in them.
_MISSHAPEN = (KeyError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True)
class Explanation:
    """`route` is `head`, `slot` or `original`; `shadow`: the slot's model is asked as a shadow of the original."""

    number: int
    method: str
    path: str
    model_type: str | None
    route: str
    reason: str
    shadow: bool
    face: str | None


def read_requests(content: bytes) -> list[Mapping[str, Any]]:
    """The requests in a file: one JSON document, or one a line. Raises DataError."""
    try:
        found = [orjson.loads(content)]
    except ValueError:
        found = [_line(number, line) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if not found:
        raise DataError("there is no request to explain", hint=_FORM)
    return [_request(number, value) for number, value in enumerate(found, start=1)]


def explain(requests: list[Mapping[str, Any]], slots: Mapping[str, SlotNow]) -> Iterator[Explanation]:
    """What each request is and where it would go with the slots as they are now."""
    for number, request in enumerate(requests, start=1):
        yield _explain(number, request, slots)


def _explain(number: int, request: Mapping[str, Any], slots: Mapping[str, SlotNow]) -> Explanation:
    method, path = str(request.get("method") or "POST").upper(), str(request.get("path") or "/")
    headers = {str(key).lower(): str(value) for key, value in (request.get("headers") or {}).items()}
    dialect = dialect_of(method, path.partition("?")[0])

    def original(reason: str) -> Explanation:
        return Explanation(number, method, path, None, "original", reason, False, dialect.name if dialect else None)

    if dialect is None:
        return original("no path that decisions take")
    body = request.get("body")
    if isinstance(body, str):
        try:
            body = orjson.loads(body)
        except ValueError:
            return original("its body is not JSON")
    try:
        asked = dialect.read(body) if isinstance(body, dict) else None
    except _MISSHAPEN:
        asked = None
    if asked is None or not isinstance(body, dict):
        return original(f"no request of the {dialect.name} dialect")
    try:
        size = len(orjson.dumps(body))
    except TypeError:
        return original("its body is nested too deeply")
    where = route(asked, headers, slots, size, {})
    to_slot, reason = where.to_slot, where.reason
    if to_slot and (untranslatable := _untranslatable(dialect, body)) is not None:
        to_slot, reason = False, untranslatable
    by_head, reason = _of_head(slots.get(where.recognition.model_type or ""), asked, where.recognition, reason)
    return Explanation(
        number,
        method,
        path,
        where.recognition.model_type,
        "head" if by_head else "slot" if to_slot else "original",
        reason,
        where.shadow,
        dialect.name,
    )


def _untranslatable(dialect: Dialect, body: dict[str, Any]) -> str | None:
    """Why a request cannot be put to the slot's model; None when it can."""
    try:
        dialect.to_chat(body)
    except Untranslatable as why:
        return str(why)
    except _MISSHAPEN:
        return "cannot be translated"
    return None


def _of_head(slot: SlotNow | None, asked: Asked, found: Recognition, reason: str) -> tuple[bool, str]:
    """(whether the head in line would answer, why it goes where it does). Whom the agent answered before, one request
    does not tell."""
    head = slot.head if slot is not None else None
    if head is None:
        return False, reason
    if not may_judge(head, asked, found):
        return False, f"{reason}; head: {head.problem or head.closed or 'not asked in this form'}"
    try:
        judged = judge(head, asked, found, AnsweredMessages())
    except Exception as error:
        return False, f"{reason}; head: failed, {type(error).__name__}"
    if judged.attempt.failure is None and judged.use is not Use.SHADOW:
        return True, judged.attempt.why or reason
    return False, f"{reason}; head: {judged.attempt.why}"


def _line(number: int, line: bytes) -> object:
    try:
        return orjson.loads(line)
    except ValueError:
        raise DataError(f"line {number} is not JSON", hint=_FORM) from None


def _request(number: int, found: object) -> Mapping[str, Any]:
    """The request in a recording, or a bare one."""
    request = found.get("request", found) if isinstance(found, dict) else None
    if not isinstance(request, dict) or not ("body" in request or "path" in request):
        raise DataError(f"number {number} is not a recorded request", hint=_FORM)
    return request
