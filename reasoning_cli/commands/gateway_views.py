"""How the gateway's figures and explanations look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from reasoning_cli.gateway.explaining import Explanation
from reasoning_cli.terminal.listing import Column
from reasoning_cli.terminal.units import counted, percent
from reasoning_cli.values import spell_model_type

_MOST_REASONS = 4
_SOURCES = {"slot": "your model", "fallback": "original, after your model", "original": "original"}


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


def status_line(record: Mapping[str, Any]) -> str:
    """How much came in, and how much of it were decisions."""
    decisions = sum(entry["decisions"] for entry in record["model_types"].values())
    return (
        f"{counted(record['requests'], 'call')}: {counted(decisions, 'decision')},"
        f" {record['relayed']:,} handed through, {record['in_flight']:,} under way"
    )


def status_facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each slot and who answered for it; then what was kept, and what went wrong."""
    facts: list[tuple[str, str]] = []
    for model_type, slot in record["slots"].items():
        state = slot["closed"] or f"{slot['mode']}, {slot['model']}"
        circuit = "" if slot["circuit"] == "closed" else f", circuit {slot['circuit']}"
        facts.append((spell_model_type(model_type), f"{state}{circuit}"))
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
