"""Kill imports, labelling and clean-ups with SIGKILL, a writer beside: `python -m benchmarks.kill_log --kills 40`.

Each kill is of the program itself, at a moment by chance while it changes the log; every third time the writer goes
with it. Then the store is opened again: what was committed before must be there, once, every row whole, each label with
its history, and the engine's check clean. With `--store postgresql` it is a schema of a server, and `server` kills
that, every process of it, while an import and the writer are at work. Prints a table; 1 when anything was lost or torn.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

from pyarrow import parquet

from benchmarks.generate_log import Generator
from reasoning_cli.operations.data.archive.index import read_index
from reasoning_cli.operations.data.archive.place import open_place
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.values import DatabaseAddress
from tests.sources.postgres_server import Server

MODES = ("import", "label", "cleanup", "forget", "archive")
ROWS = 4000  # that a command works on; when it is through them before it was killed, it gets new ones
_DELAYS = (0.0, 0.5)  # seconds between the first change and the kill

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.values import DatabaseAddress
path = Path(sys.argv[1])
with open_store(DatabaseAddress(*sys.argv[3:5], path) if len(sys.argv) > 3 else path) as store:
    for number in range(10**9):
        name = f"{sys.argv[2]}-{number}"
        made = Sample(name, datetime.now(UTC), "planning", "m", "original", "writer", name * 50, "o", decision="REPLY")
        Samples(store).insert_many([made])
        print(name, flush=True)
"""


@dataclass
class Tally:
    """What the kills of one kind of command came to."""

    kills: int = 0
    committed: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    corrupt: int = 0
    problems: list[str] = field(default_factory=list)


