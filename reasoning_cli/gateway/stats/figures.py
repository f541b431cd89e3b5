"""What the gateway did since it started: who answered how many decisions, why, and how fast."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

_REMEMBERED_LATENCIES = 2000
# Upper bounds in seconds of what `/metrics` counts latencies by; a decision of a large model takes some of them.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# An answer's texts cannot make counters grow without end.
_MOST_REASONS = 200
_MINUTE_SECONDS = 60
# An agent may name any path, and settings another provider; what was reached long ago goes first.
_MOST_HOSTS = 16


@dataclass
class Durations:
    """How long all answers since the start took: how many within each of BOUNDS and no less, those beyond at the end,
    and the milliseconds together."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    sum_ms: int = 0

    def count(self, latency_ms: int) -> None:
        self.counts[bisect_left(BOUNDS, latency_ms / 1000)] += 1
        self.sum_ms += latency_ms


class LastMinute:
    """How many calls came in the sixty seconds before now, by whole seconds; `clock` never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: deque[list[int]] = deque()

    def count(self) -> None:
        second = int(self._clock())
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
            return
        self._seconds.append([second, 1])
        while self._seconds[0][0] <= second - _MINUTE_SECONDS:
            self._seconds.popleft()

    def total(self) -> int:
        oldest = int(self._clock()) - _MINUTE_SECONDS
        return sum(count for second, count in self._seconds if second > oldest)


@dataclass
class Reached:
    """When an original provider answered last, and when and why it last did not, in seconds since 1970."""

    answered: float | None = None
    failed: float | None = None
    failure: str | None = None

    def add(self, answered: float | None, failed: float | None, failure: str | None) -> None:
        """What another worker saw of it."""
        self.answered = max(filter(None, (self.answered, answered)), default=None)
        if failed is not None and failed >= (self.failed or 0.0):
            self.failed, self.failure = failed, failure

    def record(self, host: str) -> dict[str, Any]:
        """For machines; it is reachable where it answered last."""
        return {
            "host": host,
            "reachable": self.answered is not None and self.answered >= (self.failed or 0.0),
            "answered_at": _moment(self.answered),
            "failed_at": _moment(self.failed),
            "failure": self.failure,
        }


@dataclass
class Figures:
    """Counters and recent latencies. Milliseconds; `agreements` are of shadows with the original, `head_agreements`
    those of the head in line. `heads` counts what came of asking it.

    `not_asked_beside` counts, by type, what a shadow was not asked, since it had enough to answer. `originals` are the
    providers that agents called before, by host.
    """

    requests: int = 0
    relayed: int = 0
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    latencies: dict[tuple[str, str], deque[int]] = field(default_factory=dict)
    durations: dict[tuple[str, str], Durations] = field(default_factory=dict)
    agreements: Counter[tuple[str, bool]] = field(default_factory=Counter)
    heads: Counter[tuple[str, str]] = field(default_factory=Counter)
    head_agreements: Counter[tuple[str, bool]] = field(default_factory=Counter)
    shadows_skipped: Counter[str] = field(default_factory=Counter)
    upstream_errors: Counter[str] = field(default_factory=Counter)
    originals: dict[str, Reached] = field(default_factory=dict)
    in_flight: int = 0

    def count(self, model_type: str, source: str, reason: str, latency_ms: int) -> None:
        """One decision answered by `source`: slot, fallback, original."""
        self.answered[model_type, source] += 1
        if len(self.reasons) >= _MOST_REASONS and (model_type, source, reason) not in self.reasons:
            reason = "other"
        self.reasons[model_type, source, reason] += 1
        if (known := self.latencies.get((model_type, source))) is None:
            known = self.latencies[model_type, source] = deque(maxlen=_REMEMBERED_LATENCIES)
        known.append(latency_ms)
        self.durations.setdefault((model_type, source), Durations()).count(latency_ms)

    def reached(self, url: str, failure: str | None = None) -> None:
        """The original provider at `url` answered, or did not for this reason, which is an error of it."""
        host = urlsplit(url).netloc.rpartition("@")[2]
        if (known := self.originals.pop(host, None)) is None:
            known = Reached()
            while len(self.originals) >= _MOST_HOSTS:
                self.originals.pop(next(iter(self.originals)))
        self.originals[host] = known
        if failure is None:
            known.answered = time.time()
        else:
            known.failed, known.failure = time.time(), failure
            self.upstream_errors[failure] += 1

    def head(self, model_type: str, outcome: str) -> None:
        """The head in line was asked for one decision, and this came of it."""
        self.heads[model_type, str(outcome)] += 1

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON can hold it, for `add` in another process."""
        return {
            "requests": self.requests,
            "relayed": self.relayed,
            "in_flight": self.in_flight,
            "answered": [[*key, count] for key, count in self.answered.items()],
            "reasons": [[*key, count] for key, count in self.reasons.items()],
            "latencies": [[*key, list(numbers)] for key, numbers in self.latencies.items()],
            "durations": [[*key, duration.counts, duration.sum_ms] for key, duration in self.durations.items()],
            "agreements": [[*key, count] for key, count in self.agreements.items()],
            "heads": [[*key, count] for key, count in self.heads.items()],
            "head_agreements": [[*key, count] for key, count in self.head_agreements.items()],
            "not_asked_beside": dict(self.shadows_skipped),
            "upstream_errors": dict(self.upstream_errors),
            "originals": [[host, seen.answered, seen.failed, seen.failure] for host, seen in self.originals.items()],
        }

    def add(self, other: Mapping[str, Any]) -> None:
        """Add the snapshot of another worker."""
        self.requests += other["requests"]
        self.relayed += other["relayed"]
        self.in_flight += other["in_flight"]
        counters: tuple[tuple[str, Counter[Any]], ...] = (
            ("answered", self.answered),
            ("reasons", self.reasons),
            ("agreements", self.agreements),
            ("heads", self.heads),
            ("head_agreements", self.head_agreements),
        )
        for theirs, mine in counters:
            for *key, count in other[theirs]:
                mine[tuple(key)] += count
        for model_type, source, numbers in other["latencies"]:
            self.latencies.setdefault((model_type, source), deque()).extend(numbers)
        for model_type, source, counts, sum_ms in other["durations"]:
            known = self.durations.setdefault((model_type, source), Durations())
            known.counts = [mine + theirs for mine, theirs in zip(known.counts, counts, strict=True)]
            known.sum_ms += sum_ms
        self.shadows_skipped.update(other["not_asked_beside"])
        self.upstream_errors.update(other["upstream_errors"])
        for host, *seen in other.get("originals", ()):  # a gateway of another host may be of before these were noted
            self.originals.setdefault(host, Reached()).add(*seen)

    def record(self) -> dict[str, Any]:
        """The figures for machines, by model type."""
        types: dict[str, Any] = {}
        for (model_type, source), count in sorted(self.answered.items()):
            entry = types.setdefault(model_type, {"decisions": 0, "by_source": {}})
            entry["decisions"] += count
            p50, p95 = _percentiles(list(self.latencies[model_type, source]))
            entry["by_source"][source] = {
                "count": count,
                "p50_ms": p50,
                "p95_ms": p95,
                "durations": asdict(self.durations[model_type, source]),
                "reasons": {
                    reason: number
                    for (whose, who, reason), number in self.reasons.most_common()
                    if (whose, who) == (model_type, source)
                },
            }
        for model_type, entry in types.items():
            asked = sum(entry["by_source"].get(source, {}).get("count", 0) for source in ("slot", "fallback"))
            own = entry["by_source"].get("slot", {}).get("count", 0)
            entry["success_rate"] = own / asked if asked else None
            agreed, disagreed = self.agreements[model_type, True], self.agreements[model_type, False]
            entry["agreement"] = agreed / (agreed + disagreed) if agreed + disagreed else None
            entry["not_asked_beside"] = self.shadows_skipped[model_type]
            entry["head"] = self._head(model_type)
        return {
            "requests": self.requests,
            "relayed": self.relayed,
            "in_flight": self.in_flight,
            "model_types": types,
            "upstream_errors": dict(self.upstream_errors),
            "baseline": [seen.record(host) for host, seen in sorted(self.originals.items())],
        }

    def _head(self, model_type: str) -> dict[str, Any] | None:
        """What came of asking the head in line; None where none was."""
        asked = {outcome: count for (whose, outcome), count in self.heads.most_common() if whose == model_type}
        if not asked:
            return None
        agreed, disagreed = self.head_agreements[model_type, True], self.head_agreements[model_type, False]
        return {
            "asked": sum(asked.values()),
            "outcomes": asked,
            "compared": agreed + disagreed,
            "disagreed": disagreed,
        }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _percentiles(numbers: list[int]) -> tuple[int | None, int | None]:
    if len(numbers) < 2:
        return (numbers[0], numbers[0]) if numbers else (None, None)
    cuts = quantiles(numbers, n=20, method="inclusive")
    return round(cuts[9]), round(cuts[18])
