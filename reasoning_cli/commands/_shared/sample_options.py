"""Options that say which decisions are meant, shared by the commands that look at them, and what they become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_model_types
from reasoning_cli.commands._shared.options import typed
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.errors import UsageError
from reasoning_cli.values import parse_model_type, parse_text

if TYPE_CHECKING:
    from reasoning_cli.store.samples.training_log import SampleFilter
    from reasoning_cli.terminal.console import Terminal

TypesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model-type",
        "-m",
        metavar="TYPE",
        help="Only decisions of this type; may be repeated.",
        autocompletion=complete_model_types,
    ),
]
AgentOption = Annotated[str | None, typer.Option(metavar="NAME|ID", help="Only this agent's decisions.")]
RoomOption = Annotated[str | None, typer.Option(metavar="ID", help="Only decisions of this room.")]
SourceOption = Annotated[
    str | None, typer.Option(metavar="WHO", help="Only what was answered by: original, slot or fallback.")
]
LabelOption = Annotated[
    str | None, typer.Option(metavar="LABEL", help="Only those labelled good, bad or corrected; none: not labelled.")
]
DecidedOption = Annotated[
    str | None, typer.Option("--decision", metavar="STOP|REPLY|…", help="Only where this was decided.")
]
FromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="ARCHIVE|log",
        help="Not of the log, but of what `data archive` wrote in this folder or s3://…; log: and the log.",
    ),
]
IncludeForgottenOption = Annotated[
    bool, typer.Option("--include-forgotten", help="Also what `data forget` deleted; asks.")
]
SampleSeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="Another seed draws another sample.")]
AnnotatorOption = Annotated[
    str | None, typer.Option("--annotator", metavar="NAME", help="Who labels; default: user@host.")
]
DecisionArgument = Annotated[
    str | None, typer.Argument(metavar="[DECISION]", help="Only of this decision, by its id; default: of all.")
]
DecisionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DECISION]...", help="Their ids, or how these begin; see `data list`."),
]

LABEL_FILTERS = ("good", "bad", "corrected", "none")


def filter_of(
    session: Session,
    model_type: Sequence[str] | None,
    agent: str | None,
    room: str | None,
    source: str | None,
    label: str | None,
    decision: str | None,
    since: str | None,
    until: str | None,
) -> SampleFilter:
    """What was typed as a filter. UsageError for what makes no sense."""
    from reasoning_cli.operations.costs.date_range import parse_bounds
    from reasoning_cli.store.samples.training_log import SampleFilter

    if label is not None and label.lower() not in LABEL_FILTERS:
        raise UsageError(
            f"`{label}` is not a label", f"there are {', '.join(LABEL_FILTERS[:-1])} and {LABEL_FILTERS[-1]}"
        )
    begin, end = parse_bounds(since, until, session.now())
    return SampleFilter(
        model_types=tuple(dict.fromkeys(parse_model_type(name) for name in model_type or [])),
        since=begin,
        until=end,
        agent=_text(agent),
        room=_text(room),
        source=_text(source),
        label=label.lower() if label is not None else None,
        decision=_text(decision),
    )


def ask_for_forgotten(terminal: Terminal, *, yes: bool) -> None:
    """Ask whether what was deleted on request may come back; a no ends the command."""
    from reasoning_cli.commands._shared.confirm import ask_about

    ask_about(terminal, [], "Take in again what was deleted on request with `data forget`?", yes=yes)


def _text(value: str | None) -> str | None:
    return None if value is None else typed(parse_text, value, "--agent Nova")


def who_labels(name: str | None) -> str:
    """The name that a label is kept under."""
    import getpass
    import os
    import platform

    if name is not None:
        if not name.strip() or not name.isprintable():  # a lone surrogate is not printable either
            raise UsageError("--annotator needs a name that can be shown", "for example --annotator ada")
        return name.strip()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        user = str(os.getuid())
    return f"{user}@{platform.node() or 'localhost'}"
