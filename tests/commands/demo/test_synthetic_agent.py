"""The made-up agent of the tour: the same seed gives the same decisions, and there is something in them to learn."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from reasoning_cli.commands.demo.synthetic_agent import AGENT, Made, agent_log, make_decisions, planning_prompt
from reasoning_cli.decisions.answers import InvalidAnswer, decision_of, read_answer
from reasoning_cli.decisions.prompts import agent_name, received_message
from reasoning_cli.decisions.recognise import recognise
from reasoning_cli.sandbox.chat.answers import answer

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def decided(made: Made, output: str) -> str:
    read = read_answer(made.model_type, made.prompt, output)
    assert not isinstance(read, InvalidAnswer), read
    return decision_of(read)


def right(made: list[Made]) -> float:
    """The share of the answers that the policy would give, too."""
    return sum(decided(one, one.output) == one.right for one in made) / len(made)


def should_respond(messages: int = 500, **members: object) -> list[Made]:
    made = make_decisions(messages, until=NOW, **members)  # type: ignore[arg-type]
    return [one for one in made if one.model_type == "should_respond"]


def test_the_same_seed_gives_the_same_decisions() -> None:
    assert list(make_decisions(50, seed=3, until=NOW)) == list(make_decisions(50, seed=3, until=NOW))
    assert list(make_decisions(50, seed=3, until=NOW)) != list(make_decisions(50, seed=4, until=NOW))


def test_prompts_are_as_the_program_knows_them() -> None:
    for one in make_decisions(200, until=NOW):
        assert recognise(one.prompt).model_type == one.model_type
        assert received_message(one.prompt) == f"{one.sender}: {one.message}"
        assert agent_name(one.prompt) == AGENT
    assert recognise(planning_prompt("Ada, who are you?")).model_type == "planning"


def test_who_follows_the_policy_is_right_and_the_others_as_often_as_they_should_be() -> None:
    assert right(list(make_decisions(300, until=NOW))) == 1
    assert right(should_respond(noise=0.1)) == pytest.approx(0.9, abs=0.04)
    assert right(should_respond(answers="coin")) == pytest.approx(0.46, abs=0.06)  # a coin never says STOP
    assert right(should_respond(answers="wrong")) == 0


def test_what_people_say_does_not_depend_on_who_answers() -> None:
    said = [[one.message for one in should_respond(answers=answers)] for answers in ("right", "wrong", "coin")]
    assert said[0] == said[1] == said[2]


def test_a_model_that_was_never_told_is_wrong_about_many() -> None:
    made = should_respond()
    assert 0.45 < sum(decided(one, answer(one.prompt, "any")) == one.right for one in made) / len(made) < 0.65


def test_the_log_has_a_row_a_decision_each_with_an_id_of_its_own() -> None:
    made = list(make_decisions(40, until=NOW))
    rows = [json.loads(line) for line in agent_log(iter(made)).splitlines()]
    assert len({row["id"] for row in rows}) == len(rows) == len(made)
    assert len({row["room_id"] for row in rows}) > 3
    assert all(datetime.fromisoformat(row["created_at"]) < NOW.replace(hour=13) for row in rows)


def test_no_decision_of_a_log_is_made_after_its_end() -> None:
    """Each plan moved all after it by two seconds: the log of the tour ended a quarter of an hour from now."""
    ends = datetime(2026, 11, 1, tzinfo=UTC)
    made = list(make_decisions(300, until=ends))
    assert [decision.at for decision in made if decision.model_type == "should_respond"][-1] == ends
    assert max(decision.at for decision in made) <= ends + timedelta(seconds=2)
