"""What one worker leads its calls through, and what it counts on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from reasoning_cli.gateway.circuit import Circuit
from reasoning_cli.gateway.heartbeat import HEARTBEAT_SECONDS
from reasoning_cli.gateway.http.upstream import Upstreams
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.gateway.model_client import Models
from reasoning_cli.gateway.slot_cache import Book
from reasoning_cli.gateway.stats.figures import Figures
from reasoning_cli.gateway.waking import Waker
from reasoning_cli.values import MODEL_TYPES


def _circuits() -> dict[str, Circuit]:
    return {model_type: Circuit() for model_type in MODEL_TYPES}


@dataclass(eq=False)
class Context:
    """Handed to whatever a call goes through. `hop` names the gateway, the same in all its workers; `shadows` is what
    goes on when the agent has its answer, `shadow_calls` how many models are asked so right now. `heartbeat_seconds`
    is how long the caller of a stream hears nothing, see `heartbeat`."""

    book: Book
    recorder: Recorder
    hop: str
    waker: Waker | None = None
    figures: Figures = field(default_factory=Figures)
    circuits: dict[str, Circuit] = field(default_factory=_circuits)
    upstream: Upstreams = field(default_factory=Upstreams)
    models: Models = field(default_factory=Models)
    shadows: set[asyncio.Future[None]] = field(default_factory=set)
    shadow_calls: Counter[str] = field(default_factory=Counter)
    heartbeat_seconds: float = HEARTBEAT_SECONDS

    def read_failures(self) -> None:
        """Let circuits know what others who share the log met with."""
        for name, times in self.book.view.failures.items():
            if (circuit := self.circuits.get(name)) is not None:
                circuit.failed_in_log(times)
