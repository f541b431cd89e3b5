"""How the gateway's figures and explanations look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reasoning_cli.gateway.explain import Explanation
from reasoning_cli.terminal.listing import Column, Kind, Listing
from reasoning_cli.terminal.units import bar, counted, duration, moment, percent, size
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.terminal.console import Fact, Terminal

_MOST_REASONS = 4
_MUCH_WAITS = 100_000  # bytes
_BAR = 10
_WITH_TOOLS = "`reasoning config set coding.tools true`"
_SOURCES = {
    "head": "the head, here",
    "slot": "your model",
    "fallback": "original, after your model",
    "original": "original",
}
_WHO = {"head": "head", "slot": "model", "fallback": "fallback", "original": "original"}


def explanation_columns() -> tuple[Column[Explanation], ...]:
    """One row a request."""
    return (
        Column("number", lambda explanation: explanation.number, "#", kind=Kind.NUMBER),
        Column(
            "model_type",
            lambda explanation: explanation.model_type,
            "type",
            text=lambda explanation: spell_model_type(explanation.model_type or "–"),
        ),
        Column("route", lambda explanation: explanation.route, "goes to"),
        Column("reason", lambda explanation: explanation.reason, "why", gives_way=True),
        Column("shadow", lambda explanation: explanation.shadow),
        Column("face", lambda explanation: explanation.face, "dialect", priority=5),
        Column("method", lambda explanation: explanation.method),
        Column("path", lambda explanation: explanation.path, "path", priority=6),
    )


def explanation_record(explanation: Explanation) -> dict[str, object]:
    """One explanation for machines."""
    return asdict(explanation)


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

    return (
        Column("model_type", lambda row: row.model_type, "TYPE", text=lambda row: spell_model_type(row.model_type)),
        Column("source", lambda row: row.source, "ANSWERED BY", text=lambda row: _WHO.get(row.source, row.source)),
        Column("count", lambda row: row.count, "N", text=lambda row: f"{row.count:,}", kind=Kind.NUMBER),
        Column(
            "share", lambda row: row.share, "SHARE", text=lambda row: percent(row.share), kind=Kind.SHARE, priority=3
        ),
        Column("p50_ms", lambda row: row.p50_ms, "P50", text=lambda row: _ms(row.p50_ms), kind=Kind.NUMBER),
        Column(
            "p95_ms",
            lambda row: row.p95_ms,
            "P95",
            text=lambda row: _ms(row.p95_ms),
            kind=Kind.NUMBER,
            priority=2,
        ),
        Column("reasons", lambda row: dict(row.reasons), "WHY", text=_why, gives_way=True, prose=True, priority=4),
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
            part["reasons"] if source not in ("head", "slot") else {},
        )
        for model_type, entry in types.items()
        for source, part in sorted(entry["by_source"].items(), key=lambda item: list(_WHO).index(item[0]))
    ]


@dataclass(frozen=True)
class ModelRow:
    """One line below `gateway stats`: what a model of ours was asked for decisions of a type."""

    model_type: str
    model: str
    answered: int
    beside: int
    failed: int
    agreement: float | None
    p50_ms: int | None
    p95_ms: int | None
    failures: Mapping[str, int]


def model_columns() -> tuple[Column[ModelRow], ...]:
    """Which model answered how often, was asked as a shadow, failed, and decided as what the agent got instead."""
    return (
        Column("model_type", lambda row: row.model_type, "TYPE", text=lambda row: spell_model_type(row.model_type)),
        Column("model", lambda row: row.model, "MODEL", gives_way=True),
        Column(
            "answered", lambda row: row.answered, "ANSWERED", text=lambda row: f"{row.answered:,}", kind=Kind.NUMBER
        ),
        Column(
            "beside", lambda row: row.beside, "SHADOW", text=lambda row: f"{row.beside:,}", kind=Kind.NUMBER, priority=4
        ),
        Column("failed", lambda row: row.failed, "FAILED", text=lambda row: f"{row.failed:,}", kind=Kind.NUMBER),
        Column(
            "agreement",
            lambda row: row.agreement,
            "AGREES",
            text=lambda row: "–" if row.agreement is None else percent(row.agreement),
            kind=Kind.SHARE,
            priority=3,
        ),
        Column("p50_ms", lambda row: row.p50_ms, "P50", text=lambda row: _ms(row.p50_ms), kind=Kind.NUMBER, priority=4),
        Column("p95_ms", lambda row: row.p95_ms, "P95", text=lambda row: _ms(row.p95_ms), kind=Kind.NUMBER, priority=5),
        Column(
            "failures",
            lambda row: dict(row.failures),
            "WHY",
            text=lambda row: _counts(row.failures),
            gives_way=True,
            prose=True,
            priority=6,
        ),
    )


def model_rows(types: Mapping[str, Any], names: Mapping[str, str]) -> list[ModelRow]:
    """A row for each model, by the name of what its deployment serves where that is known."""
    fields = [field.name for field in dataclass_fields(ModelRow) if field.name not in ("model_type", "model")]
    return [
        ModelRow(
            model_type,
            names.get(model["deployment"] or "", model["model"]),
            **{field: model[field] for field in fields},
        )
        for model_type, entry in types.items()
        for model in entry["models"]
    ]


def _ms(value: int | None) -> str:
    return "–" if value is None else f"{value:,} ms"


def stats_listing(record: Mapping[str, Any]) -> Listing[StatsRow]:
    """Who answered, a row for each type and source."""
    return Listing(stats_columns(), stats_rows(record["model_types"]), id=lambda row: row.model_type)


def slot_listing(record: Mapping[str, Any]) -> Listing[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """A row for each slot: whether its model is asked, how far, and who answered so far."""

    def answered(source: str) -> Column[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
        return Column(source, lambda row: row[2].get("by_source", {}).get(source, {}).get("count", 0))

    columns: list[Column[tuple[str, Mapping[str, Any], Mapping[str, Any]]]] = [
        Column("model_type", lambda row: row[0]),
        Column("mode", lambda row: row[1]["mode"]),
        Column("share_percent", lambda row: row[1]["share_percent"]),
        Column("model", lambda row: row[1]["model"]),
        Column("closed", lambda row: row[1]["closed"]),
        Column("circuit", lambda row: row[1]["circuit"]),
        Column("decisions", lambda row: row[2].get("decisions", 0)),
        *(answered(source) for source in _WHO),
        Column("agreement", lambda row: row[2].get("agreement")),
    ]
    rows = [(name, slot, record["model_types"].get(name, {})) for name, slot in record["slots"].items()]
    return Listing(columns, rows, id=lambda row: row[0])


def stats_lines(terminal: Terminal, record: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """The table of who answered and that of our models, and below them what it comes to. `names` is what deployments
    serve."""
    types = record["model_types"]
    lines = [*terminal.table_lines(stats_listing(record)), ""] if types else []
    if models := model_rows(types, names):
        lines += [*terminal.table_lines(Listing(model_columns(), models, id=lambda row: row.model)), ""]
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
    if gateways := record.get("fleet"):
        hosts = ", ".join(sorted(str(each["host"]) for each in gateways))
        lines += terminal.fact_lines([("gateways", f"the sum over {len(gateways)}: {hosts}")])
    if "relayed" in record:
        lines += terminal.fact_lines([("no decision", f"{counted(record['relayed'], 'call')} handed through")])
    elif not types:
        lines += terminal.fact_lines([("", "no decision came through a gateway in that time")])
    return lines


def _why(row: StatsRow) -> str:
    return _counts(row.reasons)


def _counts(counts: Mapping[str, int]) -> str:
    reasons = list(counts.items())
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


def status_facts(record: Mapping[str, Any], *, bars: bool = False) -> list[Fact]:
    """Each slot and who answered for it, each share with a bar where there are `bars`; then what was kept, and what
    went wrong."""
    facts: list[Fact] = []
    for model_type, slot in record["slots"].items():
        facts += _slot_facts(model_type, slot)
        if (entry := record["model_types"].get(model_type)) is not None:
            facts += _answered_facts(entry, bars=bars)
    facts += _recording_facts(record["recording"])
    if record["upstream_errors"]:
        facts.append(("original", ", ".join(f"{kind}: {count:,}" for kind, count in record["upstream_errors"].items())))
    if record["problem"]:
        facts.append(("settings", record["problem"], "bad"))
    return facts


def _slot_facts(model_type: str, slot: Mapping[str, Any]) -> list[Fact]:
    """What a slot asks: its model and its candidate, and what stands in the way."""
    mode = f"canary {slot['share_percent']} %" if slot["mode"] == "canary" else slot["mode"]
    state = slot["closed"] or f"{mode}, {slot['model']}"
    circuit = _circuit(slot)
    style = "dim" if slot["closed"] else "good" if not circuit else "bad"
    facts: list[Fact] = [(spell_model_type(model_type), f"{state}{circuit}", style)]
    if (head := slot.get("head")) is not None:  # a gateway from before heads says nothing of them
        facts.append(_head_fact(head))
    if (coming := slot["challenger"]) is not None:
        facts.append(("", f"candidate: {coming['model']}, {coming['percent']} %{_circuit(coming)}"))
    if slot["waking"] and slot["closed"]:
        facts.append(("", slot["waking"]))
    if model_type == "coding" and slot["closed"] is None and not slot["tools"]:
        facts.append(("", f"calls with tools go to the original; if the model calls functions: {_WITH_TOOLS}"))
    return facts


def _head_fact(head: Mapping[str, Any]) -> Fact:
    """The head in line before the slot's model, or what keeps it from answering."""
    if head["problem"] or head["closed"]:
        return "", f"head in line: {head['problem'] or head['closed']}", "bad"
    mode = f"canary {head['share_percent']} %" if head["mode"] == "canary" else head["mode"]
    return "", f"head in line: {mode}, {head['model']}, {head['audit_percent']} % audited{_circuit(head)}", "good"


