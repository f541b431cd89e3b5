"""Replace a model that serves without a gap: bring the other up beside it, try it, shift to it, stop the old one.

Each step is found again from the store and from Together, so the same command goes on after anything that ended it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import BusyError, UnreachableError
from reasoning_cli.errors import NotFoundError, ReasoningError, RemoteError, UsageError
from reasoning_cli.operations.costs.budget import AT_REST, Limits, spending_rate
from reasoning_cli.operations.costs.ledger import observe
from reasoning_cli.operations.deploy.apply import bring_up
from reasoning_cli.operations.deploy.lora import AttachPlan, plan_attach
from reasoning_cli.operations.deploy.plan import DeployPlan, DeployRequest, plan_deploy
from reasoning_cli.operations.deploy.teardown import StopPlan, run_stop
from reasoning_cli.operations.deploy.wait import Progress, Waiting, try_answer, wait_for
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DELETED, DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacement, Replacements
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud


@dataclass(frozen=True)
class Shift:
    """How the traffic moves: shares of the new model in percent, ever more, `interval` (service time) apart.

    A last step under 100 is a canary: both go on. The one step 0 brings the new one up beside the old, asked by its own
    name alone. `keep_old` only stops the old one at the end. `is_rollback`: this is
    the way back, and one that broke off goes on that way.
    """

    steps: tuple[int, ...] = (100,)
    interval: timedelta = timedelta()
    keep_old: bool = False
    is_rollback: bool = False

    def __post_init__(self) -> None:
        if (
            not self.steps
            or list(self.steps) != sorted(set(self.steps))
            or not 0 <= self.steps[0] <= self.steps[-1] <= 100
            or (self.steps[0] == 0 and len(self.steps) > 1)
        ):
            raise UsageError("shares of the traffic go up, from 1 to 100 percent", "for example --steps 10,50,100")


@dataclass(frozen=True)
class Replaced:
    """How a replacement stands: the new deployment, its share, and the old one as it is now."""

    record: DeploymentRecord
    old: DeploymentRecord
    percent: int
    answered_in: timedelta


@dataclass(frozen=True)
class Return:
    """A rollback of a canary: all traffic back to `old`, and `new` goes."""

    replacement: Replacement
    old: DeploymentRecord
    new: DeploymentRecord


def run_replace(client: Cloud, store: Store, plan: DeployPlan, shift: Shift, wait: Waiting) -> Replaced:
    """Do what `plan` (one that `replaces` something) and `shift` say, or go on with it.

    Raises RemoteError when the new one does not come up, does not answer, or breaks on the way: the old one then has
    the traffic.
    """
    old = plan.replaces
    assert old is not None
    try:
        return _run(client, store, plan, old, shift, wait)
    except (BusyError, UnreachableError) as problem:
        price = f"${plan.max_cents_per_hour / 100:.2f}"
        name = spell_model_type(plan.model_type)
        raise RemoteError(
            f"{problem.message}; both models may be running, the new one at up to {price} an hour",
            f"run the same command again to go on, or `reasoning models rollback {name}`",
        ) from problem


def plan_promote(client: Cloud, store: Store, limits: Limits, model_type: str) -> DeployPlan | AttachPlan:
    """What it takes to finish the replacement that is a canary. Raises NotFoundError when none is.

    A plan that `replaces` nothing: the old one turned out to be gone, and only the route is left to be checked.
    """
    going = Replacements(store).going(model_type)
    if going is None:
        name = spell_model_type(model_type)
        raise NotFoundError(
            f"`{name}` has no canary", f"begin: `reasoning models deploy MODEL --as {name} --canary 10`"
        )
    return _plan_to(client, store, limits, model_type, going.new_key, going.old_key)


def plan_rollback(client: Cloud, store: Store, limits: Limits, model_type: str) -> Return | DeployPlan | AttachPlan:
    """The way back: from the canary, else to the deployment before the one that serves now.

    A plan that `replaces` nothing: see `plan_promote`. Raises NotFoundError when nothing was replaced, LimitError when
    the former model cannot be paid for as well.
    """
    deployments, replacements = Deployments(store), Replacements(store)
    serving = next((record.deployment_key for record in deployments.slots() if record.model_type == model_type), None)
    going = replacements.going(model_type)
    if going is not None and going.is_rollback:
        return _plan_to(client, store, limits, model_type, going.new_key, going.old_key)
    if going is not None and going.new_key != serving:
        old, new = deployments.get(going.old_key), deployments.get(going.new_key)
        assert old is not None and new is not None
        return Return(going, old, new)
    last = replacements.latest_to(serving) if serving else None
    if last is not None and last.is_rollback and last.finished_at is None:
        # It broke off when what it leaves was gone already: it is done, and the same command again is no way forth.
        replacements.finish(last.number, client.now())
        return _plan_to(client, store, limits, model_type, last.new_key, last.new_key)
    if last is None or serving is None:
        raise NotFoundError(
            f"`{spell_model_type(model_type)}` has no former model", "`reasoning models list` shows what serves it"
        )
    return _plan_to(client, store, limits, model_type, last.old_key, serving)


def run_return(client: Cloud, store: Store, plan: Return, wait: Waiting) -> DeploymentRecord:
    """Give all traffic back to the old deployment, then stop and delete the new one; the old one as it is now."""
    old, new = observe(client, store, plan.old), observe(client, store, plan.new)
    Events(store).add(Event(client.now(), "operator", "rollback", old.endpoint_name, {"to": old.model_name}))
    if old.state in AT_REST:
        raise ReasoningError(
            f"`{old.model_name}` is {old.state}, and cannot take the traffic back",
            f"start it first: `reasoning models start {old.deployment_name}`",
        )
    if old.rides_on is None and new.rides_on is None:  # an adapter is in no split
        move(client, old, new, 0)
    Replacements(store).set_percent(plan.replacement.number, 0)
    run_stop(client, store, StopPlan(new, keep=False, saves_cents_per_hour=spending_rate(new)), wait)
    Replacements(store).finish(plan.replacement.number, client.now())
    return observe(client, store, old)


def _plan_to(
    client: Cloud, store: Store, limits: Limits, model_type: str, key: str, serving_key: str
) -> DeployPlan | AttachPlan:
    """A deploy of a deployment's model with its own config, into the endpoint that serves; an adapter where it can."""
    wanted, serving = Deployments(store).get(key), Deployments(store).get(serving_key)
    assert wanted is not None and serving is not None
    shifts = wanted.rides_on is None and serving.rides_on is None
    request = DeployRequest(
        target=wanted.model_id or wanted.model_name,
        models={},
        idle_minutes=wanted.idle_minutes,
        own_idle_minutes=wanted.own_idle_minutes,
        model_type=model_type,
        endpoint=serving.endpoint_name if shifts else wanted.endpoint_name,
        config=wanted.config,
    )
    if wanted.rides_on is None:
        return plan_deploy(client, store, limits, request)
    base = Deployments(store).get(wanted.rides_on)
    if base is not None:
        request = replace(request, idle_minutes=base.idle_minutes, own_idle_minutes=base.own_idle_minutes)
    return plan_attach(client, store, limits, request, client.model(wanted.model_id or ""), model_type)


