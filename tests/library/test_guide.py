"""The script of the guide as it stands there: on the sandbox, and on a server of the operator's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.gateway.provider import Provider

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "library.md"
SCRIPT = re.compile(r"^(?<!<!-- not run -->\n)```python\n(import sys.*?)^```", re.DOTALL | re.MULTILINE)


def run_script(folder: Path, *arguments: str) -> list[str]:
    """What the guide's script prints."""
    script = SCRIPT.findall(GUIDE.read_text(encoding="utf-8"))[0]
    (folder / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py", *arguments], cwd=folder, env=dict(os.environ), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def typed(*words: str) -> None:
    """Run a command as a process of its own, as what starts the sandbox has to be."""
    command = [sys.executable, "-P", "-m", "reasoning_cli", "--sandbox", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def sandbox() -> Iterator[None]:
    yield
    typed("sandbox", "stop")


def test_on_a_server_of_ones_own(model: Provider, tmp_path: Path) -> None:
    said = run_script(tmp_path)
    assert said[0].startswith("RESPOND slot ")
    assert said[1:3] == ["('REPLY',) Hello from the model ✨ <3", "print('the model')"]
    assert said[3] == "[('should_respond', 1, 1, None), ('planning', 1, 1, None), ('coding', 1, 1, None)]"
    assert said[4].startswith("3 samples in ")
    assert len((tmp_path / "training-data.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_on_the_sandbox(sandbox: None, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(
            threads.map(
                lambda model_type: typed("models", "deploy", model_type, "--yes"),
                ("should-respond", "planning", "coding"),
            )
        )
    said = run_script(tmp_path, "--sandbox")
    assert " slot " in said[0]
    counts = said[-2]
    assert counts.count(", 1, 1, None)") >= 2, counts
    assert "samples in" in said[-1]
