"""Decisions while PostgreSQL is away: they wait on this machine's disk, and are in the log once, in their order."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import sqlite3
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from reasoning_cli.gateway.account import Account
from reasoning_cli.gateway.last_seen import LastSeen
from reasoning_cli.gateway.log import recorder as recording
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.operations.deploy.slots import DISABLED
from reasoning_cli.operations.doctor.gateway import check_spool
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import load_settings
from reasoning_cli.store import postgres
from reasoning_cli.store.database import Store, UnreachableError
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from reasoning_cli.store.serving.spool import Spool, packed, unpacked
from reasoning_cli.values import DatabaseAddress, Patience
from tests.conftest import Run
from tests.gateway import canned
from tests.gateway.program import Program
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Provider
from tests.gateway.serving import open_slot
from tests.sources.postgres_server import Server, is_there
from tests.store.samples.test_training_log import NOON, sample
from tests.waiting import until

ROOM = 10_000_000
MEMBERS = (NOON, "coding", "shadow", "acme/coder", None, None, None, None, None, 5, None, None, "said")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of this module's own: it is killed, and stands still."""
    if not is_there():
        pytest.skip("there is no PostgreSQL here")
    server = Server()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def address(server: Server, tmp_path: Path) -> DatabaseAddress:
    patience = Patience(connect_seconds=2, answer_seconds=1.0, may_be_busy=False)
    found = DatabaseAddress(server.url, f"own_{os.urandom(4).hex()}", tmp_path / "reasoning.db", patience)
    open_store(found).close()
    return found


class Recording:
    """A recorder that is handed samples as they come out of decisions, with an attempt each."""

    def __init__(self, address: DatabaseAddress, spool: Spool | None) -> None:
        self.address, self.spool = address, spool
        self.recorder = Recorder(lambda: open_store(self.address), spool=spool)
        self.figures = self.recorder.figures
        self.recorder.on_recorded = lambda sample, attempts: self.counted.append(sample.id)
        self.counted: list[str] = []
        self._store: Store | None = None

    def keep(self, *numbers: int) -> None:
        """As the recorder's thread does with a batch."""
        made = [(sample(number), [AttemptRecord(sample(number).id, *MEMBERS)]) for number in numbers]
        self._store = self.recorder._stored(self._store, made)

    def end(self) -> None:
        self.recorder._stopping.set()
        if self._store is not None:
            self._store.close()


@pytest.fixture
def kept(address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    monkeypatch.setattr(recording, "_RETRY_SECONDS", 0.05)
    spool = Spool(address.beside.with_name("reasoning.db.spool"), ROOM)
    found = Recording(address, spool)
    yield found
    found.end()
    spool.close()


def in_the_log(address: DatabaseAddress) -> list[str]:
    with open_store(address) as store:
        found = [row["id"] for row in store.rows("SELECT id FROM samples ORDER BY seq")]
        assert store.number("SELECT count(*) FROM attempts") == len(found)
        assert store.number("SELECT count(DISTINCT sample_id) FROM attempts") == len(found)
    return found


def ids(*numbers: int) -> list[str]:
    return [sample(number).id for number in numbers]


@contextlib.contextmanager
def killed(server: Server, address: DatabaseAddress) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextlib.contextmanager
def frozen(server: Server, address: DatabaseAddress) -> Iterator[None]:
    server.freeze()
    yield
    server.thaw()


@contextlib.contextmanager
def full(server: Server, address: DatabaseAddress) -> Iterator[None]:
    """The server says what it says when its disk is full."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(
            f"CREATE FUNCTION {address.schema}.disk_is_full() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        table, function = f"{address.schema}.samples", f"{address.schema}.disk_is_full"
        admin.execute(f"CREATE TRIGGER is_full BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()")
        yield
        admin.execute(f"DROP TRIGGER is_full ON {table}")


@contextlib.contextmanager
def standby(server: Server, address: DatabaseAddress) -> Iterator[None]:
    """The address leads to a server that lets nobody write."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND application_name = 'reasoning'"
        )
        yield
        admin.execute("SET default_transaction_read_only = off")
        admin.execute("ALTER DATABASE postgres RESET default_transaction_read_only")


@pytest.mark.parametrize("away", [killed, frozen, full, standby])
def test_what_is_decided_while_the_server_is_away_is_in_the_log_afterwards_once_and_in_order(
    away: object, server: Server, address: DatabaseAddress, kept: Recording
) -> None:
    kept.keep(0, 1)
    assert (kept.figures.stored, kept.figures.spooled) == (2, 0)
    with away(server, address):  # type: ignore[operator]
        kept.keep(2, 3)
        kept.keep(4)
        assert kept.figures.spooled == 3
        assert kept.spool is not None
        assert stat.S_IMODE(kept.spool.path.stat().st_mode) == 0o600
        assert kept.counted == ids(0, 1, 2, 3, 4)
        assert kept.figures.last_error is not None
    until(lambda: kept.figures.spooled == 0 and not kept.recorder._spooling, "an empty spool")
    kept.keep(5)
    assert in_the_log(address) == ids(0, 1, 2, 3, 4, 5)
    assert (kept.figures.stored, kept.figures.dropped, kept.figures.last_error) == (6, 0, None)
    assert kept.counted == ids(0, 1, 2, 3, 4, 5)


