"""What original providers charge for tokens: a table the operator can edit, dated line by line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib import resources
from pathlib import Path

from reasoning_cli.errors import ConfigurationError
from reasoning_cli.paths import write_private


@dataclass(frozen=True)
class TokenPrice:
    """Dollars for a million tokens of input and of output, when that was looked up, and where. `cached_usd` is for
    input that the provider had cached; None where the table does not say."""

    model: str
    input_usd: Decimal
    output_usd: Decimal
    date: date | None = None
    source: str | None = None
    cached_usd: Decimal | None = None

    def cents(
        self, prompt_tokens: Decimal | int, completion_tokens: Decimal | int, cached_tokens: Decimal | int = 0
    ) -> Decimal:
        """What so many tokens cost. Cached ones are among those of the prompt, and cost as much without a price."""
        full = self.input_usd * prompt_tokens + self.output_usd * completion_tokens
        if self.cached_usd is not None:
            full -= (self.input_usd - self.cached_usd) * cached_tokens
        return full / 10_000


def shipped_prices() -> str:
    """The table as it comes with the program."""
    return resources.files("reasoning_cli.operations.costs").joinpath("prices.toml").read_text(encoding="utf-8")


def read_prices(path: Path) -> dict[str, TokenPrice]:
    """The prices by model: the operator's table, or the shipped one as long as there is none.

    Raises ConfigurationError when it cannot be read or makes no sense.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = shipped_prices()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read `{path}`: {error}", "mend or move the file") from error
    try:
        return parse_prices(text)
    except ValueError as error:
        raise ConfigurationError(f"`{path}`: {error}", "`reasoning costs prices --edit` mends it") from error


def parse_prices(text: str) -> dict[str, TokenPrice]:
    """A table of prices from TOML. Raises ValueError that names the line or the model."""
    from reasoning_cli.settings_file import read_text

    tables: dict[str, dict[str, str | None]] = {}
    for name, value in read_text(text).items():
        model, _, member = name.rpartition(".")
        tables.setdefault(model, {})[member] = value
    if "" in tables:
        alone = next(iter(tables[""]))
        raise ValueError(f'`{alone}` stands alone: write a table, ["{alone}"], with input and output')
    return {model: _price(model, members) for model, members in tables.items()}


def create_prices(path: Path) -> bool:
    """Put the shipped table where the operator can edit it; whether there was none."""
    if path.exists():
        return False
    write_private(path, shipped_prices())
    return True


def _price(model: str, members: Mapping[str, str | None]) -> TokenPrice:
    def amount(name: str) -> Decimal:
        try:
            dollars = Decimal(members.get(name) or "")
        except InvalidOperation:
            dollars = Decimal("NaN")
        if not dollars.is_finite() or not 0 <= dollars <= 100_000:
            raise ValueError(f"`{name}` of `{model}` is not a number of dollars for a million tokens")
        return dollars

    full, output = amount("input"), amount("output")
    cached = amount("cached_input") if "cached_input" in members else None
    looked_up = members.get("date")
    try:
        day = date.fromisoformat(looked_up) if looked_up is not None else None
    except ValueError:
        raise ValueError(f"`date` of `{model}` is not a day like 2026-11-21") from None
    return TokenPrice(model, full, output, day, members.get("source"), cached)
