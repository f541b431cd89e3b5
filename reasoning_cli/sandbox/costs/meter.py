"""The bill as the vendor would write it: ready replicas x exact time x price, kept apart from any client's sums."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.world.records import Metered
from reasoning_cli.sandbox.world.world import World

_DIGITS = Context(prec=34)


def read_meter(world: World) -> Json:
    """All deployments, v1 endpoints and fine-tuning jobs that ever were, up to the present moment.

    `totalCents` is of what is billed by the hour; jobs are apart. `costCents` has 34 significant digits where the
    fraction does not end; the total is the exact sum rounded half up.
    """
    read_meters(world)
    rows = sorted(world.deployments.values(), key=lambda meter: meter.sequence)
    legacy = sorted(world.legacy_endpoints.values(), key=lambda meter: meter.sequence)
    total = sum((row.cost_cents() for row in (*rows, *legacy)), Fraction(0))
    return {
        "deployments": [
            {
                "deploymentId": row.id,
                "endpointId": row.endpoint_id,
                "name": row.name,
                "model": row.model_name,
                **_readings(row),
            }
            for row in rows
        ],
        "v1Endpoints": [
            {"endpointId": endpoint.id, "name": endpoint.name, "model": endpoint.model, **_readings(endpoint)}
            for endpoint in legacy
        ],
        "fineTunes": [
            {
                "jobId": fine_tune.id,
                "model": fine_tune.model,
                "suffix": fine_tune.suffix,
                "totalPriceNanoDollars": str(fine_tune.total_price),
            }
            for fine_tune in sorted(world.fine_tunes.values(), key=lambda meter: meter.sequence)
        ],
        "fineTuneNanoDollars": str(sum(job.total_price for job in world.fine_tunes.values())),
        "totalCents": str((total + Fraction(1, 2)).__floor__()),
    }


def read_meters(world: World) -> list[Metered]:
    """Everything that was ever billed by the hour, its meter brought up to the present moment."""
    for meter in world.live_meters():
        meter.meter_until(world.now)
    return [*world.deployments.values(), *world.legacy_endpoints.values()]


def _readings(meter: Metered) -> Json:
    return {
        "readyReplicaSeconds": str(Decimal(meter.replica_ms) / 1000),
        "priceCentsPerHour": meter.price_cents_per_hour,
        "costCents": _decimal(meter.cost_cents()),
    }


def _decimal(value: Fraction) -> str:
    return f"{_DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator)):f}"
