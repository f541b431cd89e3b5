"""Which answer of a server of the operator's own is which error, and what the operator can do about it."""

from __future__ import annotations

import re

from reasoning_cli.engines.errors import (
    BusyError,
    KeyRefusedError,
    MissingError,
    RequestRefusedError,
    UnreachableError,
    words_of,
)
from reasoning_cli.errors import ReasoningError

_LONGEST_WAIT_SECONDS = 60.0
_CONTEXT_IN_WORDS = re.compile(r"context (?:length|size|window)\D{0,40}?(\d[\d,]{0,15})(?![\d,]*\d)", re.IGNORECASE)
_NUMBER_OF_CONTEXT = re.compile(rb'"n_ctx"\s*:\s*(\d{1,15})(?!\d)')


def explain(url: str, status: int, body: bytes, retry_after: str) -> ReasoningError:
    """The error that an answer of `status` (300 and up) of the server at `url` stands for."""
    message, code = words_of(body)
    said = message[:200] or f"HTTP {status}"
    match status:
        case 401 | 403:
            return KeyRefusedError(f"{url} refuses the key: {said}", "`reasoning config set TYPE.provider_key`")
        case 404 | 405:
            return MissingError(f"{url} knows no such thing: {said}", "`reasoning doctor` looks for address and model")
        case 429 | 500 | 502 | 503 | 504:
            busy = BusyError(f"{url} failed with {status}: {said}", "try again later")
            busy.wait_seconds = min(float(retry_after), _LONGEST_WAIT_SECONDS) if retry_after.isdecimal() else None
            return busy
    # For example a prompt that is longer than its context.
    refusal = RequestRefusedError(f"{url} refuses: {said}", None, code or f"status {status}")
    refusal.context_tokens = _context_tokens(message, body)
    return refusal


def _context_tokens(message: str, body: bytes) -> int | None:
    """The tokens of the context that a refusal names: as a number (llama.cpp), or in OpenAI's words."""
    number = _NUMBER_OF_CONTEXT.search(body)
    words = _CONTEXT_IN_WORDS.search(message)
    found = number.group(1).decode() if number is not None else words.group(1) if words is not None else None
    return int(found.replace(",", "")) if found is not None else None


def unreachable(url: str, error: Exception) -> UnreachableError:
    """No answer came; the question may have been read."""
    return UnreachableError(
        f"cannot reach the model's server at `{url}`: {str(error) or type(error).__name__}",
        "is it running? `reasoning doctor` looks at it",
        maybe_done=True,
    )
