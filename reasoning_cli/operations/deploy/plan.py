"""Plan a deploy: which model, on what, beside or instead of which, and whether the money allows it.

`bringing_up` carries a plan out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from reasoning_cli.errors import LimitError, ReasoningError, UsageError
from reasoning_cli.operations.costs.budget import Limits, Standing, spending_rate, standing, standings, why_refused
from reasoning_cli.operations.deploy.catalog import HardwareChoice, choose_hardware, find_model
from reasoning_cli.operations.deploy.cutover import former
from reasoning_cli.operations.deploy.status import refresh
from reasoning_cli.operations.inventory.lookup import find_live
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.values import MODEL_TYPES, parse_model_type, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud
    from reasoning_cli.engines.serving import Model


class Action(StrEnum):
    """What a deploy has to do, given what is there already."""

    CREATE = "create"
    CONTINUE = "continue"
    RESTART = "restart"
    SCALE = "scale"
    NOTHING = "nothing"


@dataclass(frozen=True)
class DeployRequest:
    """What the operator asked for. `target` is a model type, a model's name, or an `ml_` or `ft-` id."""

    target: str
    models: dict[str, str]  # model type to the model set for it
    idle_minutes: int
    idle_by_type: Mapping[str, int] = field(default_factory=dict)  # what is set for a type wins over `idle_minutes`
    own_idle_minutes: int | None = None  # what is asked of this deployment alone wins over both
    model_type: str | None = None
    endpoint: str | None = None
    hardware: str | None = None
    config: str | None = None
    min_replicas: int | None = None
    max_replicas: int | None = None
    merged: bool | None = None  # how to serve an adapter: merged into its base, attached to it, or not said
    for_adapters: bool = False  # it is a base model, for adapters to be attached to


@dataclass(frozen=True)
class DeployPlan:
    """What will be done and what it will cost: `--dry-run` shows it, `run_deploy` does it.

    `refusal` is what the money says against it; only one made with limits that are `rehearsed` has it.
    """

    action: Action
    model_type: str
    model: Model
    project_id: str
    endpoint_name: str
    serving_name: str
    deployment_name: str
    choice: HardwareChoice
    min_replicas: int
    max_replicas: int
    idle_minutes: int
    standing: Standing
    record: DeploymentRecord | None
    replaces: DeploymentRecord | None = None  # what serves in its place until it can
    retires: DeploymentRecord | None = None  # the adapter that serves until it can, and is detached then
    refusal: LimitError | None = None
    own_idle_minutes: int | None = None

    @property
    def max_cents_per_hour(self) -> int:
        """The price while all replicas it may scale to are ready."""
        return self.choice.hardware.price_cents_per_hour * self.max_replicas

    @property
    def added_cents_per_hour(self) -> int:
        """What this deploy adds to what is spent an hour already."""
        return max(0, self.max_cents_per_hour - (spending_rate(self.record) if self.record else 0))


