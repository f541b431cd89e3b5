"""Slots served by the operator's own server: nobody else is asked, and no key of Together is needed."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests.commands.train.test_eval import samples
from tests.conftest import Run
from tests.gateway.canned import MODEL_SAYS, chat_events, last_text
from tests.gateway.model_server import MODEL, ModelServer
from tests.gateway.provider import Answering, Provider, Received
from tests.sandbox.decisions import decisions
from tests.waiting import until


@pytest.fixture
def own(home: Path, reasoning: Run) -> Iterator[Provider]:
    """The operator's own server, in the slot of should-respond; a log of 20 decisions."""
    server = Provider(ModelServer())
    home.mkdir()
    for name, value in (("provider_url", f"{server.url}/v1"), ("model", MODEL)):
        assert reasoning("config", "set", f"should_respond.{name}", value).exit_code == 0
    assert reasoning("config", "set", "should_respond.provider_key", "--stdin", input="house-key\n").exit_code == 0
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many(samples(list(decisions("should_respond", 20, 1)), name="n"))
    yield server
    server.close()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """What stands at Together's address, with a key that is set: it must hear nothing."""
    server = Provider(ModelServer())
    monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
    monkeypatch.setenv("TOGETHER_API_KEY", "together-key")
    yield server
    server.close()


def keys_at(server: Provider) -> set[str | None]:
    return {request.header("authorization") for request in server.received}


@pytest.mark.parametrize("names", [(), ("--model", MODEL), ("--model", "local/another"), ("--model", "should-respond")])
def test_an_evaluation_asks_nobody_but_the_slots_own_server(
    reasoning: Run, own: Provider, elsewhere: Provider, names: tuple[str, ...]
) -> None:
    done = reasoning("train", "eval", "should-respond", *names, "--yes", "--json")
    assert [request.target for request in elsewhere.received] == []
    assert done.exit_code == 0, done.stderr
    assert len(own.asked("/chat/completions")) == 20
    assert keys_at(own) == {"Bearer house-key"}
    report = json.loads(done.stdout)
    assert report["models"][1]["valid"]["value"] == 1
    asked = own.asked("/chat/completions")[0].json
    assert asked["model"] == ("local/another" if "local/another" in names else MODEL)


def test_a_model_of_that_name_at_together_is_not_asked_in_its_place(
    reasoning: Run, own: Provider, home: Path, elsewhere: Provider
) -> None:
    """Another slot's server, too: the name says which."""
    assert reasoning("train", "eval", "should-respond", "--model", MODEL, "--limit", "5", "--yes").exit_code == 0
    reasoning("config", "unset", "should_respond.provider_url")
    reasoning("config", "set", "planning.provider_url", f"{own.url}/v1")
    reasoning("config", "set", "planning.model", "local/other-slot")
    done = reasoning("train", "eval", "should-respond", "--model", "local/other-slot", "--yes", "--limit", "5")
    assert done.exit_code == 0, done.stderr
    assert elsewhere.received == []
    assert own.received[-1].json["model"] == "local/other-slot"
    assert own.received[-1].header("authorization") is None


def test_without_a_key_what_is_not_together_works(reasoning: Run, own: Provider) -> None:
    done = reasoning("train", "eval", "should-respond", "--yes")
    assert done.exit_code == 0, done.stderr
    assert f"{MODEL} at {own.url}/v1" in done.stderr
    tried = json.loads(reasoning("models", "test", "should-respond", "--json").stdout)
    assert (tried["valid"], tried["model"], tried["decision"]) == (True, MODEL, "RESPOND")
    assert keys_at(own) == {"Bearer house-key"}


def test_a_model_is_tried_at_its_own_server_in_the_slots_form(
    reasoning: Run, own: Provider, elsewhere: Provider
) -> None:
    assert reasoning("models", "test", "should-respond").exit_code == 0
    assert last_text(own.received[-1].json).startswith("<task>")
    assert own.received[-1].json["max_tokens"] == 512
    reasoning("config", "set", "should_respond.prompt_form", "compact")
    reasoning("models", "test", "should-respond")
    assert last_text(own.received[-1].json).startswith("# Decision for")
    assert elsewhere.received == []


