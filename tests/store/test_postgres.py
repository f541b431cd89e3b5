"""The store on PostgreSQL itself: opening it, refusing what is not ours, rights, errors, and servers that go away."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reasoning_cli.errors import DataError
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.operations.data.search import bring_up_to_date, search_samples
from reasoning_cli.operations.promote.controller import in_hand
from reasoning_cli.operations.train.auto.controller import loop_in_hand
from reasoning_cli.store import dialect, migrations, postgres
from reasoning_cli.store.database import MissingStoreError, Store, UnreachableError
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.export_reader import texts
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from reasoning_cli.values import DatabaseAddress
from tests.conftest import Run
from tests.store.samples.test_training_log import NOON, sample
from tests.store.test_read_only import READING
from tests.waiting import until

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.says_which_store

EVENT = "INSERT INTO events(at, actor, action, subject, detail) VALUES (1, 'a', 'b', 'c', '{}')"


@pytest.fixture(scope="session")
def server(schemas: object) -> str:
    from tests import stores

    if not isinstance(schemas, stores.Schemas):
        pytest.skip("there is no PostgreSQL here")
    return schemas.url


@pytest.fixture
def admin(server: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


@pytest.fixture
def address(server: str, admin: psycopg.Connection[tuple[object, ...]], tmp_path: Path) -> Iterator[DatabaseAddress]:
    """A schema that is not there yet."""
    name = f"own_{os.urandom(4).hex()}"
    yield DatabaseAddress(server, name, tmp_path / "reasoning.db")
    admin.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def as_role(address: DatabaseAddress, role: str) -> DatabaseAddress:
    return replace(address, url=address.url.replace("//eliza@", f"//{role}@"))


def on_address(address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONING_STORE_URL", address.url)
    monkeypatch.setenv("REASONING_STORE_SCHEMA", address.schema)


# --- opening ---


def test_starts_that_happen_together_make_one_store(address: DatabaseAddress) -> None:
    problems: list[BaseException] = []

    def start(number: int) -> None:
        try:
            with open_store(address) as store:
                store.write(EVENT)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with open_store(address) as store:
        assert store.number("SELECT count(*) FROM events") == 6
        assert store.check().problems == ()
        assert store.schema_version() == migrations.VERSION


def test_an_older_store_is_brought_up_to_date_and_a_step_that_fails_changes_nothing(
    address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as past:
        past.setattr(migrations, "STEPS", migrations.STEPS[:1])
        past.setattr(migrations, "VERSION", 1)
        with open_store(address) as store:
            store.write(EVENT)
            assert store.schema_version() == 1
    with monkeypatch.context() as future:
        steps = (*migrations.STEPS, ("broken", "CREATE TABLE halfway(x TEXT);\nCREATE TABLE events(x TEXT);\n"))
        future.setattr(migrations, "STEPS", steps)
        future.setattr(migrations, "VERSION", len(steps))
        with pytest.raises(DataError, match="already exists"):
            open_store(address)
    with open_store(address) as store:
        assert store.schema_version() == migrations.VERSION
        assert "halfway" not in store.tables()
        assert store.number("SELECT count(*) FROM events") == 1


def test_a_newer_store_is_refused(address: DatabaseAddress) -> None:
    with open_store(address) as store:
        store.write(
            "INSERT INTO reasoning_steps(number, name, at) VALUES (?, 'later', now())", (migrations.VERSION + 1,)
        )
    with pytest.raises(DataError, match="newer `reasoning`"):
        open_store(address)


def test_a_store_of_the_other_realm_and_tables_of_another_program_are_refused(
    address: DatabaseAddress, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    with pytest.raises(MissingStoreError):
        open_store(address, create=False)
    admin.execute(f"CREATE SCHEMA {address.schema}")
    admin.execute(f"CREATE TABLE {address.schema}.samples(theirs int)")
    with pytest.raises(DataError, match="another program"):
        open_store(address)
    admin.execute(f"DROP TABLE {address.schema}.samples")
    with open_store(address, "sandbox"):
        pass
    with pytest.raises(DataError, match="holds sandbox data, not together data"):
        open_store(address)


# --- rights ---


@pytest.fixture
def role(admin: psycopg.Connection[tuple[object, ...]], address: DatabaseAddress) -> Iterator[str]:
    name = f"role_{address.schema}"
    admin.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    admin.execute(f"DROP OWNED BY {name} CASCADE")
    admin.execute(f"DROP ROLE {name}")


def test_a_role_that_may_not_create_works_with_the_rights_that_are_documented(
    address: DatabaseAddress, role: str, admin: psycopg.Connection[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = as_role(address, role)
    with pytest.raises(DataError, match="this role may not make one"):
        open_store(theirs)
    with open_store(address) as store:
        Samples(store).insert_many([sample(1)])
    page = (Path(__file__).parents[2] / "docs" / "guides" / "postgresql.md").read_text(encoding="utf-8")
    grants = page.partition("```sql\n")[2].partition("```")[0]
    for statement in grants.replace("gateway_role", role).replace("reasoning", address.schema).split(";"):
        if statement.strip() and "CREATE ROLE" not in statement:
            admin.execute(statement)  # type: ignore[arg-type]
    with open_store(theirs) as store:
        assert store.read_only_for is None
        Samples(store).insert_many([sample(2)])
        Labels(store).set([Labelling(sample(1).id, "good")], at=NOON, by="ada")
        store.write("DELETE FROM samples WHERE id = ?", (sample(2).id,))
        assert Samples(store).labelled() == 1
    with open_store(address) as store:
        bring_up_to_date(store)  # makes the index, which takes an owner
    with open_store(theirs) as store:
        Samples(store).insert_many([sample(3, prompt="zebra")])
        assert bring_up_to_date(store) == 1
        assert search_samples(store, "zebra", SampleFilter(), after=None, limit=1).hits
    with monkeypatch.context() as future:
        future.setattr(migrations, "STEPS", (*migrations.STEPS, ("later", "CREATE TABLE later(x TEXT)")))
        future.setattr(migrations, "VERSION", migrations.VERSION + 1)
        with pytest.raises(DataError, match="may not bring it up to date"):
            open_store(theirs)


def test_a_role_that_may_only_read_reads(
    address: DatabaseAddress,
    role: str,
    admin: psycopg.Connection[tuple[object, ...]],
    reasoning: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open_store(address) as store:
        Samples(store).insert_many([sample(1)])
    admin.execute(f"GRANT USAGE ON SCHEMA {address.schema} TO {role}")
    admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {address.schema} TO {role}")
    theirs = as_role(address, role)
    with pytest.raises(DataError, match="can only be read by this role"):
        open_store(theirs)
    on_address(theirs, monkeypatch)
    assert json.loads(reasoning("data", "stats", "--json").stdout)["total"] == 1
    for command in READING:
        done = reasoning(*command.split())
        assert (done.exit_code, "error: " in done.stderr) == (0, False), (command, done.stderr)
    done = reasoning("data", "cleanup", "--days", "1", "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"], done.stderr


# --- what is said ---


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace("/postgres", "/nowhere"), 'database "nowhere" does not exist'),
        (lambda url: "postgresql://nobody:s3cr3t-pw@127.0.0.1:1/x", "refused"),
        (lambda url: url.replace("//eliza@", "//nobody_here:s3cr3t-pw@"), 'role "nobody_here" does not exist'),
        (lambda url: f"{url}?sslmode=require&sslpassword=s3cr3t-pw", "SSL"),
        (lambda url: f"{url}?no_such_option=1", "no_such_option"),
    ],
    ids=["database", "port", "role", "tls", "option"],
)
@pytest.mark.parametrize("command", ["data stats", "-v models list", "doctor --offline", "config"])
def test_a_wrong_address_is_an_error_with_a_hint_and_its_secrets_are_not_shown(
    change: object, said: str, command: str, server: str, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = change(server)  # type: ignore[operator]
    monkeypatch.setenv("REASONING_STORE_URL", url)
    done = reasoning(*command.split())
    shown = done.stdout + done.stderr
    assert "s3cr3t-pw" not in shown
    if command == "config":
        assert "store.url" in shown
        return
    assert done.exit_code != 0
    assert said in shown
    if "doctor" not in command:
        assert ("check user, password and database" in done.stderr) == ("does not exist" in said), done.stderr
        assert [line.split(":")[0] for line in done.stderr.splitlines()[-2:]] == ["error", "hint"], done.stderr


def test_an_option_for_one_call_counts_before_a_setting(
    address: DatabaseAddress, reasoning: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(address) as store:
        Samples(store).insert_many([sample(1)])
    monkeypatch.setenv("REASONING_STORE_SCHEMA", address.schema)
    assert json.loads(reasoning("--db", address.url, "data", "stats", "--json").stdout)["total"] == 1
    assert not (home / "reasoning.db").exists()
    monkeypatch.setenv("REASONING_STORE_URL", address.url)
    assert json.loads(reasoning("--db", "new.db", "data", "stats", "--json").stdout)["total"] == 0
    Path(".env").write_text("REASONING_STORE_URL=postgresql://elsewhere/x\n")
    monkeypatch.delenv("REASONING_STORE_URL")
    found = json.loads(reasoning("config", "--json").stdout)
    [row] = [row for row in found if row["name"] == "store.url"]
    assert row["source"] == "default", "a working folder does not say where decisions go"


def test_what_only_a_file_can_is_refused_with_what_to_use_instead(
    address: DatabaseAddress, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the guide says is refused, and nothing else of what asks for a file."""
    with open_store(address) as store:
        Samples(store).insert_many([sample(1)])
    on_address(address, monkeypatch)
    assert reasoning("data", "backup", "copy.db").exit_code == 0
    said = {
        "data restore FILE": "reasoning store copy copy.db postgresql://",
        "data vacuum": "VACUUM (FULL, ANALYZE)",
        "costs guard --print-systemd": "config set store.url",
        "costs guard --print-cron": "config set store.url",
        "gateway serve --print-systemd": "config set store.url",
    }
    guide = (ROOT / "docs" / "guides" / "postgresql.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+`) \| refused", guide, re.MULTILINE)
    assert [command for row in rows for command in re.findall("`(.+?)`", row)] == list(said)
    for command, hint in said.items():
        done = reasoning(*command.replace("FILE", "copy.db").split())
        assert (done.exit_code, hint in done.stderr) == (2, True), (command, done.stderr)
    program = [path.read_text(encoding="utf-8") for path in (ROOT / "reasoning_cli").rglob("*.py")]
    assert sum(text.count("= require_file(") for text in program) == 2, "what else wants a file is in the guide, too"
    monkeypatch.delenv("REASONING_STORE_URL")
    assert json.loads(reasoning("--db", "copy.db", "data", "stats", "--json").stdout)["total"] == 1


