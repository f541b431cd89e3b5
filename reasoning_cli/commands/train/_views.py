"""How training looks: the plan, one line of progress, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reasoning_cli.terminal.listing import Column, Kind
from reasoning_cli.terminal.units import clock_duration, counted, duration, moment, money, percent, spark, whole_cents
from reasoning_cli.values import COMMAND, HEAD, TOGETHER, head_training, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.train.plan import TrainingPlan
    from reasoning_cli.operations.train.run import Asked, Progress
    from reasoning_cli.operations.train.trained import Trained
    from reasoning_cli.store.train.runs import TrainingRun

Fact = tuple[str, str]

_DECISIONS = 6  # told apart in a plan
_REASONS = 4  # for leaving something out
_STEPS = 24  # of a curve
_METHODS = {"sft": "examples (sft)", "dpo": "preferences (dpo)"}


# --- a plan ---


def plan_facts(plan: TrainingPlan) -> list[Fact]:
    """A training as a person decides on it."""
    from reasoning_cli.commands._shared.cost_views import budget_text

    figures, export = plan.figures, plan.export
    left_out = sum(export.left_out.values())
    facts = [
        ("train", f"{spell_model_type(plan.model_type)}  on  {plan.base}  ({plan.base_reason})"),
        ("samples", _samples_text(plan)),
        ("decide", decisions_text(export.files[0].decisions.get(plan.model_type, {}))),
    ]
    if left_out:
        ordered = sorted(export.left_out.items(), key=lambda item: -item[1])[:_REASONS]
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in ordered)
        facts.append(("left out", f"{left_out:,}: {reasons}"))
    found = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in export.redactions.items())
    facts.append(("redacted", (found or "nothing was found to be") if plan.request.redact else "nothing: --no-redact"))
    rank = "the whole model" if figures.full else f"LoRA rank {figures.lora_rank}"
    facts += [
        (
            "with",
            f"{_METHODS[figures.method]}, {rank}, learning rate {figures.learning_rate:g},"
            f" prompts {plan.request.prompt_form}",
        ),
        ("tokens", f"about {_rounded(plan.tokens)} in {counted(figures.epochs, 'epoch')}{_evals_text(plan)}"),
        ("price", _price_text(plan)),
        ("time", f"roughly {duration(plan.time)} once it begins"),
        ("serving", _serving_text(plan)),
    ]
    for standing in plan.standings:
        whose = f"for {spell_model_type(standing.model_type)} " if standing.model_type else ""
        facts.append(("budget", f"{whose}{budget_text(standing, 0)}"))
    facts.append(
        (
            "then",
            f"{plan.slot_model} goes on serving"
            if plan.slot_model
            else "nothing is deployed: that is a step of its own",
        )
    )
    return facts


def plan_record(plan: TrainingPlan) -> dict[str, object]:
    """A training plan for machines."""
    figures, export = plan.figures, plan.export
    cheapest = plan.served_on
    return {
        "model_type": plan.model_type,
        "base": plan.base,
        "base_reason": plan.base_reason,
        "from_job": plan.request.from_job,
        "train_samples": plan.train_samples,
        "validation_samples": plan.validation_samples,
        "decisions": dict(export.files[0].decisions.get(plan.model_type, {})),
        "left_out": dict(export.left_out),
        "redactions": dict(export.redactions) if plan.request.redact else None,
        "tokens": plan.tokens,
        "longest_sample_tokens": export.longest,
        "epochs": figures.epochs,
        "evals": figures.evals,
        "learning_rate": figures.learning_rate,
        "lora_rank": figures.lora_rank,
        "method": figures.method,
        "prompt_form": plan.request.prompt_form,
        "estimate_cents": None if plan.price is None else whole_cents(plan.price.cents),
        "estimate_source": None if plan.price is None else plan.price.source,
        "agreed_cents": plan.agreed_cents,
        "expected_seconds": int(plan.time.total_seconds()),
        "serving": None if cheapest is None else cheapest.name,
        "serving_cents_per_hour": None if cheapest is None else cheapest.price_cents_per_hour,
        "budget_left_cents": _left(plan),
        "warnings": list(plan.warnings),
    }


def going_facts(run: TrainingRun) -> list[Fact]:
    """A run that goes on, for a dry run of the command that would go on with it."""
    return [
        ("run", f"{run.number}: {spell_model_type(run.model_type)} on {run.base}, {run.stage}"),
        ("next", _next_text(run)),
        *([("waits", run.problem)] if run.problem else []),
    ]


def _next_text(run: TrainingRun) -> str:
    if run.engine == COMMAND:
        return "its trainer is watched" if run.stage == "training" else f"`{run.plan['command']}` is started"
    return _NEXT.get(run.stage, "its job is watched")


_NEXT = {
    "planned": "the samples are exported and checked",
    "exported": "the files are uploaded",
    "uploaded": "Together checks the files",
    "validated": "Together's price is asked for, and the job created",
}


def price_question(asked: Asked) -> str:
    """Together's own price, when it is more than was agreed to."""
    before = "" if asked.agreed_cents is None else f", and {money(asked.agreed_cents)} was agreed to"
    tokens = f" for {asked.train_tokens:,} tokens" if asked.train_tokens else ""
    return f"Together asks {money(asked.cents)}{tokens}{before}. Go on?"