@pytest.mark.parametrize(
    ("status", "said", "exit_code"),
    [(401, "refuses the key", 4), (404, "knows no such thing", 5), (503, "failed with 503", 7)],
)
def test_what_the_server_refuses_is_told_as_its_own_word(
    reasoning: Run, own: Provider, elsewhere: Provider, status: int, said: str, exit_code: int
) -> None:
    async def refuse(request: Received, answering: Answering) -> None:
        await answering.whole(status, {"error": {"message": "no", "type": "x", "code": "y"}})

    own.handler = refuse
    done = reasoning("models", "test", "should-respond")
    assert done.exit_code == exit_code, done.stderr
    assert said in done.stderr
    assert f"{own.url}/v1" in done.stderr
    assert elsewhere.received == []


def test_a_server_that_is_down_is_named(reasoning: Run, own: Provider, elsewhere: Provider) -> None:
    own.close()
    done = reasoning("models", "test", "should-respond")
    assert (done.exit_code, f"cannot reach the model's server at `{own.url}/v1`" in done.stderr) == (7, True)
    assert elsewhere.received == []


@pytest.mark.parametrize("words", [("auto", "--yes"), ("auto", "--once")])
def test_what_together_cannot_take_over_is_refused_before_anybody_is_asked(
    reasoning: Run, own: Provider, words: tuple[str, ...]
) -> None:
    done = reasoning("train", words[0], "should-respond", *words[1:])
    assert (done.exit_code, "served elsewhere" in done.stderr) == (1, True), done.stderr
    assert "reasoning train promote should-respond" in done.stderr


def test_live_traffic_of_a_model_served_elsewhere_is_compared(reasoning: Run, own: Provider, home: Path) -> None:
    with open_store(home / "reasoning.db") as store:
        answered = samples(list(decisions("should_respond", 30, 2)), name="c")
        Samples(store).insert_many([replace(sample, source="slot", model=MODEL) for sample in answered])
    for words in ((), ("--model", MODEL)):
        done = reasoning("train", "compare", "should-respond", *words, "--json")
        assert done.exit_code == 0, done.stderr
        record = json.loads(done.stdout)
        assert (record["model"], record["against"], record["models"][0]["asked"]) == (MODEL, "original", 30)


def test_an_evaluation_asks_no_more_at_once_than_the_server_takes(reasoning: Run, own: Provider) -> None:
    under_way = most = 0

    async def counts(request: Received, answering: Answering) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        await ModelServer()(request, answering)

    own.handler = counts
    reasoning("config", "set", "should_respond.parallel", "2")
    assert reasoning("train", "eval", "should-respond", "--yes").exit_code == 0
    assert (most, len(own.received)) == (2, 20)


@pytest.mark.parametrize(
    "words", ["status", "models status", "models list", "costs report", "costs compare", "train list", "train evals"]
)
def test_what_looks_at_together_first_needs_no_key_where_nothing_is_there(
    reasoning: Run, own: Provider, words: str
) -> None:
    done = reasoning(*words.split())
    assert (done.exit_code, "error:" in done.stderr) == (0, False), done.stderr
    reasoning("config", "unset", "should_respond.provider_url")
    if words in ("costs report", "train list"):
        assert reasoning(*words.split()).exit_code == 4


