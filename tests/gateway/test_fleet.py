"""Several gateways and guards on one PostgreSQL: who is there, who acts, and what all of them come to."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from reasoning_cli.gateway.circuit import Circuit
from reasoning_cli.operations.gateway.presence import instance
from reasoning_cli.operations.guard.lock import GUARD, cut_off_who_stands_still
from reasoning_cli.store.database import Store
from reasoning_cli.store.instances import Instances, InstanceSeen
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from reasoning_cli.store.serving.failures import AskedModel, failed_in_a_row
from reasoning_cli.values import DatabaseAddress
from tests.conftest import Run
from tests.gateway import canned
from tests.gateway.program import Program
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Provider, Received
from tests.store.samples.test_training_log import sample
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def address(schemas: object, tmp_path: Path) -> Iterator[DatabaseAddress]:
    from tests import stores

    if not isinstance(schemas, stores.Schemas):
        pytest.skip("there is no PostgreSQL here")
    import psycopg

    found = DatabaseAddress(schemas.url, f"fleet_{os.urandom(4).hex()}", tmp_path / "reasoning.db")
    open_store(found).close()
    yield found
    with psycopg.connect(found.url, autocommit=True) as admin:
        admin.execute(f"DROP SCHEMA {found.schema} CASCADE")


@pytest.fixture
def store(address: DatabaseAddress) -> Iterator[Store]:
    with open_store(address) as found:
        yield found


def of_kind(store: Store, kind: str) -> list[InstanceSeen]:
    return [seen for seen in Instances(store).all() if seen.instance.kind == kind]


def environ_of(address: DatabaseAddress, home: Path) -> dict[str, str]:
    return {
        "REASONING_HOME": str(home),
        "REASONING_STORE_URL": address.url,
        "REASONING_STORE_SCHEMA": address.schema,
    }


def test_two_gateways_are_on_the_list_and_their_figures_are_summed(
    address: DatabaseAddress, store: Store, tmp_path: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, model = Provider(canned.original), Provider(canned.model)
    gateways: list[Program] = []
    with ExitStack() as ends:
        ends.callback(original.close)
        ends.callback(model.close)
        for number in range(2):
            home = tmp_path / f"host-{number}"
            home.mkdir()
            gateways.append(Program(home, original.url, model.url, environ_of(address, home)))
            ends.callback(lambda each=gateways[-1]: each.process.poll() is None and each.kill())
        for gateway, count in zip(gateways, (2, 3), strict=True):
            for _ in range(count):
                answer = httpx.post(f"{gateway.url}{PATHS['chat']}", json=request("chat", PROMPTS["planning"]))
                assert answer.status_code == 200
        for name, value in environ_of(address, tmp_path / "host-0").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("REASONING_GATEWAY_PORT", str(gateways[0].port))

        def decisions() -> int:
            found = json.loads(reasoning("gateway", "stats", "--json").stdout)
            assert len(found["fleet"]) == 2
            return int(found["model_types"].get("planning", {}).get("decisions", 0))

        until(lambda: len(of_kind(store, "gateway")) == 2, "both on the list")
        until(lambda: decisions() == 5, "the sum over both")
        pids = {gateway.process.pid for gateway in gateways}
        assert {seen.instance.pid for seen in of_kind(store, "gateway")} == pids
        shown = reasoning("gateway", "status").stdout
        assert all(f"(process {pid}), reasoning " in " ".join(shown.split()) for pid in pids), shown
        labels = [line for line in httpx.get(f"{gateways[0].url}/metrics").text.splitlines() if "gateway_info{" in line]
        assert len(labels) == 1
        assert 'instance_id="' in labels[0]
        store.write("UPDATE instances SET version = '0.0.1' WHERE pid = ?", (gateways[1].process.pid,))
        for command in ("status", "doctor --offline"):
            assert "versions differ: 0.0.1, " in " ".join(reasoning(*command.split()).stdout.split())
        gateways[1].kill()
        assert gateways[0].stop() == 0
        assert [seen.instance.pid for seen in of_kind(store, "gateway")] == [gateways[1].process.pid]
        store.write("UPDATE instances SET seen_at = seen_at - 60000")
        assert "has gone: no sign of life for 6" in reasoning("doctor", "--offline").stdout


def guard_of(address: DatabaseAddress, home: Path) -> subprocess.Popen[str]:
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    sandbox = {"REASONING_SANDBOX": "", "TOGETHER_API_KEY": "key", "TOGETHER_BASE_URL": "http://127.0.0.1:1"}
    command = [sys.executable, "-m", "reasoning_cli", "costs", "guard", "--interval", "4s"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=kept | sandbox | environ_of(address, home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def acting(store: Store) -> list[int]:
    return [seen.instance.pid for seen in of_kind(store, "guard") if seen.facts["acts"] and not seen.is_gone]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stands still"])
def test_of_two_guards_one_acts_and_the_other_takes_over(
    how: signal.Signals, address: DatabaseAddress, store: Store, tmp_path: Path, reasoning: Run
) -> None:
    with ExitStack() as ends:

        def begin(number: int) -> subprocess.Popen[str]:
            guard = guard_of(address, tmp_path / f"host-{number}")
            ends.callback(end, guard)
            return guard

        def end(guard: subprocess.Popen[str]) -> None:
            if guard.poll() is None:
                guard.kill()
            guard.communicate(timeout=30)

        first = begin(1)
        until(lambda: acting(store) == [first.pid], "the first to act")
        second = begin(2)
        until(lambda: len(of_kind(store, "guard")) == 2, "the second to stand by")
        assert acting(store) == [first.pid]
        first.send_signal(how)
        until(lambda: acting(store) == [second.pid], "the second to take over")
        if how is signal.SIGSTOP:
            first.send_signal(signal.SIGCONT)
            until(lambda: [seen.facts["acts"] for seen in of_kind(store, "guard")].count(True) == 1, "one to act")
            assert acting(store) == [second.pid]
        second.send_signal(signal.SIGINT)
        second.wait(30)
        assert second.pid not in {seen.instance.pid for seen in of_kind(store, "guard")}


def test_signs_of_life_are_of_one_clock_on_either_engine(tmp_path: Path, store: Store) -> None:
    who = instance("guard", every=timedelta(seconds=1))
    with open_store(tmp_path / "log.db") as file:
        for each in (file, store):
            Instances(each).beat(who, {"acts": True})
            Instances(each).beat(who, {"acts": False})
            [seen] = Instances(each).all()
            assert (seen.instance, seen.facts, seen.is_gone) == (who, {"acts": False}, False)
            each.write("UPDATE instances SET seen_at = seen_at - 10000, started_at = started_at - 60000")
            [seen] = Instances(each).all()
            assert (seen.is_gone, round(seen.since.total_seconds()) >= 60) == (True, True)
            Instances(each).leave(who.id)
            assert Instances(each).all() == []


def test_a_lock_is_taken_from_who_stands_still_and_from_nobody_else(store: Store, address: DatabaseAddress) -> None:
    with open_store(address) as other, other.alone(GUARD) as hold:
        assert hold is not None
        assert not cut_off_who_stands_still(store, 0), "it has just begun"
        Instances(store).beat(instance("guard"), {"acts": True})
        assert not cut_off_who_stands_still(store, 99)
        assert hold.is_held()
        store.write("UPDATE instances SET seen_at = seen_at - 60000")
        assert cut_off_who_stands_still(store, 0)
        assert not hold.is_held()
        with store.alone(GUARD) as mine:
            assert mine is not None


def test_of_two_that_stand_by_the_slower_one_does_not_take_the_lock_from_the_faster(
    store: Store, address: DatabaseAddress
) -> None:
    with open_store(address) as still, still.alone(GUARD) as hold:
        assert hold is not None
        Instances(store).beat(instance("guard"), {"acts": True, "hold": hold.name})
        store.write("UPDATE instances SET seen_at = seen_at - 60000")
        assert cut_off_who_stands_still(store, 0)
        with open_store(address) as faster, faster.alone(GUARD) as mine:
            assert mine is not None
            assert not cut_off_who_stands_still(store, 0)
            assert mine.is_held()


def test_two_gateways_give_a_canary_the_same_people_and_leave_a_model_alone_that_fails_at_them_in_turn(
    address: DatabaseAddress, tmp_path: Path
) -> None:
    original, model = Provider(canned.original), Provider(canned.model)
    fails = [False]

    async def sometimes(received: Received, answering: Answering) -> None:
        if fails[0]:
            await answering.whole(500, {"error": {"message": "out of memory"}})
        else:
            await canned.model(received, answering)

    model.handler = sometimes
    with ExitStack() as ends:
        ends.callback(original.close)
        ends.callback(model.close)
        gateways = []
        for number in range(2):
            home = tmp_path / f"host-{number}"
            home.mkdir()
            canary = {"REASONING_SHOULD_RESPOND_MODE": "canary", "REASONING_SHOULD_RESPOND_SHARE_PERCENT": "50"}
            gateways.append(Program(home, original.url, model.url, canary | environ_of(address, home)))
            ends.callback(lambda each=gateways[-1]: each.process.poll() is None and each.kill())

        def of_agents(gateway: Program) -> list[str | None]:
            """Who answers each of twelve agents, as a canary answers half of them."""
            asked = (PROMPTS["should_respond"].replace("Nova", f"Nova{number}") for number in range(12))
            url = f"{gateway.url}{PATHS['chat']}"
            answers = [httpx.post(url, json=request("chat", prompt), timeout=60) for prompt in asked]
            return [answer.headers.get("x-reasoning-source") for answer in answers]

        def ask(gateway: Program, prompt: str = PROMPTS["planning"]) -> str:
            answer = httpx.post(f"{gateway.url}{PATHS['chat']}", json=request("chat", prompt), timeout=60)
            assert answer.status_code == 200
            return answer.headers.get("x-reasoning-source", "original")

        def circuit(gateway: Program) -> str:
            found: str = httpx.get(f"{gateway.url}/stats", timeout=60).json()["slots"]["planning"]["circuit"]
            return found

        assert (met := of_agents(gateways[0])) == of_agents(gateways[1])
        assert len(set(met)) == 2
        before = len(model.received)
        assert [ask(gateway) for gateway in gateways] == ["slot", "slot"]
        fails[0] = True
        assert [ask(gateways[turn % 2]) for turn in range(5)] == ["original"] * 5
        until(lambda: [circuit(gateway) for gateway in gateways] == ["open", "open"], "both circuits to open")
        assert len(model.received) == before + 7
        assert [ask(gateway) for gateway in gateways] == ["original", "original"]
        assert len(model.received) == before + 7


def test_one_good_answer_between_is_no_row(tmp_path: Path) -> None:
    """The log of a file counts over the workers of a gateway."""
    asked, noon = AskedModel("planning", "acme/model", None), sample(0).created_at
    paths = (tmp_path / f"{number}.db" for number in itertools.count())

    def attempt(number: int, failure: str | None) -> AttemptRecord:
        at = noon + timedelta(seconds=number)
        said = ("planning", "live", "acme/model", None, None, None, failure, None, 5, None, None, "")
        return AttemptRecord(sample(0).id, at, *said)

    def row(failures: list[str | None]) -> int:
        with open_store(next(paths)) as log:
            good = sample(1, model_type="planning", model="acme/model", source="slot", created_at=noon)
            Samples(log).insert_many([sample(0), good])
            Attempts(log).insert_many([attempt(number, failure) for number, failure in enumerate(failures, 1)])
            times = failed_in_a_row(log, asked, noon, 5, ("not sure",))
            Samples(log).insert_many(
                [replace(good, id="between", created_at=noon + timedelta(seconds=len(failures) - 1))]
            )
            assert failed_in_a_row(log, asked, noon, 5, ("not sure",)) == []
            return len(times)

    assert row(["timeout"] * 5) == 5
    assert row(["timeout"] * 4) == 0
    assert row(["timeout"] * 9) == 5
    assert row(["timeout"] * 4 + [None] + ["timeout"] * 4) == 0
    assert row(["timeout"] * 4 + ["not sure"] + ["timeout"] * 4) == 0


def test_a_circuit_counts_nothing_of_before_its_last_good_answer() -> None:
    circuit = Circuit()
    ago = [datetime.now(UTC) - timedelta(seconds=number) for number in range(1, 6)]
    circuit.failed_in_log(ago)
    assert circuit.state == "closed", "it has just begun"
    later = [datetime.now(UTC) + timedelta(seconds=number) for number in range(1, 6)]
    circuit.failed_in_log(later[:4])
    assert circuit.state == "closed"
    circuit.failed_in_log(later)
    assert circuit.state == "open"
    circuit.succeeded()
    circuit.failed_in_log(ago)
    assert circuit.state == "closed"
