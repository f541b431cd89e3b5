"""The randomised test of the ledger, for as long as you like: `python -m benchmarks.ledger_soak --lives 5000`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.engines.together.service import service
from tests.operations.schedules import Schedule

KINDS = ((300, False), (60, True), (None, False), (None, True))


def main() -> int:
    """Play lives of all kinds in turn, each from its own seed; 1 when the truth was outside a range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lives", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=10_000)
    chosen = parser.parse_args()
    outside = 0
    largest = dict.fromkeys(KINDS, (0.0, 0))
    for first in range(chosen.seed, chosen.seed + chosen.lives, 100):  # a new sandbox now and then: it forgets nothing
        with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as lived:
            for seed in range(first, min(first + 100, chosen.seed + chosen.lives)):
                kind = KINDS[seed % len(KINDS)]
                life = Schedule(lived, seed, *kind, chosen.steps).play()
                largest[kind] = max(largest[kind], (float(life.error_cents), seed))
                if life.outside_cents > 1e-9:
                    outside += 1
                    print(f"OUTSIDE by {life.outside_cents} cents: {life}", flush=True)
        print(
            f"{seed + 1 - chosen.seed} lives, {outside} outside; largest errors in cents (seed): {largest}", flush=True
        )
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
