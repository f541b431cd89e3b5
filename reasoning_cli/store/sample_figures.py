"""What the training log holds, counted: answered from indexes, without reading a prompt."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.samples import SampleRange, range_of
from reasoning_cli.store.times import to_ms


@dataclass(frozen=True)
class TypeFigures:
    """What is stored of one model type.

    `decisions` counts by what was decided, without the `unparsed`; `repeats` are rows whose prompt was seen before,
    `near_repeats` those whose prompt differs from one seen before in numbers and ids alone. Lengths in characters.
    """

    range: SampleRange
    last_day: int
    decisions: Mapping[str, int]
    unparsed: int
    sources: Mapping[str, int]
    labels: Mapping[str, int]
    repeats: int
    near_repeats: int
    mean_prompt_chars: int
    max_prompt_chars: int
    mean_output_chars: int
    max_output_chars: int


@dataclass(frozen=True)
class Traffic:
    """The decisions of one type that one model answered: how many, how many of them with token counts, which sums,
    and the characters (prompt with system text, and output) of those without."""

    model_type: str
    source: str
    model: str
    decisions: int
    counted: int
    prompt_tokens: int
    completion_tokens: int
    uncounted_prompt_chars: int
    uncounted_output_chars: int


@dataclass(frozen=True)
class SampleFigures:
    """What the training log holds; `last_day` counts the last 24 hours."""

    range: SampleRange
    last_day: int
    by_type: Mapping[str, TypeFigures]
    size_bytes: int


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
    return [Traffic(*row) for row in rows]


def sample_figures(store: Store, day_ago: datetime) -> SampleFigures:
    """Counts, ranges, decisions, lengths and repeats; answered from indexes, without reading a prompt."""
    rows = store.rows
    decisions = _counts(rows("SELECT model_type, decision, count(*) FROM samples GROUP BY model_type, decision"))
    sources = _counts(rows("SELECT model_type, source, count(*) FROM samples GROUP BY model_type, source"))
    labels = _counts(
        rows("SELECT model_type, label, count(*) FROM samples WHERE label IS NOT NULL GROUP BY model_type, label")
    )
    prompts, shapes = (
        {row[0]: int(row[1]) for row in rows(f"SELECT model_type, count(DISTINCT {hashed}) FROM samples GROUP BY 1")}
        for hashed in ("prompt_hash", "shape_hash")
    )
    by_type: dict[str, TypeFigures] = {}
    for row in rows(
        "SELECT model_type, count(*) AS total, sum(created_at >= ?) AS last_day,"
        " min(created_at) AS oldest, max(created_at) AS newest,"
        " avg(prompt_chars) AS mean_prompt, max(prompt_chars) AS max_prompt,"
        " avg(output_chars) AS mean_output, max(output_chars) AS max_output"
        " FROM samples GROUP BY model_type ORDER BY model_type",
        (to_ms(day_ago),),
    ):
        name = str(row["model_type"])
        decided = dict(decisions.get(name, {}))
        by_type[name] = TypeFigures(
            range=range_of(row),
            last_day=row["last_day"],
            unparsed=decided.pop(None, 0),
            decisions={str(decision): count for decision, count in decided.items()},
            sources={str(source): count for source, count in sources.get(name, {}).items()},
            labels={str(label): count for label, count in labels.get(name, {}).items()},
            repeats=row["total"] - prompts[name],
            near_repeats=row["total"] - shapes[name],
            mean_prompt_chars=round(row["mean_prompt"]),
            max_prompt_chars=row["max_prompt"],
            mean_output_chars=round(row["mean_output"]),
            max_output_chars=row["max_output"],
        )
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
    )


def _counts(rows: Iterator[sqlite3.Row]) -> dict[str, dict[str | None, int]]:
    """Rows of (model type, value, count), nested; the most frequent value first."""
    nested: dict[str, dict[str | None, int]] = {}
    for model_type, value, count in sorted(rows, key=lambda row: -int(row[2])):
        nested.setdefault(model_type, {})[value] = count
    return nested
