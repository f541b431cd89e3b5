"""Plan a promotion: which model, from where, in which shares of the traffic, and whether it may. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.errors import NotFoundError, ReasoningError, UsageError
from reasoning_cli.operations.costs.budget import AT_REST, Limits
from reasoning_cli.operations.deploy.lora import AttachPlan, plan_serving
from reasoning_cli.operations.deploy.own_server import own_server
from reasoning_cli.operations.deploy.plan import DeployPlan, DeployRequest
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.promote.gate import Criterion
from reasoning_cli.operations.promote.guardrails import Promise, promise
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.store.promote.promotions import Promotion
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import TOGETHER, Mode, PromptForm, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud

STEPS = (10, 50, 100)
HOLD = 50
SHADOW_SHARE = 0  # of a model that is asked as a shadow alone


@dataclass(frozen=True)
class PromoteRequest:
    """What the operator asked for. `to` is a model, its deployment, a training run's number or job; None for what there
    is. `steps` are shares in percent; the first may be 0, a shadow. Each lasts for `hold` of the model's decisions and
    for `interval` at least. `keep_loser` only stops what loses."""

    model_type: str
    to: str | None = None
    steps: tuple[int, ...] = (SHADOW_SHARE, *STEPS)
    hold: int = HOLD
    interval: timedelta = timedelta()
    keep_loser: bool = False

    def __post_init__(self) -> None:
        if (
            not self.steps
            or list(self.steps) != sorted(set(self.steps))
            or not 0 <= self.steps[0] <= self.steps[-1] == 100
        ):
            raise UsageError("shares of the traffic go up, to 100 percent", "for example --steps 10,50,100")
        if self.hold < 1:
            raise UsageError("a step without decisions shows nothing", "for example --hold-decisions 50")


@dataclass(frozen=True)
class Candidate:
    """The model that is to come in: its name, what runs of it, and the training it came from."""

    name: str
    record: DeploymentRecord | None
    run: TrainingRun | None
    target: str

    @property
    def form(self) -> PromptForm | None:
        """The form of prompts it was trained on, where that is known."""
        form = self.run.plan.get("prompt_form") if self.run is not None else None
        return PromptForm(str(form)) if form else None


@dataclass(frozen=True)
class PromotionPlan:
    """What will be done. `deploy` brings the model up, None where it is; `old` is what answers now, None where that is
    the original: then the slot's mode and share are what changes, else whom the two models answer."""

    request: PromoteRequest
    candidate: Candidate
    deploy: DeployPlan | AttachPlan | None
    old: DeploymentRecord | None
    old_answers: bool
    gate: Gate
    criteria: Sequence[Criterion]
    evaluation: int | None
    before: Mapping[str, object]
    form: PromptForm

    @property
    def model_type(self) -> str:
        return self.request.model_type

    @property
    def promise(self) -> Promise:
        return promise(self.gate, len(self.request.steps), self.request.hold)


def find_candidate(store: Store, request: PromoteRequest) -> Candidate:
    """The model that is meant. Raises NotFoundError, UsageError."""
    if request.to is not None:
        return _named(store, request.to, request.model_type)
    model_type, name = request.model_type, spell_model_type(request.model_type)
    going = Replacements(store).going(model_type)
    if going is not None:
        record = Deployments(store).get(going.new_key)
        assert record is not None
        return _of_record(record, _run_of(store, record))
    runs = [run for run in TrainingRuns(store).all(model_type) if run.engine == TOGETHER]
    done = [run for run in runs if run.stage == "done" and (run.model_id or run.model_name)]
    serving = _serving(store, model_type)
    if done:
        candidate = _of_run(store, done[-1], model_type)
        if candidate.record is None or serving is None or candidate.record.key != serving.key:
            return candidate
    if serving is not None:
        return _of_record(serving, _run_of(store, serving))
    raise NotFoundError(
        f"there is no model to promote to {name}",
        f"train one: `reasoning train start {name}`; or name one: `reasoning train promote {name} --to MODEL`",
    )


