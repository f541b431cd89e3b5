"""What people type, parsed: model types, amounts, hours, addresses. The same rules for flags, variables and files.

Parsers raise ValueError with a reason that reads on after the value: "`abc` is no amount of dollars".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path

from reasoning_cli.errors import UsageError

MODEL_TYPES = ("should_respond", "planning", "coding")


class Agent(StrEnum):
    """Whose calls are to come here, by how it builds addresses."""

    ELIZAOS = "elizaos"
    CLAUDE_CODE = "claude-code"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Period(StrEnum):
    """What a budget is for: all that was ever spent, a calendar month or a calendar day (both UTC)."""

    TOTAL = "total"
    MONTH = "month"
    DAY = "day"

    @property
    def spoken(self) -> str:
        """As it follows an amount: `$100 a month`."""
        return "in total" if self is Period.TOTAL else f"a {self}"


def parse_period(text: str) -> Period:
    """`total`, `month` or `day`."""
    try:
        return Period(text.strip().lower())
    except ValueError:
        raise ValueError("is none of total, month and day") from None


def parse_model_type(text: str) -> str:
    """`should-respond` or `should_respond`, in any case, as it is written inside. Raises UsageError."""
    name = text.strip().lower().replace("-", "_")
    if name in MODEL_TYPES:
        return name
    typed = [spell_model_type(known) for known in MODEL_TYPES]
    near = difflib.get_close_matches(name.replace("_", "-"), typed, n=1)
    meant = f"did you mean `{near[0]}`? There are" if near else "there are"
    raise UsageError(f"`{text}` is no model type", f"{meant} {', '.join(typed[:-1])} and {typed[-1]}")


def spell_model_type(model_type: str) -> str:
    """A model type as people read and type it."""
    return model_type.replace("_", "-")


def parse_text(value: str) -> str:
    text = value.strip()
    if not text:
        raise ValueError("is empty")
    if any("\ud800" <= character <= "\udfff" for character in text):  # bytes of a terminal that are no UTF-8
        raise ValueError("is not valid text")
    return text


def parse_key(value: str) -> str:
    """An API key as it can stand in a header; what is copied with it (quotes, dots, line ends) is noticed here."""
    key = parse_text(value)
    if not (key.isascii() and key.isprintable()) or any(sign in key for sign in " '\""):
        raise ValueError("is no API key: it holds a space, a quote or a sign that keys do not have")
    return key


def parse_boolean(value: str) -> bool:
    match value.strip().lower():
        case "true" | "1" | "yes" | "on" | "y":
            return True
        case "false" | "0" | "no" | "off" | "n":
            return False
    raise ValueError("is neither true nor false")


def parse_whole(lowest: int, highest: int) -> Callable[[str], int]:
    """A parser of whole numbers within bounds."""

    def parse(value: str) -> int:
        try:
            number = int(value.strip())
        except ValueError:
            raise ValueError("is no whole number") from None
        if not lowest <= number <= highest:
            raise ValueError(f"is not between {lowest} and {highest}")
        return number

    return parse


def parse_idle_minutes(value: str) -> int:
    """Together's own rule for its idle stop: 0 (never) or 30 to 1440 minutes."""
    number = parse_whole(0, 1440)(value)
    if 0 < number < 30:
        raise ValueError("is too short: Together stops a model after 30 to 1440 idle minutes (0 = never)")
    return number


def parse_usd(value: str) -> Decimal:
    """An amount of dollars, `100`, `12.50` or `$5`: positive, at most ten million, at most two decimals."""
    text = value.strip().removeprefix("$").replace(",", "")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError("is no amount of dollars") from None
    if not amount.is_finite() or amount > 10_000_000:
        raise ValueError("is no amount between $0.01 and $10,000,000")
    if amount <= 0:
        raise ValueError("is not more than zero")
    if amount != amount.quantize(Decimal("0.01")):
        raise ValueError("has more than two decimals")
    return amount.quantize(Decimal("0.01"))


def parse_hours(value: str) -> Decimal:
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        raise ValueError("is no number of hours") from None
    if not number.is_finite() or not 0 <= number <= 720:
        raise ValueError("is not between 0 and 720 hours")
    return number


def parse_seconds(value: str) -> Decimal:
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        raise ValueError("is no number of seconds") from None
    if not number.is_finite() or not Decimal("0.01") <= number <= 3600:
        raise ValueError("is not between 0.01 and 3600 seconds")
    return number


def parse_duration(value: str) -> timedelta:
    """`90s`, `15m`, `2h`: from a tenth of a second to a week."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smh])", value.strip().lower())
    if found is None:
        raise ValueError("is no length of time like 90s, 15m or 2h")
    unit = {"s": "seconds", "m": "minutes", "h": "hours"}[found[2]]
    time = timedelta(**{unit: float(found[1])})
    if not timedelta(seconds=0.1) <= time <= timedelta(days=7):
        raise ValueError("is not between 0.1s and 168h")
    return time


def parse_speed(value: str) -> Decimal:
    try:
        number = Decimal(value.strip().lower().removesuffix("x"))
    except InvalidOperation:
        raise ValueError("is no speed like 60x") from None
    if not number.is_finite() or not 0 <= number <= 1_000_000:
        raise ValueError("is not between 0x and 1000000x")
    return number


def parse_url(value: str) -> str:
    url = value.strip().rstrip("/")
    if not url.startswith(("http://", "https://")) or len(url) < 10:
        raise ValueError("is no http:// or https:// address")
    return url


def parse_together_url(value: str) -> str:
    # The original and OpenAI clients write the base with /v1; paths here carry their own version.
    return parse_url(value).removesuffix("/v1")


def parse_path(value: str) -> Path:
    return Path(parse_text(value)).expanduser()
