"""How the statistics of the training log look, for a person and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from datetime import date, timedelta
from operator import itemgetter

from reasoning_cli.operations.data.stats import SampleStatistics
from reasoning_cli.store.samples.stats import SampleFigures, TypeFigures
from reasoning_cli.terminal.listing import Column, Kind, Listing
from reasoning_cli.terminal.units import bar, counted, percent, size, spark
from reasoning_cli.values import spell_model_type

_MOST_DECISIONS = 4
_MOST_AGENTS = 3
_BAR = 10
_DAY_BAR = 24
_SPARK_DAYS = 30
_LABELS = 20  # columns before the text of a fact

Fact = tuple[str, str]
Day = tuple[date, Mapping[str, int]]


def stats_line(figures: SampleFigures) -> str:
    """How much there is, and from when."""
    if figures.range.oldest is None or figures.range.newest is None:
        return "No decisions yet."
    first, last = (at.astimezone().date().isoformat() for at in (figures.range.oldest, figures.range.newest))
    return (
        f"{counted(figures.range.count, 'decision')}, {first} to {last}, {figures.last_day:,} in the last 24 hours,"
        f" {size(figures.size_bytes)}"
    )


def stats_facts(statistics: SampleStatistics, width: int) -> list[Fact]:
    """What was decided, how good it is to train on and what would help, for a terminal of `width` columns."""
    figures = statistics.figures
    total = figures.range.count
    near, exact, unparsed, too_long = (
        sum(getattr(part, name) for part in figures.by_type.values())
        for name in ("near_repeats", "repeats", "unparsed", "too_long")
    )
    facts = [
        *_balance(figures, width),
        ("each day", _spark_line(figures, width - _LABELS)),
        ("sources", _shares_of([part.sources for part in figures.by_type.values()], total)),
        ("agents", _shares_of([part.agents for part in figures.by_type.values()], total, _MOST_AGENTS)),
        ("labels", _shares_of([part.labels for part in figures.by_type.values()], total) or "none"),
        *_lengths(figures),
        ("same prompt", f"{exact:,} again ({percent(exact / total)})"),
        ("near-copies", f"{near:,} ({percent(near / total)}){', the same prompts included' if exact else ''}"),
        ("unreadable", counted(unparsed, "answer")),
        *([("too long", f"{counted(too_long, 'sample')} for the model's window")] if too_long else []),
        ("personal data", _personal(statistics)),
        ("quality", f"{statistics.quality}: {statistics.quality_reason}"),
    ]
    facts += [
        ("advice" if number == 0 else "", recommendation)
        for number, recommendation in enumerate(statistics.recommendations)
    ]
    return facts


def _balance(figures: SampleFigures, width: int) -> list[Fact]:
    """The commonest decisions of each type, each with its share: in a line with bars, or without, or a line each."""
    digits = max(len(f"{part.range.count:,}") for part in figures.by_type.values())
    for bars in (True, False):
        facts = [
            (spell_model_type(name), "   ".join([f"{part.range.count:>{digits},}", *_decisions(part, bars=bars)]))
            for name, part in figures.by_type.items()
        ]
        if max(len(text) for _, text in facts) <= width - _LABELS:
            return facts
    return [
        (spell_model_type(name) if number == 0 else "", text)
        for name, part in figures.by_type.items()
        for number, text in enumerate([f"{part.range.count:>{digits},}", *_decisions(part, bars=False)])
    ]


def _decisions(part: TypeFigures, *, bars: bool) -> list[str]:
    ordered = sorted(part.decisions.items(), key=lambda item: (-item[1], item[0]))[:_MOST_DECISIONS]
    shares = [(name, count / part.range.count) for name, count in ordered]
    return [f"{name}{f' {bar(share, _BAR)}' if bars else ''} {percent(share)}" for name, share in shares]


def _spark_line(figures: SampleFigures, width: int) -> str:
    """The last days as one line of bars, as many as there is room for, days without a decision included."""
    last, shown = max(figures.by_day), min(_SPARK_DAYS, width)
    days = [last - timedelta(days=back) for back in reversed(range(shown))]
    counts = [sum(figures.by_day.get(day, {}).values()) for day in days]
    return f"{spark(counts)}  up to {max(counts):,} a day, {shown} days to {last:%m-%d}"


def _shares_of(parts: list[Mapping[str, int]], total: int, most: int | None = None) -> str:
    """Names with their share, the biggest first; of many, what the rest is."""
    counts: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            counts[name] = counts.get(name, 0) + count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{name} {percent(count / total)}" for name, count in ordered[:most]]
    left = len(ordered) - len(shown)
    return ", ".join([*shown, *([f"{left} more"] if left else [])])


def _lengths(figures: SampleFigures) -> Iterator[Fact]:
    """How long prompts and answers are, and in tokens where they were counted."""
    for number, (name, part) in enumerate(figures.by_type.items()):
        tokens = ""
        if part.counted:
            asked, said = (round(sum_ / part.counted) for sum_ in (part.prompt_tokens, part.completion_tokens))
            tokens = f"; {asked:,} and {said:,} tokens where counted ({percent(part.counted / part.range.count)})"
        yield (
            "lengths" if number == 0 else "",
            f"{spell_model_type(name)} prompt {part.mean_prompt_chars:,} and answer {part.mean_output_chars:,}"
            f" characters, at most {part.max_prompt_chars:,} and {part.max_output_chars:,}{tokens}",
        )


def _personal(statistics: SampleStatistics) -> str:
    found = statistics.personal
    if not found.holding:
        return f"none found in {counted(found.looked_at, 'sample')} looked at"
    kinds = ", ".join(found.kinds)
    share = percent(found.holding / found.looked_at)
    return f"in {share} of {counted(found.looked_at, 'sample')} looked at ({kinds}); exports redact it"


def days_listing(figures: SampleFigures, width: int) -> Listing[Day]:
    """A row a day, with a bar of its share of the busiest, for a terminal of `width` columns."""
    longest = _DAY_BAR if width >= 60 else _DAY_BAR // 2
    most = max((sum(counts.values()) for _, counts in figures.by_day.items()), default=1)
    digits = len(f"{most:,}")

    def of(name: str) -> Column[Day]:
        title = spell_model_type(name).upper()
        return Column(name, lambda day: day[1].get(name, 0), title, kind=Kind.NUMBER, priority=3)

    def total(day: Day) -> str:
        count = sum(day[1].values())
        return f"{count:>{digits},} {bar(count / most, longest).rstrip('░')}".rstrip()

    columns: list[Column[Day]] = [
        Column("day", lambda day: day[0].isoformat(), "DAY"),
        *(of(name) for name in figures.by_type),
        Column("total", lambda day: sum(day[1].values()), "DECISIONS", total),
    ]
    return Listing(columns, list(figures.by_day.items()), id=lambda day: day[0].isoformat())


def types_listing(figures: SampleFigures) -> Listing[dict[str, object]]:
    """A row for each model type, for machines: the figures that JSON has by type."""
    rows = [{"model_type": name, **_type_record(part)} for name, part in figures.by_type.items()]
    names = (
        "model_type",
        "count",
        "oldest",
        "newest",
        *(field.name for field in fields(TypeFigures) if field.name != "range"),
    )
    return Listing([Column(name, itemgetter(name)) for name in names], rows, id=itemgetter("model_type"))


def stats_record(statistics: SampleStatistics) -> dict[str, object]:
    """The statistics for machines."""
    figures = statistics.figures
    return {
        "total": figures.range.count,
        "oldest": figures.range.oldest,
        "newest": figures.range.newest,
        "last_24_hours": figures.last_day,
        "size_bytes": figures.size_bytes,
        "quality": statistics.quality,
        "quality_reason": statistics.quality_reason,
        "recommendations": list(statistics.recommendations),
        "personal_data": asdict(statistics.personal),
        "by_type": {name: _type_record(part) for name, part in figures.by_type.items()},
        "by_day": [{"day": day.isoformat(), **counts} for day, counts in figures.by_day.items()],
    }


def _type_record(part: TypeFigures) -> dict[str, object]:
    record = {name: dict(value) if isinstance(value, Mapping) else value for name, value in asdict(part).items()}
    span = record.pop("range")
    return {**span, **record}