def _rounded(count: int) -> str:
    """An estimate as such: `1.3 million`, `13,000`."""
    return f"{count / 1_000_000:.1f} million" if count >= 1_000_000 else f"{round(count, -3) or count:,}"


def _samples_text(plan: TrainingPlan) -> str:
    export = plan.export
    validation = f" and {plan.validation_samples:,} to check it with" if plan.validation_samples else ""
    return f"{plan.train_samples:,} to learn from{validation}; {moment(export.oldest)} to {moment(export.newest)}"


def decisions_text(counts: Mapping[str, int]) -> str:
    """What samples decide, in shares."""
    total = sum(counts.values()) or 1
    shown = [f"{name} {percent(count / total)}" for name, count in list(counts.items())[:_DECISIONS]]
    return ", ".join(shown) + (", and others" if len(counts) > _DECISIONS else "") or "–"


def _evals_text(plan: TrainingPlan) -> str:
    return f" and {counted(plan.figures.evals, 'check')} against the validation side" if plan.figures.evals else ""


def _price_text(plan: TrainingPlan) -> str:
    own = "Together gives its own price when it has checked the file"
    if plan.price is None:
        return f"not known before the upload; {own}, and you are asked then"
    above = "" if plan.agreed_cents is None else f"; above {money(plan.agreed_cents)} you are asked again"
    return f"about {money(plan.price.cents)} ({plan.price.source}); {own}{above}"


def _serving_text(plan: TrainingPlan) -> str:
    endpoint = plan.served_on
    if endpoint is None:
        return "not possible: Together has no config for this base"
    room = "" if endpoint.is_free else ", of which nothing is free now"
    return f"{money(endpoint.price_cents_per_hour)} an hour on {endpoint.name}{room}, from when you deploy it"


def _left(plan: TrainingPlan) -> int | None:
    left = [standing.left_cents for standing in plan.standings if standing.left_cents is not None]
    return whole_cents(min(left)) if left else None


# --- what goes on ---


def progress_texts(progress: Progress) -> tuple[str, str]:
    """What goes on, and the figures that change too often for a log."""
    run, job = progress.run, progress.job
    state = f"run {run.number} {spell_model_type(run.model_type)}: {progress.text}"
    if job is None:
        parts = [progress.detail]
        if progress.losses:
            parts.append(f"loss {progress.losses[-1]:.3f} {curve(progress.losses)}")
        if progress.elapsed:
            parts.append(clock_duration(progress.elapsed))
        return state, "  ".join(part for part in parts if part)
    parts = []
    if job.queue_depth:
        parts.append(f"{job.queue_depth} before it in the queue")
    if job.epochs_completed is not None and job.n_epochs:
        parts.append(f"epoch {min(job.epochs_completed + 1, job.n_epochs)} of {job.n_epochs}")
    if progress.losses:
        parts.append(f"loss {progress.losses[-1]:.3f} {curve(progress.losses)}")
    if job.total_price:
        parts.append(money(job.cents))
    if job.progress and job.progress.estimate_available:
        from datetime import timedelta

        parts.append(f"{duration(timedelta(seconds=job.progress.seconds_remaining))} to go")
    parts.append(clock_duration(progress.elapsed))
    return state, "  ".join(parts)


