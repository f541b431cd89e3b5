"""Kill every command that spends at every request it makes: `python -m benchmarks.kill_every_call`.

For each request three kills with SIGKILL, each in a world of its own: before it is done, after it is done and before
it is answered, and a little after its answer. Then the same command again, and a look at what came of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.operations.killing import COMMANDS, MOMENTS, Command, Killing, Verdict
from tests.sources.postgres_server import postgres_server

HEAD = ("COMMAND", "CALLS", "KILLS", "DUPLICATES", "ORPHANS", "METER", "LEDGER", "WIDEST", "WRONG")
FORM = "{:<18} {:>5} {:>5} {:>10} {:>7} {:>14} {:>14} {:>7} {:>5}"


def main() -> int:
    """Print a line a command, cents added over its kills, and what was wrong; 1 when anything was."""
    names = [command.name for command in COMMANDS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(names))
    parser.add_argument("--moments", nargs="+", choices=MOMENTS, default=MOMENTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    chosen = parser.parse_args()
    if unknown := set(chosen.commands) - set(names):
        parser.error(f"no such command: {', '.join(unknown)}")
    print(FORM.format(*HEAD), flush=True)
    wrong = 0
    with database(chosen.store) as url:
        for command in COMMANDS:
            if command.name in (chosen.commands or names):
                wrong += kill_everywhere(command, chosen.moments, chosen.seed, url)
    return 1 if wrong else 0


@contextmanager
def database(engine: str) -> Iterator[str | None]:
    """The address of a new PostgreSQL; None where stores are files."""
    if engine == "sqlite":
        yield None
        return
    with postgres_server() as url:
        yield url


def kill_everywhere(command: Command, moments: tuple[str, ...], seed: int, url: str | None = None) -> int:
    """The number of kills after which something was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        killing = Killing(Path(folder), command, url)
        calls = killing.calls()
        verdicts = [killing.kill(call, moment, seed) for call in calls for moment in moments]
    wrong = [verdict for verdict in verdicts if verdict.faults]
    widest = max(verdict.high_cents - verdict.low_cents for verdict in verdicts)
    ledger = sum(verdict.low_cents + verdict.high_cents for verdict in verdicts) / 2
    print(
        FORM.format(
            command.name,
            len(calls),
            sum(verdict.was_killed for verdict in verdicts),
            sum(verdict.duplicates for verdict in verdicts),
            sum(verdict.orphans for verdict in verdicts),
            f"{sum(verdict.meter_cents for verdict in verdicts):.3f}",
            f"{ledger:.3f}",
            f"{widest:.3f}",
            len(wrong),
        ),
        flush=True,
    )
    for verdict in wrong:
        print(story(verdict), flush=True)
    return len(wrong)


def story(verdict: Verdict) -> str:
    """Where it was killed, and what was wrong then."""
    call = verdict.call
    return "\n    ".join((f"  {verdict.moment} {call.number} {call.method} {call.path}", *verdict.faults))


if __name__ == "__main__":
    sys.exit(main())
