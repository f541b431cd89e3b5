"""`train start --engine head`: from the log to a head, and what it says of it, by commands."""

from __future__ import annotations

import json
import os
import re
import resource
import shlex
import shutil
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reasoning_cli.commands.demo.synthetic_agent import AGENT, make_decisions
from reasoning_cli.decisions.answers import ShouldRespondAnswer, decision_of, parse_answer, render_answer
from reasoning_cli.engines.head.model import Head
from reasoning_cli.engines.head.training import Trained, train
from reasoning_cli.operations.data.addressing import Addresser
from reasoning_cli.operations.doctor.check import Status
from reasoning_cli.operations.doctor.heads import check_heads
from reasoning_cli.operations.evaluate.candidates import trained_on
from reasoning_cli.operations.train import head
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import load_settings
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import EVERYTHING, Sample, Samples
from reasoning_cli.store.train.runs import TrainingRuns
from tests.conftest import Run
from tests.heads import ruled_head, store_head
from tests.writes import kills

# What a head saves is reckoned from the traffic of the last days.
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
TRAIN = ("train", "start", "should-respond", "--engine", "head", "--max-error", "5")


@pytest.fixture(scope="module")
def log() -> list[Sample]:
    addresser = Addresser()
    samples = []
    for number, made in enumerate(make_decisions(4000, planning=False, until=TODAY)):
        answer = parse_answer("should_respond", made.output)
        assert isinstance(answer, ShouldRespondAnswer)
        sample = Sample(
            id=f"s{number:05}",
            created_at=made.at,
            model_type="should_respond",
            model="gpt-4o-mini",
            source="original",
            origin="gateway",
            prompt=made.prompt,
            output=made.output,
            decision=decision_of(answer),
            agent_name=AGENT,
            room_id=made.room,
        )
        samples.append(addresser.addressed(sample))
    return samples


@pytest.fixture(scope="module")
def database(log: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "reasoning.db"
    with open_store(path) as store:
        Samples(store).insert_many(log)
    return path


@pytest.fixture
def agent(home: Path, database: Path, log: list[Sample], store_engine: str) -> Path:
    """A home with the log of 4,000 decisions."""
    home.mkdir(mode=0o700)
    if store_engine == "sqlite":
        shutil.copy(database, home / "reasoning.db")
        return home
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many(log)
    return home


@pytest.mark.both_engines
def test_a_head_is_learned_proven_stored_and_said_of(agent: Path, reasoning: Run, log: list[Sample]) -> None:
    done = reasoning(*TRAIN)
    assert done.exit_code == 0, done.stderr
    said = re.match(
        r"(?P<model>head/should-respond-[0-9a-f]{8}) would answer (?P<share>\d+) % of decisions \((?:IGNORE only|IGNORE"
        r" and RESPOND)\); on (?P<rooms>\d+) held-out rooms (?P<disagreed>[\d.]+) % disagreed with the log, at most"
        r" (?P<most>[\d.]+) % counted by rooms; saves \S+ a month; this holds for rooms like those\.",
        done.stdout,
    )
    assert said is not None, done.stdout
    assert int(said["share"]) > 30
    assert float(said["disagreed"]) <= float(said["most"]) <= 5
    for line in ("always", "rules", "model", "ignore, somebody named", "ignore, nobody named"):
        assert re.search(rf"^ *{line} ", done.stdout, re.MULTILINE), line
    file = agent / "heads" / f"{said['model'].removeprefix('head/')}.head"
    assert file.stat().st_mode & 0o777 == 0o600
    assert Head.load(file).agents == (AGENT,)
    with open_store(agent / "reasoning.db") as store:
        run = TrainingRuns(store).of_model(said["model"])
        assert run is not None
        assert run.stage == "done"
        learned = trained_on(store, run.number)
        proven = TrainingRuns(store).trained_on(run.number, "validation")
        assert learned is not None
        assert proven is not None
        assert len({*learned}) + len({*proven}) <= len(log)
        assert not {*learned} & {*proven}
    assert said["model"] in reasoning("train", "show", run.number).stdout
    assert reasoning("train", "list", "--offline", "--json").stdout.count(said["model"]) == 1
    assert said["model"] in reasoning("train", "list", "--json").stdout, "no key is needed where Together has nothing"
    again = reasoning(*TRAIN)
    assert again.exit_code == 0
    assert "nothing is new since" in again.stderr
    assert len(json.loads(reasoning("train", "list", "--offline", "--json").stdout)) == 1


def test_trying_stores_nothing_and_draws_the_curve(agent: Path, reasoning: Run) -> None:
    done = reasoning(*TRAIN, "--dry-run", "--json", "--curve", "head.svg")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["run"], record["file"], record["model"]) == (None, None, None)
    assert record["learned_from"] + record["held_out"] + record["left_out"] == record["samples"] == 4000
    assert record["at_most"] <= 0.05
    assert {(group["label"], group["named"]) for group in record["groups"]} == {
        (label, named) for label in ("IGNORE", "RESPOND") for named in (True, False)
    }
    assert record["scorers"]["model"]["curve"][-1][0] == 1
    assert not (agent / "heads").exists()
    assert json.loads(reasoning("train", "list", "--offline", "--json").stdout) == []
    lines = ElementTree.parse("head.svg").getroot().findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2


