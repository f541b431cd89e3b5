"""The logs of an agent in a real PostgreSQL server give the samples that a dump of the same rows gives."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import pytest

from reasoning_cli.errors import ConfigurationError, NotFoundError, ReasoningError, RemoteError, UsageError
from reasoning_cli.gateway.log.recorded_call import read_exchange
from reasoning_cli.operations.data.ingest.pipeline import ImportOptions, ImportReport, import_decisions
from reasoning_cli.redact import bare_address
from reasoning_cli.sources.postgres import PostgresSource
from reasoning_cli.sources.rows import Wanted
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.conftest import Run
from tests.operations.taking_in import import_file
from tests.sources import postgres_server

psycopg = pytest.importorskip("psycopg")
pytestmark = pytest.mark.skipif(not postgres_server.is_there(), reason="no PostgreSQL here")

ROWS = Path(__file__).parents[1] / "data" / "elizaos-logs.jsonl"
NAMES = UUID("7d1cf9a4-3c33-4f0b-9a4e-1f3b6a9f6f10")
NEW = """
CREATE TABLE logs(id uuid NOT NULL, created_at timestamptz NOT NULL, entity_id uuid NOT NULL, room_id uuid NOT NULL,
                  type text NOT NULL, body jsonb NOT NULL);
CREATE TABLE agents(id uuid PRIMARY KEY, name text)
"""
OLD = """
CREATE TABLE logs(id uuid NOT NULL, "createdAt" timestamp NOT NULL, "entityId" uuid NOT NULL, "roomId" uuid NOT NULL,
                  type text NOT NULL, body json NOT NULL)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server.postgres_server() as url:
        yield url


