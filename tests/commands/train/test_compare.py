"""`train compare` and `train history`: what live traffic says, and what is kept of who answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.serving.attempts import NO_PROBABILITIES, UNSURE, AttemptRecord, Attempts
from tests.conftest import Run
from tests.engines.together.service import MODELS, Service
from tests.gateway import canned
from tests.gateway.prompts import PROMPTS

PROMPT = PROMPTS["should_respond"]


def choice(action: str) -> str:
    return canned.ORIGINAL_SAYS["should_respond"].replace("RESPOND", action)


class Log:
    """Decisions of the last hours, the agent's answer to each, and what models of ours said beside it."""

    def __init__(self, service: Service) -> None:
        self.store = service.store
        self.key = service.deploy("should_respond").record.key
        self.number = 0

    def decide(self, *, source: str = "original", key: str | None = None, label: str | None = None) -> str:
        self.number += 1
        at = datetime.now(UTC) - timedelta(hours=5) + timedelta(seconds=self.number)
        metadata = {"deployment": key} if key else {}
        one = f"sample-{self.number}"
        sample = Sample(
            *(one, at, "should_respond", "gpt-4o", source, "gateway", PROMPT, choice("RESPOND")),
            decision="RESPOND",
            latency_ms=900,
            metadata=metadata,
        )
        Samples(self.store).insert_many([sample])
        if label is not None:
            answer = choice("IGNORE") if label == "corrected" else None
            Labels(self.store).set([Labelling(one, label, answer)], at=at, by="ada")
        return one

    def beside(self, sample: str, *, agrees: bool | None, failure: str | None = None, key: str | None = None) -> None:
        at = datetime.now(UTC) - timedelta(hours=5) + timedelta(seconds=self.number)
        said = choice("RESPOND" if agrees else "IGNORE")
        record = AttemptRecord(
            *(sample, at, "should_respond", "shadow", "m", key or self.key, None, agrees, failure, None, 80, 1, 1, said)
        )
        Attempts(self.store).insert_many([record])


@pytest.fixture
def log(still: Service) -> Log:
    return Log(still)


def compare(reasoning: Run, *options: str) -> dict[str, Any]:
    done = reasoning("train", "compare", "should-respond", *options, "--json")
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_without_labels_the_question_is_whether_it_decides_alike_often_enough(
    log: Log, reasoning: Run, session_facts: dict[str, object]
) -> None:
    def waits(seconds: float) -> None:
        raise AssertionError("there is a verdict, and nothing to wait for")

    session_facts["sleep"] = waits
    for number in range(300):
        log.beside(log.decide(), agrees=number % 20 != 0)
    found = compare(reasoning)
    assert (found["verdict"], found["question"], found["against"]) == ("better", "agreement", "original")
    first = found["questions"][0]
    assert (first["estimate"], first["floor"], first["decisions"]) == (0.95, 0.85, 300)
    assert first["low"] > 0.85
    watched = reasoning("train", "compare", "should-respond", "--watch", "--since", "1d")
    assert (watched.exit_code, "Yes: 95.0 %" in watched.stdout) == (0, True)
    assert compare(reasoning, "--until", "2020-01-01")["verdict"] == "undecided"
    assert compare(reasoning, "--since", "1h")["questions"][0]["decisions"] == 0, "all of it is five hours old"
    said = reasoning("train", "compare", "should-respond")
    assert "Nobody said who is right: does it decide as the original in at least 85 %?" in said.stdout
    assert "Yes: 95.0 %, between" in said.stdout
    assert "hint: labels show who is right: `reasoning data review -m should-respond`" in said.stderr


def test_too_few_are_not_yet_known_and_how_many_more_is_said(log: Log, reasoning: Run) -> None:
    for number in range(40):
        log.beside(log.decide(), agrees=number % 20 != 0)
    found = compare(reasoning)
    assert (found["verdict"], found["question"]) == ("undecided", "agreement")
    assert 20 < found["questions"][0]["more_decisions"] < 400
    assert "more decisions, at today's rate until" in " ".join(
        reasoning("train", "compare", "should-respond").stdout.split()
    )


def test_labels_outrank_the_original(log: Log, reasoning: Run) -> None:
    """It decides otherwise than the original in most, and people say that it is right."""
    for number in range(120):
        log.beside(log.decide(label="corrected" if number % 2 else "good"), agrees=number % 2 == 0)
    found = compare(reasoning)
    assert (found["verdict"], found["question"]) == ("better", "right")
    assert found["questions"][0]["estimate"] == 0.5
    asked = {one["question"]: one["verdict"] for one in found["questions"]}
    assert asked["agreement"] == "worse", "which is beside the point where people said who is right"


