"""Evaluations: what was asked of which models, what they answered, and what came of it.

Answers are kept as they come, so one that broke off goes on where it was, and a later one asks nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime

from reasoning_cli.store.database import Row, Store
from reasoning_cli.store.samples.exports import NumberSet
from reasoning_cli.store.timestamps import from_ms, to_ms


@dataclass(frozen=True)
class EvaluationRecord:
    """One evaluation. `arguments` are what was typed, in one form; `fingerprint` tells its data from others.

    `plan` is what it takes to go on, `report` the result once it is finished, both as JSON holds them. Of the models
    (place, name, identity) the first stands for the answers of the log.
    """

    number: int
    model_type: str
    arguments: str
    started_at: datetime
    finished_at: datetime | None
    fingerprint: str
    plan: Mapping[str, object]
    report: Mapping[str, object] | None


@dataclass(frozen=True)
class AnswerRecord:
    """What one model (`place`) answered to one decision (`item`: its number in the log, or in a file its line).

    `scores` are the figures of this one answer; `differs` whether it decided otherwise than what is held to be right,
    None when that cannot be told. `failure` is why there is no valid answer.
    """

    place: int
    item: int
    sample_seq: int | None
    differs: bool | None
    latency_ms: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_micros: int | None
    failure: str | None
    output: str
    scores: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Disagreement:
    """A decision on which a model and what is held to be right differ: the sample's id (or the line of a file), what
    is right and what each model decided, by its name."""

    item: int
    sample_id: str | None
    truth: str | None
    decided: Mapping[str, str | None]


_COLUMNS = tuple(field.name for field in fields(EvaluationRecord))
_ANSWER = tuple(field.name for field in fields(AnswerRecord))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM evaluations"
_INSERT = (
    f"INSERT INTO evaluation_answers(evaluation, {', '.join(_ANSWER)}) VALUES (?, {', '.join('?' * len(_ANSWER))})"
    " ON CONFLICT DO NOTHING"
)


class Evaluations:
    """The evaluations in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self,
        model_type: str,
        *,
        arguments: str,
        fingerprint: str,
        plan: Mapping[str, object],
        items: NumberSet,
        models: Sequence[tuple[str, str]],
        at: datetime,
    ) -> EvaluationRecord:
        """Remember an evaluation before anything is asked; one of the same arguments that is not finished gives way."""
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM evaluations WHERE arguments = ? AND finished_at IS NULL", (arguments,))
            number = connection.execute(
                "INSERT INTO evaluations(model_type, arguments, started_at, fingerprint, plan, items)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (model_type, arguments, to_ms(at), fingerprint, _json(plan), items.packed()),
            ).lastrowid
            connection.executemany(
                "INSERT INTO evaluation_models(evaluation, place, name, identity) VALUES (?, ?, ?, ?)",
                [(number, place, name, identity) for place, (name, identity) in enumerate(models)],
            )
        begun = self.get(int(number or 0))
        assert begun is not None
        return begun

    def finish(self, number: int, report: Mapping[str, object], *, at: datetime) -> None:
        """Keep what came of it."""
        self._store.write(
            "UPDATE evaluations SET report = ?, finished_at = ? WHERE number = ?", (_json(report), to_ms(at), number)
        )

    def get(self, number: int) -> EvaluationRecord | None:
        return self._first("WHERE number = ?", number)

    def going(self, arguments: str) -> EvaluationRecord | None:
        """The one of these arguments that is not finished."""
        return self._first("WHERE arguments = ? AND finished_at IS NULL", arguments)

    def finished(self, arguments: str, fingerprint: str) -> EvaluationRecord | None:
        """The newest of these arguments and this data."""
        return self._first(
            "WHERE arguments = ? AND fingerprint = ? AND finished_at IS NOT NULL ORDER BY number DESC LIMIT 1",
            arguments,
            fingerprint,
        )

    def latest(self, model_type: str, model: str, server: str | None = None) -> EvaluationRecord | None:
        """The newest finished one of a type that a model took part in, by the name it is served or was asked for under,
        or by the id of the model or its deployment; with the address of a `server`, as that one serves it."""
        is_known_by = "? IN (SELECT value FROM json_each(m.identity))"
        return self._first(
            "WHERE model_type = ? AND finished_at IS NOT NULL AND EXISTS(SELECT 1 FROM evaluation_models AS m"
            f" WHERE m.evaluation = evaluations.number AND m.place > 0 AND (m.name = ? OR {is_known_by})"
            f"{'' if server is None else f' AND {is_known_by}'}) ORDER BY finished_at DESC, number DESC LIMIT 1",
            *(model_type, model, model),
            *(() if server is None else (server,)),
        )

    def all(self, model_type: str | None = None) -> list[EvaluationRecord]:
        """Every one, or those of a type, newest first."""
        where, parameters = ("WHERE model_type = ?", (model_type,)) if model_type else ("", ())
        return [_record(row) for row in self._store.rows(f"{_SELECT} {where} ORDER BY number DESC", parameters)]

    def items(self, number: int) -> NumberSet:
        """What it is about: numbers of samples, or lines of a file."""
        row = self._store.row("SELECT items FROM evaluations WHERE number = ?", (number,))
        return NumberSet.unpacked(row["items"]) if row is not None else NumberSet()

    # --- answers ---

    def keep(self, number: int, answers: Sequence[AnswerRecord]) -> None:
        """Write answers down, in one transaction; what is there already stays. Those of samples that were deleted
        meanwhile go with them."""
        there = self._there([answer.sample_seq for answer in answers if answer.sample_seq is not None])
        rows = [
            (number, *(_stored(answer, name) for name in _ANSWER))
            for answer in answers
            if answer.sample_seq is None or answer.sample_seq in there
        ]
        self._store.write_many(_INSERT, rows)

    def answered(self, number: int, place: int) -> NumberSet:
        """The items that a model has answered already."""
        found = NumberSet()
        found.update(
            row[0]
            for row in self._store.rows(
                "SELECT item FROM evaluation_answers WHERE evaluation = ? AND place = ?", (number, place)
            )
        )
        return found

    def answers(self, number: int) -> Iterator[list[AnswerRecord]]:
        """All answers, those to one item together, by place."""
        group: list[AnswerRecord] = []
        for row in self._store.rows(
            f"SELECT {', '.join(_ANSWER)} FROM evaluation_answers WHERE evaluation = ? ORDER BY item, place", (number,)
        ):
            answer = _answer(row)
            if group and group[0].item != answer.item:
                yield group
                group = []
            group.append(answer)
        if group:
            yield group

    def earlier(self, identity: str, numbers: Sequence[int]) -> dict[int, AnswerRecord]:
        """What a model of this identity answered in other evaluations to samples with these numbers, newest first."""
        found: dict[int, AnswerRecord] = {}
        for row in self._store.rows(
            f"SELECT {', '.join(f'a.{name}' for name in _ANSWER)} FROM json_each(?) AS wanted"
            " CROSS JOIN evaluation_answers AS a ON a.sample_seq = wanted.value"
            " JOIN evaluation_models AS m ON m.evaluation = a.evaluation AND m.place = a.place"
            " WHERE m.identity = ? AND a.place > 0 AND a.latency_ms IS NOT NULL ORDER BY a.number",
            (json.dumps(list(numbers)), identity),
        ):
            answer = _answer(row)
            found[answer.item] = answer
        return found

    def disagreements(self, number: int, limit: int = -1) -> list[Disagreement]:
        """Decisions on which any of the models asked differs from what is held to be right, oldest first."""
        names = {
            row["place"]: row["name"]
            for row in self._store.rows("SELECT place, name FROM evaluation_models WHERE evaluation = ?", (number,))
        }
        found: dict[int, Disagreement] = {}
        for row in self._store.rows(
            "SELECT a.item, a.place, a.scores, s.id FROM evaluation_answers AS a"
            " LEFT JOIN samples AS s ON s.seq = a.sample_seq"
            " WHERE a.evaluation = :number AND a.item IN (SELECT DISTINCT item FROM evaluation_answers"
            " WHERE evaluation = :number AND differs = 1 AND place > 0 ORDER BY item LIMIT :limit)"
            " ORDER BY a.item, a.place",
            {"number": number, "limit": limit},
        ):
            scores = json.loads(row["scores"])
            disagreement = found.setdefault(row["item"], Disagreement(row["item"], row["id"], scores.get("truth"), {}))
            disagreement.decided[names.get(row["place"], "?")] = scores.get("decided")  # type: ignore[index]
        return list(found.values())

    def disagreeing(self, number: int) -> list[str]:
        """The ids of the samples that `disagreements` tells of."""
        return [
            disagreement.sample_id for disagreement in self.disagreements(number) if disagreement.sample_id is not None
        ]

    def disagreement_count(self, number: int) -> int:
        """How many there are."""
        return self._store.number(
            "SELECT count(DISTINCT item) FROM evaluation_answers WHERE evaluation = ? AND differs = 1 AND place > 0",
            (number,),
        )

    def _there(self, numbers: Sequence[int]) -> set[int]:
        return {
            row[0]
            for row in self._store.rows(
                "SELECT seq FROM samples WHERE seq IN (SELECT value FROM json_each(?))", (json.dumps(list(numbers)),)
            )
        }

    def _first(self, tail: str, *parameters: str | int) -> EvaluationRecord | None:
        row = self._store.row(f"{_SELECT} {tail}", parameters)
        return _record(row) if row is not None else None


def _record(row: Row) -> EvaluationRecord:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["started_at"] = from_ms(values["started_at"])
    values["finished_at"] = None if values["finished_at"] is None else from_ms(values["finished_at"])
    values["plan"] = json.loads(values["plan"])
    values["report"] = None if values["report"] is None else json.loads(values["report"])
    return EvaluationRecord(**values)


def _answer(row: Row) -> AnswerRecord:
    values = dict(zip(_ANSWER, row, strict=True))
    values["differs"] = None if values["differs"] is None else bool(values["differs"])
    values["scores"] = json.loads(values["scores"])
    return AnswerRecord(**values)


def _stored(answer: AnswerRecord, name: str) -> str | int | None:
    value = getattr(answer, name)
    return _json(value) if name == "scores" else value


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)
