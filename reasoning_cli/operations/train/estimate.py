"""What a fine-tuning job may cost and how long it may take, said before anything is uploaded: an order of magnitude.

Together tells a price of its own only for a file that it has checked. Until then there are the account's past jobs on
the same base, and else a rough guess by the size of the base: no stored page tells today's rates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reasoning_cli.engines.jobs import Job

MARGIN = Decimal("1.25")  # by which Together's own price may exceed what was said before, without a word

_MILLION = 1_000_000
# Up to so many billion parameters: cents for a million tokens with LoRA and in full, for examples and for preferences.
# Of the right order, and checked against no price list.
_RATES = (
    (16, {("sft", False): 48, ("sft", True): 54, ("dpo", False): 120, ("dpo", True): 135}),
    (69, {("sft", False): 150, ("sft", True): 165, ("dpo", False): 375, ("dpo", True): 412}),
    (100, {("sft", False): 290, ("sft", True): 320, ("dpo", False): 725, ("dpo", True): 800}),
)
_TOKENS_PER_HOUR = ((16, 20 * _MILLION), (69, 6 * _MILLION), (10_000, 3 * _MILLION))
_SET_UP = timedelta(minutes=10)
_SIZE = re.compile(r"(?<![\w.])(?:\d+x)?(\d+(?:\.\d+)?)[bB](?![A-Za-z])")


@dataclass(frozen=True)
class RoughPrice:
    """A price nobody has promised: cents, and where they come from in words."""

    cents: Decimal
    source: str

    @property
    def ceiling_cents(self) -> int:
        """What is agreed to by agreeing to this."""
        return int((self.cents * MARGIN).quantize(Decimal(1), ROUND_UP))


def billions_of(name: str) -> float | None:
    """The parameters of a model as its name tells them, in billions; None when it does not."""
    found = [float(text) for text in _SIZE.findall(name.rpartition("/")[2].replace("-", " ").replace("_", " "))]
    return max(found, default=None)


def rough_price(base: str, tokens: int, *, method: str, full: bool, jobs: Sequence[Job]) -> RoughPrice | None:
    """What so many tokens may cost on a base; None when there is nothing to go by."""
    for job in sorted(jobs, key=lambda job: str(job.created_at), reverse=True):
        if job.model == base and job.status == "completed" and job.token_count and job.total_price:
            rate = job.cents / job.token_count
            return RoughPrice(rate * tokens, f"by what `{job.id}` cost on the same base")
    size = billions_of(base)
    rates = next((rates for most, rates in _RATES if size is not None and size <= most), None)
    if rates is None:
        return None
    cents = Decimal(rates[method, full]) * tokens / _MILLION
    return RoughPrice(cents, "a rough guess by the size of the base")


def rough_time(base: str, tokens: int) -> timedelta:
    """How long so many tokens may take, without the queue: a guess by the size of the base."""
    size = billions_of(base) or 70
    speed = next(speed for most, speed in _TOKENS_PER_HOUR if size <= most)
    return _SET_UP + timedelta(hours=tokens / speed)
