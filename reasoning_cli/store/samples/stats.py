"""What the training log holds, counted: answered from indexes, without reading a prompt."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo

from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import Sample, SampleRange, Samples
from reasoning_cli.store.timestamps import from_ms, to_ms
from reasoning_cli.times import midnight
from reasoning_cli.values import MODEL_TYPES

CHARS_PER_TOKEN = 4  # of a decision nobody counted
_FIRST = -(1 << 62)  # before any time that is stored


@dataclass(frozen=True)
class TypeFigures:
    """What is stored of one model type.

    `decisions` counts by what was decided, without the `unparsed`; `agents` by name, or id where there is none;
    `repeats` are rows whose prompt was seen before, `near_repeats` those whose prompt differs from one seen before in
    numbers and ids alone. Lengths in characters; the means of tokens are over the `counted` decisions. `too_long` do
    not fit the model's window, prompt and answer together.
    """

    range: SampleRange
    last_day: int
    decisions: Mapping[str, int]
    unparsed: int
    sources: Mapping[str, int]
    labels: Mapping[str, int]
    agents: Mapping[str, int]
    repeats: int
    near_repeats: int
    mean_prompt_chars: int
    max_prompt_chars: int
    mean_output_chars: int
    max_output_chars: int
    counted: int
    prompt_tokens: int
    completion_tokens: int
    too_long: int


@dataclass(frozen=True)
class Traffic:
    """The decisions of one type that one model answered: how many, how many of them with token counts, which sums,
    and the characters (prompt with system text, and output) of those without. Cached tokens are part of the prompts'.
    """

    model_type: str
    source: str
    model: str
    decisions: int
    counted: int
    prompt_tokens: int
    completion_tokens: int
    uncounted_prompt_chars: int
    uncounted_output_chars: int
    cached_tokens: int = 0


@dataclass(frozen=True)
class SampleFigures:
    """What the training log holds; `last_day` counts the last 24 hours, `by_day` the decisions of each type of each
    of the operator's days that has any, oldest first."""

    range: SampleRange
    last_day: int
    by_type: Mapping[str, TypeFigures]
    size_bytes: int
    by_day: Mapping[date, Mapping[str, int]] = field(default_factory=dict)


def traffic(store: Store, since: datetime, until: datetime) -> list[Traffic]:
    """Who answered how much from `since` to `until`, the most first."""
    known = "prompt_tokens IS NOT NULL AND completion_tokens IS NOT NULL"
    rows = store.rows(
        f"SELECT model_type, source, model, count(*) AS decisions, sum({known}),"
        f" coalesce(sum(iif({known}, prompt_tokens, 0)), 0), coalesce(sum(iif({known}, completion_tokens, 0)), 0),"
        f" sum(iif({known}, 0, prompt_chars + coalesce(length(system), 0))), sum(iif({known}, 0, output_chars))"
        " FROM samples WHERE created_at >= ? AND created_at < ? GROUP BY model_type, source, model"
        " ORDER BY decisions DESC, model_type, source, model",
        (to_ms(since), to_ms(until)),
    )
    cached = store.rows(
        "SELECT model_type, source, model, sum(cached_tokens) FROM samples"
        " WHERE cached_tokens > 0 AND created_at >= ? AND created_at < ? GROUP BY model_type, source, model",
        (to_ms(since), to_ms(until)),
    )
    tokens = {tuple(row)[:3]: row[3] for row in cached}
    return [replace(Traffic(*row), cached_tokens=tokens.get(tuple(row)[:3], 0)) for row in rows]


def sample_figures(
    store: Store,
    day_ago: datetime,
    *,
    model_types: Sequence[str] = (),
    windows: Mapping[str, int] | None = None,
    zone: tzinfo | None = None,
) -> SampleFigures:
    """Counts, ranges, decisions, lengths and repeats of the types wanted (all when none is named).

    `windows` are the tokens each type's model reads, `zone` is the one days are of; None is the machine's own.
    """
    names = sorted(model_types or MODEL_TYPES)
    by_type: dict[str, TypeFigures] = {}
    by_day: dict[date, dict[str, int]] = {}
    for name in names:
        figures = _of_type(store, name, day_ago, (windows or {}).get(name))
        if figures is None:
            continue
        by_type[name] = figures
        for day, count in _days(store, name, zone):
            by_day.setdefault(day, {})[name] = count
    ranges = [figures.range for figures in by_type.values()]
    return SampleFigures(
        range=SampleRange(
            count=sum(part.count for part in ranges),
            oldest=min((part.oldest for part in ranges if part.oldest), default=None),
            newest=max((part.newest for part in ranges if part.newest), default=None),
        ),
        last_day=sum(figures.last_day for figures in by_type.values()),
        by_type=by_type,
        size_bytes=store.size_bytes(),
        by_day=dict(sorted(by_day.items())),
    )


