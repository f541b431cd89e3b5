"""Slots that another engine than Together answers: the operator's own server (`TYPE.provider_url`) or what a package
brings (`TYPE.engine`), which is asked for what, and with which key."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reasoning_cli import settings as s
from reasoning_cli.addresses import is_loopback
from reasoning_cli.engines import registry
from reasoning_cli.engines.engine import Access
from reasoning_cli.engines.features import Feature
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.redact import bare_address
from reasoning_cli.settings import Settings
from reasoning_cli.values import MODEL_TYPES, TokenLimit

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Answering


# What providers add to the name they are asked for: the day a version is of, or that it is the latest.
_VERSION = re.compile(r"(-\d{4}-?\d{2}-?\d{2}|-\d{3,4}|:latest)?")


@dataclass(frozen=True)
class OwnServer:
    """What serves a slot's model: the address with /v1 (empty where its engine has none), its key, the model's name
    there, how long an answer may be, how many questions it takes at once (None: not known), its engine, and what
    it calls the limit of an answer."""

    model_type: str
    url: str
    api_key: str | None
    model: str
    max_tokens: int
    parallel: int | None = None
    engine: str = registry.OPENAI
    max_tokens_name: TokenLimit = TokenLimit.MAX_TOKENS

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, where nobody sends a bill."""
        return is_loopback(urlsplit(self.url).hostname or "")

    @property
    def place(self) -> str:
        """Where it is asked, to be shown: the address without a password in it, else the engine."""
        return bare_address(self.url) if self.url else registry.engine(self.engine).title

    @property
    def lists(self) -> bool:
        """Whether it says what it serves."""
        return Feature.LIST in registry.engine(self.engine).features

    def connect(self, silence_seconds: float | None = None) -> Answering:
        """A connection, for the caller to close."""
        return registry.answering(self.engine, self._access(silence_seconds))

    def _access(self, silence_seconds: float | None) -> Access:
        return Access(
            self.url or None, self.api_key, silence_seconds=silence_seconds, max_tokens_name=self.max_tokens_name
        )


def engine_name(settings: Settings, model_type: str) -> str:
    """The engine of a slot: as it is set, or as the line names it after the head; else `openai` where the address of a
    server is set, else `together`. Raises ConfigurationError where two of them say otherwise."""
    chosen, in_line = settings.get(s.ENGINE[model_type]), _in_line(settings, model_type)
    if chosen and in_line and chosen != in_line:
        raise ConfigurationError(
            f"{s.ENGINE[model_type].name} is `{chosen}`, and {s.LINE.name} asks `{in_line}`",
            f'`reasoning config set {s.LINE.name} "{", ".join(_line_with(settings, chosen))}"`',
        )
    return chosen or in_line or (registry.OPENAI if settings.get(s.PROVIDER_URL[model_type]) else registry.TOGETHER)


def _in_line(settings: Settings, model_type: str) -> str | None:
    """The engine that the line of a slot names after the head, if there is one."""
    if s.LINE.name.partition(".")[0] != model_type:
        return None
    return next((place for place in settings.get(s.LINE) or () if place != registry.HEAD), None)


def _line_with(settings: Settings, name: str) -> list[str]:
    return [place if place == registry.HEAD else name for place in settings.get(s.LINE) or ()]


def check_engine(settings: Settings, model_type: str) -> None:
    """Raise ConfigurationError for an engine that nobody brings, that does not answer, or that lacks an address."""
    own_server(settings, model_type)


def own_server(settings: Settings, model_type: str) -> OwnServer | None:
    """What serves a slot in Together's place, if anything does. Raises ConfigurationError as `check_engine` does."""
    name = engine_name(settings, model_type)
    if name == registry.TOGETHER:
        return None
    engine, setting = registry.engine(name), s.ENGINE[model_type].name
    if Feature.ANSWER not in engine.features:
        raise ConfigurationError(
            f"{setting} is `{name}`, and {engine.title} answers no slot alone", f"`reasoning config unset {setting}`"
        )
    url, key = settings.get(s.PROVIDER_URL[model_type]), settings.get(s.PROVIDER_KEY[model_type])
    address = engine.address(Access(url, key))
    if address is None and name == registry.OPENAI:
        raise ConfigurationError(
            f"{setting} is `{name}`, and the address of that server is not set",
            f"`reasoning config set {model_type}.provider_url URL`, with /v1",
        )
    model, most = settings.get(s.MODEL[model_type]), settings.get(s.MAX_TOKENS[model_type])
    parallel = settings.get(s.PARALLEL[model_type])
    limit = settings.get(s.MAX_TOKENS_NAME[model_type])
    return OwnServer(model_type, (address or "").rstrip("/"), key, model, most, parallel, name, limit)


def usable_server(settings: Settings, model_type: str) -> tuple[OwnServer | None, str | None]:
    """What serves a slot in Together's place, and why nothing does where the package is broken that brings its
    engine: the other slots, and what shows or stops them, go on."""
    try:
        return own_server(settings, model_type), None
    except registry.BrokenEngineError as error:
        return None, error.message


def own_servers(settings: Settings) -> tuple[OwnServer, ...]:
    """Those of all slots that can be used."""
    return tuple(server for name in MODEL_TYPES if (server := usable_server(settings, name)[0]) is not None)


def server_at(settings: Settings, model_type: str, url: str) -> OwnServer:
    """Another server than the slot's, or the slot's own where that is the address. The key of the slot is for its own
    server alone; how many questions another takes at once is not known. Raises UsageError for another text."""
    url = str(s.as_written(s.PROVIDER_URL[model_type], url)).rstrip("/")
    own = own_server(settings, model_type)
    if own is not None and is_same_server(own.url, url):
        return replace(own, url=url)
    model, most = settings.get(s.MODEL[model_type]), settings.get(s.MAX_TOKENS[model_type])
    return OwnServer(model_type, url, None, model, most, max_tokens_name=settings.get(s.MAX_TOKENS_NAME[model_type]))


def is_same_server(url: str | None, other: str | None) -> bool:
    """Whether two addresses lead to one server: what is set for the one holds for the other."""
    first, second = urlsplit(url or ""), urlsplit(other or "")
    return (first.scheme, first.hostname, first.port) == (second.scheme, second.hostname, second.port)


def named_server(servers: tuple[OwnServer, ...], name: str, model_type: str) -> OwnServer | None:
    """The server meant by the name of a type or of a slot's model, of `model_type`'s own slot first."""
    named_type = name.lower().replace("-", "_")
    if named_type in MODEL_TYPES:
        return next((server for server in servers if server.model_type == named_type), None)
    named = [server for server in servers if server.model == name]
    return next((server for server in named if server.model_type == model_type), named[0] if named else None)


def is_another_model(asked: str, said: str | None) -> bool:
    """Whether a server says that another model answered than the one that was asked for. One that says nothing, repeats
    the name, leaves out its folder, or names a version of it answered as it should."""
    if not said:
        return False
    plain_asked, plain_said = (name.lower().rpartition("/")[2].removesuffix(".gguf") for name in (asked, said))
    rest = plain_said.removeprefix(plain_asked)
    return rest == plain_said != plain_asked or _VERSION.fullmatch(rest) is None