def test_where_nothing_is_proven_there_is_no_head_and_it_says_what_is_missing(agent: Path, reasoning: Run) -> None:
    done = reasoning("train", "start", "should-respond", "--engine", "head", "--max-error", "1", "--limit", "2000")
    assert done.exit_code == 1
    assert "would answer nothing" in done.stdout
    error, hint = done.stderr.splitlines()[-2:]
    assert re.fullmatch(r"error: no head: on \d+ held-out rooms nothing is proven to disagree in at most 1\.0 %", error)
    told = re.match(
        r"hint: `(reasoning train start should-respond --engine head(?: --max-error 10)?)` would answer (\d+) %; at"
        r" this bound about [\d,]+ more rooms in the log may be enough$",
        hint,
    )
    assert told is not None, hint
    assert not (agent / "heads").exists()
    wider = reasoning(*told[1].split()[1:], "--limit", "2000")
    assert wider.exit_code == 0, wider.stderr
    assert f"would answer {told[2]} % of decisions" in wider.stdout, "it is as it was said"
    [bounds] = re.findall(r"^ *at other bounds +(.*)", wider.stdout, re.MULTILINE)
    assert bounds.startswith("1 %: nothing; 2 %: ")


def test_labels_count_before_what_the_baseline_answered(agent: Path, reasoning: Run, log: list[Sample]) -> None:
    with open_store(agent / "reasoning.db") as store, store.transaction() as connection:
        for number in range(1, 41):
            output = render_answer(ShouldRespondAnswer(AGENT, "I was asked to.", "RESPOND"))
            connection.execute("UPDATE samples SET label='corrected', corrected=? WHERE seq=?", (output, number))
        connection.execute("UPDATE samples SET label='bad' WHERE seq BETWEEN 41 AND 60")
        connection.execute("UPDATE samples SET source='slot' WHERE seq BETWEEN 61 AND 90")
        prompt = log[100].prompt
        connection.execute("UPDATE samples SET prompt=?, room_id=? WHERE seq=102", (prompt, log[100].room_id))
        other = "IGNORE" if log[100].decision == "RESPOND" else "RESPOND"
        connection.execute("UPDATE samples SET decision=? WHERE seq=102", (other,))
    record = json.loads(reasoning(*TRAIN, "--dry-run", "--json").stdout)
    assert record["samples"] == 4000 - 20 - 30
    assert record["labelled"] == 40
    assert record["contradicting"] >= 2


def test_a_head_that_learned_from_what_is_forgotten_is_stale(agent: Path, reasoning: Run, log: list[Sample]) -> None:
    model = json.loads(reasoning(*TRAIN, "--json").stdout)["model"]
    assert f"{model} is whole" in reasoning("doctor", "--offline").stdout
    forgotten = reasoning("data", "forget", "--room", log[0].room_id, "--yes")
    assert f"{model} learned from them and is stale" in forgotten.stdout + forgotten.stderr
    [listed] = json.loads(reasoning("train", "list", "--offline", "--json").stdout)
    assert re.fullmatch(r"stale: \d+ of its decisions were deleted on request", listed["problem"])
    assert f"{model} is stale" in reasoning("doctor", "--offline").stdout
    anew = json.loads(reasoning(*TRAIN, "--json").stdout)
    assert (anew["is_new"], anew["run"]) == (True, 2)
    assert anew["model"] != model
    assert f"{anew['model']} is whole" in reasoning("doctor", "--offline").stdout
    (agent / "heads" / f"{anew['model'].removeprefix('head/')}.head").write_bytes(b"reasoning head 1 0\n")
    said = " ".join(reasoning("doctor", "--offline").stdout.split())
    assert "is damaged" in said
    assert "reasoning train start should-respond --engine head" in said


