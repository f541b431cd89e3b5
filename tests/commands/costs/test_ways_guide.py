"""The guide to the cheapest way: what it shows is what the program says of the same facts, and its sums are right."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from reasoning_cli.operations.costs.token_prices import shipped_prices
from reasoning_cli.store.open import open_store
from tests.conftest import Run
from tests.operations.advice.scenes import HEAD, MODEL, deployed, evaluated, head_run

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "cheapest.md").read_text(encoding="utf-8")
PRICES = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)[0]
SHOWN = re.findall(r"```\n(should-respond   [\d,]+ decisions an hour of .*?)\n```", GUIDE, re.DOTALL)
# `300 × 730 × $0.00395 = $865.05`; numbers with units, factors and a division at most.
_NUMBER = r"\$?\d[\d,]*(?:\.\d+)?(?: ¢| %)?"
SUMS = re.findall(rf"((?:{_NUMBER} [×÷+−] )+{_NUMBER}) = ({_NUMBER})", GUIDE)


@pytest.fixture
def filled(home: Path) -> None:
    """The head, the GPU and the two servers of the guide."""
    home.mkdir()
    (home / "prices.toml").write_text(f"{shipped_prices()}\n{PRICES}")
    now = datetime.now(UTC)
    with open_store(home / "reasoning.db", "together") as store:
        head_run(store, now - timedelta(days=1))
        deployed(store, now - timedelta(days=3), ready=0)
        for model in (MODEL, HEAD):
            evaluated(store, now - timedelta(hours=1), model=model)


@pytest.mark.parametrize("per_hour", [30, 300, 3000])
def test_the_guide_shows_what_the_program_says(per_hour: int, filled: None, home: Path, reasoning: Run) -> None:
    for name, text in re.findall(r"^\$ reasoning config set (\S+) (\S+)$", GUIDE, re.M):
        assert reasoning("config", "set", name, text).exit_code == 0
    (typed,) = re.findall(rf"^\$ reasoning (costs compare .*--decisions-per-hour {per_hour} .*)$", GUIDE, re.M)
    done = reasoning(*typed.split())
    assert (done.exit_code, done.stderr) == (0, "")
    (shown,) = (text for text in SHOWN if text.startswith(f"should-respond   {per_hour:,} "))
    assert done.stdout.splitlines() == shown.splitlines()


def number(text: str) -> Decimal:
    """`$1,234.50` or `0.395 ¢` in dollars, `31 %` as a share, `730` as it is."""
    bare = Decimal(re.sub(r"[^\d.]", "", text))
    return bare / 100 if text.endswith(("¢", "%")) else bare


@pytest.mark.parametrize("found", SUMS, ids=lambda found: found[0])
def test_the_sums_of_the_guide_are_right(found: tuple[str, str]) -> None:
    first, *rest = re.split(r" ([×÷+−]) ", found[0])
    result = number(first)
    for sign, text in zip(rest[::2], rest[1::2], strict=True):
        match sign:
            case "×":
                result *= number(text)
            case "÷":
                result /= number(text)
            case "+":
                result += number(text)
            case _:
                result -= number(text)
    shown = found[1]
    digits = len(shown.rstrip(" ¢%").partition(".")[2]) + (2 if shown.endswith(("¢", "%")) else 0)
    assert result.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP) == number(shown)


def test_each_price_of_the_three_tables_is_worked_out() -> None:
    """No price is in a table that is not the end of a sum, or named beside one."""
    worked = {result for _, result in SUMS} | set(re.findall(r"\$[\d,]+\.\d\d", GUIDE.split("## What it says")[0]))
    for text in SHOWN:
        table = text.partition("WAY")[2].partition("  →")[0]
        assert set(re.findall(r"\$[\d,]+\.\d\d", table)) <= worked
    assert len(SUMS) >= 15