# --- values ---


def test_what_sqlite_holds_postgresql_holds(address: DatabaseAddress) -> None:
    odd = [
        "\0",
        "a\0b\0",
        "\U0010fffe",
        "\U0010fffe0",
        "\\u0000",
        '"\\\\u0000"',
        "日本語 🙂",
        "'\"%s$1?:a\\",
        "x" * 100_000,
    ]
    with open_store(address) as store:
        for number, text in enumerate(odd):
            stored = sample(number, prompt=text, output=text, metadata={"a": text, "log_id": "é"})
            Samples(store).insert_many([stored])
            found = Samples(store).get(stored.id)
            assert found is not None
            assert (found.prompt, found.output, found.metadata) == (text, text, stored.metadata)
            assert store.number("SELECT count(*) FROM samples WHERE json_extract(metadata, '$.log_id') = ?", ("é",))
        with pytest.raises(OverflowError):
            Samples(store).insert_many([sample(99, prompt_tokens=1 << 64)])
        assert Samples(store).count() == len(odd)
        # Of those that come by the thousand some are stored as others, in some columns.
        columns = "seq, prompt, CAST(output AS BLOB), label, prompt_hash"
        read = [row for rows in store.tuples(f"SELECT {columns} FROM samples ORDER BY seq", at_once=4) for row in rows]
        assert [row[1:4] for row in read] == [(text, text.encode(), None) for text in odd]
        assert [
            (row["prompt"], row["prompt_hash"]) for row in store.rows(f"SELECT {columns} FROM samples ORDER BY seq")
        ] == [(row[1], row[4]) for row in read]


