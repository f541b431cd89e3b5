"""Training by the operator's own trainer: real small ones, followed, stopped, killed, and registered with what they
were trained on. No key of Together is set, and nobody is asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.operations.train.command.run import without_secrets
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from tests.commands.train.test_eval import samples
from tests.conftest import Run
from tests.gateway.model_server import ModelServer
from tests.gateway.provider import Provider
from tests.sandbox.decisions import decisions
from tests.waiting import until
from tests.writes import kills

GOOD = 'cp "$REASONING_TRAIN_FILE" "$REASONING_OUTPUT_DIR/weights"; env > "$REASONING_OUTPUT_DIR/env"; echo "loss: 0.5"'
# Trains until it is let go, and writes nothing before.
WAITS = 'until [ -f go ]; do sleep 0.05; done; echo made > "$REASONING_OUTPUT_DIR/weights"'


@pytest.fixture(autouse=True)
def log(home: Path) -> None:
    home.mkdir(mode=0o700, exist_ok=True)
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many(samples(list(decisions("should_respond", 120, 1)), name="n"))


def train(reasoning: Run, command: str, *more: str) -> tuple[int, str, str]:
    words = ("train", "start", "should-respond", "--engine", "command", "--command", command, "--yes", *more)
    done = reasoning(*words)
    return done.exit_code, done.stdout, done.stderr


def newest(home: Path) -> TrainingRun:
    with open_store(home / "reasoning.db") as store:
        run = TrainingRuns(store).latest("should_respond")
    assert run is not None
    return run


def started(command: str, *more: str) -> subprocess.Popen[bytes]:
    words = ["train", "start", "should-respond", "--engine", "command", "--command", command, "--yes", *more]
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", "reasoning_cli", *words], stdout=quiet, stderr=quiet)


def folder(home: Path, number: int = 1) -> Path:
    found = next(home.rglob("trainer.log")).parent
    return found.with_name(str(number))


def test_a_trainer_gets_none_of_our_addresses_with_a_password() -> None:
    others = {"REASONING_STORE_SCHEMA": "reasoning", "REASONING_DATABASE_URL": "", "THEIRS": "ftp://me:secret@host"}
    with_host = {"REASONING_STORE_URL": "postgresql://host/decisions"}
    with_password = {"REASONING_STORE_URL": "postgresql://me:secret@host/decisions"}
    assert without_secrets(others | with_host) == others | with_host
    assert without_secrets(others | with_password) == others


def test_a_trainer_gets_the_split_and_what_it_makes_is_registered(
    reasoning: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "together-secret")
    monkeypatch.setenv("HF_TOKEN", "the operator's own")
    code, out, err = train(reasoning, GOOD, "--base", "smol", "--suffix", "mine")
    assert code == 0, err
    run = newest(home)
    assert (run.stage, run.base, run.job_id) == ("done", "smol", None)
    assert run.model_name == f"local/{run.suffix}"
    assert f"Run 1 is done: {run.model_name} for should-respond." in out
    assert f"reasoning config set should_respond.model {run.model_name}" in err
    made = folder(home) / "output"
    told = dict(line.partition("=")[::2] for line in (made / "env").read_text().splitlines() if "=" in line)
    assert told["REASONING_BASE_MODEL"] == "smol"
    assert told["REASONING_OUTPUT_DIR"] == str(made)
    assert told["REASONING_MODEL_NAME"] == run.model_name
    assert told["REASONING_VALIDATION_FILE"].endswith(".validation.jsonl")
    assert (told["REASONING_METHOD"], told["REASONING_SEED"], told["REASONING_RUN"]) == ("sft", "0", "1")
    assert told["HF_TOKEN"] == "the operator's own"
    assert not any("together-secret" in value for value in told.values())
    lines = [json.loads(line) for line in (made / "weights").read_text().splitlines()]
    assert len(lines) == run.plan["samples"]["train"]  # type: ignore[index]
    assert lines[0]["messages"][-1]["role"] == "assistant"
    assert (folder(home) / "trainer.log").read_text().strip() == "loss: 0.5"
    assert not list(folder(home).glob("*.jsonl")), "the samples are cleared away, and the manifest stays"
    assert run.manifest is not None
    assert Path(run.manifest).is_file()
    with open_store(home / "reasoning.db") as store:
        trained = TrainingRuns(store).trained_on(1)
        assert trained is not None
        assert len(list(trained)) == len(lines)
    record = json.loads(reasoning("train", "show", "1", "--json").stdout)
    assert (record["engine"], record["command"], record["model"]) == ("command", GOOD, run.model_name)


@pytest.mark.parametrize(
    ("command", "more", "said"),
    [
        ("echo it burned; exit 3", (), "its trainer ended with exit code 3: it burned"),
        ("exit 1", (), "its trainer ended with exit code 1, and says nothing"),
        ("no-such-trainer", (), "its trainer ended with exit code 127"),
        ("true", (), "its trainer ended well, and wrote nothing to"),
        ("touch $REASONING_OUTPUT_DIR/empty", (), "its trainer ended well, and wrote nothing to"),
        ("sleep 600", ("--timeout-minutes", "0.005"), "its trainer ran longer than 0.005 minutes, and was stopped"),
        ("trap '' INT; sleep 600", ("--timeout-minutes", "0.005"), "ran longer than 0.005 minutes"),
    ],
)
def test_a_trainer_that_fails_registers_nothing(
    reasoning: Run, home: Path, command: str, more: tuple[str, ...], said: str
) -> None:
    code, _, err = train(reasoning, command, *more)
    assert (code, said in err) == (1, True), err
    assert "hint: its log and all about it: `reasoning train show 1`" in err
    run = newest(home)
    assert (run.stage, run.model_name) == ("failed", None)
    assert not [line for line in alive(home) if "sleep 600" in line], "nothing of it runs on"
    shown = reasoning("train", "show", "1").stdout
    assert "trainer.log" in shown
    assert reasoning("train", "status").exit_code == 0


def alive(home: Path) -> list[str]:
    """What runs of the trainers of one home, by its command: other tests have theirs at the same time."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environ = (entry / "environ").read_bytes()
            if b"REASONING_RUN=" in environ and os.fsencode(home) in environ:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_killed_in_the_midst_the_trainer_goes_on_and_is_found_again(reasoning: Run, home: Path) -> None:
    with started(WAITS) as ours:
        until(lambda: list(home.rglob("training/*/pid")), "the trainer")
        ours.send_signal(signal.SIGKILL)
    status = reasoning("train", "status")
    assert status.exit_code == 0, status.stderr
    assert "its trainer runs" in status.stderr
    assert newest(home).stage == "training"
    Path("go").touch()
    done = reasoning("train", "start", "should-respond", "--yes")
    assert done.exit_code == 0, done.stderr
    assert (newest(home).stage, newest(home).number) == ("done", 1)


