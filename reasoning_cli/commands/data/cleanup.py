"""Keeping the training log in order: `data cleanup` and `data vacuum`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.options import DryRunOption, JsonOption, YesOption
from reasoning_cli.commands._shared.sample_options import TypesOption
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import ExitCode
from reasoning_cli.values import parse_model_type, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.data.retention import CleanupPlan, Retention


def cleanup(
    ctx: typer.Context,
    days: Annotated[int | None, typer.Option("--days", "-d", metavar="N", help="Keep the last N days.")] = None,
    max_samples: Annotated[
        int | None, typer.Option("--max-samples", metavar="N", help="Keep the newest N of each type.")
    ] = None,
    model_type: TypesOption = None,
    keep_labelled: Annotated[
        bool, typer.Option("--keep-labelled/--no-keep-labelled", help="Leave samples that somebody labelled.")
    ] = True,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Delete old samples and give the space back.

    With neither --days nor --max-samples, data.retention_days and data.max_samples_per_type say what is kept.
    """
    from reasoning_cli.operations.data.retention import Retention, plan_cleanup, run_cleanup
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.terminal.units import counted

    session = session_of(ctx)
    terminal = session.terminal
    typed = Retention(days, max_samples)
    plan = plan_cleanup(
        session.store,
        session.now(),
        retention_of(session) if typed == Retention() else typed,
        model_types=tuple(dict.fromkeys(parse_model_type(name) for name in model_type or ())),
        keep_labelled=keep_labelled,
    )
    record = _record(plan, dry_run=dry_run)
    if dry_run or not plan.count:
        if json:
            terminal.json({**record, "deleted": 0})
        else:
            for line in _plan_lines(plan):
                terminal.say(line)
        return
    what = f"{counted(plan.count, 'sample')} {_rule(plan)}"
    if not terminal.confirm(f"Delete {what}?{_protected(plan)}", yes=yes):
        terminal.note("Nothing was changed.")
        raise typer.Exit(ExitCode.FAILED)
    try:
        with waiting(terminal, "deleting") as shown:
            deleted = run_cleanup(
                session.store,
                plan,
                session.now(),
                on_progress=lambda gone: shown.show("deleting", f"{gone:,} of {plan.count:,}"),
            )
    except KeyboardInterrupt:
        terminal.note("Interrupted. What was deleted is gone; the same command goes on from there.")
        raise
    if json:
        terminal.json({**record, "deleted": deleted})
    else:
        terminal.say(f"Deleted {counted(deleted, 'sample')} {_rule(plan)}.{_protected(plan)}")


def retention_of(session: Session) -> Retention:
    """What the settings say is kept."""
    from reasoning_cli.operations.data.retention import Retention

    return Retention(session.settings.get(s.RETENTION_DAYS), session.settings.get(s.MAX_SAMPLES))


def _rule(plan: CleanupPlan) -> str:
    """Which samples go, as words after their number."""
    from reasoning_cli.terminal.units import counted, moment

    rules = []
    if plan.before is not None and plan.retention.days is not None:
        rules.append(f"older than {counted(plan.retention.days, 'day')} (before {moment(plan.before)})")
    if plan.retention.most is not None:
        rules.append(f"beyond the newest {plan.retention.most:,} of a type")
    return " or ".join(rules)


def _protected(plan: CleanupPlan) -> str:
    from reasoning_cli.terminal.units import counted

    return (
        f" {counted(plan.protected, 'labelled one')} among them stay{'s' if plan.protected == 1 else ''}."
        if plan.protected
        else ""
    )


def _plan_lines(plan: CleanupPlan) -> list[str]:
    from reasoning_cli.terminal.units import counted, moment

    since = f", the oldest from {moment(plan.oldest)}" if plan.oldest else ""
    lines = [f"{counted(plan.count, 'sample')} {_rule(plan)}{since}.{_protected(plan)}"]
    if len(plan.by_type) > 1:
        lines.append(
            ", ".join(f"{part.samples.count:,} {spell_model_type(name)}" for name, part in plan.by_type.items())
        )
    return lines


def _record(plan: CleanupPlan, *, dry_run: bool) -> dict[str, object]:
    return {
        "before": plan.before,
        "max_samples": plan.retention.most,
        "matching": plan.count,
        "labelled_kept": plan.protected,
        "by_type": {name: part.samples.count for name, part in plan.by_type.items()},
        "dry_run": dry_run,
    }
