"""What each slot may do right now: who answers for it, how, and what keeps it closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.operations.costs.budget import read_limits, standings
from reasoning_cli.operations.deploy.own_server import OwnServer, is_same_server, usable_server
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.deploy.rollouts import Replacement, Replacements
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.store.train.auto_loops import TRYING, Loops
from reasoning_cli.values import HEAD, MODEL_TYPES, Mode, PromptForm, TokenLimit

if TYPE_CHECKING:
    from reasoning_cli.engines.head.model import Head

READY = "READY"
SPENT = "the budget is spent"
CAPPED = "the cap of an hour is reached"
HEAD_TYPE, HEAD_PLACE = "should_respond", "head"
# What the operator keeps a slot closed with; whatever else closes it may pass.
HANDS_THROUGH, DISABLED = "the gateway only hands through", "the slot is disabled"


@dataclass(frozen=True)
class SlotNow:
    """One slot at this moment.

    `url` is an OpenAI-compatible base with `/v1`, `model` the name to ask for there. `closed` says why no decision may
    go there, in words fit for counting; None when it may. `deployment_key` is None for another provider than Together.
    `wakes`: traffic may start its model when it is stopped. While a promotion is `watched`, what the model does not
    answer it is asked as a shadow, so that there is something to compare. `own_server`: the operator's own
    serves the model, which takes `parallel` questions at once (None: not known), and calls the limit of an answer
    `max_tokens_name`; where its engine has no address, it is asked by a `connection`. `head` is asked before its model.
    """

    model_type: str
    url: str | None
    api_key: str | None
    model: str | None
    mode: Mode
    share_percent: int
    deadline_seconds: float
    max_tokens: int
    window_tokens: int
    confidence: float | None
    tools: bool
    collect: bool
    closed: str | None
    deployment_key: str | None = None
    wakes: bool = False
    prompt_form: PromptForm = PromptForm.EXACT
    candidate: SlotCandidate | None = None
    watched: bool = False
    own_server: bool = False
    parallel: int | None = None
    head: HeadSlot | None = None
    max_tokens_name: TokenLimit = TokenLimit.MAX_TOKENS
    connection: OwnServer | None = None

    @property
    def circuit(self) -> str:
        """The name of its circuit: a candidate for the slot has another."""
        return self.model_type

    @property
    def asked(self) -> tuple[object, ...]:
        """Who is asked and how: what fails by one of these may go well by another."""
        return (
            self.url,
            self.api_key,
            self.model,
            self.deadline_seconds,
            self.max_tokens,
            self.window_tokens,
            self.prompt_form,
            self.tools,
            self.parallel,
            self.max_tokens_name,
            self.connection,
        )

    @property
    def asleep(self) -> bool:
        """Whether nothing but a standing model keeps it closed, and traffic may start that."""
        return self.wakes and self.closed in (closed_by("STOPPED"), closed_by("FAILED"))


@dataclass(frozen=True)
class SlotCandidate:
    """A model on its way into a slot: it answers `percent` of the users, always the same ones, and the slot's own
    model the others. `slot` is the slot with it in the place of that one."""

    slot: SlotNow
    percent: int


@dataclass(frozen=True)
class HeadSlot(SlotNow):
    """The slot as the head in line fills it, in this process. `judge` is the head itself, None where it is closed;
    `audit_percent` of its decisions go to the original all the same. `problem` is what keeps it closed, in full;
    `since` is from when on it is audited."""

    judge: Head | None = None
    audit_percent: int = 5
    problem: str | None = None
    since: datetime | None = None

    @property
    def circuit(self) -> str:
        return f"{self.model_type} {self.model}"

    @property
    def asked(self) -> tuple[object, ...]:
        return (self.model, self.since)


@dataclass(frozen=True)
class CandidateSlot(SlotNow):
    """The slot as a candidate fills it."""

    @property
    def circuit(self) -> str:
        return f"{self.model_type} {self.deployment_key or self.model}"


def read_slots(
    settings: Settings, store: Store, at: datetime, *, together_url: str, together_key: str | None
) -> Mapping[str, SlotNow]:
    """Every slot by its model type, as settings and ledger have it at `at`; without a head, see `heads.in_line`."""
    deployments = Deployments(store)
    serving = {
        slot.model_type: deployments.get(slot.deployment_key) for slot in deployments.slots() if slot.deployment_key
    }
    limits = read_limits(settings)
    every = standings(store, limits, at)
    spent = {standing.model_type for standing in every if standing.left_cents == 0}
    free = {slot.model_type for slot in limits.token_slots if slot.price is None or slot.is_free}
    slots = {
        model_type: _slot(
            settings,
            model_type,
            serving.get(model_type),
            set() if model_type in free else spent,
            together_url,
            together_key,
        )
        for model_type in MODEL_TYPES
    }
    if every[0].is_capped:
        slots = {
            model_type: replace(slot, closed=slot.closed or CAPPED)
            if slot.own_server and model_type not in free
            else slot
            for model_type, slot in slots.items()
        }
    return {model_type: _with_candidate(store, slot) for model_type, slot in slots.items()}


def slots_of_settings(settings: Settings, *, together_url: str, together_key: str | None) -> Mapping[str, SlotNow]:
    """Every slot as far as the settings have it, without what the ledger knows of deployments and budgets."""
    return {
        model_type: _slot(settings, model_type, None, set(), together_url, together_key) for model_type in MODEL_TYPES
    }


def _with_candidate(store: Store, slot: SlotNow) -> SlotNow:
    """The slot with its canary. Each is then named so that its own deployment answers, and whose
    answer it was is known: where two share an endpoint, the split of that would choose."""
    promotion = Promotions(store).going(slot.model_type)
    if slot.own_server and promotion is not None and promotion.server is not None:
        return _with_served_candidate(slot, promotion)
    if slot.deployment_key is None:
        return slot
    loop = Loops(store).get(slot.model_type)
    tried = loop is not None and loop.engine != HEAD and loop.step in TRYING
    slot = replace(slot, watched=tried or (promotion is not None and promotion.stage == "watching"))
    going = Replacements(store).going(slot.model_type)
    if going is None or slot.deployment_key != going.old_key:
        return slot
    old, new = Deployments(store).get(going.old_key), Deployments(store).get(going.new_key)
    if old is None or new is None or new.state != READY or new.serving_name is None:
        return slot
    slot = replace(slot, model=_own_name(old, going, new))
    there = {name: getattr(slot, name) for name in SlotNow.__dataclass_fields__}
    form = promotion.plan.get("prompt_form") if promotion is not None and promotion.model_key == new.key else None
    if form is not None:
        there["prompt_form"] = PromptForm(str(form))
    candidate = CandidateSlot(
        **there | {"model": _own_name(new, going, old), "deployment_key": new.key, "wakes": False}
    )
    if candidate.closed == closed_by(old.state):
        candidate = replace(candidate, closed=None)  # that is the other's state
    return replace(slot, candidate=SlotCandidate(candidate, going.percent))


def _with_served_candidate(slot: SlotNow, promotion: Promotion) -> SlotNow:
    """The slot with a model that comes in beside its own, from the same server or another, which gets no key of it."""
    if promotion.stage not in ("watching", "finishing"):
        return slot
    slot = replace(slot, watched=promotion.stage == "watching")
    if not promotion.plan.get("old_answers") or slot.model != promotion.plan.get("old_model"):
        return slot  # its own model is the one on its way, or another that somebody has set since
    there = {name: getattr(slot, name) for name in SlotNow.__dataclass_fields__}
    there |= {"model": promotion.model, "prompt_form": PromptForm(str(promotion.plan["prompt_form"]))}
    if not is_same_server(slot.url, promotion.server):
        there |= {"api_key": None, "parallel": None}
    candidate = CandidateSlot(**there | {"url": promotion.server})
    return replace(slot, candidate=SlotCandidate(candidate, promotion.percent))


def _own_name(record: DeploymentRecord, going: Replacement, other: DeploymentRecord) -> str | None:
    if record.rides_on is not None or record.endpoint_name != other.endpoint_name:
        return record.serving_name
    if going.percent == 0 and record.key == going.old_key:
        return record.serving_name  # all of the endpoint's traffic is its own
    return f"{record.serving_name}/{record.deployment_name}"


def _slot(
    settings: Settings,
    model_type: str,
    record: DeploymentRecord | None,
    spent: set[str | None],
    together_url: str,
    together_key: str | None,
) -> SlotNow:
    get = settings.get
    elsewhere, broken = usable_server(settings, model_type)
    record = None if broken else record  # nothing is woken or asked in its place
    url = elsewhere.url if elsewhere else f"{together_url.rstrip('/')}/v1"
    key = elsewhere.api_key if elsewhere else None if broken else together_key
    model = elsewhere.model if elsewhere else record.serving_name if record else None
    return SlotNow(
        model_type=model_type,
        url=url,
        api_key=key,
        model=model,
        mode=get(s.MODE[model_type]),
        share_percent=get(s.SHARE[model_type]),
        deadline_seconds=get(s.DEADLINE_MS[model_type]) / 1000,
        max_tokens=get(s.MAX_TOKENS[model_type]),
        window_tokens=get(s.WINDOW_TOKENS[model_type]),
        confidence=None if (least := get(s.CONFIDENCE[model_type])) is None else float(least),
        tools=get(s.TOOLS[model_type]),
        collect=get(s.COLLECT) and get(s.TYPE_COLLECT[model_type]),
        closed=_closed(settings, model_type, elsewhere, record, spent, broken),
        deployment_key=record.key if record is not None and elsewhere is None else None,
        wakes=get(s.WAKE[model_type]) and record is not None and elsewhere is None,
        prompt_form=get(s.PROMPT_FORM[model_type]),
        own_server=elsewhere is not None or broken is not None,
        parallel=get(s.PARALLEL[model_type]),
        max_tokens_name=get(s.MAX_TOKENS_NAME[model_type]) if elsewhere else TokenLimit.MAX_TOKENS,
        connection=elsewhere if elsewhere is not None and not elsewhere.url else None,
    )


def _closed(
    settings: Settings,
    model_type: str,
    elsewhere: OwnServer | None,
    record: DeploymentRecord | None,
    spent: set[str | None],
    broken: str | None,
) -> str | None:
    """Why a slot takes no decision now, or None."""
    if not settings.get(s.GATEWAY_ENABLED):
        return HANDS_THROUGH
    if not settings.get(s.ENABLED[model_type]):
        return DISABLED
    if broken is not None:
        return broken
    if elsewhere is not None:
        return SPENT if None in spent or model_type in spent else None
    if record is None or record.serving_name is None or record.deleted_at is not None:
        return "no model is deployed"
    if None in spent or model_type in spent:
        return SPENT
    return None if record.state == READY else closed_by(record.state)


def closed_by(state: str) -> str:
    """What a slot whose model is in `state` is closed with."""
    return f"the model is {state}"
