"""A copy is whole however busy the database is, and comes back as it was; nothing takes its place half-written."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError, NotFoundError, ReasoningError, UsageError
from reasoning_cli.operations.data.backup import back_up, plan_restore, run_restore, vacuum
from reasoning_cli.operations.data.erasure import Request, plan_forget, run_forget
from reasoning_cli.store import migrations
from reasoning_cli.store.backup import last_backup
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.search import Search
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.stores import spelt

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

pytestmark = pytest.mark.both_engines
restores = pytest.mark.sqlite("`data restore` puts a file in the place of a file")
compacts = pytest.mark.sqlite("`data vacuum` writes the file anew")
keeps_a_copy = pytest.mark.sqlite("of a file a copy is kept beside it before it is upgraded")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reasoning.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_store(path) as store:
        add(store, 0, 300)
        yield store


def add(store: Store, first: int, count: int, chars: int = 3000) -> None:
    Samples(store).insert_many(
        [
            Sample(str(number), NOW, "planning", "m", "original", "test", f"{number} " + "x" * chars, "o")
            for number in range(first, first + count)
        ]
    )


def ids(path: Path) -> set[str]:
    with open_store(path, create=False) as store:
        return {one.id for one in Samples(store).iterate()}


def test_a_copy_is_private_checked_and_remembered(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "copy.db"
    seen: list[tuple[str, float]] = []
    facts = back_up(store, out, NOW, on_progress=lambda doing, share: seen.append((doing, share)))
    assert (facts.samples, facts.realm, facts.schema_version) == (300, "together", migrations.VERSION)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert {doing for doing, _ in seen} - {"comparing"} == {"copying", "checking"}
    assert all(0 <= share <= 1 for _, share in seen)
    remembered = last_backup(store)
    assert remembered is not None and (remembered.at, remembered.path) == (NOW, out)
    assert [one.name for one in tmp_path.iterdir() if "part" in one.name] == []
    assert ids(out) == {str(number) for number in range(300)}


WRITER = """
import pickle, sys
from datetime import UTC, datetime
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample, Samples
with open_store(pickle.loads(bytes.fromhex(sys.argv[1]))) as store:
    number = 0
    while True:
        sample = Sample(f"w{number}", datetime.now(UTC), "planning", "m", "original", "t", "x" * 2000, "o")
        Samples(store).insert_many([sample])
        print(number, flush=True)
        number += 1
