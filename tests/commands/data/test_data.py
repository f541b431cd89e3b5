"""`reasoning data …` as it is typed: what comes in, what goes out as a file to train on, what is there, what goes."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import Result, Run

ROWS = Path(__file__).parents[2] / "data" / "elizaos-logs.jsonl"
IMPORTED = {"planning": 5, "should_respond": 4, "coding": 2}
TRAINABLE = {"planning": 4, "should_respond": 3, "coding": 2}

Conversation = list[dict[str, str]]


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    """The operator's zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def filled(reasoning: Run) -> Run:
    """The program, its log holding what the fixture holds."""
    assert reasoning("data", "import", ROWS).exit_code == 0
    return reasoning


def conversations(content: str) -> list[Conversation]:
    """A conversational file, read by Together's published rules and nothing of ours."""
    assert content.endswith("\n")
    found = []
    for line in content.removesuffix("\n").split("\n"):
        sample = json.loads(line)
        assert list(sample) == ["messages"]
        for message in sample["messages"]:
            assert set(message) == {"role", "content"}
            assert isinstance(message["content"], str)
            assert message["content"].strip()
        roles = [message["role"] for message in sample["messages"]]
        assert roles[-2:] == ["user", "assistant"]
        assert roles[:-2] in ([], ["system"])
        found.append(sample["messages"])
    return found


def users(content: str) -> list[str]:
    return [messages[-2]["content"] for messages in conversations(content)]


# --- import ---


def test_import_says_what_became_of_every_row(reasoning: Run) -> None:
    done = reasoning("data", "import", ROWS)
    assert (done.exit_code, done.stderr) == (
        0,
        "hint: look at them: `reasoning data list`; what they are worth to train on: `reasoning data stats`\n",
    )
    first, second, third, *reasons = done.stdout.splitlines()
    assert first == "11 decisions in 21 rows: 5 planning, 4 should-respond, 2 coding"
    assert second == "11 added, 0 there already"
    assert third == "10 rows without a decision to take in:"
    assert reasons[0] == "  2   no response"
    assert sum(int(reason.split()[0]) for reason in reasons) == 10


@pytest.mark.both_engines
def test_importing_again_adds_nothing(filled: Run) -> None:
    once_more = filled("data", "import", ROWS)
    assert (once_more.exit_code, once_more.stdout) == (
        0,
        "nothing new since the last import; `reasoning data import --again` reads all of it\n",
    )
    again = filled("data", "import", ROWS, "--again")
    assert again.exit_code == 0
    assert "0 added, 11 there already" in again.stdout.splitlines()
    assert json.loads(filled("data", "stats", "--json").stdout)["total"] == 11


def test_import_reads_a_pipe(reasoning: Run) -> None:
    done = reasoning("data", "import", "-", input=ROWS.read_text(encoding="utf-8"))
    assert done.exit_code == 0
    assert "11 added, 0 there already" in done.stdout


def test_import_for_machines(reasoning: Run) -> None:
    record = json.loads(reasoning("data", "import", ROWS, "--json").stdout)
    assert (record["read"], record["added"], record["already_there"], record["bad"]) == (21, 11, 0, 0)
    assert record["by_type"] == IMPORTED
    assert sum(record["skipped"].values()) == 10
    assert record["bad_lines"] == []


def test_the_real_dump_to_the_row(reasoning: Run, shared: Path) -> None:
    record = json.loads(reasoning("data", "import", shared / "traffic" / "elizaos-logs.jsonl", "--json").stdout)
    assert (record["read"], record["added"], record["bad"]) == (50, 20, 0)
    assert record["by_type"] == {"planning": 14, "should_respond": 6}
    assert sum(record["skipped"].values()) == 30
    # One is longer than the window of the slots' models, which would never be asked it.
    assert len(conversations(reasoning("data", "export", "-o", "-").stdout)) == 19
    assert len(conversations(reasoning("data", "export", "--max-tokens", "99999", "-o", "-").stdout)) == 20


