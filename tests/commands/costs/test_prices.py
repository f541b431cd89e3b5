"""`reasoning costs prices` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Run


def editor(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """An editor that writes `text`."""
    script = folder / "editor.sh"
    script.write_text(f"#!/bin/sh\ncat > \"$1\" <<'END'\n{text}\nEND\n")
    script.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(script))


def test_the_table_is_made_once_and_shown(home: Path, reasoning: Run) -> None:
    shown = reasoning("costs", "prices")
    assert (shown.exit_code, shown.stderr) == (0, f"{home}/prices.toml is made, from the table of this version.\n")
    assert shown.stdout.splitlines()[0].split() == ["MODEL", "INPUT", "OUTPUT", "LOOKED", "UP", "WHERE"]
    again = reasoning("costs", "prices", "--json")
    assert again.stderr == ""
    (mini,) = [one for one in json.loads(again.stdout) if one["model"] == "gpt-4o-mini"]
    assert (mini["input_usd_per_million"], mini["output_usd_per_million"]) == ("0.15", "0.60")
    assert reasoning("costs", "prices", "--path").stdout == f"{home}/prices.toml\n"


def test_an_edited_table_counts(home: Path, tmp_path: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    editor(tmp_path, monkeypatch, '["mine"]\ninput = 1\noutput = 2\ncached_input = 0.1')
    shown = reasoning("costs", "prices", "--edit")
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert reasoning("costs", "prices", "-q").stdout == "mine\n"
    shown = reasoning("costs", "prices").stdout.splitlines()
    assert (shown[0].split()[:4], shown[1].split()[:4]) == (
        ["MODEL", "INPUT", "OUTPUT", "CACHED"],
        ["mine", "1", "2", "0.1"],
    )
    (mine,) = json.loads(reasoning("costs", "prices", "--json").stdout)
    assert mine["cached_input_usd_per_million"] == "0.1"
    assert not (home / "prices.edit.toml").exists()


def test_a_table_that_makes_no_sense_is_kept_aside(
    home: Path, tmp_path: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reasoning("costs", "prices", "-q").stdout
    editor(tmp_path, monkeypatch, '["mine"]\ninput = 1')
    shown = reasoning("costs", "prices", "--edit")
    assert shown.exit_code == 4
    assert "`output` of `mine` is not a number" in shown.stderr
    assert (home / "prices.rejected.toml").read_text() == '["mine"]\ninput = 1\n'
    assert reasoning("costs", "prices", "-q").stdout == before