"""


def test_a_copy_ends_though_another_program_writes_all_the_time(store: Store, tmp_path: Path) -> None:
    """It is the state of one moment: all that was written before the copying began, and no gaps after it."""
    add(store, 300, 3000)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, spelt(store)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        first = [writer.stdout.readline() for _ in range(50)]
        back_up(store, tmp_path / "copy.db", NOW)
    finally:
        writer.kill()
        writer.communicate()
    written = sorted(int(one[1:]) for one in ids(tmp_path / "copy.db") if one.startswith("w"))
    assert written == list(range(len(written)))
    assert len(written) >= len(first) - 1


def test_what_cannot_be_written_over_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    store.path.touch()  # what is there of a store in a file is refused for one elsewhere, too
    (tmp_path / "link").symlink_to(store.path)
    for name in ("", "there", "pipe", "reasoning.db", "reasoning.db-wal", "link"):
        with pytest.raises(UsageError):
            back_up(store, tmp_path / name, NOW, force=name != "there")
    with pytest.raises(DataError, match="No such file"):
        back_up(store, tmp_path / "no" / "where", NOW)
    assert (tmp_path / "there").read_text() == "mine"
    back_up(store, tmp_path / "there", NOW, force=True)
    assert len(ids(tmp_path / "there")) == 300


@restores
def test_a_copy_comes_back_and_what_was_there_is_kept(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy.db"
    with open_store(path) as store:
        add(store, 0, 10)
        back_up(store, out, NOW)
        add(store, 10, 5)
        with pytest.raises(DataError, match="in use"):
            plan_restore(path, "together", out, NOW)
    plan = plan_restore(path, "together", out, NOW)
    assert plan.present is not None
    assert (plan.facts.samples, plan.present.samples) == (10, 15)
    before = out.read_bytes()
    run_restore(plan, NOW)
    assert len(ids(path)) == 10
    assert len(ids(plan.aside)) == 15
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(plan.aside)) as kept:
        assert kept.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert out.read_bytes() == before


@restores
def test_what_was_forgotten_since_stays_so_unless_it_is_wanted(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy.db"
    with open_store(path) as store:
        add(store, 0, 10)
        back_up(store, out, NOW)
        gone = sorted(ids(path))[3]
        run_forget(store, plan_forget(store, Request(sample_id=gone)), NOW)
    assert run_restore(plan_restore(path, "together", out, NOW), NOW) == 1
    assert (len(ids(path)), gone in ids(path)) == (9, False)
    with open_store(path) as store:
        found = Forgotten(store).among([(replace(next(Samples(store).iterate()), id=gone), None)])
    assert found == {gone}, "no import brings it back either"
    later = plan_restore(path, "together", out, NOW + timedelta(seconds=1))
    assert run_restore(later, NOW, include_forgotten=True) == 0
    assert len(ids(path)) == 10
    with closing(sqlite3.connect(path)) as broken:
        broken.execute("DROP TABLE forgotten")
    again = plan_restore(path, "together", out, NOW + timedelta(seconds=2))
    assert run_restore(again, NOW) is None, "nobody knows"
    assert len(ids(path)) == 10


@restores
def test_a_copy_comes_back_where_there_is_nothing(store: Store, tmp_path: Path) -> None:
    back_up(store, tmp_path / "copy.db", NOW)
    elsewhere = tmp_path / "new" / "home" / "reasoning.db"
    plan = plan_restore(elsewhere, "together", tmp_path / "copy.db", NOW)
    assert plan.present is None
    run_restore(plan, NOW)
    assert len(ids(elsewhere)) == 300


@restores
def test_what_is_no_copy_of_ours_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough to be looked at as one" * 100)
    with closing(sqlite3.connect(tmp_path / "other")) as other:
        other.execute("CREATE TABLE t(x)")
    with open_store(tmp_path / "sandbox", "sandbox"):
        pass
    back_up(store, tmp_path / "half", NOW)
    with (tmp_path / "half").open("rb+") as file:
        file.truncate(file.seek(0, 2) // 2)
    target = tmp_path / "target.db"
    for name, why in {
        "text": "cannot be read|no database",
        "other": "not a database of this program",
        "sandbox": "never mix",
        "missing": "no file",
        "half": "malformed|not sound|damaged|cannot be read",
    }.items():
        with pytest.raises((DataError, NotFoundError), match=why):
            run_restore(plan_restore(target, "together", tmp_path / name, NOW), NOW)
        assert not target.exists()


@compacts
def test_a_database_is_written_anew_without_gaps(path: Path) -> None:
    with open_store(path) as store:
        add(store, 0, 400)
        with pytest.raises(DataError, match="in use"):
            vacuum(path, "together")
        store.write("DELETE FROM samples WHERE seq % 2")
    done = vacuum(path, "together")
    assert done.after_bytes < done.before_bytes * 0.7
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open_store(path) as store:
        assert (store.check().problems, Samples(store).count()) == ((), 200)
        for pragma, value in {"auto_vacuum": 2, "page_size": 4096, "application_id": migrations.APPLICATION_ID}.items():
            assert store.number(f"PRAGMA {pragma}") == value
        assert store.row("PRAGMA journal_mode")[0] == "wal"  # type: ignore[index]


def test_ctrl_c_in_the_middle_leaves_everything_as_it_was(store: Store, tmp_path: Path) -> None:
    before = sorted(one.name for one in tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        back_up(store, tmp_path / "copy.db", NOW, on_progress=stop)
    assert sorted(one.name for one in tmp_path.iterdir()) == before
    assert len(ids(store.path)) == 300


@compacts
def test_ctrl_c_in_the_middle_of_writing_it_anew_leaves_it_as_it_was(path: Path, tmp_path: Path) -> None:
    with open_store(path) as store:
        add(store, 0, 3000)
    before = sorted(one.name for one in tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        vacuum(path, "together", stop)
    assert sorted(one.name for one in tmp_path.iterdir()) == before
    assert len(ids(path)) == 3000


def stop(doing: str, share: float) -> None:
    raise KeyboardInterrupt


@pytest.mark.sqlite("how long a copy of a file gets is known before")
def test_a_disk_without_room_is_seen_before_anything_is_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000})())
    with pytest.raises(DataError, match="MB are free"):
        back_up(store, tmp_path / "copy.db", NOW)
    assert not (tmp_path / "copy.db").exists()


FULL = """
import pickle, resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.data.backup import back_up
from reasoning_cli.store.open import open_store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_store(pickle.loads(bytes.fromhex(sys.argv[1]))) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        back_up(store, Path(sys.argv[3]), datetime.now(UTC))
    except ReasoningError as error:
        print(error.message)
