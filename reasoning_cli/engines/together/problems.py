"""Which of Together's answers is which error.

400, 403 and 422 are a request that is refused; a chat call's 400 may say that the model is not served, and a 429 that
the account has no more GPUs. Both error shapes are read: that of the API and the RPC form.
"""

from __future__ import annotations

from reasoning_cli.engines.errors import (
    BusyError,
    ConflictError,
    CreditError,
    KeyRefusedError,
    MissingError,
    NotServingError,
    QuotaError,
    RequestRefusedError,
    words_of,
)
from reasoning_cli.errors import ReasoningError

_NOT_SERVING = ("dedicated_endpoint_not_running", "endpoint_not_configured")


def explain(method: str, status: int, body: bytes, request_id: str | None) -> ReasoningError:
    """The error that an answer of `status` (400 and up) stands for."""
    message, code = words_of(body)
    said = message or f"HTTP {status}"
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