def test_a_learned_head_is_listed_by_its_name_and_said_where_its_file_is_gone(agent: Path, reasoning: Run) -> None:
    model = json.loads(reasoning(*TRAIN, "--json").stdout)["model"]
    assert model in reasoning("train", "list", "--offline").stdout
    asked = reasoning("train", "compare", "should-respond")
    assert asked.exit_code == 5
    assert asked.stderr.splitlines()[-2:] == [
        f"error: `{model}` is learned, and not in line: nothing was asked of it",
        f"hint: `reasoning models enable {model} --mode shadow` puts it beside the baseline",
    ]
    with open_store(agent / "reasoning.db") as store, store.transaction() as connection:
        connection.execute("UPDATE samples SET source='slot', model=? WHERE seq=1", (model,))
    assert reasoning("models", "enable", model, "--mode", "live").exit_code == 0
    [tenure] = json.loads(reasoning("train", "history", "--json").stdout)
    assert (tenure["model"], tenure["state"]) == (model, "in line")
    (agent / "heads" / f"{model.removeprefix('head/')}.head").unlink()
    [tenure] = json.loads(reasoning("train", "history", "--json").stdout)
    assert (tenure["state"], "there is no head" in tenure["why"]) == ("unusable", True)
    [listed] = json.loads(reasoning("train", "list", "--offline", "--json").stdout)
    assert (listed["state"], listed["problem"]) == ("done", "its file is gone: train it anew")
    assert re.search(r"^ +1 +should-respond +gone ", reasoning("train", "list", "--offline").stdout, re.MULTILINE)
    shown = reasoning("train", "show", "1")
    assert re.search(r"^ *problem +its file is gone", shown.stdout, re.MULTILINE), shown.stdout
    assert shown.stderr.splitlines()[-1] == "hint: once more: `reasoning train start should-respond --engine head`"
    assert "there is no head" in " ".join(reasoning("doctor", "--offline").stdout.split())


def test_what_is_suggested_names_the_bound_of_the_head(agent: Path, reasoning: Run, log: list[Sample]) -> None:
    assert reasoning("train", "start", "should-respond", "--engine", "head", "--max-error", "10").exit_code == 0
    again = "`reasoning train start should-respond --engine head --max-error 10`"
    forgotten = reasoning("data", "forget", "--room", log[0].room_id, "--yes")
    for said in (
        forgotten.stdout + forgotten.stderr,
        reasoning("train", "show", "1").stderr,
        reasoning("train", "promote", "should-respond", "--to", "1", "--yes").stderr,
    ):
        assert again in " ".join(said.split()), said
    assert again.strip("`") in " ".join(reasoning("doctor", "--offline").stdout.split())


def test_a_run_that_made_a_head_is_promoted_by_its_number(home: Path, reasoning: Run) -> None:
    store_head(home, ruled_head("Ada"))
    with open_store(home / "reasoning.db") as store:
        now = datetime(2026, 11, 29, tzinfo=UTC)
        made = {"base": "head", "method": "head", "plan": {}, "train_sha256": "1", "validation_sha256": "2"}
        event = Event(now, "operator", "train_done", "should-respond")
        TrainingRuns(store).add_done("should_respond", "head/should-respond", at=now, event=event, **made)
    refused = reasoning("train", "promote", "should-respond", "--to", "1", "--yes")
    assert refused.exit_code == 6, refused.stderr
    assert "`reasoning train eval should-respond --model head/should-respond`" in refused.stderr


def test_doctor_says_when_the_agent_was_renamed(agent: Path, reasoning: Run, log: list[Sample]) -> None:
    assert reasoning(*TRAIN).exit_code == 0
    with open_store(agent / "reasoning.db") as store:
        Samples(store).insert_many([replace(log[0], id="eva", agent_name="Eva", created_at=datetime.now(UTC))])
    said = " ".join(reasoning("doctor", "--offline").stdout.split())
    assert "decides for Ada, and the newest decision is Eva's" in said


