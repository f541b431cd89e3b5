"""`train start --engine command`: the operator's own trainer, followed."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.errors import ExitCode, UsageError
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session
    from reasoning_cli.operations.train.command.run import CommandPlan
    from reasoning_cli.operations.train.plan import TrainRequest
    from reasoning_cli.store.train.runs import TrainingRun


def start_command(
    session: Session,
    request: TrainRequest,
    command: str | None,
    going: TrainingRun | None,
    timeout_minutes: float | None,
    *,
    again: bool,
    keep_files: bool,
    detach: bool,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Plan it, ask, export, run the trainer and follow it; or go on with the run that does so already."""
    from reasoning_cli.commands.train._views import going_facts, trained_record
    from reasoning_cli.operations.train.trained import find_trained

    if going is not None and dry_run:
        record = trained_record(find_trained(session.store, str(going.number)))
        show_dry_run(session.terminal, going_facts(going), record, json=json)
        return
    if going is not None:
        session.terminal.note(f"Run {going.number} goes on ({going.stage}).")
        follow_trainer(session, going, json=json, keep_files=keep_files, detach=detach)
        return
    timeout = None if timeout_minutes is None else timedelta(minutes=timeout_minutes)
    plan = _plan(session, request, command or "", timeout)
    for warning in plan.warnings:
        session.terminal.warn(warning)
    if dry_run:
        show_dry_run(session.terminal, _facts(plan), _record(plan), json=json)
        return
    run = _begin(session, plan, again=again, yes=yes, json=json)
    if run is not None:
        follow_trainer(session, run, json=json, keep_files=keep_files, detach=detach)


def follow_trainer(
    session: Session,
    run: TrainingRun,
    *,
    json: bool,
    keep_files: bool = False,
    detach: bool = False,
    only_watch: bool = False,
) -> None:
    """Bring a run to its end, showing what its trainer says. Ctrl-C stops the trainer, but for one who only watches."""
    from reasoning_cli.commands._shared.training_context import training_context
    from reasoning_cli.commands.train._run import show_end
    from reasoning_cli.commands.train._views import next_commands, progress_texts
    from reasoning_cli.operations.train.command.run import (
        advance_command,
        follow_command,
        stop_command,
        without_secrets,
    )
    from reasoning_cli.terminal.progress import waiting

    terminal, context = session.terminal, replace(training_context(session), keep_files=keep_files)
    try:
        with waiting(terminal, f"run {run.number}") as shown:
            context = replace(context, notify=lambda progress: shown.show(*progress_texts(progress)))
            if not only_watch:
                run = advance_command(session.store, run, context, without_secrets(os.environ))
            if not detach:
                run = follow_command(session.store, run, context)
    except KeyboardInterrupt:
        name = spell_model_type(run.model_type)
        if only_watch:
            terminal.note(f"Stopped watching. The trainer of run {run.number} ({name}) goes on.")
        else:
            run = stop_command(session.store, run, context)
            terminal.note(f"Interrupted. The trainer of run {run.number} ({name}) is stopped; what it wrote stays.")
        for hint in next_commands(run):
            terminal.hint(hint)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    show_end(session, run, json=json, hints=next_commands(run))


def _plan(session: Session, request: TrainRequest, command: str, timeout: timedelta | None) -> CommandPlan:
    from reasoning_cli.operations.train.command.run import plan_command
    from reasoning_cli.terminal.progress import Pace, waiting

    if timeout is not None and not timeout:
        raise UsageError("--timeout-minutes 0 leaves no time", "leave it away for no limit")
    with waiting(session.terminal, "looking at the log") as shown:
        pace = Pace()
        return plan_command(
            session.store,
            request,
            command,
            at=Path.cwd(),
            timeout=timeout,
            now=session.now(),
            on_progress=lambda count, total: shown.show("looking at the log", pace.of(count, total, "samples")),
        )


def _begin(session: Session, plan: CommandPlan, *, again: bool, yes: bool, json: bool) -> TrainingRun | None:
    """A new run, once it is agreed to; None when there is nothing new to train on."""
    from reasoning_cli.commands.train._run import show_end
    from reasoning_cli.commands.train._views import next_commands
    from reasoning_cli.operations.train.command.run import begin_command, is_same_again
    from reasoning_cli.store.train.runs import TrainingRuns

    last = TrainingRuns(session.store).latest(plan.request.model_type)
    if last is not None and last.stage == "done" and not again and is_same_again(last, plan):
        session.terminal.note(f"Run {last.number} ran the same command on the same samples; nothing is new since.")
        show_end(session, last, json=json, hints=[*next_commands(last), "train all the same: `--again`"])
        return None
    ask_about(session.terminal, _facts(plan), "Train it?", yes=yes)
    return begin_command(session.store, plan, session.now())


def _facts(plan: CommandPlan) -> list[tuple[str, str]]:
    from reasoning_cli.commands.train._views import decisions_text

    files, request = plan.export.files, plan.request
    validation = f" and {files[1].samples:,} to check it with" if len(files) > 1 and files[1].samples else ""
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in plan.export.left_out.items())
    found = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in plan.export.redactions.items())
    return [
        ("train", f"{spell_model_type(request.model_type)}  on  {plan.base}"),
        ("command", f"{plan.command}  in {plan.at}"),
        ("samples", f"{files[0].samples:,} to learn from{validation}, in the form of {request.export.rules.trainer}"),
        ("decide", decisions_text(files[0].decisions.get(request.model_type, {}))),
        *([("left out", left_out)] if left_out else []),
        ("redacted", (found or "nothing was found to be") if request.redact else "nothing: --no-redact"),
        ("prompts", request.prompt_form),
        ("price", "nothing here: it runs on your own machine"),
    ]


def _record(plan: CommandPlan) -> dict[str, object]:
    files = plan.export.files
    return {
        "model_type": plan.request.model_type,
        "engine": "command",
        "command": plan.command,
        "base": plan.base,
        "train_samples": files[0].samples,
        "validation_samples": files[1].samples if len(files) > 1 else 0,
        "left_out": dict(plan.export.left_out),
        "redactions": dict(plan.export.redactions) if plan.request.redact else None,
        "prompt_form": plan.request.prompt_form,
        "method": plan.request.method,
        "warnings": list(plan.warnings),
    }
