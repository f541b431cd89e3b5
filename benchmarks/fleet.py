"""Hosts that share one PostgreSQL and one budget, by random schedules: `python -m benchmarks.fleet --schedules 100`.

Three hosts deploy, wake, scale and stop at the same moment, each planned before any of them has begun, each about to
send when the others are; a guard looks each interval, now here, now there. See `tests.operations.fleet` for what must
hold after every moment.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from reasoning_cli.values import DatabaseAddress
from tests.engines.together.service import service
from tests.operations.fleet import Fleet
from tests.sources.postgres_server import postgres_server


def main() -> int:
    """Play the schedules, each from its own seed, in a schema of its own; 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=100)
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--moments", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    problems: list[str] = []
    moments = started = refused = decisions = 0
    overshoot, began = Decimal(0), time.monotonic()
    with postgres_server() as url:
        for seed in range(chosen.seed, chosen.seed + chosen.schedules):
            with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as together:
                # Each host has a folder of its own, as on machines of their own.
                places = [
                    DatabaseAddress(url, f"fleet_{seed}", Path(folder) / f"host{number}" / "reasoning.db")
                    for number in range(chosen.hosts)
                ]
                with Fleet(together, places, seed) as fleet:
                    fleet.play(chosen.moments)
            problems += fleet.problems
            moments += fleet.steps
            started += fleet.started
            refused += fleet.refused
            decisions += fleet.decisions
            overshoot = max(overshoot, fleet.overshoot_cents)
            for problem in fleet.problems:
                print(problem, flush=True)
            if (seed - chosen.seed + 1) % 10 == 0:
                seconds = time.monotonic() - began
                print(f"{seed - chosen.seed + 1} schedules, {len(problems)} problems, {seconds:.0f} s", flush=True)
    print(
        f"{chosen.schedules} schedules of {chosen.hosts} hosts, {moments} moments: {started} with something started,"
        f" {refused} refused by a limit; largest overshoot {overshoot} cents; {decisions} decisions, each counted once;"
        f" {len(problems)} problems"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
