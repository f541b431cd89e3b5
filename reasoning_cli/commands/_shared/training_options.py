"""Options that say which decisions become training data, and in what form: of `data export` and `train start`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import typed
from reasoning_cli.errors import UsageError
from reasoning_cli.values import parse_share

if TYPE_CHECKING:
    from reasoning_cli.operations.data.export.split import Dedupe
    from reasoning_cli.operations.data.export.trainers import Trainer

MinConfidenceOption = Annotated[
    str | None, typer.Option(metavar="0-1", help="Only answers with at least this confidence.")
]
RedactNamesOption = Annotated[
    bool, typer.Option("--redact-names", help="Pseudonyms for those the agent talks with, too.")
]
BalanceOption = Annotated[
    bool, typer.Option("--balance", help="No should-respond decision more often than the next most common.")
]
CompactOption = Annotated[
    bool | None,
    typer.Option("--compact/--exact", help="Prompts without the template, or exact; default: TYPE.prompt_form."),
]
WatchTimeoutOption = Annotated[
    str | None, typer.Option(metavar="2h", help="Stop watching after this long; the job goes on.")
]


def parse_dedupe(text: str) -> Dedupe:
    """How copies are found. UsageError for another word."""
    from reasoning_cli.operations.data.export.split import DEDUPES

    found = next((way for way in DEDUPES if way == text), None)
    if found is None:
        raise UsageError(f"`{text}` is not a way to find copies", f"there are {', '.join(DEDUPES)}")
    return found


def parse_trainer(text: str) -> Trainer:
    """Whose form files have. UsageError for a trainer that is not known."""
    from reasoning_cli.operations.data.export.trainers import TRAINERS

    found = next((trainer for trainer in TRAINERS if trainer == text), None)
    if found is None:
        raise UsageError(f"`{text}` is not a trainer whose files are known", f"there are {', '.join(TRAINERS)}")
    return found


def parse_confidence(text: str | None, example: str = "--min-confidence 0.8") -> float | None:
    """The least confidence that is asked for. UsageError for what is none."""
    return None if text is None else float(typed(parse_share, text, example))


def refuse_names_alone(*, redact: bool, redact_names: bool) -> None:
    """UsageError where names are to be redacted and nothing else is."""
    if redact_names and not redact:
        raise UsageError("--redact-names and --no-redact contradict each other", "leave one of them out")
