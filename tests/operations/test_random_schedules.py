"""The ledger against the meter, over hundreds of lives by chance: close with regular looks, never outside."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.engines.together.service import service
from tests.operations.schedules import Life, Schedule

STEPS = 6
FEW = 8  # lives on one service: each is asked about, and added up, with all before it
ROUNDING = Decimal("1e-9")


def play(folder: Path, seeds: range, *, interval: int | None = None, outages: bool = False) -> list[Life]:
    """So many lives, and a line about them that `pytest -s` shows. None may be outside its range."""
    lives: list[Life] = []
    while more := seeds[len(lives) : len(lives) + FEW]:
        place = folder / str(more.start)
        place.mkdir()
        with service(place) as together:
            lives += [Schedule(together, seed, interval, outages, STEPS).play() for seed in more]
    worst = max(lives, key=lambda life: life.error_cents)
    dollars = sum(life.metered_cents for life in lives) / 100
    print(  # noqa: T201
        f"\n{f'a look each {interval} s' if interval else 'gaps'}{', events failing' if outages else ''}:"
        f" {len(lives)} lives, ${dollars:.2f}; largest error {worst.error_cents:.4f} cents (life {worst.seed}, stated"
        f" ±{worst.usage.doubt_cents:.4f}); outside the range {max(life.outside_cents for life in lives):.10f} cents"
    )
    assert dollars > 50, "hardly anything was billed: this proves nothing"
    for life in lives:
        assert life.outside_cents <= ROUNDING, life
    return lives


def test_with_regular_looks_the_ledger_is_within_one_interval(tmp_path: Path) -> None:
    for life in play(tmp_path, range(1, 46), interval=300):
        assert life.error_cents <= life.interval_cents * life.price_changes + ROUNDING, life


def test_with_a_look_each_minute_and_failing_events_the_range_holds_the_truth(tmp_path: Path) -> None:
    lives = play(tmp_path, range(1001, 1017), interval=60, outages=True)
    assert sum(life.events_failed for life in lives) > 8
    for life in lives:
        assert life.error_cents <= life.interval_cents * 2 * len(life.steps), life


def test_with_gaps_events_make_up_for_looks(tmp_path: Path) -> None:
    for life in play(tmp_path, range(2001, 2071)):
        if not life.price_changes:
            assert life.error_cents <= ROUNDING, life


def test_with_gaps_and_failing_events_the_range_holds_the_truth(tmp_path: Path) -> None:
    lives = play(tmp_path, range(3001, 3071), outages=True)
    assert any(life.usage.doubt_cents > 100 for life in lives)
