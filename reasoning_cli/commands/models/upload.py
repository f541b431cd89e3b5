"""Bring the weights of a model to Together."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.completion import complete_names
from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, YesOption, typed
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.models._upload_views import Record, show_uploaded
from reasoning_cli.errors import ExitCode, UsageError
from reasoning_cli.values import parse_duration

if TYPE_CHECKING:
    from reasoning_cli.operations.weights.upload import Step

TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


class Kind(StrEnum):
    """What is uploaded: whole weights, or an adapter to its base."""

    MODEL = "model"
    ADAPTER = "adapter"


def upload(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called, without a slash.")],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="DIR|HF_REPO|URL",
            help="A folder (./DIR), a Hugging Face repository, an archive's address.",
        ),
    ],
    base: Annotated[
        str, typer.Option("--base", metavar="MODEL", help="The model it was made from.", autocompletion=complete_names)
    ],
    kind: Annotated[Kind, typer.Option("--kind", help="Whole weights, or a LoRA adapter.")] = Kind.MODEL,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the Hugging Face token from standard input; else HF_TOKEN.")
    ] = False,
    wait: Annotated[
        str, typer.Option("--timeout", metavar="2h", help="Give up waiting for Together after this long.")
    ] = "2h",
    abort: Annotated[
        bool, typer.Option("--abort", help="Forget a folder's upload that was begun and not finished.")
    ] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Send a folder of weights, or let Together fetch them, and wait until they are valid. Running it again goes on."""
    from reasoning_cli.commands.models._upload_local import abort_sending, send
    from reasoning_cli.operations.weights.folder import local_folder

    session = session_of(ctx)
    limit: timedelta = typed(parse_duration, wait, "--timeout 2h")
    folder = local_folder(source)
    if folder is None and abort:
        raise UsageError("--abort is for the upload of a folder", "what Together fetches goes on there by itself")
    if folder is None:
        _fetch(session, name, source, base, kind, token_stdin, limit, yes=yes, dry_run=dry_run, json=json)
    elif token_stdin:
        raise UsageError("a folder needs no Hugging Face token", "leave --token-stdin away")
    elif abort:
        abort_sending(session, name, yes=yes, dry_run=dry_run, json=json)
    else:
        send(session, name, folder, base, kind.value, limit, yes=yes, dry_run=dry_run, json=json)


def _fetch(
    session: Session,
    name: str,
    source: str,
    base: str,
    kind: Kind,
    token_stdin: bool,
    limit: timedelta,
    *,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> None:
    """Let Together fetch the weights from elsewhere."""
    from reasoning_cli.operations.weights.upload import Patience, plan_upload, run_upload
    from reasoning_cli.redact import remember
    from reasoning_cli.settings import environment
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import clock_duration

    terminal = session.terminal
    plan = plan_upload(session.client, name, source, base, kind.value)
    facts = [
        ("upload", f"{plan.url}  as  {plan.name}"),
        ("base", plan.base.name),
        ("type", plan.kind),
    ]
    if plan.model is not None:
        state = "is there already" if plan.is_done else "was begun before, and goes on"
        facts.append(("there", f"{plan.model.name} {state}"))
    record: Record = {"name": plan.name, "url": plan.url, "base": plan.base.name, "type": plan.kind}
    if dry_run:
        show_dry_run(terminal, facts, {**record, "done": plan.is_done}, json=json)
        return
    if not plan.is_done:
        ask_about(terminal, facts, "Upload it?", yes=yes, show=False)
    variables = environment()
    token = terminal.input.readline().strip() if token_stdin else None
    token = token or next((variables[variable] for variable in TOKEN_VARIABLES if variables.get(variable)), None)
    if token is not None:
        remember(token)
        session.settings.keep_from_folder(s.BASE_URL, "the Hugging Face token")
    try:
        with waiting(terminal, f"uploading {name}") as shown:

            def notify(step: Step) -> None:
                shown.show(f"{name}: {step.text}", clock_duration(step.elapsed))

            patience = Patience(session.poll_seconds, limit, session.sleep, notify)
            model, revision = run_upload(session.client, plan, token, patience)
    except KeyboardInterrupt:
        terminal.note(f"Stopped waiting. Together goes on fetching {name}; it costs nothing.")
        terminal.hint("go on waiting: the same command again")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    show_uploaded(session, model, revision, record, json=json)