def spread_samples(store: Store, model_types: Sequence[str], most: int) -> Iterator[Sample]:
    """At most so many samples, evenly spread over the log by their numbers: a look at all of it without reading it."""
    low, high = (store.number(f"SELECT {which}(seq) FROM samples") for which in ("min", "max"))
    samples, last = Samples(store), None
    for step in range(most):
        wanted = low + (high - low) * step // max(1, most - 1)
        row = store.row("SELECT id, model_type FROM samples WHERE seq >= ? ORDER BY seq LIMIT 1", (wanted,))
        if row is None or row["id"] == last or (model_types and row["model_type"] not in model_types):
            continue
        last = row["id"]
        if (sample := samples.get(last)) is not None:
            yield sample


def _of_type(store: Store, name: str, day_ago: datetime, window: int | None) -> TypeFigures | None:
    def one(sql: str) -> int:
        return store.number(f"SELECT {sql} FROM samples WHERE model_type = ?", (name,))

    sums = store.row(
        "SELECT count(*), sum(prompt_chars), max(prompt_chars), sum(output_chars), max(output_chars),"
        " count(min(prompt_tokens, completion_tokens)), coalesce(sum(prompt_tokens), 0),"
        " coalesce(sum(completion_tokens), 0), sum(coalesce(prompt_tokens, prompt_chars / :chars)"
        " + coalesce(completion_tokens, output_chars / :chars) > :window) FROM samples WHERE model_type = :type",
        {"type": name, "chars": CHARS_PER_TOKEN, "window": 1 << 62 if window is None else window},
    )
    if sums is None or not sums[0]:
        return None
    count, prompt_chars, max_prompt, output_chars, max_output, *tokens = sums
    decided = _counts(store, "decision", name)
    unparsed = decided.pop(None, 0)
    sources, agents = _who(store, name)
    return TypeFigures(
        range=SampleRange(count, from_ms(one("min(created_at)")), from_ms(one("max(created_at)"))),
        last_day=store.number(
            "SELECT count(*) FROM samples WHERE model_type = ? AND created_at >= ?", (name, to_ms(day_ago))
        ),
        decisions={str(decision): number for decision, number in decided.items()},
        unparsed=unparsed,
        sources=sources,
        labels={str(label): number for label, number in _counts(store, "label", name, "AND label IS NOT NULL").items()},
        agents=agents,
        repeats=count - one("count(DISTINCT prompt_hash)"),
        near_repeats=count - one("count(DISTINCT shape_hash)"),
        mean_prompt_chars=round(prompt_chars / count),
        max_prompt_chars=max_prompt,
        mean_output_chars=round(output_chars / count),
        max_output_chars=max_output,
        counted=tokens[0],
        prompt_tokens=tokens[1],
        completion_tokens=tokens[2],
        too_long=tokens[3],
    )


def _counts(store: Store, column: str, name: str, condition: str = "") -> dict[str | None, int]:
    """How many samples of a type have each value, the most frequent first."""
    rows: Iterator[sqlite3.Row] = store.rows(
        f"SELECT {column}, count(*) FROM samples WHERE model_type = ? {condition} GROUP BY {column}", (name,)
    )
    return {row[0]: row[1] for row in sorted(rows, key=lambda row: -int(row[1]))}


def _who(store: Store, name: str) -> tuple[dict[str, int], dict[str, int]]:
    """How many decisions of a type each source answered, and how many each agent had to take."""
    sources: Counter[str] = Counter()
    agents: Counter[str] = Counter()
    for agent, source, count, seq in store.rows(
        "SELECT agent_id, source, count(*), max(seq) FROM samples WHERE model_type = ? GROUP BY agent_id, source",
        (name,),
    ):
        row = store.row("SELECT agent_name FROM samples WHERE seq = ?", (seq,))
        sources[source] += count
        agents[(row[0] if row else None) or agent or "unknown"] += count
    return dict(sources.most_common()), dict(agents.most_common())


def _days(store: Store, name: str, zone: tzinfo | None) -> Iterator[tuple[date, int]]:
    """The days with decisions of a type, each with their count; a gap of years costs no more than one of a day."""
    start = _FIRST
    while True:
        first = store.row("SELECT min(created_at) FROM samples WHERE model_type = ? AND created_at >= ?", (name, start))
        if first is None or first[0] is None:
            return
        day, start = _day(from_ms(first[0]), zone)
        yield (
            day,
            store.number(
                "SELECT count(*) FROM samples WHERE model_type = ? AND created_at >= ? AND created_at < ?",
                (name, first[0], start),
            ),
        )


def _day(at: datetime, zone: tzinfo | None) -> tuple[date, int]:
    """The day a moment falls on where the operator lives, and the stored time at which the next one begins."""
    try:
        day = at.astimezone(zone).date()
        return day, to_ms(midnight(day + timedelta(days=1), zone))
    except (OverflowError, ValueError, OSError):  # the first or last days a calendar knows
        return at.date(), to_ms(at) + 1
