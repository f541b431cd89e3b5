"""Kill the gateway under load: `python -m benchmarks.gateway_kill --kills 50 --ends 10`.

Each kill (SIGKILL) and each orderly end (SIGTERM) is of the program itself, at a moment by chance, while six callers
ask decisions in three dialects. Then it is started again, and the log is held against what the callers got: nothing
torn, nothing twice, after a kill at most the last 100 ms missing, after an orderly end nothing. Prints a table; 1 when
anything was otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.gateway.killing import Killing, Verdict

_LAST_MS = 100
_FORM = "{:<8} {:>6} {:>9} {:>5} {:>8} {:>10} {:>9} {:>6}"


def main() -> int:
    """Print a line an end, and what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--ends", type=int, default=10)
    parser.add_argument("--callers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        killing = Killing(Path(name), chosen.seed, chosen.callers)
        try:
            kills = [killing.kill() for _ in range(chosen.kills)]
            ends = [killing.end() for _ in range(chosen.ends)]
        finally:
            killing.close()
    head = ("END", "TIMES", "ANSWERED", "LOST", "MISSING", "OLDEST MS", "READY MS", "WRONG")
    print(_FORM.format(*head))
    wrong = show("SIGKILL", kills) + show("SIGTERM", ends)
    wrong += sum((kill.missing_ms or 0) > _LAST_MS for kill in kills)
    wrong += sum(end.lost + end.missing + abs(end.exit_code) > 0 for end in ends)
    return 1 if wrong else 0


def show(name: str, verdicts: list[Verdict]) -> int:
    """Print them as one line; how many had faults."""
    if not verdicts:
        return 0
    faults = [fault for verdict in verdicts for fault in verdict.faults]
    oldest = max((verdict.missing_ms or 0 for verdict in verdicts), default=0)
    ready = sorted(verdict.ready_ms for verdict in verdicts)[len(verdicts) // 2]
    lost = sum(verdict.lost for verdict in verdicts) if name == "SIGTERM" else 0
    answered, missing = sum(verdict.answered for verdict in verdicts), sum(verdict.missing for verdict in verdicts)
    print(_FORM.format(name, len(verdicts), answered, lost, missing, f"{oldest:.0f}", f"{ready:.0f}", len(faults)))
    for fault in faults:
        print(f"  {fault}")
    return len(faults)


if __name__ == "__main__":
    sys.exit(main())