class Cutting:
    """Passes on what goes to a server; of the commits it is told of it keeps the answer, and hangs up."""

    def __init__(self, port: int) -> None:
        self._to, self.cuts = port, 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._take, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._door.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._to))
                ends = [False]
                threading.Thread(target=self._pass, args=(near, far, ends, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, ends, False), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, ends: list[bool], from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while content := one.recv(1 << 16):
                if from_client and b"COMMIT" in content and self.cuts:
                    self.cuts -= 1
                    ends[0] = True
                if not from_client and ends[0]:
                    break  # it is committed, and nobody is told
                other.sendall(content)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        one.close()


def test_a_connection_lost_between_the_commit_and_its_answer_doubles_nothing(
    server: Server, address: DatabaseAddress, kept: Recording
) -> None:
    """Once as the samples go in, once as the attempts do, and twice while the spool is emptied."""
    between = Cutting(server.port)
    kept.address = replace(address, url=address.url.replace(str(server.port), str(between.port)))
    try:
        kept.keep(0)
        between.cuts = 1
        kept.keep(1, 2)
        until(lambda: not kept.recorder._spooling, "an empty spool")
        between.cuts = 3
        kept.keep(3)
        kept.keep(4)
        until(lambda: not kept.recorder._spooling, "an empty spool")
        kept.keep(5)
    finally:
        between.close()
    assert between.cuts == 0
    assert in_the_log(address) == ids(0, 1, 2, 3, 4, 5)


def test_the_next_one_brings_what_was_left_to_the_address_of_then_and_nothing_that_was_forgotten(
    address: DatabaseAddress, kept: Recording
) -> None:
    elsewhere = replace(address, url="postgresql://eliza@127.0.0.1:1/postgres")
    kept.address = elsewhere
    kept.keep(0, 1, 2)
    kept.end()
    with open_store(address) as store:
        Samples(store).insert_many([sample(1)])
        Forgotten(store).request(NOON.replace(year=NOON.year + 1), room="gone")
        assert kept.spool is not None
        assert kept.spool.append([packed((sample(7, room_id="gone"), ())), b"torn", packed((sample(8), ()))])
    following = Recording(address, kept.spool)
    following.recorder.start()
    until(lambda: following.figures.dropped == 1 and following.figures.spooled == 0, "an empty spool")
    following.recorder.stop()
    with open_store(address) as store:
        found = sorted(row["id"] for row in store.rows("SELECT id FROM samples"))
    assert found == sorted(ids(0, 1, 2, 8))


def test_what_does_not_fit_waits_in_the_queue_and_is_counted_at_the_end(
    address: DatabaseAddress, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "small.spool", 60_000)
    kept = Recording(replace(address, url="postgresql://eliza@127.0.0.1:1/postgres"), spool)
    for number in range(3):
        kept.keep(number)
    while spool.append([b"x" * 1000]):
        pass
    assert spool.path.stat().st_size <= 64_000
    before = spool.waiting().count
    kept.recorder._stopping.set()
    kept.keep(3, 4)
    assert (kept.figures.dropped, spool.waiting().count) == (2, before)
    assert kept.figures.spooled in (3, before), "as of the last look"
    assert kept.figures.last_error == recording._SPOOL_IS_FULL
    assert "decisions are not kept: the spool" in caplog.text
    kept.recorder.stop()
    assert f"{before} decisions wait in {spool.path} for the next start" in caplog.text


def test_a_spool_gives_its_place_back_and_outlives_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path / "data" / "spool", ROOM)
    assert spool.waiting().count == 0
    assert spool.oldest(5, 100) == []
    assert not spool.path.exists()
    for _ in range(5):
        assert spool.append([b"secret" * 10_000] * 10)
    assert [number for number, _ in spool.oldest(3, 1 << 30)] == [1, 2, 3]
    assert len(spool.oldest(50, 100_000)) == 2
    spool.remove(20)
    assert spool.waiting().count == 30
    spool.remove(50)
    assert spool.waiting().count == 0
    assert spool.path.stat().st_size < 50_000
    with spool.draining() as first, Spool(spool.path, ROOM).draining() as second:
        assert (first, second) == (True, False)
    spool.close()
    spool.path.write_bytes(b"not a database " * 1000)
    with caplog.at_level(logging.WARNING):
        assert spool.append([b"x"])
    assert "was moved to" in caplog.text
    assert spool.waiting().count == 1
    assert not Spool(tmp_path / "none", 0).append([b"x"])
    spool.close()


