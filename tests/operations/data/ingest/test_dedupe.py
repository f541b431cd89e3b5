"""What an import leaves out: what was forgotten on request, and what the gateway recorded as it was answered."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.operations.data.archive.restore import unarchive
from reasoning_cli.operations.data.archive.run import plan_archive, run_archive
from reasoning_cli.operations.data.erasure import Request, plan_forget, run_forget
from reasoning_cli.operations.data.ingest.elizaos_logs import read_row
from reasoning_cli.operations.data.ingest.pipeline import ImportReport
from reasoning_cli.operations.data.retention import Retention, plan_cleanup, run_cleanup
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.import_cursors import RECORDED
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from tests.conftest import Run
from tests.operations.taking_in import import_file

ROWS = Path(__file__).parents[3] / "data" / "elizaos-logs.jsonl"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def decisions() -> list[dict[str, Any]]:
    """The rows of the dump that hold a decision."""
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
    return [row for row in rows if _is_decision(row)]


def _is_decision(row: object) -> bool:
    try:
        return isinstance(read_row(row), Sample)
    except ValueError:
        return False


def take(store: Store, *rows: dict[str, Any], **options: Any) -> ImportReport:
    content = "".join(f"{json.dumps(row)}\n" for row in rows)
    return import_file(io.BytesIO(content.encode()), store, **options)


def forget(store: Store, **named: str) -> int:
    return run_forget(store, plan_forget(store, Request(**named)), NOW).deleted


def stored(store: Store) -> list[Sample]:
    return list(Samples(store).iterate())


# --- what was forgotten ---


def test_what_was_forgotten_does_not_come_back(store: Store) -> None:
    rows = decisions()
    assert take(store, *rows).added == len(rows)
    gone = stored(store)[0].id
    assert forget(store, sample_id=gone) == 1
    again = take(store, *rows, again=True)
    assert (again.added, again.already_there, again.forgotten) == (0, len(rows) - 1, 1)
    assert gone not in {sample.id for sample in stored(store)}
    assert take(store, *rows, dry_run=True).forgotten == 1
    with open_store(store.path.with_name("other.db")) as other:
        assert take(other, *rows).added == len(rows), "what is forgotten is so in its own log"


def test_it_comes_back_when_it_is_wanted_and_then_is_there_for_good(store: Store) -> None:
    rows = decisions()
    take(store, *rows)
    gone = stored(store)[0]
    forget(store, sample_id=gone.id)
    would = take(store, *rows, include_forgotten=True, dry_run=True)
    assert (would.added, would.taken_back, would.forgotten) == (1, 1, 0)
    back = take(store, *rows, include_forgotten=True)
    assert (back.added, back.taken_back, back.forgotten) == (1, 1, 0)
    run_cleanup(store, plan_cleanup(store, NOW, Retention(most=1)), NOW)
    after = take(store, *rows)
    assert (after.forgotten, after.added + after.already_there) == (0, len(rows)), "a clean-up forgets nothing"
    assert [event["action"] for event in store.rows("SELECT action FROM events WHERE action LIKE 'take%'")] == [
        "take_back_forgotten"
    ]


@pytest.mark.parametrize("kind", ["room", "entity", "agent"])
def test_of_a_room_a_person_and_an_agent_nothing_older_comes_in_either(store: Store, kind: str) -> None:
    model = decisions()[0]
    sample = read_row(model)
    assert isinstance(sample, Sample)
    value = {"room": sample.room_id, "entity": sample.entity_id, "agent": sample.agent_name}[kind]
    assert value
    take(store, model)
    assert forget(store, **{kind: value}) == 1
    older = {**model, "id": "older", "created_at": (NOW - timedelta(days=200)).isoformat()}
    later = {**model, "id": "later", "created_at": (NOW + timedelta(seconds=1)).isoformat()}
    for row in (older, later):
        # Another message in the same room, so that it is not its prompt that is known.
        row["body"] = {**row["body"], "prompt": row["body"]["prompt"].replace("</task>", "</task> ", 1)}
    done = take(store, older, later)
    assert (done.forgotten, done.added) == (1, 1)
    assert [one.id for one in stored(store)] == ["later"]


def test_the_ids_of_what_held_a_text_are_what_sticks(store: Store) -> None:
    rows = decisions()
    take(store, *rows)
    word = next(one for one in stored(store)[0].prompt.split() if len(one) > 12)
    count = forget(store, text=word)
    assert count >= 1
    assert take(store, *rows).forgotten == count


def test_nothing_that_was_said_is_kept(store: Store) -> None:
    take(store, *decisions())
    sample = stored(store)[0]
    assert sample.room_id and sample.entity_id
    forget(store, room=sample.room_id, sample_id=sample.id)
    rows = list(store.rows("SELECT * FROM forgotten"))
    assert rows
    assert all(len(row["hash"]) == 16 for row in rows)
    kept = b"".join(row["hash"] for row in rows)
    assert sample.id.encode() not in kept and sample.room_id.encode() not in kept


def test_an_export_does_not_bring_it_back(reasoning: Run, tmp_path: Path, home: Path) -> None:
    assert reasoning("data", "import", ROWS).exit_code == 0
    out = tmp_path / "out.jsonl"
    assert reasoning("data", "export", "-o", out, "--no-redact").exit_code == 0
    with open_store(home / "reasoning.db") as store:
        good = next(one for one in stored(store) if one.model_type == "planning" and one.decision)
    done = reasoning("data", "forget", "--id", good.id, "--yes")
    assert "no import brings back these decisions" in " ".join(done.stderr.split())
    back = json.loads(reasoning("data", "import", out, "--json").stdout)
    assert (back["added"], back["forgotten"]) == (0, 1)
    again = reasoning("data", "import", ROWS, "--again")
    assert "1 forgotten before, and left out; `--include-forgotten` takes them in" in again.stdout
    assert reasoning("data", "import", ROWS, "--include-forgotten").exit_code == 1, "nobody there to say yes"
    wanted = reasoning("data", "import", ROWS, "--include-forgotten", "--yes")
    assert "1 added" in wanted.stdout
    assert "1 of those added had been forgotten before" in wanted.stdout
    assert "take_back_forgotten" in reasoning("costs", "events", "--json").stdout


def test_an_archive_does_not_bring_it_back(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    take(store, *decisions())
    folder, count = tmp_path / "archive", Samples(store).count()
    later = NOW + timedelta(days=3650)
    run_archive(store, plan_archive(store, later, 30, folder), later)
    copy = shutil.copytree(folder, tmp_path / "copy")  # which nobody here knows of
    gone = stored(store)[0]
    assert forget(store, sample_id=gone.id) == 1
    back = unarchive(store, folder, NOW)
    assert (back.read, back.added, back.forgotten) == (count - 1, 0, 0), "it is gone from there as well"
    back = unarchive(store, copy, NOW)
    assert (back.read, back.added, back.forgotten) == (count, 0, 1)
    back = unarchive(store, copy, NOW, include_forgotten=True)
    assert (back.added, back.forgotten, back.taken_back) == (1, 0, 1)
    assert gone.id in {sample.id for sample in stored(store)}


def test_a_request_cut_off_leaves_nothing_half_forgotten(store: Store) -> None:
    rows = decisions()
    many = [{**rows[0], "id": f"row-{number}"} for number in range(300)]
    take(store, *many)
    plan = plan_forget(store, Request(agent=stored(store)[0].agent_name))

    def break_off(gone: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_forget(store, plan, NOW, on_progress=break_off)
    left = Samples(store).count()
    assert 0 < left < 300
    again = take(store, *many)
    assert (again.forgotten, again.already_there) == (300 - left, left)


# --- what the gateway recorded ---


def recorded(row: dict[str, Any], **changes: Any) -> Sample:
    """A decision of the log as the gateway keeps it: its own id, a moment earlier, a room it guessed."""
    sample = read_row(row)
    assert isinstance(sample, Sample)
    fields: dict[str, Any] = {
        "id": "from-the-gateway",
        "origin": "gateway",
        "created_at": sample.created_at - timedelta(seconds=2),
        "room_id": "guessed",
        "agent_id": None,
        "run_id": None,
        "metadata": {"request_id": "r"},
    }
    return replace(sample, **{**fields, **changes})


def test_what_the_gateway_recorded_is_not_stored_twice(store: Store) -> None:
    row = next(one for one in decisions() if one.get("room_id") and one["body"].get("runId"))
    Samples(store).insert_many([recorded(row)])
    assert take(store, row, dry_run=True).recorded == 1
    for _ in range(2):
        done = take(store, row)
        assert (done.added, done.already_there, done.recorded) == (0, 0, 1)
    (only,) = stored(store)
    assert only.origin == "gateway"
    assert only.metadata == {"request_id": "r", "log_id": row["id"]}
    assert (only.run_id, only.agent_id) == (row["body"]["runId"], row["entity_id"]), "what only the agent knows"
    assert only.room_id == (row["room_id"] if row["room_id"] != row["entity_id"] else "guessed")


@pytest.mark.parametrize(
    "changes",
    [
        {"output": "<response><name>N</name><reasoning>r</reasoning><action>STOP</action></response>"},
        {"prompt": "another"},
        {"seconds": 601},
        {"origin": "request-log"},
    ],
    ids=["another answer", "another prompt", "another time", "not the gateway"],
)
def test_what_only_looks_like_it_is_stored(store: Store, changes: dict[str, Any]) -> None:
    row = next(one for one in decisions() if "<action>IGNORE" in one["body"]["response"])
    if seconds := changes.pop("seconds", None):
        sample = read_row(row)
        assert isinstance(sample, Sample)
        changes = {"created_at": sample.created_at - timedelta(seconds=seconds)}
    Samples(store).insert_many([recorded(row, **changes)])
    assert take(store, row).added == 1
    assert Samples(store).count() == 2


def test_each_recorded_decision_stands_for_one_of_the_log(store: Store) -> None:
    row = decisions()[0]
    twice = [{**row, "id": "first"}, {**row, "id": "second"}]
    Samples(store).insert_many([recorded(row)])
    would = take(store, *twice, dry_run=True)
    assert (would.added, would.recorded) == (1, 1)
    done = take(store, twice[0])
    assert done.recorded == 1
    done = take(store, *twice)
    assert (done.added, done.recorded) == (1, 1)
    assert Samples(store).count(SampleFilter(origin="gateway")) == 1
    with_limit = take(store, *twice, {**row, "id": "third"}, limit=1)
    assert (with_limit.added, with_limit.recorded, with_limit.already_there) == (1, 1, 1)
    assert take(store, *twice, {**row, "id": "third"}).added == 0


@pytest.mark.sqlite("the plan of a question is SQLite's")
def test_a_recorded_decision_is_looked_for_by_its_prompt_and_its_minutes(store: Store) -> None:
    values = {"type": "planning", "prompt": b"", "since": 0, "until": 1, "at": 0}
    plan = [row["detail"] for row in store.rows(f"EXPLAIN QUERY PLAN {RECORDED}", values)]
    # Neither through an hour of others, nor through all that the same prompt was ever answered with.
    assert "samples_prompt (model_type=? AND prompt_hash=? AND created_at>? AND created_at<?)" in plan[0]


def test_an_answer_written_in_another_way_is_the_same_answer(store: Store) -> None:
    row = next(one for one in decisions() if "<action>IGNORE" in one["body"]["response"])
    said = row["body"]["response"]
    Samples(store).insert_many([recorded(row, output=f"\n{said.replace('<action>', '<action> ')}\n")])
    assert take(store, row).recorded == 1


def test_traffic_that_went_by_and_the_log_of_the_same_agent(reasoning: Run, shared: Path, home: Path) -> None:
    logs, calls = shared / "traffic" / "elizaos-logs.jsonl", shared / "traffic" / "elizaos.jsonl"
    assert reasoning("data", "import", calls).exit_code == 0
    with open_store(home / "reasoning.db") as store:
        store.write("UPDATE samples SET origin='gateway'")
        before = Samples(store).count()
    done = json.loads(reasoning("data", "import", logs, "--json").stdout)
    assert done["recorded"] == 11
    shown = reasoning("data", "import", logs, "--again").stdout
    assert "11 recorded by the gateway already" in shown
    with open_store(home / "reasoning.db") as store:
        assert Samples(store).count() == before + done["added"]
