"""Gateways and guards on one PostgreSQL while it stands still, and while a guard is killed or stands still.

    python -m benchmarks.fleet_gateways [--decisions 1500] [--takeovers 5]

In one run: how long a decision takes at a gateway whose server is healthy, and while it stands still and decisions go
into the spool; how soon what waited is in the log afterwards, none missing and none twice; and how long after the end
of the acting guard another one acts, in intervals.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from reasoning_cli.store.database import Store
from reasoning_cli.store.instances import Instances
from reasoning_cli.store.open import open_store
from reasoning_cli.values import DatabaseAddress
from tests.gateway import canned
from tests.gateway.program import Program
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Provider
from tests.sources.postgres_server import Server
from tests.waiting import until

INTERVAL_SECONDS = 4.0


def decide(port: int, count: int) -> list[float]:
    """Milliseconds of decisions asked one after the other over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body, took = json.dumps(request("chat", PROMPTS["planning"])), []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("POST", PATHS["chat"], body)
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.getheader("x-reasoning-source") == "slot", answer.status
    connection.close()
    return took


def frozen(server: Server, store: Store, home: Path, decisions: int) -> None:
    original, model = Provider(canned.original), Provider(canned.model)
    gateway = Program(home, original.url, model.url, _environ(server, home))
    try:
        decide(gateway.port, 50)  # warm
        healthy: list[float] = []
        still: list[float] = []
        caught_up = []
        for turn in range(10):  # in turn, so that what else the machine does meets both
            if turn % 2 == 0:
                healthy += decide(gateway.port, decisions // 5)
                continue
            server.freeze()
            still += decide(gateway.port, 1)
            until(lambda: _spooled(gateway.port) > 0, "decisions in the spool")
            still += decide(gateway.port, decisions // 5)
            began, wanted = time.monotonic(), 50 + len(healthy) + len(still)
            server.thaw()
            until(lambda count=wanted: _count(store) == count, "all decisions in the log")
            caught_up.append(time.monotonic() - began)
        print(f"p50 healthy {statistics.median(healthy):.2f} ms, standing still {statistics.median(still):.2f} ms:")
        ratio = statistics.median(still) / statistics.median(healthy)
        print(f"{ratio:.2f} times; p95 {_p95(healthy):.2f} and {_p95(still):.2f} ms")
        print(f"in the log at most {max(caught_up):.1f} s after the server went on")
        distinct = store.number("SELECT count(DISTINCT id) FROM samples")
        print(f"{_count(store):,} decisions in the log, {distinct:,} of them different")
        server.kill()
        decide(gateway.port, decisions)
        server.start()
        began = time.monotonic()
        wanted = 50 + len(healthy) + len(still) + decisions
        until(lambda: _count(store) == wanted, "all decisions in the log")
        print(f"{decisions:,} decisions of a killed server's time in the log {time.monotonic() - began:.1f} s after")
    finally:
        gateway.stop()
        original.close()
        model.close()


def takeovers(server: Server, store: Store, home: Path, count: int) -> None:
    for how in (signal.SIGKILL, signal.SIGSTOP):
        took = []
        for turn in range(count):
            guards = [_guard(server, home / f"{how.name}-{turn}-{number}") for number in range(2)]
            try:
                until(lambda: len(_acting(store)) == 1 and len(Instances(store).all()) >= 2, "two guards")
                [acts] = _acting(store)
                began = time.monotonic()
                os.kill(acts, how)
                until(lambda gone=acts: _acting(store) not in ([], [gone]), "another to act")
                took.append((time.monotonic() - began) / INTERVAL_SECONDS)
            finally:
                for guard in guards:
                    guard.kill()
                    guard.wait()
                store.write("DELETE FROM instances")
        shown = ", ".join(f"{intervals:.2f}" for intervals in took)
        print(f"{how.name}: another guard acts after {shown} intervals (at most {max(took):.2f})")


def _acting(store: Store) -> list[int]:
    seen = Instances(store).all()
    return [each.instance.pid for each in seen if each.facts.get("acts") and not each.is_gone]


def _guard(server: Server, home: Path) -> subprocess.Popen[bytes]:
    home.mkdir()
    command = [sys.executable, "-m", "reasoning_cli", "costs", "guard", "--interval", f"{INTERVAL_SECONDS:g}s"]
    away = {"TOGETHER_API_KEY": "key", "TOGETHER_BASE_URL": "http://127.0.0.1:1"}
    return subprocess.Popen(command, env={**os.environ, **away, **_environ(server, home)}, stderr=subprocess.DEVNULL)


def _environ(server: Server, home: Path) -> dict[str, str]:
    return {"REASONING_HOME": str(home), "REASONING_STORE_URL": server.url}


def _count(store: Store) -> int:
    return store.number("SELECT count(*) FROM samples")


def _spooled(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/stats")
    found: int = json.loads(connection.getresponse().read())["recording"]["spooled"]
    connection.close()
    return found


def _p95(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=20)[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, default=1500)
    parser.add_argument("--takeovers", type=int, default=5)
    wanted = parser.parse_args()
    server = Server()
    try:
        with tempfile.TemporaryDirectory() as name:
            home = Path(name)
            with open_store(DatabaseAddress(server.url, "reasoning", home / "here.db")) as store:
                (home / "gateway").mkdir()
                frozen(server, store, home / "gateway", wanted.decisions)
                takeovers(server, store, home, wanted.takeovers)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
