"""The figures of several processes as those of one: of the workers of a gateway, and of gateways on several hosts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reasoning_cli.gateway.stats.figures import Figures
from reasoning_cli.operations.gateway.model_counts import Tallies

Snapshot = Mapping[str, Any]

_PUBLISHED_LATENCIES = 200  # of each source: what is written every few seconds is to stay small
_SHARED = ("spooled", "spooled_bytes")  # each worker of a host tells of the same file


def summed(snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """What `/stats` says of counts: by model type, and what was recorded."""
    figures, models = _figures(snapshots), Tallies()
    for snapshot in snapshots:
        models.add(snapshot["models"])
    record = figures.record()
    for model_type, entry in record["model_types"].items():
        entry["models"] = models.records(model_type)
    return {**record, "recording": _recording(snapshots)}


def published(snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """The workers of a gateway as one snapshot, short enough to be written again and again."""
    models = Tallies(_PUBLISHED_LATENCIES)
    for snapshot in snapshots:
        models.add(snapshot["models"])
    figures = _figures(snapshots).snapshot()
    figures["latencies"] = [[*key, numbers[-_PUBLISHED_LATENCIES:]] for *key, numbers in figures["latencies"]]
    recording = _recording(snapshots)
    shared = {name: max(snapshot["recording"][name] for snapshot in snapshots) for name in _SHARED}
    return {"figures": figures, "models": models.snapshot(), "recording": recording | shared, "alive": True}


def of_one_host(record: dict[str, Any], snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """The sum over workers, which share a spool."""
    record["recording"] |= {name: max(snapshot["recording"][name] for snapshot in snapshots) for name in _SHARED}
    return record


def _figures(snapshots: Sequence[Snapshot]) -> Figures:
    figures = Figures()
    for snapshot in snapshots:
        figures.add(snapshot["figures"])
    return figures


def _recording(snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    counts, why = Counter[str](), Counter[str]()
    for snapshot in snapshots:
        counts.update({name: count for name, count in snapshot["recording"].items() if isinstance(count, int)})
        why.update(snapshot["recording"]["why_unreadable"])
    errors = (snapshot["recording"]["last_error"] for snapshot in snapshots if snapshot["alive"])
    return {**counts, "why_unreadable": dict(why.most_common()), "last_error": next(filter(None, errors), None)}
