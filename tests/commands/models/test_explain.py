"""`models explain` says by what a head decides: its rule, or what weighs most with its model."""

from __future__ import annotations

import json
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from reasoning_cli.commands.demo.synthetic_agent import agent_log, make_decisions
from reasoning_cli.engines.head.features import spelled
from reasoning_cli.engines.head.model import Linear
from reasoning_cli.engines.head.moment import moment_of
from tests.conftest import Run
from tests.heads import ruled_head, store_head


@pytest.fixture
def ids(reasoning: Run, tmp_path: Path) -> dict[str, str]:
    """A log with a message for somebody else and one for nobody; their ids."""
    made = list(make_decisions(60, seed=2, planning=False))
    log = tmp_path / "log.jsonl"
    log.write_text(agent_log(iter(made)))
    assert reasoning("data", "import", str(log)).exit_code == 0
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    by_prompt = {row["body"]["prompt"]: row["id"] for row in rows}
    return {
        "other": by_prompt[next(each.prompt for each in made if ", did you see" in each.message)],
        "nobody": by_prompt[next(each.prompt for each in made if each.message.startswith("I am so tired"))],
    }


def test_the_rule_that_decides_is_said_and_why_it_abstains(reasoning: Run, home: Path, ids: dict[str, str]) -> None:
    store_head(home, ruled_head("Ada"))
    said = reasoning("models", "explain", ids["other"], "--model", "head/should-respond").stdout
    assert "answers IGNORE, confidence 0.990" in said
    assert "4 of 400 disagreed" in said
    said = reasoning("models", "explain", ids["nobody"], "--model", "head/should-respond").stdout
    assert "leaves it to the next in line" in said
    refused = reasoning("models", "explain", ids["other"])
    assert refused.exit_code == 2
    assert "--model head/NAME" in refused.stderr


def test_what_weighs_most_with_its_model_is_named(reasoning: Run, home: Path, ids: dict[str, str]) -> None:
    found = json.loads(reasoning("data", "show", ids["other"], "--json", "--raw").stdout)[0]
    moment = moment_of(found["prompt"])
    assert moment is not None
    place = next(place for text, place, _ in spelled(moment) if text == 'says "did you"')
    head = ruled_head("Ada")
    weights = array("f", head.linear["IGNORE"].weights)
    weights[place] = 3.0
    by_model = replace(head, scorers={True: "model", False: "model"}, linear={"IGNORE": Linear(weights, 0.0, 1.0, 0.0)})
    store_head(home, by_model)
    found = json.loads(reasoning("models", "explain", ids["other"], "--model", "head/should-respond", "--json").stdout)
    assert (found["label"], found["by"]) == ("IGNORE", "model")
    assert found["signs"][0]["text"] == 'says "did you"'
    assert found["signs"][0]["weight"] > 0
