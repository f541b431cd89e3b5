"""`data forget`: every sample of a room, a person or an agent, gone, and what else still holds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands._shared.sample_views import STILL_READ
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session
    from reasoning_cli.operations.data.erasure import ForgetPlan, Request


def forget(
    ctx: typer.Context,
    room: Annotated[str | None, typer.Option(metavar="ID", help="Every decision of this room.")] = None,
    entity: Annotated[
        str | None, typer.Option(metavar="ID", help="Every decision this person took part in, by the id in its prompt.")
    ] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME|ID", help="Every decision of this agent.")] = None,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Every decision with this text, in small or capital letters.")
    ] = None,
    sample_id: Annotated[str | None, typer.Option("--id", metavar="DECISION", help="This one decision.")] = None,
    gone: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARCHIVE", help="This archive is deleted and is not looked for any more; may be repeated."
        ),
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Delete what somebody asked to be deleted, labels included, and say which exports still hold it.

    No import brings it back, unless it is told to with --include-forgotten.
    """
    from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
    from reasoning_cli.operations.data.erasure import Request, plan_forget, run_forget
    from reasoning_cli.store.samples.training_log import Samples
    from reasoning_cli.terminal.progress import Pace, waiting
    from reasoning_cli.terminal.units import counted

    session = session_of(ctx)
    terminal = session.terminal
    request = Request(room=room, entity=entity, agent=agent, text=text, sample_id=sample_id)
    _note_gone(session, gone or [])
    total, pace = Samples(session.store).count(), Pace()
    with waiting(terminal, "searching") as shown:
        plan = plan_forget(
            session.store,
            request,
            on_progress=lambda looked_at: shown.show("searching", pace.of(looked_at, total, "samples")),
        )
    facts, record = _facts(plan), _record(plan)
    if dry_run:
        show_dry_run(terminal, facts, record, json=json)
        return
    if not plan.numbers and not plan.archives.count and not plan.archives.unnamed:
        _refuse_what_is_left(session, plan.archives.out_of_reach)
        if json:
            terminal.json({**record, "deleted": 0, "deleted_from_archives": 0})
        else:
            terminal.say("No decision fits; nothing was changed.")
        return
    what = counted(len(plan.numbers), "sample")
    if plan.archives.count:
        what += f" of the log and {counted(plan.archives.count, 'sample')} of archives"
    if plan.archives.unnamed:
        what += f" and {counted(plan.archives.unnamed, 'file')} that no index names"
    ask_about(terminal, facts, f"Delete {what} for good?", yes=yes, show=not json)
    try:
        with waiting(terminal, "deleting") as shown:
            done = run_forget(
                session.store,
                plan,
                session.now(),
                on_progress=lambda gone: shown.show("deleting", f"{gone:,} of {len(plan.numbers):,}"),
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. What was deleted is gone; the same command deletes the rest.")
        raise
    if json:
        terminal.json({**record, "deleted": done.deleted, "deleted_from_archives": done.archived})
    else:
        archived = f" and {counted(done.archived, 'sample')} from archives" if done.archived else ""
        terminal.say(f"Deleted {counted(done.deleted, 'sample')}{archived}.")
    for line in _left_to_do(session, plan):
        terminal.hint(line)
    if not done.is_erased:
        terminal.warn(STILL_READ)
    _refuse_what_is_left(session, done.left)


def _note_gone(session: Session, addresses: list[str]) -> None:
    """Look no more for archives that somebody deleted."""
    from reasoning_cli.operations.data.archive.place import open_place
    from reasoning_cli.store.samples.archives import drop_archive, known_archives

    for address in addresses:
        if not drop_archive(session.store, open_place(address).address):
            known = ", ".join(known_archives(session.store)) or "none"
            raise NotFoundError(f"nothing was archived to `{address}`", f"archives of this log: {known}")


def _refuse_what_is_left(session: Session, left: Sequence[tuple[str, str]]) -> None:
    """Error for archives that still hold what was to go: the command is not done."""
    if not left:
        return
    for address, why in left:
        session.terminal.warn(f"the archive in {address} may still hold it: {why}")
    raise DataError(
        f"{len(left)} {'archive' if len(left) == 1 else 'archives'} could not be cleared",
        "the same command again when they are in reach; of one that is deleted: `--gone ARCHIVE`",
    )


def _facts(plan: ForgetPlan) -> list[tuple[str, str]]:
    from reasoning_cli.terminal.units import moment
    from reasoning_cli.values import spell_model_type

    types = ", ".join(f"{count:,} {spell_model_type(name)}" for name, count in plan.by_type.items())
    facts = [("samples", f"{len(plan.numbers):,}" + (f" ({types})" if types else ""))]
    if plan.oldest is not None and plan.newest is not None:
        facts.append(("from", moment(plan.oldest)))
        facts.append(("to", moment(plan.newest)))
    for archive in plan.archives.found:
        if archive.count:
            facts.append(
                ("archive", f"{archive.address} holds {archive.count:,} more in {len(archive.files):,} partitions")
            )
        if archive.unnamed:
            facts.append(("archive", f"{archive.address} holds {archive.unnamed:,} files that its index does not name"))
    for address, why in plan.archives.out_of_reach:
        facts.append(("archive", f"{address} cannot be looked into: {why}"))
    for export, held in plan.exports:
        facts.append(("export", f"{export.path or 'stdout'} of {moment(export.at)} holds {held:,} of them"))
    return facts


def _record(plan: ForgetPlan) -> dict[str, object]:
    return {
        "samples": len(plan.numbers),
        "by_type": dict(plan.by_type),
        "oldest": plan.oldest,
        "newest": plan.newest,
        "archives": [
            {"address": archive.address, "samples": archive.count, "partitions": len(archive.files)}
            for archive in plan.archives.found
        ],
        "archives_out_of_reach": [address for address, _ in plan.archives.out_of_reach],
        "exports": [
            {"path": export.path, "at": export.at, "sha256": export.sha256, "samples": held}
            for export, held in plan.exports
        ],
    }


def _what_sticks(request: Request) -> str:
    """What is kept of a request: the text that was looked for is not."""
    named = [("room", request.room), ("person", request.entity), ("agent", request.agent)]
    if who := [name for name, value in named if value is not None]:
        return f"these decisions, nor others of that {' or '.join(who)} up to now"
    return "these decisions (of the text nothing is kept)" if request.text is not None else "these decisions"


def _left_to_do(session: Session, plan: ForgetPlan) -> list[str]:
    """What this command cannot delete."""
    from reasoning_cli.store.train.runs import TrainingRuns
    from reasoning_cli.values import HEAD, head_training

    left = [
        f"no import brings back {_what_sticks(plan.request)}; the agent's own database still holds them: delete them"
        " there, too"
    ]
    if not plan.exports:
        return left
    runs = TrainingRuns(session.store).of_files([export.sha256 for export, _ in plan.exports])
    trained = {sha256 for run in runs for sha256 in (run.train_sha256, run.validation_sha256)}
    if paths := dict.fromkeys(export.path or "stdout" for export, _ in plan.exports if export.sha256 not in trained):
        left.append(
            f"delete what was exported ({', '.join(paths)}) and its copies, at Together too; a model that was"
            " fine-tuned on it keeps what it learned"
        )
    heads = [run for run in runs if run.method == HEAD]
    if heads:
        names = ", ".join(run.model_name or "" for run in heads)
        left.append(
            f"{names} learned from them and {'is' if len(heads) == 1 else 'are'} stale:"
            f" `{head_training(heads[-1].plan.get('max_error'))}` learns anew without them"
        )
    for run in (run for run in runs if run.method != HEAD):
        ends = "" if run.over else f"`reasoning train cancel {run.number}`, then "
        left.append(
            f"training run {run.number} sent them to Together: {ends}`reasoning train delete {run.number}` deletes them"
            " there; its model keeps what it learned"
        )
    return left
