"""`data import`: take in what an agent decided already."""

from __future__ import annotations

import re
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.completion import complete_model_types
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, SinceOption, UntilOption, YesOption
from reasoning_cli.commands._shared.sample_options import (
    AgentOption,
    IncludeForgottenOption,
    RoomOption,
    ask_for_forgotten,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import UsageError
from reasoning_cli.redact import bare_address
from reasoning_cli.settings import environment
from reasoning_cli.values import parse_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.data.ingest.pipeline import ImportOptions, ImportReport
    from reasoning_cli.sources.rows import Source
    from reasoning_cli.terminal.progress import Waiting


class SourceFormat(StrEnum):
    """What `--format` takes; known here so that `--help` reads no store."""

    ELIZAOS = "elizaos"
    REQUESTS = "requests"
    CHAT = "chat"


def import_(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file (- is stdin), the postgresql:// address of an ElizaOS agent's database, the http:// address of"
            " its server, or its PGlite folder.",
        ),
    ],
    fmt: Annotated[
        SourceFormat | None,
        typer.Option(
            "--format", "-f", help="elizaos: rows of `logs`; requests: recorded calls. Default: seen in each row."
        ),
    ] = None,
    model_type: Annotated[
        str | None,
        typer.Option(
            "--model-type",
            "-m",
            metavar="TYPE",
            help="The type of chat lines whose prompt does not show it.",
            autocompletion=complete_model_types,
        ),
    ] = None,
    agent: AgentOption = None,
    room: RoomOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-l", metavar="N", help="Stop after N new ones; the next import goes on.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Read from the start, not from where it ended.")] = False,
    include_forgotten: IncludeForgottenOption = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail at the first line that cannot be read.")] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Take in decisions an agent made already, each once; the same source again adds what is new."""
    from reasoning_cli.commands.data._import_views import import_record, progress_line, show_import
    from reasoning_cli.gateway.log.recorded_call import read_exchange
    from reasoning_cli.operations.costs.date_range import parse_bounds
    from reasoning_cli.operations.data.ingest.pipeline import ImportOptions, import_decisions
    from reasoning_cli.operations.data.redact import on_write
    from reasoning_cli.terminal.progress import waiting

    session = session_of(ctx)
    terminal, now = session.terminal, session.now()
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit} would import nothing", "give a number from 1 on, or leave it out for all")
    begin, end = parse_bounds(since, until, now)
    options = ImportOptions(
        fmt=fmt.value if fmt is not None else None,
        model_type=parse_model_type(model_type) if model_type is not None else None,
        agent=agent,
        room=room,
        since=begin,
        until=end,
        limit=limit,
        again=again,
        include_forgotten=include_forgotten,
        strict=strict,
        dry_run=dry_run,
        redact=on_write(session.store) if session.settings.get(s.REDACT_ON_WRITE) else None,
    )
    if include_forgotten and not dry_run:
        ask_for_forgotten(terminal, yes=yes)
    state, begun = f"reading {bare_address(source) if '://' in source else source}", time.monotonic()
    with waiting(terminal, state) as shown:
        opened = _opened(session, source, options, shown)
        try:
            done = import_decisions(
                opened,
                session.store,
                options,
                read_exchange=read_exchange,
                rejects=_rejects(session, source),
                now=now,
                on_progress=lambda report: shown.show(state, progress_line(report, time.monotonic() - begun)),
            )
        except KeyboardInterrupt:
            rest = "Nothing was stored." if dry_run else "What was stored stays; the same command adds the rest."
            terminal.note(f"Interrupted. {rest}")
            raise
    if json:
        terminal.json(import_record(done))
    else:
        show_import(terminal, done)
    _warn(session, done)
    if done.added and not (dry_run or json):
        terminal.hint("look at them: `reasoning data list`; what they are worth to train on: `reasoning data stats`")


def _opened(session: Session, text: str, options: ImportOptions, shown: Waiting) -> Source:
    from reasoning_cli.sources.elizaos_server import TOKEN_VARIABLE
    from reasoning_cli.sources.opening import open_source
    from reasoning_cli.sources.rows import Wanted

    def ask_token() -> str:
        with shown.paused():
            return session.prompter.secret("Token of this ElizaOS server:")

    return open_source(
        text,
        Wanted(agent=options.agent, since=options.since),
        stdin=sys.stdin.buffer,
        token=environment().get(TOKEN_VARIABLE, "").strip() or None,
        ask_token=ask_token if session.terminal.can_ask else None,
        plain_http=session.settings.get(s.PLAIN_HTTP),
    )


def _rejects(session: Session, source: str) -> Path:
    """Where bad lines are kept: named after the source, without what an address may hold of secrets."""

    shown = bare_address(source) if "://" in source else Path(source).name
    name = re.sub(r"[^\w.]+", "-", shown).strip("-.")[-60:] or "stdin"
    at = session.now().strftime("%Y%m%d-%H%M%S")
    return session.settings.paths.data_dir / "rejects" / f"{name}-{at}.jsonl"


def _warn(session: Session, done: ImportReport) -> None:
    from reasoning_cli.terminal.units import counted

    for bad in done.bad_lines:
        session.terminal.warn(f"line {bad.number:,} was not read: {bad.why}")
    if done.bad > len(done.bad_lines):
        session.terminal.warn(f"and {counted(done.bad - len(done.bad_lines), 'more line')}")
