"""Send a folder of weights to Together, or take back what was sent of it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.commands.models._upload_views import Record, show_uploaded
from reasoning_cli.errors import ExitCode
from reasoning_cli.operations.weights.upload import Patience, Step, wait_until_valid
from reasoning_cli.operations.weights.upload_local import (
    LocalPlan,
    Mover,
    Moving,
    is_there,
    plan_abort,
    plan_local,
    run_abort,
    run_local,
)
from reasoning_cli.terminal.progress import waiting
from reasoning_cli.terminal.units import clock_duration, counted, duration, size

if TYPE_CHECKING:
    from reasoning_cli.engines.serving import Model, Revision

_MOST_SHOWN = 20


def send(
    session: Session,
    name: str,
    root: Path,
    base: str,
    kind: str,
    limit: timedelta,
    *,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Check the folder, ask, send what Together does not have, and wait until the weights are valid."""
    terminal, client, records = session.terminal, session.client, session.settings.paths.uploads
    plan = plan_local(client, name, root, base, kind, records)
    if dry_run:
        show_dry_run(
            terminal, [*_facts(plan), *_file_facts(plan)], {**_record(plan), "sent_bytes": plan.begun_bytes}, json=json
        )
        return
    run = _Run(session, plan, limit)
    try:
        model, revision = run.go(yes=yes)
    except KeyboardInterrupt:
        terminal.note(run.left())
        terminal.hint("go on: the same command again" + (", or take it back with --abort" if run.is_half else ""))
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    show_uploaded(session, model, revision, _record(plan), json=json)


def abort_sending(session: Session, name: str, *, yes: bool, dry_run: bool, json: bool) -> None:
    """Take back what was begun and not finished."""
    terminal, client, records = session.terminal, session.client, session.settings.paths.uploads
    plan = plan_abort(client, name, records)
    sent = counted(plan.parts, "part")
    facts = [
        ("forget", f"{sent} of {plan.model.name} that arrived"),
        ("model", "goes, as it has no weights" if plan.deletes_model else "stays, with the weights it has"),
    ]
    record: Record = {"name": plan.model.name, "parts": plan.parts, "model_deleted": plan.deletes_model}
    if dry_run:
        show_dry_run(terminal, facts, record, json=json)
        return
    ask_about(terminal, facts, "Take it back?", yes=yes, show=False)
    run_abort(client, plan, records)
    if json:
        terminal.json(record)
        return
    model = "the model is gone" if plan.deletes_model else "the model keeps the weights it has"
    terminal.say(f"The upload of {plan.model.name} is forgotten, and {model}.")
    if plan.parts:
        terminal.note(f"What arrived, {sent}, belongs to no model; when Together drops it is not documented.")


class _Run:
    """One upload: what it shows, and what stays when it is interrupted."""

    def __init__(self, session: Session, plan: LocalPlan, limit: timedelta) -> None:
        self._session, self._plan = session, plan
        self._is_whole = False
        self._mover = Mover(session.settings.paths.uploads, self._move, session.sleep, arrived_bytes=plan.begun_bytes)
        self._patience = Patience(session.poll_seconds, limit, session.sleep, self._step)

    def go(self, *, yes: bool) -> tuple[Model, Revision]:
        client, terminal, plan = self._session.client, self._session.terminal, self._plan
        with waiting(terminal, f"looking at {plan.folder.root}") as self._shown:
            there = is_there(client, plan, self._mover)
        if not there:
            ask_about(terminal, _facts(plan), "Send it?", yes=yes, show=False)
        with waiting(terminal, f"uploading {plan.name}") as self._shown:
            if there and plan.model is not None:
                self._is_whole = True
                return plan.model, wait_until_valid(client, plan.model, self._patience)
            return run_local(client, plan, self._mover, self._patience)

    @property
    def is_half(self) -> bool:
        """Whether something was sent that is not a model yet."""
        return bool(self._mover.arrived_bytes) and not self._is_whole

    def left(self) -> str:
        """What is at Together when the run ends here."""
        if self._is_whole:
            return f"Stopped waiting. All of {self._plan.name} is at Together, which checks it; it costs nothing."
        if not self._mover.arrived_bytes:
            return "Stopped. Nothing was sent."
        of = f"{size(self._mover.arrived_bytes)} of {size(self._plan.folder.size)}"
        return f"Stopped. {of} are at Together; they are no model yet, and cost nothing."

    def _move(self, moving: Moving) -> None:
        rate = f", {size(int(moving.rate))}/s" if moving.rate else ""
        left = f", {duration(moving.left)} left" if moving.left is not None else ""
        state = f"{self._plan.name}: {moving.what}"
        self._shown.show(state, f"{size(moving.done)} of {size(moving.total)}{rate}{left}")

    def _step(self, step: Step) -> None:
        self._is_whole = True
        self._shown.show(f"{self._plan.name}: {step.text}", clock_duration(step.elapsed))


def _facts(plan: LocalPlan) -> list[tuple[str, str]]:
    folder = plan.folder
    facts = [
        ("upload", f"{folder.root}  as  {plan.name}"),
        ("base", plan.base.name),
        ("type", plan.kind),
        ("files", f"{counted(len(folder.files), 'file')}, {size(folder.size)}"),
    ]
    if folder.left_out:
        why = "; ".join(
            f"{count} {reason}" for reason, count in Counter(skipped.why for skipped in folder.left_out).items()
        )
        facts.append(("left out", why))
    if plan.may_be_there and plan.model is not None:
        facts.append(("there", f"{plan.model.name} has files of the same sizes; only what differs is sent"))
    elif plan.revision is not None and plan.model is not None:
        facts.append(("there", f"{plan.model.name} has other weights; these become its newest"))
    elif plan.begun_bytes:
        facts.append(("there", f"{size(plan.begun_bytes)} are sent already, and it goes on"))
    return facts


def _file_facts(plan: LocalPlan) -> list[tuple[str, str]]:
    """Each file with its size, the large ones first, and what stays here."""
    files = sorted(plan.folder.files, key=lambda file: -file.size)
    lines = [("send", f"{file.path}  {size(file.size)}") for file in files[:_MOST_SHOWN]]
    if len(files) > _MOST_SHOWN:
        rest = files[_MOST_SHOWN:]
        lines.append(("send", f"{len(rest)} more, {size(sum(file.size for file in rest))}"))
    lines += [("leave", f"{skipped.path}  {skipped.why}") for skipped in plan.folder.left_out[:_MOST_SHOWN]]
    if len(plan.folder.left_out) > _MOST_SHOWN:
        lines.append(("leave", f"{len(plan.folder.left_out) - _MOST_SHOWN} more"))
    return lines


def _record(plan: LocalPlan) -> Record:
    return {
        "name": plan.name,
        "folder": str(plan.folder.root),
        "base": plan.base.name,
        "type": plan.kind,
        "bytes": plan.folder.size,
        "files": [{"path": file.path, "bytes": file.size} for file in plan.folder.files],
        "left_out": [
            {"path": skipped.path, "bytes": skipped.size, "why": skipped.why} for skipped in plan.folder.left_out
        ],
    }