def test_nothing_of_ours_runs_for_each_value_that_an_export_reads(address: DatabaseAddress) -> None:
    many = 1000
    with open_store(address) as store:
        Samples(store).insert_many([sample(number, system="s", metadata={"é": "日"}) for number in range(many)])
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event == "call"

        sys.setprofile(count)
        try:
            found = texts(store, range(1, many + 1))
        finally:
            sys.setprofile(None)
        assert len(found) == many
        assert calls < 4 * many, f"{calls / many} calls for a row"


def test_long_texts_are_packed_by_what_takes_the_server_least(
    address: DatabaseAddress, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    known = admin.execute("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'").fetchone()
    assert known is not None
    with open_store(address) as store:
        Samples(store).insert_many([sample(1, prompt="a word and another " * 300)])
        row = store.row("SELECT pg_column_compression(prompt) FROM samples")
        assert row is not None
        assert row[0] == ("lz4" if "lz4" in str(known[0]) else "pglz")


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        ("SELECT ? + ?, '?:x'", "SELECT $1 + $2, '?:x'", ()),
        ("x = :a OR y = :b OR z = :a", "x = $1 OR y = $2 OR z = $1", ("a", "b")),
        ("WHERE +room_id = :room AND a + 1", "WHERE room_id = $1 AND a + 1", ("room",)),
        ("label IS NOT 'bad' AND x IS NULL", "label IS DISTINCT FROM 'bad' AND x IS NULL", ()),
        ("LIMIT :page", "LIMIT NULLIF($1, -1)", ("page",)),
        ("substr(prompt, 1, 5), substr(prompt, -20)", "substr(prompt, 1, 5), right(prompt, 20)", ()),
    ],
)
def test_a_statement_is_rewritten(ours: str, theirs: str, names: tuple[str, ...]) -> None:
    assert dialect.statement(ours) == (theirs, names)


