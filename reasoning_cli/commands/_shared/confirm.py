"""A plan before it is carried out: shown for a dry run, or asked about."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from reasoning_cli.errors import ExitCode
from reasoning_cli.terminal.console import Terminal

Facts = Sequence[tuple[str, str]]
Record = dict[str, object]


def show_dry_run(terminal: Terminal, facts: Facts, record: Record | list[Record], *, json: bool) -> None:
    """What would be done, for a person or (marked as a dry run) for machines."""
    if json:
        mark: Record = {"dry_run": True}
        terminal.json([mark | part for part in record] if isinstance(record, list) else mark | record)
        return
    terminal.facts(facts)
    terminal.note("Nothing was changed.")


def ask_about(terminal: Terminal, facts: Facts, question: str, *, yes: bool, show: bool = True) -> None:
    """Show the plan and ask; a no ends the command. With `yes` nothing is asked, and shown only what `show` says."""
    if facts and (show or not yes):
        terminal.facts(facts, to_out=False)
    if not terminal.confirm(question, yes=yes):
        terminal.note("Nothing was changed.")
        raise typer.Exit(ExitCode.FAILED)
