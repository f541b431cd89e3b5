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


def _name(one: ModelStatus) -> str:
    return spell_model_type(one.model_type) if one.model_type else one.name


def _state(one: ModelStatus) -> str:
    if not one.is_known:
        return f"not known, was {one.state}"
    if one.state != "off" and one.enabled is False:
        return f"{one.state}, disabled"
    parts = [one.state]
    if one.traffic_percent is not None:
        parts.append(f"{one.traffic_percent} %")
    if one.record is not None and one.provider_url is not None:
        parts.append("not asked")
    if one.state != "off" and one.mode in (Mode.SHADOW, Mode.CANARY):
        parts.append(f"canary {one.share_percent} %" if one.mode is Mode.CANARY else str(one.mode))
    return ", ".join(parts)


def _style(one: ModelStatus) -> str:
    return deployment_style(one.state) if one.is_known else "warning"


def _price(one: ModelStatus) -> str:
    return money(one.burn_cents_per_hour) if one.burn_cents_per_hour else "–"


def _replicas(one: ModelStatus) -> str:
    if one.record is None or one.record.rides_on:
        return "–"
    return f"{one.record.ready_replicas} of {one.record.max_replicas}"


def _model(one: ModelStatus) -> str:
    """An adapter with what it rides on, and a model with where else it is served."""
    if one.provider_url is not None:
        return f"{one.model_name} at {one.provider_url}"
    return f"on {one.record.endpoint_name}: {one.model_name}" if one.record and one.record.rides_on else one.model_name


def _rides_on(one: ModelStatus) -> str | None:
    return one.record.endpoint_name if one.record and one.record.rides_on else None


def _ready(one: ModelStatus) -> int:
    return one.record.ready_replicas if one.record else 0


def _more(shown: Sequence[Column[ModelStatus]], now: datetime) -> list[Column[ModelStatus]]:
    """What only machines read, so that every listing of models has the same keys."""
    known = {column.key for column in shown}
    every: list[Column[ModelStatus]] = [
        Column("model_type", lambda one: one.model_type),
        Column("enabled", lambda one: one.enabled),
        Column("ready_replicas", _ready),
        Column("min_replicas", lambda one: one.record.min_replicas if one.record else 0),
        Column("max_replicas", lambda one: one.record.max_replicas if one.record else 0),
        Column("price_cents_per_hour", lambda one: one.record.price_cents_per_hour if one.record else None),
        Column("hardware", lambda one: one.record.hardware if one.record else None),
        Column("serving_name", lambda one: one.record.serving_name if one.record else None),
        Column("endpoint_id", lambda one: one.record.endpoint_id if one.record else None),
        Column("deployment_id", lambda one: one.record.deployment_id if one.record else None),
        Column("rides_on", _rides_on),
        Column("adapter_id", lambda one: one.record.adapter_id if one.record else None),
        Column("idle_minutes", lambda one: one.record.idle_minutes if one.record else None),
        Column("ready_since", lambda one: one.ready_since),
        Column("ready_seconds", lambda one: now - one.ready_since if one.ready_since else None),
        Column("cost_cents", lambda one: whole_cents(one.usage.cents)),
        Column("requests_last_hour", lambda one: one.activity.requests if one.activity else None),
        Column("quiet_seconds", lambda one: _quiet(one, now)),
        Column("ours", lambda one: one.ours),
        Column("traffic_percent", lambda one: one.traffic_percent),
        Column("mode", lambda one: one.mode),
        Column("share_percent", lambda one: one.share_percent),
        Column("provider_url", lambda one: one.provider_url),
        Column("last_error", lambda one: one.record.last_error if one.record else None),
    ]
    return [column for column in every if column.key not in known]


def list_columns(now: datetime) -> list[Column[ModelStatus]]:
    """`models list`: as last seen."""
    columns: list[Column[ModelStatus]] = [
        Column("name", lambda one: one.name, "NAME", text=_name),
        Column("state", lambda one: one.state, "STATE", text=_state, kind=Kind.STATE, style=_style),
        Column("burn_cents_per_hour", lambda one: one.burn_cents_per_hour, "$/H", text=_price, kind=Kind.NUMBER),
        Column("model", lambda one: one.model_name, "MODEL", text=_model, gives_way=True),
        Column(
            "seen_at",
            lambda one: one.record.state_at if one.record else None,
            "SEEN",
            text=lambda one: f"{duration(now - one.record.state_at)} ago" if one.record else "–",
            priority=3,
        ),
    ]
    return [*columns, *_more(columns, now)]


