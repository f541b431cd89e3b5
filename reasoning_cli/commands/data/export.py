"""`data export`: decisions as files to fine-tune on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_trainers
from reasoning_cli.commands._shared.options import DryRunOption, NewestOption
from reasoning_cli.commands._shared.sample_options import (
    AgentOption,
    DecidedOption,
    FromOption,
    LabelOption,
    RoomOption,
    SourceOption,
    TypesOption,
    filter_of,
)
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.commands._shared.training_options import (
    BalanceOption,
    CompactOption,
    MinConfidenceOption,
    RedactNamesOption,
    parse_confidence,
    parse_dedupe,
    parse_trainer,
    refuse_names_alone,
)
from reasoning_cli.errors import DataError, UsageError
from reasoning_cli.terminal.console import NobodyReads, lead_nowhere
from reasoning_cli.values import MODEL_TYPES, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session
    from reasoning_cli.operations.data.export.render import Format as DataFormat
    from reasoning_cli.operations.data.export.run import ExportReport, ExportRequest
    from reasoning_cli.operations.data.export.trainers import Trainer


# What a file may be called that this program never writes.
_NEVER_WRITTEN = ("gz", "zst", "xz", "bz2", "zip", "tsv", "xlsx", "arrow")


def export(
    ctx: typer.Context,
    model_type: TypesOption = None,
    every: Annotated[bool, typer.Option("--all", help="All three types in one file; so it is without -m.")] = False,
    fmt: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="jsonl, which a fine-tune takes, or json, parquet or csv, which not; default: by FILE's suffix.",
        ),
    ] = None,
    trainer: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="TRAINER",
            help="Whose lines: together, trl, axolotl or openai; other formats than jsonl are together's.",
            autocompletion=complete_trainers,
        ),
    ] = "together",
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE|-", help="Default: training-data-TYPE-DATE.jsonl here; - is stdout."
        ),
    ] = None,
    limit: NewestOption = None,
    since: Annotated[
        str | None,
        typer.Option("--since", "--start-date", metavar="WHEN", help="From then on: 2026-11-21, 7d or 24h."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", "--end-date", metavar="WHEN", help="Up to then; the whole of a day.")
    ] = None,
    agent: AgentOption = None,
    room: RoomOption = None,
    source: SourceOption = None,
    label: LabelOption = None,
    decision: DecidedOption = None,
    min_confidence: MinConfidenceOption = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Leave out longer samples (4 bytes a token); default: TYPE.window_tokens."),
    ] = None,
    dedupe: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="exact: keep one of each prompt; near: and of those that differ in clocks, ids, orders."
        ),
    ] = "none",
    redact: Annotated[
        bool, typer.Option(help="Placeholders for keys, e-mail, phone, card, address and the like; on by default.")
    ] = True,
    redact_names: RedactNamesOption = False,
    split: Annotated[
        str | None,
        typer.Option(metavar="0.9/0.1", help="FILE.train and FILE.validation (a third: test); no copies across."),
    ] = None,
    balance: BalanceOption = False,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="The same seed: the same split, choice and placeholders.")
    ] = None,
    compact: CompactOption = None,
    preference: Annotated[
        bool, typer.Option("--preference", help="Corrected decisions as pairs for dpo: the correction, the answer.")
    ] = False,
    sources: FromOption = None,
    engine: Annotated[
        str,
        typer.Option("--engine", metavar="ENGINE", help="Who writes with --from: ray://HOST:PORT or local."),
    ] = "local",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write the summary as JSON.")] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Write decisions as a file to fine-tune on (Together's conversational format, or --for another's), checked line by
    line."""
    from dataclasses import replace

    from reasoning_cli.commands._shared.sample_views import report
    from reasoning_cli.commands.data._export_views import export_lines, export_record
    from reasoning_cli.operations.data.export.files import target_name
    from reasoning_cli.operations.data.export.render import Rules
    from reasoning_cli.operations.data.export.run import ExportRequest, export_samples
    from reasoning_cli.operations.data.export.split import parse_split
    from reasoning_cli.terminal.listing import to_json
    from reasoning_cli.terminal.progress import Pace, waiting

    session = session_of(ctx)
    terminal = session.terminal
    _refuse_contradictions(every and bool(model_type), preference, label, output)
    chosen, deduped = _format(fmt, output), parse_dedupe(dedupe)
    reader = _trainer(trainer, chosen)
    _refuse_nothing(max_tokens)
    refuse_names_alone(redact=redact, redact_names=redact_names)
    label = "corrected" if preference else label
    wanted = replace(
        filter_of(session, model_type, agent, room, source, label, decision, since, until),
        limit=limit,
        min_confidence=parse_confidence(min_confidence),
    )
    forms, windows = _forms(session, compact), _windows(session, max_tokens)
    request = ExportRequest(
        wanted=wanted,
        rules=Rules(chosen, forms, windows, preference, _salt(session, redact, seed), redact_names, trainer=reader),
        dedupe=deduped,
        balance=balance,
        split=parse_split(split) if split is not None else (),
        seed=seed or 0,
        seeded=seed is not None,
    )
    if sources or engine != "local":
        _from_archives(session, sources or [], engine, output, request, (force, dry_run, json))
        return
    now = session.now()
    to_stdout = output == "-"
    if to_stdout and terminal.out_is_closed:
        raise DataError("stdout is closed, and the samples were to go there", "name a file: `-o FILE`")
    target = Path(output or target_name(wanted, chosen, now.astimezone().date()))
    try:
        with waiting(terminal, "exporting") as shown:
            pace = Pace()
            done = export_samples(
                session.store,
                sys.stdout.buffer if to_stdout else target,
                request,
                now=now,
                overwrite=force,
                dry_run=dry_run,
                on_progress=lambda count, total: shown.show("exporting", pace.of(count, total, "samples")),
            )
    except BrokenPipeError:
        lead_nowhere(sys.stdout)
        raise NobodyReads from None
    except KeyboardInterrupt:
        terminal.note("Interrupted. " + ("What is on stdout is not whole." if to_stdout else "Nothing was written."))
        raise
    if not json:
        report(terminal, *export_lines(done, _differences(session, request, done.by_type)), to_out=not to_stdout)
        if not dry_run and not to_stdout:
            terminal.hint(_next_step(done))
    elif to_stdout:
        terminal.note(to_json(export_record(done)))
    else:
        terminal.json(export_record(done))


