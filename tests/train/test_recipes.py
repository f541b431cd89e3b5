"""The recipes of the guide: their commands, arguments and environment are what the program and the scripts know."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import stat
from pathlib import Path

import pytest

from benchmarks import local_model
from benchmarks.local import serve, train
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests.commands.train.test_eval import samples
from tests.conftest import Run
from tests.sandbox.decisions import decisions

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "own-server.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", GUIDE, re.DOTALL)
SHELL = [block for language, block in BLOCKS if language == "sh"]
SCRIPTS: dict[str, argparse.ArgumentParser] = {
    "benchmarks/local/train.py": train.parser(),
    "benchmarks/local/serve.py": serve.parser(),
    "benchmarks.local_model": local_model.parser(),
}
# Stands in for a trainer: it says what it was asked, and with what, and leaves something to be registered.
STAND_IN = """#!/bin/sh
env | grep ^REASONING_ > "$REASONING_OUTPUT_DIR/environment"
echo "$@" >> "$REASONING_OUTPUT_DIR/asked"
"""


def block_with(text: str, language: str = "sh") -> str:
    (found,) = [block for named, block in BLOCKS if named == language and text in block]
    return found


@pytest.fixture
def log(home: Path) -> Path:
    """A home with enough decisions to train on."""
    home.mkdir(mode=0o700)
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many(samples(list(decisions("should_respond", 60, 1)), name="n"))
    return home


def trained(reasoning: Run, command: str, *more: str) -> Path:
    """The output of a run by that command."""
    words = ("train", "start", "should-respond", "--engine", "command", "--command", command, "--base", "acme/base")
    done = reasoning(*words, *more, "--split", "0.8/0.2", "--force", "--yes", "--keep-files")
    assert done.exit_code == 0, done.stderr
    (output,) = Path(os.environ["REASONING_HOME"]).glob("training/*/output")
    return output


def test_the_variables_of_the_guide_are_those_that_a_trainer_gets(reasoning: Run, log: Path, no_address: None) -> None:
    output = trained(reasoning, "env | grep ^REASONING_ > $REASONING_OUTPUT_DIR/environment")
    told = set(re.findall(r"^(REASONING_[A-Z_]+)=", (output / "environment").read_text(), re.MULTILINE))
    named = set(re.findall(r"REASONING_[A-Z_]+", GUIDE))
    assert named <= told | {"REASONING_"}
    assert told - named <= {"REASONING_HOME"}


def test_the_axolotl_recipe_gets_the_files_and_hands_its_file_to_axolotl(
    reasoning: Run, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "axolotl"
    stand_in.write_text(STAND_IN)
    script = tmp_path / "train.sh"
    script.write_text(block_with("axolotl train"))
    for path in (stand_in, script):
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    output = trained(reasoning, f"sh {script}", "--for", "axolotl")
    config = output / "axolotl.yaml"
    assert (output / "asked").read_text().splitlines() == [f"train {config}", f"merge-lora {config}"]
    text = config.read_text()
    assert "base_model: acme/base\n" in text
    for path in re.findall(r'path: "([^"]+)"', text):
        with Path(path).open() as lines:
            assert "messages" in json.loads(next(lines))
    assert len(re.findall(r"path: ", text)) == 2
    assert f"output_dir: {output}\n" in text


def test_the_unsloth_recipe_is_python_that_reads_what_a_trainer_gets() -> None:
    text = block_with("unsloth", "python")
    compile(text, "train.py", "exec")
    assert set(re.findall(r'os\.environ\["(\w+)"\]', text)) == {
        "REASONING_OUTPUT_DIR",
        "REASONING_SEED",
        "REASONING_BASE_MODEL",
        "REASONING_TRAIN_FILE",
    }


def test_the_scripts_of_the_repository_take_the_arguments_of_the_guide() -> None:
    typed = re.findall(r"(?:python|-m) (benchmarks[./]\w[\w./]*)([^'`\n#&]*)", GUIDE)
    assert {name for name, _ in typed} == set(SCRIPTS)
    for name, arguments in typed:
        SCRIPTS[name].parse_args(shlex.split(arguments))
