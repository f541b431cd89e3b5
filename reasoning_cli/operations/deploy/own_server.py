"""Slots whose model the operator serves (`TYPE.provider_url`): which server is asked for what, and with which key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reasoning_cli import settings as s
from reasoning_cli.addresses import is_loopback
from reasoning_cli.settings import Settings
from reasoning_cli.values import MODEL_TYPES

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import ListingServer


@dataclass(frozen=True)
class OwnServer:
    """What serves a slot's model: the address with /v1, its key, the model's name there, how long an answer may be,
    and how many questions it takes at once (None: not known)."""

    model_type: str
    url: str
    api_key: str | None
    model: str
    max_tokens: int
    parallel: int | None = None

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, where nobody sends a bill."""
        return is_loopback(urlsplit(self.url).hostname or "")

    def connect(self, silence_seconds: float | None = None) -> ListingServer:
        """A connection, for the caller to close."""
        from reasoning_cli.engines import registry
        from reasoning_cli.engines.engine import Access

        return registry.listing_server(registry.OPENAI, Access(self.url, self.api_key, silence_seconds=silence_seconds))


def own_server(settings: Settings, model_type: str) -> OwnServer | None:
    """What serves a slot in Together's place, if anything does."""
    url = settings.get(s.PROVIDER_URL[model_type])
    if url is None:
        return None
    key, model = settings.get(s.PROVIDER_KEY[model_type]), settings.get(s.MODEL[model_type])
    most, parallel = settings.get(s.MAX_TOKENS[model_type]), settings.get(s.PARALLEL[model_type])
    return OwnServer(model_type, url.rstrip("/"), key, model, most, parallel)


def own_servers(settings: Settings) -> tuple[OwnServer, ...]:
    """Those of all slots."""
    return tuple(server for model_type in MODEL_TYPES if (server := own_server(settings, model_type)) is not None)


def named_server(servers: tuple[OwnServer, ...], name: str, model_type: str) -> OwnServer | None:
    """The server meant by the name of a type or of a slot's model, of `model_type`'s own slot first."""
    named_type = name.lower().replace("-", "_")
    if named_type in MODEL_TYPES:
        return next((server for server in servers if server.model_type == named_type), None)
    named = [server for server in servers if server.model == name]
    return next((server for server in named if server.model_type == model_type), named[0] if named else None)