def _from_archives(
    session: Session,
    sources: list[str],
    engine: str,
    output: str | None,
    request: ExportRequest,
    how: tuple[bool, bool, bool],
) -> None:
    """Write samples of archives as shards into a folder or a bucket."""
    from reasoning_cli.commands._shared.sample_views import report
    from reasoning_cli.commands.data._export_views import export_lines, export_record
    from reasoning_cli.operations.data.export.archived import PHASES, export_archived, open_sources
    from reasoning_cli.operations.data.export.engines import parse_engine
    from reasoning_cli.operations.data.export.files import target_name
    from reasoning_cli.terminal.progress import Phases, waiting

    terminal, (force, dry_run, json) = session.terminal, how
    if not sources:
        raise UsageError("an engine is for archives", "name one: `--from FOLDER`, or leave --engine out")
    if request.rules.fmt != "jsonl" or output == "-" or Path(output or "").suffix == ".jsonl":
        raise UsageError(
            "of archives a folder of shards is written, in jsonl", "`-o FOLDER` or `-o s3://BUCKET/FOLDER`"
        )
    now = session.now()
    target = output or Path(target_name(request.wanted, "jsonl", now.astimezone().date())).stem
    try:
        with waiting(terminal, "exporting") as shown:
            done = export_archived(
                session.store,
                open_sources(session.store, sources),
                target,
                request,
                now=now,
                engine=parse_engine(engine),
                overwrite=force,
                dry_run=dry_run,
                on_progress=Phases(shown, PHASES),
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. Shards that are done stay; the same command goes on with the others.")
        raise
    if json:
        terminal.json(export_record(done))
    else:
        report(terminal, *export_lines(done, _differences(session, request, done.by_type)), to_out=True)


def _format(text: str | None, output: str | None) -> DataFormat:
    """What was typed, else what the name of the file says, else jsonl. UsageError where they contradict each other."""
    from reasoning_cli.operations.data.export.render import FORMATS

    suffix = Path(output or "").suffix.lower().removeprefix(".")
    by_name = next((known for known in FORMATS if known == suffix), None)
    found = next((known for known in FORMATS if known == text), None) if text is not None else by_name or "jsonl"
    if found is None:
        raise UsageError(f"`{text}` is not a format for training data", f"there are {', '.join(FORMATS)}")
    if by_name not in (None, found) or suffix in _NEVER_WRITTEN:
        raise UsageError(f"`{output}` would be called {suffix} and hold {found}", f"name it `….{found}`")
    return found


def _trainer(text: str, fmt: DataFormat) -> Trainer:
    """Who the file is for. UsageError for nobody we know, and where the format is none of theirs."""
    found = parse_trainer(text)
    if found != "together" and fmt != "jsonl":
        raise UsageError(f"--for {found} writes jsonl, and {fmt} was asked for", "leave --for out, or write `….jsonl`")
    return found


def _next_step(done: ExportReport) -> str:
    """What to do with the files of an export."""
    from reasoning_cli.operations.data.export.trainers import NAMES, how_to_load

    trainer = done.request.rules.trainer
    if trainer == "together":
        name = spell_model_type(next(iter(done.by_type))) if len(done.by_type) == 1 else "TYPE"
        return f"a training exports by itself; its plan and price: `reasoning train start {name} --dry-run`"
    first, preference = done.files[0], done.request.rules.preference
    loading = how_to_load(trainer, str(first.path), first.size_bytes, preference=preference)
    return f"this is for {NAMES[trainer]}: {loading}; `reasoning data check` judges by Together's rules"


def _refuse_contradictions(types: bool, preference: bool, label: str | None, output: str | None) -> None:
    """UsageError for words that cannot be meant together; `types` are named beside all of them."""
    if types:
        raise UsageError("--all and --model-type contradict each other", "leave one of them out")
    if preference and label not in (None, "corrected"):
        raise UsageError("preferences are made of corrected decisions alone", "leave --label out")
    if output == "":
        raise UsageError("the output has no name", "`-o FILE`, or `-o -` for stdout")


def _refuse_nothing(max_tokens: int | None) -> None:
    """UsageError for a figure under which no sample is left."""
    if max_tokens is not None and max_tokens < 1:
        raise UsageError(f"--max-tokens {max_tokens} would export nothing", "give a number from 1 on")


def _salt(session: Session, redact: bool, seed: int | None) -> str | None:
    """What placeholders are made with, the same for a seed; None where nothing is redacted."""
    from reasoning_cli.operations.data.export.run import new_salt
    from reasoning_cli.store.samples.exports import seeded_salt

    if not redact:
        return None
    return new_salt() if seed is None else seeded_salt(session.store, seed)


def _forms(session: Session, compact: bool | None) -> dict[str, str]:
    """The form of the prompts of each type: what was typed, else what the slot's model is asked."""
    from reasoning_cli import settings as s

    return {
        model_type: str(session.settings.get(s.PROMPT_FORM[model_type]))
        if compact is None
        else "compact"
        if compact
        else "exact"
        for model_type in MODEL_TYPES
    }


def _windows(session: Session, max_tokens: int | None) -> dict[str, int]:
    from reasoning_cli import settings as s

    return {model_type: max_tokens or session.settings.get(s.WINDOW_TOKENS[model_type]) for model_type in MODEL_TYPES}


def _differences(session: Session, request: ExportRequest, types: Mapping[str, int]) -> list[str]:
    """Where what is trained is not what the slot's model will be asked."""
    from reasoning_cli import settings as s

    return [
        f"{spell_model_type(model_type)} is exported {form}, and its slot asks"
        f" {session.settings.get(s.PROMPT_FORM[model_type])}:"
        f" `reasoning config set {model_type}.prompt_form {form}` before this model serves"
        for model_type, form in request.rules.forms.items()
        if model_type in types and form != session.settings.get(s.PROMPT_FORM[model_type])
    ]
