"""What an engine can answer instead of what was asked, whichever engine it is.

    ReasoningError
      RequestRefusedError     the request itself is wrong, or not allowed now
        NotServingError       the model does not run, or nothing is routed to it
        ConflictError         it changed meanwhile, or the name is taken
        LinkExpiredError      a signed address is no longer valid
      KeyRefusedError         wrong key, or none (ConfigurationError)
      MissingError            no such thing (NotFoundError)
      QuotaError              the account has no more of it (LimitError)
        CreditError           no credit, or a spending limit is reached
      BusyError               overloaded or broken over there (RemoteError)
        CutError              an answer broke off in the midst
      UnreachableError        no answer at all (RemoteError)
      FileChangedError        a file is not what was checked (DataError)

Each engine says in its `problems` which of its answers is which, and reads the words with `words_of`.
"""

from __future__ import annotations

import json

from reasoning_cli.errors import (
    ConfigurationError,
    DataError,
    LimitError,
    NotFoundError,
    ReasoningError,
    RemoteError,
)
from reasoning_cli.redact import redact


class RequestRefusedError(ReasoningError):
    """The engine understood the request and will not do it; `code` is its own word for why. `context_tokens`: those of
    the model's context, where a refusal names them."""

    context_tokens: int | None = None

    def __init__(self, message: str, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class NotServingError(RequestRefusedError):
    """A question to a model that does not run, or to which no traffic is routed. Flaps for a while after READY."""


class ConflictError(RequestRefusedError):
    """The resource changed meanwhile, or one of that name exists."""


class LinkExpiredError(RequestRefusedError):
    """The signature of the address is no longer (or was never) valid: ask for another."""


class KeyRefusedError(ConfigurationError):
    """The key is wrong, revoked or of another service, or there is none and one is wanted."""


class MissingError(NotFoundError):
    """No such resource, model or API."""


class QuotaError(LimitError):
    """The account has no more GPUs, or no more credit; trying again at once is pointless."""


class CreditError(QuotaError):
    """The account's balance or spending limit does not reach; `code` is the engine's word for which."""

    def __init__(self, message: str, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class BusyError(RemoteError):
    """Overloaded or broken on their side, or nothing of use was said. `wait_seconds` is how long they ask to be left
    alone, None if they do not."""

    wait_seconds: float | None = None


class CutError(BusyError):
    """An answer broke off in the midst: another question interrupted it, or the server died."""


class UnreachableError(RemoteError):
    """No answer. `maybe_done` tells whether the request may have arrived and been acted upon."""

    def __init__(self, message: str, hint: str | None = None, *, maybe_done: bool) -> None:
        super().__init__(message, hint)
        self.maybe_done = maybe_done


class FileChangedError(DataError):
    """The file is not, or no longer, what it was when it was checked."""


_SHOWN = 200  # characters of an answer that is not JSON


def words_of(body: bytes) -> tuple[str, str]:
    """Message and code of an answer that is an error, without keys it may repeat; both empty where it says nothing.

    Read are `{"error": {"message", "type", "code"}}`, the RPC form `{"message", "code", "details"}`, `{"error": text}`
    and `{"detail": text}`; what is not JSON is shown cut.
    """
    message, code = _read(body)
    # An error is shown in tables, JSON and reports as well.
    return redact(message), code


def _read(body: bytes) -> tuple[str, str]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return " ".join(body[:_SHOWN].decode(errors="replace").split()), ""
    if not isinstance(answer, dict):
        return "", ""
    error = answer.get("error") or answer
    if isinstance(error, str):
        return error, ""
    if not isinstance(error, dict):
        return "", ""
    details = error.get("details")
    listed = details if isinstance(details, list) else []
    further = [str(item.get("detail", "")) for item in listed if isinstance(item, dict)]
    said = error.get("message") or error.get("detail") or ""
    words = [said if isinstance(said, str) else json.dumps(said)[:_SHOWN], *further]
    return "; ".join(word for word in words if word), str(error.get("code") or error.get("type") or "")
