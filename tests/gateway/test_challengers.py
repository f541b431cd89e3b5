"""A model that comes in beside the slot's own: who is asked for whom, and whose answer it was."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reasoning_cli.gateway.routing import in_share
from reasoning_cli.operations.deploy.slots import CandidateSlot, SlotCandidate, SlotNow
from reasoning_cli.operations.gateway.history import history
from reasoning_cli.operations.gateway.model_counts import Tallies
from reasoning_cli.store.open import open_store
from reasoning_cli.values import Mode
from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served
from tests.waiting import until

PROMPT = PROMPTS["should_respond"]
NEW, OLD = "acme/slot/new", "acme/slot/old"


def choice(action: str) -> str:
    return f"<response><name>Nova</name><reasoning>Because.</reasoning><action>{action}</action></response>"


def challenge(gateway: Served, percent: int, *, watched: bool = True, **changes: Any) -> None:
    gateway.change("should_respond", model=OLD, deployment_key="key-old", watched=watched, **changes)
    slot = gateway.gateway.book.view.slots["should_respond"]
    there = {one.name: getattr(slot, one.name) for one in fields(SlotNow)}
    beside = CandidateSlot(**there | {"model": NEW, "deployment_key": "key-new"})
    gateway.change("should_respond", candidate=SlotCandidate(beside, percent))


def answers(gateway: Served, **by_model: str) -> None:
    """Each of the two models has its own answer; a `status` in its place is a failure."""

    async def handler(received: Received, answering: Answering) -> None:
        said = by_model["new" if received.json["model"] == NEW else "old"]
        if said.isdigit():
            await answering.whole(int(said), {"error": {"message": "broken"}})
        else:
            await answering.whole(200, canned.chat_answer(said))

    gateway.model.handler = handler


def decide(gateway: Served) -> str:
    answer = gateway.client.post(PATHS["chat"], json=request("chat", PROMPT))
    assert answer.status_code == 200
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


def asked(gateway: Served) -> list[str]:
    return [one.json["model"] for one in gateway.model.received]


def test_each_answers_its_people_and_the_log_knows_which(gateway: Served) -> None:
    answers(gateway, new=choice("IGNORE"), old=choice("STOP"))
    challenge(gateway, 0, watched=False)
    assert "STOP" in decide(gateway)
    challenge(gateway, 100, watched=False)
    assert "IGNORE" in decide(gateway)
    one, two = gateway.samples(2)
    assert [(sample.model, sample.metadata["deployment"]) for sample in (one, two)] == [
        (OLD, "key-old"),
        (NEW, "key-new"),
    ]
    assert asked(gateway) == [OLD, NEW]
    assert gateway.original.received == []


def test_the_share_is_of_people_and_of_others_than_a_canarys() -> None:
    prompt = PROMPTS["planning"].replace("12:00 (just now) Sam:", "12:00 (just now) [{}] Sam:")
    people = [prompt.format(f"person-{number}") for number in range(200)]
    canaries = {one for one in people if in_share(one, 50)}
    candidates = {one for one in people if in_share(one, 50, "challenger")}
    assert 60 < len(candidates) < 140
    assert 20 < len(candidates & canaries) < 80
    assert not any(in_share(one, 0, "challenger") for one in people)
    assert all(in_share(one, 100, "challenger") for one in people)
    assert candidates > {one for one in people if in_share(one, 10, "challenger")}, "who is in stays in"


def test_while_it_is_watched_the_candidate_is_asked_as_a_shadow_and_costs_the_agent_nothing(
    gateway: Served,
) -> None:
    answers(gateway, new=choice("IGNORE"), old=choice("RESPOND"))
    challenge(gateway, 0)
    assert "RESPOND" in decide(gateway)
    (sample,) = gateway.samples(1)
    (attempt,) = gateway.attempts(sample)
    assert (sample.source, sample.metadata["deployment"]) == ("slot", "key-old")
    assert (attempt.mode, attempt.deployment_key, attempt.decision) == ("shadow", "key-new", "IGNORE")
    assert (attempt.agrees, attempt.failure) == (False, None)


@pytest.mark.parametrize("bad", ["500", "Sure, I would respond!"])
def test_a_candidate_that_fails_is_left_alone_and_the_other_goes_on(gateway: Served, bad: str) -> None:
    answers(gateway, new=bad, old=choice("STOP"))
    challenge(gateway, 100)
    said = [decide(gateway) for _ in range(8)]
    original, model = canned.ORIGINAL_SAYS["should_respond"], "STOP"
    assert said[:5] == [original] * 5, "its own failures are the original's to answer"
    assert all(model in one for one in said[5:]), "then its circuit is open, and the slot's own model answers"
    assert gateway.gateway.circuits["should_respond"].state == "closed"
    samples = gateway.samples(8)
    assert [one.source for one in samples] == ["fallback"] * 5 + ["slot"] * 3


def test_one_that_fails_beside_the_other_is_left_alone_too(gateway: Served) -> None:
    answers(gateway, new="500", old=choice("STOP"))
    challenge(gateway, 0)
    for _ in range(8):
        assert "STOP" in decide(gateway)
        until(lambda: not gateway.gateway.shadows, "the end of what goes on beside")
    assert asked(gateway).count(NEW) == 5
    assert gateway.gateway.circuits["should_respond key-new"].state == "open"


def test_a_canary_that_is_watched_is_asked_for_the_others_too_as_a_shadow(gateway: Served) -> None:
    gateway.model.handler = canned.saying(choice("IGNORE"))
    gateway.change("should_respond", mode=Mode.CANARY, share_percent=0, watched=True)
    assert decide(gateway) == canned.ORIGINAL_SAYS["should_respond"]
    (sample,) = gateway.samples(1)
    (attempt,) = gateway.attempts(sample)
    assert (sample.source, attempt.mode, attempt.agrees) == ("original", "shadow", False)


def test_each_is_told_by_its_model(gateway: Served) -> None:
    answers(gateway, new=choice("IGNORE"), old=choice("RESPOND"))
    challenge(gateway, 0)
    for _ in range(3):
        decide(gateway)
    challenge(gateway, 100)
    decide(gateway)
    answers(gateway, new="500", old=choice("RESPOND"))
    decide(gateway)

    def stats() -> dict[str, Any]:
        found: dict[str, Any] = gateway.client.get("/stats").json()
        return found

    def failed() -> int:
        return sum(one["failed"] for one in stats()["model_types"]["should_respond"]["models"])

    until(lambda: failed() == 1, "the last of them to be told")
    entry = stats()["model_types"]["should_respond"]
    old, new = entry["models"]
    assert (old["model"], old["deployment"], old["answered"], old["failed"]) == (OLD, "key-old", 3, 0)
    assert (new["model"], new["deployment"]) == (NEW, "key-new")
    assert (new["answered"], new["beside"], new["agreement"]) == (1, 3, 0.0)
    assert list(new["failures"].values()) == [1]
    assert new["p50_ms"] is not None
    assert entry["agreement"] is None, "nobody was compared with the original"
    coming = stats()["slots"]["should_respond"]["challenger"]
    assert coming == {"model": NEW, "deployment": "key-new", "percent": 100, "circuit": "closed"}
    text = gateway.client.get("/metrics").text
    of_new = f'deployment="key-new",fate="failed",model="{NEW}",model_type="should_respond"'
    assert f"reasoning_gateway_model_answers_total{{{of_new}}} 1.0" in text
    with open_store(gateway.database) as store:
        now = datetime.now(UTC)
        told = history(store, now - timedelta(hours=1), now)["should_respond"]
    assert [{**one, "p50_ms": 0, "p95_ms": 0} for one in told["models"]] == [
        {**one, "p50_ms": 0, "p95_ms": 0} for one in (old, new)
    ]
    assert told["agreement"] is None


def test_the_models_of_all_workers_are_summed() -> None:
    one, two, both = Tallies(), Tallies(), Tallies()
    for tallies, agrees in ((one, True), (two, False), (two, None)):
        tallies.count("planning", NEW, "key", got=False, failure=None, agrees=agrees, latency_ms=10)
    two.count("planning", NEW, "key", got=False, failure="too late", agrees=None, latency_ms=900)
    for tallies in (one, two):
        both.add(json.loads(json.dumps(tallies.snapshot())))
    (record,) = both.records("planning")
    assert (record["beside"], record["failed"], record["agreement"], record["p95_ms"]) == (3, 1, 0.5, 10)
    assert record["failures"] == {"too late": 1}
    assert both.records("coding") == []
