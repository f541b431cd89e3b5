"""What the commands of `models` share: their arguments, how they wait, and what they leave for TAB."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands.completion import complete_model_types, complete_targets, remember_names
from reasoning_cli.commands.options import typed
from reasoning_cli.values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from reasoning_cli.commands.session import Session
    from reasoning_cli.operations.waiting import Progress, Waiting

TypeArgument = Annotated[
    str, typer.Argument(metavar="TYPE", help="should-respond, planning or coding.", autocompletion=complete_model_types)
]
NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME|TYPE", help="A model type, an endpoint's name or an id.", autocompletion=complete_targets
    ),
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done.")]
TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", metavar="30m", help="Give up waiting after this long; nothing is undone.")
]


def read_timeout(session: Session, text: str | None) -> timedelta:
    """How long to wait at most: as typed, else as set."""
    if text is None:
        return timedelta(minutes=session.settings.get(s.READY_TIMEOUT))
    return typed(parse_duration, text, "--timeout 30m")


def ways_to_wait(session: Session, timeout: timedelta, tell: Callable[[Progress], None]) -> Waiting:
    """How this run waits."""
    from reasoning_cli.operations.waiting import Waiting

    return Waiting(session.poll_seconds, timeout, session.sleep, tell)


def remember_models(session: Session, *names: str) -> None:
    """What TAB offers from now on: the models set, what is deployed, and `names`."""
    from reasoning_cli.store.deployments import Deployments

    records = Deployments(session.store).live()
    deployed = [name for record in records for name in (record.endpoint_name, record.model_name)]
    remember_names(session.settings.paths, [*session.models.values(), *deployed, *names])
