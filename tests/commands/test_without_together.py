"""Every command where the only engine is a server of the operator's own: no key of Together, and no network."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from reasoning_cli import settings as s
from reasoning_cli.app import ENTRIES, command_app
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests.commands.train.test_eval import samples
from tests.conftest import Run
from tests.gateway.model_server import MODEL, ModelServer
from tests.gateway.provider import Provider
from tests.sandbox.decisions import decisions

LOG = Path(__file__).parents[1] / "data" / "elizaos-logs.jsonl"
NEEDED = (4, "error: no Together API key is set")  # what is there alone is asked for

# In this order, one after the other: what is typed, and what it must end with. A command that is not in here is found.
TYPED: tuple[tuple[str, tuple[int, str]], ...] = (
    ("doctor", (0, "")),
    ("status", (0, "")),
    ("setup env", (0, "")),
    ("setup completion bash", (0, "")),
    ("models list", (0, "")),
    ("models list --all", (0, "Together was not asked: no key of it is set")),
    ("models status", (0, "")),
    ("models hardware", (0, "Nothing is rented: your models run on servers of your own.")),
    ("models hardware Qwen/Qwen3-8B", NEEDED),
    ("models search qwen", NEEDED),
    ("models show should-respond", (0, "")),
    ("models show local/smol --json", (0, "")),
    ("models show planning", NEEDED),
    ("models test should-respond", (0, "")),
    ("models test planning", (5, "error: `planning` is not deployed")),
    ("models explain n0", (2, "answered that decision, and no head")),
    ("models enable should-respond --mode shadow", (0, "")),
    ("models disable should-respond", (0, "")),
    ("models deploy planning --yes", NEEDED),
    ("models start planning --yes", (5, "error: `planning` is not deployed")),
    ("models stop planning --yes", (5, "error: `planning` is not deployed")),
    ("models undeploy planning --yes", (5, "error: `planning` is not deployed")),
    ("models promote planning --yes", (5, "error: `planning` has no canary")),
    ("models rollback planning --yes", (5, "error: `planning` has no former model")),
    ("models adopt theirs --as planning --yes", NEEDED),
    ("models upload tuned --from acme/tuned --base Qwen/Qwen3-8B --yes", NEEDED),
    ("gateway status", (7, "error: no gateway answers at 127.0.0.1:8001")),
    ("gateway stats", (0, "")),
    ("gateway env", (0, "")),
    ("gateway explain LOG", (0, "")),
    ("costs report", (0, "")),
    ("costs report --offline --json", (0, "")),
    ("costs reconcile", NEEDED),
    ("costs compare should-respond", (0, "")),
    ("costs outlook", (0, "")),
    ("costs prices", (0, "")),
    ("costs events", (0, "")),
    ("costs guard --once", (0, "")),
    ("costs guard --once --format jsonl", (0, "")),
    ("costs schedule planning 09:00-17:00", (0, "")),
    ("costs set-budget 100", (0, "")),
    ("costs clear-budget", (0, "")),
    ("costs set-cap 5", (0, "")),
    ("costs auto-shutdown --idle-minutes 30", (0, "")),
    ("data import LOG", (0, "")),
    ("data list", (0, "")),
    ("data show --last", (0, "")),
    ("data search hello", (0, "")),
    ("data review", (2, "error: a review needs a terminal")),
    ("data label n0 --good", (0, "")),
    ("data labels n0", (0, "")),
    ("data export -m should-respond -o out.jsonl", (0, "")),
    ("data check out.jsonl", (0, "")),
    ("data stats", (0, "")),
    ("data cleanup --yes", (0, "")),
    ("data redact --dry-run", (0, "")),
    ("data forget --entity nobody --yes", (0, "")),
    ("data archive --older-than 3650 -o kept --yes", (0, "")),
    ("data unarchive nothing", (5, "error: there is no `nothing`")),
    ("data backup copy.db", (0, "")),
    ("data restore copy.db --yes", (0, "")),
    ("data vacuum", (0, "")),
    ("store info", (0, "")),
    ("train eval should-respond --yes --limit 5", (0, "")),
    ("train evals", (0, "")),
    ("train adopt acme/tuned --dataset nothing.json", (1, "error: cannot read `nothing.json`")),
    ("train compare should-respond", (0, "")),
    ("train history", (0, "")),
    ("train list", (0, "")),
    ("train status", (0, "")),
    ("train watch", (1, "error: nothing is being trained")),
    ("train show 1", (5, "error: there is no training run or job `1`")),
    ("train events 1", (5, "error: there is no training run or job `1`")),
    ("train cancel 1 --yes", (5, "error: there is no training run or job `1`")),
    ("train delete 1 --yes", (5, "error: there is no training run or job `1`")),
    ("train download 1 -o weights.tar.zst", (5, "error: there is no training run or job `1`")),
    ("train rollback planning --yes", (5, "error: no model was promoted to planning")),
    ("train rollback should-respond --yes", (5, "error: no model was promoted to should-respond")),
    ("train promote should-respond --dry-run --force", (0, "")),
    ("train promote should-respond --yes", (6, "error: `local/smol` is not promoted to should-respond")),
    ("train promote planning --yes", (5, "")),
    ("train auto should-respond --yes", (1, "error: should-respond is answered by a model that is served elsewhere")),
    ("train start should-respond --engine head --yes", (1, "error: ")),
    ("train init should-respond", NEEDED),
    ("train start should-respond --split none --force --yes", NEEDED),
    ("config get planning.model", (0, "")),
    ("config set planning.model acme/planner", (0, "")),
    ("config unset planning.model", (0, "")),
    ("config path", (0, "")),
    ("config profiles", (0, "")),
    ("sandbox stop", (0, "")),
)
# Of a store on PostgreSQL.
REFUSED = {
    "data restore copy.db --yes": (2, "hint: into an empty schema: `reasoning store copy copy.db postgresql://…`"),
    "data vacuum": (2, "hint: the server vacuums by itself"),
}
# What goes on until it is ended, wants a terminal or another database, or is about a key or the sandbox alone: these
# have tests of their own.
OTHERS = {
    "dashboard",
    "demo",
    "gateway serve",
    "config set-key",
    "config edit",
    "sandbox serve",
    "sandbox reset",
    "store copy",
}


@pytest.fixture
def own(home: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The only engine: a server for should-respond, with 40 decisions in the log; no other host can be found."""
    found = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host not in ("127.0.0.1", "localhost", "::1"):
            raise socket.gaierror(socket.EAI_NONAME, f"there is no network to ask for {host}")
        return found(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    server = Provider(ModelServer())
    home.mkdir(mode=0o700)
    for name, value in (("provider_url", f"{server.url}/v1"), ("model", MODEL)):
        assert reasoning("config", "set", f"should_respond.{name}", value).exit_code == 0
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many(samples(list(decisions("should_respond", 40, 1)), name="n"))
    yield server
    server.close()


def leaves(command: Any, path: str) -> Iterator[str]:
    below = getattr(command, "commands", {})
    for name, inner in below.items():
        yield from leaves(inner, f"{path} {name}")
    if not below:
        yield path


def test_every_command_that_does_not_need_together_works_without_it(
    reasoning: Run, own: Provider, store_engine: str
) -> None:
    wrong = []
    for line, usual in TYPED:
        exit_code, said = REFUSED.get(line, usual) if store_engine == "postgresql" else usual
        done = reasoning(*(str(LOG) if word == "LOG" else word for word in line.split()))
        asks = "no Together API key" in done.stdout + done.stderr
        is_right = done.exit_code == exit_code and said in done.stderr and asks == (said == NEEDED[1])
        if not is_right or "Traceback" in done.stderr:
            wrong.append(f"{line}: {done.exit_code} {done.stdout[-200:]} {done.stderr}")
    assert wrong == [], "\n".join(wrong)


def test_no_command_is_left_out() -> None:
    every = {path for name in ENTRIES for path in leaves(get_command(command_app(name)), name)}
    assert {path for path in every if not any(f"{line} ".startswith(f"{path} ") for line, _ in TYPED)} == OTHERS


def test_the_guard_looks_at_what_there_is_and_at_together_once_there_is_a_key(
    reasoning: Run, own: Provider, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept no longer goes, whoever serves the models."""
    reasoning("config", "set", "data.guard_cleanup", "true")
    reasoning("config", "set", "data.retention_days", "1")
    seen = json.loads(reasoning("costs", "guard", "--once", "--format", "jsonl").stdout)
    assert (seen["deployed"], seen["problems"]) == ([], [])
    assert datetime.now().astimezone() - datetime.fromisoformat(seen["at"]) < timedelta(minutes=1)
    monkeypatch.setenv(s.API_KEY.variables[-1], "some-key-0123456789")
    done = reasoning("costs", "guard", "--once")
    assert done.exit_code == 7
    assert "no network" in done.stderr


def test_a_model_on_a_server_of_ones_own_is_shown_from_there(reasoning: Run, own: Provider) -> None:
    shown = json.loads(reasoning("models", "show", "should-respond", "--json").stdout)
    assert shown["name"] == MODEL
    assert shown["served"] == {"engine": "openai", "at": f"{own.url}/v1", "listed": True, "context_tokens": None}
    own.close()
    lines = reasoning("models", "show", MODEL).stdout
    assert "cannot reach the model's server" in lines
