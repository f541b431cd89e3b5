"""Label decisions from a script or a file: `data label`, and what was labelled: `data labels`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import (
    DryRunOption,
    FormatOption,
    JsonOption,
    LimitOption,
    QuietOption,
    chosen_format,
    typed,
)
from reasoning_cli.commands._shared.sample_options import (
    AnnotatorOption,
    DecisionArgument,
    DecisionsArgument,
    who_labels,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import DataError, ExitCode, NotFoundError, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_text

_Labelled = tuple[str, str | None, bool]  # the sample, its label now, whether that is new


def label(
    ctx: typer.Context,
    ids: DecisionsArgument = None,
    good: Annotated[bool, typer.Option("--good", help="The answer is right.")] = False,
    bad: Annotated[bool, typer.Option("--bad", help="The answer is wrong; nothing is trained on it.")] = False,
    none: Annotated[bool, typer.Option("--none", help="Take the label away.")] = False,
    answer: Annotated[
        str | None,
        typer.Option("--answer", metavar="TEXT|FILE|-", help="What should have been answered; - reads stdin."),
    ] = None,
    decision: Annotated[
        str | None,
        typer.Option("--decision", metavar="STOP|REPLY|…", help="What should have been decided."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last change back.")] = False,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why; kept with the change.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE", help="Labels from a CSV or JSONL file: id, label, answer, decision, note."
        ),
    ] = None,
    by: AnnotatorOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Label decisions good or bad, or put the right answer in the place of the one that was given."""
    from reasoning_cli.operations.data.labels import Verdict, label_samples

    session = session_of(ctx)
    labels = [name for name, chosen in (("good", good), ("bad", bad), ("none", none)) if chosen]
    chosen = [*labels, *(given for given in (answer, decision) if given is not None), *([undo] if undo else [])]
    who, now = who_labels(by), session.now()
    if source is not None:
        if ids or chosen or note is not None:
            raise UsageError("--from FILE says itself what is labelled how", "leave the ids and labels out")
        _from_file(session, source, who, dry_run=dry_run, json=json)
        return
    if not ids:
        raise UsageError(
            "which decision?", "`reasoning data label DECISION --good`; ids are shown by `reasoning data list`"
        )
    _expect_one(chosen)
    if note is not None:
        note = typed(parse_text, note, '--note "should have asked back"')
    ids = list(dict.fromkeys(ids))
    if undo:
        if dry_run or note is not None:
            raise UsageError(
                "--undo takes no --note and no --dry-run", "see what it undoes with `reasoning data labels`"
            )
        outcome = _undo(session, ids, who)
    else:
        verdict = Verdict(labels[0] if labels else None, _answer(answer), decision, note)
        done = label_samples(session.store, ids, verdict, at=now, by=who, dry_run=dry_run)
        outcome = [(labelling.sample_id, labelling.label, changed) for labelling, changed in done]
    if json:
        session.terminal.json(
            [{"id": sample, "label": made, "changed": changed, "dry_run": dry_run} for sample, made, changed in outcome]
        )
    else:
        _say(session, outcome, undo=undo, dry_run=dry_run)


def _undo(session: Session, ids: Sequence[str], who: str) -> list[_Labelled]:
    from reasoning_cli.operations.data.labels import take_back

    now = session.now()
    samples = [take_back(session.store, typed, at=now, by=who) for typed in ids]
    return [(sample.id, sample.label, True) for sample in samples]


def _say(session: Session, outcome: Sequence[_Labelled], *, undo: bool, dry_run: bool) -> None:
    """How many decisions changed, to what, and how many were so already."""
    from reasoning_cli.terminal.units import counted

    changes = sum(changed for _, _, changed in outcome)
    made = outcome[0][1] or "without a label"
    begin = "Would label" if dry_run else "Undone:" if undo else "Labelled"
    same = len(outcome) - changes
    session.terminal.say(
        f"{begin} {counted(changes, 'decision')}{'' if undo else f' {made}'}"
        + (f"; {same:,} had that label already" if same else "")
        + "."
    )


def _expect_one(chosen: Sequence[object]) -> None:
    if len(chosen) != 1:
        raise UsageError(
            "how should it be labelled?" if not chosen else "these labels exclude each other",
            "one of --good, --bad, --none, --answer, --decision and --undo",
        )


def labels(
    ctx: typer.Context,
    sample: DecisionArgument = None,
    by: Annotated[
        str | None, typer.Option("--annotator", metavar="NAME", help="Only what this person labelled.")
    ] = None,
    limit: LimitOption = 20,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Who labelled what, when, and what it was before; the newest first."""
    from reasoning_cli.commands.data._browse_views import label_listing
    from reasoning_cli.operations.data.browse import whole_id
    from reasoning_cli.store.samples.labels import Labels

    session = session_of(ctx)
    store = session.store
    whole = whole_id(store, sample) if sample is not None else None
    found = Labels(store).history(whole, by=by, limit=limit)
    session.terminal.show(
        label_listing(found), chosen_format(fmt, json), quiet=quiet, empty="Nothing was labelled yet."
    )


def _from_file(session: Session, source: str, who: str, *, dry_run: bool, json: bool) -> None:
    from dataclasses import asdict

    from reasoning_cli.operations.data.labels import label_from_file, open_text
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted

    terminal = session.terminal
    content = _read(source)
    fmt = "jsonl" if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else "csv"
    try:
        with waiting(terminal, f"labelling from {source}"):
            report = label_from_file(session.store, open_text(content), fmt, at=session.now(), by=who, dry_run=dry_run)
    except KeyboardInterrupt:
        terminal.note("Interrupted. What was labelled stays; the same command adds the rest.")
        raise
    if json:
        terminal.json({**asdict(report), "dry_run": dry_run})
    else:
        made = ", ".join(f"{count:,} {name}" for name, count in report.changed.items())
        terminal.say(
            f"{'Would label' if dry_run else 'Labelled'} {counted(sum(report.changed.values()), 'decision')}"
            f"{f' ({made})' if made else ''}; {report.unchanged:,} had that label already."
        )
    for line in report.bad_lines:
        terminal.warn(f"line {line.number:,} labels nothing: {line.why}")
    if report.bad > len(report.bad_lines):
        terminal.warn(f"and {counted(report.bad - len(report.bad_lines), 'more line')}")
    if report.bad:
        raise typer.Exit(ExitCode.FAILED)


def _answer(text: str | None) -> str | None:
    """The answer itself: from stdin, from a file of that name, or as it was typed."""
    if text is None:
        return None
    if text != "-" and ("\n" in text or "<" in text or not _is_file(text)):
        return text
    try:
        return _read(text).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"`{text}` is not UTF-8 text") from error


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a name, or no name at all
        return False


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file `{source}`") from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read `{source}`: {getattr(error, 'strerror', None) or error}") from error