def plan_deploy(
    client: Cloud, store: Store, limits: Limits, request: DeployRequest, model: Model | None = None
) -> DeployPlan:
    """Find model, hardware and price, look at what is there already, and check the money. Creates nothing.

    `model` is what the request means, where that is known already. Raises NotFoundError, LimitError (budget, cap, no
    room) or ReasoningError when something is in the way; where the limits are `rehearsed`, the plan says what they
    refuse.
    """
    wanted, model_type = read_target(request)
    _replicas(request, None)  # refused before anything is asked of Together
    model = model or find_model(client, wanted)
    if model_type is None:
        raise untyped(model)
    endpoint_name = request.endpoint or spell_model_type(model_type)
    refresh(client, store)  # what ran unwatched is spent, too
    record, replaces = _known(store, endpoint_name, model, model_type)
    if replaces is not None:
        _refuse_carrier(store, replaces, model, endpoint_name)
    if record is None and replaces is None:
        _refuse_stranger(client, store, endpoint_name)
    min_replicas, max_replicas = _replicas(request, record or replaces)
    action = _action(record, (min_replicas, max_replicas))
    config = request.config or (record.config if record and not request.hardware else None)
    needs_room = action in (Action.CREATE, Action.RESTART)
    choice = choose_hardware(
        client,
        model,
        hardware=request.hardware,
        config=config,
        needs_room=needs_room,
        for_adapters=request.for_adapters,
    )
    if record is not None:
        _refuse_other_hardware(record, choice)
    retires = None if request.for_adapters else former(store, model_type, record)
    plan = DeployPlan(
        action=action,
        model_type=model_type,
        model=model,
        project_id=client.project.id,
        endpoint_name=endpoint_name,
        serving_name=f"{client.project.slug}/{endpoint_name}",
        deployment_name=f"{endpoint_name}-{_digest(model.id, choice.hardware.config)}",
        choice=choice,
        min_replicas=min_replicas,
        max_replicas=max_replicas,
        idle_minutes=(
            request.idle_by_type.get(model_type, request.idle_minutes)
            if request.own_idle_minutes is None
            else request.own_idle_minutes
        ),
        own_idle_minutes=request.own_idle_minutes,
        standing=standing(store, limits, client.now()),
        record=record,
        replaces=replaces,
        retires=retires if retires is not None and retires.rides_on is not None else None,
    )
    if not (plan.added_cents_per_hour or needs_room):
        return plan
    budgets = [budget for budget in standings(store, limits, client.now()) if budget.model_type in (None, model_type)]
    return replace(plan, refusal=why_refused(budgets, endpoint_name, plan.added_cents_per_hour))


def _refuse_carrier(store: Store, replaces: DeploymentRecord, model: Model, endpoint_name: str) -> None:
    """ReasoningError where adapters ride on what is to be replaced."""
    riders = Deployments(store).riders(replaces.key)
    if riders:
        names = ", ".join(rider.model_name for rider in riders)
        raise ReasoningError(
            f"`{names}` rides on the deployment that `{model.name}` would replace",
            f"detach it first: `reasoning models undeploy {riders[0].deployment_name}`,"
            f" or leave the endpoint to it: `--endpoint {endpoint_name}-2`",
        )


def _refuse_other_hardware(record: DeploymentRecord, choice: HardwareChoice) -> None:
    if record.config not in (None, choice.hardware.config):
        raise ReasoningError(
            f"`{record.endpoint_name}` runs on {record.hardware}, and hardware is fixed for life",
            f"undeploy it first: `reasoning models undeploy {record.endpoint_name}`",
        )


def plan_start(client: Cloud, store: Store, limits: Limits, name: str) -> DeployPlan:
    """What it takes to start a deployment of ours again as it was: same model, hardware and idle stop.

    Raises NotFoundError when nothing of that name was deployed, and what `plan_deploy` raises.
    """
    if name.startswith("endpoint-"):
        raise ReasoningError(
            f"`{name}` is an endpoint of v1, and Together starts none of these any more",
            "deploy its model anew: `reasoning models deploy MODEL --as TYPE`",
        )
    record = find_live(store, name)
    if record.model_type is None:
        raise UsageError(
            f"`{record.endpoint_name}` answers no decisions", f"give it some: `reasoning models adopt {name} --as TYPE`"
        )
    request = DeployRequest(
        target=record.model_id or record.model_name,
        models={},
        idle_minutes=record.idle_minutes,
        own_idle_minutes=record.own_idle_minutes,
        model_type=record.model_type,
        endpoint=record.endpoint_name,
        config=record.config,
    )
    return plan_deploy(client, store, limits, request)


_TYPES = "|".join(spell_model_type(model_type) for model_type in MODEL_TYPES)


def untyped(model: Model) -> UsageError:
    """Nobody said what the model is for."""
    return UsageError(f"which decisions should `{model.name}` answer?", f"add --as {_TYPES}")


def read_target(request: DeployRequest) -> tuple[str, str | None]:
    """The model a target stands for, by its name or id, and the model type if it tells. Raises UsageError."""
    try:
        model_type = parse_model_type(request.target)
    except UsageError:
        if request.model_type is not None:
            return request.target, request.model_type
        owners = [model_type for model_type, name in request.models.items() if name == request.target]
        return request.target, (owners[0] if len(owners) == 1 else None)
    if request.model_type not in (None, model_type):
        raise UsageError(
            f"`{request.target}` is a model type, and so is --as", "name a model with --as, or leave --as away"
        )
    return request.models[model_type], model_type


