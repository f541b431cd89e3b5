"""What the training log holds, counted: answered from indexes, without reading a prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo

from reasoning_cli.store.database import Row, Store, Value
from reasoning_cli.store.samples.training_log import (
    EVERYTHING,
    Sample,
    SampleFilter,
    SampleRange,
    SampleReader,
    Samples,
    bounds_of,
)
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
    """Who answered how much from `since` to `until`, the most first.

    A process that asks again and again from the same time on, as a page that is left open does, reads what came since,
    as long as what it read before is still there and nothing was added to it.
    """
    key, end = (store.name, to_ms(since)), to_ms(until)
    if key not in _SETTLED:  # most ask once
        if len(_SETTLED) >= _MOST_SETTLED:
            _SETTLED.clear()
        _SETTLED[key] = None
        return _by_size(_counted(store, to_ms(since), end))
    settled = _SETTLED[key]
    if settled is None or not settled.holds(store, end):
        settled = _SETTLED[key] = _Settled.of(store, to_ms(since), max(to_ms(since), end - _LATE_MS))
    return _by_size([*settled.traffic, *_counted(store, settled.end, end)])


_LATE_MS = 10 * 60 * 1000  # after which a decision is in the log, if it ever is
_HOUR_MS = 60 * 60 * 1000
_MOST_SETTLED = 16


@dataclass(frozen=True)
class _Settled:
    """The traffic of a time that is over, and how many samples of which numbers that were."""

    begin: int
    end: int
    samples: tuple[int, int]
    traffic: tuple[Traffic, ...]

    @classmethod
    def of(cls, store: Store, begin: int, end: int) -> _Settled:
        samples = _numbers(store, begin, end)  # first: a sample that comes between is missed by these, and read anew
        return cls(begin, end, samples, tuple(_counted(store, begin, end)))

    def holds(self, store: Store, until: int) -> bool:
        """Whether it is the most of what a look up to `until` reads, and the samples are the same."""
        return self.end <= until < self.end + _HOUR_MS and self.samples == _numbers(store, self.begin, self.end)


_SETTLED: dict[tuple[str, int], _Settled | None] = {}


def _numbers(store: Store, begin: int, end: int) -> tuple[int, int]:
    """How many samples there are of a time, and the sum of their numbers."""
    row = store.row(
        "SELECT count(*), coalesce(sum(seq), 0) FROM samples WHERE created_at >= ? AND created_at < ?", (begin, end)
    )
    assert row is not None
    return int(row[0]), int(row[1])


def _counted(store: Store, begin: int, end: int) -> list[Traffic]:
    known = "prompt_tokens IS NOT NULL AND completion_tokens IS NOT NULL"
    rows = store.rows(
        f"SELECT model_type, source, model, count(*), sum(CASE WHEN {known} THEN 1 ELSE 0 END),"
        f" sum(CASE WHEN {known} THEN prompt_tokens ELSE 0 END),"
        f" sum(CASE WHEN {known} THEN completion_tokens ELSE 0 END),"
        f" sum(CASE WHEN {known} THEN 0 ELSE prompt_chars + coalesce(length(system), 0) END),"
        f" sum(CASE WHEN {known} THEN 0 ELSE output_chars END)"
        " FROM samples WHERE created_at >= ? AND created_at < ? GROUP BY model_type, source, model",
        (begin, end),
    )
    cached = store.rows(
        "SELECT model_type, source, model, sum(cached_tokens) FROM samples"
        " WHERE cached_tokens > 0 AND created_at >= ? AND created_at < ? GROUP BY model_type, source, model",
        (begin, end),
    )
    tokens = {tuple(row)[:3]: row[3] for row in cached}
    return [replace(Traffic(*row), cached_tokens=tokens.get(tuple(row)[:3], 0)) for row in rows]


def _by_size(found: Iterable[Traffic]) -> list[Traffic]:
    """One for each type, source and model, the most first."""
    added: dict[tuple[str, str, str], Traffic] = {}
    for part in found:
        name = (part.model_type, part.source, part.model)
        if name in added:
            pairs = zip(astuple(added[name])[3:], astuple(part)[3:], strict=True)
            part = Traffic(*name, *(mine + theirs for mine, theirs in pairs))
        added[name] = part
    return sorted(added.values(), key=lambda part: (-part.decisions, part.model_type, part.source, part.model))


def sample_figures(
    store: SampleReader,
    day_ago: datetime,
    *,
    wanted: SampleFilter = EVERYTHING,
    windows: Mapping[str, int] | None = None,
    zone: tzinfo | None = None,
) -> SampleFigures:
    """Counts, ranges, decisions, lengths and repeats of what is wanted.

    `windows` are the tokens each type's model reads, `zone` is the one days are of; None is the machine's own.
    """
    names = sorted(wanted.model_types or MODEL_TYPES)
    by_type: dict[str, TypeFigures] = {}
    by_day: dict[date, dict[str, int]] = {}
    for name in names:
        part = _Part.of(store, name, wanted)
        figures = _of_type(part, day_ago, (windows or {}).get(name))
        if figures is None:
            continue
        by_type[name] = figures
        for day, count in _days(part, zone):
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


def spread_samples(store: Store, wanted: SampleFilter, most: int) -> Iterator[Sample]:
    """At most so many samples, evenly spread over the log by their numbers: a look at all of it without reading it. Of
    a few that are wanted it meets fewer."""
    low, high = (store.number(f"SELECT {which}(seq) FROM samples") for which in ("min", "max"))
    samples, last = Samples(store), None
    conditions, parameters = samples.bounds(wanted)
    fits = " AND ".join(conditions) or "1 = 1"
    for step in range(most):
        seq = low + (high - low) * step // max(1, most - 1)
        row = store.row(
            f"SELECT id, {fits} AS fits FROM samples WHERE seq >= :seq ORDER BY seq LIMIT 1", {**parameters, "seq": seq}
        )
        if row is None or row["id"] == last or not row["fits"]:
            continue
        last = row["id"]
        if (sample := samples.get(last)) is not None:
            yield sample


@dataclass(frozen=True)
class _Part:
    """What is counted of one model type: queries end in `where`, with its parameters."""

    store: SampleReader
    where: str
    parameters: Mapping[str, Value]

    @classmethod
    def of(cls, store: SampleReader, name: str, wanted: SampleFilter) -> _Part:
        conditions, parameters = bounds_of(store, replace(wanted, model_types=()))
        return cls(store, " AND ".join(("model_type = :type", *conditions)), {**parameters, "type": name})

    def rows(self, columns: str, rest: str = "") -> Iterator[Row]:
        return self.store.rows(f"SELECT {columns} FROM samples WHERE {self.where} {rest}", self.parameters)

    def row(self, columns: str, rest: str = "", **more: Value) -> Row | None:
        sql = f"SELECT {columns} FROM samples WHERE {self.where} {rest}"
        return self.store.row(sql, {**self.parameters, **more})

    def number(self, column: str, rest: str = "", **more: Value) -> int:
        row = self.row(column, rest, **more)
        return int(row[0] or 0) if row is not None else 0


def _of_type(part: _Part, day_ago: datetime, window: int | None) -> TypeFigures | None:
    sums = part.row(
        "count(*), sum(prompt_chars), max(prompt_chars), sum(output_chars), max(output_chars),"
        " count(prompt_tokens + completion_tokens), coalesce(sum(prompt_tokens), 0),"
        " coalesce(sum(completion_tokens), 0), sum(CASE WHEN coalesce(prompt_tokens, prompt_chars / :chars)"
        " + coalesce(completion_tokens, output_chars / :chars) > :window THEN 1 ELSE 0 END)",
        chars=CHARS_PER_TOKEN,
        window=1 << 62 if window is None else window,
    )
    if sums is None or not sums[0]:
        return None
    count, prompt_chars, max_prompt, output_chars, max_output, *tokens = sums
    decided = _counts(part, "decision")
    unparsed = decided.pop(None, 0)
    sources, agents = _who(part)
    return TypeFigures(
        range=SampleRange(count, from_ms(part.number("min(created_at)")), from_ms(part.number("max(created_at)"))),
        last_day=part.number("count(*)", "AND created_at >= :day_ago", day_ago=to_ms(day_ago)),
        decisions={str(decision): number for decision, number in decided.items()},
        unparsed=unparsed,
        sources=sources,
        labels={str(label): number for label, number in _counts(part, "label", "AND label IS NOT NULL").items()},
        agents=agents,
        repeats=count - part.number("count(DISTINCT prompt_hash)"),
        near_repeats=count - part.number("count(DISTINCT shape_hash)"),
        mean_prompt_chars=round(prompt_chars / count),
        max_prompt_chars=max_prompt,
        mean_output_chars=round(output_chars / count),
        max_output_chars=max_output,
        counted=tokens[0],
        prompt_tokens=tokens[1],
        completion_tokens=tokens[2],
        too_long=tokens[3],
    )


def _counts(part: _Part, column: str, condition: str = "") -> dict[str | None, int]:
    """How many samples of a type have each value, the most frequent first."""
    rows = part.rows(f"{column}, count(*)", f"{condition} GROUP BY {column}")
    return {row[0]: row[1] for row in sorted(rows, key=lambda row: (-int(row[1]), str(row[0] or "")))}


def _who(part: _Part) -> tuple[dict[str, int], dict[str, int]]:
    """How many decisions of a type each source answered, and how many each agent had to take."""
    sources: Counter[str] = Counter()
    agents: Counter[str] = Counter()
    # An agent may change its name, and is called by the newest; who has no id is known by the name alone.
    name = "CASE WHEN agent_id IS NULL THEN agent_name END"
    groups = part.rows(f"agent_id, {name}, source, count(*), max(seq)", f"GROUP BY agent_id, {name}, source")
    for agent, _, source, count, seq in sorted(groups, key=lambda row: (row[0] or "", row[1] or "", row[2])):
        row = part.store.row("SELECT agent_name FROM samples WHERE seq = ?", (seq,))
        sources[source] += count
        agents[(row[0] if row else None) or agent or "unknown"] += count
    return dict(sources.most_common()), dict(agents.most_common())


def _days(part: _Part, zone: tzinfo | None) -> Iterator[tuple[date, int]]:
    """The days with decisions of a type, each with their count; a gap of years costs no more than one of a day."""
    start = _FIRST
    while True:
        first = part.row("min(created_at)", "AND created_at >= :start", start=start)
        if first is None or first[0] is None:
            return
        day, start = _day(from_ms(first[0]), zone)
        yield (
            day,
            part.number("count(*)", "AND created_at >= :first AND created_at < :start", first=first[0], start=start),
        )


def _day(at: datetime, zone: tzinfo | None) -> tuple[date, int]:
    """The day a moment falls on where the operator lives, and the stored time at which the next one begins."""
    try:
        day = at.astimezone(zone).date()
        return day, to_ms(midnight(day + timedelta(days=1), zone))
    except (OverflowError, ValueError, OSError):  # the first or last days a calendar knows
        return at.date(), to_ms(at) + 1
