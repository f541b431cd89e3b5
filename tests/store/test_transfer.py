"""A copy of a store in another is whole or goes on, and what it holds is what was there, to the row and to the cent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError
from reasoning_cli.store import transfer as transferring
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger, Reading
from reasoning_cli.store.evaluate.evaluations import Evaluations
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.exports import NumberSet
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.transfer import transfer
from reasoning_cli.values import DatabaseAddress
from tests import once
from tests.conftest import Run
from tests.operations.advice.scenes import HEAD, head_run
from tests.store.samples.test_training_log import NOON, sample
from tests.store.test_postgres import address as address  # a schema that is not there yet
from tests.store.test_postgres import admin as admin
from tests.store.test_postgres import server as server

pytestmark = pytest.mark.says_which_store


def fill(store: Store) -> None:
    """Something in most tables, with what tells the engines apart: odd texts, numbers that are gone, a rider."""
    once.fill_log(store, 700, seed=3, prompt_bytes=200)
    Samples(store).insert_many([sample(1, prompt="a\0b", metadata={"x": "\0"}), sample(2), sample(3)])
    Labels(store).set([Labelling("sample-1", "good")], at=NOON, by="ada")
    columns = (
        "key, model_name, endpoint_name, deployment_name, idle_minutes, min_replicas, max_replicas, state,"
        " ready_replicas, created_at, state_at, rides_on"
    )
    for key, rides_on in (("b", None), ("a", "b")):
        store.write(
            f"INSERT INTO deployments({columns}) VALUES (?, 'm', 'e', 'd', 30, 1, 1, 'READY', 1, 1, 1, ?)",
            (key, rides_on),
        )
    Deployments(store).set_slot("planning", "b")
    ledger = Ledger(store)
    for minutes, replicas in ((0, 1), (90, 2), (100, 0)):
        ledger.add_readings([Reading("b", NOON + timedelta(minutes=minutes), replicas, 549, "READY", "event")])
    Events(store).add(Event(NOON, "operator", "deploy", "b", {"why": "é"}))
    numbers = NumberSet()
    numbers.update([1, 2])
    Evaluations(store).begin(
        "planning", arguments="x", fingerprint="y", plan={}, items=numbers, models=[("m", "i"), ("n", "j")], at=NOON
    )
    Forgotten(store).request(NOON, room="room")
    store.write("DELETE FROM samples WHERE id IN ('sample-2', 'sample-3')")


def content(store: Store) -> dict[str, list[dict[str, object]]]:
    """Every row of every table."""
    found = {}
    for table in transferring._tables(store):
        rows = [dict(row) for row in store.rows(f"SELECT * FROM {table.name}")]
        if table.name == "about":
            rows = [row for row in rows if row["name"] not in ("realm", "last_seq")]
        found[table.name] = sorted(rows, key=lambda row, key=table.key: [row[name] for name in key])  # type: ignore[misc]
    return found


def test_to_postgresql_and_back_every_row_is_the_same(address: DatabaseAddress, tmp_path: Path) -> None:
    with (
        open_store(tmp_path / "from.db") as source,
        open_store(address) as middle,
        open_store(tmp_path / "back.db") as back,
    ):
        fill(source)
        there, again = transfer(source, middle), transfer(middle, back)
        assert content(source) == content(middle) == content(back)
        assert there.tables == again.tables
        assert (there.resumed, there.changed, there.rows) == (False, 0, sum(map(len, content(source).values())))
        for store in (middle, back):
            assert store.check().problems == ()
            highest = store.number("SELECT max(seq) FROM samples")
            Samples(store).insert_many([sample(9)])
            assert store.number("SELECT seq FROM samples WHERE id = 'sample-9'") > highest + 2, "two are gone for good"


def test_one_that_was_killed_goes_on_and_a_change_meanwhile_is_brought_over(
    address: DatabaseAddress, tmp_path: Path
) -> None:
    """A process is killed again and again while it copies; then rows are changed, added and deleted in the source."""
    path = tmp_path / "from.db"
    with open_store(path) as store:
        fill(store)
    program = """