def _named(store: Store, to: str, model_type: str) -> Candidate:
    """The model of a training run by its number, else by a name: a run's, a deployment's, or one nobody knows yet."""
    runs = TrainingRuns(store)
    run = runs.get(int(to)) if to.isdigit() else runs.of_model(to)
    if to.isdigit() and run is None:
        raise NotFoundError(f"there is no training run {to}", "`reasoning train list`")
    if run is not None:
        return _of_run(store, run, model_type)
    record = _deployed(store, to)
    if record is None:
        return Candidate(to, None, None, to)
    _refuse_other_type(record, model_type)
    return _of_record(record, None)


def _of_record(record: DeploymentRecord, run: TrainingRun | None) -> Candidate:
    return Candidate(record.model_name, record, run, record.model_id or record.model_name)


def plan_promotion(
    client: Cloud,
    store: Store,
    settings: Settings,
    limits: Limits,
    request: PromoteRequest,
    candidate: Candidate,
    gate: Gate,
    criteria: Sequence[Criterion],
    *,
    evaluation: int | None,
    models: dict[str, str],
    idle_minutes: int,
) -> PromotionPlan:
    """What it takes to bring `candidate` in. Whether the criteria hold is for the caller to judge.

    Raises ReasoningError when something is in the way, and what `plan_deploy` raises.
    """
    model_type, get, record = request.model_type, settings.get, candidate.record
    serving = _serving(store, model_type)
    own = serving is not None and record is not None and serving.key == record.key
    _refuse_what_cannot_be(store, settings, candidate, model_type, own=own)
    deploy = None
    if record is None or record.state != "READY":
        deploy = _plan_deploy(client, store, limits, candidate, model_type, models, idle_minutes)
    settings_now = (s.ENABLED, s.MODE, s.SHARE, s.PROMPT_FORM, s.MODEL)
    before = {settings[model_type].name: s.spell(get(settings[model_type])) for settings in settings_now}
    return PromotionPlan(
        request=request,
        candidate=candidate,
        deploy=deploy,
        old=None if own else serving,
        old_answers=answering(store, settings, model_type, candidate) is not None,
        gate=gate,
        criteria=criteria,
        evaluation=evaluation,
        before=before,
        form=candidate.form or get(s.PROMPT_FORM[model_type]),
    )


def refuse_own_server(settings: Settings, model_type: str) -> None:
    """ReasoningError where the operator's own server answers for the slot: nothing of Together's can take over."""
    if own_server(settings, model_type) is not None:
        name = spell_model_type(model_type)
        setting = s.ENGINE if settings.get(s.ENGINE[model_type]) else s.PROVIDER_URL
        raise ReasoningError(
            f"{name} is answered by a model that is served elsewhere, which nothing at Together can replace",
            f"`reasoning train promote {name}` lets a model of that server in;"
            f" `reasoning config unset {setting[model_type].name}` leaves the slot to Together",
        )


def _refuse_what_cannot_be(
    store: Store, settings: Settings, candidate: Candidate, model_type: str, *, own: bool
) -> None:
    """ReasoningError where the slot is another provider's, has another canary, or is the candidate's `own` already."""
    record, name = candidate.record, spell_model_type(model_type)
    refuse_own_server(settings, model_type)
    going = Replacements(store).going(model_type)
    if going is not None and (record is None or record.key != going.new_key):
        other = Deployments(store).get(going.new_key)
        raise ReasoningError(
            f"`{other.model_name if other else going.new_key}` is a canary of {name} already, at {going.percent} %",
            f"`reasoning models rollback {name}`, or promote that one: `reasoning train promote {name}`",
        )
    if own and settings.get(s.ENABLED[model_type]) and settings.get(s.MODE[model_type]) is Mode.LIVE:
        raise ReasoningError(
            f"`{candidate.name}` answers {name} already",
            f"`reasoning train history {name}` shows since when",
        )


