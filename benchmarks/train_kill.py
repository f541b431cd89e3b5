"""Kill the commands from the log to a better model at every request they make: `python -m benchmarks.train_kill`.

For each request three kills with SIGKILL, each in a world of its own: before it is done, after it is done and before
it is answered, and a little after its answer. Then the same command again, and a look at what came of it: one file of a
kind, one job, one deployment of each model, every cent in the ledger.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.kill_every_call import database
from tests.operations.killing import MOMENTS
from tests.train.killing import COMMANDS, Command, Killing

FORM = "{:<14} {:>5} {:>5} {:>6} {:>5}"


def main() -> int:
    """Print a line a command, and what was wrong; 1 when anything was."""
    names = [command.name for command in COMMANDS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(names))
    parser.add_argument("--moments", nargs="+", choices=MOMENTS, default=MOMENTS)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of what only asks, each Nth request")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    chosen = parser.parse_args()
    if unknown := set(chosen.commands) - set(names):
        parser.error(f"no such command: {', '.join(unknown)}")
    print(FORM.format("COMMAND", "CALLS", "RUNS", "KILLED", "WRONG"), flush=True)
    wrong = 0
    with database(chosen.store) as url:
        for command in COMMANDS:
            if command.name in (chosen.commands or names):
                wrong += kill_everywhere(command, chosen.moments, chosen.every, url)
    return 1 if wrong else 0


def kill_everywhere(command: Command, moments: tuple[str, ...], every: int = 1, url: str | None = None) -> int:
    """The number of kills after which something was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        killing = Killing(Path(folder), command, url)
        calls = killing.calls()
        chosen = [call for call in calls if call.writes or call.number % every == 0]
        verdicts = [killing.kill(call, moment) for call in chosen for moment in moments]
    wrong = [verdict for verdict in verdicts if verdict.faults]
    killed = sum(verdict.was_killed for verdict in verdicts)
    print(FORM.format(command.name, len(calls), len(verdicts), killed, len(wrong)), flush=True)
    for verdict in wrong:
        print(
            f"  {verdict.moment} {verdict.call.number} {verdict.call.method} {verdict.call.path}",
            *verdict.faults,
            sep="\n    ",
        )
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
