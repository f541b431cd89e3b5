"""The life of a head by commands, on a fresh machine without key and network: import, train, eval, promote, serve,
drift, out, and anew.

The agent and its provider are on this machine; the gateway is a process of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from reasoning_cli.commands.demo.synthetic_agent import Made, agent_log, make_decisions
from tests.conftest import Run
from tests.gateway import canned
from tests.gateway.program import Program
from tests.gateway.prompts import PATHS, request
from tests.gateway.provider import Answering, Provider, Received
from tests.waiting import until

IGNORES = "<response><name>Ada</name><reasoning>Not for me.</reasoning><action>IGNORE</action></response>"
TRAIN = ("train", "start", "should-respond", "--engine", "head", "--max-error", "5")

Typed = Callable[..., str]


@pytest.fixture(scope="module")
def made() -> list[Made]:
    """Two months of an agent that is asked by name, or hears of others by theirs; enough rooms to prove 5 %."""
    return list(make_decisions(1600, planning=False, apart=True))


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, Callable[[Made], str]]]:
    """The port of a gateway of this home whose provider ignores everything, and what asks it: who answered is given."""

    async def original(asked: Received, answering: Answering) -> None:
        await answering.whole(200, canned.chat_answer(IGNORES))

    provider = Provider(original)
    try:
        program = Program(home, provider.url, None)
        try:
            with httpx.Client(base_url=program.url, timeout=60, trust_env=False) as client:

                def ask(decision: Made) -> str:
                    answer = client.post(PATHS["chat"], json=request("chat", decision.prompt))
                    assert answer.status_code == 200
                    return answer.headers.get("x-reasoning-source", "original")

                yield str(program.port), ask
        finally:
            assert program.stop() == 0
    finally:
        provider.close()


@contextmanager
def talking(ask: Callable[[Made], str], about: Made) -> Iterator[None]:
    """Somebody who asks the same again and again."""
    over = threading.Event()

    def talk() -> None:
        while not over.is_set():
            ask(about)
            over.wait(0.05)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        yield
    finally:
        over.set()
        talker.join()


def test_from_the_log_into_service_and_out_again(reasoning: Run, home: Path, made: list[Made], tmp_path: Path) -> None:
    said: list[str] = []

    def run(*arguments: str, code: int = 0) -> str:
        result = reasoning(*arguments)
        assert result.exit_code == code, (arguments, result.stdout, result.stderr)
        said.append(result.stderr)
        return result.stdout

    log = tmp_path / "log.jsonl"
    log.write_text(agent_log(iter(made)))
    run("data", "import", str(log))
    trained = json.loads(run(*TRAIN, "--json"))
    head = trained["model"]
    assert trained["share"] > 0.3
    assert trained["at_most"] <= 0.05
    assert f"{head} is learned, and not in line: `reasoning train eval should-respond --model {head}`" in run("status")
    _evaluated(run, said, head)

    with serving(home) as (port, ask):
        run("config", "set", "should_respond.audit_percent", "1")
        nobody = next(each for each in made if each.message.startswith("I am so tired"))
        other = next(each for each in made if ", did you see" in each.message)
        with talking(ask, other):
            promoted = run("train", "promote", "should-respond", "--to", head, "--mode", "live", *HOLD)
        assert f"{head} answers what it is sure of" in promoted
        until(lambda: ask(other) == "head", "the head")
        assert ("live" in run("models", "list"), head in run("models", "list")) == (True, True)
        assert head in run("status")
        assert "1 % audited" in run("gateway", "status", "--port", port)

        # Nobody says any more whom they mean.
        run("config", "set", "should_respond.audit_percent", "100")
        until(lambda: ask(nobody) == "original" and bool(_taken_out(run)), "the head to be taken out", seconds=60)
        until(lambda: ask(other) == "original", "the head out of its line")
        (event,) = _taken_out(run)
        assert "name somebody" in str(event["detail"])
        assert "taken out" in run("models", "list", "--json")
        assert "taken out" in run("status")
        until(lambda: "taken out" in run("gateway", "status", "--port", port), "the gateway to see it")

        (tenure,) = json.loads(run("train", "history", "should-respond", "--json"))
        assert (tenure["model"], tenure["run"], tenure["state"]) == (head, 1, "taken out")
        assert "name somebody" in tenure["why"]
        run("train", "rollback", "should-respond", "--yes")
        assert "head" not in run("config", "get", "should_respond.line")
        assert ask(other) == "original"

        # What was decided meanwhile makes another head, and the line has room for it.
        anew = json.loads(run(*TRAIN, "--json"))
        assert (anew["run"], anew["is_new"]) == (2, True)
        assert anew["samples"] > trained["samples"]
        run("config", "set", "should_respond.audit_percent", "1")
        run("train", "eval", "should-respond", "--model", anew["model"])
        with talking(ask, other):
            run("train", "promote", "should-respond", "--to", anew["model"], "--mode", "live", *HOLD)
        until(lambda: ask(other) == "head", "the new head")
    history = json.loads(run("train", "history", "should-respond", "--json"))
    assert [(tenure["model"], tenure["state"]) for tenure in history] == [
        (head, "taken back"),
        (anew["model"], "promoted"),
    ]
    compared = run("train", "compare", "should-respond", "--model", anew["model"])
    assert anew["model"] in compared


HOLD = ("--hold-decisions", "3", "--yes")


def _evaluated(run: Typed, said: list[str], head: str) -> None:
    """It is refused before its evaluation, which asks only what it has not learned from and would answer."""
    run("train", "promote", "should-respond", "--to", head, "--yes", code=6)
    assert f"reasoning train eval should-respond --model {head}" in said[-1]
    report = json.loads(run("train", "eval", "should-respond", "--model", head, "--json"))
    own = next(model for model in report["models"] if model["name"] == head)
    assert own["answers"] >= 100
    assert any("leaves to the next in line" in reason for reason in report["left_out"])
    assert report["left_out"][f"in the training of {head}"] > 500
    assert own["valid"]["value"] == 1
    assert own["metrics"]["accuracy"]["value"] > 0.95
    assert own["cost_cents_per_1000"]["value"] == 0
    run("train", "eval", "should-respond", "--model", head)
    assert "this is its result" in said[-1]


def _taken_out(run: Typed) -> list[dict[str, object]]:
    return [event for event in json.loads(run("costs", "events", "--json")) if event["action"] == "take_out_head"]
