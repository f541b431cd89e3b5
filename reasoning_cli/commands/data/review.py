"""`data review`: one decision at a time, a key for each thing to say of it."""

from __future__ import annotations

from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import SinceOption, UntilOption
from reasoning_cli.commands._shared.sample_options import (
    AgentOption,
    AnnotatorOption,
    DecidedOption,
    LabelOption,
    RoomOption,
    SampleSeedOption,
    SourceOption,
    TypesOption,
    filter_of,
    who_labels,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import NotFoundError, UsageError


def review(
    ctx: typer.Context,
    model_type: TypesOption = None,
    agent: AgentOption = None,
    room: RoomOption = None,
    source: SourceOption = None,
    label: LabelOption = None,
    decision: DecidedOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="Only N of them, drawn at random, once.")
    ] = None,
    seed: SampleSeedOption = 0,
    evaluation: Annotated[
        int | None,
        typer.Option("--evaluation", metavar="NUMBER", help="Those on which a model differed in `train eval`."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that have a label.")] = False,
    by: AnnotatorOption = None,
) -> None:
    """Go through decisions one by one: accept, reject or correct what was answered. Typed again, it goes on."""
    from reasoning_cli.operations.data.review import Asked, Review

    session = session_of(ctx)
    terminal = session.terminal
    wanted = filter_of(session, model_type, agent, room, source, label, decision, since, until)
    if not terminal.can_ask:
        raise UsageError(
            "a review needs a terminal, to show decisions and to read keys",
            "a script labels with `reasoning data label DECISION --good`, or `--from FILE`",
        )
    again = again or wanted.label not in (None, "none")
    typed = repr((wanted.model_types, agent, room, source, wanted.label, decision, since, until))
    asked = Asked(wanted, typed, sample, seed, again, None if evaluation is None else _disagreeing(session, evaluation))
    walk = Review(session.store, asked, by=who_labels(by), now=session.now)
    if not walk.progress.total:
        terminal.note("No decisions match.")
        return
    from reasoning_cli.commands.data._review_screen import Screen

    screen = Screen(terminal, walk)
    try:
        screen.run()
    except KeyboardInterrupt:
        terminal.note(f"Interrupted. {screen.said()} What was labelled is kept; the same command goes on.")
        raise
    terminal.say(screen.said())
    left = walk.progress.total - walk.progress.done
    terminal.note(f"{left:,} left; the same command goes on with them." if left else "That was all of them.")


def _disagreeing(session: Session, number: int) -> tuple[str, ...]:
    """The decisions on which a model of an evaluation differed from what is held to be right."""
    from reasoning_cli.store.evaluate.evaluations import Evaluations

    evaluations = Evaluations(session.store)
    if evaluations.get(number) is None:
        raise NotFoundError(f"there is no evaluation {number}", "`reasoning train evals` lists them")
    return tuple(evaluations.disagreeing(number))
