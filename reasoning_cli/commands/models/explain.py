"""`models explain`: by what a head decided."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import JsonOption
from reasoning_cli.commands._shared.session import session_of


def explain(
    ctx: typer.Context,
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="An id of the log, or how it begins.")],
    model: Annotated[
        str | None, typer.Option("--model", metavar="head/NAME", help="Another head than the one that answered.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say by what a head decides: its rule with how often that was wrong, or what weighs most with its model."""
    from reasoning_cli.operations.data.browse import find_sample
    from reasoning_cli.operations.evaluate.explain_head import explain_head

    session = session_of(ctx)
    terminal = session.terminal
    found = explain_head(find_sample(session.store, decision), session.settings.paths.heads, model)
    if json:
        terminal.json(asdict(found))
        return
    what = f"answers {found.label}" if found.answers else f"leaves it to the next in line; it is for {found.label}"
    terminal.print(f"{found.model} {what}, confidence {found.confidence:.3f}")
    terminal.print(found.reason)
    for sign in found.signs:
        side = "for" if sign.weight > 0 else "against"
        terminal.print(f"  {abs(sign.weight):6.2f} {side:<7} {sign.text}")
