"""How the gateway's figures and explanations look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reasoning_cli.gateway.explaining import Explanation
from reasoning_cli.terminal.listing import Column, Listing
from reasoning_cli.terminal.units import counted, duration, moment, percent
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.terminal.console import Terminal

_MOST_REASONS = 4
_WITH_TOOLS = "`reasoning config set coding.tools true`"
_SOURCES = {"slot": "your model", "fallback": "original, after your model", "original": "original"}
_WHO = {"slot": "model", "fallback": "fallback", "original": "original"}


def explanation_columns() -> tuple[Column[Explanation], ...]:
    """One row a request."""
    return (
        Column("number", lambda one: one.number, "#", right=True),
        Column(
            "model_type", lambda one: one.model_type, "type", text=lambda one: spell_model_type(one.model_type or "–")
        ),
        Column("route", lambda one: one.route, "goes to"),
        Column("reason", lambda one: one.reason, "why", shrink=True),
        Column("shadow", lambda one: one.shadow),
        Column("face", lambda one: one.face, "dialect", from_width=90),
        Column("method", lambda one: one.method),
        Column("path", lambda one: one.path, "path", from_width=110),
    )


def explanation_record(one: Explanation) -> dict[str, object]:
    """One explanation for machines."""
    return asdict(one)


@dataclass(frozen=True)
class StatsRow:
    """One line of `gateway stats`: the decisions of a type that one source answered."""

    model_type: str
    source: str
    count: int
    share: float
    p50_ms: int | None
    p95_ms: int | None
    reasons: Mapping[str, int]


def stats_columns() -> tuple[Column[StatsRow], ...]:
    """Who answered, how often, how fast and why."""

    def milliseconds(value: int | None) -> str:
        return "–" if value is None else f"{value:,} ms"

    return (
        Column("model_type", lambda one: one.model_type, "TYPE", text=lambda one: spell_model_type(one.model_type)),
        Column("source", lambda one: one.source, "ANSWERED BY", text=lambda one: _WHO.get(one.source, one.source)),
        Column("count", lambda one: one.count, "N", text=lambda one: f"{one.count:,}", right=True),
        Column("share", lambda one: one.share, "SHARE", text=lambda one: percent(one.share), right=True, from_width=60),
        Column("p50_ms", lambda one: one.p50_ms, "P50", text=lambda one: milliseconds(one.p50_ms), right=True),
        Column(
            "p95_ms",
            lambda one: one.p95_ms,
            "P95",
            text=lambda one: milliseconds(one.p95_ms),
            right=True,
            from_width=50,
        ),
        Column("reasons", lambda one: dict(one.reasons), "WHY", text=_why, shrink=True, prose=True, from_width=70),
    )


def stats_rows(types: Mapping[str, Any]) -> list[StatsRow]:
    """The rows of what `/stats` and the log tell by model type."""
    return [
        StatsRow(
            model_type,
            source,
            part["count"],
            part["count"] / entry["decisions"],
            part["p50_ms"],
            part["p95_ms"],
            part["reasons"] if source != "slot" else {},
        )
        for model_type, entry in types.items()
        for source, part in sorted(entry["by_source"].items(), key=lambda one: list(_WHO).index(one[0]))
    ]


def stats_lines(terminal: Terminal, record: Mapping[str, Any]) -> list[str]:
    """The table, and below it what it comes to."""
    types = record["model_types"]
    listing = Listing(stats_columns(), stats_rows(types), id=lambda one: one.model_type)
    lines = [*terminal.table_lines(listing), ""] if types else []
    if "since" in record:
        lines = [f"By the log, since {moment(datetime.fromisoformat(record['since']))}", "", *lines]
    facts = []
    for model_type, entry in types.items():
        said = []
        if entry["success_rate"] is not None:
            said.append(f"good in {percent(entry['success_rate'])} of the times it was asked")
        if entry["agreement"] is not None:
            said.append(f"decides as the original does in {percent(entry['agreement'])}")
        if said:
            facts.append((spell_model_type(model_type), "; ".join(said)))
    lines += terminal.fact_lines(facts)
    if "relayed" in record:
        lines += terminal.fact_lines([("no decision", f"{counted(record['relayed'], 'call')} handed through")])
    elif not types:
        lines += terminal.fact_lines([("", "no decision came through a gateway in that time")])
    return lines


def _why(one: StatsRow) -> str:
    reasons = list(one.reasons.items())
    more = f", {len(reasons) - _MOST_REASONS} more reasons" if len(reasons) > _MOST_REASONS else ""
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons[:_MOST_REASONS]) + more


def status_line(record: Mapping[str, Any]) -> str:
    """How much came in, and how much of it were decisions."""
    decisions = sum(entry["decisions"] for entry in record["model_types"].values())
    since = duration(datetime.now(UTC) - datetime.fromisoformat(record["started_at"]))
    workers = f", {record['workers']} workers" if record["workers"] > 1 else ""
    return (
        f"Up for {since}{workers}. {counted(record['requests'], 'call')}: {counted(decisions, 'decision')},"
        f" {record['relayed']:,} handed through, {record['in_flight']:,} under way"
    )


def status_facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each slot and who answered for it; then what was kept, and what went wrong."""
    facts: list[tuple[str, str]] = []
    for model_type, slot in record["slots"].items():
        mode = f"canary {slot['share_percent']} %" if slot["mode"] == "canary" else slot["mode"]
        state = slot["closed"] or f"{mode}, {slot['model']}"
        circuit = "" if slot["circuit"] == "closed" else f", circuit {slot['circuit']}"
        facts.append((spell_model_type(model_type), f"{state}{circuit}"))
        if slot["waking"] and slot["closed"]:
            facts.append(("", slot["waking"]))
        if model_type == "coding" and slot["closed"] is None and not slot["tools"]:
            facts.append(("", f"calls with tools go to the original; if the model calls functions: {_WITH_TOOLS}"))
        entry = record["model_types"].get(model_type)
        if entry is None:
            continue
        for source, part in entry["by_source"].items():
            speed = f", p50 {part['p50_ms']} ms, p95 {part['p95_ms']} ms"
            share = percent(part["count"] / entry["decisions"])
            facts.append(("", f"{_SOURCES.get(source, source)}: {part['count']:,} ({share}){speed}"))
            if source != "slot":
                reasons = list(part["reasons"].items())[:_MOST_REASONS]
                facts += [("", f"   {count:,} {reason}") for reason, count in reasons]
        if entry["agreement"] is not None:
            facts.append(("", f"agrees with the original in {percent(entry['agreement'])}"))
        if entry["not_asked_beside"]:
            facts.append(("", f"{entry['not_asked_beside']:,} not shown to its model: it had enough to answer"))
    kept = record["recording"]
    facts.append(
        ("kept", f"{kept['stored']:,} in the log, {kept['unreadable']:,} unreadable, {kept['dropped']:,} dropped")
    )
    if kept["last_error"]:
        facts.append(("", kept["last_error"]))
    if record["upstream_errors"]:
        facts.append(("original", ", ".join(f"{kind}: {count:,}" for kind, count in record["upstream_errors"].items())))
    if record["problem"]:
        facts.append(("settings", record["problem"]))
    return facts