"""


@pytest.mark.parametrize("limit", [0, 4096, 100_000, 700_001])
def test_a_disk_that_gets_full_leaves_no_half_copy(store: Store, tmp_path: Path, limit: int) -> None:
    out = tmp_path / "copy.db"
    done = subprocess.run(
        [sys.executable, "-c", FULL, spelt(store), str(limit), str(out)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout, done.stdout
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith((".copy", "copy"))] == []
    assert store.check().problems == ()


@keeps_a_copy
def test_an_upgrade_keeps_a_copy_of_what_it_changes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = migrations.VERSION - 1
    with monkeypatch.context() as past:
        past.setattr(migrations, "STEPS", migrations.STEPS[:older])
        past.setattr(migrations, "VERSION", older)
        with open_store(path) as store:
            for number in range(20):  # the columns of today are not all there
                store.write(
                    "INSERT INTO samples(id, created_at, model_type, model, source, origin, prompt, output,"
                    " prompt_hash, shape_hash, prompt_chars, output_chars) VALUES (?, 1, 'coding', 'm', 'original',"
                    " 't', 'p', 'o', x'00', x'00', 1, 1)",
                    (f"s{number}",),
                )
    stale = path.with_name("reasoning.db.schema-2.bak")
    stale.write_text("older")
    with open_store(path) as store:
        assert Samples(store).count() == 20
    copy = path.with_name(f"reasoning.db.schema-{older}.bak")
    with closing(sqlite3.connect(copy)) as kept:
        assert kept.execute("SELECT count(*) FROM samples").fetchone() == (20,)
        assert kept.execute("PRAGMA user_version").fetchone() == (older,)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not stale.exists()


@keeps_a_copy
def test_an_upgrade_of_an_empty_database_needs_no_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as past:
        past.setattr(migrations, "STEPS", migrations.STEPS[:3])
        past.setattr(migrations, "VERSION", 3)
        open_store(path).close()
    open_store(path).close()
    assert [one.name for one in path.parent.iterdir() if "bak" in one.name] == []


@keeps_a_copy
def test_an_upgrade_without_room_for_its_copy_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as past:
        past.setattr(migrations, "STEPS", migrations.STEPS[:3])
        past.setattr(migrations, "VERSION", 3)
        with open_store(path) as store:
            store.write(
                "INSERT INTO deployments(key, model_name, endpoint_name, deployment_name, idle_minutes, min_replicas,"
                " max_replicas, state, ready_replicas, created_at, state_at)"
                " VALUES ('k', 'm', 'e', 'd', 1, 1, 1, 'READY', 1, 1, 1)"
            )
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000})())
    with pytest.raises(ReasoningError, match="MB are free"):
        open_store(path)
    with closing(sqlite3.connect(path)) as left:
        assert left.execute("PRAGMA user_version").fetchone() == (3,)


# What makes a database another's, though every row of it is ours.
FOREIGN = {
    "trigger `keep_one`": "CREATE TRIGGER keep_one AFTER INSERT ON samples"
    " BEGIN DELETE FROM samples WHERE seq <> new.seq; END",
    "view `samples_seen`": "CREATE VIEW samples_seen AS SELECT load_extension('/tmp/x.so') FROM samples",
    "index `samples_slow`": "CREATE INDEX samples_slow ON samples(prompt)",
    "table `notes`": "CREATE TABLE notes(text)",
    "table `imports`": "ALTER TABLE imports ADD COLUMN more CHECK(length(randomblob(1000000000)) > 0)",
    "index `samples_label`": "DROP INDEX samples_label",
    "trigger `samples_last`": "DROP TRIGGER samples_last",
    "table `samples_words_more`": "CREATE TABLE samples_words_more(text)",
}


@restores
@pytest.mark.parametrize("what", FOREIGN)
def test_a_copy_with_something_of_others_in_it_does_not_come_back(what: str, path: Path, tmp_path: Path) -> None:
    """A trigger would run with the next import; each is refused by its name, and what is there stays."""
    out = tmp_path / "copy.db"
    with open_store(path) as store:
        add(store, 0, 3)
        Search(store).make()
        back_up(store, out, NOW)
    plan = plan_restore(path, "together", out, NOW)  # and one that was looked at before it was changed
    with closing(sqlite3.connect(out)) as changed, changed:
        changed.execute(FOREIGN[what])
    before = path.read_bytes()
    with pytest.raises(DataError, match=what):
        plan_restore(path, "together", out, NOW)
    with pytest.raises(DataError, match=what):
        run_restore(plan, NOW)
    assert path.read_bytes() == before
    assert not plan.aside.exists()


@restores
def test_a_view_in_the_place_of_a_table_is_not_asked(path: Path, tmp_path: Path) -> None:
    """To count the samples of a file is to run what stands in it for the table."""
    out = tmp_path / "copy.db"
    open_store(path).close()
    with closing(sqlite3.connect(out, isolation_level=None)) as made:
        made.executescript(
            f"PRAGMA application_id={migrations.APPLICATION_ID}; PRAGMA user_version={migrations.VERSION};"
            "CREATE TABLE about(name, value); INSERT INTO about VALUES ('realm', 'together');"
            "CREATE VIEW samples AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n"
        )
    with pytest.raises(DataError, match="the table `about`, which is not as"):
        plan_restore(path, "together", out, NOW)


@restores
@pytest.mark.parametrize("version", range(2, migrations.VERSION + 1))
def test_a_copy_of_an_older_program_is_ours(
    path: Path, tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "copy.db"
    with monkeypatch.context() as past:
        past.setattr(migrations, "STEPS", migrations.STEPS[:version])
        past.setattr(migrations, "VERSION", version)
        open_store(out).close()
    assert plan_restore(path, "together", out, NOW).facts.schema_version == version
    with open_store(out) as store:
        Search(store).make()
    with open_store(out) as store:  # with the statistics that closing leaves
        store.connection.execute("ANALYZE")
        assert store.check().strangers == ()
