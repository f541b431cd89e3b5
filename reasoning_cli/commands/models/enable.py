"""Switch a slot on and off, and say what its model may do: answer, answer a share, or only be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.model_options import TypeOrHeadArgument
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands._shared.settings import write_switch
from reasoning_cli.commands.models._heads import disable_head, enable_head
from reasoning_cli.values import Mode, is_head, parse_model_type, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.status import ModelStatus

_FOLLOWS = "A gateway that runs follows within a second."


def enable(
    ctx: typer.Context,
    model_type: TypeOrHeadArgument,
    mode: Annotated[
        Mode | None,
        typer.Option(
            "--mode", help="live answers, canary answers a share, shadow is only compared; default: as it was."
        ),
    ] = None,
    share: Annotated[
        int | None, typer.Option("--share", metavar="PERCENT", min=0, max=100, help="What a canary answers.")
    ] = None,
) -> None:
    """Let decisions of a type go to its model: all, a share of them, or in the shadow of the original. A head is put in
    line before it."""
    from reasoning_cli.operations.deploy.switch import enabling

    if is_head(model_type):
        enable_head(session_of(ctx), model_type, mode, share)
        return
    session, chosen = session_of(ctx), parse_model_type(model_type)
    write_switch(session, enabling(chosen, mode, share))
    get, name = session.settings.get, spell_model_type(chosen)
    match get(s.MODE[chosen]):
        case Mode.SHADOW:
            what = "shadow: the original answers; the model is asked too, and both answers are kept"
        case Mode.CANARY:
            what = f"canary: the model answers {get(s.SHARE[chosen])} % of the users, always the same ones"
        case _:
            what = "live: the model answers, and the original where its answer is no good"
    terminal = session.terminal
    terminal.say(f"{name} is enabled, {what}. {_FOLLOWS}")
    if not get(s.GATEWAY_ENABLED):
        terminal.warn("gateway.enabled is off: the gateway only hands calls through")
        terminal.hint("`reasoning config set gateway.enabled true`")
    now = _status(session, chosen)
    if now.record is None and now.provider_url is None:
        terminal.warn(f"no model serves {name} yet: until then the original answers")
        server = f"`reasoning config set {chosen}.provider_url URL`"
        terminal.hint(f"`reasoning models deploy {name}`; or a server of your own: {server}")
    elif now.record is not None and now.provider_url is None and now.state != "READY":
        terminal.warn(f"its model is {now.state} as last seen: until it is READY the original answers")
        terminal.hint(f"`reasoning models start {name}`" if now.state == "STOPPED" else "`reasoning models status`")


def disable(ctx: typer.Context, model_type: TypeOrHeadArgument) -> None:
    """Send decisions of a type to the original provider. The model goes on running, and costing. A head leaves its
    line."""
    from reasoning_cli.operations.deploy.switch import disabling
    from reasoning_cli.terminal.units import money

    if is_head(model_type):
        disable_head(session_of(ctx), model_type)
        return
    session, chosen = session_of(ctx), parse_model_type(model_type)
    write_switch(session, disabling(chosen))
    name = spell_model_type(chosen)
    session.terminal.say(f"{name} is disabled: the original answers. {_FOLLOWS}")
    if spending := _status(session, chosen).burn_cents_per_hour:
        session.terminal.hint(f"it still costs {money(spending)} an hour; stop it: `reasoning models undeploy {name}`")


def _status(session: Session, model_type: str) -> ModelStatus:
    from reasoning_cli.operations.deploy.status import model_statuses

    every = model_statuses(session.store, session.models, session.enabled, session.now(), session.uses)
    return next(status for status in every if status.model_type == model_type)
