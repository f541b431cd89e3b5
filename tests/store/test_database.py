"""The database file itself: making it, opening it at the same time, refusing what is not ours, and its errors."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.errors import DataError
from reasoning_cli.store import migrations
from reasoning_cli.store import open as opening
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.open import open_store
from tests import once

pytestmark = pytest.mark.sqlite("how the file is made, opened, upgraded and checked")

OPEN_AND_WRITE = """
import sys
from pathlib import Path
from reasoning_cli.store.open import open_store
from reasoning_cli.store.audit_log import Event, Events
from datetime import datetime, UTC
sys.stdin.readline()
with open_store(Path(sys.argv[1])) as store:
    Events(store).add(Event(datetime.now(UTC), sys.argv[2], "start", "store"))
"""


@pytest.fixture(autouse=True)
def _made_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """How a database is made is what is tested here: no copy of one."""
    monkeypatch.setattr(opening, "_fill", once.fill)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "reasoning.db"


def set_pragma(path: Path, pragma: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA {pragma}")
    connection.close()


def test_a_new_database_takes_the_place_of_nothing_else(path: Path, tmp_path: Path) -> None:
    """A device, a pipe, the link to a disk that is not mounted now: each would have been gone."""
    path.parent.mkdir()
    os.mkfifo(tmp_path / "pipe")
    for leads_to, why in (
        ("/dev/null", "is a device or a pipe"),
        ("../pipe", "is a device"),
        ("../gone", "is a link to"),
    ):
        path.symlink_to(leads_to)
        for create in (True, False):
            with pytest.raises(DataError, match=why):
                open_store(path, create=create)
        assert str(path.readlink()) == leads_to
        path.unlink()
    # Of a link to an empty file, the file becomes the database.
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "other.db").touch()
    path.symlink_to("../disk/other.db")
    open_store(path).close()
    assert path.is_symlink()
    assert (tmp_path / "disk" / "other.db").stat().st_size > 0


def test_a_new_database_is_private_and_laid_out_as_measured(path: Path) -> None:
    with open_store(path) as store:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert store.number("PRAGMA page_size") == 4096
        assert store.number("PRAGMA auto_vacuum") == 2
        assert store.number("PRAGMA foreign_keys") == 1
        assert store.number("PRAGMA busy_timeout") == 30_000
        journal = store.row("PRAGMA journal_mode")
        assert journal is not None
        assert journal[0] == "wal"
    assert sorted(file.name for file in path.parent.iterdir()) == ["reasoning.db", "reasoning.db.lock"]


def test_the_check_reports_an_intact_database(path: Path) -> None:
    with open_store(path, "sandbox") as store:
        check = store.check()
    assert check.problems == ()
    assert check.realm == "sandbox"
    assert check.schema_version == migrations.VERSION
    assert check.size_bytes >= path.stat().st_size


def test_processes_that_start_together_on_a_fresh_path_all_succeed(path: Path) -> None:
    starters = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPEN_AND_WRITE, str(path), f"process {number}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write(b"go\n")
        starter.stdin.flush()
    for starter in starters:
        _, complaint = starter.communicate(timeout=60)
        assert starter.returncode == 0, complaint.decode()
    with open_store(path) as store:
        assert store.number("SELECT count(*) FROM events") == 4
        assert store.check().problems == ()


def test_an_older_database_is_upgraded_and_keeps_its_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as past:
        past.setattr(migrations, "STEPS", migrations.STEPS[:1])
        past.setattr(migrations, "VERSION", 1)
        with open_store(path) as store:
            store.write("INSERT INTO events(at, actor, action, subject, detail) VALUES (1, 'a', 'b', 'c', '{}')")
            assert store.check().schema_version == 1
    with open_store(path) as store:
        assert store.check().schema_version == migrations.VERSION
        assert store.number("SELECT count(*) FROM events") == 1
        assert store.number("SELECT count(*) FROM samples") == 0


def test_a_step_that_fails_leaves_the_older_database_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(path):
        pass
    with monkeypatch.context() as future:
        steps = (*migrations.STEPS, ("broken", "CREATE TABLE halfway(x);\nCREATE TABLE events(x);\n"))
        future.setattr(migrations, "STEPS", steps)
        future.setattr(migrations, "VERSION", len(steps))
        with pytest.raises(DataError, match="already exists"):
            open_store(path)
    with open_store(path) as store:
        assert store.number("SELECT count(*) FROM sqlite_master WHERE name='halfway'") == 0


def test_a_newer_schema_is_refused_and_not_touched(path: Path) -> None:
    with open_store(path):
        pass
    set_pragma(path, f"user_version={migrations.VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(DataError, match="newer `reasoning`") as refused:
        open_store(path)
    assert "upgrade" in (refused.value.hint or "")
    assert path.read_bytes() == before


@pytest.mark.parametrize(("made_for", "opened_for"), [("sandbox", "together"), ("together", "sandbox")])
def test_sandbox_and_real_data_never_mix(path: Path, made_for: str, opened_for: str) -> None:
    with open_store(path, made_for):
        pass
    with pytest.raises(DataError, match=f"holds {made_for} data"):
        open_store(path, opened_for)


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs(x)")
    connection.close()
    with pytest.raises(DataError, match="another program"):
        open_store(path)


def test_something_that_is_no_database_is_refused_with_the_way_out(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are not the pages you are looking for" * 200)
    with pytest.raises(DataError, match="damaged or not a database") as refused:
        open_store(path)
    assert f"mv {path}" in (refused.value.hint or "")


def test_a_damaged_page_is_a_problem_of_the_check(path: Path) -> None:
    with open_store(path) as store, store.transaction() as connection:
        connection.executemany(
            "INSERT INTO events(at, actor, action, subject, detail) VALUES (?, 'a', 'b', 'c', ?)",
            [(number, "x" * 500) for number in range(200)],
        )
    content = bytearray(path.read_bytes())
    for page in range(len(content) // 4096 - 20, len(content) // 4096):
        content[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    path.write_bytes(content)
    with open_store(path) as store:
        assert store.check().problems
        with pytest.raises(DataError, match="damaged"):
            list(store.rows("SELECT * FROM events"))


def test_a_locked_database_is_an_error_with_a_hint_not_a_hang(path: Path) -> None:
    with open_store(path) as store, open_store(path) as other:
        other.connection.execute("PRAGMA busy_timeout=50")
        with store.transaction():
            with pytest.raises(DataError, match="locked by another program") as refused:
                other.write("DELETE FROM events")
            assert refused.value.hint


def test_what_fails_inside_a_transaction_is_undone(path: Path) -> None:
    with open_store(path) as store:
        with pytest.raises(RuntimeError), store.transaction() as connection:
            connection.execute("INSERT INTO events(at, actor, action, subject, detail) VALUES (1,'a','b','c','{}')")
            raise RuntimeError
        assert store.number("SELECT count(*) FROM events") == 0


def test_ctrl_c_while_a_transaction_begins_leaves_none_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes while the lock is waited for, and is seen when that was given."""
    comes = []

    class Interrupted(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            cursor = super().execute(sql, *values)
            if comes and sql.startswith("BEGIN"):
                signal.raise_signal(comes.pop())
            return cursor

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Interrupted))
    with open_store(path) as store:
        comes.append(signal.SIGINT)
        try:
            store.write("DELETE FROM events")
        except KeyboardInterrupt:  # as commands do, which then put on record how far they came
            Events(store).add(Event(datetime.now(UTC), "ann", "start", "planning"))
        assert len(Events(store).list()) == 1


