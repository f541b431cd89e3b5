"""Every way to have a type's decisions answered, as a table, and what follows from it, as it is said."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from reasoning_cli.operations.costs.ways import Kind, Way, cheaper_unproven, cheapest
from reasoning_cli.terminal.listing import Column, Listing
from reasoning_cli.terminal.listing import Kind as Cell
from reasoning_cli.terminal.units import counted, money, percent, whole_cents

if TYPE_CHECKING:
    from reasoning_cli.operations.advice.facts import SideBySide

NOT_MEASURED = "not measured"


def ways_listing(found: Sequence[Way]) -> Listing[Way]:
    """One row a way. `~` stands before what is not measured on this traffic."""
    return Listing(_columns(), found, id=lambda way: str(way.kind))


def _columns() -> list[Column[Way]]:
    return [
        Column("way", lambda way: way.kind, "WAY", text=_name, gives_way=True, prose=True),
        Column("is_now", lambda way: way.is_now),
        Column("cents_a_month", _cents, "A MONTH", text=_money, kind=Cell.NUMBER),
        Column("share", lambda way: _rounded(way.share), "OURS", text=_share, kind=Cell.NUMBER, priority=2),
        Column("share_is_measured", lambda way: way.share_is_measured),
        Column(
            "disagrees_at_most",
            lambda way: _rounded(way.at_most),
            "DISAGREE AT MOST",
            text=_at_most,
            kind=Cell.NUMBER,
            priority=3,
        ),
        Column(
            "p50_ms",
            lambda way: way.speed.p50_ms if way.speed else None,
            "P50",
            text=lambda way: f"{way.speed.p50_ms:,} ms" if way.speed else "–",
            kind=Cell.NUMBER,
            priority=5,
        ),
        Column(
            "p95_ms",
            lambda way: way.speed.p95_ms if way.speed else None,
            "P95",
            text=lambda way: f"{way.speed.p95_ms:,} ms" if way.speed else "–",
            kind=Cell.NUMBER,
            priority=6,
        ),
        Column("hours_up_a_day", lambda way: way.hours_up, "H/DAY", text=_hours_up, kind=Cell.NUMBER, priority=4),
        Column("hours", lambda way: None if way.hours is None else str(way.hours)),
        Column("proven", lambda way: way.passes, "PROVEN", text=_proven, priority=2),
        Column("why_no_price", lambda way: way.lacks or None),
        Column("command", lambda way: way.next or None),
    ]


def plain_name(way: Way) -> str:
    """A way in words, with its hours."""
    return way.name if way.hours is None else f"{way.name.removesuffix(' in its hours')} {way.hours}"


def _name(way: Way) -> str:
    return f"{plain_name(way)}, now" if way.is_now else plain_name(way)


def _cents(way: Way) -> int | None:
    return None if way.cents_a_month is None else whole_cents(way.cents_a_month)


def _money(way: Way) -> str:
    if way.cents_a_month is None:
        return "–"
    return f"{'' if _is_measured(way) else '~'}{money(way.cents_a_month)}"


def _is_measured(way: Way) -> bool:
    return way.share_is_measured


def _share(way: Way) -> str:
    if way.share is None:
        return "–"
    return f"{'' if _is_measured(way) else '~'}{percent(float(way.share))}"


def _at_most(way: Way) -> str:
    if not way.share:
        return "–"
    return NOT_MEASURED if way.at_most is None else percent(float(way.at_most))


def _hours_up(way: Way) -> str:
    return "–" if way.hours_up is None else str(way.hours_up)


def _proven(way: Way) -> str:
    if not way.share or (way.kind is Kind.GPU_HOURS and not way.hours_up):
        return "–"
    return "yes" if way.passes else "no"


def _rounded(share: Decimal | None) -> float | None:
    return None if share is None else round(float(share), 4)


def notes(shown: SideBySide) -> list[str]:
    """What the signs mean, and what is not in the table as it has no price."""
    lines = []
    if any(not way.share_is_measured for way in shown.ways if way.share is not None):
        lines.append(
            "  ~ is not measured on this traffic: a head is taken to answer its share of held-out rooms, a model not"
            " asked yet all."
        )
    if any(way.kind is Kind.OWN_SERVER and way.cents_a_month is not None for way in shown.ways):
        lines.append("  own server: what its tokens cost by your prices; the machine and its power are not in it")
    lacking = {way.lacks: way.name for way in reversed(shown.ways) if way.lacks}  # of equals the first
    return [*lines, *(f"  {name}: {lacks}" for lacks, name in reversed(lacking.items()))]


def advice_lines(shown: SideBySide) -> list[str]:
    """The cheapest that may answer, with the command to type, and what would be cheaper if it were proven."""
    best, other = cheapest(shown.ways), cheaper_unproven(shown.ways)
    if best is None or best.cents_a_month is None or not shown.known.load.a_day:
        return []
    what = "it answers now" if best.is_now else f"`{best.next}`"
    lines = [f"  → The cheapest that may answer: {plain_name(best)}, {money(best.cents_a_month)} a month: {what}"]
    if other is not None and other.cents_a_month is not None:
        less, proof = money(best.cents_a_month - other.cents_a_month), f": `{other.next}`" if other.next else ""
        lines.append(f"  → Cheaper by {less} a month, but not proven: {plain_name(other)}{proof}")
    return lines


def traffic_text(shown: SideBySide) -> str:
    """At which traffic the ways are compared."""
    rate = shown.comparison.decisions_per_hour
    per_hour = f"{rate:,.{0 if rate >= 10 or rate == int(rate) else 1}f} decisions an hour"
    if shown.is_assumed:
        tokens = shown.comparison.original
        of = f" of {tokens.prompt_tokens:,.0f} + {tokens.completion_tokens:,.0f} tokens" if tokens is not None else ""
        return f"{per_hour}{of}, as assumed"
    span = shown.comparison.span
    days, hours = span.days, round(span.total_seconds() / 3600)
    over = "day" if hours == 24 else counted(days, "day") if days and not span.seconds else counted(hours, "hour")
    return f"{per_hour} over the last {over}"