def change(agent: Path, statement: str) -> None:
    with open_store(agent / "reasoning.db") as store:
        store.write(statement)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM samples WHERE seq > 30", "30 decisions are too few to learn from"),
        ("UPDATE samples SET room_id = 'r'", "all 4,000 decisions are of one room"),
        ("UPDATE samples SET decision = 'IGNORE'", "there is no RESPOND among 4,000 decisions"),
        ("DELETE FROM samples", "0 decisions are too few"),
    ],
    ids=["30 samples", "one room", "one kind", "an empty log"],
)
def test_a_log_that_nothing_can_be_learned_from_is_refused(
    agent: Path, reasoning: Run, statement: str, message: str
) -> None:
    change(agent, statement)
    done = reasoning(*TRAIN)
    assert done.exit_code == 1
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith(f"error: {message}")
    assert hint.startswith("hint: ")
    assert not (agent / "heads").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("planning", "--engine", "head"), "a head decides should-respond only"),
        (("should-respond", "--engine", "hand"), "`hand` is not an engine"),
        (("should-respond", "--max-error", "2"), "--max-error is of a head"),
        (("should-respond", "--engine", "head", "--max-error", "half"), "`half` is not a bound"),
        (("should-respond", "--engine", "head", "--max-error", "0"), "`0` is not a bound"),
        (("should-respond", "--engine", "head", "--epochs", "3"), "--engine head has no --epochs"),
        (("should-respond", "--engine", "head", "--suffix", "../x"), "`../x` is not a name of a head"),
    ],
)
def test_what_goes_with_no_head_is_refused(agent: Path, reasoning: Run, options: tuple[str, ...], message: str) -> None:
    done = reasoning("train", "start", *options)
    assert done.exit_code == 2
    assert message in done.stderr.splitlines()[-2]


def test_without_scikit_learn_it_says_which_extra_is_missing(
    agent: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    done = reasoning(*TRAIN)
    assert done.exit_code == 4
    assert done.stderr.splitlines()[-2:] == [
        "error: training a head needs scikit-learn, which is not installed",
        "hint: `pip install 'reasoning[head]'`; serving a head needs nothing more",
    ]


def learn(agent: Path) -> Trained:
    """What a training finds, which is the same each time."""
    with open_store(agent / "reasoning.db") as store:
        request = head.HeadRequest(EVERYTHING, 0.05)
        return train(head._decisions(store, request, lambda what, detail: None), max_error=0.05)


def test_killed_before_each_write_the_same_command_does_what_is_left(
    agent: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, heads, written = learn(agent), agent / "heads", []
    monkeypatch.setattr(head, "train", lambda samples, **options: found)

    def train_it() -> str:
        done = reasoning(*TRAIN, "--json")
        assert done.exit_code == 0, done.stderr
        return str(json.loads(done.stdout)["model"])

    for what in kills(agent, train_it):
        written.append(what)
        with open_store(agent / "reasoning.db") as store:
            runs = TrainingRuns(store).all()
            assert (len(events(store)), exports(store)) == (len(runs), 2 * len(runs)), "all of a run, or nothing"
            assert [run.stage for run in runs] in ([], ["done"])
            settings = load_settings(find_paths(dict(os.environ)), dict(os.environ))
            assert [check.status for check in check_heads(store, settings)] == [Status.OK] * len(runs)
        for file in heads.glob("*"):
            Head.load(file)
        for left in heads.glob(".*"):
            os.utime(left, (0, 0))  # as if it had been left an hour ago
        model = train_it()
        assert [path.name for path in heads.iterdir()] == [f"{model.removeprefix('head/')}.head"]
        with open_store(agent / "reasoning.db") as store:
            [run] = TrainingRuns(store).all()
            assert (run.model_name, [event.detail["run"] for event in events(store)]) == (model, [run.number])
            assert exports(store) == 2
            for table in ("training_runs", "exports", "events"):
                store.write(f"DELETE FROM {table}")
        shutil.rmtree(heads)
    assert [what.split()[0] for what in written] == ["os.mkdir", "open", "os.rename", "COMMIT"]


def events(store: Store) -> list[Event]:
    return [event for event in Events(store).list() if event.action == "train_done"]


def exports(store: Store) -> int:
    return store.number("SELECT count(*) FROM exports")


def test_a_disk_without_room_for_a_head_is_said_with_what_helps(agent: Path, reasoning: Run) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        done = reasoning(*TRAIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert done.exit_code == 1
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: cannot write")
    assert hint.startswith("hint: nothing was stored; free some space")
    assert list((agent / "heads").iterdir()) == []


def test_the_guide_can_be_typed(agent: Path, reasoning: Run) -> None:
    guide = (Path(__file__).parents[3] / "docs/guides/head.md").read_text()
    block = guide.split("```sh\n")[1].split("```")[0]
    lines = [shlex.split(line, comments=True) for line in block.splitlines() if line.strip()]
    assert len(lines) > 3
    for program, *arguments in lines:
        assert program == "reasoning"
        done = reasoning(*arguments)
        assert done.exit_code == 0 or arguments[0] == "doctor", done.stderr
    assert "is whole" in done.stdout