class Killing:
    """One log, one kind of command, one kill after the other."""

    def __init__(self, mode: str, folder: Path, seed: int, server: Server | None = None) -> None:
        """The log is a file in `folder`, or with a `server` a schema of its database."""
        self.mode, self.folder, self.rng = mode, folder, random.Random(f"{mode} {seed}")
        self.tally = Tally()
        self.path, self.server = folder / "reasoning.db", server
        self.acknowledged: set[str] = set()
        self._made: set[str] = set()  # by this process, and committed
        self._forgotten: set[str] = set()
        self._round = 0
        self._place: Path | DatabaseAddress = self.path
        self._environ = os.environ | {"REASONING_HOME": str(folder)}
        if server is not None:
            self._place = DatabaseAddress(server.url, f"kill_{mode}", self.path)
            self._environ |= {"REASONING_STORE_URL": server.url, "REASONING_STORE_SCHEMA": self._place.schema}
        open_store(self._place).close()
        self._command = self._new_work()

    def kill(self) -> None:
        """Start the writer and the command, kill when the command has changed something, and look at what is left."""
        self._round += 1
        shared = [self._place.url, self._place.schema] if isinstance(self._place, DatabaseAddress) else []
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(self.path), f"writer-{self._round}", *shared],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert writer.stdout is not None
        with open_store(self._place) as store:
            before = self._progress(store)
            command = subprocess.Popen(
                [sys.executable, "-m", "reasoning_cli", *self._command],
                env=self._environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            while command.poll() is None and self._progress(store) == before:
                time.sleep(0.002)
            time.sleep(self.rng.uniform(*_DELAYS))
            committed = self._progress(store)
            ended = command.poll() is not None
        if self.mode == "server":
            assert self.server is not None
            self.server.kill()
        else:
            command.send_signal(signal.SIGKILL)
        if self._round % 3 == 0:
            writer.send_signal(signal.SIGKILL)
        else:
            writer.terminate()
        said, _ = writer.communicate()
        _, complaint = command.communicate()
        # A line that was cut is of a row that is there, but was not told.
        self.acknowledged |= {line.decode() for line in said.split(b"\n")[:-1]}
        if self.mode == "server":
            assert self.server is not None
            if b"Traceback" in complaint:
                self.tally.problems.append(f"the import ended with {complaint.decode()[-300:]}")
            self.server.start()
        elif ended and command.returncode:
            self.tally.problems.append(f"{self.mode} failed by itself: {complaint.decode()[-300:]}")
        self.tally.kills += not ended
        self._check(committed)
        if ended:
            self._command = self._new_work()

    def _new_work(self) -> list[str]:
        """Something to do for the command, and the command."""
        rows = Generator(ROWS, seed=self.rng.getrandbits(32), prompt_bytes=1500, copies=0, secrets=0)
        if self.mode in ("import", "server"):
            path = self.folder / f"{self._round}.jsonl"
            import_file(path, rows)
            return ["data", "import", str(path)]
        made = list(rows)
        with open_store(self._place) as store:
            Samples(store).insert_many(made)
            room = str(made[0].room_id)
            known = {str(row[0]) for row in store.rows("SELECT id FROM samples WHERE room_id = ?", (room,))}
        self._made |= {sample.id for sample in made}
        if self.mode == "label":
            path = self.folder / f"{self._round}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                out = csv.writer(file)
                out.writerow(["id", "label"])
                out.writerows([sample.id, self.rng.choice(("good", "bad"))] for sample in made)
            return ["data", "label", "--from", str(path)]
        if self.mode == "forget":
            self._forgotten |= known
            return ["data", "forget", "--room", room, "--yes"]
        if self.mode == "archive":
            return ["data", "archive", "--older-than", "1", "-o", str(self.folder / "archive"), "--delete", "--yes"]
        old = datetime.now(UTC) - timedelta(days=30)
        self._stored = {sample.id for sample in made if sample.label or sample.created_at >= old} | getattr(
            self, "_kept", set()
        )
        return ["data", "cleanup", "--days", "30", "--yes"]

    def _progress(self, store: Store) -> int:
        """How much the command has committed so far."""
        if self.mode in ("import", "server"):
            return store.number("SELECT count(*) FROM samples WHERE origin <> 'writer'")
        if self.mode == "label":
            return store.number("SELECT count(*) FROM labels")
        return -store.number("SELECT count(*) FROM samples WHERE origin <> 'writer'")

    def _check(self, committed: int) -> None:
        tally = self.tally
        with open_store(self._place) as store:
            found = self._progress(store)
            tally.committed += abs(committed)
            if found < committed:
                tally.lost += committed - found
                tally.problems.append(f"{self.mode}: {committed} were committed, {found} are there")
            every = [str(row[0]) for row in store.rows("SELECT id FROM samples")]
            ids = set(every)
            archived = self._archived(store)
            tally.doubled += len(every) - len(ids) + len(archived) - len(set(archived))
            missing = self.acknowledged - ids
            if self.mode in ("forget", "archive"):
                missing |= self._made - self._forgotten - ids - set(archived)
            tally.acknowledged = len(self.acknowledged)
            if self.mode == "cleanup":
                missing |= self._stored - ids
            tally.lost += len(missing)
            tally.torn += sum(1 for _ in _torn(store))
            problems = store.check().problems
            if self.server is None:
                problems += tuple(str(tuple(row)) for row in store.rows("PRAGMA foreign_key_check"))
            tally.corrupt += len(problems)
            tally.problems += [*(f"{sample_id} is gone" for sample_id in list(missing)[:3]), *problems[:3]]

    def _archived(self, store: Store) -> list[str]:
        """The ids of what the index of the archive names."""
        if self.mode != "archive":
            return []
        place = open_place(self.folder / "archive")
        index = read_index(place, store.realm)
        found: list[str] = []
        for file in index.files if index is not None else ():
            with place.local(file.path) as path:
                found += parquet.read_table(path, columns=["id"]).column("id").to_pylist()
        return found


def import_file(path: Path, rows: Iterable[Sample]) -> None:
    """Write decisions as ElizaOS logs them, a row a line; coding is asked for by other programs."""
    with path.open("w", encoding="utf-8") as file:
        for sample in rows:
            if sample.model_type != "coding":
                body = {"modelKey": sample.model, "prompt": sample.prompt, "response": sample.output}
                row = {"id": sample.id, "created_at": sample.created_at.isoformat(), "entity_id": sample.agent_id}
                file.write(json.dumps({**row, "type": f"useModel:{sample.model}", "body": body}) + "\n")


def _torn(store: Store) -> Iterator[str]:
    """Rows that are not what one transaction wrote: a text that is not what its hash says, a label without history."""
    for row in store.rows("SELECT id, prompt, prompt_hash, prompt_chars FROM samples"):
        if blake2b(row[1].encode(), digest_size=16).digest() != row[2] or len(row[1]) != row[3]:
            yield str(row[0])
    yield from (
        str(row[0])
        for row in store.rows(
            "SELECT id FROM samples s WHERE origin <> 'made-up' AND coalesce(label, '') <> coalesce("
            "(SELECT label FROM labels WHERE sample_seq = s.seq ORDER BY number DESC LIMIT 1), '')"
        )
    )
    yield from (
        str(row[0])
        for row in store.rows(
            "SELECT number FROM labels l JOIN samples s ON s.seq = l.sample_seq"
            " WHERE coalesce(l.label, '') <> coalesce(s.label, '')"
            " AND number = (SELECT max(number) FROM labels WHERE sample_seq = l.sample_seq)"
        )
    )


def run(mode: str, kills: int, folder: Path, seed: int, server: Server | None = None) -> Tally:
    """So many kills of one kind of command, in a folder of its own."""
    killing = Killing(mode, folder, seed, server)
    while killing.tally.kills < kills and len(killing.tally.problems) < 20:
        killing.kill()
    return killing.tally


def main() -> int:
    """All kinds of commands in turn; 1 when anything was lost, torn or corrupt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40, help="of each kind of command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--modes", nargs="+", choices=(*MODES, "server"), default=None)
    chosen = parser.parse_args()
    server = Server() if chosen.store == "postgresql" else None
    modes = chosen.modes or (*MODES, *(("server",) if server is not None else ()))
    try:
        return kill_all(modes, chosen.kills, chosen.seed, server)
    finally:
        if server is not None:
            server.stop()


def kill_all(modes: Iterable[str], kills: int, seed: int, server: Server | None) -> int:
    """A line of the table for each kind of command; 1 when anything was lost, torn or corrupt."""
    began, bad, total = time.perf_counter(), 0, 0
    print(
        f"{'command':10}{'kills':>7}{'rows at kill':>14}{'acknowledged':>14}{'lost':>6}{'doubled':>9}{'torn':>6}"
        f"{'corrupt':>9}"
    )
    for mode in modes:
        with tempfile.TemporaryDirectory() as folder:
            tally = run(mode, kills, Path(folder), seed, server)
        print(
            f"{mode:10}{tally.kills:>7}{tally.committed:>14,}{tally.acknowledged:>14,}{tally.lost:>6}{tally.doubled:>9}"
            f"{tally.torn:>6}{tally.corrupt:>9}",
            flush=True,
        )
        for problem in tally.problems[:5]:
            print(f"  {problem}")
        bad += len(tally.problems) + tally.lost + tally.doubled + tally.torn + tally.corrupt
        total += tally.kills
    print(f"{total} kills in {time.perf_counter() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
