"""The store on PostgreSQL: connections, transactions, how its tables are made, and what its errors mean.

One schema of a database holds what a file holds otherwise. Whoever reads takes a connection of its own for as long, so
rows are streamed while others are read and written. Writers wait for each other, as in a file: by an advisory lock of
the schema, held for a transaction. Only what adds rows that nobody else can know of yet does without.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import lru_cache, partial
from itertools import islice, repeat
from operator import contains
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from reasoning_cli.errors import ConfigurationError, DataError
from reasoning_cli.redact import bare_address, hide, redact
from reasoning_cli.store import dialect, migrations
from reasoning_cli.store.database import (
    DOCTOR,
    Column,
    Connection,
    MissingStoreError,
    Parameters,
    Row,
    Store,
    StoreCheck,
    UnavailableError,
    UnreachableError,
    Value,
)
from reasoning_cli.store.locks import Hold
from reasoning_cli.store.timestamps import from_ms
from reasoning_cli.values import DatabaseAddress, Patience

if TYPE_CHECKING:
    import psycopg

_LOCK_SECONDS = 30
_OLDEST_SERVER = 140000
# How long an ended session may take until it lets go of its lock.
_LETS_GO_MS = 2000
_CHUNK = 1000  # rows that the server's answer is taken in at once
_TEXT, _VARCHAR = 25, 1043  # types by their numbers, which no server changes
# What a text has, as it came, where some of it is stored as other characters.
_MARKS: dict[int, str | bytes] = {_TEXT: dialect.ESCAPE, _VARCHAR: dialect.ESCAPE_BYTE}
_STEPS = "reasoning_steps"
_GRANTS = "the page on PostgreSQL in the documentation says which rights are needed"
_SESSION = (
    "SET lock_timeout = '{lock}s'; SET search_path TO {schema}; SET client_encoding TO 'UTF8';"
    " SET default_transaction_isolation TO 'read committed';"
    # Of a long text the server's own way takes as long as the rest of a row that is written; not every server has this.
    " SELECT set_config(name, 'lz4', false) FROM pg_settings"
    " WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)"
)

# The server notices within half a minute that the host of a lock has gone, and takes no offence at its silence.
_HOLDING = (
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4;"
    " SET idle_session_timeout = 0"
)


class _NamedRow(tuple[Any, ...]):
    """A row whose values have names too."""

    __slots__ = ()
    places: ClassVar[dict[str, int]] = {}  # of the class that each list of columns has

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, self.places[key] if type(key) is str else key)

    def keys(self) -> list[str]:
        return list(self.places)


@lru_cache(maxsize=512)
def _row_of(names: tuple[str, ...]) -> type[_NamedRow]:
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    ordered = {name: places[name] for name in names}
    return type("_NamedRow", (_NamedRow,), {"__slots__": (), "places": ordered})


def _named(cursor: Any) -> Any:
    return _row_of(tuple(column.name for column in cursor.description or ()))


class _Result:
    """What a statement gave."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.fetchone, self.fetchall = cursor.fetchone, cursor.fetchall

    @property
    def rowcount(self) -> int:
        return int(self._cursor.rowcount)

    @property
    def lastrowid(self) -> int | None:
        return int(self._cursor.connection.execute("SELECT lastval()").fetchone()[0])