def test_broken_lines_are_named_and_do_not_keep_the_rest_out(reasoning: Run, tmp_path: Path, home: Path) -> None:
    rows = ROWS.read_text(encoding="utf-8").splitlines()
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join([rows[0], "{half a li", rows[1], *["nothing"] * 6]) + "\n", encoding="utf-8")
    done = reasoning("data", "import", broken)
    assert done.exit_code == 0
    assert "2 added, 0 there already" in done.stdout
    [rejects] = (home / "rejects").iterdir()
    assert f"7 rows not read, kept in {rejects}:\n  7   not JSON\n" in done.stdout
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600
    kept = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert kept[0] == {"line": 2, "why": "not JSON", "raw": "{half a li"}
    assert [one["line"] for one in kept] == [2, 4, 5, 6, 7, 8, 9]
    assert done.stderr.splitlines() == [
        "warning: line 2 was not read: not JSON",
        *[f"warning: line {number} was not read: not JSON" for number in (4, 5, 6, 7)],
        "warning: and 2 more lines",
        "hint: look at them: `reasoning data list`; what they are worth to train on: `reasoning data stats`",
    ]


# --- export ---


@pytest.mark.both_engines
@pytest.mark.parametrize(("model_type", "count"), TRAINABLE.items())
def test_each_type_is_a_file_of_its_own(filled: Run, model_type: str, count: int) -> None:
    target = Path("train.jsonl")
    done = filled("data", "export", "-m", model_type, "-o", target)
    name = model_type.replace("_", "-")
    assert (done.exit_code, done.stderr) == (
        0,
        f"hint: a training exports by itself; its plan and price: `reasoning train start {name} --dry-run`\n",
    )
    noun = "samples"
    assert done.stdout.startswith(
        f"{count} {noun} ({count} {model_type.replace('_', '-')}) written to {target.resolve()}"
    )
    assert len(conversations(target.read_text(encoding="utf-8"))) == count


def test_types_can_be_combined_and_all_is_the_default(filled: Run) -> None:
    two = filled("data", "export", "-m", "coding", "-m", "planning", "-m", "coding", "-o", "-").stdout
    assert len(conversations(two)) == TRAINABLE["coding"] + TRAINABLE["planning"]
    whole = filled("data", "export", "-o", "-").stdout
    assert len(conversations(whole)) == sum(TRAINABLE.values())
    assert filled("data", "export", "--all", "-o", "-").stdout == whole


def test_stdout_holds_the_data_and_nothing_else(filled: Run) -> None:
    to_file = filled("data", "export", "-o", "train.jsonl")
    to_stdout = filled("data", "export", "-o", "-")
    assert to_stdout.exit_code == 0
    assert to_stdout.stdout == Path("train.jsonl").read_text(encoding="utf-8")
    assert to_stdout.stderr.splitlines()[0].startswith(
        "9 samples (4 planning, 3 should-respond, 2 coding) written to stdout"
    )
    told = [line for line in to_file.stdout.splitlines()[1:] if not line.startswith("all about it in")]
    assert to_stdout.stderr.splitlines()[1:] == told
    summary = filled("data", "export", "-o", "-", "--json")
    assert summary.stdout == to_stdout.stdout
    assert json.loads(summary.stderr)["written"] == 9


def test_a_file_without_a_name_is_named_after_what_it_holds_and_is_private(filled: Run) -> None:
    before = datetime.now(UTC).date()
    assert filled("data", "export", "-m", "should-respond").exit_code == 0
    assert filled("data", "export", "-f", "json").exit_code == 0
    after = datetime.now(UTC).date()
    made = sorted(Path().iterdir())
    names = tuple(
        f"training-data-{name}{more}"
        for name in ("all-{}.json", "should_respond-{}.jsonl")
        for more in ("", ".manifest.json")
    )
    for file, name in zip(made, names, strict=True):
        assert file.name in {name.format(day) for day in (before, after)}
    for file in made:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_json_holds_the_same_samples_in_one_object(filled: Run) -> None:
    whole = json.loads(filled("data", "export", "-f", "json", "-o", "-").stdout)
    lines = filled("data", "export", "-o", "-").stdout
    assert [sample["messages"] for sample in whole["samples"]] == conversations(lines)
    assert (whole["model_type"], whole["format"], whole["metadata"]["total_samples"]) == ("all", "json", 9)


