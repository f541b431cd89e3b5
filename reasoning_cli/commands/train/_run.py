"""What every command that carries a run out has in common: how it shows where the run stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from reasoning_cli.errors import ExitCode, ReasoningError
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session
    from reasoning_cli.store.train.runs import TrainingRun


def show_end(session: Session, run: TrainingRun, *, json: bool, hints: list[str]) -> None:
    """Where a run stands, with an exit code of 1 for one that failed."""
    from reasoning_cli.commands.train._views import trained_record
    from reasoning_cli.operations.train.trained import find_trained
    from reasoning_cli.store.train.runs import TrainingRuns
    from reasoning_cli.terminal.units import money

    terminal, name = session.terminal, spell_model_type(run.model_type)
    found = find_trained(session.store, str(run.number))
    if run.over:
        TrainingRuns(session.store).update(run.number, at=run.updated_at, seen_at=session.now())
    cost = "" if found.cents is None else f", {money(found.cents)}"
    if json:
        terminal.json(trained_record(found))
    elif run.stage == "done":
        terminal.say(f"Run {run.number} is done: {run.model_name or run.model_id} for {name}{cost}.")
        _remarks(session, run)
    elif run.stage == "training":
        terminal.say(f"Run {run.number} ({name}) trains at Together as {run.job_id}{cost}.")
    if run.stage in ("failed", "cancelled"):
        error = ReasoningError(f"run {run.number} ({name}) {run.stage}{cost}: {run.problem}", "; ".join(hints) or None)
        terminal.error(error)
        raise typer.Exit(ExitCode.FAILED)
    if not json:
        for hint in hints:
            terminal.hint(hint)


def _remarks(session: Session, run: TrainingRun) -> None:
    """What should be known of a model before it serves: what it cannot do, and what its slot is now."""
    from reasoning_cli.operations.train.plan import other_form, slot_model

    if run.problem:
        session.terminal.warn(run.problem)
    trained, asked = str(run.plan.get("prompt_form")), slot_form(session, run.model_type)
    if trained != asked:
        session.terminal.warn(other_form(run.model_type, trained, asked))
    before, now = run.plan.get("slot_model"), slot_model(session.store, run.model_type)
    if "slot_model" in run.plan and before != now:
        name = spell_model_type(run.model_type)
        session.terminal.note(
            f"The slot of {name} changed meanwhile: from {before or 'nothing'} to {now or 'nothing'}."
        )


def slot_form(session: Session, model_type: str) -> str:
    """The form of the prompts that a slot asks in."""
    from reasoning_cli import settings as s

    return str(session.settings.get(s.PROMPT_FORM[model_type]))