def _run(client: Cloud, store: Store, plan: DeployPlan, old: DeploymentRecord, shift: Shift, wait: Waiting) -> Replaced:
    record = bring_up(client, store, plan, wait)
    replacement = Replacements(store).begin(
        plan.model_type, old.key, record.key, client.now(), is_rollback=shift.is_rollback
    )
    record = wait_for(client, store, record, "READY", wait)
    old = observe(client, store, old)
    if replacement.percent == 0:
        # A deployment can only be asked when it is in the split; with weight 0 nobody else is sent there.
        move(client, old, record, 0, keep_new=True)
    answered_in = try_answer(client, record, wait, name=f"{record.serving_name}/{record.deployment_name}")
    steps = [step for step in shift.steps if step > replacement.percent] or [shift.steps[-1]]
    percent = replacement.percent
    for number, percent in enumerate(steps, 1):
        move(client, old, record, percent, keep_new=percent == 0)
        Replacements(store).set_percent(replacement.number, percent)
        detail = {"model": record.model_name, "percent": percent}
        Events(store).add(Event(client.now(), "operator", "shift", record.endpoint_name, detail))
        if number < len(steps):
            old, record = _hold(client, store, old, record, replacement, shift.interval, wait)
    if percent == 100:
        Deployments(store).set_slot(plan.model_type, record.key, now=client.now())
        if old.state != DELETED:
            old = run_stop(client, store, StopPlan(old, shift.keep_old, spending_rate(old)), wait).record
        if plan.retires is not None:
            run_stop(client, store, StopPlan(plan.retires, keep=False, saves_cents_per_hour=0), wait)
    record = observe(client, store, record)
    if percent == 100:
        Replacements(store).finish(replacement.number, client.now())  # last: what is finished is not gone on with
    return Replaced(record, old, percent, answered_in)