def test_what_is_damaged_in_a_spool_keeps_nothing_else_waiting(tmp_path: Path) -> None:
    """A page in the middle: what stands before and behind it comes out, and the file is there to be looked at."""
    spool = Spool(tmp_path / "spool", ROOM)
    assert spool.append([b"%04d" % number * 1000 for number in range(200)])
    spool.close()
    content = bytearray(spool.path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = bytes(4096)
    spool.path.write_bytes(content)
    out: list[int] = []
    for _ in range(40):
        if not (batch := spool.oldest(20, 1 << 30)):
            break
        out += [int(record[:4]) for _, record in batch]
        assert spool.remove(batch[-1][0])
    assert out == sorted(set(out))
    assert (out[0], out[-1], len(out) > 190, spool.waiting().count) == (0, 199, True, 0)
    assert (tmp_path / "spool.bad").exists()
    spool.close()


def test_a_damaged_spool_is_set_aside_beside_the_one_before(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    (tmp_path / "spool.bad").write_bytes(b"of an earlier day")
    spool.path.write_bytes(b"not a database " * 1000)
    assert (spool.waiting().count, spool.append([b"new"]), spool.waiting().count) == (0, True, 1)
    assert (tmp_path / "spool.bad").read_bytes() == b"of an earlier day"
    assert (tmp_path / "spool.bad2").read_bytes() == b"not a database " * 1000
    spool.close()


def test_a_spool_that_is_no_file_is_not_waited_for_and_nobody_else_reads_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "spool")
    spool = Spool(tmp_path / "spool", ROOM)
    assert (spool.waiting().count, spool.append([b"x"]), spool.oldest(5, 100)) == (0, False, [])
    (tmp_path / "spool").unlink()
    (tmp_path / "spool").touch()
    (tmp_path / "spool").chmod(0o644)
    assert spool.append([b"x"])
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("spool*")} == {0o600}
    spool.close()


def test_doctor_warns_of_a_spool_that_cannot_be_read(home: Path) -> None:
    home.mkdir()
    settings = load_settings(find_paths({"REASONING_HOME": str(home)}), {})
    place = settings.database().with_name("reasoning.db.spool")
    with contextlib.closing(sqlite3.connect(place)) as other:  # of another program, or of another version
        other.execute("CREATE TABLE decisions(id TEXT, what TEXT)")
    [check] = check_spool(settings)
    assert (check.status, "for the store cannot be read: no such column: number" in check.detail) == ("warn", True)
    place.unlink()
    assert list(check_spool(settings)) == []


