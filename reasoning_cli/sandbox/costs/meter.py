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
    rows = sorted(world.deployments.values(), key=lambda one: one.sequence)
    legacy = sorted(world.legacy_endpoints.values(), key=lambda one: one.sequence)
    total = sum((one.cost_cents() for one in (*rows, *legacy)), Fraction(0))
    return {
        "deployments": [
            {
                "deploymentId": one.id,
                "endpointId": one.endpoint_id,
                "name": one.name,
                "model": one.model_name,
                **_readings(one),
            }
            for one in rows
        ],
        "v1Endpoints": [
            {"endpointId": one.id, "name": one.name, "model": one.model, **_readings(one)} for one in legacy
        ],
        "fineTunes": [
            {"jobId": one.id, "model": one.model, "suffix": one.suffix, "totalPriceNanoDollars": str(one.total_price)}
            for one in sorted(world.fine_tunes.values(), key=lambda one: one.sequence)
        ],
        "fineTuneNanoDollars": str(sum(one.total_price for one in world.fine_tunes.values())),
        "totalCents": str((total + Fraction(1, 2)).__floor__()),
    }


def read_meters(world: World) -> list[Metered]:
    """Everything that was ever billed by the hour, its meter brought up to the present moment."""
    for one in world.live_meters():
        one.meter_until(world.now)
    return [*world.deployments.values(), *world.legacy_endpoints.values()]


def _readings(one: Metered) -> Json:
    return {
        "readyReplicaSeconds": str(Decimal(one.replica_ms) / 1000),
        "priceCentsPerHour": one.price_cents_per_hour,
        "costCents": _decimal(one.cost_cents()),
    }


def _decimal(value: Fraction) -> str:
    return f"{_DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator)):f}"
