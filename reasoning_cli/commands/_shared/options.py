"""Options several commands share, each described once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from reasoning_cli.errors import UsageError
from reasoning_cli.terminal.listing import Format

FormatOption = Annotated[Format, typer.Option("--format", help="How to write the result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Short for --format json.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only ids, one a line.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
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
