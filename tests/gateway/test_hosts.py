"""Three hosts with addresses of their own and one PostgreSQL: what the guide on fleets says, typed on them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from reasoning_cli.store.database import Store
from reasoning_cli.store.instances import Instances
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.values import MODEL_TYPES, DatabaseAddress
from tests import hosts
from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Provider
from tests.sources.postgres_server import Server, is_there
from tests.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "fleet.md"
PORT, TOKEN = 8001, "token-of-the-fleet"


@dataclass
class Fleet:
    """Three hosts with a gateway and a guard each."""

    database: str
    hosts: list[hosts.Host]
    environs: list[dict[str, str]]
    store: Store
    typed: list[subprocess.Popen[str]] = field(default_factory=list)

    def type(self, number: int, which: str) -> subprocess.Popen[str]:
        """The block of the guide that is for `which`, on a host."""
        [block] = re.findall(rf"<!-- on: {which} -->\n```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        typed = block.replace("postgresql://reasoning@db.example/agents", self.database)
        environ = self.environs[number]
        self.typed.append(self.hosts[number].shell(typed, environ, environ["HOME"]))
        return self.typed[-1]

    def end(self) -> None:
        for host in self.hosts:
            host.end()
        for process in self.typed:
            process.wait(60)
            assert process.stdout is not None
            process.stdout.close()

    def decide(self, number: int) -> None:
        """An agent asks the gateway of a host, over the network."""
        answer = httpx.post(
            f"http://{self.hosts[number].address}:{PORT}{PATHS['chat']}",
            json=request("chat", PROMPTS["planning"]),
            headers={"x-reasoning-token": TOKEN},
            timeout=60,
        )
        assert (answer.status_code, answer.headers["x-reasoning-source"]) == (200, "slot")

    def acting(self) -> list[str]:
        return [
            seen.instance.host
            for seen in Instances(self.store).all()
            if seen.instance.kind == "guard" and seen.facts["acts"] and not seen.is_gone
        ]

    def here(self, kind: str) -> list[str]:
        return [
            seen.instance.host
            for seen in Instances(self.store).all()
            if seen.instance.kind == kind and not seen.is_gone
        ]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    if (why := hosts.why_none()) is not None:
        pytest.skip(why)
    if not is_there():
        pytest.skip("there is no PostgreSQL here")
    with ExitStack() as ends:
        # Who calls from here does so from the first address: it stays reachable when the database is not.
        (services, database), made = ends.enter_context(hosts.hosts(3))
        server = Server(database)
        ends.callback(server.stop)
        original, model = Provider(canned.original, host=services), Provider(canned.model, host=services)
        ends.callback(original.close)
        ends.callback(model.close)
        environs = [_environ(tmp_path / host.name, original.url, model.url) for host in made]
        store = ends.enter_context(open_store(DatabaseAddress(server.url, "reasoning", tmp_path / "here.db")))
        whole = Fleet(server.url, list(made), environs, store)
        ends.callback(whole.end)
        yield whole


def _environ(home: Path, original: str, model: str) -> dict[str, str]:
    """What a shell on a host has, with the slots set as on every other."""
    programs = home / "bin"
    programs.mkdir(parents=True)
    program = f'#!/bin/sh\nexec {sys.executable} -m reasoning_cli "$@"\n'
    (programs / "reasoning").write_text(program)
    (programs / "reasoning").chmod(0o755)
    lines = ["[gateway]", 'host = "0.0.0.0"', f"port = {PORT}", f'token = "{TOKEN}"']
    lines += [f'openai_upstream = "{original}/v1"', f'anthropic_upstream = "{original}/v1"']
    lines += ["[guard]", "interval_seconds = 4", "[network]", "allow_plain_http = true"]
    for model_type in MODEL_TYPES:
        lines += [f"[{model_type}]", f'provider_url = "{model}/v1"', 'model = "acme/model"', "deadline_ms = 20000"]
    (home / "config.toml").write_text("\n".join(lines) + "\n")
    (home / "config.toml").chmod(0o600)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(home),
        "REASONING_HOME": str(home),
        "PYTHONPATH": str(PAGE.parents[2]),
        "COLUMNS": "200",
    }


def test_the_guide_makes_a_fleet_of_three_hosts_of_which_one_may_be_cut_off(fleet: Fleet) -> None:
    for number in range(3):
        fleet.type(number, "each host")
    names = sorted(host.name for host in fleet.hosts)
    until(lambda: fleet.here("gateway") == names, "three gateways")
    until(lambda: fleet.here("guard") == names, "three guards")
    until(lambda: len(fleet.acting()) == 1, "one that acts")
    for number in range(3):
        fleet.decide(number)
    until(lambda: Samples(fleet.store).count() == 3, "one decision of each in the log")

    [acts] = fleet.acting()
    cut = names.index(acts)
    away, other = fleet.hosts[cut], (cut + 1) % 3
    shown, _ = fleet.type(other, "any host").communicate(timeout=120)
    text = " ".join(shown.split())
    assert all(f"gateway on {name} (process" in text for name in names), shown
    assert f"guard on {acts} (process" in text
    assert text.count("acts") >= 2, shown
    assert "the sum over 3: " in text

    away.cut_off_from(_host_of(fleet.database))
    fleet.decide(cut)
    fleet.decide(other)
    until(lambda: len(fleet.acting()) == 1 and fleet.acting() != [acts], "another guard to take over")
    until(lambda: _recording(fleet, cut)["spooled"] == 1, "the decision to wait where it was made")
    assert Samples(fleet.store).count() == 4
    fleet.decide(cut)
    away.join_again(_host_of(fleet.database))
    until(lambda: Samples(fleet.store).count() == 6, "all decisions in the log")
    # As a rule the one that was cut off stands by; a machine that is slow enough for one to miss its signs of life may
    # have it take over again.
    until(lambda: fleet.here("guard") == names and len(fleet.acting()) == 1, "one that acts, and two that stand by")
    assert fleet.store.number("SELECT count(DISTINCT id) FROM samples") == 6


def _host_of(url: str) -> str:
    return url.partition("@")[2].partition(":")[0]


def _recording(fleet: Fleet, number: int) -> dict[str, int]:
    url = f"http://{fleet.hosts[number].address}:{PORT}/stats"
    found: dict[str, int] = httpx.get(url, headers={"x-reasoning-token": TOKEN}, timeout=60).json()["recording"]
    return found
