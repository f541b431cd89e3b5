"""Rows of an ElizaOS agent's `logs` table in PostgreSQL: read only, streamed by the server, in the order of time.

The columns have had two spellings (`entity_id`, `entityId`). Of other rows than model calls with text nothing is sent
over: agents also log whole states there, of some hundred kilobytes each.

Which table is read says the server's search path as much as the address, so where an import ended is remembered with
the host, port, database and schema it was connected to. Texts come as bytes: a database that keeps SQL_ASCII holds any.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, quote, urlsplit

from reasoning_cli.errors import ConfigurationError, NotFoundError, ReasoningError, RemoteError, UsageError
from reasoning_cli.redact import bare_address, hide, secrets_of
from reasoning_cli.sources.rows import Position, Row, Wanted, parsed
from reasoning_cli.times import read_time

if TYPE_CHECKING:
    import psycopg

PREFIXES = ("postgres://", "postgresql://")
NO_TEXT = ("TEXT_EMBEDDING", "TEXT_TOKENIZER_ENCODE", "TEXT_TOKENIZER_DECODE", "IMAGE", "IMAGE_DESCRIPTION")

_AT_ONCE = 200
_CONNECT_SECONDS = 15
# A row gets its time when its transaction begins and is seen when that ends, so a later one may be seen first.
_LOOK_BACK = timedelta(minutes=10)
# Parameters of an address that choose another table; others may hold a secret, or change nothing.
_OF_IDENTITY = ("host", "hostaddr", "port", "dbname", "user", "service")
_SEARCH_PATH = re.compile(r"search_path\s*=\s*((?:\\.|\S)+)")
_AGAIN = "what was read before that is stored; run the command again"
_SPELLINGS = {
    "created_at": ("created_at", "createdAt"),
    "entity_id": ("entity_id", "entityId"),
    "room_id": ("room_id", "roomId"),
}


class PostgresSource:
    """The `logs` table behind a URL. A password in the URL is neither shown nor kept."""

    unit: Literal["bytes", "rows"] = "rows"
    file: Path | None = None
    picks_agent = True

    def __init__(self, url: str, wanted: Wanted) -> None:
        hide(url)
        self._url, self._wanted = url, wanted
        self.name = f"`{bare_address(url)}`"
        self.key: str | None = f"postgres:{bare_address(url)}{_chosen(url)}"
        self.total: int | None = None
        self.done = 0
        self.went_on = False
        self._last: tuple[str, str] | None = None
        self._table: list[str] = []

    def position(self) -> Position | None:
        return {"created_at": self._last[0], "id": self._last[1], "table": self._table} if self._last else None

    def rows(self, after: Position | None = None) -> Generator[Row, None, None]:
        psycopg = _library()
        with self._translated(psycopg), self._connected(psycopg) as connection:
            names = self._columns(connection)
            where, parameters = self._conditions(connection, names, after)
            counted = connection.execute(f"SELECT count(*) FROM logs WHERE {where}", parameters).fetchone()
            self.total = int(counted[0]) if counted else None
            columns = ", ".join(f'logs."{column}"::text' for column in names.values())
            if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
                # It converts nothing, and refuses whole answers for one byte that is not what was asked for.
                connection.execute("SET LOCAL client_encoding TO 'SQL_ASCII'")
            with connection.cursor(name="reasoning_import") as cursor:
                cursor.adapters.register_loader("text", _as_bytes(psycopg))
                cursor.itersize = _AT_ONCE
                cursor.execute(
                    f"SELECT logs.id::text, {columns}, type::text, body::text FROM logs WHERE {where}"
                    f' ORDER BY logs."{names["created_at"]}", logs.id',
                    parameters,
                )
                for number, (*texts, body) in enumerate(cursor, start=1):
                    self.done = number
                    row_id, created_at, entity_id, room_id, kind = (_as_text(text) for text in texts)
                    if row_id is not None and created_at is not None and read_time(created_at) is not None:
                        self._last = (created_at, row_id)  # behind `infinity` nothing could be gone on
                    content, why = parsed(body) if body is not None else (None, None)
                    row = {"id": row_id, "created_at": created_at, "entity_id": entity_id, "room_id": room_id}
                    yield Row(number, {**row, "type": kind, "body": content}, body if why else None, why)

    def _columns(self, connection: psycopg.Connection[Any]) -> dict[str, str]:
        found = {
            str(row[0])
            for row in connection.execute(
                "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass('logs') AND attnum > 0"
            )
        }
        if not {"id", "type", "body"} <= found:
            raise self._no_table(connection)
        schema = connection.execute(
            "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('logs')"
        ).fetchone()
        facts = connection.info
        self._table = [facts.host, str(facts.port), facts.dbname, str(schema[0]) if schema else ""]
        names = {}
        for name, spellings in _SPELLINGS.items():
            names[name] = next((spelling for spelling in spellings if spelling in found), spellings[0])
        return names

    def _no_table(self, connection: psycopg.Connection[Any]) -> ReasoningError:
        """Why no table of an agent is seen: it is not there, not on the search path, or behind a closed schema."""
        elsewhere = connection.execute(
            "SELECT n.nspname::text, has_schema_privilege(n.oid, 'USAGE'), current_user::text,"
            " current_setting('search_path')"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname = 'logs' AND c.relkind IN ('r', 'p', 'v', 'm') AND (SELECT count(*) FROM pg_attribute a"
            " WHERE a.attrelid = c.oid AND a.attname IN ('id', 'type', 'body')) = 3"
            " ORDER BY n.nspname = ANY(string_to_array(replace(current_setting('search_path'), ' ', ''), ',')) DESC,"
            " 2 DESC, 1"
        ).fetchone()
        if elsewhere is None:
            return NotFoundError(
                f"there is no `logs` table of an ElizaOS agent in {self.name}",
                "name the database the agent's POSTGRES_URL names",
            )
        schema, may_use, user, path = elsewhere
        if not may_use:
            return ConfigurationError(
                f"{self.name} does not let `{user}` look into the schema `{schema}`, where `logs` is",
                f"`GRANT USAGE ON SCHEMA {schema} TO {user}; GRANT SELECT ON {schema}.logs TO {user}`",
            )
        parameter = quote(f"-c search_path={schema}", safe="")
        return NotFoundError(
            f"`logs` of {self.name} is in the schema `{schema}`, which is not on the search path ({path})",
            f"add `{'&' if urlsplit(self._url).query else '?'}options={parameter}` to the address",
        )

    def _conditions(
        self, connection: psycopg.Connection[Any], names: dict[str, str], after: Position | None
    ) -> tuple[str, dict[str, object]]:
        at, entity = f'logs."{names["created_at"]}"', f'logs."{names["entity_id"]}"'
        conditions = ["type LIKE 'useModel:%%'", "type <> ALL(%(no_text)s)"]
        parameters: dict[str, object] = {"no_text": [f"useModel:{model}" for model in NO_TEXT]}
        if self._wanted.since is not None:
            conditions.append(f"({at} >= %(since)s OR {at} IS NULL)")  # the body may have a time
            parameters["since"] = self._wanted.since
        if self._wanted.agent is not None:
            named = "SELECT id::text FROM agents WHERE name = %(agent)s"
            has_agents = connection.execute("SELECT to_regclass('agents')").fetchone() != (None,)
            conditions.append(f"({entity}::text = %(agent)s{f' OR {entity}::text IN ({named})' if has_agents else ''})")
            parameters["agent"] = self._wanted.agent
        reached = read_time(after["created_at"]) if after is not None and after.get("table") == self._table else None
        if after is not None and reached is not None:
            conditions.append(f"({at} >= %(after)s::timestamptz OR {at} IS NULL)")
            parameters["after"] = reached - _LOOK_BACK
            self._last = (str(after["created_at"]), str(after["id"]))
            self.went_on = True
        return " AND ".join(conditions), parameters

    @contextmanager
    def _connected(self, psycopg: Any) -> Iterator[psycopg.Connection[Any]]:
        try:
            connection = psycopg.connect(
                self._url, connect_timeout=_CONNECT_SECONDS, application_name="reasoning", client_encoding="UTF8"
            )
        except psycopg.ProgrammingError as error:
            raise UsageError(
                f"{self.name} cannot be used as an address: {self._said(error)}",
                "such as postgresql://USER@HOST:5432/DATABASE; a schema goes into `?options=-c%20search_path%3DSCHEMA`",
            ) from error
        except psycopg.OperationalError as error:
            raise self._not_connected(self._said(error)) from error
        with connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SET LOCAL TIME ZONE 'UTC'")
            connection.execute("SET LOCAL DateStyle TO 'ISO, YMD'")
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
            raise RemoteError(f"cannot read {self.name}: {self._said(error)}", _AGAIN) from error

    def _said(self, error: Exception) -> str:
        said = " ".join(str(error).split()) or type(error).__name__
        for secret in secrets_of(self._url):  # parts of a password that the library took for a host or a port
            said = said.replace(secret, "…")
        return said

    def _not_connected(self, said: str) -> ReasoningError:
        """Why there is no connection. The library has no codes for it, and its words are the server's: those in other
        languages are told as they are."""
        if re.search(r'database "[^"]*" does not exist', said):
            return NotFoundError(
                f"there is no such database on that server: {self.name}", "`psql --list` shows those there are"
            )
        if "Connection refused" in said or ("No such file or directory" in said and "socket" in said):
            return RemoteError(
                f"nothing answers at {self.name}: connection refused", "is PostgreSQL running there, on that port?"
            )
        if "could not translate host name" in said or "failed to resolve host" in said or "getaddrinfo" in said:
            return RemoteError(f"no such host: {self.name}", "check the address; is the network up?")
        if "authentication failed" in said or "no password supplied" in said:
            return ConfigurationError(
                f"{self.name} refuses the user or the password", "check both in the agent's POSTGRES_URL, or ~/.pgpass"
            )
        if re.search(r'role "[^"]*" does not exist', said):
            return ConfigurationError(f"{self.name} knows no such user", "name the one of the agent's POSTGRES_URL")
        if "no pg_hba.conf entry" in said:
            return ConfigurationError(
                f"{self.name} lets nobody in from here: no pg_hba.conf entry",
                "allow this host there; where TLS is asked for, add `?sslmode=require`",
            )
        if "timeout expired" in said or "timed out" in said:
            return RemoteError(
                f"{self.name} does not answer within {_CONNECT_SECONDS} seconds", "is a firewall between?"
            )
        return RemoteError(f"cannot connect to {self.name}: {said}", "run the command again")


def _chosen(url: str) -> str:
    """What the parameters of an address choose beside its path: another host, database or search path."""
    try:
        parameters = dict(parse_qsl(urlsplit(url).query))
    except ValueError:  # no address at all, which connecting says in its own words
        return ""
    chosen = [(name, parameters[name]) for name in _OF_IDENTITY if parameters.get(name)]
    if found := _SEARCH_PATH.search(parameters.get("options", "")):
        chosen.append(("search_path", found[1]))
    return "".join(f" {name}={value}" for name, value in chosen)


def _as_bytes(psycopg: Any) -> Any:
    class Bytes(psycopg.adapt.Loader):  # type: ignore[misc]
        def load(self, data: Any) -> bytes:
            return bytes(data)

    return Bytes


def _as_text(text: bytes | None) -> str | None:
    return text.decode("utf-8", "replace") if text is not None else None


def _library() -> Any:
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            "reading PostgreSQL needs a library that is not installed", "`pip install 'reasoning[postgres]'`"
        ) from None
    return psycopg
