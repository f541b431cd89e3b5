"""`data forget`: every sample of a room, a person or an agent, gone, and what else still holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands._shared.sample_views import STILL_READ
from reasoning_cli.commands._shared.session import session_of

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
    if not plan.numbers:
        if json:
            terminal.json({**record, "deleted": 0})
        else:
            terminal.say("No decision fits; nothing was changed.")
        return
    what = counted(len(plan.numbers), "sample")
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
        terminal.json({**record, "deleted": done.deleted})
    else:
        terminal.say(f"Deleted {counted(done.deleted, 'sample')}.")
    for line in _left_to_do(session, plan):
        terminal.hint(line)
    if not done.is_erased:
        terminal.warn(STILL_READ)


def _facts(plan: ForgetPlan) -> list[tuple[str, str]]:
    from reasoning_cli.terminal.units import moment
    from reasoning_cli.values import spell_model_type

    types = ", ".join(f"{count:,} {spell_model_type(name)}" for name, count in plan.by_type.items())
    facts = [("samples", f"{len(plan.numbers):,}" + (f" ({types})" if types else ""))]
    if plan.oldest is not None and plan.newest is not None:
        facts.append(("from", moment(plan.oldest)))
        facts.append(("to", moment(plan.newest)))
    for export, held in plan.exports:
        facts.append(("export", f"{export.path or 'stdout'} of {moment(export.at)} holds {held:,} of them"))
    return facts


def _record(plan: ForgetPlan) -> dict[str, object]:
    return {
        "samples": len(plan.numbers),
        "by_type": dict(plan.by_type),
        "oldest": plan.oldest,
        "newest": plan.newest,
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
