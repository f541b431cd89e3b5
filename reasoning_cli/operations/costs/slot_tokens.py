"""What slots cost by the token: those that a server of the operator's own, or a provider by the token, answers.

It is counted from the log: nothing is written for it when a call goes through the gateway. What was counted stays
counted in a process that runs on, also when its samples are deleted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

from reasoning_cli import settings as s
from reasoning_cli.addresses import is_loopback
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.operations.costs.ledger import Usage
from reasoning_cli.operations.costs.token_prices import TokenPrice, read_prices
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.serving.tokens_used import TokensUsed, Watermark, tokens_used
from reasoning_cli.values import MODEL_TYPES, TOGETHER

# Characters to a token where nobody counted: at most so many tokens there were, and at least.
_HOUR = timedelta(hours=1)
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_FEW_CHARS, _MANY_CHARS = 2, 6


@dataclass(frozen=True)
class TokenSlot:
    """A slot that is paid for by the token: its model, and the price; None where nobody knows it."""

    model_type: str
    model: str
    price: TokenPrice | None

    @property
    def is_free(self) -> bool:
        return self.price is not None and not (self.price.input_usd or self.price.output_usd)


@dataclass(frozen=True)
class TokenCost:
    """What a slot took and costs, as a range where tokens were not counted; None without a price."""

    slot: TokenSlot
    used: TokensUsed
    usage: Usage | None


def token_slots(settings: Settings) -> tuple[TokenSlot, ...]:
    """The slots that another than Together answers, with the price that is set for each; else that of the table; else,
    on this machine, nothing."""
    return tuple(slot for model_type in MODEL_TYPES if (slot := _slot(settings, model_type)) is not None)


def _slot(settings: Settings, model_type: str) -> TokenSlot | None:
    url, engine = settings.get(s.PROVIDER_URL[model_type]), settings.get(s.ENGINE[model_type])
    if engine == TOGETHER or (engine is None and url is None):
        return None
    model, rate = settings.get(s.MODEL[model_type]), settings.get(s.TOKEN_PRICE[model_type])
    if rate is not None:
        return TokenSlot(model_type, model, TokenPrice(model, rate.input_usd, rate.output_usd))
    with contextlib.suppress(ConfigurationError):  # shown by `costs prices` and `costs compare`
        listed = read_prices(settings.paths.config_file.with_name("prices.toml")).get(model)
        if listed is not None:
            return TokenSlot(model_type, model, listed)
    is_here = url is not None and is_loopback(urlsplit(url).hostname or "")
    return TokenSlot(model_type, model, TokenPrice(model, Decimal(0), Decimal(0)) if is_here else None)


def with_candidates(store: Store, slots: Sequence[TokenSlot]) -> tuple[TokenSlot, ...]:
    """The slots once more for each other model of theirs that a promotion brought in, or is bringing, at the price of
    the slot: what it took is paid for too, whoever is in the slot now."""
    found = list(slots)
    for slot in slots:
        came = [known for known in Promotions(store).all(slot.model_type) if known.server is not None]
        names = [name for known in came for name in (known.model, known.plan.get("old_model")) if name]
        others = dict.fromkeys(str(name) for name in names if name != slot.model)
        found += [replace(slot, model=name) for name in others]
    return tuple(found)


def cents_of_last_hour(
    store: Store, slots: Sequence[TokenSlot], at: datetime, model_type: str | None = None
) -> Decimal:
    """What the priced slots (of one type) took in the hour before `at`, in cents; where nobody counted, at the most."""
    priced = [
        slot for slot in slots if not (slot.price is None or slot.is_free) and model_type in (None, slot.model_type)
    ]
    costs = token_costs(store, with_candidates(store, priced), at - _HOUR, _END_OF_TIME)
    return sum((cost.usage.high_cents for cost in costs if cost.usage is not None), Decimal(0))


_Key = tuple[str, str, str, datetime]
_SEEN: dict[_Key, tuple[Watermark, TokensUsed]] = {}


def token_costs(store: Store, slots: Sequence[TokenSlot], since: datetime, until: datetime) -> list[TokenCost]:
    """What each slot took from `since` to `until`, and costs."""
    return [_cost(slot, tokens_used(store, slot.model_type, slot.model, since, until)[0]) for slot in slots]


def token_usage(store: Store, slots: Sequence[TokenSlot], start: datetime, model_type: str | None = None) -> Usage:
    """What the priced slots (of one type) cost since a period began. Looked at again, only what is new is read."""
    found = Usage()
    for slot in with_candidates(store, slots):
        if slot.price is None or slot.is_free or model_type not in (None, slot.model_type):
            continue
        key = (str(store.path), slot.model_type, slot.model, start)
        watermark, before = _SEEN.get(key, (Watermark(), TokensUsed()))
        new, watermark = tokens_used(store, slot.model_type, slot.model, start, _END_OF_TIME, watermark)
        _SEEN[key] = (watermark, before + new)
        cost = _cost(slot, before + new)
        found += cost.usage or Usage()
    return found


def _cost(slot: TokenSlot, used: TokensUsed) -> TokenCost:
    if slot.price is None:
        return TokenCost(slot, used, None)
    counted = slot.price.cents(used.prompt_tokens, used.completion_tokens)
    low, high = (
        slot.price.cents(Decimal(used.uncounted_prompt_chars) / chars, Decimal(used.uncounted_output_chars) / chars)
        for chars in (_MANY_CHARS, _FEW_CHARS)
    )
    return TokenCost(slot, used, Usage(low_cents=counted + low, high_cents=counted + high))