def test_the_summary_for_machines(filled: Run) -> None:
    record = json.loads(filled("data", "export", "-o", "train.jsonl", "--json").stdout)
    assert record["path"] == str(Path("train.jsonl").resolve())
    assert (record["written"], record["by_type"], record["fmt"]) == (9, TRAINABLE, "jsonl")
    assert record["left_out"] == {"an action the prompt does not offer": 1, "no XML answer": 1}
    assert record["size_bytes"] == Path("train.jsonl").stat().st_size
    assert (record["oldest"], record["newest"]) == ("2026-10-01T12:00:00.250Z", "2026-10-10T12:00:00.250Z")


def test_an_existing_file_is_replaced_only_with_force(filled: Run) -> None:
    target = Path("train.jsonl")
    target.write_text("old")
    refused = filled("data", "export", "-o", target)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "--force" in refused.stderr
    assert target.read_text() == "old"
    assert filled("data", "export", "-o", target, "--force").exit_code == 0
    assert len(conversations(target.read_text(encoding="utf-8"))) == 9
    assert sorted(Path().iterdir()) == [target, Path("train.jsonl.manifest.json")]


def test_a_limit_takes_the_newest(filled: Run) -> None:
    every = users(filled("data", "export", "-m", "planning", "-o", "-").stdout)
    # The newest one cannot be trained on, so two of the newest three are left.
    assert users(filled("data", "export", "-m", "planning", "-l", "3", "-o", "-").stdout) == every[-2:]


@pytest.mark.parametrize(
    ("dates", "count"),
    [
        (["--since", "2026-10-04"], 6),
        (["--until", "2026-10-03"], 3),
        (["--start-date", "2026-10-02", "--end-date", "2026-10-02"], 1),
        (["--since", "2026-10-02T12:00:00.251Z", "--until", "2026-10-04T12:00Z"], 1),
        (["--start-date", "2026-10-02T14:00:00.250+02:00", "--end-date", "2026-10-04T12:00Z"], 2),
    ],
)
def test_dates_bound_what_is_exported(filled: Run, dates: list[str], count: int) -> None:
    assert len(conversations(filled("data", "export", *dates, "-o", "-").stdout)) == count


@pytest.mark.both_engines
def test_one_agents_decisions_by_name_or_id(filled: Run) -> None:
    whole = filled("data", "export", "-o", "-").stdout
    assert filled("data", "export", "--agent", "agent-1", "-o", "-").stdout == whole
    named = users(filled("data", "export", "--agent", "Nova", "-o", "-").stdout)
    assert named == [prompt for prompt in users(whole) if "Nova" in prompt.split("\n")[0]]
    assert len(named) == 7  # the two coding prompts name nobody
    nobody = filled("data", "export", "--agent", "Nobody")
    assert (nobody.exit_code, nobody.stdout) == (1, "")
    assert nobody.stderr.startswith("error: no sample matches, so nothing was written\n")
    assert list(Path().iterdir()) == []


def test_all_and_a_type_contradict_each_other(filled: Run) -> None:
    done = filled("data", "export", "--all", "-m", "coding")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "error: --all and --model-type contradict each other"


# --- stats ---


def test_stats_of_nothing_say_how_to_begin(reasoning: Run) -> None:
    done = reasoning("data", "stats")
    assert (done.exit_code, done.stdout) == (0, "No decisions yet.\n")
    assert "`reasoning data import FILE`" in done.stderr
    record = json.loads(reasoning("data", "stats", "--json").stdout)
    assert (record["total"], record["by_type"], record["quality"]) == (0, {}, "Insufficient")