def test_a_trainer_that_was_killed_can_be_started_again_or_given_up(reasoning: Run, home: Path) -> None:
    with started(WAITS) as ours:
        until(lambda: list(home.rglob("training/*/pid")), "the trainer")
        ours.send_signal(signal.SIGKILL)
    os.killpg(int((folder(home) / "pid").read_text()), signal.SIGKILL)
    until(lambda: "its trainer was killed" in reasoning("train", "status").stderr, "the truth")
    run = newest(home)
    assert (run.stage, run.problem) == ("exported", "its trainer was killed, and nothing of it runs")
    Path("go").touch()
    assert reasoning("train", "start", "should-respond", "--yes").exit_code == 0
    assert newest(home).stage == "done"


def test_ctrl_c_stops_the_trainer_and_the_same_command_goes_on(reasoning: Run, home: Path) -> None:
    with started(WAITS) as ours:
        until(lambda: list(home.rglob("training/*/pid")), "the trainer")
        ours.send_signal(signal.SIGINT)
        assert ours.wait(60) == 130
    assert not [line for line in alive(home) if "until [" in line]
    assert newest(home).stage == "exported"
    Path("go").touch()
    code, _, err = train(reasoning, WAITS)
    assert code == 0, err
    assert (newest(home).number, newest(home).stage) == (1, "done")


def test_a_detached_trainer_is_watched_and_cancelled(reasoning: Run, home: Path) -> None:
    code, _, err = train(reasoning, WAITS, "--detach")
    assert code == 0, err
    assert newest(home).stage == "training"
    ended = reasoning("train", "cancel", "1", "--yes")
    assert (ended.exit_code, "Run 1 is cancelled" in ended.stdout) == (0, True), ended.stderr
    assert not [line for line in alive(home) if "until [" in line]
    assert newest(home).stage == "cancelled"
    assert not list(folder(home).glob("*.jsonl"))


def test_the_same_again_trains_nothing_new(reasoning: Run, home: Path) -> None:
    assert train(reasoning, GOOD)[0] == 0
    code, _, err = train(reasoning, GOOD)
    assert (code, "nothing is new since" in err) == (0, True)
    assert train(reasoning, GOOD, "--again")[0] == 0
    assert newest(home).number == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--engine command", "--engine command and --command go together"),
        ("--command true", "--engine command and --command go together"),
        ("--engine hired --command true", "`hired` is not an engine that trains"),
        ("--engine command --command true --epochs 3", "--epochs is Together's"),
        ("--engine command --command true --from-job ft-1", "--from-job is Together's"),
        ("--for trl", "--for says in whose form"),
        ("--timeout-minutes 3", "--timeout-minutes stops a --command"),
        ("--engine command --command true --for vim", "`vim` is not a trainer"),
    ],
)
def test_what_does_not_go_together_is_refused(reasoning: Run, words: str, said: str) -> None:
    done = reasoning("train", "start", "should-respond", *words.split())
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_a_dry_run_shows_the_plan_and_starts_nothing(reasoning: Run, home: Path) -> None:
    code, out, _ = train(reasoning, GOOD, "--dry-run")
    assert (code, "price" in out, GOOD[:20] in out) == (0, True, True)
    with open_store(home / "reasoning.db") as store:
        assert TrainingRuns(store).latest("should_respond") is None
    code, out, _ = train(reasoning, GOOD, "--dry-run", "--json")
    assert json.loads(out)["engine"] == "command"


