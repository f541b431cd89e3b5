"""`gateway explain`: what a gateway would do with a recorded request."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import FormatOption, JsonOption, chosen_format
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.errors import DataError, NotFoundError
from reasoning_cli.terminal.listing import Format


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
    session.terminal.show(Listing(explanation_columns(), rows, id=lambda explanation: str(explanation.number)), chosen)