import sys
from pathlib import Path
from reasoning_cli.store import transfer
from reasoning_cli.store.open import open_store
from reasoning_cli.values import DatabaseAddress
transfer._AT_ONCE = 20
with open_store(Path(sys.argv[1])) as source, open_store(DatabaseAddress(*sys.argv[2:4], Path(sys.argv[4]))) as target:
    transfer.transfer(source, target, lambda doing, done, total: print(doing, done, flush=True))
"""
    command = [sys.executable, "-c", program, str(path), address.url, address.schema, str(address.beside)]
    for least in (60, 300, 500, 720):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line.split()[1]) >= least:
                    process.send_signal(signal.SIGKILL)
                    break
    with open_store(path) as source, open_store(address) as target:
        assert 0 < target.number("SELECT count(*) FROM samples") <= source.number("SELECT count(*) FROM samples")
        source.write("UPDATE samples SET label = 'bad' WHERE seq = 2")
        source.write("DELETE FROM samples WHERE seq = 1")
        done = transfer(source, target)
        assert (done.resumed, done.changed >= 1) == (True, True)
        assert content(source) == content(target)
        with pytest.raises(DataError, match="holds data already"):
            transfer(source, target)


def test_what_is_not_empty_or_another_copy_is_refused(tmp_path: Path) -> None:
    with (
        open_store(tmp_path / "a.db") as source,
        open_store(tmp_path / "b.db") as other,
        open_store(tmp_path / "c.db") as target,
    ):
        Samples(source).insert_many([sample(1)])
        Events(target).add(Event(NOON, "operator", "deploy", "b"))
        with pytest.raises(DataError, match=r"holds data already \(`events`\)"):
            transfer(source, target)
        target.write("DELETE FROM events")
        transferring._begun(source, target, transferring._tables(source))
        with pytest.raises(DataError, match="unfinished copy of"):
            transfer(other, target)
        assert transfer(source, target).rows == 1


def test_the_commands(address: DatabaseAddress, reasoning: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    with open_store(home / "reasoning.db") as store:
        fill(store)
        head_run(store, NOON)
    head = home / "heads" / f"{HEAD.removeprefix('head/')}.head"
    head.parent.mkdir()
    head.touch()
    head.with_name("of-another-store.head").touch()
    monkeypatch.setenv("REASONING_STORE_SCHEMA", address.schema)
    before = reasoning("data", "stats", "--json").stdout
    found = json.loads(reasoning("store", "info", "--json").stdout)
    assert (found["engine"], found["rows"]["readings"]) == ("sqlite", 3)
    done = json.loads(reasoning("store", "copy", home / "reasoning.db", address.url, "--json").stdout)
    assert (done["spent_usd"], done["resumed"], done["rows"]) == ("10.06", False, sum(found["rows"].values()) - 2)
    assert done["heads"] == [str(head)]
    monkeypatch.setenv("REASONING_STORE_URL", address.url)
    there = json.loads(reasoning("store", "info", "--json").stdout)
    assert there["engine"] == "postgresql"
    assert there["rows"] | {"about": 0} == found["rows"] | {"about": 0}  # its realm and a number of SQLite are its own
    without_size = [
        {name: value for name, value in json.loads(text).items() if "size" not in name}
        for text in (before, reasoning("data", "stats", "--json").stdout)
    ]
    assert without_size[0] == without_size[1]
    assert "engine    postgresql" in reasoning("store", "info").stdout
    again = reasoning("store", "copy", home / "reasoning.db", address.url)
    assert (again.exit_code, "holds data already" in again.stderr) == (1, True)
    for wrong, code in (("mysql://u:s3cr3t-pw@h/x", 2), ("nowhere.db", 5)):
        refused = reasoning("store", "copy", wrong, "new.db")
        assert (refused.exit_code, "s3cr3t-pw" in refused.stderr, Path("new.db").exists()) == (code, False, False)
