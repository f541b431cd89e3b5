"""What is typed in another order or by another name: global options anywhere, what options were called, other tools'
words for the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from reasoning_cli import __version__
from reasoning_cli.app import Root, app
from reasoning_cli.commands._shared.spelling import arrange
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests.commands.data.test_review import ANSWERS, decision
from tests.conftest import Run
from tests.gateway.prompts import PROMPTS


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many([decision(1, room_id="r-1"), decision(2, room_id="r-2", agent_name="Atlas")])
        yield store


# --- global options ---


@pytest.mark.parametrize(
    ("typed", "arranged"),
    [
        ("models list --sandbox", "--sandbox models list"),
        ("models --profile p list -v --json", "--profile p -v models list --json"),
        ("data list -vv --db=x.db -q", "-vv --db=x.db data list -q"),
        ("--color never data list --color always", "--color never --color always data list"),
        ("config --db x.db get gateway.port", "--db x.db config get gateway.port"),
        # What is the value of an option, or stands behind --, is left alone.
        ("data label a --note --sandbox", "data label a --note --sandbox"),
        ("data label a --note=--sandbox --good", "data label a --note=--sandbox --good"),
        ("data list -m --sandbox", "data list -m --sandbox"),
        ("data list -ql --sandbox", "data list -ql --sandbox"),
        ("data search -- --sandbox", "data search -- --sandbox"),
        ("costs set-budget -5", "costs set-budget -5"),
        # A model type is -m, also where it is an argument.
        ("train evals -m planning --json", "train evals planning --json"),
        ("costs schedule 18:00-23:00 --model-type=coding", "costs schedule coding 18:00-23:00"),
        ("train list -q -mcoding", "train list coding -q"),
        ("train list -m", "train list -m"),
        ("data list -m planning", "data list -m planning"),
        # What nobody knows is the parser's to refuse.
        ("models list --nonsense --sandbox", "--sandbox models list --nonsense"),
        ("zzz --sandbox", "zzz --sandbox"),
        ("data label a --note", "data label a --note"),
        ("models list --db", "--db models list"),
    ],
)
def test_a_global_option_counts_wherever_it_stands(typed: str, arranged: str) -> None:
    root = get_command(app)
    assert isinstance(root, Root)
    assert arrange(root, typed.split()) == (arranged.split(), [])


def test_a_global_option_behind_its_command_does_what_it_does_before_it(store: Store, reasoning: Run) -> None:
    other = store.path.with_name("other.db")
    with open_store(other) as there:
        Samples(there).insert_many([decision(7)])
    before = reasoning("--db", other, "data", "list", "-q")
    assert (before.exit_code, before.stdout) == (0, "0007-decision\n")
    assert reasoning("data", "list", "-q", "--db", other) == before
    assert reasoning("data", "--db", other, "list", "-q") == before
    assert reasoning("models", "list", "--version").stdout == f"reasoning {__version__}\n"


# --- what options were called ---


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            ["data", "label", "0001", "--good", "--as", "ada", "--json"],
            ["data", "label", "0002", "--good", "--annotator", "ada", "--json"],
            "`--as` is called `--annotator` now; the old name still works\n",
        ),
        (
            ["train", "eval", "planning", "--last=5", "--dry-run"],
            ["train", "eval", "planning", "-l", "5", "--dry-run"],
            "`--last` is called `--limit` now; the old name still works\n",
        ),
        (
            ["train", "start", "planning", "--start-date", "2026-11-01", "--dry-run"],
            ["train", "start", "planning", "--since", "2026-11-01", "--dry-run"],
            "`--start-date` is called `--since` now; the old name still works\n",
        ),
    ],
)
def test_an_old_name_works_and_says_the_new_one(
    old: list[str], new: list[str], line: str, store: Store, reasoning: Run
) -> None:
    before, now = reasoning(*old), reasoning(*new)
    assert before.stderr == line + now.stderr
    assert (before.exit_code, before.stdout.replace("0001", "0002")) == (now.exit_code, now.stdout)


def test_the_names_of_the_guide_stay_in_export_without_a_word(store: Store, reasoning: Run) -> None:
    span = ("2026-11-01", "2026-11-30")
    guide = reasoning("data", "export", "--start-date", span[0], "--end-date", span[1], "-o", "-", "--no-redact")
    ours = reasoning("data", "export", "--since", span[0], "--until", span[1], "-o", "-", "--no-redact")
    assert guide.exit_code == 0
    assert (guide.stdout, guide.stderr) == (ours.stdout, ours.stderr)


def test_a_number_behind_m_is_still_minutes_where_it_was(home: Path, reasoning: Run) -> None:
    done = reasoning("costs", "auto-shutdown", "-m", "45")
    assert (done.exit_code, done.stderr) == (
        0,
        "`-m 45` is `--idle-minutes 45` now; `-m` is a model type, as everywhere\n",
    )
    assert reasoning("costs", "auto-shutdown", "-m50").exit_code == 0
    typed = reasoning("costs", "auto-shutdown", "-m", "planning", "--idle-minutes", "40")
    assert (typed.exit_code, typed.stderr) == (0, "")
    settings = {one["name"]: one["value"] for one in json.loads(reasoning("config", "--json").stdout)}
    assert settings["deploy.idle_minutes"] == 50
    assert settings["planning.idle_minutes"] == 40


# --- what other tools call it ---


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("deploy", "models deploy"),
        ("logs", "data list"),
        ("ps", "models status"),
        ("login", "setup` or `reasoning config set-key"),
        ("help", "--help"),
        ("version", "--version"),
        ("promote", "models promote` or `reasoning train promote"),
        ("models delete", "models undeploy"),
        ("models export", "data export"),
        ("models doctor", "doctor"),
        ("config list", "config"),
        ("gateway start", "gateway serve"),
    ],
)
def test_a_command_of_another_tool_leads_to_ours(typed: str, command: str, reasoning: Run) -> None:
    done = reasoning(*typed.split())
    *group, word = typed.split()
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: no such command `{word}`\n"
        f"hint: did you mean `reasoning {command}`? `{' '.join(('reasoning', *group))} --help` shows what it takes\n"
    )


@pytest.mark.parametrize(
    ("typed", "option", "meant"),
    [
        ("data list --start-date 2026-11-01", "--start-date", "--since"),
        ("data list --type planning", "--type", "--model-type"),
        ("models deploy some/model --type planning", "--type", "--as"),
        ("data list -n 5", "-n", "--limit"),
        ("models stop planning -n", "-n", "--dry-run"),
        ("models status --follow", "--follow", "--watch"),
        ("models list -o json", "-o", "--format"),
        ("models list --formt csv", "--formt", "--format"),
    ],
)
def test_an_option_of_another_name_leads_to_ours(typed: str, option: str, meant: str, reasoning: Run) -> None:
    done = reasoning(*typed.split())
    assert (done.exit_code, done.stdout) == (2, "")
    command = " ".join(typed.split()[:2])
    assert done.stderr == (
        f"error: no such option `{option}`\n"
        f"hint: did you mean `{meant}`? `reasoning {command} --help` shows what it takes\n"
    )


# --- filters, formats, none ---


def test_a_room_can_be_exported_alone(store: Store, reasoning: Run) -> None:
    done = reasoning("data", "export", "--room", "r-2", "-o", "room.jsonl", "--json")
    assert (done.exit_code, json.loads(done.stdout)["written"]) == (0, 1)
    assert reasoning("data", "export", "--room", "r-3", "-o", "none.jsonl").exit_code == 1


def test_what_is_imported_can_be_one_rooms_or_a_times(store: Store, reasoning: Run) -> None:
    lines = [
        {"type": "useModel:TEXT_LARGE", "room_id": room, "entity_id": "e", "created_at": f"2026-10-0{day}T12:00:00Z"}
        | {"body": {"prompt": PROMPTS["planning"], "modelType": "TEXT_LARGE", "response": ANSWERS["planning"]}}
        | {"id": f"row-{day}"}
        for day, room in enumerate(("r-1", "r-2", "r-2"), start=1)
    ]
    Path("rows.jsonl").write_text("\n".join(json.dumps(line) for line in lines))

    def taken(*chosen: str) -> tuple[int, dict[str, int]]:
        done = json.loads(reasoning("data", "import", "rows.jsonl", *chosen, "--dry-run", "--again", "--json").stdout)
        return done["added"], done["skipped"]

    assert taken() == (3, {})
    assert taken("--room", "r-2") == (2, {"of another room": 1})
    assert taken("--until", "2026-10-02") == (2, {"after --until": 1})


def test_statistics_can_be_those_of_an_agent_a_room_or_a_time(store: Store, reasoning: Run) -> None:
    def count(*chosen: str) -> tuple[int, int]:
        found = json.loads(reasoning("data", "stats", *chosen, "--json").stdout)
        return found["total"], sum(day["should_respond"] for day in found["by_day"])

    assert count() == (2, 2)
    assert count("--agent", "Atlas") == count("--room", "r-2") == count("--label", "none", "--agent", "Atlas") == (1, 1)
    assert count("--agent", "Nobody") == count("--until", "2020-01-01") == (0, 0)
    assert count("--since", "2020-01-01", "-m", "should-respond") == (2, 2)


def test_what_is_redacted_can_be_one_agents(store: Store, reasoning: Run) -> None:
    done = reasoning("data", "redact", "--agent", "Atlas", "--dry-run", "--json")
    assert json.loads(done.stdout)["looked_at"] == 1


def test_statistics_are_rows_in_every_format(store: Store, reasoning: Run) -> None:
    rows = [json.loads(line) for line in reasoning("data", "stats", "-f", "jsonl").stdout.splitlines()]
    assert [(row["model_type"], row["count"]) for row in rows] == [("should_respond", 2)]
    assert reasoning("data", "stats", "-f", "csv").stdout.startswith("model_type,count,oldest,newest,")
    assert reasoning("data", "stats", "-q").stdout == "should_respond\n"


def test_the_cap_can_be_taken_away_and_comes_back(home: Path, reasoning: Run) -> None:
    done = reasoning("costs", "set-cap", "none")
    assert (done.exit_code, done.stdout) == (0, "There is no cap now: what runs may cost any amount an hour.\n")
    assert reasoning("config", "get", "budget.max_cost_per_hour_usd").stderr.endswith("is not set.\n")
    assert reasoning("costs", "set-cap", "40").exit_code == 0
    assert reasoning("config", "get", "budget.max_cost_per_hour_usd").stdout == "40.00\n"
