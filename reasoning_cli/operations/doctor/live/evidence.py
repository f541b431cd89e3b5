"""What was seen of the service: by reading alone, in a probe, and on the bill."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from reasoning_cli.engines.contract import Reads


@dataclass(frozen=True)
class Measured:
    """What a probe measured, on the service's clock; None is what it did not come to.

    Between `not_ready_at` and `ready_at` (two looks) its replica became ready, between `still_ready_at` and `gone_at`
    it went; `scaled_up_at` and `scaled_down_at` are what the events say of it. `idle_stop` is what its idle time was
    counted from: `requests`, `ready`, or `none` when Together did not stop it in time. `stopped` says that it was seen
    stopped.
    """

    begun_at: datetime
    hardware: str
    price_cents_per_hour: int
    spend_cents: int
    upload_checks: bool | None = None
    long_samples: str | None = None
    twin_taken: bool | None = None
    created_at: datetime | None = None
    routed: bool | None = None
    not_ready_at: datetime | None = None
    ready_at: datetime | None = None
    scaled_up_at: datetime | None = None
    asked_at: datetime | None = None
    analytics_seconds: float | None = None
    analytics_waited_seconds: float | None = None
    arrays: str | None = None
    idle_stop: str | None = None
    idle_seconds: float | None = None
    still_ready_at: datetime | None = None
    gone_at: datetime | None = None
    scaled_down_at: datetime | None = None
    stopped: bool = False
    empty_split: bool | None = None
    removed: bool = False
    ended_at: datetime | None = None

    def record(self) -> dict[str, object]:
        """As JSON holds it: times in RFC 3339."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def of(cls, record: Mapping[str, object]) -> Measured:
        """The inverse of `record`; members of another version are left out."""
        known = {field.name for field in dataclasses.fields(cls)}
        members: dict[str, Any] = {
            name: datetime.fromisoformat(str(value)) if name.endswith("_at") and value else value
            for name, value in record.items()
            if name in known
        }
        return cls(**members)

    @property
    def counts_ready(self) -> bool | None:
        """Whether the event of a scaling counts replicas that are ready, as far as it shows."""
        if self.scaled_up_at is None or self.not_ready_at is None or self.ready_at is None:
            return None
        # The clock of a look has whole seconds.
        return self.scaled_up_at >= self.not_ready_at - timedelta(seconds=1)

    @property
    def ready_seconds(self) -> tuple[float, float] | None:
        """How long the replica was ready, at least and at most; by the events where they count what is ready."""
        if None in (self.not_ready_at, self.ready_at, self.still_ready_at, self.gone_at):
            return None
        assert self.not_ready_at and self.ready_at and self.still_ready_at and self.gone_at
        if self.counts_ready and self.scaled_up_at and self.scaled_down_at:
            seconds = (self.scaled_down_at - self.scaled_up_at).total_seconds()
            return seconds, seconds
        low = (self.still_ready_at - self.ready_at).total_seconds()
        return max(0.0, low), (self.gone_at - self.not_ready_at).total_seconds() + 1

    @property
    def start_seconds(self) -> tuple[float, float] | None:
        """How long its cold start took, at least and at most."""
        if self.created_at is None or self.not_ready_at is None or self.ready_at is None:
            return None
        if self.counts_ready and self.scaled_up_at:
            seconds = (self.scaled_up_at - self.created_at).total_seconds()
            return seconds, seconds
        return (self.not_ready_at - self.created_at).total_seconds(), (self.ready_at - self.created_at).total_seconds()


@dataclass(frozen=True)
class Billed:
    """What the bill says of a probe: seconds, and cents an hour; or `why` it cannot be told."""

    seconds: Decimal | None = None
    cents_per_hour: Decimal | None = None
    why: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that is known when the facts are judged."""

    reads: Reads | None = None
    measured: Measured | None = None
    billed: Billed = field(default_factory=Billed)