def test_an_evaluation_is_asked_by_stream_and_left_at_once(own: Provider) -> None:
    """Of a whole answer the server would go on to the end, with nobody there to read it."""
    own.handler = slow = ModelServer(seconds=60)
    command = [sys.executable, "-m", "reasoning_cli", "train", "eval", "should-respond", "--yes"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        until(lambda: len(own.received) >= 2, "two questions")
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 130
    assert all(request.left.wait(10) for request in own.received)
    assert all(request.json["stream"] for request in own.received)
    assert slow.worked_seconds < 20 * len(own.received)  # of 60 each; how soon a process ends is up to the machine


def test_a_server_that_takes_one_question_at_a_time_is_evaluated_one_by_one(reasoning: Run, own: Provider) -> None:
    """Each question cuts off the one before it: nothing of that is an answer of the model, and nothing is lost."""
    own.handler = ModelServer(cuts=True, seconds=0.05)
    done = reasoning("train", "eval", "should-respond", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)["models"][1]
    assert (len(own.asked("/chat/completions")) >= 20, report["valid"]["value"]) == (True, 1)


def test_prompts_longer_than_the_context_are_refused_in_the_servers_words(reasoning: Run, own: Provider) -> None:
    """As a stream such a prompt has no answer but a dropped connection."""
    own.handler = ModelServer(context_tokens=20)
    done = reasoning("train", "eval", "should-respond", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)["models"][1]
    assert report["valid"]["value"] == 0
    assert "refused: context_length_exceeded" in done.stdout
    tried = reasoning("models", "test", "should-respond")
    assert (tried.exit_code, "maximum context length is 20 tokens" in tried.stderr) == (1, True), tried.stderr


@pytest.mark.parametrize("counts", [True, False])
def test_tokens_are_counted_where_the_server_counts_them(reasoning: Run, own: Provider, counts: bool) -> None:
    own.handler = ModelServer(counts_streams=counts)
    tried = json.loads(reasoning("models", "test", "should-respond", "--json").stdout)
    assert (tried["prompt_tokens"], tried["completion_tokens"]) == ((100, 20) if counts else (None, None))


def test_a_line_feed_alone_ends_an_event(reasoning: Run, own: Provider) -> None:
    """Others that Unicode knows stand in texts, and servers send them as they are."""

    async def sends(request: Received, answering: Answering) -> None:
        text = MODEL_SAYS["should_respond"].replace("decided", "de\u2028ci\x85ded")
        events = b"".join(chat_events(text)).replace(b"\\u2028", "\u2028".encode()).replace(b"\\u0085", "\x85".encode())
        await answering.events([events.replace(b'"gpt"', b'"local/smol"')])

    own.handler = sends
    tried = reasoning("models", "test", "should-respond", "--json")
    assert tried.exit_code == 0, tried.stderr
    assert "de\u2028ci\x85ded" in json.loads(tried.stdout)["output"]


def test_a_server_that_dies_in_the_midst_of_an_answer_is_named(reasoning: Run, own: Provider) -> None:
    own.handler = ModelServer(dies_after=2)
    tried = reasoning("models", "test", "should-respond")
    assert (tried.exit_code, "broke an answer off in the midst" in tried.stderr) == (7, True), tried.stderr
    assert "hint:" in tried.stderr


def test_an_answer_of_another_model_is_no_figure_of_this_one(reasoning: Run, own: Provider) -> None:
    own.handler = ModelServer(says_model="local/other")
    for words in ("train eval should-respond --yes", "models test should-respond"):
        done = reasoning(*words.split())
        assert (done.exit_code, f"asked for `{MODEL}`, the server answers as `local/other`" in done.stderr) == (1, True)
        assert "reasoning config set should_respond.model local/other" in done.stderr


def test_the_limit_of_an_answer_goes_by_the_name_that_the_server_knows(reasoning: Run, own: Provider) -> None:
    own.handler = ModelServer(limit="max_completion_tokens", refuses_limit=True)
    assert reasoning("models", "test", "should-respond").exit_code == 1
    reasoning("config", "set", "should_respond.max_tokens_name", "max_completion_tokens")
    done = reasoning("models", "test", "should-respond")
    assert done.exit_code == 0, done.stderr
    assert reasoning("train", "eval", "should-respond", "--yes", "--limit", "3").exit_code == 0
