"""Look at decisions: pages of them, single ones by how their id begins, and what one says to a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reasoning_cli.decisions.answers import InvalidAnswer, decision_of, parse_answer, read_answer
from reasoning_cli.decisions.prompts import received_message
from reasoning_cli.decisions.reading import Parts, message_of, parts_of, talk_of
from reasoning_cli.decisions.turns import lines_of
from reasoning_cli.errors import NotFoundError, UsageError
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.labels import LabelRecord, Labels
from reasoning_cli.store.samples.listing import TAIL_CHARS, Pages, SampleRow
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples

# Below that an id in a table looks like a number.
_SHORTEST_ID = 8


@dataclass(frozen=True)
class Page:
    """Some decisions, newest first. `more`: there are others behind them. `id_chars` of an id tell it from all."""

    rows: Sequence[SampleRow]
    more: bool
    id_chars: int


@dataclass(frozen=True)
class Look:
    """One decision as a person reads it.

    `talk` are the lines of the conversation before `message`. `problem` says why the answer cannot be used; `parts`
    is then empty. `corrected` is what a person put in its place, in parts too. `changes` are newest first.
    """

    sample: Sample
    message: str
    talk: tuple[str, ...]
    parts: Parts
    problem: str | None
    corrected: Parts
    changes: Sequence[LabelRecord]


def page_of(store: Store, wanted: SampleFilter, *, after: str | None, limit: int) -> Page:
    """The newest `limit` samples, those behind the id `after`. NotFoundError for an unknown id."""
    pages = Pages(store)
    behind = find_sample(store, after).seq if after is not None else None
    rows = pages.page(wanted, after=behind, limit=limit + 1)
    shown = [_with_whole_prompt(store, row) for row in rows[:limit]]
    length = max((pages.distinct_length(row.id) for row in shown), default=0)
    return Page(shown, len(rows) > len(shown), max(_SHORTEST_ID, length))


def _with_whole_prompt(store: Store, row: SampleRow) -> SampleRow:
    """The row with its whole prompt, if it is about a message longer than what was read of it."""
    tail = row.tail or ""
    if len(tail) < TAIL_CHARS or row.model_type == "coding" or received_message(tail) is not None:
        return row
    whole = Samples(store).get(row.id)
    return row if whole is None else replace(row, tail=whole.prompt)


def ids_of(store: Store, wanted: SampleFilter, *, after: str | None, limit: int) -> Iterator[str]:
    """The ids of the same, one at a time however many there are."""
    behind = find_sample(store, after).seq if after is not None else None
    return Pages(store).ids(wanted, after=behind, limit=limit)


def find_sample(store: Store, typed: str) -> Sample:
    """The sample with this id or the only one whose id begins so."""
    sample = Samples(store).get(whole_id(store, typed))
    if sample is None:  # deleted since
        raise _unknown(typed)
    return sample


def whole_id(store: Store, typed: str) -> str:
    """The id that was typed whole or in part. NotFoundError for none, UsageError for several."""
    prefix = typed.strip()
    found = Pages(store).ids_like(prefix, 4) if prefix.isprintable() and prefix else []
    if not found:
        raise _unknown(typed)
    if found[0] != prefix and len(found) > 1:
        raise UsageError(
            f"`{typed}` begins more than one id: {', '.join(found[:3])}{', …' if len(found) > 3 else ''}",
            "type more of it",
        )
    return found[0]


def newest_sample(store: Store, wanted: SampleFilter) -> Sample:
    """The newest of those wanted."""
    rows = Pages(store).page(wanted, limit=1, with_tail=False)
    sample = Samples(store).get(rows[0].id) if rows else None
    if sample is None:
        raise NotFoundError("there is no decision yet", "take in what your agent decided: `reasoning data import FILE`")
    return sample


def look_at(store: Store, sample: Sample) -> Look:
    """Take one decision apart."""
    answer = read_answer(sample.model_type, sample.prompt, sample.output)
    parts = () if isinstance(answer, InvalidAnswer) else parts_of(answer)
    problem = answer.reason if isinstance(answer, InvalidAnswer) else None
    if sample.cut is not None:
        parts, problem = (), f"it was cut ({sample.cut})"
    elif calls := sample.metadata.get("tool_calls"):
        parts, problem = (*parts, *_called(calls)), None
    message = message_of(sample.model_type, sample.prompt)
    talk = lines_of(sample.conversation) if sample.model_type == "coding" else talk_of(sample.prompt)
    return Look(
        sample=sample,
        message=message,
        talk=talk if sample.model_type == "coding" else _before(talk, message),
        parts=parts,
        problem=problem,
        corrected=_corrected(sample),
        changes=Labels(store).history(sample.id),
    )


def _called(calls: object) -> Parts:
    """An answer's calls of tools as parts."""
    known = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return tuple((f"calls {call.get('name')}", str(call.get("arguments"))) for call in known)


def corrected_decision(row: SampleRow) -> str | None:
    """What a person decided instead; None where nobody did."""
    answer = parse_answer(row.model_type, row.corrected) if row.corrected is not None else None
    return None if answer is None or isinstance(answer, InvalidAnswer) else decision_of(answer)


def _corrected(sample: Sample) -> Parts:
    if sample.corrected is None:
        return ()
    answer = parse_answer(sample.model_type, sample.corrected)
    return (("answer", sample.corrected),) if isinstance(answer, InvalidAnswer) else parts_of(answer)


def _before(talk: tuple[str, ...], message: str) -> tuple[str, ...]:
    """The conversation without its last message, which the decision is about."""
    lines = [line for line in message.splitlines() if line.strip()]
    tail = talk[len(talk) - len(lines) :] if lines else ()
    if tail and all(mine.strip().endswith(line.strip()) for mine, line in zip(tail, lines, strict=False)):
        return talk[: len(talk) - len(lines)]
    return talk


def _unknown(typed: str) -> NotFoundError:
    return NotFoundError(f"no decision has the id `{typed}`", "see them with `reasoning data list`")