def curve(values: Sequence[float], width: int = _STEPS) -> str:
    """Values over time as a line of bars, the means of as many steps as it takes."""
    if not values:
        return ""
    steps = min(width, len(values))
    means = []
    for step in range(steps):
        part = values[step * len(values) // steps : (step + 1) * len(values) // steps]
        means.append(sum(part) / len(part))
    low, high = min(means), max(means)
    span = (high - low) or 1
    return spark([1 + round((mean - low) / span * 100) for mean in means])


# --- what there is ---


def trained_columns() -> list[Column[Trained]]:
    """Runs and jobs, one a line."""
    return [
        Column("run", lambda trained: trained.run.number if trained.run else None, "RUN", kind=Kind.NUMBER),
        Column("model_type", lambda trained: trained.model_type, "TYPE", text=_type_text),
        Column(
            "state",
            lambda trained: trained.state,
            "STATE",
            text=_state_text,
            kind=Kind.STATE,
            style=_style,
        ),
        Column("stage", lambda trained: trained.run.stage if trained.run else None),
        Column("samples", lambda trained: trained.samples, "SAMPLES", text=_count_text, kind=Kind.NUMBER, priority=4),
        Column("base", lambda trained: trained.base, "BASE", text=_base_text, gives_way=True, priority=3),
        Column(
            "cost_cents",
            lambda trained: None if trained.cents is None else whole_cents(trained.cents),
            "COST",
            text=_cost_text,
            kind=Kind.NUMBER,
        ),
        Column(
            "started_at", lambda trained: trained.at, "STARTED", text=lambda trained: moment(trained.at), priority=3
        ),
        Column("finished_at", lambda trained: trained.run.finished_at if trained.run else None),
        Column("model", lambda trained: trained.run.model_name if trained.run else None),
        Column("adapter", lambda trained: trained.run.adapter_name if trained.run else None),
        Column("job", lambda trained: trained.job_id, "JOB", priority=6),
        Column("problem", lambda trained: trained.problem),
    ]


def _state_text(trained: Trained) -> str:
    """The state; of a head what keeps it from being used."""
    if trained.is_gone:
        return "gone"
    if trained.run is not None and trained.run.engine == HEAD and trained.problem is not None:
        return trained.problem.partition(":")[0]
    return trained.state.replace("_", " ")


def _base_text(trained: Trained) -> str:
    """What it started from; of a head, which starts from nothing, its name."""
    run = trained.run
    return (run.model_name if run is not None and run.engine == HEAD else trained.base) or "–"


def trained_record(trained: Trained) -> dict[str, object]:
    """A run whole, for machines; of a job that is not ours what is known of it."""
    record = {column.key: column.value(trained) for column in trained_columns()}
    run = trained.run
    if run is None:
        return record
    figures = run.plan.get("figures")
    return {
        **record,
        "engine": run.plan.get("engine", "together"),
        "command": run.plan.get("command"),
        "method": run.method,
        "figures": figures,
        "prompt_form": run.plan.get("prompt_form"),
        "plan_samples": run.plan.get("samples"),
        "left_out": run.plan.get("left_out"),
        "tokens": run.plan.get("tokens"),
        "estimate_cents": run.plan.get("estimate_cents"),
        "agreed_cents": run.plan.get("agreed_cents"),
        "manifest": run.manifest,
        "manifest_sha256": run.manifest_sha256,
        "train_sha256": run.train_sha256,
        "validation_sha256": run.validation_sha256,
        "training_file": run.training_file_id,
        "validation_file": run.validation_file_id,
        "suffix": run.suffix,
        "model_id": run.model_id,
        "adapter_id": run.adapter_id,
        "updated_at": run.updated_at,
    }


def trained_facts(trained: Trained) -> list[Fact]:
    """A run whole, for a person."""
    run, cost = trained.run, "–" if trained.cents is None else money(trained.cents)
    if run is None:
        assert trained.job is not None
        return [
            ("job", f"{trained.job.id}, {trained.state}; not started from here"),
            ("base", trained.base or "–"),
            ("cost", cost),
            ("started", moment(trained.at)),
        ]
    ended = f", {run.stage} {moment(run.finished_at)}" if run.finished_at else f", {trained.state}"
    facts = [
        ("run", f"{run.number}: {spell_model_type(run.model_type)} on {run.base}"),
        ("when", f"begun {moment(run.started_at)}{ended}"),
        ("samples", _training_samples(run)),
        ("with", _figures_text(run)),
        (
            "cost",
            cost if trained.job is None or run.over or trained.job.status == "" else f"{cost} so far, or reserved",
        ),
    ]
    if run.job_id:
        facts.append(("job", f"{run.job_id} ({run.job_status or '–'}), called {run.suffix}"))
    if run.training_file_id:
        files = " and ".join(filter(None, (run.training_file_id, run.validation_file_id)))
        facts.append(("files", files))
    if run.manifest:
        facts.append(("export", f"{run.manifest}, sha256 {(run.manifest_sha256 or '')[:16]}…"))
    facts += _trainer_facts(run)
    if run.model_name or run.model_id:
        facts.append(("model", f"{run.model_name} ({run.model_id})" if run.model_id else str(run.model_name)))
    if run.adapter_name and run.adapter_name != run.model_name:
        facts.append(("adapter", f"{run.adapter_name} ({run.adapter_id})"))
    if trained.problem:
        facts.append(("problem", trained.problem))
    return facts


def _trainer_facts(run: TrainingRun) -> list[Fact]:
    """What is to be known of a trainer of the operator's own, where it is one."""
    if run.engine != COMMAND:
        return []
    folder = Path(run.manifest).parent if run.manifest else None
    places = [("log", f"{folder / 'trainer.log'}"), ("output", f"{folder / 'output'}")] if folder else []
    return [("command", str(run.plan["command"])), *places]


def next_commands(run: TrainingRun, *, is_gone: bool = False) -> list[str]:
    """What to type next, as hints; `is_gone` where the file of a head is not there any more."""
    name = spell_model_type(run.model_type)
    match run.stage:
        case "done" if run.method == HEAD:
            anew = f"once more: `{head_training(run.plan.get('max_error'))}`"
            return [anew] if run.problem or is_gone else head_hints(run.model_name or "")
        case "done" if run.engine != TOGETHER:
            return [
                f"serve it, by that name: `reasoning config set {run.model_type}.provider_url URL`,"
                f" `reasoning config set {run.model_type}.model {run.model_name}`, `reasoning doctor`",
                f"see whether it is better: `reasoning train eval {name} --model {run.model_name}`",
            ]
        case "failed" if run.engine == COMMAND:
            return [f"its log and all about it: `reasoning train show {run.number}`"]
        case "done" if run.problem is None:
            return [
                f"bring it up: `reasoning models deploy {run.model_name} --as {name}` (beside a model that answers now"
                f" with `--canary 0`), and see whether it is better: `reasoning train eval {name}"
                f" --model {run.model_name}`",
                f"or let it take over by steps, behind a gate: `reasoning train promote {name} --to {run.number}`",
            ]
        case "done":
            return [f"get its weights: `reasoning train download {run.number} -o {run.suffix}.tar.zst`"]
        case "failed" if run.job_status == "completed":
            return [
                f"get its weights and bring them back: `reasoning train download {run.number} -o {run.suffix}.tar.zst`,"
                f" unpack them, then `reasoning models upload {run.suffix} --from ./DIR --base {run.base}`"
            ]
        case "failed" if run.job_id:
            return [f"what happened: `reasoning train events {run.number}`; once more: `reasoning train start {name}`"]
        case "failed":
            return [f"all about it: `reasoning train show {run.number}`; once more: `reasoning train start {name}`"]
        case "cancelled":
            return [f"once more: `reasoning train start {name}`"]
        case "training":
            return [f"watch it: `reasoning train watch {run.number}`; end it: `reasoning train cancel {run.number}`"]
    return [f"go on: `reasoning train start {name}`; give it up: `reasoning train cancel {run.number}`"]


def head_hints(model: str) -> list[str]:
    """What to do with a head."""
    return [
        f"see it on decisions it has not learned from: `reasoning train eval should-respond --model {model}`",
        f"see it beside the baseline, which goes on answering: `reasoning models enable {model} --mode shadow`",
        f"or let it take over by steps, behind a gate: `reasoning train promote should-respond --to {model}`",
    ]


def _training_samples(run: TrainingRun) -> str:
    samples = run.plan.get("samples")
    counts = samples if isinstance(samples, dict) else {}
    if run.method == HEAD:
        return f"{counts['train']:,} to learn from, {counts['validation']:,} to prove it on"
    sides = ", ".join(f"{count:,} {side}" for side, count in counts.items())
    return f"{sides}; prompts {run.plan.get('prompt_form')}"


def _figures_text(run: TrainingRun) -> str:
    figures = run.plan.get("figures")
    if run.method == HEAD:
        plan: Any = run.plan
        rooms = counted(plan["held_out_rooms"], "held-out room")
        return f"answers {percent(plan['share'])}, at most {percent(plan['at_most'])} against the log on {rooms}"
    if not isinstance(figures, dict):
        return "–"
    rank = "the whole model" if figures["lora_rank"] is None else f"LoRA rank {figures['lora_rank']}"
    return (
        f"{_METHODS[run.method]}, {rank}, {counted(figures['epochs'], 'epoch')},"
        f" learning rate {figures['learning_rate']:g}"
    )


def _type_text(trained: Trained) -> str:
    return spell_model_type(trained.model_type) if trained.model_type else "–"


def _count_text(trained: Trained) -> str:
    return "–" if trained.samples is None else f"{trained.samples:,}"


def _cost_text(trained: Trained) -> str:
    return "–" if trained.cents is None else money(trained.cents)


_STYLES = {
    "done": "good",
    "completed": "good",
    "failed": "bad",
    "error": "bad",
    "user_error": "bad",
    "cancelled": "dim",
}


def _style(trained: Trained) -> str:
    return _STYLES.get(trained.state, "going")
