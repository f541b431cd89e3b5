"""How a promotion looks: the gate, the plan, a look at it, and its end."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reasoning_cli.commands._shared.confirm import show_dry_run
from reasoning_cli.terminal.units import counted, money
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.promote.gate import Criterion
    from reasoning_cli.operations.promote.guardrails import Look, Promise
    from reasoning_cli.operations.promote.plan import PromotionPlan
    from reasoning_cli.operations.promote.rollback import BackPlan
    from reasoning_cli.store.promote.promotions import Promotion
    from reasoning_cli.terminal.console import Terminal

_MARKS = {True: "✓", False: "✗", None: "–"}


def criteria_lines(criteria: Sequence[Criterion], width: int) -> list[str]:
    """The gate: each rule, what was wanted, what was found, and what would help where it does not hold."""
    lines = ["The gate:"]
    for criterion in criteria:
        text = f"{_MARKS[criterion.passed]} {criterion.text}: {criterion.found} (wanted: {criterion.wanted})"
        lines += textwrap.wrap(text, max(20, width - 2), initial_indent="  ", subsequent_indent="    ")
        if criterion.passed is False and criterion.help:
            lines += textwrap.wrap(
                f"→ {criterion.help}", max(20, width - 2), initial_indent="    ", subsequent_indent="      "
            )
    return lines


def plan_facts(plan: PromotionPlan) -> list[tuple[str, str]]:
    """A promotion as a person decides on it."""
    from reasoning_cli.commands._shared.plan_views import plan_facts as deploy_facts
    from reasoning_cli.terminal.units import duration

    candidate, request = plan.candidate, plan.request
    run = f", of training run {candidate.run.number}" if candidate.run is not None else ""
    now = plan.old.model_name if plan.old is not None and plan.old_answers else "the original"
    for_long = f"{counted(request.hold, 'decision')} of it"
    if request.interval:
        for_long += f" and {duration(request.interval)}"
    shares = ", ".join("shadow" if step == 0 else f"{step} %" for step in request.steps)
    facts = [
        ("promote", f"{candidate.name}  to  {spell_model_type(plan.model_type)}{run}"),
        ("now", f"{now} answers"),
        ("steps", f"{shares} of the users; each for {for_long}"),
        ("back", promise_text(plan.promise, request.hold)),
        ("asked in", f"the {plan.form} form of prompts"),
        ("loser", _loser(plan)),
    ]
    if plan.deploy is None:
        return [*facts, ("cost", "nothing more: it is up already")]
    shown = ("endpoint", "hardware", "price", "idle", "budget")
    return [*facts, *(fact for fact in deploy_facts(plan.deploy) if fact[0] in shown)]


def _loser(plan: PromotionPlan) -> str:
    end = "stopped and kept" if plan.request.keep_loser else "stopped and deleted"
    if plan.old is not None:
        return f"{plan.old.model_name} is {end} at the end; the candidate, if it goes back"
    return f"the candidate is {end} if it goes back; the original is nothing to stop"


def promise_text(promise: Promise, hold: int) -> str:
    """When it goes back by itself."""
    contrary = f", {promise.contrary} if it decides the contrary" if promise.contrary is not None else ""
    return (
        f"by itself after {promise.broken} answers in a row that are no good; within {promise.half_broken} decisions if"
        f" every second is{contrary}, even after {hold} good ones"
    )


def promise_lines(promotion: Promotion) -> list[str]:
    """When it goes back by itself, said when the watch begins."""
    from reasoning_cli.operations.promote.guardrails import promise
    from reasoning_cli.operations.promote.transitions import gate_of, percents

    hold = int(str(promotion.plan["hold"]))
    found = promise(gate_of(promotion), len(percents(promotion)), hold)
    return [f"It goes back {promise_text(found, hold)}."]


def plan_record(plan: PromotionPlan) -> dict[str, object]:
    """The same for machines."""
    promise = plan.promise
    return {
        "model_type": plan.model_type,
        "model": plan.candidate.name,
        "run": plan.candidate.run.number if plan.candidate.run is not None else None,
        "answers_now": plan.old.model_name if plan.old is not None and plan.old_answers else "original",
        "steps": list(plan.request.steps),
        "hold_decisions": plan.request.hold,
        "interval_seconds": int(plan.request.interval.total_seconds()),
        "deploys": plan.deploy is not None,
        "added_cents_per_hour": 0 if plan.deploy is None else plan.deploy.added_cents_per_hour,
        "prompt_form": str(plan.form),
        "evaluation": plan.evaluation,
        "gate": [_criterion(criterion) for criterion in plan.criteria],
        "passes": all(criterion.passed is not False for criterion in plan.criteria),
        "back_after_broken": promise.broken,
        "back_within_half_broken": promise.half_broken,
        "back_within_contrary": promise.contrary,
    }


def _criterion(criterion: Criterion) -> dict[str, object]:
    return {
        "rule": criterion.key,
        "wanted": criterion.wanted,
        "found": criterion.found,
        "passed": criterion.passed,
        "help": criterion.help,
    }


def look_line(seen: Look) -> tuple[str, str]:
    """(where it stands, what it has shown there) for a line that moves."""
    from reasoning_cli.operations.promote.transitions import percents, step_text

    promotion = seen.promotion
    where = step_text(percents(promotion)[promotion.step])
    if seen.seen is None:
        return where, ""
    watched = seen.seen
    hold = int(str(promotion.plan["hold"]))
    parts = [f"{watched.asked:,} of {hold:,} decisions"]
    if watched.asked:
        parts.append(f"{watched.valid.estimate * 100:.0f} % valid")
    if watched.agreement.trials:
        parts.append(f"{watched.agreement.estimate * 100:.0f} % agreement")
    if watched.p95_ms is not None:
        parts.append(f"p95 {watched.p95_ms:,} ms")
    return where, ", ".join(parts)


def promotion_record(promotion: Promotion) -> dict[str, object]:
    """A promotion for machines."""
    from reasoning_cli.operations.promote.transitions import percents

    steps = percents(promotion)
    return {
        "number": promotion.number,
        "model_type": promotion.model_type,
        "model": promotion.model,
        "stage": promotion.stage,
        "percent": steps[promotion.step] if promotion.stage in ("watching", "finishing", "promoted") else 0,
        "steps": steps,
        "started_at": promotion.started_at,
        "finished_at": promotion.finished_at,
        "rolled_back_at": promotion.rolled_back_at,
        "run": promotion.run,
        "evaluation": promotion.evaluation,
        "by": promotion.by,
        "forced_by": promotion.forced_by,
        "why": promotion.why,
        "gate": list(promotion.gate),
    }


def show_going_on(terminal: Terminal, going: Promotion, *, json: bool) -> None:
    """What the same command typed again would do: nothing is begun anew. For a dry run."""
    facts = [("goes on", f"{going.model}, begun by {going.by}")]
    show_dry_run(terminal, facts, promotion_record(going), json=json)


def back_facts(plan: BackPlan) -> list[tuple[str, str]]:
    """A way back as a person decides on it."""
    from reasoning_cli.operations.deploy.rollout import Return

    promotion = plan.promotion
    facts = [("back to", plan.back_to), ("away", f"{promotion.model} is stopped")]
    if plan.deploy is not None and not isinstance(plan.deploy, Return):
        facts.append(("price", f"{money(plan.deploy.max_cents_per_hour)} an hour, for what is brought up again"))
    return facts


def sent_back_lines(done: Promotion, back_to: str) -> list[str]:
    """How it ended."""
    return [f"{back_to} answers {spell_model_type(done.model_type)} again; {done.model} is gone."]
