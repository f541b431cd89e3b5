"""A head of a made-up agent's decisions, learned once."""

from __future__ import annotations

from collections import defaultdict

import pytest

from reasoning_cli.commands.demo.synthetic_agent import Made, make_decisions
from reasoning_cli.decisions.answers import ShouldRespondAnswer, parse_answer
from reasoning_cli.engines.head.moment import Facts, moment_of
from reasoning_cli.engines.head.training import Sample, Trained, train


def samples_of(made: list[Made]) -> list[Sample]:
    answered: dict[str, list[str | None]] = defaultdict(list)
    samples = []
    for number, decision in enumerate(made):
        moment = moment_of(decision.prompt, None, Facts(answered=tuple(answered[decision.room])))
        assert moment is not None
        answer = parse_answer("should_respond", decision.output)
        assert isinstance(answer, ShouldRespondAnswer)
        samples.append(Sample(number, decision.room, decision.room + moment.sender, moment, answer.action))
        if answer.action == "RESPOND":
            answered[decision.room].insert(0, moment.sender_id)
    return samples


@pytest.fixture(scope="session")
def made() -> list[Made]:
    return list(make_decisions(4000, planning=False))


@pytest.fixture(scope="session")
def samples(made: list[Made]) -> list[Sample]:
    return samples_of(made)


@pytest.fixture(scope="session")
def trained(samples: list[Sample]) -> Trained:
    return train(samples, max_error=0.05)