def _circuit(slot: Mapping[str, Any]) -> str:
    """That a circuit is not closed, as it should be."""
    return "" if slot["circuit"] == "closed" else f", circuit {slot['circuit']}"


def _answered_facts(entry: Mapping[str, Any], *, bars: bool) -> list[Fact]:
    """Who answered the decisions of a type, and how far its model agrees with the original."""
    facts: list[Fact] = []
    for source, part in entry["by_source"].items():
        speed = f", p50 {part['p50_ms']} ms, p95 {part['p95_ms']} ms"
        share = part["count"] / entry["decisions"]
        drawn = f"{bar(share, _BAR)} " if bars else ""
        facts.append(("", f"{_SOURCES.get(source, source)}: {part['count']:,} ({drawn}{percent(share)}){speed}"))
        if source not in ("head", "slot"):
            facts += _reason_facts(part["reasons"])
    if entry["agreement"] is not None:
        facts.append(("", f"agrees with the original in {percent(entry['agreement'])}"))
    if (head := entry.get("head")) is not None:
        facts += _head_facts(head)
    if entry["not_asked_beside"]:
        facts.append(("", f"{entry['not_asked_beside']:,} not shown to its model: it had enough to answer"))
    return facts


def _head_facts(head: Mapping[str, Any]) -> list[Fact]:
    """What came of asking the head, and how often the original disagreed where it was asked as well."""
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in head["outcomes"].items())
    facts: list[Fact] = [("", f"head asked {head['asked']:,} times, at no cost: {outcomes}")]
    if head["compared"]:
        share = percent(head["disagreed"] / head["compared"])
        facts.append(("", f"head disagrees with the original in {share} of {head['compared']:,} compared"))
    return facts


def _recording_facts(recording: Mapping[str, Any]) -> list[Fact]:
    """What went into the log, and what did not and why."""
    stored = f"{recording['stored']:,} in the log"
    lost = f"{recording['unreadable']:,} unreadable, {recording['dropped']:,} dropped"
    # What a busy moment leaves is less; a store that stands still raises no error.
    waits = recording.get("waiting_bytes", 0)
    waiting = f", {size(waits)} waiting to be written" if waits >= _MUCH_WAITS else ""
    facts: list[Fact] = [("kept", f"{stored}, {lost}{waiting}")]
    if spooled := recording.get("spooled", 0):
        on_disk = f"{spooled:,} wait on this machine's disk ({size(recording['spooled_bytes'])}) for the store"
        facts.append(("", on_disk, "bad"))
    facts += [*_reason_facts(recording.get("why_unreadable", {}))]
    if recording["last_error"]:
        facts.append(("", recording["last_error"], "bad"))
    return facts


def _reason_facts(reasons: Mapping[str, int]) -> list[Fact]:
    return [("", f"   {count:,} {reason}") for reason, count in list(reasons.items())[:_MOST_REASONS]]
