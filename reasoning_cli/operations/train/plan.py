"""Plan a training run: what it trains on, on which base, with which figures, at which price; nothing is changed.

`training` carries a plan out. All that takes is kept with the run as JSON, so that another process goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Literal

from reasoning_cli.engines.errors import MissingError
from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError, UsageError
from reasoning_cli.operations.costs.budget import Limits, Standing, standings
from reasoning_cli.operations.data.export.run import ExportReport, ExportRequest, export_samples
from reasoning_cli.operations.data.export.split import UnsplittableError
from reasoning_cli.operations.deploy.catalog import Hardware, find_model, first_choice, serving_options
from reasoning_cli.operations.train.estimate import RoughPrice, billions_of, rough_price, rough_time
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.samples.exports import seeded_salt
from reasoning_cli.store.train.runs import TrainingRuns
from reasoning_cli.values import TOGETHER, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud
    from reasoning_cli.engines.jobs import ModelLimits

Method = Literal["sft", "dpo"]
METHODS: tuple[Method, ...] = ("sft", "dpo")

FEWEST = 50  # samples below which nothing is learnt
FEW = 200
MOST_OF_ONE = 0.9
_LONGEST_SUFFIX = 30


@dataclass(frozen=True)
class TrainRequest:
    """What the operator asked for. `export` is of this one type; `redact` says whether it is redacted.

    What is None is chosen: the base and what it is trained with. `typed` is what was asked for in so many words: the
    same words again go on with the run they began.
    """

    model_type: str
    export: ExportRequest
    redact: bool = True
    base: str | None = None
    from_job: str | None = None
    suffix: str | None = None
    method: Method = "sft"
    full: bool = False
    epochs: int | None = None
    learning_rate: float | None = None
    lora_rank: int | None = None
    force: bool = False
    max_cost_usd: Decimal | None = None
    typed: Mapping[str, object] = field(default_factory=dict)

    @property
    def prompt_form(self) -> str:
        """The form of the prompts it trains on, in which its model must be asked."""
        return self.export.rules.forms.get(self.model_type, "exact")


@dataclass(frozen=True)
class Figures:
    """What a job is made with; `learning_rate` and `lora_rank` (None in full) are within what the base allows."""

    epochs: int
    evals: int
    learning_rate: float
    lora_rank: int | None
    method: Method

    @property
    def full(self) -> bool:
        return self.lora_rank is None


@dataclass(frozen=True)
class TrainingPlan:
    """What will be done and what it will cost: `--dry-run` shows it, `run_training` does it.

    `export` is of a dry run; `serving` the ways to serve the result, cheapest first, none when it cannot be served.
    `tokens` are those that are paid for. `standings` are the budgets it counts against. `warnings` do not stop it.
    """

    request: TrainRequest
    base: str
    base_reason: str
    figures: Figures
    export: ExportReport
    serving: tuple[Hardware, ...]
    tokens: int
    price: RoughPrice | None
    time: timedelta
    standings: tuple[Standing, ...]
    slot_model: str | None
    slot_form: str
    warnings: tuple[str, ...]

    @property
    def model_type(self) -> str:
        return self.request.model_type

    @property
    def served_on(self) -> Hardware | None:
        """What a deploy of the result would take; None when it cannot be served."""
        return first_choice(self.serving)

    @property
    def train_samples(self) -> int:
        return self.export.files[0].samples

    @property
    def validation_samples(self) -> int:
        return self.export.files[1].samples if len(self.export.files) > 1 else 0

    @property
    def agreed_cents(self) -> int | None:
        """The price up to which a yes to this plan is a yes; None where no price could be named."""
        if self.request.max_cost_usd is not None:
            return int(self.request.max_cost_usd * 100)
        return None if self.price is None else self.price.ceiling_cents


def plan_training(
    client: Cloud,
    store: Store,
    limits: Limits,
    request: TrainRequest,
    *,
    now: datetime,
    slot_form: str,
    check_budget: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> TrainingPlan:
    """Look at the log, the base and the money. Raises what keeps it from being sensible, and with `force` less of it.

    NotFoundError for a base that is not there or cannot be served, ReasoningError for too few samples or one class,
    LimitError for a budget that cannot pay it.
    """
    from reasoning_cli.operations.train.base_model import choose_base

    # What comes in from now on is for the next run: a run that is gone on with exports the same as the one shown.
    until = request.export.wanted.until
    wanted = replace(request.export.wanted, until=min(until, now) if until else now)
    request = replace(request, export=replace(request.export, wanted=wanted))
    if request.suffix is not None:
        check_suffix(request.suffix)
    export = dry_export(store, request, now, on_progress)
    warnings = [*judge_samples(request, export)]
    base_name, reason = _base(client, store, request, choose_base)
    base_name, able, serving = _looked_up(client, base_name)
    figures = choose_figures(request, able, export, base_name)
    if not serving:
        problem = _unserved(base_name)
        if not request.force:
            raise problem
        warnings.append(f"{problem.message}; it can be downloaded only")
    longest = able.max_seq_length_dpo if request.method == "dpo" else able.max_seq_length_sft
    if longest and export.longest > longest:
        warnings.append(
            f"the longest sample has about {export.longest:,} tokens and the base reads {longest:,}: it would be cut;"
            f" `--max-tokens {longest}` leaves such out"
        )
    tokens = figures.epochs * export.files[0].tokens
    tokens += figures.evals * (export.files[1].tokens if len(export.files) > 1 else 0)
    price = rough_price(base_name, tokens, method=request.method, full=figures.full, jobs=client.jobs())
    every = tuple(
        standing
        for standing in standings(store, limits, max(now, client.now()))
        if standing.model_type in (None, request.model_type)
    )
    if check_budget:
        check_price(every, request.model_type, price.cents if price else Decimal(0))
    if price and request.max_cost_usd is not None and price.cents > request.max_cost_usd * 100:
        raise LimitError(
            f"this would cost about ${price.cents / 100:.2f} ({price.source}), more than --max-cost"
            f" ${request.max_cost_usd}",
            "fewer samples (--limit), fewer --epochs, or a smaller --base",
        )
    if request.prompt_form != slot_form:
        warnings.append(other_form(request.model_type, request.prompt_form, slot_form))
    return TrainingPlan(
        request=request,
        base=base_name,
        base_reason=reason,
        figures=figures,
        export=export,
        serving=serving,
        tokens=tokens,
        price=price,
        time=rough_time(base_name, tokens),
        standings=every,
        slot_model=slot_model(store, request.model_type),
        slot_form=slot_form,
        warnings=tuple(warnings),
    )


def why_refused(plan: TrainingPlan, request: TrainRequest) -> ReasoningError | None:
    """What would keep a start from doing as planned: too few samples, one class, a base that cannot be served, or a
    budget that cannot pay it."""
    try:
        judge_samples(request, plan.export)
        if not plan.serving and not request.force:
            raise _unserved(plan.base)
        check_price(plan.standings, plan.model_type, plan.price.cents if plan.price else Decimal(0))
    except ReasoningError as refusal:
        return refusal
    return None


def _unserved(base: str) -> NotFoundError:
    return NotFoundError(
        f"a model trained on `{base}` could not be served: Together has no config for that base",
        "`reasoning train init` names bases that can; --force trains it all the same, to download it",
    )


def other_form(model_type: str, trained: str, asked: str) -> str:
    """What is wrong with a model that is asked otherwise than it was trained, and what to type about it."""
    return (
        f"its prompts are {trained}, and the slot of {spell_model_type(model_type)} asks {asked}:"
        f" `reasoning config set {model_type}.prompt_form {trained}` before it serves"
    )


def check_price(every: tuple[Standing, ...] | list[Standing], model_type: str, cents: Decimal) -> None:
    """Refuse (LimitError) what the rest of a budget cannot pay; of one that is used up, anything."""
    for standing in every:
        if standing.left_cents is None or (standing.left_cents >= cents and standing.left_cents > 0):
            continue
        whose = f" --model-type {spell_model_type(standing.model_type)}" if standing.model_type else ""
        enough = ceil((standing.usage.high_cents + max(cents, Decimal(1))) / 100)
        raise LimitError(
            f"the budget of ${standing.budget_usd} would be broken: ${standing.usage.high_cents / 100:.2f} used,"
            f" training"
            f" {spell_model_type(model_type)} costs about ${cents / 100:.2f}",
            f"raise it with `reasoning costs set-budget {enough}{whose}`, or train on fewer samples with --limit",
        )


def dry_export(
    store: Store, request: TrainRequest, now: datetime, on_progress: Callable[[int, int], None] | None = None
) -> ExportReport:
    """What would be written, without writing it. Raises ReasoningError when nothing can be trained on."""
    # A path that is never written to: a split is of files.
    target = store.path.with_name("training.jsonl")
    try:
        return export_samples(store, target, with_salt(store, request), now=now, dry_run=True, on_progress=on_progress)
    except UnsplittableError as problem:
        raise UnsplittableError(
            problem.message, "`--split none` trains without a side to check with; more rooms would be better"
        ) from problem


def with_salt(store: Store, request: TrainRequest) -> ExportRequest:
    """The export with its placeholders' key, which is this database's and not kept with the run."""
    salt = seeded_salt(store, request.export.seed) if request.redact else None
    return replace(request.export, rules=replace(request.export.rules, salt=salt))


def choose_figures(request: TrainRequest, able: ModelLimits, export: ExportReport, base: str) -> Figures:
    """What to train with, where it was not said. Raises UsageError for what the base does not allow."""
    samples = export.files[0].samples
    epochs = request.epochs or next(
        (number for most, number in ((500, 4), (2000, 3), (20_000, 2)) if samples < most), 1
    )
    if request.epochs and epochs > able.max_num_epochs:
        raise UsageError(f"--epochs {epochs} is more than `{base}` takes", f"at most {able.max_num_epochs}")
    epochs = min(epochs, able.max_num_epochs)
    has_validation = len(export.files) > 1 and export.files[1].samples > 0
    evals = min(epochs, able.max_num_evals) if has_validation else 0
    if request.full and not able.supports_full_training:
        raise UsageError(f"`{base}` is fine-tuned with LoRA only", "leave --full away")
    rank = None if request.full else _rank(request, able, base, samples)
    rate = request.learning_rate or default_rate(base, request.method, full=request.full)
    low, high = able.min_learning_rate, able.max_learning_rate
    if request.learning_rate and not low <= rate <= high:
        raise UsageError(f"--learning-rate {rate:g} is not between {low:g} and {high:g}", "or --learning-rate auto")
    return Figures(epochs, evals, min(max(rate, low), high), rank, request.method)


def default_rate(base: str, method: Method, *, full: bool) -> float:
    """A learning rate that is usual: lower for larger bases, for whole models, and for preferences."""
    rate = 1e-5 if full else 2e-4 if (billions_of(base) or 70) <= 16 else 1e-4
    return rate / 20 if method == "dpo" else rate


def slot_model(store: Store, model_type: str) -> str | None:
    """The name of the model in a slot now."""
    deployments = Deployments(store)
    key = next((record.deployment_key for record in deployments.slots() if record.model_type == model_type), None)
    record = deployments.get(key) if key else None
    return record.model_name if record is not None and record.deleted_at is None else None


# --- how ---


def _looked_up(client: Cloud, base: str) -> tuple[str, ModelLimits, tuple[Hardware, ...]]:
    """A base by the name it is tuned by, what it allows, and how it is served; not at all where the catalogue has none.

    Raises NotFoundError for what is not known, or cannot be tuned.
    """
    unknown: NotFoundError | None = None
    serving: tuple[Hardware, ...] = ()
    try:
        model = find_model(client, base)
        base, serving = model.name, tuple(serving_options(client, model))
    except NotFoundError as problem:
        unknown = problem  # it may be one that is only there to be tuned
    try:
        return base, client.limits_of(base), serving
    except MissingError as problem:
        raise unknown or NotFoundError(
            f"`{base}` cannot be fine-tuned at Together", "`reasoning train init` names a base that can"
        ) from problem


def _base(
    client: Cloud,
    store: Store,
    request: TrainRequest,
    choose: Callable[[Cloud, str], tuple[str, str]],
) -> tuple[str, str]:
    """The base that was named, that of the job to go on from, that of the last run, else one that suits the type."""
    if request.from_job is not None:
        job = client.job(request.from_job.partition(":")[0])
        if job.status != "completed" or not job.model:
            raise NotFoundError(
                f"`{job.id}` is {job.status}: there is nothing to go on from", "name a base with --base"
            )
        return job.model, f"that of {request.from_job}, which this goes on from"
    if request.base is not None:
        return request.base, "as asked for"
    every = TrainingRuns(store).all(request.model_type)
    done = [run for run in every if run.stage == "done" and run.engine == TOGETHER]
    if done:
        return done[-1].base, f"that of run {done[-1].number}"
    return choose(client, request.model_type)


def _rank(request: TrainRequest, able: ModelLimits, base: str, samples: int) -> int:
    """The size of an adapter: the more there is to learn from, the larger."""
    most = able.lora_training.max_rank
    if request.lora_rank is None:
        rank = next((rank for fewer, rank in ((1000, 8), (10_000, 16)) if samples < fewer), 32)
        return min(rank, most or rank)
    if most and request.lora_rank > most:
        raise UsageError(f"--lora-rank {request.lora_rank} is more than `{base}` takes", f"at most {most}")
    return request.lora_rank


def check_suffix(suffix: str) -> None:
    """Refuse (UsageError) what cannot be part of a model's name."""
    plain = suffix.replace("-", "").replace("_", "")
    if not (plain.isascii() and plain.isalnum() and len(suffix) <= _LONGEST_SUFFIX and suffix[0].isalnum()):
        raise UsageError(
            f"`{suffix}` is not a suffix",
            f"letters, digits, - and _, {_LONGEST_SUFFIX} at most, a letter or digit first",
        )


