"""What tests of commands hand to the program's session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.commands._shared.session import Session
from tests.conftest import Result, Run
from tests.engines.together.service import KEY, Service, service


@pytest.fixture(autouse=True)
def session_facts(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What is handed to every session of the program here: no waiting between two attempts."""
    facts: dict[str, object] = {"sleep": lambda seconds: None}
    start = Session.start

    def start_with_facts(**options: object) -> Session:
        session = start(**options)  # type: ignore[arg-type]
        for name, value in facts.items():
            setattr(session, name, value)
        return session

    monkeypatch.setattr(Session, "start", start_with_facts)
    return facts


@pytest.fixture
def process() -> Run:
    """Run the program as a process of its own, as what starts other processes must be: `process("--sandbox", …)`."""

    def run(*arguments: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "reasoning_cli", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=240,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def still(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Together standing still, the operator's own store, and a program that knows both. The operator lives in UTC."""
    home.mkdir()
    monkeypatch.setenv("TZ", "UTC")
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        yield one
