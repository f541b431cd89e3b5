"""Putting a head in line before a slot's model, and taking it out: what `models enable` and `disable` do with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.commands._shared.settings import write_switch
from reasoning_cli.errors import NotFoundError, UsageError
from reasoning_cli.values import HEAD_PREFIX, Mode, is_head, parse_head

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.status import ModelStatus

_FOLLOWS = "A gateway that runs follows within a second."


def refuse_head(name: str | None, command: str) -> None:
    """Raises UsageError for a head where something deployed is meant; `command` is what does that to a head, with NAME
    for its own."""
    if is_head(name):
        raise UsageError(
            f"`{name}` is a head: it answers in the gateway, and nothing is deployed for it",
            f"`reasoning {command.replace('NAME', name)}`",
        )


def enable_head(session: Session, typed_name: str, mode: Mode | None, share: int | None) -> None:
    """Put a head in line. What it answers is audited from now on."""
    from reasoning_cli.commands._shared.options import typed
    from reasoning_cli.operations.deploy.heads import enabling_head, load_head
    from reasoning_cli.store.serving.heads import Heads

    name = typed(parse_head, typed_name, "head/should-respond")
    head = load_head(session.settings.paths, name)
    switch = enabling_head(session.settings, name, mode, share)
    Heads(session.store).put_in_line(head.model, session.now())
    write_switch(session, switch)
    get, terminal = session.settings.get, session.terminal
    match get(s.HEAD_MODE):
        case Mode.SHADOW:
            what = "shadow: it is only compared"
        case Mode.CANARY:
            what = f"canary: it answers what it is sure of for {get(s.HEAD_SHARE)} % of the users, always the same ones"
        case _:
            what = f"live: it answers what it is sure of, and {get(s.AUDIT_PERCENT)} % of that is audited"
    terminal.say(f"{head.model} is in line, {what}. {_FOLLOWS}")
    if not any(group.threshold is not None for group in head.groups):
        terminal.warn("it has proven nothing, and answers nothing")
    if not get(s.GATEWAY_ENABLED):
        terminal.warn("gateway.enabled is off: the gateway only hands calls through")
        terminal.hint("`reasoning config set gateway.enabled true`")


def disable_head(session: Session, typed_name: str) -> None:
    """Take a head out of its line. Raises NotFoundError where another is in it, which goes on answering."""
    from reasoning_cli.commands._shared.options import typed
    from reasoning_cli.operations.deploy.heads import disabling_head, head_in_line

    name = typed(parse_head, typed_name, "head/should-respond")
    there = head_in_line(session.settings)
    if there is not None and there != f"{HEAD_PREFIX}{name}":
        raise NotFoundError(
            f"`{HEAD_PREFIX}{name}` is not in line: `{there}` is", f"`reasoning models disable {there}` takes that out"
        )
    write_switch(session, disabling_head(session.settings))
    session.terminal.say(f"{HEAD_PREFIX}{name} is out of its line. {_FOLLOWS}")


def head_statuses(session: Session) -> list[ModelStatus]:
    """The head in line as a line of `models`; none where none is."""
    if "head" not in (session.settings.get(s.LINE) or ()):
        return []
    from reasoning_cli.operations.deploy.heads import head_status

    return [head_status(session.settings, session.store)]
