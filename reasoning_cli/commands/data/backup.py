"""Whole copies of the database: `data backup`, `data restore`, `data vacuum`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands._shared.sample_options import IncludeForgottenOption
from reasoning_cli.commands._shared.session import Session, session_of

if TYPE_CHECKING:
    from reasoning_cli.operations.data.backup import RestorePlan
    from reasoning_cli.terminal.progress import Waiting


def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    json: JsonOption = False,
) -> None:
    """Copy the database, samples and ledger, to a file while everything goes on; the copy is checked."""
    from reasoning_cli.operations.data.backup import back_up
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted, size

    session = session_of(ctx)
    terminal = session.terminal
    with waiting(terminal, "copying") as shown:
        facts = back_up(session.store, file, session.now(), force=force, on_progress=_shows(shown))
    if facts.problem is not None:
        terminal.warn(f"the copy {facts.problem}, and so it could not be put back: see `reasoning doctor`")
    if json:
        terminal.json({"path": file.absolute(), "size_bytes": facts.size_bytes, "samples": facts.samples})
    else:
        terminal.say(f"{counted(facts.samples, 'sample')} and the ledger copied to {file}, {size(facts.size_bytes)}.")


def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `data backup` wrote.")],
    include_forgotten: IncludeForgottenOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Put a copy back in place of the database, which is kept beside it. Nothing may use it meanwhile."""
    from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
    from reasoning_cli.operations.data.backup import plan_restore, run_restore
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted

    session = session_of(ctx)
    terminal = session.terminal
    plan = plan_restore(session.settings.place(), _realm(session), file, session.now())
    record: dict[str, object] = {
        "path": plan.database,
        "samples": plan.facts.samples,
        "samples_now": plan.present.samples if plan.present else None,
        "kept_as": plan.aside if plan.present else None,
    }
    if dry_run:
        show_dry_run(terminal, _facts(plan), record, json=json)
        return
    ask_about(terminal, _facts(plan), "Put this copy in place of the database?", yes=yes, show=not json)
    try:
        with waiting(terminal, "copying") as shown:
            forgotten = run_restore(plan, session.now(), include_forgotten=include_forgotten, on_progress=_shows(shown))
    except KeyboardInterrupt:
        terminal.note("Interrupted. One of the two is in place, whole; the same command does it again.")
        raise
    if json:
        terminal.json({**record, "forgotten": forgotten})
        return
    aside = f" What was there is {plan.aside}." if plan.present else ""
    terminal.say(f"{plan.database} is as it was in {file}.{aside}")
    if forgotten is None:
        terminal.warn("what was there is broken, so it is not known what had been forgotten since the copy was made")
    if forgotten:
        terminal.say(f"{counted(forgotten, 'sample')} of it had been forgotten since, and stayed so.")


def vacuum(ctx: typer.Context, json: JsonOption = False) -> None:
    """Write the database anew without gaps. Nothing may use it meanwhile, and it needs its own space once more."""
    from reasoning_cli.operations.data.backup import vacuum as write_anew
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import size

    session = session_of(ctx)
    terminal = session.terminal
    with waiting(terminal, "writing anew") as shown:
        done = write_anew(session.settings.place(), _realm(session), _shows(shown))
    if json:
        terminal.json({"before_bytes": done.before_bytes, "after_bytes": done.after_bytes})
    else:
        gained = max(0, done.before_bytes - done.after_bytes)
        terminal.say(f"{size(done.before_bytes)} before, {size(done.after_bytes)} now: {size(gained)} gained.")


def _realm(session: Session) -> str:
    return "together" if session.settings.outside is None else "sandbox"


def _shows(shown: Waiting) -> Callable[[str, float], None]:
    from reasoning_cli.terminal.units import percent

    return lambda doing, share: shown.show(doing, percent(share))


def _facts(plan: RestorePlan) -> list[tuple[str, str]]:
    from reasoning_cli.terminal.units import counted, size

    now = f"{counted(plan.present.samples, 'sample')}, {size(plan.present.size_bytes)}" if plan.present else "none"
    facts = [
        ("copy", f"{plan.copy}: {counted(plan.facts.samples, 'sample')}, {size(plan.facts.size_bytes)}"),
        ("database", f"{plan.database}: {now}"),
    ]
    return [*facts, ("kept as", str(plan.aside))] if plan.present else facts