def _replicas(request: DeployRequest, record: DeploymentRecord | None) -> tuple[int, int]:
    """The bounds asked for; where nothing is asked, those of what runs, else one."""
    running = record if record is not None and record.max_replicas else None
    low, high = request.min_replicas, request.max_replicas
    if low is None:
        low = running.min_replicas if running else 1
    if high is None:
        high = max(low, running.max_replicas if running else 0)
    if not 1 <= low <= high:
        raise UsageError(
            f"{low} to {high} replicas make no sense", "at least 1, and --max-replicas not below --min-replicas"
        )
    return low, high


def _digest(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:8]


def _known(
    store: Store, endpoint_name: str, model: Model, model_type: str
) -> tuple[DeploymentRecord | None, DeploymentRecord | None]:
    """Our own live deployment of the model under that endpoint name, and the one of another that it is to replace."""
    live = {record.key: record for record in Deployments(store).live() if record.endpoint_name == endpoint_name}
    record = next((record for record in reversed(live.values()) if record.model_id == model.id), None)
    serving = _serving_on(store, live, endpoint_name, model_type)
    replaces = _replaced(store, live, record, serving, model, model_type)
    if record is not None and record.state == "FAILED":
        away = f"rollback {spell_model_type(model_type)}" if replaces is not None else f"undeploy {endpoint_name}"
        raise ReasoningError(
            f"`{endpoint_name}` FAILED, and Together starts no failed deployment again",
            f"clear it away first: `reasoning models {away}`",
        )
    return record, replaces


def _serving_on(
    store: Store, live: dict[str, DeploymentRecord], endpoint_name: str, model_type: str
) -> DeploymentRecord | None:
    """What answers under an endpoint's name now. ReasoningError where that is another type's."""
    slots = {slot.deployment_key: slot.model_type for slot in Deployments(store).slots()}
    serving = next((record for record in live.values() if record.key in slots), None) or next(
        reversed(live.values()), None
    )
    if serving is not None and slots.get(serving.key, model_type) != model_type:
        raise ReasoningError(
            f"`{endpoint_name}` answers {spell_model_type(slots[serving.key])} decisions",
            f"choose another endpoint: `--endpoint {spell_model_type(model_type)}`",
        )
    return serving


def _replaced(
    store: Store,
    live: Mapping[str, DeploymentRecord],
    record: DeploymentRecord | None,
    serving: DeploymentRecord | None,
    model: Model,
    model_type: str,
) -> DeploymentRecord | None:
    """What the model takes the place of. ReasoningError where another one is a canary already."""
    replaces = serving if serving is not None and serving.model_id != model.id else None
    going = Replacements(store).going(model_type)
    if going is not None and going.old_key in live and going.new_key in live:
        if record is not None and record.key == going.new_key:
            replaces = live[going.old_key]
        elif serving is not None and serving.key != going.new_key:
            name, canary = spell_model_type(model_type), live[going.new_key]
            raise ReasoningError(
                f"`{canary.model_name}` is a canary of `{serving.endpoint_name}` already, at {going.percent} %",
                f"`reasoning models promote {name}`, or take it back: `reasoning models rollback {name}`",
            )
    return replaces


def _refuse_stranger(client: Cloud, store: Store, endpoint_name: str) -> None:
    """An endpoint of that name is used only if it was made from here and nothing is on it."""
    found = client.find_endpoint(endpoint_name)
    if found is None:
        return
    if any(record.endpoint_id == found.id for record in Deployments(store).all()) and not client.deployments(found.id):
        return
    raise ReasoningError(
        f"the endpoint `{found.name}` exists already, and what is on it was not made from here",
        f"choose another name: `--endpoint {endpoint_name}-2`",
    )


def _action(record: DeploymentRecord | None, replicas: tuple[int, int]) -> Action:
    if record is None or record.deployment_id is None:
        return Action.CREATE
    if record.state in ("STOPPED", "STOPPING"):
        return Action.RESTART
    if replicas != (record.min_replicas, record.max_replicas):
        return Action.SCALE
    return Action.NOTHING if record.state == "READY" else Action.CONTINUE