def test_a_record_that_is_none_of_ours_keeps_nothing_waiting(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    good = packed((sample(1), ()))
    plain = json.loads(good)
    odd: list[Any] = [plain["sample"] | {"prompt": 5}, plain["sample"] | {"created_at": 10**30}, [], None]
    assert spool.append([*(json.dumps({**plain, "sample": value}).encode() for value in odd), b"{", good])
    with open_store(tmp_path / "reasoning.db") as store:
        recorder = Recorder(lambda: store, spool=spool)
        for _ in range(3):
            if not recorder._moved(spool, store):
                break
        assert [found.id for found in Samples(store).iterate()] == ids(1)
    assert (spool.waiting().count, recorder.figures.dropped) == (0, 5)
    spool.close()


def test_a_decision_comes_out_of_the_spool_as_it_went_in() -> None:
    full_sample: Sample = sample(1, metadata={"a": [1, {"b": None}]}, shape="s", identity="i", confidence=0.5, burst=2)
    attempts = [AttemptRecord("x", *MEMBERS, why="w", named=True)]
    assert unpacked(packed((full_sample, attempts))) == (full_sample, attempts)
    with pytest.raises(TypeError):
        packed((replace(full_sample, prompt_tokens=1 << 64), ()))


def test_a_gateway_that_is_killed_with_a_full_spool_leaves_it_to_the_next(
    server: Server, address: DatabaseAddress, tmp_path: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "gateway"
    home.mkdir()
    original, model = Provider(canned.original), Provider(canned.model)
    where = {"REASONING_STORE_URL": server.url, "REASONING_STORE_SCHEMA": address.schema}
    gateway = Program(home, original.url, model.url, where)
    try:

        def decide(count: int) -> None:
            for _ in range(count):
                url = f"{gateway.url}{PATHS['chat']}"
                answer = httpx.post(url, json=request("chat", PROMPTS["planning"]), timeout=60, trust_env=False)
                assert (answer.status_code, answer.headers["x-reasoning-source"]) == (200, "slot")

        def told() -> dict[str, Any]:
            found: dict[str, Any] = httpx.get(f"{gateway.url}/stats", timeout=60, trust_env=False).json()
            return found

        decide(2)
        until(lambda: told()["recording"]["stored"] == 2, "the first two in the log")
        server.kill()
        decide(3)
        until(lambda: told()["recording"]["spooled"] == 3, "three in the spool")
        assert "reasoning_gateway_spooled 3.0" in httpx.get(f"{gateway.url}/metrics", trust_env=False).text
        for name, value in (where | {"REASONING_HOME": str(home), "REASONING_GATEWAY_PORT": gateway.port}).items():
            monkeypatch.setenv(name, str(value))
        assert "3 wait on this machine's disk" in reasoning("gateway", "status").stdout
        gateway.kill()
        seen = json.loads(reasoning("doctor", "--offline", "--json").stdout)
        assert any("3 decisions wait on this machine's disk" in check["detail"] for check in seen), seen
        gateway.start(gateway.port)  # by what it last saw of the slots: the server is still away
        assert "does not answer" in told()["problem"]
        decide(1)
        until(lambda: told()["recording"]["spooled"] == 4, "four in the spool")
        assert all(path.stat().st_mode & 0o077 == 0 for path in home.iterdir() if path.is_file())
        gateway.kill()
        server.start()
        gateway.start()
        with open_store(address) as store:
            until(lambda: Samples(store).count() == 6, "all of them in the log")
            assert Attempts(store).newest("planning") is None
        gateway.stop()
    finally:
        if gateway.process.poll() is None:
            gateway.kill()
        original.close()
        model.close()


def test_what_was_last_seen_of_slots_counts_for_the_same_store_and_no_key_is_written_down(tmp_path: Path) -> None:
    place = DatabaseAddress("postgresql://ada:s3cr3t-pw@db.example/agents", "reasoning", tmp_path / "reasoning.db")
    spent = open_slot("planning", "http://127.0.0.1:1", closed="the budget is spent")
    served = open_slot("coding", "http://127.0.0.1:1", model="acme/coder", deployment_key="key-9")
    LastSeen(place).keep({"planning": spent, "coding": served})
    written = place.beside.with_name("reasoning.db.slots")
    assert "s3cr3t-pw" not in written.read_text()
    assert "model-key" not in written.read_text()
    bare = {
        "planning": open_slot("planning", "http://127.0.0.1:1", own_server=True, deployment_key=None),
        "coding": open_slot("coding", "http://127.0.0.1:1", model=None, closed="no model", deployment_key=None),
    }
    found = LastSeen(place).fill(bare)
    assert found == {"planning": replace(bare["planning"], closed="the budget is spent"), "coding": served}
    disabled = {name: replace(slot, closed=DISABLED) for name, slot in bare.items()}
    assert LastSeen(place).fill(disabled) == disabled
    assert LastSeen(replace(place, schema="other")).fill(bare) is None
    written.write_text("torn")
    assert LastSeen(place).fill(bare) is None


@pytest.mark.sqlite("a store in a file has no spool")
def test_beside_a_file_only_what_was_left_is_brought(home: Path) -> None:
    account = Account()
    assert account.spool() is None
    home.mkdir()
    (home / "reasoning.db.spool").touch()
    spool = account.spool()
    assert spool is not None
    assert not spool.append([b"x"])


def test_who_asks_a_server_that_stands_still_is_told_soon(
    server: Server, address: DatabaseAddress, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection is given up, and so is a statement on one that is there: unless the server lets others in."""
    busy = replace(address, patience=Patience(connect_seconds=2, answer_seconds=0.3))
    monkeypatch.setenv("REASONING_STORE_URL", f"{server.url}?connect_timeout=2")
    monkeypatch.setenv("REASONING_STORE_SCHEMA", address.schema)
    with open_store(busy) as store:
        assert store.number("SELECT 1 FROM pg_sleep(0.7)") == 1, "it is busy, and alive"
        connects: list[object] = []
        connect = psycopg.connect
        monkeypatch.setattr(
            psycopg, "connect", lambda *given, **named: connects.append(given) or connect(*given, **named)
        )
        server.freeze()
        try:
            with pytest.raises(UnreachableError, match=r"said nothing for 0\.3 seconds"):
                store.number("SELECT 1")
            assert len(connects) == 1
            tried: list[object] = []
            kind = postgres._waiting_connection()
            once = kind.connect
            monkeypatch.setattr(kind, "connect", lambda *given, **named: tried.append(given) or once(*given, **named))
            done = reasoning("doctor", "--offline")
            assert "does not answer" in done.stdout
            assert len(tried) == 1, "no check waits for it again"
        finally:
            server.thaw()
        assert store.number("SELECT 1") == 1