def _plan_deploy(
    client: Cloud,
    store: Store,
    limits: Limits,
    candidate: Candidate,
    model_type: str,
    models: dict[str, str],
    idle_minutes: int,
) -> DeployPlan:
    """How the candidate is brought up, where it is not: on its own endpoint, or the slot's."""
    record = candidate.record
    deploy = plan_serving(
        client,
        store,
        limits,
        DeployRequest(
            target=candidate.target,
            models=models,
            idle_minutes=idle_minutes,
            model_type=model_type,
            endpoint=record.endpoint_name if record is not None and record.rides_on is None else None,
            merged=True if record is None or record.rides_on is None else None,
        ),
    )
    if isinstance(deploy, AttachPlan):
        up = record.deployment_name if record else spell_model_type(model_type)
        raise ReasoningError(
            f"`{candidate.name}` is attached to another model, and is {record.state if record else 'not up'}",
            f"start that first: `reasoning models start {up}`",
        )
    return deploy


def refuse_another(store: Store, request: PromoteRequest, going: Promotion) -> None:
    """ReasoningError where another model than the one meant is on its way in."""
    if request.to is None:
        return
    meant = find_candidate(store, request)
    if meant.name != going.model and (meant.record is None or meant.record.key != going.model_key):
        name = spell_model_type(request.model_type)
        raise ReasoningError(
            f"`{going.model}` is on its way into {name}",
            f"go on with it: `reasoning train promote {name}`, or send it back: `reasoning train rollback {name}`",
        )


def answering(store: Store, settings: Settings, model_type: str, candidate: Candidate) -> DeploymentRecord | None:
    """The other model of ours whose answers agents get now; None where the original answers."""
    get, serving = settings.get, _serving(store, model_type)
    if serving is None or not get(s.ENABLED[model_type]) or get(s.MODE[model_type]) is Mode.SHADOW:
        return None
    if serving.state != "READY" or (candidate.record is not None and candidate.record.key == serving.key):
        return None
    return serving


def _serving(store: Store, model_type: str) -> DeploymentRecord | None:
    key = Deployments(store).serving(model_type)
    record = Deployments(store).get(key) if key is not None else None
    return record if record is not None and record.deleted_at is None else None


def _of_run(store: Store, run: TrainingRun, model_type: str) -> Candidate:
    if run.model_type != model_type:
        raise UsageError(
            f"training run {run.number} is of {spell_model_type(run.model_type)}",
            f"`reasoning train promote {spell_model_type(run.model_type)} --to {run.number}`",
        )
    if run.model_id is None and run.model_name is None:
        raise ReasoningError(
            f"training run {run.number} has no model: it is {run.stage}", f"`reasoning train show {run.number}`"
        )
    made = (run.model_id, run.model_name, run.adapter_id, run.adapter_name)
    record = next((found for name in made if name and (found := _deployed(store, name)) is not None), None)
    target = run.model_id or run.model_name or ""
    return Candidate(record.model_name if record else run.model_name or target, record, run, target)


def _run_of(store: Store, record: DeploymentRecord) -> TrainingRun | None:
    runs = TrainingRuns(store)
    named = (record.model_id, record.model_name)
    return next((run for name in named if name and (run := runs.of_model(name)) is not None), None)


def _deployed(store: Store, name: str) -> DeploymentRecord | None:
    """What is up of a model, or was and is still there: by its name or id, or those of its deployment."""
    deployments = Deployments(store)
    there = [*deployments.live(), *deployments.riders()]
    found = [
        record
        for record in there
        if name
        in (
            record.key,
            record.model_id,
            record.model_name,
            record.deployment_name,
            record.deployment_id,
            record.endpoint_name,
        )
    ]
    return max(
        found,
        key=lambda record: (record.state == "READY", record.state not in AT_REST, record.created_at),
        default=None,
    )


def _refuse_other_type(record: DeploymentRecord, model_type: str) -> None:
    if record.model_type not in (None, model_type):
        raise UsageError(
            f"`{record.model_name}` answers {spell_model_type(record.model_type or '')} decisions",
            f"`reasoning train promote {spell_model_type(record.model_type or '')} --to {record.model_name}`",
        )
