"""`data redact` and `data forget`: what they take is gone from the file, and the rest is as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.decisions.prompts import shape_of
from reasoning_cli.operations.data.redact import redact_log
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.exports import NumberSet, record_export
from reasoning_cli.store.samples.labels import Labelling, Labels
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples, derived
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from tests.conftest import Run
from tests.redaction.test_redactor import PROMPT

pytestmark = pytest.mark.both_engines

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALICE = "5a0a03a7-2e7a-0814-abac-dd9139e87d8f"
MAIL = "planted.address@mail.example"
ANSWER = "<response>\n  <name>Nova</name>\n  <reasoning>{}</reasoning>\n  <action>RESPOND</action>\n</response>"


def sample(number: int, message: str, **fields: object) -> Sample:
    prompt = PROMPT.format(message=message)
    plain: dict[str, object] = {
        "id": f"s{number}",
        "created_at": NOW - timedelta(minutes=number),
        "model_type": "should_respond",
        "model": "m",
        "source": "original",
        "origin": "test",
        "prompt": prompt,
        "output": ANSWER.format(f"they said {message}"),
        "decision": "RESPOND",
        "room_id": f"room-{number % 2}",
        "entity_id": "agent",
        "agent_name": "Nova",
        "shape": shape_of(prompt),
    }
    return Sample(**{**plain, **fields})  # type: ignore[arg-type]


@pytest.fixture
def store(home: Path) -> Store:
    """Ten samples: one with an address in each of its texts, two about a person, the others of no interest."""
    with open_store(home / "reasoning.db") as one:
        samples = [sample(number, f"hello number {number}") for number in range(10)]
        samples[3] = sample(3, f"write to {MAIL}", system=f"by {MAIL}", metadata={"from": [MAIL]}, feedback=MAIL)
        samples[4] = sample(4, "I am Zoë Müller", model_type="planning")
        Samples(one).insert_many(samples)
        Labels(one).set([Labelling("s3", "corrected", ANSWER.format(MAIL), MAIL)], at=NOW, by="me")
        Attempts(one).insert_many(
            [AttemptRecord("s3", NOW, "should_respond", "shadow", "m", *[None] * 5, 1, None, None, ANSWER.format(MAIL))]
        )
    return one


def on_disk(home: Path, text: str) -> list[str]:
    """The files of the store that hold a text; where it is not in files, its tables."""
    with open_store(home / "reasoning.db") as one:
        if one.is_shared:
            said = "SELECT count(*) FROM {0} WHERE strpos(CAST({0} AS text), ?) > 0"
            return [table for table in one.tables() if one.number(said.format(table), (text,))]
    return [path.name for path in home.glob("reasoning.db*") if text.encode() in path.read_bytes()]


def stored(home: Path) -> dict[str, Sample]:
    with open_store(home / "reasoning.db") as one:
        return {row.id: row for row in Samples(one).iterate()}


def test_redact_takes_what_it_finds_out_of_every_text_and_out_of_the_file(
    reasoning: Run, store: Store, home: Path
) -> None:
    before = stored(home)
    assert on_disk(home, MAIL)
    shown = reasoning("data", "redact", "--dry-run")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("10 samples looked at, 1 would change: ")
    assert stored(home) == before

    assert reasoning("data", "redact").exit_code == 1  # nobody there to say yes
    assert stored(home) == before

    done = reasoning("data", "redact", "--yes", "--json")
    record = json.loads(done.stdout)
    assert record == {
        "looked_at": 10,
        "changed": 1,
        "by_kind": {"email": 10},
        "is_erased": True,
        "dry_run": False,
    }
    assert on_disk(home, MAIL) == []
    after = stored(home)
    assert {name for name in after if after[name] != before[name]} == {"s3"}
    assert after["s3"].label == "corrected"
    assert after["s3"].decision == "RESPOND"
    placeholder = after["s3"].feedback
    assert placeholder is not None
    assert placeholder.startswith("[EMAIL_")
    assert after["s3"].metadata == {"from": [placeholder]}
    assert after["s3"].prompt.count(placeholder) == 2
    with open_store(home / "reasoning.db") as one:
        row = one.row("SELECT prompt_hash, shape_hash, prompt_chars, output_chars FROM samples WHERE id = 's3'")
        new = sample(3, f"write to {placeholder}")
        assert row is not None
        assert tuple(row) == derived(new)
        assert one.number(f"SELECT count(*) FROM labels WHERE note = '{placeholder}'") == 1

    again = json.loads(reasoning("data", "redact", "--yes", "--json").stdout)
    assert (again["changed"], again["by_kind"]) == (0, {})
    assert stored(home) == after


@pytest.mark.parametrize("command", [["redact"], ["forget", "--text", MAIL]], ids=lambda command: command[0])
def test_the_search_index_forgets_it_too(reasoning: Run, store: Store, home: Path, command: list[str]) -> None:
    assert "s3" in reasoning("data", "search", "planted", "--format", "json").stdout
    assert on_disk(home, "planted")
    assert reasoning("data", *command, "--yes").exit_code == 0
    assert on_disk(home, "planted") == []
    assert "s3" not in reasoning("data", "search", "planted", "--format", "json").stdout


def test_one_value_keeps_its_placeholder_over_runs(reasoning: Run, store: Store, home: Path) -> None:
    assert reasoning("data", "redact", "--yes").exit_code == 0
    with open_store(home / "reasoning.db") as one:
        Samples(one).insert_many([sample(20, f"again {MAIL}")])
    assert reasoning("data", "redact", "--yes").exit_code == 0
    rows = stored(home)
    assert rows["s3"].feedback is not None
    assert rows["s3"].feedback in rows["s20"].prompt


def test_only_the_kinds_and_types_that_were_asked_for(reasoning: Run, store: Store, home: Path) -> None:
    before = stored(home)
    assert reasoning("data", "redact", "--yes", "--kinds", "phone,card").exit_code == 0
    assert reasoning("data", "redact", "--yes", "-m", "planning").exit_code == 0
    assert stored(home) == before
    wrong = reasoning("data", "redact", "--yes", "--kinds", "shoe-size")
    assert wrong.exit_code == 2
    assert "there are private_key, seed_phrase, key" in wrong.stderr


def test_names_become_pseudonyms_but_the_agents_own(reasoning: Run, store: Store, home: Path) -> None:
    assert reasoning("data", "redact", "--yes", "--names").exit_code == 0
    for row in stored(home).values():
        assert "Alice" not in row.prompt
        assert "on behalf of Nova" in row.prompt
        assert ALICE in row.prompt


def test_a_run_that_was_cut_off_is_finished_by_the_next(store: Store, home: Path) -> None:
    with open_store(home / "reasoning.db") as one:
        Samples(one).insert_many([sample(100 + number, f"{number}@x.example") for number in range(500)])

        def stop(looked_at: int) -> None:
            if looked_at >= 200:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            redact_log(one, SampleFilter(), on_progress=stop)
        assert redact_log(one, SampleFilter()).changed == 301
        assert redact_log(one, SampleFilter()).changed == 0


def test_import_redacts_before_it_stores_when_that_is_set(
    reasoning: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "id": "r1",
        "created_at": "2026-11-21T00:00:00Z",
        "entity_id": "e",
        "room_id": "r",
        "type": "useModel:TEXT_SMALL",
        "body": {"modelKey": "TEXT_SMALL", "prompt": PROMPT.format(message=MAIL), "response": ANSWER.format("x")},
    }
    dump = tmp_path / "dump.jsonl"
    dump.write_text(json.dumps(row) + "\n")
    monkeypatch.setenv("REASONING_DATA_REDACT_ON_WRITE", "true")
    assert reasoning("data", "import", dump).exit_code == 0
    assert on_disk(home, MAIL) == []
    (one,) = stored(home).values()
    assert "[EMAIL_" in one.prompt


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--room", "room-1"], {"s1", "s3", "s5", "s7", "s9"}),
        (["--id", "s7"], {"s7"}),
        (["--text", "zoë MÜLLER"], {"s4"}),
        (["--text", MAIL.upper()], {"s3"}),
        (["--agent", "Nova"], {f"s{number}" for number in range(10)}),
        (["--entity", ALICE], {f"s{number}" for number in range(10)}),
        (["--room", "room-1", "--text", "müller"], {"s1", "s3", "s4", "s5", "s7", "s9"}),
        (["--room", "nowhere"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_forget_takes_what_fits_and_nothing_else(
    reasoning: Run, store: Store, home: Path, options: list[str], gone: set[str]
) -> None:
    before = stored(home)
    shown = reasoning("data", "forget", *options, "--dry-run", "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["samples"] == len(gone)
    assert stored(home) == before
    done = reasoning("data", "forget", *options, "--yes", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["deleted"] == len(gone)
    assert stored(home) == {name: row for name, row in before.items() if name not in gone}


def test_what_is_forgotten_is_gone_from_the_file_and_the_event_does_not_say_it(
    reasoning: Run, store: Store, home: Path
) -> None:
    assert reasoning("data", "forget", "--text", MAIL).exit_code == 1  # nobody there to say yes
    done = reasoning("data", "forget", "--text", MAIL, "--yes")
    assert done.exit_code == 0
    assert done.stdout.endswith("Deleted 1 sample.\n")
    assert "the agent's own database still holds them" in " ".join(done.stderr.split())
    assert on_disk(home, MAIL) == []
    with open_store(home / "reasoning.db") as one:
        assert one.number("SELECT count(*) FROM labels") == 0
        assert one.number("SELECT count(*) FROM attempts") == 0
    events = reasoning("costs", "events", "--json").stdout
    assert '"forget"' in events
    assert MAIL not in events


def test_forget_says_which_exports_hold_it(reasoning: Run, store: Store, home: Path) -> None:
    with open_store(home / "reasoning.db") as one:
        found = Samples(one).get("s4")
        assert found is not None
        for path, seq in (("/data/first.jsonl", found.seq), ("/data/other.jsonl", found.seq + 1)):
            held = NumberSet()
            held.update([seq])
            record_export(one, at=NOW, path=path, sha256="00", manifest={}, samples=held)
    shown = reasoning("data", "forget", "--id", "s4", "--dry-run", "--json")
    assert [export["path"] for export in json.loads(shown.stdout)["exports"]] == ["/data/first.jsonl"]
    done = reasoning("data", "forget", "--id", "s4", "--yes")
    assert "/data/first.jsonl" in done.stdout + done.stderr
    assert "at Together too" in done.stderr.replace("\n", " ")
    assert "/data/other.jsonl" not in done.stdout + done.stderr


@pytest.mark.parametrize("options", [[], ["--text", ""], ["--room", " "]])
def test_forget_needs_to_be_told_what(reasoning: Run, store: Store, options: list[str]) -> None:
    done = reasoning("data", "forget", *options, "--yes")
    assert done.exit_code == 2
    assert "--entity" in done.stderr


@pytest.mark.sqlite("`data restore` puts a file in the place of a file")
def test_a_copy_that_is_put_back_holds_nothing_that_was_forgotten(reasoning: Run, store: Store, home: Path) -> None:
    store.close()
    copy = home / "copy.db"
    assert reasoning("data", "backup", copy).exit_code == 0
    assert reasoning("data", "forget", "--text", MAIL, "--yes").exit_code == 0
    back = reasoning("data", "restore", copy, "--yes")
    assert "1 sample of it had been forgotten since, and stayed so." in back.stdout
    assert on_disk(home, MAIL) == []
    assert len(stored(home)) == 9
    wanted = json.loads(reasoning("data", "restore", copy, "--yes", "--include-forgotten", "--json").stdout)
    assert (wanted["forgotten"], len(stored(home))) == (0, 10)
