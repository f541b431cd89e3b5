"""`data export` as data sets, and `data check`: what is typed, what is said, what is there afterwards."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.store.open import open_store
from tests import once
from tests.conftest import Run
from tests.waiting import until


@pytest.fixture
def filled(reasoning: Run, home: Path) -> Run:
    """A log of a few hundred made-up decisions."""
    home.mkdir(exist_ok=True)
    with open_store(home / "reasoning.db") as store:
        once.fill_log(store, 600, seed=3, prompt_bytes=1200)
    return reasoning


@pytest.mark.both_engines
def test_a_split_names_its_files_shares_and_manifest(filled: Run) -> None:
    done = filled("data", "export", "-o", "a.jsonl", "--split", "0.8/0.2", "--dedupe", "near", "--seed", "1")
    assert done.exit_code == 0
    assert done.stderr == (
        "hint: a training exports by itself; its plan and price: `reasoning train start TYPE --dry-run`\n"
    )
    here = Path().resolve()
    said = done.stdout.splitlines()
    assert said[0].split(" written to ")[1].startswith("2 files, ")
    for side, line in zip(("train", "validation"), said[1:], strict=False):
        assert line.startswith(f"{side}: ")
        assert line.endswith(f"in {here}/a.{side}.jsonl")
    assert f"all about it in {here}/a.jsonl.manifest.json" in said
    assert any(line.startswith("redacted: ") for line in said)
    assert "a copy of another sample" in done.stdout
    again = filled("data", "export", "-o", "b.jsonl", "--split", "0.8/0.2", "--dedupe", "near", "--seed", "1")
    assert again.exit_code == 0
    assert Path("a.train.jsonl").read_bytes() == Path("b.train.jsonl").read_bytes()
    refused = filled("data", "export", "-o", "a.jsonl", "--split", "0.8/0.2")
    assert (refused.exit_code, "--force" in refused.stderr) == (1, True)


def test_redaction_is_on_unless_it_is_turned_off(filled: Run) -> None:
    on = filled("data", "export", "-o", "on.jsonl", "--json")
    off = filled("data", "export", "-o", "off.jsonl", "--no-redact")
    assert json.loads(on.stdout)["redactions"]
    assert "nothing was redacted: --no-redact" in off.stdout
    assert "[EMAIL_" in Path("on.jsonl").read_text(encoding="utf-8")
    found = json.loads(filled("data", "check", "off.jsonl", "--json").stdout)
    assert found["secrets"]["email"] > 0
    assert json.loads(filled("data", "check", "on.jsonl", "--json").stdout)["secrets"] == {}


def test_the_form_of_prompts_is_the_slots_unless_it_is_typed(filled: Run) -> None:
    told = filled("data", "export", "-m", "planning", "-o", "a.jsonl", "--compact")
    assert "planning is exported compact, and its slot asks exact:" in told.stdout
    assert "`reasoning config set planning.prompt_form compact`" in told.stdout
    assert filled("config", "set", "planning.prompt_form", "compact").exit_code == 0
    same = filled("data", "export", "-m", "planning", "-o", "b.jsonl")
    assert "its slot asks" not in same.stdout
    assert "# Decision for " in Path("b.jsonl").read_text(encoding="utf-8")
    assert json.loads(Path("b.jsonl.manifest.json").read_text())["prompt_form"]["planning"] == "compact"


def test_days_are_told_with_the_zone_they_are_in(filled: Run) -> None:
    done = filled("data", "export", "--start-date", "2020-01-01", "--end-date", "2099-12-31", "-o", "a.jsonl")
    assert "asked for: from 2020-01-01 00:00 until before 2100-01-01 00:00 (your zone)" in done.stdout


def test_a_dry_run_says_what_would_be_and_writes_nothing(filled: Run) -> None:
    before = sorted(Path().iterdir())
    done = filled("data", "export", "-o", "a.jsonl", "--dry-run")
    assert done.exit_code == 0
    assert " would be written to a file, " in done.stdout
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dedupe", "some"], "`some` is not a way to find copies"),
        (["--split", "1/2"], "`1/2` is not a split"),
        (["--split", "0.5/0.5", "-o", "-"], "a split is several files, and a stream is one"),
        (["--max-tokens", "0"], "--max-tokens 0 would export nothing"),
        (["--min-confidence", "2"], "`2` is not a number from 0 to 1"),
        (["--no-redact", "--redact-names"], "--redact-names and --no-redact contradict each other"),
        (["--preference", "--label", "good"], "preferences are made of corrected decisions alone"),
        (["-f", "xml"], "`xml` is not a format for training data"),
        (["--for", "hf"], "`hf` is not a trainer whose files are known"),
        (["--for", "trl", "-f", "csv"], "--for trl writes jsonl, and csv was asked for"),
        (["--for", "openai", "-o", "a.parquet"], "--for openai writes jsonl, and parquet was asked for"),
        (["--for", "axolotl", "-o", "a.json"], "--for axolotl writes jsonl, and json was asked for"),
    ],
)
def test_what_makes_no_sense_is_refused(filled: Run, options: list[str], said: str) -> None:
    done = filled("data", "export", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}\n")


@pytest.mark.both_engines
def test_filters_by_label_source_and_confidence(filled: Run) -> None:
    def written(*options: str) -> int:
        return int(
            json.loads(filled("data", "export", "-o", "a.jsonl", "--force", "--json", *options).stdout)["written"]
        )

    every = written()
    assert 0 < written("--source", "slot") < every
    assert 0 < written("--label", "good") < every
    assert 0 < written("--min-confidence", "0.5") < every


def test_a_check_refuses_with_the_lines_and_exit_code_1(reasoning: Run) -> None:
    Path("a.jsonl").write_text('{"text": "a"}\nnope\n', encoding="utf-8")
    done = reasoning("data", "check", "a.jsonl")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[0].startswith("Together would refuse it: 1 sample (text), 19 B")
    assert "line 2" in done.stdout
    record = json.loads(reasoning("data", "check", "a.jsonl", "--json").stdout)
    assert (record["accepted"], record["refusals"]) == (False, {"not JSON": 1})
    assert record["flaws"] == [{"line": 2, "reason": "not JSON", "refused": True}]
    assert reasoning("data", "check", "nothing.jsonl").exit_code == 5


def test_a_check_of_what_was_exported_finds_nothing_refused(filled: Run) -> None:
    filled("data", "export", "-o", "a.jsonl", "--split", "0.7/0.3", "--dedupe", "near")
    done = filled("data", "check", "a.train.jsonl", "--against", "a.validation.jsonl")
    assert done.exit_code == 0
    assert done.stdout.startswith("Together takes it: ")
    assert "other file" not in done.stdout


@pytest.fixture
def large(home: Path) -> None:
    """As many decisions as several processes are used for."""
    home.mkdir(exist_ok=True)
    with open_store(home / "reasoning.db") as store:
        once.fill_log(store, 21_000, seed=3, prompt_bytes=200, copies=0, secrets=0)


@pytest.mark.usefixtures("large")
def test_stdout_gets_what_a_file_gets_and_may_be_closed_early(process: Run) -> None:
    assert process("data", "export", "-o", "a.jsonl", "--no-redact").exit_code == 0
    command = f"{sys.executable} -P -m reasoning_cli data export --no-redact -o -"
    whole = subprocess.run(["sh", "-c", f"{command} | sha256sum"], capture_output=True, text=True, check=True)
    assert whole.stdout.split()[0] == json.loads(Path("a.jsonl.manifest.json").read_text())["files"][0]["sha256"]
    assert " written to stdout, " in whole.stderr
    first = subprocess.run(["sh", "-c", f"{command} | head -1"], capture_output=True, text=True, check=True)
    assert (first.stdout.count("\n"), first.stderr) == (1, "")


@pytest.mark.usefixtures("large")
def test_ctrl_c_leaves_nothing_and_no_process() -> None:
    program = subprocess.Popen(
        [sys.executable, "-P", "-m", "reasoning_cli", "data", "export", "-o", "a.jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: list(Path().glob(".a.jsonl.*.part")) or program.poll() is not None, "the export")
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert (program.returncode in (130, -signal.SIGINT), out) == (True, "")
    assert "Interrupted. Nothing was written." in err
    assert "Traceback" not in err
    assert [one for one in Path().iterdir() if "a.jsonl" in one.name] == []
    listed = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listed.splitlines() if line.split()[0] == str(program.pid)]


def test_examples_are_decisions_a_check_knows(reasoning: Run) -> None:
    lines = [
        {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": "x"}]}
        for prompt in EXAMPLES.values()
    ]
    Path("a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    record = json.loads(reasoning("data", "check", "a.jsonl", "--json").stdout)
    assert list(record["decisions"]) == ["coding"]
    assert record["warnings"] == {"an answer the agent could not use: no XML answer": 2}


def test_the_suffix_of_the_file_says_the_format(filled: Run) -> None:
    assert filled("data", "export", "-o", "a.csv", "--limit", "5").exit_code == 0
    assert Path("a.csv").read_text(encoding="utf-8").startswith("system,prompt,completion\n")
    assert filled("data", "export", "-o", "a.json", "--limit", "5").exit_code == 0
    assert len(json.loads(Path("a.json").read_text(encoding="utf-8"))) > 1
    assert filled("data", "export", "-o", "a.txt", "--limit", "5").exit_code == 0
    assert json.loads(Path("a.txt").read_text(encoding="utf-8").splitlines()[0])["messages"]


@pytest.mark.parametrize("words", ["-o a.csv -f jsonl", "-o a.jsonl --format parquet", "-o a.jsonl.gz", "-o a.xlsx"])
def test_a_name_that_says_another_format_is_refused(filled: Run, words: str) -> None:
    refused = filled("data", "export", *words.split())
    assert (refused.exit_code, "would be called" in refused.stderr, list(Path().iterdir())) == (2, True, [])


def test_no_file_of_an_earlier_export_stays_beside_a_manifest_that_does_not_name_it(filled: Run) -> None:
    export = ("data", "export", "-o", "a.jsonl")
    assert filled(*export, "--split", "0.8/0.1/0.1").exit_code == 0
    refused = filled(*export)
    assert (refused.exit_code, "a.train.jsonl` exists already" in refused.stderr) == (1, True)
    replaced = filled(*export, "--force", "--split", "0.9/0.1")
    assert replaced.exit_code == 0
    assert "of the export before, these are gone: a.test.jsonl\n" in replaced.stdout
    names = ["a.jsonl.manifest.json", "a.train.jsonl", "a.validation.jsonl"]
    assert sorted(one.name for one in Path().iterdir()) == names
    with Path("a.train.jsonl").open("a", encoding="utf-8") as file:
        file.write("mine\n")
    refused = filled(*export, "--force")
    assert (refused.exit_code, "was changed since" in refused.stderr) == (1, True)
    assert sorted(one.name for one in Path().iterdir()) == names
    Path("a.train.jsonl").unlink()
    assert filled(*export, "--force").exit_code == 0
    assert sorted(one.name for one in Path().iterdir()) == ["a.jsonl", "a.jsonl.manifest.json"]


@pytest.mark.parametrize(
    ("trainer", "options", "hint"),
    [
        ("trl", [], 'this is for TRL: `load_dataset("json", data_files="{file}", split="train")` for `SFTTrainer`'),
        ("trl", ["--preference"], "this is for TRL: {load} for `DPOTrainer`"),
        ("axolotl", [], "this is for axolotl: `path: {file}`, `ds_type: json`, `type: chat_template`"),
        ("axolotl", ["--preference"], "this is for axolotl: `rl: dpo`, `path: {file}`, "),
        ("openai", [], "this is for OpenAI: send {file} for `fine-tune` and train with the method `supervised`"),
    ],
)
def test_a_file_for_another_trainer_says_so(filled: Run, trainer: str, options: list[str], hint: str) -> None:
    file = Path("a.jsonl").resolve()
    load = f'`load_dataset("json", data_files="{file}", split="train")`'
    done = filled("data", "export", "--for", trainer, "-o", "a.jsonl", *options)
    assert done.exit_code == 0
    told = " ".join(done.stderr.split())
    assert told.startswith(f"hint: {hint.format(file=file, load=load)}")
    assert told.endswith("; `reasoning data check` judges by Together's rules")
    assert json.loads(Path("a.jsonl.manifest.json").read_text())["trainer"] == trainer
    again = filled("data", "export", "--for", trainer, "-o", "-", "--json", *options)
    assert json.loads(again.stderr)["trainer"] == trainer


def test_an_export_of_archives_as_it_is_typed(filled: Run) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("duckdb")
    assert filled("data", "archive", "--older-than", "1", "-o", "archive", "--delete", "--yes").exit_code == 0
    done = filled("data", "export", "--from", "archive", "--from", "log", "-o", "out", "--json")
    record = json.loads(done.stdout)
    assert record["target"] == str(Path("out").absolute())
    assert record["shards"] == sorted(path.name for path in Path("out").glob("*.jsonl"))
    lines = [line for path in Path("out").glob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == record["written"] > 0
    again = filled("data", "export", "--from", "archive", "-o", "out")
    assert (again.exit_code, "holds a dataset already" in again.stderr) == (1, True)
    planned = filled("data", "export", "--from", "archive", "-o", "other", "--dry-run")
    assert "would be written to " in planned.stdout and not Path("other").exists()
    for words, said in (
        (("--engine", "ray://x:1"), "an engine is for archives"),
        (("--from", "archive", "-f", "csv"), "a folder of shards"),
        (("--from", "archive", "-o", "-"), "a folder of shards"),
        (("--from", "archive", "--engine", "spark"), "is not an engine"),
        (("--from", "gs://x"), "cannot hold datasets"),
    ):
        refused = filled("data", "export", *words)
        assert (refused.exit_code, said in refused.stderr) == (2, True), refused.stderr
    figures = [
        json.loads(filled("data", "stats", *words, "--json").stdout)
        for words in (("--from", "archive"), ("--from", "archive", "--from", "log"))
    ]
    assert figures[0]["total"] <= figures[1]["total"] == 600