def test_stats_count_what_was_decided(filled: Run) -> None:
    done = filled("data", "stats")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("11 decisions, 2026-10-01 to 2026-10-12, 0 in the last 24 hours, ")
    for part in ("REPLY ██████░░░░ 60 %", "RESPOND ██░░░░░░░░ 25 %", "python █████░░░░░ 50 %"):
        assert part in done.stdout
    facts = {line[2:16].strip(): line[19:] for line in done.stdout.splitlines()[2:]}
    assert facts["quality"] == "Insufficient: fewer than 50 samples"
    assert facts["near-copies"] == "0 (0 %)"
    assert facts["unreadable"] == "2 answers"


def test_stats_for_machines(filled: Run) -> None:
    record = json.loads(filled("data", "stats", "--json").stdout)
    assert (record["total"], record["last_24_hours"]) == (11, 0)
    assert (record["oldest"], record["newest"]) == ("2026-10-01T12:00:00.250Z", "2026-10-12T12:00:00.250Z")
    assert {name: part["count"] for name, part in record["by_type"].items()} == IMPORTED
    assert record["by_type"]["should_respond"]["decisions"] == {"RESPOND": 1, "IGNORE": 1, "STOP": 1}
    assert record["by_type"]["should_respond"]["unparsed"] == 1
    assert len(record["recommendations"]) == 5


# --- cleanup ---


def total(reasoning: Run) -> int:
    return int(json.loads(reasoning("data", "stats", "--json").stdout)["total"])


@pytest.fixture
def mixed(filled: Run, tmp_path: Path) -> Run:
    """Eleven old decisions and two of yesterday."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    fresh = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()[:2]]
    path = tmp_path / "fresh.jsonl"
    lines = [json.dumps({**row, "id": f"fresh-{number}", "created_at": yesterday}) for number, row in enumerate(fresh)]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert filled("data", "import", path).exit_code == 0
    assert total(filled) == 13
    return filled


def test_a_dry_run_counts_and_deletes_nothing(mixed: Run) -> None:
    done = mixed("data", "cleanup", "--days", "7", "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("11 samples older than 7 days (before ")
    assert done.stdout.splitlines()[0].endswith("the oldest from 2026-10-01 12:00.")
    assert done.stdout.splitlines()[1] == "4 should-respond, 5 planning, 2 coding"
    record = json.loads(mixed("data", "cleanup", "--days", "7", "--dry-run", "--json").stdout)
    assert (record["matching"], record["deleted"], record["dry_run"]) == (11, 0, True)
    assert total(mixed) == 13


def test_nothing_is_deleted_without_a_yes(mixed: Run) -> None:
    done = mixed("data", "cleanup", "--days", "7")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "hint: add --yes"
    assert total(mixed) == 13


def test_a_yes_deletes_what_is_old_and_keeps_the_rest(mixed: Run) -> None:
    done = mixed("data", "cleanup", "--days", "7", "--yes")
    assert done.exit_code == 0
    assert done.stdout.startswith("Deleted 11 samples older than 7 days (before ")
    assert total(mixed) == 2
    again = mixed("data", "cleanup", "--days", "7", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["matching"] == 0


def test_without_days_the_setting_decides(mixed: Run) -> None:
    assert mixed("config", "set", "data.retention_days", "3650").exit_code == 0
    assert mixed("data", "cleanup", "--dry-run").stdout.startswith("0 samples older than 3,650 days")


def refuses(done: Result) -> None:
    assert (done.exit_code, done.stdout) == (2, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]


@pytest.mark.parametrize("days", ["0", "-1", "abc", "", "1.5", "99999999999"])
def test_days_that_are_none(mixed: Run, days: str) -> None:
    refuses(mixed("data", "cleanup", f"--days={days}", "--yes"))
    assert total(mixed) == 13
