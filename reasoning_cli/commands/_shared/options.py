"""The vocabulary of options: what several commands take, each spelled and described once.

A letter means the same everywhere: `-m` a model type, `-l` a limit, `-f` a format, `-w` watch, `-o` output, `-q` ids
only, `-y` yes. What was spelled otherwise once stands in `spelling`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from reasoning_cli.commands._shared.completion import complete_model_types
from reasoning_cli.errors import UsageError
from reasoning_cli.terminal.listing import Format

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to write the result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Short for --format json.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only ids, one a line.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="From then on: 2026-11-21, 7d or 24h.")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Up to then; the whole of a day.")]
LimitOption = Annotated[int, typer.Option("--limit", "-l", metavar="N", min=1, help="At most so many.")]
NewestOption = Annotated[
    int | None, typer.Option("--limit", "-l", metavar="N", min=1, help="Only the newest N that match; default: all.")
]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Look again and again until Ctrl-C.")]
IntervalOption = Annotated[str, typer.Option("--interval", metavar="30s|5m", help="How often to look.")]
ModelTypeOption = Annotated[
    str | None,
    typer.Option(
        "--model-type", "-m", metavar="TYPE", help="For this model type alone.", autocompletion=complete_model_types
    ),
]
KeepOption = Annotated[bool, typer.Option("--keep", help="Only stop the model that goes; do not delete it.")]
# Where the dashboard listens unless somebody says otherwise.
DASHBOARD_PORT = 8010

PrintSystemdOption = Annotated[bool, typer.Option("--print-systemd", help="Print a unit that keeps it running.")]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Do not try the key.")]


T = TypeVar("T")


def typed(parse: Callable[[str], T], text: str, example: str) -> T:
    """What was typed for an option, parsed; UsageError with an example when it makes no sense."""
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"`{text}` {error}", f"for example {example}") from None


def chosen_format(fmt: Format, json: bool) -> Format:
    """`--json` wins over `--format`'s default."""
    return Format.JSON if json else fmt
