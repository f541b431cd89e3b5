"""`train init`: what to begin with, and what to expect."""

from __future__ import annotations

from typing import Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_model_types
from reasoning_cli.commands._shared.options import JsonOption
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.values import parse_model_type, spell_model_type


def init(
    ctx: typer.Context,
    model_type: Annotated[
        str | None,
        typer.Argument(
            metavar="TYPE", help="Default: the type with the most samples.", autocompletion=complete_model_types
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Recommend what to train with, say what to expect of it, and what would help more. Changes nothing."""
    from reasoning_cli.commands.train._run import slot_form
    from reasoning_cli.commands.train._views import plan_facts, plan_record
    from reasoning_cli.commands.train.start import window_of
    from reasoning_cli.operations.data.export.render import Rules
    from reasoning_cli.operations.data.export.run import ExportRequest
    from reasoning_cli.operations.train.plan import TrainRequest
    from reasoning_cli.operations.train.recommend import advise, fullest_type
    from reasoning_cli.store.samples.training_log import SampleFilter
    from reasoning_cli.terminal.progress import waiting

    session = session_of(ctx)
    terminal, now = session.terminal, session.now()
    name = parse_model_type(model_type) if model_type is not None else fullest_type(session.store, now)
    form, window = slot_form(session, name), window_of(session, name)
    export = ExportRequest(
        wanted=SampleFilter(model_types=(name,)),
        rules=Rules(forms={name: form}, max_tokens={name: window}),
        dedupe="near",
        split=(0.9, 0.1),
    )
    with waiting(terminal, "looking at the log and at what Together offers"):
        request = TrainRequest(name, export)
        found = advise(
            session.client, session.store, session.limits, request, now=now, slot_form=form, window_tokens=window
        )
    command = f"reasoning train start {spell_model_type(name)} --base {found.plan.base}"
    if not found.plan.export.request.split:
        command += " --split none"
    if json:
        terminal.json(
            {
                **plan_record(found.plan),
                "expectation": found.expectation,
                "reasons": list(found.reasons),
                "improvements": list(found.improvements),
                "command": None if found.refusal else command,
                "refused": found.refusal.message if found.refusal else None,
            }
        )
        return
    terminal.facts([*plan_facts(found.plan), ("expect", found.expectation)])
    terminal.print()
    terminal.say("Why:")
    terminal.facts([("-", reason) for reason in found.reasons])
    if found.improvements:
        terminal.say("What would help more:")
        terminal.facts([("-", improvement) for improvement in found.improvements])
    for warning in found.plan.warnings:
        terminal.warn(warning)
    if found.refusal is None:
        terminal.hint(f"begin: `{command}`")
        return
    terminal.note(f"Not yet: `reasoning train start` would refuse it: {found.refusal.message}")
    if found.refusal.hint:
        terminal.hint(found.refusal.hint)
