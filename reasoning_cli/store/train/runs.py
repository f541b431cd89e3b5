"""Training runs: how far each has come from the log to a model, kept so that whoever comes next goes on from there."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal

from reasoning_cli.store.audit_log import Event, insert_event
from reasoning_cli.store.database import Row, Store, Value
from reasoning_cli.store.samples.exports import Exported, NumberSet, insert_export
from reasoning_cli.store.timestamps import from_ms, to_ms
from reasoning_cli.values import HEAD, TOGETHER

Stage = Literal["planned", "exported", "uploaded", "validated", "training", "done", "failed", "cancelled"]

ENDS: tuple[Stage, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class TrainingRun:
    """One run. `stage` is the last that is complete; `plan` is what it takes to go on, as JSON holds it.

    `base` is the model (or, `from_job` in the plan, the job) it starts from. `suffix` is the name of the job, known
    once there is a manifest. `problem` is why it stopped or failed; `seen_at` when its end was shown to somebody.
    """

    number: int
    model_type: str
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    stage: Stage
    base: str
    method: str
    plan: Mapping[str, object] = field(default_factory=dict)
    manifest: str | None = None
    manifest_sha256: str | None = None
    train_sha256: str | None = None
    validation_sha256: str | None = None
    training_file_id: str | None = None
    validation_file_id: str | None = None
    suffix: str | None = None
    job_id: str | None = None
    job_status: str | None = None
    model_id: str | None = None
    model_name: str | None = None
    adapter_id: str | None = None
    adapter_name: str | None = None
    problem: str | None = None
    seen_at: datetime | None = None

    @property
    def over(self) -> bool:
        return self.stage in ENDS

    @property
    def engine(self) -> str:
        """Who trained: Together, the operator's own trainer, somebody by hand whose model was adopted, or this process
        a head."""
        return HEAD if self.method == HEAD else str(self.plan.get("engine", TOGETHER))

    @property
    def seed(self) -> int:
        """What its files were drawn and redacted by."""
        export: Any = self.plan["export"]
        return int(export["seed"])


_COLUMNS = tuple(field.name for field in fields(TrainingRun))
_TIMES = ("started_at", "updated_at", "finished_at", "seen_at")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM training_runs"


class TrainingRuns:
    """The training runs in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self, model_type: str, *, base: str, method: str, plan: Mapping[str, object], at: datetime
    ) -> TrainingRun:
        """Remember a run before anything is done for it. Where one of this type goes on, that one: there is one a time.

        The caller tells by the plan whether it is the one it meant.
        """
        if (going := self.going(model_type)) is not None:  # a row that conflicts would use up a number
            return going
        self._store.write(
            "INSERT INTO training_runs(model_type, started_at, updated_at, stage, base, method, plan)"
            " VALUES (?, ?, ?, 'planned', ?, ?, ?) ON CONFLICT DO NOTHING",
            (model_type, to_ms(at), to_ms(at), base, method, _json(plan)),
        )
        begun = self.going(model_type)
        assert begun is not None
        return begun

    def add_done(
        self,
        model_type: str,
        model_name: str,
        *,
        at: datetime,
        event: Event,
        files: Sequence[Exported] = (),
        **values: object,
    ) -> TrainingRun:
        """Keep a run that is whole already, with its model, the files it was trained on and the event that says so,
        which gets its number: all of it or nothing. `values` are named as in `TrainingRun`."""
        given = {
            "model_type": model_type,
            "model_name": model_name,
            "started_at": at,
            "updated_at": at,
            "finished_at": at,
            "stage": "done",
            **values,
        }
        with self._store.transaction() as connection:
            for file in files:
                insert_export(connection, file, at)
            number = connection.execute(
                f"INSERT INTO training_runs({', '.join(given)}) VALUES ({', '.join(f':{column}' for column in given)})",
                {column: _stored(value) for column, value in given.items()},
            ).lastrowid
            insert_event(connection, replace(event, detail={"run": number, **event.detail}))
        added = self.get(number or 0)
        assert added is not None
        return added

    def update(self, number: int, *, at: datetime, **changes: object) -> TrainingRun:
        """Write down what changed, named as in `TrainingRun`, together or not at all; the run as it then is.

        One that is over stays so: what would move it to another stage is not written.
        """
        values = {**changes, "updated_at": at}
        self._store.write(
            f"UPDATE training_runs SET {', '.join(f'{name}=:{name}' for name in values)} WHERE number=:number"
            + (" AND finished_at IS NULL" if "stage" in changes else ""),
            {**{name: _stored(value) for name, value in values.items()}, "number": number},
        )
        run = self.get(number)
        assert run is not None
        return run

    def end(self, number: int, *, at: datetime, stage: str, **changes: object) -> bool:
        """End a run, with what changed; whether it was not over before: of two that see the end, one did it."""
        values = {**changes, "stage": stage, "finished_at": at, "updated_at": at}
        changed = self._store.write(
            f"UPDATE training_runs SET {', '.join(f'{name}=:{name}' for name in values)}"
            " WHERE number=:number AND finished_at IS NULL",
            {**{name: _stored(value) for name, value in values.items()}, "number": number},
        )
        return changed > 0

    def get(self, number: int) -> TrainingRun | None:
        return self._first("number=?", (number,))

    def going(self, model_type: str) -> TrainingRun | None:
        """The run of a type that is not over."""
        return self._first("model_type=? AND finished_at IS NULL", (model_type,))

    def latest(self, model_type: str) -> TrainingRun | None:
        """The newest run of a type, however it stands."""
        return self._first("model_type=?", (model_type,))

    def all(self, model_type: str | None = None) -> list[TrainingRun]:
        """Every run, or those of one type, oldest first."""
        where, parameters = ("WHERE model_type=?", (model_type,)) if model_type else ("", ())
        return [_run(row) for row in self._store.rows(f"{_SELECT} {where} ORDER BY number", parameters)]

    def of_model(self, name: str) -> TrainingRun | None:
        """The run that made a model, by the model's or adapter's id or name (with or without slug), or by the job."""
        bare = name.rpartition("/")[2]
        return self._first(
            ":name IN (job_id, suffix, model_id, model_name, adapter_id, adapter_name) OR suffix=:bare"
            " OR substr(model_name, length(model_name) - length(:bare)) = '/' || :bare"
            " OR substr(adapter_name, length(adapter_name) - length(:bare)) = '/' || :bare",
            {"name": name, "bare": bare},
        )

    def of_files(self, hashes: Collection[str]) -> list[TrainingRun]:
        """The runs that trained on files with these hashes, or checked with them."""
        return [run for run in self.all() if {run.train_sha256, run.validation_sha256} & {*hashes} - {None}]

    def trained_on(self, number: int, side: Literal["train", "validation"] = "train") -> NumberSet | None:
        """The samples a run's file holds, by number; None for a run that has no file yet."""
        run = self.get(number)
        sha256 = None if run is None else run.train_sha256 if side == "train" else run.validation_sha256
        if sha256 is None:
            return None
        row = self._store.row("SELECT samples FROM exports WHERE sha256=? ORDER BY number DESC LIMIT 1", (sha256,))
        return NumberSet.unpacked(row["samples"]) if row is not None else None

    def _first(self, where: str, parameters: Sequence[Value] | Mapping[str, Value]) -> TrainingRun | None:
        row = self._store.row(f"{_SELECT} WHERE {where} ORDER BY number DESC LIMIT 1", parameters)
        return _run(row) if row is not None else None


def _run(row: Row) -> TrainingRun:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _TIMES:
        values[name] = None if values[name] is None else from_ms(values[name])
    values["plan"] = json.loads(values["plan"])
    return TrainingRun(**values)


def _stored(value: object) -> Value:
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, Mapping):
        return _json(value)
    assert value is None or isinstance(value, str | int)
    return value


def _json(plan: Mapping[str, object]) -> str:
    return json.dumps(plan, ensure_ascii=False)
