"""What gateways did in a span of time, in the form a running one tells it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reasoning_cli.operations.gateway.model_counts import Tallies
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.serving.gateway_stats import agreement, answers
from reasoning_cli.store.serving.online_answers import live_answers


def model_names(store: Store) -> dict[str, str]:
    """What each deployment serves, by its key: endpoints keep their names, and models come and go in them."""
    return {record.key: record.model_name for record in Deployments(store).all()}


def history(store: Store, since: datetime, until: datetime) -> dict[str, Any]:
    """By model type: decisions, who answered how fast and why, share of good answers, agreement, and each model."""
    types: dict[str, Any] = {}
    for row in answers(store, since, until):
        entry = types.setdefault(row.model_type, {"decisions": 0, "by_source": {}})
        entry["decisions"] += row.count
        entry["by_source"][row.source] = {
            "count": row.count,
            "p50_ms": row.p50_ms,
            "p95_ms": row.p95_ms,
            "reasons": dict(row.reasons),
        }
    agreements = agreement(store, since, until)
    for model_type, entry in types.items():
        own, vain = (entry["by_source"].get(source, {}).get("count", 0) for source in ("slot", "fallback"))
        entry["success_rate"] = own / (own + vain) if own + vain else None
        agreed, of = agreements.get(model_type, (0, 0))
        entry["agreement"] = agreed / of if of else None
        tallies = Tallies(most=None)
        for answer in live_answers(store, model_type, since, until):
            tallies.count(
                model_type,
                answer.model,
                answer.deployment_key,
                got=answer.got,
                failure=answer.failure,
                agrees=answer.agrees,
                latency_ms=answer.latency_ms,
            )
        entry["models"] = tallies.records(model_type)
    return types