def test_a_deliberately_worse_one_is_worse_and_a_coin_flip_is_not_known(log: Log, reasoning: Run) -> None:
    for _ in range(60):
        log.beside(log.decide(label="good"), agrees=False)
    assert compare(reasoning)["verdict"] == "worse"


def test_a_coin_flip_is_not_known(log: Log, reasoning: Run) -> None:
    random = Random(3)
    for _ in range(150):
        right = random.random() < 0.5
        log.beside(log.decide(label="good" if right else "corrected"), agrees=random.random() < 0.5)
    found = compare(reasoning)
    assert (found["verdict"], found["question"]) == ("undecided", "right")


@pytest.mark.both_engines
def test_in_a_canary_labels_of_both_are_held_against_each_other(log: Log, reasoning: Run) -> None:
    for number in range(80):
        log.decide(source="slot", key=log.key, label="bad" if number % 2 else "good")
        log.decide(label="good")
    found = compare(reasoning)
    assert (found["verdict"], found["question"]) == ("worse", "labels")
    assert [one["good"] for one in found["models"]] == [40, 80]


def test_answers_that_fail_count_as_wrong(log: Log, reasoning: Run) -> None:
    for _ in range(60):
        log.beside(log.decide(label="good"), agrees=None, failure="invalid: no XML answer")
    found = compare(reasoning)
    assert found["verdict"] == "worse"
    valid = next(one for one in found["questions"] if one["question"] == "valid")
    assert (valid["verdict"], valid["estimate"]) == ("worse", 0)


def test_two_models_of_ours_are_told_apart(still: Service, log: Log, reasoning: Run) -> None:
    still.deploy("planning")
    other = Deployments(still.store).find("planning")
    assert other is not None
    Deployments(still.store).update(other.key, model_type="should_respond")
    for number in range(200):
        sample = log.decide()
        log.beside(sample, agrees=number % 20 != 0)
        log.beside(sample, agrees=number % 2 != 0, key=other.key)
    found = compare(reasoning, "--against", MODELS["planning"])
    assert (found["verdict"], found["question"]) == ("better", "agreement")
    assert found["models"][1]["alike"] == 100
    same = reasoning("train", "compare", "should-respond", "--against", MODELS["should_respond"])
    assert (same.exit_code, "cannot be compared with itself" in same.stderr) == (2, True)


def test_with_nothing_to_compare_it_says_what_to_do(still: Service, reasoning: Run) -> None:
    none = reasoning("train", "compare", "coding")
    assert (none.exit_code, none.stdout) == (5, "")
    assert "models enable coding --mode shadow" in none.stderr
    still.deploy("coding")
    assert "Not yet known: no decision shows it." in reasoning("train", "compare", "coding").stdout


@pytest.mark.both_engines
def test_history_knows_who_answered_and_how_often(still: Service, log: Log, reasoning: Run) -> None:
    empty = reasoning("train", "history", "coding")
    assert (empty.stdout, empty.stderr) == (
        "",
        "No model of yours has answered anything yet: `reasoning train promote TYPE` lets one in.\n",
    )
    for _ in range(7):
        log.decide(source="slot", key=log.key)
    (one,) = json.loads(reasoning("train", "history", "--json").stdout)
    assert (one["model"], one["decisions"], one["state"]) == (MODELS["should_respond"], 7, "in the slot")
    assert "in the slot" in reasoning("train", "history").stdout
    assert reasoning("train", "history", "-q").stdout == f"{log.key}\n"


def test_what_it_left_to_others_is_neither_an_answer_nor_a_fault(log: Log, reasoning: Run) -> None:
    """A head in shadow abstains from half: the gate must not refuse for that what `gateway stats` finds to agree."""
    for number in range(400):
        sample = log.decide(label="good" if number < 30 else None)
        sure = number % 2 == 0
        log.beside(sample, agrees=True if sure else None, failure=None if sure else UNSURE)
    for _ in range(40):
        log.beside(log.decide(), agrees=None, failure=NO_PROBABILITIES)
    found = compare(reasoning)
    asked = {question["question"]: (question["verdict"], question["decisions"]) for question in found["questions"]}
    assert asked == {"agreement": ("better", 200), "valid": ("better", 200), "right": ("undecided", 15)}
    figures, original = found["models"]
    assert (figures["asked"], figures["valid"], figures["alike"], figures["unsure"]) == (200, 200, 200, 240)
    assert (original["asked"], original["unsure"]) == (200, 0)
    said = " ".join(reasoning("train", "compare", "should-respond").stdout.split())
    assert "left 240 more to who is asked after it, not confident enough." in said