def all_columns(now: datetime) -> list[Column[ModelStatus]]:
    """`models list --all`: ours as last seen, and what else runs in the project."""
    columns: list[Column[ModelStatus]] = [
        Column("name", lambda one: one.name, "NAME", text=_name),
        Column("ours", lambda one: one.ours, "WHOSE", text=lambda one: "ours" if one.ours else "not ours"),
        Column("state", lambda one: one.state, "STATE", text=_state, kind=Kind.STATE, style=_style),
        Column("burn_cents_per_hour", lambda one: one.burn_cents_per_hour, "$/H", text=_price, kind=Kind.NUMBER),
        Column(
            "cost_cents", lambda one: whole_cents(one.usage.cents), "COST", text=_cost, kind=Kind.NUMBER, priority=2
        ),
        Column("model", lambda one: one.model_name, "MODEL", text=_model, gives_way=True),
    ]
    return [*columns, Column("seen_at", lambda one: one.record.state_at if one.record else None), *_more(columns, now)]


def _cost(one: ModelStatus) -> str:
    if one.record is None or one.record.rides_on:
        return "–"
    if not one.usage.doubt_cents:
        return money(one.usage.cents)
    return f"up to {money(one.usage.high_cents)}"


def status_columns(at: datetime) -> list[Column[ModelStatus]]:
    """`models status`: as of now."""
    columns: list[Column[ModelStatus]] = [
        Column("name", lambda one: one.name, "NAME", text=_name),
        Column("state", lambda one: one.state, "STATE", text=_state, kind=Kind.STATE, style=_style),
        Column("ready_replicas", _ready, "READY", text=_replicas, kind=Kind.NUMBER, priority=3),
        Column("burn_cents_per_hour", lambda one: one.burn_cents_per_hour, "$/H", text=_price, kind=Kind.NUMBER),
        Column(
            "ready_seconds",
            lambda one: at - one.ready_since if one.ready_since else None,
            "SINCE",
            text=lambda one: duration(at - one.ready_since) if one.ready_since else "–",
            kind=Kind.NUMBER,
            priority=4,
        ),
        Column(
            "cost_cents",
            lambda one: whole_cents(one.usage.cents),
            "MONTH",
            text=_month,
            kind=Kind.NUMBER,
            priority=2,
        ),
        Column(
            "requests_last_hour",
            lambda one: one.activity.requests if one.activity else None,
            "REQ/H",
            text=lambda one: f"{one.activity.requests:,}" if one.activity else "–",
            kind=Kind.NUMBER,
            priority=4,
        ),
        Column(
            "quiet_seconds",
            lambda one: _quiet(one, at),
            "IDLE",
            text=lambda one: _idle(one, at),
            kind=Kind.NUMBER,
            priority=4,
        ),
        Column("model", lambda one: one.model_name, "MODEL", text=_model, gives_way=True, priority=3),
        Column("seen_at", lambda one: one.record.state_at if one.record else None),
    ]
    return [*columns, *_more(columns, at)]


def _month(one: ModelStatus) -> str:
    """What has no deployment costs nothing, but for what is summed up of before."""
    counts = one.usage.high_cents if one.record is None else not one.record.rides_on
    return money(one.usage.cents) if counts else "–"


def _quiet(one: ModelStatus, at: datetime) -> timedelta | None:
    """For how long nothing has come in; at least an hour counts as an hour, unless it is ready for less."""
    if one.activity is None or one.ready_since is None:
        return None
    begin = one.activity.quiet_since or at - timedelta(hours=1)
    return at - max(begin, one.ready_since)


def _idle(one: ModelStatus, at: datetime) -> str:
    quiet = _quiet(one, at)
    if quiet is None:
        return "–"
    return f"> {duration(quiet)}" if quiet >= timedelta(hours=1) else duration(quiet)
