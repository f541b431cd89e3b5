"""`data import`: take in what an agent decided already."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands.options import JsonOption
from reasoning_cli.commands.session import session_of

if TYPE_CHECKING:
    from reasoning_cli.operations.importing import ImportReport


def import_(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE|-", help="Rows of an ElizaOS agent's `logs` table as JSON Lines.")
    ],
    json: JsonOption = False,
) -> None:
    """Take in decisions an agent made already. Importing the same file again adds nothing."""
    from reasoning_cli.commands.data_views import import_lines, import_record, report
    from reasoning_cli.operations.importing import import_elizaos_logs
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted, size

    session = session_of(ctx)
    terminal = session.terminal
    try:
        with waiting(terminal, f"reading {source}") as shown:

            def tell(report: ImportReport, bytes_read: int) -> None:
                shown.show(f"reading {source}", f"{report.read:,} rows, {size(bytes_read)}, {report.added:,} added")

            done = import_elizaos_logs(
                sys.stdin.buffer if source == "-" else Path(source), session.store, on_progress=tell
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. What was stored stays; importing the same file again adds the rest.")
        raise
    if json:
        terminal.json(import_record(done))
    else:
        report(terminal, *import_lines(done))
    for bad in done.bad_lines:
        terminal.warn(f"line {bad.number:,} was not read: {bad.why}")
    if done.bad > len(done.bad_lines):
        terminal.warn(f"and {counted(done.bad - len(done.bad_lines), 'more line')}")