def _hold(
    client: Cloud,
    store: Store,
    old: DeploymentRecord,
    record: DeploymentRecord,
    replacement: Replacement,
    interval: timedelta,
    wait: Waiting,
) -> tuple[DeploymentRecord, DeploymentRecord]:
    """Watch both for an interval of service time. A new one that breaks gives its traffic back at once."""
    started = client.now()
    while client.now() - started < interval:
        wait.sleep(wait.poll_seconds)
        old, record = observe(client, store, old), observe(client, store, record)
        if record.ready_replicas == 0:
            move(client, old, record, 0)
            Replacements(store).set_percent(replacement.number, 0)
            name = spell_model_type(replacement.model_type)
            raise RemoteError(
                f"`{record.model_name}` is {record.state}: its traffic is back with `{old.model_name}`",
                f"take it away: `reasoning models rollback {name}`, or try again: `reasoning models promote {name}`",
            )
        wait.notify(Progress(record, record.state, client.now() - started))
    return old, record


def move(client: Cloud, old: DeploymentRecord, new: DeploymentRecord, percent: int, *, keep_new: bool = False) -> None:
    """Let `percent` of what the two get go to the new one, and read back that it is so.

    A share is weight times ready replicas, hence the division. One without share leaves the split (its entry would keep
    it from being deleted), but for a new one that is to be tried. Others on the endpoint keep their share.
    """
    endpoint_id, old_id, new_id = new.endpoint_id or "", old.deployment_id or "", new.deployment_id or ""
    for _ in range(2):
        split = _split(client, endpoint_id)
        others = {
            deployment_id: weight for deployment_id, weight in split.items() if deployment_id not in (old_id, new_id)
        }
        wanted = _weights(split, old, new, percent, alone=not others)
        if keep_new:
            wanted.setdefault(new_id, 0)
        if {deployment_id: weight for deployment_id, weight in split.items() if deployment_id not in others} == wanted:
            return
        client.route(endpoint_id, {**others, **wanted})
    if {
        deployment_id: weight
        for deployment_id, weight in _split(client, endpoint_id).items()
        if deployment_id in wanted
    } != wanted:
        raise RemoteError(
            f"Together does not route `{new.serving_name}` as it was told", "run the same command again to go on"
        )


def _split(client: Cloud, endpoint_id: str) -> dict[str, float]:
    return {target.deployment_id: target.weight for target in client.endpoint(endpoint_id).traffic_split}


def _weights(
    split: Mapping[str, float], old: DeploymentRecord, new: DeploymentRecord, percent: int, *, alone: bool
) -> dict[str, float]:
    """The weights that give the new one `percent` of what the two get: all where they are `alone` on the endpoint."""
    old_id, new_id = old.deployment_id or "", new.deployment_id or ""
    replicas = {old_id: max(1, old.ready_replicas), new_id: max(1, new.ready_replicas)}
    whole = 0 if alone else sum(split.get(deployment_id, 0) * count for deployment_id, count in replicas.items())
    shares = {old_id: 100 - percent if old.state != DELETED else 0, new_id: percent}
    return {
        deployment_id: share * (whole or 1) / 100 / replicas[deployment_id]
        for deployment_id, share in shares.items()
        if share
    }
