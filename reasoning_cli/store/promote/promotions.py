"""Promotions: how far each model has come into its slot, what the slot was before, and why a model stayed or went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Literal

from reasoning_cli.store.database import Row, Store, Value
from reasoning_cli.store.timestamps import from_ms, to_ms

Stage = Literal["planned", "watching", "finishing", "returning", "promoted", "returned", "left"]
# In these the model has traffic, or is on its way out: whoever looks next goes on from there.
WATCHED: tuple[Stage, ...] = ("watching", "finishing", "returning")


@dataclass(frozen=True)
class Promotion:
    """One promotion. `plan` is what was agreed to, `before` the slot's settings as they were, both as JSON holds them.

    `model_key` is the candidate's deployment, None until it is up; `old_key` the one that answered until then, None
    where the original did. `step` counts the shares of the plan, `step_at` is when that one began, None until it has.
    `gate` is what was held against what, `forced_by` who went on all the same. `why` says how it ended, or why it is
    going back.
    """

    number: int
    model_type: str
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    stage: Stage
    model: str
    by: str
    plan: Mapping[str, object] = field(default_factory=dict)
    before: Mapping[str, object] = field(default_factory=dict)
    gate: Sequence[object] = ()
    model_key: str | None = None
    old_key: str | None = None
    run: int | None = None
    evaluation: int | None = None
    forced_by: str | None = None
    step: int = 0
    step_at: datetime | None = None
    rolled_back_at: datetime | None = None
    why: str | None = None

    @property
    def percent(self) -> int:
        """The share of its step; 0 is a shadow."""
        steps = self.plan.get("steps")
        return int(steps[self.step]) if isinstance(steps, list) else 0

    @property
    def server(self) -> str | None:
        """Where another engine than Together serves the candidate, empty where that has no address; None of a model at
        Together, and of a head."""
        address = self.plan.get("server")
        return None if address is None else str(address)


_COLUMNS = tuple(field.name for field in fields(Promotion))
_TIMES = ("started_at", "updated_at", "finished_at", "step_at", "rolled_back_at")
_JSON = ("plan", "before", "gate")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM promotions"


class Promotions:
    """The promotions in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, model_type: str, model: str, *, by: str, at: datetime, **values: object) -> Promotion:
        """Remember a promotion before anything is done for it. Where one of this type goes on, that one is returned:
        the caller tells by its model whether it is the one it meant."""
        given = {"model_type": model_type, "model": model, "by": by, "started_at": at, "updated_at": at, **values}
        given.setdefault("stage", "planned")
        if (going := self.going(model_type)) is not None:  # a row that conflicts would use up a number
            return going
        self._store.write(
            f"INSERT INTO promotions({', '.join(given)}) VALUES ({', '.join(f':{name}' for name in given)})"
            " ON CONFLICT DO NOTHING",
            {name: _stored(value) for name, value in given.items()},
        )
        begun = self.going(model_type)
        assert begun is not None
        return begun

    def update(self, number: int, *, at: datetime, **changes: object) -> Promotion:
        """Write down what changed, named as in `Promotion`, together or not at all."""
        values = {**changes, "updated_at": at}
        self._store.write(
            f"UPDATE promotions SET {', '.join(f'{name}=:{name}' for name in values)} WHERE number=:number",
            {**{name: _stored(value) for name, value in values.items()}, "number": number},
        )
        changed = self.get(number)
        assert changed is not None
        return changed

    def get(self, number: int) -> Promotion | None:
        return self._first("number=?", number)

    def going(self, model_type: str) -> Promotion | None:
        """The one of a type that is not finished."""
        return self._first("model_type=? AND finished_at IS NULL", model_type)

    def latest(self, model_type: str) -> Promotion | None:
        """The newest of a type, however it stands."""
        return self._first("model_type=?", model_type)

    def all(self, model_type: str | None = None) -> list[Promotion]:
        """Every one, or those of a type, oldest first."""
        where, parameters = ("WHERE model_type=?", (model_type,)) if model_type else ("", ())
        return [_promotion(row) for row in self._store.rows(f"{_SELECT} {where} ORDER BY number", parameters)]

    def _first(self, where: str, *parameters: Value) -> Promotion | None:
        row = self._store.row(f"{_SELECT} WHERE {where} ORDER BY number DESC LIMIT 1", parameters)
        return _promotion(row) if row is not None else None


def _promotion(row: Row) -> Promotion:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _TIMES:
        values[name] = None if values[name] is None else from_ms(values[name])
    for name in _JSON:
        values[name] = json.loads(values[name])
    return Promotion(**values)


def _stored(value: object) -> Value:
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    assert value is None or isinstance(value, str | int)
    return value
