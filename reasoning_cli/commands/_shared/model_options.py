"""What the commands of `models` share: their arguments, how they wait, and what they leave for TAB."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.completion import complete_model_types, complete_targets, remember_names
from reasoning_cli.commands._shared.options import typed
from reasoning_cli.errors import UsageError
from reasoning_cli.values import parse_duration, parse_model_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from reasoning_cli.commands._shared.session import Session
    from reasoning_cli.operations.deploy.rollout import Shift
    from reasoning_cli.operations.deploy.wait import Progress, Waiting

TypeArgument = Annotated[
    str, typer.Argument(metavar="TYPE", help="should-respond, planning or coding.", autocompletion=complete_model_types)
]
TypeOrHeadArgument = Annotated[
    str,
    typer.Argument(
        metavar="TYPE|head/NAME",
        help="should-respond, planning or coding; or a head.",
        autocompletion=complete_model_types,
    ),
]
OneTypeArgument = Annotated[
    str | None,
    typer.Argument(metavar="[TYPE]", help="This model type alone.", autocompletion=complete_model_types),
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
ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Your own server that serves it, where that is not the slot's."),
]
StepsOption = Annotated[
    str | None, typer.Option("--steps", metavar="10,50,100", help="Shares of the traffic for the new model, in turn.")
]
StepIntervalOption = Annotated[
    str | None, typer.Option("--interval", metavar="5m", help="How long to watch between two steps; default 5m.")
]
ForTypeOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        "-m",
        metavar="TYPE",
        help="The decisions a model named by name answers.",
        autocompletion=complete_model_types,
    ),
]


def named_model(session: Session, text: str) -> str:
    """A model by name or id; of a model type the one in its slot, else the one set for it."""
    from reasoning_cli.store.deploy.deployments import Deployments

    try:
        model_type = parse_model_type(text)
    except UsageError:
        return text
    record = Deployments(session.store).find(model_type)
    if record is None or record.deleted_at is not None:
        return session.models[model_type]
    return record.model_id or record.model_name


def read_timeout(session: Session, text: str | None) -> timedelta:
    """How long to wait at most: as typed, else as set."""
    if text is None:
        return timedelta(minutes=session.settings.get(s.READY_TIMEOUT))
    return typed(parse_duration, text, "--timeout 30m")


def read_shift(canary: int | None, steps: str | None, interval: str | None, keep_old: bool) -> Shift:
    """How the traffic is to move: all at once, to a canary's share, or step by step."""
    from reasoning_cli.operations.deploy.rollout import Shift

    if canary is not None and steps is not None:
        raise UsageError("--canary is one step and --steps are several", "say one of them")
    shares: tuple[int, ...] = (100,)
    if canary is not None:
        shares = (canary,)
    elif steps is not None:
        shares = typed(parse_steps, steps, "--steps 10,50,100")
    pause = typed(parse_duration, interval or "5m", "--interval 5m")
    return Shift(shares, pause, keep_old)


def parse_steps(text: str) -> tuple[int, ...]:
    """Percents with commas between them, as `10,50,100`."""
    try:
        return tuple(int(part.strip().removesuffix("%")) for part in text.split(","))
    except ValueError:
        raise ValueError("is not a list of percents") from None


def wait_options(session: Session, timeout: timedelta, notify: Callable[[Progress], None]) -> Waiting:
    """How this run waits."""
    from reasoning_cli.operations.deploy.wait import Waiting

    return Waiting(session.poll_seconds, timeout, session.sleep, notify)


def remember_models(session: Session, *names: str) -> None:
    """What TAB offers from now on: the models set, what is deployed, and `names`."""
    from reasoning_cli.store.deploy.deployments import Deployments

    records = [*Deployments(session.store).live(), *Deployments(session.store).riders()]
    deployed = [name for record in records for name in (record.endpoint_name, record.model_name)]
    remember_names(session.settings.paths, [*session.models.values(), *deployed, *names])