class _Session:
    """One connection, which runs our statements."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    @property
    def had_gone(self) -> bool:
        """Whether the other side ended it, which says nothing of the server as it is now."""
        return self.raw.closed and not getattr(self.raw, "given_up", False)

    def execute(self, sql: str, parameters: Parameters = (), /) -> _Result:
        query, names = dialect.statement(sql)
        return _Result(self.raw.execute(cast(Any, query), dialect.arguments(names, parameters) or None))

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> _Result:
        query, names = dialect.statement(sql)
        cursor = self.raw.cursor()
        cursor.executemany(cast(Any, query), [dialect.arguments(names, values) for values in parameters])
        return _Result(cursor)

    def stream(self, sql: str, parameters: Parameters, at_once: int, *, named: bool) -> Iterator[list[Any]]:
        """The rows as the server sends them, so many at a time; their values as libpq gives them, put right by the
        column where any was stored as another: our own loaders would be called for each value."""
        from psycopg import capabilities
        from psycopg.rows import tuple_row

        query, names = dialect.statement(sql)
        with self.raw.cursor() as cursor:
            if not named:
                cursor.row_factory = tuple_row
            for name, loader in _stream_loaders().items():
                cursor.adapters.register_loader(name, loader)
            size = min(at_once, _CHUNK) if capabilities.has_stream_chunked() else 1
            found: Any = cursor.stream(cast(Any, query), dialect.arguments(names, parameters) or None, size=size)
            with closing(found):
                while rows := list(islice(found, at_once)):
                    yield _restored(rows, [column.type_code for column in cursor.description or ()])


class PostgresStore(Store):
    """One schema of a database. `path` is where files that belong to it lie on this machine, such as locks."""

    is_shared = True
    numbers_may_return = False

    def __init__(self, address: DatabaseAddress, path: Path, realm: str) -> None:
        self.address, self.path, self.realm = address, path, realm
        self.read_only_for: DataError | None = None
        self._idle: list[_Session] = []
        self._guard = threading.Lock()
        self._mine = threading.local()
        self._lock_key = f"hashtextextended({_literal(f'reasoning {address.schema}')}, 0)"

    @property
    def name(self) -> str:
        return f"{bare_address(self.address.url)} (schema {self.address.schema})"

    @property
    def place(self) -> DatabaseAddress:
        return self.address

    def close(self) -> None:
        with self._guard:
            idle, self._idle = self._idle, []
        for session in idle:
            session.raw.close()

    # --- reading ---

    def rows(self, sql: str, parameters: Parameters = ()) -> Iterator[Row]:
        for batch in self._streamed(sql, parameters, 200, named=True):
            yield from batch

    def tuples(self, sql: str, parameters: Parameters = (), *, at_once: int = 1000) -> Iterator[list[tuple[Any, ...]]]:
        return self._streamed(sql, parameters, at_once, named=False)

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        with self._translated():
            return cast(Row | None, self._run(sql, parameters).fetchone())

    def _streamed(self, sql: str, parameters: Parameters, at_once: int, *, named: bool) -> Iterator[list[Any]]:
        with self._translated():
            if (mine := self._in_transaction()) is not None:
                found = mine.execute(sql, parameters).fetchall()  # another statement may follow before the last row
                for start in range(0, len(found), at_once):
                    some = found[start : start + at_once]
                    yield some if named else [*map(tuple, some)]
                return
            session, is_new = self._borrow()
            begun = False
            try:
                try:
                    for rows in session.stream(sql, parameters, at_once, named=named):
                        begun = True
                        yield rows
                    return
                except Exception:
                    if begun or is_new or not session.had_gone:
                        raise
                # It had gone while nobody used it.
                session = self._connect()
                yield from session.stream(sql, parameters, at_once, named=named)
            finally:
                self._give_back(session)

    def _run(self, sql: str, parameters: Parameters) -> _Result:
        if (mine := self._in_transaction()) is not None:
            return mine.execute(sql, parameters)
        session, is_new = self._borrow()
        try:
            try:
                return session.execute(sql, parameters)
            except Exception:
                if is_new or not session.had_gone:
                    raise
            session = self._connect()
            return session.execute(sql, parameters)
        finally:
            self._give_back(session)

    # --- writing ---

    @contextmanager
    def transaction(self, *, exclusive: bool = True) -> Iterator[Connection]:
        self.require_writable()
        alone = f"; SELECT pg_advisory_xact_lock({self._lock_key})" if exclusive else ""
        with self._within(f"BEGIN{alone}") as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._within("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            yield

    @contextmanager
    def _within(self, begin: str) -> Iterator[_Session]:
        assert self._in_transaction() is None, "a transaction within a transaction"
        with self._translated():
            session, is_new = self._borrow()
            try:  # Ctrl-C may come when the server has begun, and so holds the lock
                try:
                    session.raw.execute(cast(Any, begin))
                except Exception:
                    if is_new or not session.had_gone:
                        raise
                    session = self._connect()
                    session.raw.execute(cast(Any, begin))
                self._mine.session = session
                yield session
                session.raw.execute("COMMIT")
            except BaseException:
                with suppress(Exception):
                    session.raw.execute("ROLLBACK")
                raise
            finally:
                self._mine.session = None
                self._give_back(session)

    def clock(self) -> datetime:
        return from_ms(self.number("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"))

    @contextmanager
    def alone(self, what: str) -> Iterator[Hold | None]:
        key = f"hashtextextended({_literal(f'reasoning {self.address.schema} {what}')}, 0)"
        with self._translated():
            session = self._connect()
        try:
            with self._translated():
                name = f"reasoning {uuid4().hex}"
                session.raw.execute(cast(Any, f"{_HOLDING}; SET application_name = '{name}'"))
                [taken] = session.raw.execute(cast(Any, f"SELECT pg_try_advisory_lock({key})")).fetchone() or (False,)
            yield Hold(lambda: _is_alive(session), name) if taken else None
        finally:
            session.raw.close()

    def cut_off(self, what: str, name: str | None = None) -> bool:
        key = f"hashtextextended({_literal(f'reasoning {self.address.schema} {what}')}, 0)"
        return bool(
            self.number(
                # Until it has let go: who takes the lock next shall find it free.
                f"SELECT count(*) FROM (SELECT pg_terminate_backend(l.pid, {_LETS_GO_MS}) FROM pg_locks AS l"
                " JOIN pg_stat_activity AS a ON a.pid = l.pid WHERE l.locktype = 'advisory'"
                f"{'' if name is None else f' AND a.application_name = {_literal(name)}'}"
                " AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                f" AND (l.classid::bigint << 32 | l.objid::bigint) = {key}) AS ended"
            )
        )

    # --- connections ---

    def _in_transaction(self) -> _Session | None:
        session: _Session | None = getattr(self._mine, "session", None)
        return session

    def _borrow(self) -> tuple[_Session, bool]:
        """A connection that nobody uses, and whether it was made just now."""
        with self._guard:
            while self._idle:
                session = self._idle.pop()
                if not session.raw.closed:
                    return session, False
        return self._connect(), True

    def _give_back(self, session: _Session) -> None:
        from psycopg.pq import TransactionStatus

        if session.raw.closed or session.raw.info.transaction_status != TransactionStatus.IDLE:
            session.raw.close()
            return
        with self._guard:
            self._idle.append(session)

    def _connect(self) -> _Session:
        session = _Session(_connected(self.address))
        session.raw.execute(cast(Any, _SESSION.format(lock=_LOCK_SECONDS, schema=_quoted(self.address.schema))))
        return session

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with translated(self.name):
                yield
        except UnreachableError:
            self.close()  # what else is idle leads to the same server
            raise

    # --- what SQLite does by pragmas ---

    def size_bytes(self) -> int:
        return self.number(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class AS c"
            " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relkind = 'r'",
            (self.address.schema,),
        )

    def log_bytes(self) -> int:
        return 0

    def free_pages(self) -> int:
        return 0

    def give_back_pages(self, pages: int) -> None:
        """The server's own vacuum does."""

    def write_often(self) -> None:
        """Nothing to be prepared here."""

    @contextmanager
    def writing_back_apart(self) -> Iterator[None]:
        yield

    def write_back(self) -> None:
        """The server does."""

    def shorten_log(self) -> None:
        """The server does."""

    def is_log_cut(self) -> bool:
        return True

    @contextmanager
    def overwriting(self) -> Iterator[None]:
        """What is changed or deleted is old rows until they are vacuumed, which is done at the end where it may be."""
        yield
        session, _ = self._borrow()
        try:
            for table in ("samples", "labels", "attempts", "evaluation_answers", "samples_words"):
                with suppress(Exception):  # of another owner, or busy: the server does it by itself
                    session.raw.execute(cast(Any, f"VACUUM {table}"))
        finally:
            self._give_back(session)

    @contextmanager
    def each_page_once(self) -> Iterator[None]:
        yield

    def tables(self) -> list[str]:
        found = self.rows(
            "SELECT tablename FROM pg_tables WHERE schemaname = ? AND tablename <> ? ORDER BY tablename",
            (self.address.schema, _STEPS),
        )
        return [row[0] for row in found]

    def highest_number(self, table: str, key: str) -> int:
        return self.number(f"SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM {table}_{key}_seq")

    def set_highest_number(self, connection: Connection, table: str, key: str, highest: int) -> None:
        self.number_after(connection, table, key, highest)

    def engine(self) -> tuple[str, str]:
        row = self.row("SELECT current_setting('server_version')")
        return "postgresql", str(row[0]).split()[0] if row is not None else ""

    def schema_version(self) -> int:
        return self.number(f"SELECT max(number) FROM {_STEPS}")

    def word_indexes(self) -> list[str]:
        return []

    def columns(self, table: str) -> list[Column]:
        found = self.rows(
            "SELECT a.attname, format_type(a.atttypid, NULL), coalesce(a.attnum = ANY(i.indkey), false)"
            " FROM pg_attribute AS a LEFT JOIN pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary"
            " WHERE a.attrelid = to_regclass(?) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            (f"{_quoted(self.address.schema)}.{_quoted(table)}",),
        )
        return [Column(name, dialect.SQLITE_TYPES[kind], bool(is_key)) for name, kind, is_key in found]

    def links(self, table: str) -> list[tuple[str, str, str]]:
        found = self.rows(
            "SELECT a.attname, t.relname, b.attname FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.confrelid"
            " JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
            " JOIN pg_attribute AS b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]"
            " WHERE c.contype = 'f' AND c.conrelid = to_regclass(?) ORDER BY a.attname",
            (f"{_quoted(self.address.schema)}.{_quoted(table)}",),
        )
        return [(column, other, parent) for column, other, parent in found]

    def check(self) -> StoreCheck:
        """Whether every table is there that our steps make, and each can be read."""
        problems: list[str] = []
        there = set(self.tables())
        problems += [f"the table `{table}` is missing" for table in _made_tables() if table not in there]
        return StoreCheck(
            path=self.path,
            realm=self.realm,
            schema_version=self.schema_version(),
            size_bytes=self.size_bytes(),
            problems=tuple(problems),
        )

    def insert_rows(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]
    ) -> None:
        session = self._in_transaction()
        assert session is not None
        with session.raw.cursor() as cursor, cursor.copy(f"COPY {table}({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def number_after(self, connection: Connection, table: str, key: str, highest: int) -> None:
        sequence = f"pg_get_serial_sequence('{table}', '{key}')"
        connection.execute(f"SELECT setval({sequence}, greatest(nextval({sequence}), ? + 1), false)", (highest,))


def _is_alive(session: _Session) -> bool:
    try:
        session.raw.execute("SELECT 1")
    except Exception:
        return False
    return True


def _made_tables() -> list[str]:
    found = []
    for _, script in migrations.STEPS:
        for text in migrations.statements(script):
            words = text.split()
            if words[:2] == ["CREATE", "TABLE"]:
                found.append(words[2].partition("(")[0])
    return found


# --- opening ---


def open_postgres(
    address: DatabaseAddress, path: Path, realm: str, *, create: bool = True, or_read: bool = False
) -> PostgresStore:
    """Open the schema, making or upgrading it first when needed, one start at a time. Raises DataError for anything
    that keeps it from being used; with `or_read` not for a role or a server that may only read."""
    hide(address.url)
    store = PostgresStore(address, path, realm)
    try:
        with translated(store.name):
            session = store._connect()
            try:
                _prepare(store, session, create=create)
                store.read_only_for = _why_read_only(store, session)
            finally:
                store._give_back(session)
        if store.read_only_for is not None and not or_read:
            raise store.read_only_for
    except BaseException:
        store.close()
        raise
    return store


def _prepare(store: PostgresStore, session: _Session, *, create: bool) -> None:
    server, encoding = session.execute(
        "SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding')"
    ).fetchone()
    if server < _OLDEST_SERVER:
        raise DataError(
            f"the server of `{store.name}` is PostgreSQL {server // 10000}",
            f"PostgreSQL {_OLDEST_SERVER // 10000} or later is needed",
        )
    if encoding != "UTF8":
        raise DataError(f"`{store.name}` keeps texts as {encoding}", "make a database with `createdb -E UTF8`")
    version = _version(store, session)
    if version is None and not create:
        raise MissingStoreError(f"there is no store at `{store.name}`", "`reasoning setup` makes one")
    if version is None or version < migrations.VERSION:
        _migrate(store, session)
        version = _version(store, session) or 0
    if version > migrations.VERSION:
        raise DataError(
            f"`{store.name}` was written by a newer `reasoning` (schema {version}, this one knows"
            f" {migrations.VERSION})",
            "upgrade it with `pip install --upgrade reasoning`",
        )
    row = session.execute("SELECT value FROM about WHERE name = 'realm'").fetchone()
    held = row[0] if row is not None else "unknown"
    if held != store.realm:
        raise DataError(
            f"`{store.name}` holds {held} data, not {store.realm} data; the two never mix",
            "use another schema for one of them, with `store.schema`",
        )


def _version(store: PostgresStore, session: _Session) -> int | None:
    """Which step the schema is at; None where nothing of ours is. Raises DataError for tables of another program."""
    schema = _quoted(store.address.schema)
    ours, samples, about = session.execute(
        "SELECT to_regclass(?) IS NOT NULL, to_regclass(?) IS NOT NULL, to_regclass(?) IS NOT NULL",
        [f"{schema}.{name}" for name in (_STEPS, "samples", "about")],
    ).fetchone()
    if not ours:
        if samples or about:
            raise DataError(f"`{store.name}` holds tables of another program", "name another schema: `store.schema`")
        return None
    return int(session.execute(f"SELECT coalesce(max(number), 0) FROM {_STEPS}").fetchone()[0])


def _migrate(store: PostgresStore, session: _Session) -> None:
    """Make the steps that are missing, all or none, while no other start does. Raises DataError for a role that may
    not."""
    from psycopg import errors

    raw = session.raw
    schema = _quoted(store.address.schema)
    raw.execute(cast(Any, f"BEGIN; SELECT pg_advisory_xact_lock({store._lock_key})"))
    try:
        version = _version(store, session) or 0
        if not session.execute("SELECT to_regnamespace(?) IS NOT NULL", (schema,)).fetchone()[0]:
            raw.execute(cast(Any, f"CREATE SCHEMA {schema}"))
        if version == 0:
            columns = "number BIGINT PRIMARY KEY, name TEXT NOT NULL, at TIMESTAMPTZ NOT NULL"
            raw.execute(cast(Any, f"CREATE TABLE {_STEPS}({columns})"))
        for number, (name, script) in enumerate(migrations.STEPS, start=1):
            if number <= version:
                continue
            for text in migrations.statements(script):
                if (made := dialect.definition(text)) is not None:
                    raw.execute(cast(Any, made))
            session.execute(f"INSERT INTO {_STEPS}(number, name, at) VALUES (?, ?, now())", (number, name))
        if version == 0:
            session.execute("INSERT INTO about(name, value) VALUES ('realm', ?)", (store.realm,))
        raw.execute("COMMIT")
    except errors.InsufficientPrivilege as error:
        raw.execute("ROLLBACK")
        if version:
            raise DataError(
                f"`{store.name}` was written by an older `reasoning`, and this role may not bring it up to date",
                f"run any command once as the role that owns the tables; {_GRANTS}",
            ) from error
        raise DataError(
            f"there is no store at `{store.name}`, and this role may not make one",
            f"run any command once as a role that may; {_GRANTS}",
        ) from error
    except BaseException:
        with suppress(Exception):
            raw.execute("ROLLBACK")
        raise


def _why_read_only(store: PostgresStore, session: _Session) -> DataError | None:
    standby, read_only, may = session.execute(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',"
        " has_table_privilege('events', 'INSERT')"
        " AND coalesce(has_table_privilege(to_regclass('samples'), 'INSERT, UPDATE'), true)"
    ).fetchone()
    if standby or read_only:
        return DataError(
            f"`{store.name}` can only be read: the server is a standby, or lets nobody write",
            "name the server that is written to in `store.url`",
        )
    if not may:
        return DataError(f"`{store.name}` can only be read by this role", _GRANTS)
    return None


def _connected(address: DatabaseAddress) -> psycopg.Connection[Any]:
    try:
        import psycopg
    except ImportError:
        raise ConfigurationError(
            "a store on PostgreSQL takes a library that is not installed", "pip install 'reasoning[postgres]'"
        ) from None
    given = {name.lower() for name, _ in parse_qsl(urlsplit(address.url).query)}
    usual = {
        "connect_timeout": address.patience.connect_seconds,
        "application_name": "reasoning",
        "tcp_user_timeout": 30_000,
        "keepalives_idle": 30,
    }
    raw: Any = _waiting_connection().connect(
        address.url,
        autocommit=True,
        cursor_factory=cast(Any, psycopg.RawCursor),
        row_factory=_named,
        **cast(Any, {name: value for name, value in usual.items() if name not in given}),
    )
    raw.patience, raw.lets_others_in = address.patience, partial(_lets_in, address)
    _adapt(raw)
    return cast("psycopg.Connection[Any]", raw)


@lru_cache(maxsize=1)
def _waiting_connection() -> type[psycopg.Connection[Any]]:
    import psycopg

    class Waiting(psycopg.Connection[Any]):
        """One that does not wait for ever: a server that stands still keeps its connections, and says nothing."""

        patience: Patience | None = None  # while it is made its own limit holds
        lets_others_in: Callable[[], bool]
        given_up = False

        def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
            if self.patience is None:
                return super().wait(gen, *args, **options)
            return super().wait(self._limited(gen, self.patience), *args, **options)

        def _limited(self, gen: Generator[Any, Any, Any], patience: Patience) -> Generator[Any, Any, Any]:
            until = time.monotonic() + patience.answer_seconds
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    if not ready and time.monotonic() >= until:
                        if not (patience.may_be_busy and self.lets_others_in()):
                            self.given_up = True
                            self.close()
                            raise psycopg.OperationalError(f"it said nothing for {patience.answer_seconds:g} seconds")
                        until = time.monotonic() + patience.answer_seconds
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

    return Waiting


def _lets_in(address: DatabaseAddress) -> bool:
    """Whether the server answers somebody new, be it that there are too many."""
    import psycopg

    try:
        psycopg.connect(address.url, connect_timeout=address.patience.connect_seconds).close()
    except psycopg.OperationalError as error:
        return "FATAL:" in str(error)
    return True


def _adapt(raw: psycopg.Connection[Any]) -> None:
    """Values go over as the columns hold them: whole numbers and flags as `bigint`, texts as `text`; and come back as
    SQLite gives them."""
    for kind, dumper in _dumpers().items():
        raw.adapters.register_dumper(kind, dumper)
    for name, loader in _loaders().items():
        raw.adapters.register_loader(name, loader)


@lru_cache(maxsize=1)
def _dumpers() -> dict[type, Any]:
    from psycopg.adapt import Dumper
    from psycopg.types.string import BytesBinaryDumper

    class Number(Dumper):
        oid = 20

        def dump(self, obj: int) -> bytes:
            return b"%d" % obj

    class Text(Dumper):
        oid = 25

        def dump(self, obj: str) -> bytes:
            return dialect.encoded(obj)

    return {int: Number, bool: Number, str: Text, bytes: BytesBinaryDumper}


@lru_cache(maxsize=1)
def _stream_loaders() -> dict[str, Any]:
    """Those that give texts as they came."""
    from psycopg.adapt import Loader
    from psycopg.types.string import TextLoader

    class AsItCame(Loader):
        load: Any = bytes  # itself, so that nothing of ours runs

    return {"text": TextLoader, "varchar": AsItCame}


def _restored(rows: list[Any], types: Sequence[int]) -> list[Any]:
    """The rows with the texts they were given, where some are stored as others."""
    amiss = {}
    for place, (kind, column) in enumerate(zip(types, zip(*rows, strict=True), strict=True)):
        mark = _MARKS.get(kind)
        if mark is not None and any(map(contains, filter(None, column), repeat(mark))):
            amiss[place] = dialect.meant if kind == _TEXT else dialect.decoded
    if not amiss:
        return rows
    row_type = type(rows[0])
    return [
        row_type(amiss[place](value) if place in amiss and value else value for place, value in enumerate(row))
        for row in rows
    ]


@lru_cache(maxsize=1)
def _loaders() -> dict[str, Any]:
    from psycopg.adapt import Loader

    class Text(Loader):
        def load(self, data: Any) -> str:
            return dialect.decoded(bytes(data)).decode()

    class TextBytes(Loader):
        def load(self, data: Any) -> bytes:
            return dialect.decoded(bytes(data))

    class Flag(Loader):
        def load(self, data: Any) -> int:
            return int(bytes(data) == b"t")

    class Sum(Loader):
        def load(self, data: Any) -> int | float:
            text = bytes(data)
            return float(text) if b"." in text else int(text)

    return {"text": Text, "varchar": TextBytes, "bool": Flag, "numeric": Sum}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# --- errors ---


@contextmanager
def translated(name: str) -> Iterator[None]:
    """The one place where PostgreSQL's errors become ours."""
    try:
        yield
    except (DataError, GeneratorExit):
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "psycopg":
            raise
        _raise_meaning(error, name)


def _raise_meaning(error: Exception, name: str) -> NoReturn:
    import psycopg
    from psycopg import errors

    # The first line says what, without the statement and without values of rows; a password is never repeated.
    said = redact((str(error).strip().splitlines() or [""])[0])
    match error:
        case errors.NumericValueOutOfRange():
            raise OverflowError(said) from error
        case errors.ProgramLimitExceeded():
            raise ValueError(said) from error
        case errors.InsufficientPrivilege() | errors.ReadOnlySqlTransaction():
            raise UnavailableError(f"`{name}` does not let this role do that: {said}", _GRANTS) from error
        case errors.DiskFull():
            raise UnavailableError(
                f"the disk of the server of `{name}` is full", "free some space there; nothing half-written was kept"
            ) from error
        case errors.LockNotAvailable() | errors.DeadlockDetected():
            raise UnavailableError(
                f"`{name}` is locked by another program", "wait for it to finish, or stop it, and run the command again"
            ) from error
        case psycopg.OperationalError() if "FATAL:" in said:  # it answered: at a connection's start no code says what
            raise UnreachableError(
                f"`{name}` lets nobody in: {said}", "check user, password and database of the address, or wait"
            ) from error
        case psycopg.OperationalError() | psycopg.InterfaceError():
            raise UnreachableError(
                f"`{name}` does not answer: {said}", "check the address, and that the server runs; `reasoning doctor`"
            ) from error
        case psycopg.ProgrammingError() | psycopg.InternalError():  # a table is not there, or damaged
            raise UnavailableError(f"the database `{name}` failed: {said}", DOCTOR) from error
        case _:
            raise DataError(f"the database `{name}` failed: {said}", DOCTOR) from error
