"""What Together can answer instead of what was asked, as errors of ours.

    ReasoningError
      RequestRefusedError     400, 403, 422: the request itself is wrong, or not allowed now
        NotServingError       400 of a chat call: the deployment does not run, or nothing is routed to it
        ConflictError         409: a stale etag, or the name is taken
      KeyRefusedError         401 (ConfigurationError)
      MissingError            404 (NotFoundError)
      QuotaError              429 for want of GPUs (LimitError)
        CreditError           402 for want of credit, or at a spending limit
      BusyError               429 and 5xx (RemoteError)
      UnreachableError        no answer at all (RemoteError)

Both error shapes are read: `{"error": {"message", "type", "code"}}` and the RPC form `{"message", "code", "details"}`.
"""

from __future__ import annotations

import json

from reasoning_cli.errors import ConfigurationError, LimitError, NotFoundError, ReasoningError, RemoteError
from reasoning_cli.redact import redact


class RequestRefusedError(ReasoningError):
    """Together understood the request and will not do it."""

    def __init__(self, message: str, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class NotServingError(RequestRefusedError):
    """A chat call for a model that does not run, or to which no traffic is routed. Flaps for a while after READY."""


class ConflictError(RequestRefusedError):
    """The resource changed meanwhile, or one of that name exists."""


class KeyRefusedError(ConfigurationError):
    """The API key is wrong, revoked or of another service."""


class MissingError(NotFoundError):
    """No such resource."""


class QuotaError(LimitError):
    """The account has no more GPUs, or no more credit; trying again at once is pointless."""


class CreditError(QuotaError):
    """The account's balance or spending limit does not reach; `code` is Together's word for which."""

    def __init__(self, message: str, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class BusyError(RemoteError):
    """Overloaded or broken on their side. `wait_seconds` is how long they ask to be left alone, None if they do not."""

    wait_seconds: float | None = None


class UnreachableError(RemoteError):
    """No answer. `maybe_done` tells whether the request may have arrived and been acted upon."""

    def __init__(self, message: str, hint: str | None = None, *, maybe_done: bool) -> None:
        super().__init__(message, hint)
        self.maybe_done = maybe_done


_NOT_SERVING = ("dedicated_endpoint_not_running", "endpoint_not_configured")


def explain(method: str, status: int, body: bytes, request_id: str | None) -> ReasoningError:
    """The error that an answer of `status` (400 and up) stands for."""
    message, code = _read(body)
    # It may repeat the key it was sent; an error is shown in tables, JSON and reports as well.
    said = redact(message) or f"HTTP {status}"
    trace = f" (request {request_id})" if request_id else ""
    match status:
        case 401:
            return KeyRefusedError(
                "Together refuses the API key", "`reasoning config set-key` asks for another; make one at together.ai"
            )
        case 402:
            return CreditError(f"Together wants credit first: {said}", "add credit at together.ai", code)
        case 404:
            return MissingError(f"Together knows no such thing: {said}", "`reasoning models status` lists yours")
        case 409:
            return ConflictError(f"Together says it changed or exists already: {said}", "run the command again", code)
        case 429 if "quota" in f"{message} {code}".lower():
            return QuotaError(f"Together's GPU quota is used up: {said}", "stop something: `reasoning models status`")
        case 429:
            return BusyError(f"Together asks to slow down: {said}{trace}", "wait a minute and run the command again")
        case _ if status >= 500:
            return BusyError(f"Together failed with {status}: {said}{trace}", "run the command again in a while")
        case _ if code in _NOT_SERVING:
            return NotServingError(f"the model is not being served: {said}", "`reasoning models status`", code)
    return RequestRefusedError(f"Together refuses to {_VERBS.get(method, method)} this: {said}{trace}", None, code)


_VERBS = {"GET": "show", "POST": "make", "PATCH": "change", "DELETE": "delete"}


def _read(body: bytes) -> tuple[str, str]:
    """Message and code of either shape; what is not JSON is shown cut."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return body[:200].decode(errors="replace").strip(), ""
    if not isinstance(answer, dict):
        return "", ""
    error = answer.get("error", answer)
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return "", ""
    details = [str(item.get("detail", "")) for item in error.get("details") or [] if isinstance(item, dict)]
    words = [str(error.get("message") or ""), *details]
    return "; ".join(word for word in words if word), str(error.get("code") or error.get("type") or "")
