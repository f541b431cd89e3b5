"""A head among the models, by commands, without key and network."""

from __future__ import annotations

from pathlib import Path

import pytest

from reasoning_cli.commands._shared.cost_views import deployment_style
from tests.conftest import Run
from tests.heads import ruled_head, store_head


@pytest.fixture
def heads(home: Path, reasoning: Run) -> Path:
    """Two heads, `head/new` in line and `head/old` not; the file of `head/old`."""
    store_head(home, ruled_head("Ada", name="new"))
    old = store_head(home, ruled_head("Ada", name="old"))
    assert reasoning("models", "enable", "head/new", "--mode", "live").exit_code == 0
    return old


def test_disabling_a_head_that_is_not_in_line_leaves_the_other_in_it(heads: Path, reasoning: Run) -> None:
    for name in ("head/old", "head/nwe"):
        refused = reasoning("models", "disable", name)
        assert refused.exit_code == 5, refused.stdout
        assert f"`{name}` is not in line: `head/new` is" in refused.stderr
        assert "`reasoning models disable head/new`" in refused.stderr
    assert "in line" in reasoning("models", "list").stdout
    assert reasoning("models", "disable", "head/new").exit_code == 0
    assert "head/new" not in reasoning("models", "list").stdout
    assert reasoning("models", "disable", "head/new").exit_code == 0


def test_a_slot_whose_decisions_a_head_answers_is_not_called_off(heads: Path, reasoning: Run) -> None:
    said = reasoning("status").stdout
    assert "nothing was deployed for planning, coding: `reasoning models deploy planning`" in said
    heads.with_name("new.head").unlink()
    assert "nothing was deployed for should-respond, planning" in reasoning("status").stdout


def test_a_comparison_that_names_no_model_is_of_the_head_in_line(heads: Path, reasoning: Run) -> None:
    done = reasoning("train", "compare", "should-respond")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("should-respond: head/new against original")
    assert reasoning("models", "disable", "head/new").exit_code == 0
    assert reasoning("train", "compare", "should-respond").exit_code == 5


def test_doctor_looks_at_the_head_in_line(heads: Path, reasoning: Run) -> None:
    assert "head/new is whole" in reasoning("doctor", "--offline").stdout
    heads.with_name("new.head").write_bytes(b"reasoning head 1 0\n")
    done = reasoning("doctor", "--offline")
    assert "is damaged" in " ".join(done.stdout.split())
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("deploy", "models enable head/new --mode shadow"),
        ("start", "models enable head/new --mode shadow"),
        ("stop", "models disable head/new"),
        ("undeploy", "models disable head/new"),
        ("show", "train show head/new"),
    ],
)
def test_what_is_for_deployments_names_what_a_head_needs(reasoning: Run, command: str, instead: str) -> None:
    refused = reasoning("models", command, "head/new")
    assert refused.exit_code == 2, refused.stderr
    assert refused.stderr.startswith("error: `head/new` is a head")
    assert f"`reasoning {instead}`" in refused.stderr


def test_a_head_in_line_is_marked_as_well_one_that_is_out_as_not() -> None:
    assert deployment_style("in line") == "good"
    assert deployment_style("out") == "warning"
