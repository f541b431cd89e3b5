"""Serve a LoRA adapter attached to a deployment of its base model, which other adapters may share.

The base model's deployment is planned and brought up as any other, or one of ours that takes adapters is used. The
adapter is on record as its rider, before the first request, so a second run finds what the first one made and goes on.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import MissingError
from reasoning_cli.errors import LimitError, NotFoundError, ReasoningError, RemoteError, UsageError
from reasoning_cli.operations.costs.budget import AT_REST, Limits, spending_rate
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.deploy.apply import Deployed, bring_up, cost_in_errors, route
from reasoning_cli.operations.deploy.catalog import Servable, find_base, find_servable, first_choice, serving_options
from reasoning_cli.operations.deploy.cutover import former, hand_over
from reasoning_cli.operations.deploy.plan import Action, DeployPlan, DeployRequest, plan_deploy, read_target, untyped
from reasoning_cli.operations.deploy.plan import plan_start as plan_start_alone
from reasoning_cli.operations.deploy.teardown import StopPlan, run_stop
from reasoning_cli.operations.deploy.wait import Waiting, try_answer, wait_for
from reasoning_cli.operations.inventory.lookup import find_live
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import CREATING, DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacements
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud
    from reasoning_cli.engines.serving import Model
    from reasoning_cli.operations.deploy.catalog import Hardware


@dataclass(frozen=True)
class AttachPlan:
    """What will be attached to what: `base` is what has to be done for the deployment it rides on, perhaps nothing.

    `replaces` is what serves the model type until the adapter has answered.
    """

    model: Model
    model_type: str
    base: DeployPlan
    record: DeploymentRecord | None
    replaces: DeploymentRecord | None

    @property
    def endpoint_name(self) -> str:
        return self.base.endpoint_name

    @property
    def serving_name(self) -> str:
        return spellings(self.base.serving_name, self.model.name)[0]

    @property
    def action(self) -> Action:
        """What it comes to, of the adapter and of what it rides on."""
        if self.record is None:
            return Action.CREATE
        if self.base.action is not Action.NOTHING:
            return self.base.action
        return Action.NOTHING if self.record.state == "READY" else Action.CONTINUE

    @property
    def refusal(self) -> LimitError | None:
        return self.base.refusal

    @property
    def max_cents_per_hour(self) -> int:
        return self.base.max_cents_per_hour

    @property
    def added_cents_per_hour(self) -> int:
        return self.base.added_cents_per_hour


@dataclass(frozen=True)
class ServingChoice:
    """One of two ways to serve an adapter of `base`, and what it adds to the bill; `on`: ours that it can ride on."""

    merged: bool
    base: str
    added_cents_per_hour: int
    on: str | None = None


class ServingChoiceError(UsageError):
    """An adapter can be merged or attached, and nobody said which."""

    def __init__(self, wanted: str, choices: tuple[ServingChoice, ServingChoice]) -> None:
        merged, attached = choices
        where = f"to `{attached.on}`, which we have" if attached.on else f"to a deployment of {attached.base}"
        super().__init__(
            f"`{wanted}` can be merged into {merged.base} or attached to it",
            f"add `--merged` (on a deployment of its own, ${merged.added_cents_per_hour / 100:.2f} an hour more),"
            f" or `--adapter` ({where}, ${attached.added_cents_per_hour / 100:.2f} an hour more)",
        )
        self.choices = choices


def spellings(endpoint: str, adapter: str) -> tuple[str, ...]:
    """How a chat call may name an adapter on an endpoint, the likeliest first; both by their full names.

    Together says that `model` names the adapter, and that without one the base model answers, but not how it is spelled
    for v2: v1 took the first of these. Which one it is, the first answer tells.
    """
    return (f"{endpoint}:{adapter}", f"{endpoint}:{adapter.rpartition('/')[2]}", adapter)


def plan_serving(client: Cloud, store: Store, limits: Limits, request: DeployRequest) -> DeployPlan | AttachPlan:
    """Plan the deploy of whatever is meant: a model on a deployment of its own, or an adapter that rides on one.

    Raises ServingChoiceError when it could be either and nobody said which, NotFoundError when it cannot be what was
    said, and what `plan_deploy` raises.
    """
    wanted, model_type = read_target(request)
    servable = find_servable(client, wanted)
    if servable.adapter is None:
        if request.merged is False:
            raise NotFoundError(f"`{wanted}` is not an adapter, and has none", "leave `--adapter` away")
        return plan_deploy(client, store, limits, request, servable.merged)
    if request.merged:
        return plan_deploy(client, store, limits, request, servable.merged)
    if model_type is None:
        raise untyped(servable.adapter)
    if request.merged is None:
        options = _options(client, servable.adapter)
        if not options or _begun(store, servable.merged, model_type, riding=False):
            return plan_deploy(client, store, limits, request, servable.merged)
        if not _begun(store, servable.adapter, model_type, riding=True):
            raise ServingChoiceError(wanted, _price(client, store, request, servable, options))
    return plan_attach(client, store, limits, request, servable.adapter, model_type)


def plan_attach(
    client: Cloud, store: Store, limits: Limits, request: DeployRequest, adapter: Model, model_type: str
) -> AttachPlan:
    """Find what the adapter can ride on, or plan it, and check the money. Creates nothing.

    Raises NotFoundError when its base model takes no adapters, and what `plan_deploy` raises.
    """
    base = find_base(client, adapter)
    own = next((rider for rider in Deployments(store).riders() if rider.model_id == adapter.id), None)
    _refuse_conflict(store, adapter, own, model_type)
    carrier = _carrier(store, request, base, serving_options(client, base), own)
    if own is not None and (carrier is None or carrier.key != own.rides_on):
        raise ReasoningError(
            f"`{adapter.name}` rides on `{own.endpoint_name}` already",
            f"detach it first: `reasoning models undeploy {own.deployment_name}`",
        )
    plan = plan_deploy(client, store, limits, _request_of_base(request, base, carrier, model_type), base)
    if plan.replaces is not None:
        raise ReasoningError(
            f"`{plan.replaces.model_name}` runs on the endpoint `{plan.endpoint_name}`, and not `{base.name}`",
            "choose another endpoint: `--endpoint NAME`",
        )
    if own is not None:
        own = Deployments(store).get(own.key)  # as `plan_deploy` has just seen it
    replaces = former(store, model_type, own)
    if replaces is not None and carrier is not None and replaces.key == carrier.key:
        replaces = None  # it goes on below the adapter
    return AttachPlan(adapter, model_type, plan, own if own is None or own.deleted_at is None else None, replaces)


def _refuse_conflict(store: Store, adapter: Model, own: DeploymentRecord | None, model_type: str) -> None:
    """ReasoningError where the adapter answers another type, or another model is a canary of this one."""
    if own is not None and own.model_type not in (None, model_type):
        raise ReasoningError(
            f"`{adapter.name}` is attached already, and answers {spell_model_type(own.model_type or '')} decisions",
            f"detach it first: `reasoning models undeploy {own.deployment_name}`",
        )
    going = Replacements(store).going(model_type)
    if going is not None and (own is None or going.new_key != own.key):
        name = spell_model_type(model_type)
        raise ReasoningError(
            f"another model is a canary of `{name}` already, at {going.percent} %",
            f"`reasoning models promote {name}`, or take it back: `reasoning models rollback {name}`",
        )


def _request_of_base(
    request: DeployRequest, base: Model, carrier: DeploymentRecord | None, model_type: str
) -> DeployRequest:
    """The deploy of what the adapter rides on: as it runs already, else as the request has it."""
    if carrier is None:
        wanted = replace(request, endpoint=request.endpoint or _endpoint_name(base.name), model_type=model_type)
    else:
        wanted = replace(
            request,
            endpoint=carrier.endpoint_name,
            model_type=carrier.model_type or model_type,
            config=carrier.config,
            hardware=None,
            idle_minutes=carrier.idle_minutes,
            own_idle_minutes=carrier.own_idle_minutes,
            idle_by_type={},
        )
    return replace(wanted, target=base.name, for_adapters=True)


def plan_start(client: Cloud, store: Store, limits: Limits, name: str) -> DeployPlan | AttachPlan:
    """What it takes to start what is stopped; of an adapter, that is what it rides on. See `deploying.plan_start`."""
    record = None if name.startswith("endpoint-") else find_live(store, name)
    if record is None or record.rides_on is None or record.model_type is None:
        return plan_start_alone(client, store, limits, name)
    request = DeployRequest(target=record.model_id or "", models={}, idle_minutes=0, endpoint=record.endpoint_name)
    return plan_attach(client, store, limits, request, client.model(record.model_id or ""), record.model_type)


def run_attach(client: Cloud, store: Store, plan: AttachPlan, *, wait: Waiting | None) -> Deployed:
    """Do what `plan` says. Without `wait`, returns as soon as Together has taken it; one that replaces something waits.

    Raises RemoteError when it is not READY in time or does not answer; what then keeps running is in the message.
    """
    with cost_in_errors(plan.endpoint_name, plan.max_cents_per_hour):
        return _run(client, store, plan, wait)


def _run(client: Cloud, store: Store, plan: AttachPlan, wait: Waiting | None) -> Deployed:
    base = bring_up(client, store, plan.base, wait)
    # Before it is ready: what Together refuses has then cost nothing.
    rider = _attach(client, store, plan, base, wait)
    route(client, base)
    if plan.replaces is None:
        Deployments(store).set_slot(plan.model_type, rider.key, now=client.now())
    if wait is None:
        return Deployed(rider, None)
    base = wait_for(client, store, base, "READY", wait)
    route(client, base)
    rider = wait_for(client, store, rider, "READY", wait)
    rider, answered_in = _try(client, store, rider, base, wait)
    if plan.replaces is not None:
        hand_over(client, store, plan.model_type, plan.replaces, rider, wait)
    return Deployed(rider, answered_in)


def _attach(
    client: Cloud, store: Store, plan: AttachPlan, base: DeploymentRecord, wait: Waiting | None
) -> DeploymentRecord:
    """The adapter on its base, attached now or by an earlier run. Refused for good, nothing made for it is left."""
    assert base.endpoint_id is not None and base.deployment_id is not None
    rider = plan.record
    if rider is None:
        rider = Deployments(store).record_intent(_intent(plan, base, client.now()))
        detail = {"model": plan.model.name, "base": base.model_name}
        Events(store).add(Event(client.now(), "operator", "attach", plan.endpoint_name, detail))
    if rider.adapter_id is None:
        try:
            made = client.attach(base.endpoint_id, base.deployment_id, plan.model.id)
        except RemoteError:
            raise  # it may be attached: the record stays, the same command goes on from here
        except ReasoningError as refusal:
            _take_back(client, store, plan, rider, base, refusal, wait)
            raise
        rider = Deployments(store).update(rider.key, endpoint_id=base.endpoint_id, adapter_id=made.id)
    return observe(client, store, rider)


def _take_back(
    client: Cloud,
    store: Store,
    plan: AttachPlan,
    rider: DeploymentRecord,
    base: DeploymentRecord,
    refusal: ReasoningError,
    wait: Waiting | None,
) -> None:
    now = client.now()
    Deployments(store).update(rider.key, state=DELETED, deleted_at=now, state_at=now, last_error=refusal.message)
    refusal.hint = "deploy it merged: the same command with `--merged`"
    if Deployments(store).riders(base.key) or any(
        record.deployment_key == base.key for record in Deployments(store).slots()
    ):
        return
    if wait is None:
        refusal.hint = f"`reasoning models undeploy {base.endpoint_name}`; then deploy it merged: add `--merged`"
        return
    run_stop(client, store, StopPlan(base, keep=False, saves_cents_per_hour=spending_rate(base)), wait)


def _try(
    client: Cloud, store: Store, rider: DeploymentRecord, base: DeploymentRecord, wait: Waiting
) -> tuple[DeploymentRecord, timedelta]:
    """One token from the adapter, under the first of its names that Together knows; that one is kept on record."""
    names = spellings(base.serving_name or "", rider.model_name)
    known = [rider.serving_name] if rider.serving_name in names else []
    problem: MissingError | None = None
    for name in dict.fromkeys([*known, *names]):
        try:
            answered_in = try_answer(client, rider, wait, name)
        except MissingError as unknown:
            problem = unknown
            continue
        return Deployments(store).update(rider.key, serving_name=name), answered_in
    raise RemoteError(
        f"`{rider.model_name}` is loaded, but Together knows it under none of these names: {', '.join(names)}",
        f"deploy it merged instead: `--merged`; stop paying: `reasoning models undeploy {rider.deployment_name}`",
    ) from problem


def _options(client: Cloud, adapter: Model) -> list[Hardware]:
    """What its base model can be served on so that the adapter can be attached, cheapest first."""
    try:
        base = find_base(client, adapter)
    except NotFoundError:
        return []
    return [option for option in serving_options(client, base) if option.takes_adapters]


def _begun(store: Store, model: Model, model_type: str | None, *, riding: bool) -> bool:
    """Whether the model is deployed for that type in this way already: then it is that way which goes on."""
    found = Deployments(store).riders() if riding else Deployments(store).live()
    return any(record.model_id == model.id and record.model_type == model_type for record in found)


def _price(
    client: Cloud, store: Store, request: DeployRequest, servable: Servable, options: Sequence[Hardware]
) -> tuple[ServingChoice, ServingChoice]:
    """What each way adds an hour, as far as can be told without planning it."""
    assert servable.adapter is not None
    alone, base = serving_options(client, servable.merged), find_base(client, servable.adapter)
    carrier = _carrier(store, request, base, options, None)
    added = _cheapest(options, request)
    if carrier is not None:
        added = 0 if carrier.state not in AT_REST else (carrier.price_cents_per_hour or 0)
    on = carrier.endpoint_name if carrier is not None else None
    return ServingChoice(True, base.name, _cheapest(alone, request)), ServingChoice(False, base.name, added, on)


def _cheapest(options: Sequence[Hardware], request: DeployRequest) -> int:
    """The price of what would be chosen, a replica and hour."""
    asked = [
        option
        for option in options
        if request.hardware in (None, option.name) and request.config in (None, option.config_id)
    ]
    chosen = first_choice(asked) or first_choice(options)
    return chosen.price_cents_per_hour if chosen is not None else 0


def _carrier(
    store: Store, request: DeployRequest, base: Model, options: Sequence[Hardware], own: DeploymentRecord | None
) -> DeploymentRecord | None:
    """The deployment of ours that the adapter rides on already, or can: of its base model, with a config for it."""
    suits = {
        option.config
        for option in options
        if option.takes_adapters
        and request.hardware in (None, option.name)
        and request.config in (None, option.config, option.config_id)
    }
    found = [
        record
        for record in Deployments(store).live()
        if record.model_id == base.id
        and record.config in suits
        and record.state != "FAILED"
        and request.endpoint in (None, record.endpoint_name)
    ]
    if own is not None:
        found = [record for record in found if record.key == own.rides_on] or found
    return min(found, key=lambda record: record.state in AT_REST, default=None)


def _endpoint_name(model_name: str) -> str:
    """What adapters of a base model ride on, unless it is named: `qwen3-8b`."""
    return re.sub(r"[^a-z0-9]+", "-", model_name.rpartition("/")[2].lower()).strip("-")


def _intent(plan: AttachPlan, base: DeploymentRecord, now: datetime) -> DeploymentRecord:
    return DeploymentRecord(
        key=str(uuid.uuid4()),
        model_type=plan.model_type,
        model_name=plan.model.name,
        model_id=plan.model.id,
        endpoint_name=base.endpoint_name,
        endpoint_id=base.endpoint_id,
        deployment_name=plan.model.name.rpartition("/")[2],
        deployment_id=None,
        serving_name=spellings(base.serving_name or plan.base.serving_name, plan.model.name)[0],
        project_id=base.project_id,
        hardware=base.hardware,
        price_cents_per_hour=None,
        config=base.config,
        idle_minutes=0,
        min_replicas=0,
        max_replicas=0,
        state=CREATING,
        ready_replicas=0,
        created_at=now,
        state_at=now,
        rides_on=base.key,
    )
