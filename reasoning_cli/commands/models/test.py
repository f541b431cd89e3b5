"""Ask a deployed model something, to see whether it is any good."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands._shared.model_options import TypeArgument
from reasoning_cli.commands._shared.options import JsonOption
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.errors import DataError, ExitCode, ReasoningError
from reasoning_cli.values import parse_model_type, spell_model_type


def test(
    ctx: typer.Context,
    model_type: TypeArgument,
    prompt: Annotated[
        Path | None,
        typer.Option("--prompt", metavar="FILE", help="Ask this; default: the newest decision of the log."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Ask a deployed model a real decision, and check the answer as the agent would. Exit code 1 when it is invalid."""
    from dataclasses import asdict

    from reasoning_cli import settings as s
    from reasoning_cli.operations.deploy.own_server import own_server
    from reasoning_cli.operations.deploy.smoke_test import Question, choose_question, try_model

    session, wanted = session_of(ctx), parse_model_type(model_type)
    terminal = session.terminal
    if prompt is not None:
        try:
            question = Question(prompt.read_text(encoding="utf-8"), "a file")
        except UnicodeDecodeError as error:
            raise DataError(f"`{prompt}` is not UTF-8 text: {error.reason}", "give a text file") from error
    else:
        question = choose_question(session.store, wanted, str(session.settings.get(s.PROMPT_FORM[wanted])))
    server = own_server(session.settings, wanted)
    trial = try_model(lambda: session.client, session.store, server, wanted, question)
    milliseconds = round(trial.latency.total_seconds() * 1000)
    if json:
        terminal.json(
            {
                "model_type": wanted,
                "model": trial.model_name,
                "serving_name": trial.serving_name,
                "asked": question.source,
                "valid": trial.is_valid,
                "decision": trial.decision,
                "answer": asdict(trial.answer),
                "latency_ms": milliseconds,
                "prompt_tokens": trial.prompt_tokens,
                "completion_tokens": trial.completion_tokens,
                "answered_as": trial.answered_as,
                "output": trial.output,
            }
        )
    else:
        terminal.facts(
            [
                ("model", f"{trial.model_name}, as {spell_model_type(wanted)}"),
                ("asked", question.source),
                (
                    "took",
                    f"{milliseconds} ms, {trial.prompt_tokens or 0} tokens in, {trial.completion_tokens or 0} out",
                ),
                ("answer", "valid" if trial.is_valid else "INVALID"),
                *((name, _words(value)) for name, value in asdict(trial.answer).items() if value),
            ]
        )
    if trial.is_another_model:
        terminal.error(
            ReasoningError(
                f"asked for `{trial.serving_name}`, the server answers as `{trial.answered_as}`",
                f"`reasoning config set {wanted}.model {trial.answered_as}`, or load the model that is meant",
            )
        )
    if not trial.is_valid or trial.is_another_model:
        raise typer.Exit(ExitCode.FAILED)


def _words(value: object) -> str:
    """A part of an answer on one line."""
    return ", ".join(value) if isinstance(value, tuple) else " ".join(str(value).split())
