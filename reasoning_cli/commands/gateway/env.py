"""`gateway env`, which is `setup env` too: what an agent needs in its environment to reach the gateway."""

from __future__ import annotations

import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.addresses import is_loopback
from reasoning_cli.commands._shared.options import JsonOption
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.gateway.status import PortOption, running_or_none
from reasoning_cli.values import Agent

if TYPE_CHECKING:
    from reasoning_cli.operations.agents.env import Variable

AgentOption = Annotated[Agent, typer.Option("--agent", help="Whose environment it is.")]


class Syntax(StrEnum):
    """How a variable is set."""

    SH = "sh"
    FISH = "fish"
    DOTENV = "dotenv"


def env(
    ctx: typer.Context,
    agent: AgentOption = Agent.ELIZAOS,
    port: PortOption = None,
    shell: Annotated[Syntax, typer.Option("--shell", help="How to write the lines: dotenv is for an .env.")] = (
        Syntax.SH
    ),
    json: JsonOption = False,
) -> None:
    """Print the variables that lead an agent here: `eval "$(reasoning gateway env)"`, then start it in that shell."""
    from reasoning_cli.operations.agents.env import agent_variables

    session = session_of(ctx)
    if json:
        named = port or session.settings.get(s.GATEWAY_PORT)
        tls = session.settings.get(s.GATEWAY_TLS_CERT) is not None
        session.terminal.json({variable.name: variable.value for variable in agent_variables(agent, named, tls=tls)})
    else:
        show_environment(session, agent, shell, port)


def show_environment(session: Session, agent: Agent, syntax: Syntax, port: int | None = None) -> None:
    """The lines on stdout; on stderr, what stands in the way of using them. `port` None is that of the settings."""
    from reasoning_cli.operations.agents.env import (
        agent_caveat,
        agent_variables,
        tls_caveat,
        whose_gateway,
        why_not_free,
    )

    terminal, settings = session.terminal, session.settings
    certificate, asked = settings.get(s.GATEWAY_TLS_CERT), port
    port = port or settings.get(s.GATEWAY_PORT)
    for variable in agent_variables(agent, port, tls=certificate is not None):
        terminal.print(_assignment(variable, syntax))
    if caveat := agent_caveat(agent, port, tls=certificate is not None):
        terminal.note(caveat)
    if certificate is not None:
        terminal.note(tls_caveat(certificate))
    if not is_loopback(settings.get(s.GATEWAY_HOST)):
        terminal.note(
            "From another machine: its name in place of 127.0.0.1, and gateway.token as the header x-reasoning-token"
            f" or in the base address, as in {'http' if certificate is None else 'https'}://HOST:PORT/t/TOKEN/v1"
        )
    record = running_or_none(session, asked)
    if record is not None and (whose := whose_gateway(settings, record)) is not None:
        terminal.warn(f"on port {port} runs {whose}: with these lines an agent goes there")
        terminal.hint(
            f"start yours on another port: `reasoning gateway serve --port {port + 1}`,"
            f" then `reasoning gateway env --port {port + 1}`"
        )
    elif record is not None:
        terminal.note(f"The gateway runs on port {port}: an agent sent there gets its answers.")
    elif why_not_free(port):
        terminal.warn(f"another program listens on port {port}")
        terminal.hint(f"`reasoning config set gateway.port {port + 1}`, then these lines anew: `reasoning gateway env`")
    else:
        terminal.note(f"No gateway runs on port {port} yet: start it before the agent, with `reasoning gateway serve`")


def _assignment(variable: Variable, syntax: Syntax) -> str:
    """The line that sets `variable` for whatever is started afterwards."""
    match syntax:
        case Syntax.SH:
            return f"export {variable.name}={shlex.quote(variable.value)}"
        case Syntax.FISH:
            return f"set -gx {variable.name} {shlex.quote(variable.value)}"
        case Syntax.DOTENV:
            return f"{variable.name}={variable.value}"
