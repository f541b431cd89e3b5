"""What came of asking each model of ours, by its deployment: while a candidate is rolled out there are two of a
type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# An answer's texts cannot make counters grow without end.
_MOST_FAILURES = 50
_OTHER = "other"
_REMEMBERED_LATENCIES = 2000


@dataclass
class Tally:
    """One model. Of its answers so many were `answered` to an agent, good but as a shadow (`shadowed`), or `failed`;
    `agreed` of `compared` decided as what the agent got instead. Milliseconds; those of failures do not count."""

    model: str
    deployment: str | None
    answered: int = 0
    shadowed: int = 0
    failed: int = 0
    agreed: int = 0
    compared: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    latencies: list[int] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """It for machines."""
        ordered = sorted(self.latencies)
        p50, p95 = (ordered[int(len(ordered) * share)] if ordered else None for share in (0.5, 0.95))
        return {
            "model": self.model,
            "deployment": self.deployment,
            "answered": self.answered,
            "beside": self.shadowed,
            "failed": self.failed,
            "agreement": self.agreed / self.compared if self.compared else None,
            "p50_ms": p50,
            "p95_ms": p95,
            "failures": dict(self.failures.most_common()),
        }


class Tallies:
    """All models, by type; the newest `most` latencies of each are kept, all with None."""

    def __init__(self, most: int | None = _REMEMBERED_LATENCIES) -> None:
        self._most = most
        self._tallies: dict[tuple[str, str], Tally] = {}

    def count(
        self,
        model_type: str,
        model: str,
        deployment: str | None,
        *,
        got: bool,
        failure: str | None,
        agrees: bool | None,
        latency_ms: int | None,
    ) -> None:
        """One answer of a model; `got`: by the agent."""
        tally = self._of(model_type, model, deployment)
        if failure is not None:
            tally.failed += 1
            known = failure in tally.failures or len(tally.failures) < _MOST_FAILURES
            tally.failures[failure if known else _OTHER] += 1
        elif got:
            tally.answered += 1
        else:
            tally.shadowed += 1
        if agrees is not None:
            tally.agreed, tally.compared = tally.agreed + agrees, tally.compared + 1
        if failure is None and latency_ms is not None:
            self._remember(tally, [latency_ms])

    def snapshot(self) -> list[list[Any]]:
        """All of it as JSON can hold it, for `add` in another process."""
        return [
            [
                *(
                    model_type,
                    tally.model,
                    tally.deployment,
                    tally.answered,
                    tally.shadowed,
                    tally.failed,
                    tally.agreed,
                    tally.compared,
                ),
                *(dict(tally.failures), tally.latencies[-(self._most or 0) :]),
            ]
            for (model_type, _), tally in list(self._tallies.items())
        ]

    def add(self, others: Iterable[list[Any]]) -> None:
        """Add the snapshot of another process."""
        for model_type, model, deployment, answered, shadowed, failed, agreed, compared, failures, latencies in others:
            tally = self._of(model_type, model, deployment)
            tally.answered += answered
            tally.shadowed += shadowed
            tally.failed += failed
            tally.agreed += agreed
            tally.compared += compared
            tally.failures.update(failures)
            tally.latencies += latencies

    def records(self, model_type: str) -> list[Mapping[str, Any]]:
        """Those of a type for machines, what answered most first."""
        found = [tally for (whose, _), tally in list(self._tallies.items()) if whose == model_type]
        return [
            tally.record() for tally in sorted(found, key=lambda tally: (-tally.answered, -tally.shadowed, tally.model))
        ]

    def _of(self, model_type: str, model: str, deployment: str | None) -> Tally:
        # While it is rolled out a deployment may go by another name than later.
        tally = self._tallies.setdefault((model_type, deployment or model), Tally(model, deployment))
        tally.model = model
        return tally

    def _remember(self, tally: Tally, latencies: list[int]) -> None:
        tally.latencies += latencies
        if self._most is not None and len(tally.latencies) > 2 * self._most:
            del tally.latencies[: -self._most]
