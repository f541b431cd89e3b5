"""Drives the agent of `tests.elizaos.agent`: one process, in which runtimes are started and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.gateway.pythons import python_with

ROOT = Path(__file__).parents[2]
# The first names the environment, another than that of the runtime alone.
_RUNTIME = ("elizaos-plugin-openai==2.0.0a5", "elizaos==2.0.0a5", "elizaos-plugin-inmemorydb==2.0.0a5")
_ANSWER = "ANSWER "


def python() -> Path:
    """The Python that has the runtime and what we need; skips the test where it cannot be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return python_with(*_RUNTIME, *project["dependencies"])


class Driver:
    """The process. Each command is a method of `Driven` there."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self._process, self._errors = process, errors

    def __call__(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        line = next(
            (line for line in self._process.stdout if line.startswith(_ANSWER)), ""
        )  # the runtime logs there too
        assert line, self._errors.read_text(encoding="utf-8")[-4000:]
        answer = json.loads(line.removeprefix(_ANSWER))
        assert not (isinstance(answer, dict) and "error" in answer), (
            answer, self._errors.read_text(encoding="utf-8")[-4000:]
        )  # fmt: skip
        return answer


@contextlib.contextmanager
def agent(python: Path, folder: Path, original: str) -> Iterator[Driver]:
    """An agent's process whose provider is at `original`, with the home that the environment names."""
    errors = folder / "agent.log"
    with errors.open("w") as log:
        process = subprocess.Popen(
            [python, "-m", "tests.elizaos.agent"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "REASONING_HOME": os.environ["REASONING_HOME"],
                "OPENAI_API_KEY": "sk-dummy",
                "OPENAI_BASE_URL": f"{original}/v1",
                "NO_PROXY": "127.0.0.1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            yield Driver(process, errors)
        finally:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            process.wait(60)
            process.stdout.close()