# --- what is known of such a model ---


@pytest.fixture
def served(home: Path, reasoning: Run) -> Iterator[Provider]:
    """A server for what was trained."""
    server = Provider(ModelServer())
    reasoning("config", "set", "should_respond.provider_url", f"{server.url}/v1")
    yield server
    server.close()


def exported(reasoning: Run, *more: str) -> Path:
    done = reasoning("data", "export", "-m", "should-respond", "--split", "0.8/0.2", "-o", "ds.jsonl", *more)
    assert done.exit_code == 0, done.stderr
    return Path("ds.jsonl.manifest.json")


@pytest.mark.parametrize("how", ["command", "adopt"])
def test_what_a_model_was_trained_on_is_left_out_of_its_evaluation(
    reasoning: Run, home: Path, served: Provider, how: str
) -> None:
    if how == "command":
        assert train(reasoning, GOOD, "--split", "0.8/0.2")[0] == 0
        name = newest(home).model_name
    else:
        name = "mine/by-hand"
        done = reasoning("train", "adopt", name, "--dataset", str(exported(reasoning)), "--base", "smol")
        assert done.exit_code == 0, done.stderr
        assert f"{name} is training run 1, trained on" in done.stdout
    assert name is not None
    run = newest(home)
    sides = run.plan["samples"]
    assert isinstance(sides, dict)
    reasoning("config", "set", "should_respond.model", name)
    for words in ((), ("--model", name), ("--model", "1"), ("--holdout",)):
        done = reasoning("train", "eval", "should-respond", *words, "--yes", "--json")
        assert done.exit_code == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["models"][1]["training"] == "known", report["models"][1]
        assert report["count"] <= 120 - sides["train"], "what it learned is not asked"
        assert f"in the training of {name}" in json.dumps(report["left_out"]) or words == ("--holdout",)
    with open_store(home / "reasoning.db") as store:
        number = next(iter(TrainingRuns(store).trained_on(1) or ()))
        sample = next(found for found in Samples(store).iterate() if found.seq == number)
    forgotten = reasoning("data", "forget", "--id", sample.id, "--dry-run")
    assert "1" in forgotten.stdout
    assert reasoning("train", "list", "--json").exit_code == 0


def test_without_a_server_such_a_model_cannot_be_asked(reasoning: Run, home: Path) -> None:
    assert train(reasoning, GOOD)[0] == 0
    done = reasoning("train", "eval", "should-respond", "--model", "1", "--yes")
    assert done.exit_code == 5, done.stderr
    assert "has no server that serves it" in done.stderr
    assert "reasoning config set should_respond.provider_url URL" in done.stderr


@pytest.mark.parametrize(
    ("content", "exit_code", "said"),
    [
        ("not JSON", 1, "is not a manifest of an export"),
        ("[]", 1, "is not a manifest of an export"),
        ('{"files": [1]}', 1, "is not a manifest of an export"),
        ('{"files": [{"side": "train", "sha256": "00"}]}', 1, "is not known here"),
        (None, 1, "cannot read"),
    ],
)
def test_what_nobody_can_vouch_for_is_not_adopted(
    reasoning: Run, home: Path, content: str | None, exit_code: int, said: str
) -> None:
    if content is not None:
        Path("m.json").write_text(content)
    done = reasoning("train", "adopt", "mine", "--dataset", "m.json")
    assert (done.exit_code, said in done.stderr, "hint:" in done.stderr) == (exit_code, True, True), done.stderr


def test_a_name_is_adopted_once(reasoning: Run, home: Path) -> None:
    manifest = str(exported(reasoning))
    assert reasoning("train", "adopt", "mine", "--dataset", manifest).exit_code == 0
    done = reasoning("train", "adopt", "mine", "--dataset", manifest)
    assert (done.exit_code, "`mine` is known already" in done.stderr) == (1, True)
    done = reasoning("train", "adopt", "other", "--dataset", manifest, "-m", "planning")
    assert (done.exit_code, "holds no planning decisions" in done.stderr) == (2, True)


def test_adopting_that_is_killed_before_a_write_leaves_nothing_half(reasoning: Run, home: Path) -> None:
    manifest = str(exported(reasoning))

    def adopt() -> None:
        done = reasoning("train", "adopt", "mine", "--dataset", manifest)
        assert done.exit_code == 0, done.stderr

    written = []
    for what in kills(home, adopt):
        written.append(what)
        adopt()
        with open_store(home / "reasoning.db") as store:
            [run] = TrainingRuns(store).all()
            adopted = [event for event in Events(store).list() if event.action == "train_adopt"]
            assert [event.detail["run"] for event in adopted] == [run.number]
            store.write("DELETE FROM training_runs")
            store.write("DELETE FROM events")
    assert "COMMIT" in written
