"""The bill as the vendor would write it: ready replicas x exact time x price, kept apart from any client's sums."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

from reasoning_cli.sandbox.shapes import Json
from reasoning_cli.sandbox.world import World

_DIGITS = Context(prec=34)


def read_meter(world: World) -> Json:
    """All deployments that ever were, up to the present moment.

    `costCents` has 34 significant digits where the fraction does not end; `totalCents` is the exact
    sum rounded half up.
    """
    for deployment in world.live_deployments():
        deployment.meter_until(world.now)
    rows = sorted(world.deployments.values(), key=lambda one: one.sequence)
    total = sum((one.cost_cents() for one in rows), Fraction(0))
    return {
        "deployments": [
            {
                "deploymentId": one.id,
                "endpointId": one.endpoint_id,
                "name": one.name,
                "model": one.model_name,
                "readyReplicaSeconds": str(Decimal(one.replica_ms) / 1000),
                "priceCentsPerHour": one.price_cents_per_hour,
                "costCents": _decimal(one.cost_cents()),
            }
            for one in rows
        ],
        "totalCents": str((total + Fraction(1, 2)).__floor__()),
    }


def _decimal(value: Fraction) -> str:
    return f"{_DIGITS.divide(Decimal(value.numerator), Decimal(value.denominator)):f}"