def judge_samples(request: TrainRequest, export: ExportReport) -> list[str]:
    """Warnings about what is trained on. Raises ReasoningError for what makes no sense, unless it is forced."""
    name = spell_model_type(request.model_type)
    samples, warnings = export.files[0].samples, []
    problem = hint = ""
    if samples < FEWEST:
        problem = f"{samples} samples of {name} are too few to learn from: {FEWEST} at least, {FEW} to be of use"
        hint = "collect more (`reasoning data stats`), or --force"
    elif samples < FEW:
        warnings.append(f"{samples} samples are few: expect the form of an answer to be learnt, and little judgement")
    decisions = export.files[0].decisions.get(request.model_type, {})
    if request.model_type == "should_respond" and decisions and not problem:
        most, count = max(decisions.items(), key=lambda item: item[1])
        if len(decisions) == 1:
            problem = f"all {samples:,} samples decide {most}: a model learns to say nothing else"
            hint = "collect decisions of the other kind, or label some: `reasoning data review`; or --force"
        elif count > MOST_OF_ONE * sum(decisions.values()):
            warnings.append(f"{count / sum(decisions.values()):.0%} of the samples decide {most}: consider --balance")
    if problem and not request.force:
        raise ReasoningError(problem, hint)
    return [*warnings, problem] if problem else warnings
