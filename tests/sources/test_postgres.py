"""The logs of an agent in a real PostgreSQL server give the samples that a dump of the same rows gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from reasoning_cli.errors import NotFoundError, RemoteError
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
    yield server


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
    with pytest.raises(RemoteError, match="cannot read"):
        take(url.replace("/postgres", "/nothing"), store)


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
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == ["4 decisions in 4 rows: 4 should-respond", "4 added, 0 there already"]
    assert "nothing new" not in reasoning("data", "import", url, "--again").stdout
