"""`train auto --engine head`: a head that is learned anew as the log grows, without key and network."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.commands.demo.synthetic_agent import Made, agent_log, make_decisions
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.train.auto_loops import Loop, Loops
from reasoning_cli.store.train.runs import TrainingRuns
from tests.conftest import Run

BEGIN = datetime(2026, 11, 29, tzinfo=UTC)
AUTO = ("train", "auto", "should-respond")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Made]]:
    """What an agent decided in two months, and in the weeks after; and the former as it was made."""
    folder = tmp_path_factory.mktemp("logs")
    made = list(make_decisions(1600, planning=False, apart=True, until=BEGIN))
    later = make_decisions(600, seed=2, planning=False, apart=True, until=BEGIN + timedelta(days=2))
    paths = folder / "before.jsonl", folder / "later.jsonl"
    paths[0].write_text(agent_log(iter(made)))
    paths[1].write_text(agent_log(later))
    return *paths, made


@pytest.fixture
def hours(session_facts: dict[str, object]) -> list[datetime]:
    """The time, which goes on by half a minute whenever somebody asks."""
    at = [BEGIN]

    def now() -> datetime:
        at[0] += timedelta(seconds=30)
        return at[0]

    session_facts["now"] = now
    return at


def loop_of(home: Path) -> Loop:
    with open_store(home / "reasoning.db") as store:
        found = Loops(store).get("should_respond")
    assert found is not None
    return found


def answered(home: Path, model: str, begin: datetime) -> None:
    """The head is seen to answer every two seconds for an hour."""
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many(
            [
                Sample(
                    id=f"{model} {number}",
                    created_at=begin + timedelta(seconds=2 * number),
                    model_type="should_respond",
                    model=model,
                    source="slot",
                    origin="gateway",
                    prompt=f"prompt {number}",
                    output="<response><name>Ada</name><reasoning>No.</reasoning><action>IGNORE</action></response>",
                    decision="IGNORE",
                )
                for number in range(1800)
            ]
        )


def test_a_head_is_learned_anew_as_the_log_grows(
    reasoning: Run, home: Path, logs: tuple[Path, Path, list[Made]], hours: list[datetime]
) -> None:
    def run(*arguments: str, code: int = 0) -> str:
        done = reasoning(*arguments)
        assert done.exit_code == code, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    before, later, made = logs
    run("data", "import", str(before))
    said = run(*AUTO, "--engine", "head", "--every", "1m", "--min-new", "100", "--unattended", "--yes")
    assert "should-respond learns a head by itself, at most every 1 minute, for nothing." in said
    assert "a round may begin" in said
    [listed] = json.loads(run(*AUTO, "--json"))
    assert (listed["engine"], listed["max_error"], listed["counted"]) == ("head", 0.05, "all")

    said = run(*AUTO, "--once")
    assert "passes the gate" in said
    with open_store(home / "reasoning.db") as store:
        [first] = TrainingRuns(store).all()
    assert first.model_name is not None
    assert loop_of(home).step == "promoting"
    answered(home, first.model_name, hours[0])
    for _ in range(40):
        run(*AUTO, "--once")
        if loop_of(home).step == "resting":
            break
    assert loop_of(home).outcome == f"round over: {first.model_name} answers what it is sure of"
    assert run("config", "get", "should_respond.head").startswith(first.model_name.removeprefix("head/"))
    [tenure] = json.loads(reasoning("train", "history", "should-respond", "--json").stdout)
    assert (tenure["model"], tenure["state"], tenure["run"]) == (first.model_name, "promoted", 1)

    # What the head answered is new, and says nothing of what the baseline would: the same head comes of it.
    run(*AUTO, "--ask", "--yes")
    run(*AUTO, "--once")
    assert loop_of(home).outcome == f"round over: {first.model_name} was learned again: nothing is new in the log"
    run("data", "import", str(later))
    said = run(*AUTO, "--once")
    with open_store(home / "reasoning.db") as store:
        second = TrainingRuns(store).all()[-1]
        asked = [event.detail["model"] for event in Events(store).list() if event.action == "auto_ask"]
    assert second.number == 2
    assert second.plan["samples"]["train"] > first.plan["samples"]["train"]  # type: ignore[index]
    assert f"waits for: `reasoning train promote should-respond --to {second.model_name}`" in said
    assert asked == [first.model_name, second.model_name]
    assert "should-respond: waits for" in run(*AUTO, "--once"), "a person is asked, and not twice"

    # A candidate that learned from what is deleted on request does not come in.
    run("data", "forget", "--room", made[0].room, "--yes")
    run(*AUTO, "--once")
    loop = loop_of(home)
    assert loop.step == "resting"
    assert f"{second.model_name} is stale" in (loop.outcome or "")
    run(*AUTO, "--off")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("planning", "--engine", "head"), "a head decides should-respond only"),
        (("should-respond", "--engine", "hand"), "`hand` is not an engine that trains by itself"),
        (("should-respond", "--max-error", "2"), "--max-error is of a head"),
        (("should-respond", "--engine", "head", "--max-cost", "3"), "a head costs nothing"),
    ],
)
def test_what_does_not_go_together_is_refused(reasoning: Run, options: tuple[str, ...], message: str) -> None:
    done = reasoning("train", "auto", *options, "--yes")
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


def test_a_log_that_proves_nothing_ends_the_round_and_says_so(
    reasoning: Run, home: Path, logs: tuple[Path, Path, list[Made]], tmp_path: Path
) -> None:
    log = tmp_path / "few.jsonl"
    log.write_text("".join(logs[0].read_text().splitlines(keepends=True)[:300]))
    assert reasoning("data", "import", str(log)).exit_code == 0
    set_up = reasoning(*AUTO, "--engine", "head", "--max-error", "2", "--min-new", "100", "--yes", "--once")
    assert set_up.exit_code == 0, set_up.stderr
    assert loop_of(home).outcome == "round over: no head: nothing is proven to disagree in at most 2 %"
    guarded = reasoning("costs", "guard", "--once")
    assert guarded.exit_code == 0, "it looks after the loop without a key of Together, before any head was learned"
    assert "rests: 0 of 100 new samples" in reasoning(*AUTO, "--once").stdout, "it is not tried again and again"
