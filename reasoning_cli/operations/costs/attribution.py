"""Which deployment answered a decision: the one served under the name that the training log has."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from reasoning_cli.operations.costs.ledger import spans
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord
from reasoning_cli.store.deploy.meter_readings import Reading
from reasoning_cli.store.serving.answered_by import adapters, answered

Readings = Mapping[str, Sequence[Reading]]


class Owners:
    """Whose a name is: of several deployments the one that was ready; while two were, the one that was first.

    `cuts` are the moments at which it passes from one to the next.
    """

    def __init__(self, records: Sequence[DeploymentRecord], readings: Readings) -> None:
        ready = sorted(
            (span.begin, span.end, record.key)
            for record in records
            for span in spans(readings.get(record.key, ()))
            if span.most
        )
        self.cuts: list[datetime] = []
        self._keys = [ready[0][2] if ready else records[-1].key]
        until = ready[0][1] if ready else None
        for begin, end, key in ready:
            assert until is not None
            if key == self._keys[-1]:
                until = max(until, end)
            elif end > until:
                self.cuts.append(max(begin, until))
                self._keys.append(key)
                until = end

    def at(self, moment: datetime) -> str:
        """The key of the deployment at a moment; before the first and after the last, that one."""
        return self._keys[bisect_right(self.cuts, moment)]


def decisions_by_deployment(
    store: Store, records: Sequence[DeploymentRecord], readings: Readings, edges: Sequence[datetime]
) -> tuple[dict[str, list[int]], dict[str, int]]:
    """The decisions of each deployment, by its key, from each of `edges` to the next; and those of models that are none
    of these deployments, by name. What an adapter answered is its deployment's."""
    owners: dict[str, Owners] = {}
    strangers: dict[str, int] = {}
    carried = adapters(store)
    for name, count in answered(store, edges[0], edges[-1]).items():
        found = [record for record in records if name in _served_as(record) or record.key == carried.get(name)]
        found = found or [record for record in records if name in (record.model_name, record.model_id)]
        if found:
            owners[name] = Owners(found, readings)
        else:
            strangers[name] = count
    counts: dict[str, list[int]] = {}
    if not owners:
        return counts, strangers
    cuts = {cut for owner in owners.values() for cut in owner.cuts if edges[0] < cut < edges[-1]}
    for begin, end in pairwise(sorted({*edges, *cuts})):
        number = bisect_right(edges, begin) - 1
        for name, count in answered(store, begin, end).items():
            if name in owners:
                counts.setdefault(owners[name].at(begin), [0] * (len(edges) - 1))[number] += count
    return counts, strangers


def _served_as(record: DeploymentRecord) -> tuple[str | None, ...]:
    """The names under which a deployment can be asked."""
    return record.serving_name, f"{record.serving_name}/{record.deployment_name}", record.deployment_id
