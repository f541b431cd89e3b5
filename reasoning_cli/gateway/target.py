"""What the address of a call says: its dialect, and where it would have gone without us. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from reasoning_cli.gateway.dialects import chat, messages, responses
from reasoning_cli.gateway.dialects.forms import Dialect

_DIALECTS: Mapping[str, Dialect] = {
    "/chat/completions": chat.DIALECT,
    "/responses": responses.DIALECT,
    "/messages": messages.DIALECT,
}
# Clients put these before an API's own paths, some of them twice.
_PREFIXES = ("/api/v1", "/v1")


@dataclass(frozen=True, slots=True)
class Target:
    """`dialect` is that of a call that could be a decision, None for everything that is only handed through. `url`
    is where it would have gone without us; None for what has no path."""

    dialect: Dialect | None
    url: str | None


@lru_cache(maxsize=256)  # agents ask at the same few paths
def split_path(path: str) -> tuple[str, str]:
    """(the prefixes in front, an API's own path) of a request's path: `/v1/v1/messages` is `/v1/v1` and `/messages`."""
    rest = path
    while prefix := next((known for known in _PREFIXES if rest == known or rest.startswith(f"{known}/")), None):
        rest = rest[len(prefix) :]
    return path[: len(path) - len(rest)], rest


def dialect_of(method: str, path: str) -> Dialect | None:
    """The dialect of a call that could be a decision."""
    return _DIALECTS.get(split_path(path)[1].rstrip("/")) if method == "POST" else None


def target_of(
    method: str,
    path: str,
    query: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    openai_upstream: str,
    anthropic_upstream: str,
) -> Target:
    """The target of a call; the upstreams are the bases of the two APIs, `/v1` included."""
    prefix, rest = split_path(path)
    dialect = _DIALECTS.get(rest.rstrip("/")) if method == "POST" else None
    if rest and not rest.startswith("/"):
        return Target(dialect, None)
    base = (anthropic_upstream if _is_anthropic(headers, rest) else openai_upstream).rstrip("/")
    if not prefix and (rest == "/" or rest.startswith("/api/")):
        # Beside the API, as Claude Code's greetings and Ollama's own calls are.
        scheme, _, place = base.partition("://")
        base = f"{scheme}://{place.partition('/')[0]}"
    return Target(dialect, f"{base}{rest}?{query.decode('latin-1')}" if query else f"{base}{rest}")


def _is_anthropic(headers: Iterable[tuple[bytes, bytes]], rest: str) -> bool:
    if rest.startswith("/messages") or rest == "/api/hello":
        return True
    if rest.startswith(("/responses", "/chat/", "/embeddings", "/api/")):
        return False
    return any(
        key in (b"anthropic-version", b"x-api-key") or (key == b"user-agent" and value.startswith(b"claude-cli/"))
        for key, value in headers
    )
