"""An address given as the database: taken for a path it would become a file of that name, and its password with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Run

SECRETS = ("s3cr3t-pw", "zwei234")
ADDRESS = f"mysql://ann:{SECRETS[0]}@db.example/x?password={SECRETS[1]}"
COMMANDS = ["data stats", "models list", "status", "gateway stats", "costs events", "-v data list", "doctor --offline"]


@pytest.mark.parametrize("command", [*COMMANDS, "config", f"config set store.path {ADDRESS}"])
@pytest.mark.parametrize("way", ["option", "variable"])
def test_an_address_of_no_known_kind_is_refused_and_its_secrets_are_not_shown(
    command: str, way: str, reasoning: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "variable":
        monkeypatch.setenv("REASONING_STORE_PATH", ADDRESS)
    done = reasoning(*(("--db", ADDRESS) if way == "option" else ()), *command.split())
    assert done.exit_code != 0, done.stdout
    shown = done.stdout + done.stderr
    assert "mysql://ann:…@db.example/x?password=…" in shown
    assert not [secret for secret in SECRETS if secret in shown]
    assert not [name for _, folders, files in os.walk(home.parent) for name in (*folders, *files) if "mysql" in name]
    if "doctor" not in command:  # which shows it among its checks
        assert [line.split(":")[0] for line in done.stderr.splitlines()[-2:]] == ["error", "hint"], done.stderr
