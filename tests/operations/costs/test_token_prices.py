"""The table of token prices: the shipped one, the operator's, and what makes no sense."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.errors import ConfigurationError
from reasoning_cli.operations.costs.token_prices import create_prices, parse_prices, read_prices, shipped_prices


def test_every_shipped_price_says_when_and_where_it_was_looked_up() -> None:
    found = parse_prices(shipped_prices())
    assert len(found) > 5
    for one in found.values():
        assert one.date is not None and one.source and one.output_usd > one.input_usd > 0


def test_amounts_are_exact() -> None:
    price = parse_prices('["m"]\ninput = 0.1\noutput = 3')["m"]
    assert price.cents(1_000_000, 1_000_000) == Decimal(310)
    assert price.cents(1, 0) == Decimal("0.00001")


def test_cached_input_costs_what_the_table_says_and_else_the_full_price() -> None:
    table = '["m"]\ninput = 2\noutput = 8'
    assert parse_prices(table)["m"].cents(1000, 100, 600) == Decimal("0.28")
    cheaper = parse_prices(f"{table}\ncached_input = 0.5")["m"]
    assert cheaper.cents(1000, 100, 600) == Decimal("0.19")  # 400 × 2, 600 × 0.5 and 100 × 8 a million
    assert cheaper.cents(1000, 100) == Decimal("0.28")


def test_the_shipped_table_is_used_until_there_is_one_of_the_operator(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    assert read_prices(file) == parse_prices(shipped_prices())
    assert not file.exists()
    assert create_prices(file)
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text('["mine"]\ninput = 1\noutput = 2\n')
    assert not create_prices(file)
    assert list(read_prices(file)) == ["mine"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpt = 3", "stands alone"),
        ('["m"]\ninput = 1', "`output` of `m`"),
        ('["m"]\ninput = "much"\noutput = 2', "`input` of `m`"),
        ('["m"]\ninput = -1\noutput = 2', "`input` of `m`"),
        ('["m"]\ninput = nan\noutput = 2', "`input` of `m`"),
        ('["m"]\ninput = 1\noutput = 2\ncached_input = "half"', "`cached_input` of `m`"),
        ('["m"]\ninput = true\noutput = 2', "`input` of `m`"),
        ('["m"]\ninput = 1\noutput = 2\ndate = "today"', "`date` of `m`"),
        ("]]\n\n", "line 1"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_prices(file)
    assert said in caught.value.message and str(file) in caught.value.message