# --- transactions, and a server that goes away ---


def test_what_fails_inside_a_transaction_is_undone_and_others_wait_for_it(address: DatabaseAddress) -> None:
    with open_store(address) as store, open_store(address) as other:
        with pytest.raises(RuntimeError), store.transaction() as connection:
            connection.execute(EVENT)
            assert store.number("SELECT count(*) FROM events") == 1, "it sees what it wrote"
            assert other.number("SELECT count(*) FROM events") == 0
            raise RuntimeError
        assert store.number("SELECT count(*) FROM events") == 0
        with store.transaction():
            writer = threading.Thread(target=other.write, args=(EVENT,))
            writer.start()
            writer.join(0.2)
            assert writer.is_alive()
            with other.transaction(exclusive=False):
                pass
        writer.join(10)
        assert store.number("SELECT count(*) FROM events") == 1


def test_rows_are_streamed_while_others_are_read_and_written(address: DatabaseAddress) -> None:
    with open_store(address) as store:
        Samples(store).insert_many([sample(number) for number in range(1000)])
        seen = 0
        for row in store.rows("SELECT id FROM samples ORDER BY seq"):
            seen += 1
            if seen % 250 == 0:
                assert Samples(store).get(row["id"]) is not None
                store.write("UPDATE samples SET label = 'good' WHERE id = ?", (row["id"],))
        assert (seen, Samples(store).labelled()) == (1000, 4)
        assert next(iter(store.rows("SELECT id FROM samples ORDER BY seq")))["id"] == sample(0).id  # and left


def ended(store: Store, admin: psycopg.Connection[tuple[object, ...]]) -> None:
    """All connections of ours are cut off by the server."""
    assert isinstance(store.place, DatabaseAddress)
    ours = "FROM pg_stat_activity WHERE application_name = 'reasoning'"
    admin.execute(f"SELECT pg_terminate_backend(pid) {ours}")
    until(lambda: admin.execute(f"SELECT 1 {ours}").fetchone() is None, "the connections to end")


