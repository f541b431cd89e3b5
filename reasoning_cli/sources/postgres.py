"""Rows of an ElizaOS agent's `logs` table in PostgreSQL: read only, streamed by the server, in the order of time.

The columns have had two spellings (`entity_id`, `entityId`). Of other rows than model calls with text nothing is sent
over: agents also log whole states there, of some hundred kilobytes each.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from reasoning_cli.errors import ConfigurationError, NotFoundError, RemoteError
from reasoning_cli.redact import bare_address, hide, secrets_of
from reasoning_cli.sources.rows import Position, Row, Wanted, parsed

if TYPE_CHECKING:
    import psycopg

PREFIXES = ("postgres://", "postgresql://")
NO_TEXT = ("TEXT_EMBEDDING", "TEXT_TOKENIZER_ENCODE", "TEXT_TOKENIZER_DECODE", "IMAGE", "IMAGE_DESCRIPTION")

_AT_ONCE = 200
_CONNECT_SECONDS = 15
# A row gets its time when its transaction begins and is seen when that ends, so a later one may be seen first.
_LOOK_BACK = timedelta(minutes=10)
_SPELLINGS = {
    "created_at": ("created_at", "createdAt"),
    "entity_id": ("entity_id", "entityId"),
    "room_id": ("room_id", "roomId"),
}


class PostgresSource:
    """The `logs` table behind a URL. A password in the URL is neither shown nor kept."""

    unit: Literal["bytes", "rows"] = "rows"
    picks_agent = True

    def __init__(self, url: str, wanted: Wanted) -> None:
        hide(url)
        self._url, self._wanted = url, wanted
        self.name = f"`{bare_address(url)}`"
        self.key: str | None = f"postgres:{bare_address(url)}"
        self.total: int | None = None
        self.done = 0
        self.went_on = False
        self._last: tuple[str, str] | None = None

    def position(self) -> Position | None:
        return {"created_at": self._last[0], "id": self._last[1]} if self._last else None

    def rows(self, after: Position | None = None) -> Generator[Row, None, None]:
        psycopg = _library()
        with self._translated(psycopg), self._connected(psycopg) as connection:
            names = self._columns(connection)
            where, parameters = self._conditions(connection, names, after)
            counted = connection.execute(f"SELECT count(*) FROM logs WHERE {where}", parameters).fetchone()
            self.total = int(counted[0]) if counted else None
            columns = ", ".join(f'logs."{column}"::text' for column in names.values())
            with connection.cursor(name="reasoning_import") as cursor:
                cursor.itersize = _AT_ONCE
                cursor.execute(
                    f"SELECT logs.id::text, {columns}, type, body::text FROM logs WHERE {where}"
                    f' ORDER BY logs."{names["created_at"]}", logs.id',
                    parameters,
                )
                for number, (row_id, created_at, entity_id, room_id, kind, body) in enumerate(cursor, start=1):
                    self.done = number
                    self._last = (created_at, row_id)
                    content, why = parsed(body.encode())
                    row = {"id": row_id, "created_at": created_at, "entity_id": entity_id, "room_id": room_id}
                    yield Row(number, {**row, "type": kind, "body": content}, body.encode() if why else None, why)

    def _columns(self, connection: psycopg.Connection[Any]) -> dict[str, str]:
        found = {
            str(row[0])
            for row in connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('logs') AND attnum > 0"
            )
        }
        if not {"id", "type", "body"} <= found:
            raise NotFoundError(
                f"there is no `logs` table of an ElizaOS agent in {self.name}",
                "name the database the agent's POSTGRES_URL names",
            )
        names = {}
        for name, spellings in _SPELLINGS.items():
            names[name] = next((one for one in spellings if one in found), spellings[0])
        return names

    def _conditions(
        self, connection: psycopg.Connection[Any], names: dict[str, str], after: Position | None
    ) -> tuple[str, dict[str, object]]:
        at, entity = f'logs."{names["created_at"]}"', f'logs."{names["entity_id"]}"'
        conditions = ["type LIKE 'useModel:%%'", "type <> ALL(%(no_text)s)"]
        parameters: dict[str, object] = {"no_text": [f"useModel:{one}" for one in NO_TEXT]}
        if self._wanted.since is not None:
            conditions.append(f"{at} >= %(since)s")
            parameters["since"] = self._wanted.since
        if self._wanted.agent is not None:
            named = "SELECT id::text FROM agents WHERE name = %(agent)s"
            has_agents = connection.execute("SELECT to_regclass('agents')").fetchone() != (None,)
            conditions.append(f"({entity}::text = %(agent)s{f' OR {entity}::text IN ({named})' if has_agents else ''})")
            parameters["agent"] = self._wanted.agent
        if after is not None:
            conditions.append(f"{at} >= %(after)s::timestamptz")
            parameters["after"] = datetime.fromisoformat(str(after["created_at"])) - _LOOK_BACK
            self._last = (str(after["created_at"]), str(after["id"]))
            self.went_on = True
        return " AND ".join(conditions), parameters

    @contextmanager
    def _connected(self, psycopg: Any) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self._url, connect_timeout=_CONNECT_SECONDS, application_name="reasoning") as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SET LOCAL TIME ZONE 'UTC'")
            yield connection

    @contextmanager
    def _translated(self, psycopg: Any) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigurationError(
                f"{self.name} does not let this user read `logs`", "GRANT SELECT ON logs TO this user"
            ) from error
        except psycopg.Error as error:
            said = " ".join(str(error).split()) or type(error).__name__
            for secret in secrets_of(self._url):  # parts of a password that the library took for a host or a port
                said = said.replace(secret, "…")
            raise RemoteError(
                f"cannot read {self.name}: {said}", "what was read before that is stored; run the command again"
            ) from error


def _library() -> Any:
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            "reading PostgreSQL needs a library that is not installed", "`pip install 'reasoning[postgres]'`"
        ) from None
    return psycopg
