"""How models look: the columns of their listings, the same keys in each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli.commands._shared.cost_views import deployment_style
from reasoning_cli.terminal.listing import Column, Kind
from reasoning_cli.terminal.units import duration, money, whole_cents
from reasoning_cli.values import Mode, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.status import ModelStatus


def _name(status: ModelStatus) -> str:
    return spell_model_type(status.model_type) if status.model_type else status.name


def _state(status: ModelStatus) -> str:
    if not status.is_known:
        return f"not known, was {status.state}"
    if status.state != "off" and status.enabled is False:
        return f"{status.state}, disabled"
    parts = [status.state]
    if status.traffic_percent is not None:
        parts.append(f"{status.traffic_percent} %")
    if status.record is not None and status.provider_url is not None:
        parts.append("not asked")
    if status.state != "off" and status.mode in (Mode.SHADOW, Mode.CANARY):
        parts.append(f"canary {status.share_percent} %" if status.mode is Mode.CANARY else str(status.mode))
    return ", ".join(parts)


def _style(status: ModelStatus) -> str:
    return deployment_style(status.state) if status.is_known else "warning"


def _price(status: ModelStatus) -> str:
    return money(status.burn_cents_per_hour) if status.burn_cents_per_hour else "–"


def _replicas(status: ModelStatus) -> str:
    if status.record is None or status.record.rides_on:
        return "–"
    return f"{status.record.ready_replicas} of {status.record.max_replicas}"


def _model(status: ModelStatus) -> str:
    """An adapter with what it rides on, and a model with where else it is served."""
    if status.provider_url is not None:
        return f"{status.model_name} at {status.provider_url}"
    return (
        f"on {status.record.endpoint_name}: {status.model_name}"
        if status.record and status.record.rides_on
        else status.model_name
    )


def _rides_on(status: ModelStatus) -> str | None:
    return status.record.endpoint_name if status.record and status.record.rides_on else None


def _ready(status: ModelStatus) -> int:
    return status.record.ready_replicas if status.record else 0


def _more(shown: Sequence[Column[ModelStatus]], now: datetime) -> list[Column[ModelStatus]]:
    """What only machines read, so that every listing of models has the same keys."""
    known = {column.key for column in shown}
    every: list[Column[ModelStatus]] = [
        Column("model_type", lambda status: status.model_type),
        Column("enabled", lambda status: status.enabled),
        Column("ready_replicas", _ready),
        Column("min_replicas", lambda status: status.record.min_replicas if status.record else 0),
        Column("max_replicas", lambda status: status.record.max_replicas if status.record else 0),
        Column("price_cents_per_hour", lambda status: status.record.price_cents_per_hour if status.record else None),
        Column("hardware", lambda status: status.record.hardware if status.record else None),
        Column("serving_name", lambda status: status.record.serving_name if status.record else None),
        Column("endpoint_id", lambda status: status.record.endpoint_id if status.record else None),
        Column("deployment_id", lambda status: status.record.deployment_id if status.record else None),
        Column("rides_on", _rides_on),
        Column("adapter_id", lambda status: status.record.adapter_id if status.record else None),
        Column("idle_minutes", lambda status: status.record.idle_minutes if status.record else None),
        Column("ready_since", lambda status: status.ready_since),
        Column("ready_seconds", lambda status: now - status.ready_since if status.ready_since else None),
        Column("cost_cents", lambda status: whole_cents(status.usage.cents)),
        Column("requests_last_hour", lambda status: status.activity.requests if status.activity else None),
        Column("quiet_seconds", lambda status: _quiet(status, now)),
        Column("is_known", lambda status: status.is_known),
        Column("ours", lambda status: status.ours),
        Column("traffic_percent", lambda status: status.traffic_percent),
        Column("mode", lambda status: status.mode),
        Column("share_percent", lambda status: status.share_percent),
        Column("provider_url", lambda status: status.provider_url),
        Column("off_since", lambda status: status.off[0] if status.off else None),
        Column("off_why", lambda status: status.off[1] if status.off else None),
        Column("last_error", lambda status: status.record.last_error if status.record else None),
    ]
    return [column for column in every if column.key not in known]


def list_columns(now: datetime) -> list[Column[ModelStatus]]:
    """`models list`: as last seen."""
    columns: list[Column[ModelStatus]] = [
        Column("name", lambda status: status.name, "NAME", text=_name),
        Column("state", lambda status: status.state, "STATE", text=_state, kind=Kind.STATE, style=_style),
        Column("burn_cents_per_hour", lambda status: status.burn_cents_per_hour, "$/H", text=_price, kind=Kind.NUMBER),
        Column("model", lambda status: status.model_name, "MODEL", text=_model, gives_way=True),
        Column(
            "seen_at",
            lambda status: status.record.state_at if status.record else None,
            "SEEN",
            text=lambda status: f"{duration(now - status.record.state_at)} ago" if status.record else "–",
            priority=3,
        ),
    ]
    return [*columns, *_more(columns, now)]


def all_columns(now: datetime) -> list[Column[ModelStatus]]:
    """`models list --all`: ours as last seen, and what else runs in the project."""
    columns: list[Column[ModelStatus]] = [
        Column("name", lambda status: status.name, "NAME", text=_name),
        Column("ours", lambda status: status.ours, "WHOSE", text=lambda status: "ours" if status.ours else "not ours"),
        Column("state", lambda status: status.state, "STATE", text=_state, kind=Kind.STATE, style=_style),
        Column("burn_cents_per_hour", lambda status: status.burn_cents_per_hour, "$/H", text=_price, kind=Kind.NUMBER),
        Column(
            "cost_cents",
            lambda status: whole_cents(status.usage.cents),
            "COST",
            text=_cost,
            kind=Kind.NUMBER,
            priority=2,
        ),
        Column("model", lambda status: status.model_name, "MODEL", text=_model, gives_way=True),
    ]
    return [
        *columns,
        Column("seen_at", lambda status: status.record.state_at if status.record else None),
        *_more(columns, now),
    ]


def _cost(status: ModelStatus) -> str:
    if status.record is None or status.record.rides_on:
        return "–"
    if not status.usage.doubt_cents:
        return money(status.usage.cents)
    return f"up to {money(status.usage.high_cents)}"


def status_columns(at: datetime) -> list[Column[ModelStatus]]:
    """`models status`: as of now."""
    columns: list[Column[ModelStatus]] = [
        Column("name", lambda status: status.name, "NAME", text=_name),
        Column("state", lambda status: status.state, "STATE", text=_state, kind=Kind.STATE, style=_style),
        Column("ready_replicas", _ready, "READY", text=_replicas, kind=Kind.NUMBER, priority=3),
        Column("burn_cents_per_hour", lambda status: status.burn_cents_per_hour, "$/H", text=_price, kind=Kind.NUMBER),
        Column(
            "ready_seconds",
            lambda status: at - status.ready_since if status.ready_since else None,
            "SINCE",
            text=lambda status: duration(at - status.ready_since) if status.ready_since else "–",
            kind=Kind.NUMBER,
            priority=4,
        ),
        Column(
            "cost_cents",
            lambda status: whole_cents(status.usage.cents),
            "MONTH",
            text=_month,
            kind=Kind.NUMBER,
            priority=2,
        ),
        Column(
            "requests_last_hour",
            lambda status: status.activity.requests if status.activity else None,
            "REQ/H",
            text=lambda status: f"{status.activity.requests:,}" if status.activity else "–",
            kind=Kind.NUMBER,
            priority=4,
        ),
        Column(
            "quiet_seconds",
            lambda status: _quiet(status, at),
            "IDLE",
            text=lambda status: _idle(status, at),
            kind=Kind.NUMBER,
            priority=4,
        ),
        Column("model", lambda status: status.model_name, "MODEL", text=_model, gives_way=True, priority=3),
        Column("seen_at", lambda status: status.record.state_at if status.record else None),
    ]
    return [*columns, *_more(columns, at)]


def _month(status: ModelStatus) -> str:
    """What has no deployment costs nothing, but for what is summed up of before."""
    counts = status.usage.high_cents if status.record is None else not status.record.rides_on
    return money(status.usage.cents) if counts else "–"


def _quiet(status: ModelStatus, at: datetime) -> timedelta | None:
    """For how long nothing has come in; at least an hour counts as an hour, unless it is ready for less."""
    if status.activity is None or status.ready_since is None:
        return None
    begin = status.activity.quiet_since or at - timedelta(hours=1)
    return at - max(begin, status.ready_since)


def _idle(status: ModelStatus, at: datetime) -> str:
    quiet = _quiet(status, at)
    if quiet is None:
        return "–"
    return f"> {duration(quiet)}" if quiet >= timedelta(hours=1) else duration(quiet)
