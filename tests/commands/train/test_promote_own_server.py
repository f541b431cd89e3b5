"""`train promote` and `train rollback` where the operator's own server answers: typed without any key, with agents that
go on deciding through a real gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli import settings as s
from reasoning_cli.operations.deploy.slots import read_slots
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.promote.own_server import SERVER_MOVES, plan_server
from reasoning_cli.operations.promote.plan import PromoteRequest
from reasoning_cli.operations.promote.stepping import LocalContext, begin, look
from reasoning_cli.paths import find_paths
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.open import open_store
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.store.samples.training_log import Samples
from tests.commands.promoting import GOOD, JUNK, Agents, gateway_at
from tests.commands.train.test_eval import samples
from tests.conftest import Run
from tests.gateway import canned
from tests.gateway.model_server import ModelServer
from tests.gateway.provider import Answering, Provider, Received
from tests.sandbox.decisions import decisions
from tests.writes import kills

OLD, NEW = "local/old", "local/new"
PROMOTE = ("train", "promote", "planning", "--to", NEW, "--hold-decisions", "10", "--force", "--yes")


@dataclass(kw_only=True)
class House(Agents):
    """The operator's own server, another one, and what each model says by its name."""

    server: Provider
    other: Provider
    says: dict[str, str]
    on_pause: Callable[[], None] = lambda: None
    shares: list[tuple[str | None, int, int]] = field(default_factory=list)

    def pause(self, seconds: float) -> None:
        self.on_pause()
        self.gateway.book.look()
        before = len(self.sources)
        self.ask(12)
        slot = self.gateway.book.view.slots["planning"]
        percent = slot.candidate.percent if slot.candidate is not None else -1
        self.shares.append((slot.model, percent, self.sources[before:].count("slot")))

    def asked_of(self, model: str, server: Provider | None = None) -> list[Received]:
        return [
            received
            for received in (server or self.server).asked("/chat/completions")
            if received.json.get("model") == model
        ]


@pytest.fixture
def house(home: Path, reasoning: Run, session_facts: dict[str, object]) -> Iterator[House]:
    """A slot at a server that serves two models; agents decide each time the program sleeps."""
    says: dict[str, str] = {}

    async def handler(received: Received, answering: Answering) -> None:
        said = says.get(str(received.json.get("model")), GOOD) if received.method == "POST" else GOOD
        await ModelServer(says=lambda kind: said)(received, answering)

    server, other, original = Provider(handler), Provider(handler), Provider(canned.original)
    home.mkdir()
    for name, value in (("provider_url", f"{server.url}/v1"), ("model", OLD), ("mode", "shadow")):
        assert reasoning("config", "set", f"planning.{name}", value).exit_code == 0
    with gateway_at(home, f"{original.url}/v1", "http://127.0.0.1:9") as (gateway, url):
        made = House(gateway=gateway, url=url, server=server, other=other, says=says)
        session_facts["sleep"] = made.pause
        yield made
    for provider in (server, other, original):
        provider.close()


def promotion(home: Path) -> Promotion:
    with open_store(home / "reasoning.db") as store:
        latest = Promotions(store).latest("planning")
    assert latest is not None
    return latest


def in_slot(reasoning: Run) -> tuple[str, str]:
    done = reasoning("config", "get", "planning.model"), reasoning("config", "get", "planning.mode")
    return done[0].stdout.strip(), done[1].stdout.strip()


def test_the_slots_own_model_takes_over_from_the_original_and_goes_back(
    house: House, reasoning: Run, home: Path
) -> None:
    done = reasoning("train", "promote", "planning", "--hold-decisions", "10", "--force", "--yes")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{OLD} answers planning: ")
    assert in_slot(reasoning) == (OLD, "live")
    with open_store(home / "reasoning.db") as store:
        steps = [event.detail.get("percent") for event in Events(store).list() if event.action == "promote_step"]
    assert steps == [0, 10, 50, 100]
    assert set(house.statuses) == {200}
    shadowed, *_, last = house.shares
    assert (shadowed[2], last[2]) == (0, 12), "nobody at first, everybody at last"
    again = reasoning("train", "promote", "planning", "--yes")
    assert (again.exit_code, f"`{OLD}` answers planning already" in again.stderr) == (1, True)
    back = reasoning("train", "rollback", "planning", "--yes")
    assert back.exit_code == 0, back.stderr
    assert f"{OLD} is out: the original answers planning" in back.stdout
    assert in_slot(reasoning) == (OLD, "shadow")
    house.gateway.book.look()
    house.ask(3)
    assert house.sources[-3:] == ["original"] * 3


