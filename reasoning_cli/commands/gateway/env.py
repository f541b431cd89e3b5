"""`gateway env`: what an agent needs in its environment to reach the gateway."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.addresses import is_loopback
from reasoning_cli.commands._shared.options import JsonOption
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.values import Agent

PortOption = Annotated[int | None, typer.Option("--port", metavar="PORT", help="Default: gateway.port.")]


def env(
    ctx: typer.Context,
    agent: Annotated[Agent, typer.Option("--agent", help="Whose variables.")] = Agent.ELIZAOS,
    port: PortOption = None,
    json: JsonOption = False,
) -> None:
    """Print the variables that lead an agent here: `eval "$(reasoning gateway env)"`, or into its .env."""
    from reasoning_cli.operations.agents.env import agent_caveat, agent_variables, tls_caveat

    session = session_of(ctx)
    certificate = session.settings.get(s.GATEWAY_TLS_CERT)
    number = port or session.settings.get(s.GATEWAY_PORT)
    variables = agent_variables(agent, number, tls=certificate is not None)
    if json:
        session.terminal.json({one.name: one.value for one in variables})
    else:
        for one in variables:
            session.terminal.print(f"{one.name}={shlex.quote(one.value)}")
    if caveat := agent_caveat(agent, number, tls=certificate is not None):
        session.terminal.note(caveat)
    if certificate is not None:
        session.terminal.note(tls_caveat(certificate))
    if not is_loopback(session.settings.get(s.GATEWAY_HOST)):
        session.terminal.note(
            "From another machine: its name in place of 127.0.0.1, and gateway.token as the header x-reasoning-token"
            f" or in the base address, as in {'http' if certificate is None else 'https'}://HOST:PORT/t/TOKEN/v1"
        )
