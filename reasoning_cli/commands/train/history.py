"""`train history`: which model answered when, trained on what, and why it came or went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from reasoning_cli.commands._shared.model_options import OneTypeArgument
from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import ReasoningError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import HEAD_PREFIX, MODEL_TYPES, is_head, parse_model_type, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.promote.history import Tenure
    from reasoning_cli.terminal.listing import Column


def history(
    ctx: typer.Context,
    model_type: OneTypeArgument = None,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Every model that answered or was on its way: when, how often, trained on what, judged how, and by whom."""
    from reasoning_cli.operations.deploy.heads import models_without_deployment
    from reasoning_cli.operations.promote.history import history
    from reasoning_cli.terminal.listing import Listing

    session = session_of(ctx)
    wanted = [parse_model_type(model_type)] if model_type is not None else list(MODEL_TYPES)
    found = history(session.store, wanted, models_without_deployment(session.settings))
    found = [_with_problem(session, tenure) for tenure in found]
    listing = Listing(history_columns(), found, id=lambda tenure: tenure.deployment_key or tenure.model)
    empty = "No model of yours has answered anything yet: `reasoning train promote TYPE` lets one in."
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet, empty=empty)


def _with_problem(session: Session, tenure: Tenure) -> Tenure:
    """Of a head in line, whether its file can be used."""
    from dataclasses import replace

    from reasoning_cli.operations.deploy.heads import load_head

    if not (tenure.now and is_head(tenure.model)):
        return tenure
    try:
        load_head(session.settings.paths, tenure.model.removeprefix(HEAD_PREFIX))
    except ReasoningError as error:
        return replace(tenure, problem=error.message)
    return tenure


def history_columns() -> list[Column[Tenure]]:
    """One row a model's time in a slot, or on its way there."""
    from reasoning_cli.terminal.listing import Column, Kind

    return [
        Column(
            "model_type",
            lambda tenure: tenure.model_type,
            "TYPE",
            text=lambda tenure: spell_model_type(tenure.model_type),
        ),
        Column("model", lambda tenure: tenure.model, "MODEL", gives_way=True),
        Column("from", lambda tenure: tenure.first, "FROM", text=_from, priority=3),
        Column("until", lambda tenure: tenure.last, "UNTIL", text=_until, priority=5),
        Column(
            "decisions",
            lambda tenure: tenure.decisions,
            "DECISIONS",
            text=lambda tenure: f"{tenure.decisions:,}",
            kind=Kind.NUMBER,
        ),
        Column("state", _state, "STATE", text=_state, kind=Kind.STATE, style=_style),
        Column("run", lambda tenure: tenure.run.number if tenure.run else None, "RUN", kind=Kind.NUMBER, priority=5),
        Column("evaluation", _judged, "JUDGED", text=_judged_text, priority=6),
        Column("deployment_key", lambda tenure: tenure.deployment_key),
        Column("job", lambda tenure: tenure.run.job_id if tenure.run else None),
        Column("manifest_sha256", lambda tenure: tenure.run.manifest_sha256 if tenure.run else None),
        Column("promotion", lambda tenure: tenure.promotion.number if tenure.promotion else None),
        Column("why", _why),
        Column("by", lambda tenure: tenure.promotion.by if tenure.promotion else None),
        Column("forced_by", lambda tenure: tenure.promotion.forced_by if tenure.promotion else None),
        Column("gate", lambda tenure: list(tenure.promotion.gate) if tenure.promotion else None),
    ]


def _from(tenure: Tenure) -> str:
    from reasoning_cli.terminal.units import moment

    return moment(tenure.first) if tenure.first else "–"


def _until(tenure: Tenure) -> str:
    from reasoning_cli.terminal.units import moment

    return "now" if tenure.now and tenure.last else moment(tenure.last) if tenure.last else "–"


def _state(tenure: Tenure) -> str:
    """How it came, or went."""
    promotion = tenure.promotion
    if tenure.problem is not None:
        return "unusable"
    if tenure.out_why is not None:
        return "taken out"
    if promotion is None and is_head(tenure.model):
        return "in line" if tenure.now else "was in line"
    if promotion is None:
        return "in the slot" if tenure.now else "was deployed"
    if promotion.rolled_back_at is not None:
        return "taken back"
    forced = ", forced" if promotion.forced_by else ""
    words = {"promoted": "promoted", "returned": "sent back", "left": "left", "planned": "begun"}
    return words.get(promotion.stage, "rolling out" if promotion.stage != "returning" else "going back") + forced


def _why(tenure: Tenure) -> str | None:
    return tenure.problem or tenure.out_why or (tenure.promotion.why if tenure.promotion is not None else None)


def _style(tenure: Tenure) -> str:
    promotion = tenure.promotion
    if tenure.problem is not None or tenure.out_why is not None:
        return "bad"
    if promotion is None or promotion.stage == "promoted":
        return "good" if tenure.now else "dim"
    if promotion.rolled_back_at is not None or promotion.stage == "returned":
        return "bad"
    return "dim" if promotion.stage == "left" else "going"


def _judged(tenure: Tenure) -> dict[str, object] | None:
    found = tenure.evaluation
    if found is None:
        return None
    figure = None if found.figure is None else vars(found.figure)
    return {"number": found.number, "metric": found.metric, "figure": figure}


def _judged_text(tenure: Tenure) -> str:
    found = tenure.evaluation
    if found is None or found.figure is None:
        return "–"
    return f"{found.figure.value * 100:.0f} % of {found.figure.count:,}"