def test_another_model_takes_over_step_by_step_and_the_former_comes_back(
    house: House, reasoning: Run, home: Path
) -> None:
    """`train history` shows both, and neither the guard nor a bill has anything to do with it."""
    assert reasoning("models", "enable", "planning", "--mode", "live").exit_code == 0
    done = reasoning(*PROMOTE, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["stage"] == "promoted"
    assert in_slot(reasoning) == (NEW, "live")
    assert [percent for _, percent, _ in house.shares] == sorted(percent for _, percent, _ in house.shares)
    assert {model for model, *_ in house.shares} == {OLD}, "the settings name the former one until the end"
    assert set(house.sources) == {"slot"}
    both = json.loads(reasoning("train", "history", "planning", "--json").stdout)
    shown = {row["model"]: row for row in both}
    assert set(shown) == {OLD, NEW}
    assert [shown[name]["decisions"] > 0 for name in (OLD, NEW)] == [True, True]
    assert shown[NEW]["promotion"] == promotion(home).number
    table = reasoning("train", "history", "planning").stdout.splitlines()
    assert [line.split()[1] for line in table if " now " in line] == [NEW]
    back = reasoning("train", "rollback", "planning", "--yes")
    assert f"{NEW} is out: {OLD} answers planning" in back.stdout
    assert in_slot(reasoning) == (OLD, "live")
    before = len(house.asked_of(NEW))
    house.gateway.book.look()
    house.ask(5)
    assert len(house.asked_of(NEW)) == before
    taken = reasoning("train", "rollback", "planning", "--yes")
    assert (taken.exit_code, "taken back" in taken.stderr) == (5, True)


def test_another_server_takes_over_and_gets_no_key_of_the_first(house: House, reasoning: Run) -> None:
    assert reasoning("models", "enable", "planning", "--mode", "live").exit_code == 0
    there = f"{house.other.url}/v1"
    key = ("config", "set", "planning.provider_key", "--stdin")
    assert reasoning(*key, input="house-key\n").exit_code == 0
    refused = reasoning(*PROMOTE, "--server", there)
    assert (refused.exit_code, "is the key of another server" in refused.stderr) == (1, True)
    assert house.other.received == []
    assert reasoning("config", "unset", "planning.provider_key").exit_code == 0
    done = reasoning(*PROMOTE, "--server", there)
    assert done.exit_code == 0, done.stderr
    assert reasoning("config", "get", "planning.provider_url").stdout.strip() == there
    assert house.asked_of(NEW) == []
    assert {received.header("authorization") for received in house.other.received} == {None}
    assert reasoning("train", "rollback", "planning", "--yes").exit_code == 0
    assert reasoning("config", "get", "planning.provider_url").stdout.strip() == f"{house.server.url}/v1"


def test_one_that_turns_bad_goes_back_by_itself(house: House, reasoning: Run, home: Path) -> None:
    assert reasoning("models", "enable", "planning", "--mode", "live").exit_code == 0

    def turn() -> None:
        if promotion(home).step == 2:
            house.says[NEW] = JUNK

    house.on_pause = turn
    done = reasoning(*PROMOTE)
    assert (done.exit_code, "its last 5 answers were no good" in done.stdout) == (1, True), done.stdout
    assert (promotion(home).stage, in_slot(reasoning)) == ("returned", (OLD, "live"))
    assert set(house.statuses) == {200}


def test_the_guard_goes_on_when_the_command_is_gone(house: House, reasoning: Run, home: Path) -> None:
    assert reasoning("models", "enable", "planning", "--mode", "live").exit_code == 0

    def closed() -> None:
        if promotion(home).step == 1:
            raise KeyboardInterrupt

    house.on_pause = closed
    left = reasoning(*PROMOTE)
    assert (left.exit_code, f"{NEW} stays where it is" in left.stderr) == (130, True)
    other = reasoning("train", "promote", "planning", "--to", "local/third", "--yes")
    assert (other.exit_code, f"`{NEW}` is on its way into planning" in other.stderr) == (1, True)
    coming = f"COMING {NEW} into planning: 10 % of the users; `reasoning train promote planning` goes on with it"
    assert coming in reasoning("status").stdout
    house.on_pause = lambda: None
    house.says[NEW] = JUNK
    for _ in range(20):
        house.pause(1)
        looked = reasoning("costs", "guard", "--once")
        assert looked.exit_code == 0, looked.stderr
        if promotion(home).finished_at is not None:
            break
    assert f"planning: {NEW} goes back: its last 5 answers were no good" in looked.stdout
    assert in_slot(reasoning) == (OLD, "live")


def test_what_somebody_sets_meanwhile_stays(house: House, reasoning: Run, home: Path) -> None:
    assert reasoning("models", "enable", "planning", "--mode", "live").exit_code == 0

    def third() -> None:
        reasoning("config", "set", "planning.model", "local/third")

    house.on_pause = third
    done = reasoning(*PROMOTE)
    assert (done.exit_code, "its model is `local/third`" in done.stderr) == (1, True), done.stderr
    assert (promotion(home).stage, in_slot(reasoning)[0]) == ("left", "local/third")


def test_the_proof_is_asked_of_the_server_that_is_to_answer(house: House, reasoning: Run, home: Path) -> None:
    """An evaluation of that name at another server is no proof, and the hint says where to ask."""
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many(samples(list(decisions("planning", 120, 1)), "planning", name="n"))
    there = f"{house.other.url}/v1"
    evaluated = reasoning("train", "eval", "planning", "--model", NEW, "--yes", "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    shown: dict[str, Any] = {}
    for words in (("--to", NEW), ("--to", NEW, "--server", there)):
        dry = reasoning("train", "promote", "planning", *words, "--dry-run", "--json")
        shown[words[-1]] = json.loads(dry.stdout)
        assert dry.exit_code == 6, dry.stderr
    assert (shown[NEW]["evaluation"], shown[NEW]["server"]) == (1, f"{house.server.url}/v1")
    assert shown[there]["evaluation"] is None
    hint = f"reasoning train eval planning --model {NEW} --server {there}"
    assert hint in shown[there]["gate"][0]["help"]
    assert house.other.received == []
    again = reasoning(*hint.split()[1:], "--yes", "--json")
    assert again.exit_code == 0, again.stderr
    assert len(house.other.asked("/chat/completions")) == 120
    dry = reasoning("train", "promote", "planning", "--to", NEW, "--server", there, "--dry-run", "--json")
    assert json.loads(dry.stdout)["evaluation"] == 2
    assert in_slot(reasoning) == (OLD, "shadow"), "nothing was changed"


@pytest.mark.parametrize(
    ("set_before", "words", "code", "says"),
    [
        ({}, ("--to", OLD, "--server", "{other}"), 1, "both servers call their model `local/old`"),
        ({"planning.engine": "together"}, ("--to", NEW, "--server", "{other}"), 1, "planning.engine leads planning to"),
        ({}, ("--to", NEW, "--server", "no address"), 2, "planning.provider_url"),
        ({}, ("--to", "77"), 5, "there is no training run 77"),
        ({}, ("--to", NEW, "--server", "http://127.0.0.1:9/v1"), 7, "cannot reach the model's server"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    house: House, reasoning: Run, home: Path, set_before: dict[str, str], words: tuple[str, ...], code: int, says: str
) -> None:
    reasoning("models", "enable", "planning", "--mode", "live")
    for name, value in set_before.items():
        assert reasoning("config", "set", name, value).exit_code == 0
    typed = [word.replace("{other}", f"{house.other.url}/v1") for word in words]
    done = reasoning("train", "promote", "planning", *typed, "--force", "--yes")
    assert (done.exit_code, says in done.stderr) == (code, True), done.stderr
    with open_store(home / "reasoning.db") as store:
        assert Promotions(store).all() == []


def test_a_server_that_answers_as_another_model_is_not_let_in(house: House, reasoning: Run) -> None:
    house.server.handler = ModelServer(says_model="local/else")
    done = reasoning(*PROMOTE)
    assert (done.exit_code, f"asked for `{NEW}`, the server answers as `local/else`" in done.stderr) == (1, True)


# --- killed at every write ---


def _settings() -> s.Settings:
    environ = s.environment()
    return s.load_settings(find_paths(environ), environ)


def _promote_to_the_end(database: Path) -> None:
    """What the command does, first or once more, with answers that are all good."""
    with open_store(database) as store:
        context = LocalContext(store, _settings, lambda: datetime.now(UTC))
        going, latest = Promotions(store).going("planning"), Promotions(store).latest("planning")
        if going is None and latest is None:
            request = PromoteRequest("planning", NEW, steps=(0, 10, 100), hold=1)
            plan = plan_server(store, _settings(), request, Gate(), datetime.now(UTC))
            going = begin(context, SERVER_MOVES, plan, by="ann", forced=True)
        for _ in range(20):
            if going is None or going.finished_at is not None:
                return
            made = samples(list(decisions("planning", 1, 1)), "planning", name="n")[0]
            answered = [
                replace(made, id=f"{going.updated_at} {number}", created_at=datetime.now(UTC), source="slot", model=NEW)
                for number in range(3)
            ]
            Samples(store).insert_many(answered)
            going = look(context, SERVER_MOVES, going).promotion


def test_killed_before_each_write_the_old_model_answers_and_the_same_command_ends_the_same(
    home: Path, reasoning: Run
) -> None:
    home.mkdir()
    for name, value in (("provider_url", "http://127.0.0.1:9/v1"), ("model", OLD), ("mode", "live")):
        assert reasoning("config", "set", f"planning.{name}", value).exit_code == 0
    database, written = home / "reasoning.db", []
    with open_store(database):
        pass
    for what in kills(home, lambda: _promote_to_the_end(database)):
        written.append(what)
        with open_store(database) as store:
            slot = read_slots(_settings(), store, datetime.now(UTC), together_url="http://no", together_key=None)
            planning, latest = slot["planning"], Promotions(store).latest("planning")
            assert planning.closed is None
            if planning.model == NEW:
                assert latest is not None
                assert latest.stage in ("finishing", "promoted")
            elif planning.candidate is not None:
                assert (planning.candidate.percent, planning.candidate.slot.model) == (latest and latest.percent, NEW)
        _promote_to_the_end(database)
        with open_store(database) as store:
            (done,) = Promotions(store).all("planning")
            assert (done.stage, _settings().get(s.MODEL["planning"])) == ("promoted", NEW)
            for table in ("promotions", "samples"):
                store.write(f"DELETE FROM {table}")
        s.write_settings(_settings().paths, {s.MODEL["planning"].name: OLD, s.PROMPT_FORM["planning"].name: None})
    assert written.count("COMMIT") > 9
