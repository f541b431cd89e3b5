"""An engine: whatever answers decisions, or trains what does. It has a name, says what it can do, and is connected to.

    class Acme:
        name = "acme"
        title = "Acme"
        features = frozenset({Feature.ANSWER, Feature.PRICE_BY_TOKEN})

        def address(self, access: Access) -> str | None: ...

        def connect(self, access: Access) -> AcmeClient: ...

    ACME = Acme()

What a connection to an engine with a feature can be asked is in `reasoning_cli.engines.clients`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from reasoning_cli.engines.features import Feature

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Client


@dataclass(frozen=True)
class Access:
    """How an engine is reached: what is set for it, None where nothing is. `file` is that of an engine in this process;
    `silence_seconds` is how long a server may
    say nothing before it counts as out of reach, None: as long as the engine finds right. `max_tokens_name` is what a
    server calls the limit of an answer."""

    url: str | None = None
    api_key: str | None = None
    project_id: str | None = None
    file: Path | None = None
    silence_seconds: float | None = None
    max_tokens_name: str = "max_tokens"
    sleep: Callable[[float], None] = time.sleep


@runtime_checkable
class Engine(Protocol):
    """One engine. Importing and describing it costs nothing; what is heavy is imported by `connect`."""

    @property
    def name(self) -> str:
        """As settings have it: lower-case letters, digits and hyphens."""

    @property
    def title(self) -> str:
        """As people read it, in the middle of a sentence."""

    @property
    def features(self) -> frozenset[Feature]: ...

    def address(self, access: Access) -> str | None:
        """Where it answers in OpenAI's form, with /v1: the gateway asks it there, by stream and under a deadline. None
        where only a connection asks it, as the gateway then does, too: its `chat` is called by several threads."""
        ...

    def connect(self, access: Access) -> Client:
        """A connection, for the caller to close; it has the calls of every feature. Raises ConfigurationError where
        `access` lacks what it needs. Nothing is asked yet."""
        ...