def test_a_connection_that_was_cut_off_while_idle_is_made_anew(
    address: DatabaseAddress, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    with open_store(address) as store:
        for use in (
            lambda: store.write(EVENT),
            lambda: store.number("SELECT count(*) FROM events"),
            lambda: list(store.rows("SELECT * FROM events")),
        ):
            ended(store, admin)
            use()
        assert store.number("SELECT count(*) FROM events") == 1


def test_one_that_is_cut_off_in_a_transaction_writes_nothing(
    address: DatabaseAddress, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    with open_store(address) as store:
        with pytest.raises(UnreachableError), store.transaction() as connection:
            connection.execute(EVENT)
            ended(store, admin)
            connection.execute(EVENT)
        assert store.number("SELECT count(*) FROM events") == 0


def test_ctrl_c_while_a_transaction_begins_leaves_nothing_locked(
    address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when the server has given the lock, and before we know of it."""
    execute = psycopg.Connection.execute

    def interrupted(connection: Any, query: Any, *values: Any, **options: Any) -> Any:
        result = execute(connection, query, *values, **options)
        if str(query).startswith("BEGIN"):
            signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(postgres, "_LOCK_SECONDS", 1)
    with open_store(address) as store:
        monkeypatch.setattr(psycopg.Connection, "execute", interrupted)
        try:
            store.write(EVENT)
        except KeyboardInterrupt:  # as commands do, which then put on record how far they came
            monkeypatch.setattr(psycopg.Connection, "execute", execute)
            store.write(EVENT)
        assert store.number("SELECT count(*) FROM events") == 1


def test_doctor_names_a_table_that_is_not_there(
    address: DatabaseAddress,
    admin: psycopg.Connection[tuple[object, ...]],
    reasoning: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_store(address).close()
    admin.execute(f"DROP TABLE {address.schema}.imports")
    on_address(address, monkeypatch)
    done = reasoning("doctor", "--offline", "--json")
    (check,) = [check for check in json.loads(done.stdout) if check["name"] == "database"]
    assert (done.exit_code, check["status"]) == (1, "fail")
    assert "the table `imports` is missing" in check["detail"]


def test_a_recorder_keeps_what_a_server_that_is_away_cannot_take(
    address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections fail for a while, and one after its commit: every decision is there once, with its attempt."""
    monkeypatch.setattr("reasoning_cli.gateway.log.recorder._RETRY_SECONDS", 0.01)
    tries: list[str] = []

    def opened() -> Store:
        tries.append("open")
        if len(tries) < 4:
            raise UnreachableError("the server is away", "wait")
        return open_store(address)

    recorder = Recorder(opened)
    written = Attempts.insert_many

    def lost_answer(attempts: Attempts, records: Sequence[AttemptRecord]) -> int:
        done = written(attempts, records)
        if len(tries) == 4:
            raise UnreachableError("it went away as it answered", "wait")
        return done

    monkeypatch.setattr(Attempts, "insert_many", lost_answer)
    members = (NOON, "coding", "shadow", "acme/coder", None, None, None, None, None, 5, None, None, "said")
    made = [(sample(number), [AttemptRecord(sample(number).id, *members)]) for number in range(5)]
    store = recorder._stored(None, made)
    assert store is not None
    with store:
        assert store.number("SELECT count(*) FROM samples") == 5
        assert store.number("SELECT count(*) FROM attempts") == 5
    assert (recorder.figures.stored, recorder.figures.dropped, len(tries)) == (5, 0, 5)


WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.values import DatabaseAddress
from tests.store.samples.test_training_log import sample
with open_store(DatabaseAddress(*sys.argv[1:3], Path(sys.argv[3]))) as store:
    for start in range(int(sys.argv[4]), 1 << 30, 7):
        Samples(store).insert_many([sample(number) for number in range(start, start + 7)])
        print(start, flush=True)
"""


def test_a_writer_that_is_killed_loses_nothing_it_acknowledged_and_tears_no_batch(address: DatabaseAddress) -> None:
    with open_store(address) as store:
        acknowledged: list[int] = []
        for kill in range(4):
            command = [sys.executable, "-c", WRITE_UNTIL_KILLED, address.url, address.schema, str(address.beside)]
            with subprocess.Popen(
                [*command, str(kill * 1_000_000)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    acknowledged.append(int(line))
                    if len(acknowledged) % 20 == 0 and process.poll() is None:
                        process.kill()
        stored = {int(row["id"].removeprefix("sample-")) for row in store.rows("SELECT id FROM samples")}
        wanted = {number for start in acknowledged for number in range(start, start + 7)}
        assert (wanted - stored, len(stored) % 7, len(acknowledged) >= 80) == (set(), 0, True)
        assert store.number("SELECT count(*) FROM samples") == len(stored)


# --- locks over hosts ---


def test_a_lock_is_held_over_hosts_until_its_holder_dies(
    address: DatabaseAddress, admin: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    """Two folders, as two hosts have, and one schema: what one has in hand the other leaves alone."""
    elsewhere = replace(address, beside=tmp_path / "elsewhere.db")
    with open_store(address) as here, open_store(elsewhere) as there:
        with here.alone("loop-planning") as ours, there.alone("loop-planning") as theirs:
            assert ours is not None
            assert theirs is None
            assert ours.is_held()
            with there.alone("loop-coding") as other:
                assert other is not None
        with there.alone("loop-planning") as free:
            assert free is not None
            # Whoever was cut off sees that it has the lock no more.
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
            assert not free.is_held()
            with here.alone("loop-planning") as next_one:
                assert next_one is not None


def test_a_promotion_in_the_hand_of_another_host_is_left_alone(address: DatabaseAddress, tmp_path: Path) -> None:
    elsewhere = replace(address, beside=tmp_path / "elsewhere.db")
    with open_store(address) as here, open_store(elsewhere) as there:
        for hand in (in_hand, loop_in_hand):
            with hand(here, "planning") as ours, hand(there, "planning") as theirs:
                assert ours is not None
                assert theirs is None
