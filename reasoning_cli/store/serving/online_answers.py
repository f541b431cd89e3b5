"""What models of ours were asked in live traffic: as the agent's answer, in vain, or beside another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import from_ms, to_ms


@dataclass(frozen=True)
class LiveAnswer:
    """One decision that a model of ours was asked for, and what came of it.

    `deployment_key` is None for a model that is served elsewhere, and for answers of before it was kept. `got`: the
    agent got this answer. `agrees`: it decided as what the agent got instead, which `source` answered. `prompt` and
    `output` are there where `corrected` is: the answer a person put in the place of what the agent got.
    """

    sample_id: str
    at: datetime
    model: str
    deployment_key: str | None
    got: bool
    failure: str | None
    agrees: bool | None
    latency_ms: int | None
    source: str
    label: str | None
    other_deployment: str | None = None
    other_latency_ms: int | None = None
    corrected: str | None = None
    prompt: str | None = None
    output: str | None = None
    agent_got: str | None = None


_TEXTS = (
    "CASE WHEN s.label='corrected' THEN s.corrected END, CASE WHEN s.label='corrected' THEN s.prompt END,"
    " CASE WHEN s.label='corrected' THEN {output} END, CASE WHEN s.label='corrected' THEN s.output END"
)
_GOT = (
    "SELECT s.id, s.created_at, s.model, json_extract(s.metadata, '$.deployment'), 1, NULL, NULL, s.latency_ms,"
    f" s.source, s.label, NULL, NULL, {_TEXTS.format(output='s.output')} FROM samples AS s"
    " WHERE s.model_type=:type AND s.created_at>=:since AND s.created_at<:until AND s.source='slot'"
    " ORDER BY s.created_at"
)
_TRIED = (
    "SELECT s.id, a.at, a.model, a.deployment_key, 0, a.failure, a.agrees, a.latency_ms, s.source, s.label,"
    f" json_extract(s.metadata, '$.deployment'), s.latency_ms, {_TEXTS.format(output='a.output')}"
    " FROM attempts AS a JOIN samples AS s ON s.id=a.sample_id"
    " WHERE a.model_type=:type AND a.at>=:since AND a.at<:until ORDER BY a.at"
)


def live_answers(store: Store, model_type: str, since: datetime, until: datetime) -> Iterator[LiveAnswer]:
    """Everything models of ours were asked for decisions of a type, since <= at < until; those the agent got first."""
    span: dict[str, str | int | float | bytes | None] = {
        "type": model_type,
        "since": to_ms(since),
        "until": to_ms(until),
    }
    for query in (_GOT, _TRIED):
        for row in store.rows(query, span):
            sample_id, at, model, key, got, failure, agrees, *rest = row
            yield LiveAnswer(
                sample_id, from_ms(at), model, key, bool(got), failure, None if agrees is None else bool(agrees), *rest
            )


@dataclass(frozen=True)
class Served:
    """What the agents got of one deployment: how many answers, and when the first and the last."""

    deployment_key: str | None
    model: str
    decisions: int
    first: datetime
    last: datetime


def served(store: Store, model_type: str) -> list[Served]:
    """Every model whose answers the agents got, by deployment, the first answer first.

    Of a log in which slots answered little only that little is read: `coalesce` keeps SQLite from the index by type.
    """
    return [
        Served(key, model, count, from_ms(first), from_ms(last))
        for key, model, count, first, last in store.rows(
            "SELECT json_extract(metadata, '$.deployment') AS key, model, count(*), min(created_at), max(created_at)"
            " FROM samples WHERE coalesce(model_type, '')=? AND source='slot'"
            " GROUP BY key, model ORDER BY min(created_at)",
            (model_type,),
        )
    ]


def labels_of_original(store: Store, model_type: str, since: datetime, until: datetime) -> tuple[int, int]:
    """(called good, labelled) of the original's answers, since <= at < until."""
    row = store.row(
        "SELECT coalesce(sum(CASE WHEN label='good' THEN 1 ELSE 0 END), 0), count(*) FROM samples"
        " WHERE model_type=? AND label IS NOT NULL"
        " AND created_at>=? AND created_at<? AND source<>'slot'",
        (model_type, to_ms(since), to_ms(until)),
    )
    return (int(row[0]), int(row[1])) if row is not None else (0, 0)


def decisions_since(store: Store, model_type: str, since: datetime, until: datetime) -> int:
    """How many decisions of a type came in, whoever answered."""
    return store.number(
        "SELECT count(*) FROM samples WHERE model_type=? AND created_at>=? AND created_at<?",
        (model_type, to_ms(since), to_ms(until)),
    )