@pytest.fixture
def url(server: str) -> Iterator[str]:
    """An empty schema on the server."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
        for name in ("agent2", "closed"):
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    yield server


@contextmanager
def database(server: str, name: str, options: str = "") -> Iterator[str]:
    """A second database on the server."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
    try:
        yield server.replace("/postgres", f"/{name}")
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def guest(url: str) -> Iterator[str]:
    """The address of a user who may do nothing yet."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
    yield url.replace("eliza@", "guest@")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY guest")
        connection.execute("DROP ROLE guest")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def as_uuid(text: str) -> str:
    """The id itself, or one made of a name that is none."""
    try:
        return str(UUID(text))
    except ValueError:
        return str(uuid5(NAMES, text))


def as_table(line: str) -> dict[str, Any]:
    """A row of a dump as the table can hold it."""
    row = json.loads(line)
    body = json.loads(row["body"]) if isinstance(row["body"], str) else row["body"]
    return {
        "id": as_uuid(str(row.get("id") or row.get("created_at"))),
        "created_at": row.get("created_at") or row.get("createdAt") or "2026-10-01T00:00:00Z",
        "entity_id": as_uuid(str(row.get("entity_id") or row.get("entityId"))),
        "room_id": as_uuid(str(row.get("room_id") or row.get("roomId"))),
        "type": row["type"],
        "body": body,
    }


def fill(url: str, rows: list[dict[str, Any]], tables: str = NEW) -> None:
    with psycopg.connect(url) as connection:
        for statement in tables.split(";"):
            connection.execute("SET TIME ZONE 'UTC'")
            connection.execute(statement)
        add(connection, rows, tables)


def add(connection: Any, rows: list[dict[str, Any]], tables: str = NEW) -> None:
    columns = '"createdAt", "entityId", "roomId"' if tables is OLD else "created_at, entity_id, room_id"
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO logs(id, {columns}, type, body) VALUES (%s, %s, %s, %s, %s, %s)",
            [[*(row[name] for name in row if name != "body"), json.dumps(row["body"])] for row in rows],
        )


def take(url: str, store: Store, **options: Any) -> ImportReport:
    chosen = ImportOptions(**options)
    source = PostgresSource(url, Wanted(chosen.agent, chosen.since))
    return import_decisions(source, store, chosen, read_exchange=read_exchange)


def stored(store: Store) -> list[Sample]:
    return [Sample(**{**vars(one), "seq": 0}) for one in Samples(store).iterate()]


@pytest.mark.parametrize("tables", [NEW, OLD], ids=["since 1.6", "before"])
def test_the_rows_of_a_table_are_those_of_a_dump(url: str, store: Store, tmp_path: Path, tables: str) -> None:
    rows = [as_table(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    fill(url, rows, tables)
    dump = tmp_path / "dump.jsonl"
    dump.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    from_table = take(url, store)
    with open_store(tmp_path / "other.db") as other:
        from_dump = import_file(dump, other)
        assert from_table.by_type == from_dump.by_type == {"planning": 5, "should_respond": 4, "coding": 2}
        assert stored(store) == stored(other)


def test_the_recorded_agent_in_a_database_is_the_recorded_agent(
    url: str, store: Store, tmp_path: Path, shared: Path
) -> None:
    dump = shared / "traffic" / "elizaos-logs.jsonl"
    fill(url, [as_table(line) for line in dump.read_text(encoding="utf-8").splitlines()])
    report = take(url, store)
    assert dict(report.by_type) == {"planning": 14, "should_respond": 6}
    with open_store(tmp_path / "other.db") as other:
        import_file(dump, other)
        assert stored(store) == stored(other)
        assert report.outcomes == {"answered": 9, "stopped": 2}


def many(count: int, start: int = 0) -> list[dict[str, Any]]:
    row = as_table(ROWS.read_text(encoding="utf-8").splitlines()[0])
    at = datetime(2026, 10, 1, tzinfo=UTC)
    return [
        {**row, "id": as_uuid(f"row-{n}"), "created_at": (at + timedelta(minutes=n)).isoformat()}
        for n in range(start, start + count)
    ]


def test_an_import_goes_on_where_the_last_one_ended(url: str, store: Store) -> None:
    fill(url, many(300))
    first = take(url, store, limit=120)
    assert (first.added, first.is_whole, first.went_on) == (120, False, False)
    second = take(url, store, limit=None)
    # A little is read again: what was committed late may have an earlier time.
    assert (second.went_on, second.added, second.already_there) == (True, 180, 11)
    with psycopg.connect(url) as connection:
        add(connection, many(5, start=300))
    assert take(url, store).added == 5
    assert take(url, store, again=True).already_there == 305


def test_rows_committed_late_are_not_missed(url: str, store: Store) -> None:
    rows = many(10)
    fill(url, rows[:7] + rows[8:])
    assert take(url, store).added == 9
    with psycopg.connect(url) as connection:
        add(connection, [rows[7]])
    assert take(url, store).added == 1


def test_agent_and_time_are_asked_of_the_server(url: str, store: Store) -> None:
    rows = many(20)
    rows[3]["entity_id"] = as_uuid("other agent")
    fill(url, rows)
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO agents VALUES (%s, 'Zoe')", [as_uuid("other agent")])
    assert take(url, store, agent=as_uuid("other agent")).read == 1
    since = take(url, store, since=datetime(2026, 10, 1, 0, 15, tzinfo=UTC))
    assert (since.read, since.added) == (5, 5)


def test_the_server_lets_nothing_be_written(url: str, store: Store) -> None:
    fill(url, many(3))
    source = PostgresSource(url, Wanted())
    with source._connected(psycopg) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("DELETE FROM logs")


def test_what_is_no_agents_database_is_said(url: str, store: Store) -> None:
    with pytest.raises(NotFoundError, match="no `logs` table"):
        take(url, store)


# --- which table it is ---


def test_a_second_schema_is_another_source(url: str, store: Store) -> None:
    fill(url, many(5))
    in_schema(url, "agent2", many(7, start=100))
    assert take(url, store).added == 5
    second = take(f"{url}?options=-c%20search_path%3Dagent2", store)
    assert (second.added, second.went_on) == (7, False)
    # Each goes on where it ended.
    assert take(url, store).went_on
    assert take(f"{url}?options=-c%20search_path%3Dagent2", store).went_on


def in_schema(url: str, schema: str, rows: list[dict[str, Any]]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        connection.execute(f"CREATE SCHEMA {schema}")
    fill(f"{url}?options=-c%20search_path%3D{schema}", rows)


def test_a_search_path_changed_on_the_server_is_another_source(url: str, store: Store) -> None:
    fill(url, many(5))
    in_schema(url, "agent2", many(7, start=-100))
    assert take(url, store).added == 5
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER ROLE eliza SET search_path TO agent2")
    try:
        second = take(url, store)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER ROLE eliza RESET search_path")
    assert (second.added, second.went_on) == (7, False)


def test_host_port_and_database_in_parameters_are_another_source(url: str, store: Store) -> None:
    fill(url, many(5))
    with database(url, "other") as other, postgres_server.postgres_server() as elsewhere:
        fill(other, many(7, start=-100))
        fill(elsewhere, many(9, start=-300))
        assert take(url, store).added == 5
        assert take(f"{url}?dbname=other", store).added == 7
        parts = urlsplit(elsewhere)
        address = f"postgresql://eliza@/postgres?host={parts.hostname}"
        assert take(f"{address}&port={parts.port}", store).added == 9
        assert take(f"{address}&port={urlsplit(url).port}", store).already_there == 5
        keys = [row[0] for row in store.rows("SELECT source FROM imports")]
        assert len(keys) == len(set(keys)) == 4


# --- odd values ---


@pytest.mark.parametrize("style", ["SQL, DMY", "German", "Postgres, MDY"])
def test_the_date_style_of_a_database_changes_nothing(server: str, store: Store, style: str) -> None:
    with database(server, "styled") as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE styled SET DateStyle TO '{style}'")
        fill(url, many(3, start=60 * 24 * 4))
        assert take(url, store).added == 3
        assert {sample.created_at.date() for sample in stored(store)} == {date(2026, 10, 5)}
        assert take(url, store).went_on


ODD = NEW.replace("created_at timestamptz NOT NULL", "created_at timestamptz").replace(
    "body jsonb NOT NULL", "body jsonb"
)


def test_rows_without_a_time_or_a_finite_one_are_bad_lines(url: str, store: Store) -> None:
    rows = many(6)
    for row in rows:
        row["body"] = {name: value for name, value in row["body"].items() if name != "timestamp"}
    rows[1]["created_at"], rows[2]["created_at"], rows[3]["created_at"] = None, "infinity", "-infinity"
    rows[4]["created_at"] = "0044-03-15 12:00:00+00 BC"
    fill(url, rows, ODD)
    report = take(url, store)
    assert (report.added, report.bad) == (2, 4)
    assert dict(report.bad_by_why) == {"`created_at` is not a time that can be read": 3, "no `created_at`": 1}
    with psycopg.connect(url) as connection:
        add(connection, many(2, start=10))
    again = take(url, store)
    assert (again.added, again.went_on) == (2, True)


def test_a_row_without_a_body_is_a_bad_line(url: str, store: Store) -> None:
    fill(url, many(2), ODD)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE logs SET body = NULL WHERE id = %s", [as_uuid("row-0")])
    assert (take(url, store).added, take(url, store, again=True).bad) == (1, 1)


def test_a_database_in_another_encoding_is_read_as_utf8(server: str, store: Store) -> None:
    with database(server, "latin", "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0") as url:
        rows = many(1)
        rows[0]["body"]["response"] = rows[0]["body"]["response"].replace("</", " où </", 1)
        fill(url, rows, NEW.replace("jsonb", "json"))
        assert take(url, store).added == 1
    assert "où" in stored(store)[0].output


def test_a_database_without_an_encoding_gives_what_can_be_read(server: str, store: Store) -> None:
    with database(server, "bare", "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0") as url:
        fill(url, many(3), NEW.replace("jsonb", "json"))
        with psycopg.connect(url, client_encoding="SQL_ASCII") as connection:
            connection.execute(
                "UPDATE logs SET body = convert_from(convert_to(body::text, 'SQL_ASCII') || %s, 'SQL_ASCII')::json"
                " WHERE id = %s",
                [b"  ", as_uuid("row-1")],
            )
            connection.execute(
                "UPDATE logs SET body = replace(body::text, 'modelKey', convert_from(%s, 'SQL_ASCII'))::json"
                " WHERE id = %s",
                [b"m\xe9", as_uuid("row-2")],
            )
        report = take(url, store)
    assert (report.added, dict(report.bad_by_why)) == (2, {"not UTF-8": 1})


# --- each failure in its own words ---


def refused(url: str, store: Store) -> ReasoningError:
    with pytest.raises(ReasoningError) as caught:
        take(url, store)
    return caught.value


def test_a_schema_that_is_closed_is_said(url: str, guest: str, store: Store) -> None:
    in_schema(url, "closed", many(1))
    error = refused(f"{guest}?options=-c%20search_path%3Dclosed", store)
    assert (type(error), error.message.count("does not let `guest` look into the schema `closed`")) == (
        ConfigurationError,
        1,
    )
    assert "GRANT USAGE ON SCHEMA closed TO guest" in (error.hint or "")
    with psycopg.connect(url) as connection:
        connection.execute("GRANT USAGE ON SCHEMA closed TO guest")
    error = refused(f"{guest}?options=-c%20search_path%3Dclosed", store)
    assert (type(error), "does not let this user read `logs`" in error.message) == (ConfigurationError, True)


def test_a_table_in_another_schema_is_named_with_the_search_path(url: str, store: Store) -> None:
    in_schema(url, "agent2", many(2))
    error = refused(url, store)
    assert isinstance(error, NotFoundError)
    assert 'is in the schema `agent2`, which is not on the search path ("$user", public)' in error.message
    assert error.hint == "add `?options=-c%20search_path%3Dagent2` to the address"
    assert take(f"{url}?options=-c%20search_path%3Dagent2", store).added == 2


def test_what_is_not_there_is_said(url: str, store: Store) -> None:
    error = refused(url.replace("/postgres", "/nothing"), store)
    assert (type(error), "no such database" in error.message) == (NotFoundError, True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = refused(f"postgresql://eliza@127.0.0.1:{free.getsockname()[1]}/postgres", store)
    assert (type(error), "connection refused" in error.message) == (RemoteError, True)
    error = refused("postgresql://eliza@nowhere.invalid/postgres", store)
    assert (type(error), "no such host" in error.message) == (RemoteError, True)
    error = refused(url.replace("eliza@", "nobody@"), store)
    assert (type(error), "no such user" in error.message) == (ConfigurationError, True)
    error = refused(f"{url}?schema=agent", store)
    assert (type(error), "cannot be used as an address" in error.message) == (UsageError, True)


def test_a_password_is_neither_shown_nor_kept(url: str, store: Store) -> None:
    fill(url, many(2))
    secret = url.replace("eliza@", "eliza:hunter2@") + "?options=-c%20statement_timeout%3D9999"
    take(secret, store)
    [kept] = store.rows("SELECT source FROM imports")
    assert kept[0] == f"postgres:{url}"
    assert bare_address("postgres://u:p@[::1]:5432/db?password=x") == "postgres://u@[::1]:5432/db"


def test_the_command_reads_a_database(url: str, reasoning: Run) -> None:
    fill(url, many(4))
    done = reasoning("data", "import", url)
    assert (done.exit_code, done.stderr.partition(":")[0]) == (0, "hint")
    assert done.stdout.splitlines()[:2] == ["4 decisions in 4 rows: 4 should-respond", "4 added, 0 there already"]
    assert "nothing new" not in reasoning("data", "import", url, "--again").stdout
