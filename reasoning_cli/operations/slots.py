"""What each slot may do right now: who answers for it, how, and what keeps it closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli import settings as s
from reasoning_cli.operations.budget import read_limits, standings
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deployments import DeploymentRecord, Deployments
from reasoning_cli.values import MODEL_TYPES, Mode, PromptForm

READY = "READY"


@dataclass(frozen=True)
class SlotNow:
    """One slot at this moment.

    `url` is an OpenAI-compatible base with `/v1`, `model` the name to ask for there. `closed` says why no decision may
    go there, in words fit for counting; None when it may. `deployment_key` is None for another provider than Together.
    `wakes`: traffic may start its model when it stands still.
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

    @property
    def asleep(self) -> bool:
        """Whether nothing but a standing model keeps it closed, and traffic may start that."""
        return self.wakes and self.closed in (closed_by("STOPPED"), closed_by("FAILED"))


def read_slots(
    settings: Settings, store: Store, at: datetime, *, together_url: str, together_key: str | None
) -> Mapping[str, SlotNow]:
    """Every slot by its model type, as settings and ledger have it at `at`."""
    deployments = Deployments(store)
    serving = {
        slot.model_type: deployments.get(slot.deployment_key) for slot in deployments.slots() if slot.deployment_key
    }
    spent = {one.model_type for one in standings(store, read_limits(settings), at) if one.left_cents == 0}
    return {
        model_type: _slot(settings, model_type, serving.get(model_type), spent, together_url, together_key)
        for model_type in MODEL_TYPES
    }


def _slot(
    settings: Settings,
    model_type: str,
    record: DeploymentRecord | None,
    spent: set[str | None],
    together_url: str,
    together_key: str | None,
) -> SlotNow:
    get = settings.get
    elsewhere = get(s.PROVIDER_URL[model_type])
    url = elsewhere.rstrip("/") if elsewhere else f"{together_url.rstrip('/')}/v1"
    key = get(s.PROVIDER_KEY[model_type]) if elsewhere else together_key
    model = get(s.MODEL[model_type]) if elsewhere else record.serving_name if record else None
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
        closed=_closed(settings, model_type, elsewhere, record, spent),
        deployment_key=record.key if record is not None and elsewhere is None else None,
        wakes=get(s.WAKE[model_type]) and record is not None and elsewhere is None,
        prompt_form=get(s.PROMPT_FORM[model_type]),
    )


def _closed(
    settings: Settings, model_type: str, elsewhere: str | None, record: DeploymentRecord | None, spent: set[str | None]
) -> str | None:
    """Why a slot takes no decision now, or None."""
    if not settings.get(s.GATEWAY_ENABLED):
        return "the gateway only hands through"
    if not settings.get(s.ENABLED[model_type]):
        return "the slot is disabled"
    if elsewhere is not None:
        return None
    if record is None or record.serving_name is None or record.deleted_at is not None:
        return "no model is deployed"
    if None in spent or model_type in spent:
        return "the budget is spent"
    return None if record.state == READY else closed_by(record.state)


def closed_by(state: str) -> str:
    """What a slot whose model is in `state` is closed with."""
    return f"the model is {state}"
