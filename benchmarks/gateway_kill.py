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
    wrong += sum((one.missing_ms or 0) > _LAST_MS for one in kills)
    wrong += sum(one.lost + one.missing + abs(one.exit_code) > 0 for one in ends)
    return 1 if wrong else 0


def show(name: str, verdicts: list[Verdict]) -> int:
    """Print them as one line; how many had faults."""
    if not verdicts:
        return 0
    faults = [fault for one in verdicts for fault in one.faults]
    oldest = max((one.missing_ms or 0 for one in verdicts), default=0)
    ready = sorted(one.ready_ms for one in verdicts)[len(verdicts) // 2]
    lost = sum(one.lost for one in verdicts) if name == "SIGTERM" else 0
    answered, missing = sum(one.answered for one in verdicts), sum(one.missing for one in verdicts)
    print(_FORM.format(name, len(verdicts), answered, lost, missing, f"{oldest:.0f}", f"{ready:.0f}", len(faults)))
    for fault in faults:
        print(f"  {fault}")
    return len(faults)


if __name__ == "__main__":
    sys.exit(main())