def test_a_folder_or_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        open_store(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot make the database"):
        open_store(tmp_path / "file" / "reasoning.db")


def test_opening_without_making_says_that_nothing_is_there(path: Path) -> None:
    with pytest.raises(DataError, match="no database"):
        open_store(path, create=False)
    assert not path.parent.exists()


def test_a_full_disk_is_said_in_plain_words_and_nothing_is_half_written(path: Path) -> None:
    with open_store(path) as store:
        pages = store.number("PRAGMA page_count")
        store.connection.execute(f"PRAGMA max_page_count={pages + 3}")
        with pytest.raises(DataError, match="disk is full"):
            store.write_many(
                "INSERT INTO events(at, actor, action, subject, detail) VALUES (?, 'a', 'b', 'c', ?)",
                ((number, "x" * 3000) for number in range(100)),
            )
        assert store.number("SELECT count(*) FROM events") == 0
        store.write("INSERT INTO events(at, actor, action, subject, detail) VALUES (1, 'a', 'b', 'c', '{}')")


def test_the_log_of_a_deleted_database_is_not_replayed_into_the_new_one(path: Path) -> None:
    with open_store(path) as store:
        store.write("INSERT INTO events(at, actor, action, subject, detail) VALUES (1, 'a', 'b', 'c', '{}')")
        log = path.with_name("reasoning.db-wal").read_bytes()
    path.unlink()
    path.with_name("reasoning.db-wal").write_bytes(log)
    with open_store(path) as store:
        assert store.number("SELECT count(*) FROM events") == 0
        assert store.check().problems == ()
