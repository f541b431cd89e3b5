"""`train adopt`: a model made by hand, with what it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_model_types
from reasoning_cli.commands._shared.options import JsonOption
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.values import parse_model_type


def adopt(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the model is called at its server.")],
    dataset: Annotated[
        Path, typer.Option("--dataset", metavar="MANIFEST", help="The manifest beside the files it was trained on.")
    ],
    model_type: Annotated[
        str | None,
        typer.Option(
            "--model-type",
            "-m",
            metavar="TYPE",
            help="The decisions it learned; needed where the files hold several.",
            autocompletion=complete_model_types,
        ),
    ] = None,
    base: Annotated[str | None, typer.Option("--base", metavar="MODEL", help="The model it was made from.")] = None,
    json: JsonOption = False,
) -> None:
    """Register a model that was trained by hand on what `data export` wrote, so that what it learned is known.

    From then on `train eval` leaves those samples out, and gate, history and `data forget` know it as one of yours.
    """
    from reasoning_cli.commands.train._views import next_commands, trained_record
    from reasoning_cli.operations.train.adopt import adopt_model
    from reasoning_cli.operations.train.trained import find_trained

    session = session_of(ctx)
    chosen = None if model_type is None else parse_model_type(model_type)
    run = adopt_model(session.store, name, dataset, model_type=chosen, base=base, at=session.now())
    if json:
        session.terminal.json(trained_record(find_trained(session.store, str(run.number))))
        return
    samples = run.plan["samples"]
    count = samples.get("train", 0) if isinstance(samples, dict) else 0
    session.terminal.say(f"{name} is training run {run.number}, trained on {count:,} samples that are known here.")
    for hint in next_commands(run):
        session.terminal.hint(hint)
