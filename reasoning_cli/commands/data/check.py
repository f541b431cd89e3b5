"""`data check`: a file to fine-tune on, judged as Together would and stricter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import JsonOption
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.errors import UsageError


def check(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .jsonl, .csv or .parquet file, whoever made it.")],
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Another file that must share no prompt: validation, test.")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Warn of longer samples (4 bytes a token); default: the largest window_tokens."),
    ] = None,
    lines: Annotated[int, typer.Option(metavar="N", min=0, help="Name the lines of so many flaws.")] = 20,
    json: JsonOption = False,
) -> None:
    """Check a file to fine-tune on. Exit code 1 when Together would refuse it; the rest are warnings."""
    from reasoning_cli import settings as s
    from reasoning_cli.commands._shared.sample_views import report
    from reasoning_cli.commands.data._check_views import check_lines, check_record
    from reasoning_cli.errors import ExitCode
    from reasoning_cli.operations.data.validate.file import check_file
    from reasoning_cli.terminal.progress import Pace, waiting
    from reasoning_cli.values import MODEL_TYPES

    session = session_of(ctx)
    terminal = session.terminal
    if max_tokens is not None and max_tokens < 1:
        raise UsageError(f"--max-tokens {max_tokens} is too few", "give a number from 1 on")
    longest = max_tokens or max(session.settings.get(s.WINDOW_TOKENS[model_type]) for model_type in MODEL_TYPES)
    with waiting(terminal, "checking") as shown:
        pace = Pace()
        found = check_file(
            file,
            against=against,
            max_tokens=longest,
            most_flaws=lines,
            on_progress=lambda read, size: shown.show("checking", pace.of(read >> 20, size >> 20, "MB")),
        )
    if json:
        terminal.json(check_record(found))
    else:
        report(terminal, *check_lines(found))
    if not found.accepted:
        raise typer.Exit(ExitCode.FAILED)
