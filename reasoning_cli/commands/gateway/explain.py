"""What a gateway would do, and what an agent needs to reach it: `gateway explain` and `env`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.addresses import is_loopback
from reasoning_cli.commands._shared.options import FormatOption, JsonOption, chosen_format
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.errors import DataError, NotFoundError
from reasoning_cli.terminal.listing import Format
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
    variables = agent_variables(agent, port or session.settings.get(s.GATEWAY_PORT), tls=certificate is not None)
    if json:
        session.terminal.json({one.name: one.value for one in variables})
    else:
        for one in variables:
            session.terminal.print(f"{one.name}={one.value}")
    if caveat := agent_caveat(agent):
        session.terminal.note(caveat)
    if certificate is not None:
        session.terminal.note(tls_caveat(certificate))
    if not is_loopback(session.settings.get(s.GATEWAY_HOST)):
        session.terminal.note(
            "From another machine: its name in place of 127.0.0.1, and gateway.token as the header x-reasoning-token"
            f" or in the base address, as in {'http' if certificate is None else 'https'}://HOST:PORT/t/TOKEN/v1"
        )


def explain(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-", help="A recorded request as JSON, or one a line (method, path, headers, body)."
        ),
    ],
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Say what recorded requests are, where each would go now and why. Nothing is sent."""
    from reasoning_cli.commands.gateway._serving import slots_now
    from reasoning_cli.commands.gateway._views import explanation_columns, explanation_record
    from reasoning_cli.gateway.explain import explain as explained
    from reasoning_cli.gateway.explain import read_requests
    from reasoning_cli.terminal.listing import Listing

    session, chosen = session_of(ctx), chosen_format(fmt, json)
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file `{source}`", "`-` reads standard input") from None
    except OSError as error:
        raise DataError(f"cannot read `{source}`: {error.strerror}") from error
    rows = list(explained(read_requests(content), slots_now(session)))
    if chosen is Format.JSON and len(rows) == 1:
        session.terminal.json(explanation_record(rows[0]))
        return
    session.terminal.show(Listing(explanation_columns(), rows, id=lambda one: str(one.number)), chosen)
