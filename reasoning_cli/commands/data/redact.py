"""`data redact`: keys and personal data that must not stay in the training log."""

from __future__ import annotations

from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, SinceOption, UntilOption, YesOption
from reasoning_cli.commands._shared.sample_options import AgentOption, RoomOption, TypesOption, filter_of
from reasoning_cli.commands._shared.sample_views import STILL_READ
from reasoning_cli.commands._shared.session import session_of


def redact(
    ctx: typer.Context,
    model_type: TypesOption = None,
    agent: AgentOption = None,
    room: RoomOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    kinds: Annotated[
        str | None, typer.Option("--kinds", metavar="KIND,…", help="Only these kinds, such as key,email; default: all.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Also the names of those who take part, as stable pseudonyms.")
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Take keys and personal data out of the log itself; what was there before is gone from the file."""
    from dataclasses import asdict

    from reasoning_cli.operations.data.redact import parse_kinds, redact_log
    from reasoning_cli.store.samples.training_log import Samples
    from reasoning_cli.terminal.progress import Pace, waiting
    from reasoning_cli.terminal.units import counted

    session = session_of(ctx)
    terminal = session.terminal
    chosen = None if kinds is None else parse_kinds(kinds)
    wanted = filter_of(session, model_type, agent, room, None, None, None, since, until)
    total = Samples(session.store).count(wanted)
    if not dry_run:
        from reasoning_cli.commands._shared.confirm import ask_about

        question = f"Redact {counted(total, 'sample')} in place? The text that is taken out cannot be brought back."
        ask_about(terminal, [], question, yes=yes or not total)
    pace = Pace()
    doing = "looking for personal data" if dry_run else "redacting"
    try:
        with waiting(terminal, doing) as shown:
            done = redact_log(
                session.store,
                wanted,
                kinds=chosen,
                names=names,
                dry_run=dry_run,
                on_progress=lambda looked_at: shown.show(doing, pace.of(looked_at, total, "samples")),
            )
    except KeyboardInterrupt:
        terminal.note(
            "Interrupted. Nothing was changed."
            if dry_run
            else "Interrupted. What is redacted stays so; the same command does the rest."
        )
        raise
    if json:
        terminal.json({**asdict(done), "dry_run": dry_run})
    else:
        found = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in done.by_kind.items())
        verb = "would change" if dry_run else "changed"
        terminal.say(
            f"{counted(done.looked_at, 'sample')} looked at, {done.changed:,} {verb}: {found or 'nothing found'}"
        )
    if not done.is_erased:
        terminal.warn(STILL_READ)
