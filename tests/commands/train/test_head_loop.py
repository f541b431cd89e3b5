"""The life of a head by commands, on a fresh machine without key and network: import, eval, promote, serve, drift, out.

The agent and its provider are on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from reasoning_cli.commands.demo.synthetic_agent import Made, agent_log, make_decisions
from reasoning_cli.gateway.account import Account, Reader
from reasoning_cli.gateway.app import Gateway
from reasoning_cli.gateway.http.limits import Protocol
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.gateway.slot_cache import Book
from tests.conftest import Run
from tests.gateway import canned
from tests.gateway.prompts import PATHS, request
from tests.gateway.provider import Answering, Provider, Received
from tests.heads import ruled_head, store_head
from tests.waiting import until

HEAD = "head/should-respond"
IGNORES = "<response><name>Ada</name><reasoning>Not for me.</reasoning><action>IGNORE</action></response>"


@pytest.fixture(scope="module")
def made() -> list[Made]:
    return list(make_decisions(700, seed=7))


@contextmanager
def serving() -> Iterator[httpx.Client]:
    """A gateway of this home, as `gateway serve` makes it."""
    account = Account()
    book = Book(Reader(account, "127.0.0.1", lambda settings: None))
    gateway = Gateway(book, Recorder(account.open_store))
    server = uvicorn.Server(
        uvicorn.Config(gateway, host="127.0.0.1", port=0, http=Protocol, log_level="critical", lifespan="on")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive(), "the gateway")
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)


async def original(asked: Received, answering: Answering) -> None:
    await answering.whole(200, canned.chat_answer(IGNORES))


def test_from_the_log_into_service_and_out_again(reasoning: Run, home: Path, made: list[Made], tmp_path: Path) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        result = reasoning(*arguments)
        assert result.exit_code == code, (arguments, result.stdout, result.stderr)
        said.append(result.stderr)
        return result.stdout

    said: list[str] = []
    log = tmp_path / "log.jsonl"
    log.write_text(agent_log(iter(made)))
    run("data", "import", str(log))
    store_head(home, ruled_head("Ada"))

    run("train", "promote", "should-respond", "--to", HEAD, "--yes", code=6)
    assert "reasoning train eval should-respond --model head/should-respond" in said[-1]
    report = json.loads(run("train", "eval", "should-respond", "--model", HEAD, "--json"))
    own = next(model for model in report["models"] if model["name"] == HEAD)
    assert own["answers"] >= 100
    # Whom it leaves to others it is not asked about: nothing invalid, and nobody is spoken to who should not be.
    assert any("leaves to the next in line" in reason for reason in report["left_out"])
    assert own["valid"]["value"] == 1
    assert own["cost_cents_per_1000"]["value"] == 0
    run("train", "eval", "should-respond", "--model", HEAD)
    assert "this is its result" in said[-1]

    provider = Provider(original)
    try:
        for name, value in (
            ("gateway.openai_upstream", f"{provider.url}/v1"),
            ("should_respond.audit_percent", "1"),
        ):
            run("config", "set", name, value)
        other = next(each for each in made if ", did you see" in each.message)
        nobody = next(each for each in made if each.message.startswith("I am so tired"))
        with serving() as client:
            port = str(client.base_url.port)

            def ask(decision: Made) -> str:
                answer = client.post(PATHS["chat"], json=request("chat", decision.prompt))
                assert answer.status_code == 200
                return answer.headers.get("x-reasoning-source", "original")

            assert ask(other) == "original"
            over = threading.Event()

            def talk() -> None:
                while not over.is_set():
                    ask(other)
                    over.wait(0.05)

            talking = threading.Thread(target=talk)
            talking.start()
            try:
                promoted = run(
                    *("train", "promote", "should-respond", "--to", HEAD, "--mode", "live"),
                    *("--hold-decisions", "3", "--yes"),
                )
            finally:
                over.set()
                talking.join()
            assert f"{HEAD} answers what it is sure of" in promoted
            until(lambda: ask(other) == "head", "the head")
            assert ask(nobody) == "original"
            assert HEAD in run("models", "list")
            assert "live" in run("models", "list")
            assert "1 % audited" in run("gateway", "status", "--port", port)

            # Nobody says any more whom they mean.
            run("config", "set", "should_respond.audit_percent", "100")
            until(lambda: ask(nobody) == "original" and len(events(run)) > 0, "the head to be taken out", seconds=60)
            until(lambda: ask(other) == "original", "the head out of its line")
            (event,) = events(run)
            assert "name somebody" in str(event["detail"])
            assert "taken out" in run("models", "list", "--json")
            until(lambda: "taken out" in run("gateway", "status", "--port", port), "the gateway to see it")
    finally:
        provider.close()

    history = json.loads(run("train", "history", "should-respond", "--json"))
    assert [(tenure["model"], tenure["state"]) for tenure in history if tenure["model"] == HEAD]
    run("train", "rollback", "should-respond", "--yes")
    assert "head" not in run("config", "get", "should_respond.line")
    compared = run("train", "compare", "should-respond", "--model", HEAD)
    assert HEAD in compared


def events(run: object) -> list[dict[str, object]]:
    found = json.loads(run("costs", "events", "--json"))  # type: ignore[operator]
    return [event for event in found if event["action"] == "take_out_head"]
