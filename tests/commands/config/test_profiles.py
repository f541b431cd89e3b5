"""`--profile`: several accounts or agents on one host, and nothing of one in another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reasoning_cli.sandbox.server import SandboxServer
from tests.conftest import Run
from tests.test_completions import offered

KEY = "tgp_v1_Jx7Qm2Vt9Zb4Wn1Lk6Rc3Yd8Fg5Hp0"


def test_a_profile_has_settings_of_its_own(reasoning: Run, home: Path) -> None:
    assert reasoning("--profile", "berlin", "config", "set", "gateway.port", "9001").exit_code == 0
    assert reasoning("config", "get", "gateway.port").stdout == "8001\n"
    assert reasoning("--profile", "berlin", "config", "get", "gateway.port").stdout == "9001\n"
    assert [one.relative_to(home) for one in home.rglob("config.toml")] == [Path("profiles/berlin/config.toml")]


def test_the_path_says_whose_it_is(reasoning: Run, home: Path) -> None:
    reasoning("--profile", "berlin", "config", "set", "gateway.port", "9001")
    done = reasoning("--profile", "berlin", "config", "path")
    assert (done.stdout, done.stderr) == (f"{home}/profiles/berlin/config.toml\n", "of profile berlin\n")


def test_a_variable_chooses_a_profile_and_an_option_wins(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONING_PROFILE", "berlin")
    reasoning("config", "set", "gateway.port", "9001")
    assert reasoning("config", "get", "gateway.port").stdout == "9001\n"
    assert reasoning("--profile", "paris", "config", "get", "gateway.port").stdout == "8001\n"
    assert reasoning("--profile", "default", "config", "get", "gateway.port").stdout == "8001\n"
    assert "`reasoning --profile default config" in reasoning("--profile", "default", "config", "get", "zzz").stderr


@pytest.mark.parametrize("name", ["", " ", "../x", "a/b", "-x", "_x", "a.b", "é", "a b"])
def test_what_is_no_name_is_a_usage_error(
    name: str, reasoning: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = reasoning("--profile", name, "config")
    assert (done.exit_code, done.stdout, home.exists()) == (2, "", False)
    assert done.stderr.startswith(f"error: `{name}` is not a name of a profile\nhint: names are letters")
    monkeypatch.setenv("REASONING_PROFILE", name)
    assert reasoning("config").exit_code == (2 if name.strip() else 0)


def test_a_profile_that_may_be_mistyped_is_told_until_it_is_used(reasoning: Run) -> None:
    assert "profile berlin is new" in reasoning("--profile", "berlin", "config", "get", "gateway.port").stderr
    reasoning("--profile", "berlin", "config", "set", "gateway.port", "9001")
    assert reasoning("--profile", "berlin", "config", "get", "gateway.port").stderr == ""


def test_a_key_of_the_shell_is_not_the_key_of_a_profile(
    reasoning: Run, home: Path, monkeypatch: pytest.MonkeyPatch, no_address: None
) -> None:
    with SandboxServer() as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        monkeypatch.setenv("TOGETHER_API_KEY", "sandbox-key")
        monkeypatch.setenv("REASONING_STORE_PATH", str(home / "shared.db"))
        done = reasoning("--profile", "berlin", "models", "deploy", "planning", "--yes")
        assert (done.exit_code, done.stdout) == (4, "")
        assert "no Together API key is set in profile `berlin`" in done.stderr
        assert "`reasoning --profile berlin setup` asks for it" in done.stderr
        assert not (home / "shared.db").exists()
        for setting, value in (("together.base_url", server.url), ("together.api_key", "sandbox-key")):
            stdin = ["--stdin"] if "key" in setting else [value]
            assert reasoning("--profile", "berlin", "config", "set", setting, *stdin, input=value).exit_code == 0
        shown = reasoning("--profile", "berlin", "doctor", "--json")
        checks = {check["name"]: check for check in json.loads(shown.stdout)}
    assert (checks["profile"]["status"], "berlin" in checks["profile"]["detail"]) == ("ok", True)
    assert (checks["account"]["status"], "variables" in checks) == ("ok", False)


def test_hints_lead_back_to_the_profile(reasoning: Run) -> None:
    done = reasoning("--profile", "berlin", "doctor", "--offline")
    assert "fix: reasoning --profile berlin costs set-budget 100" in done.stdout
    done = reasoning("--profile", "berlin", "--sandbox", "doctor", "--offline")
    assert "fix: reasoning --profile berlin --sandbox costs set-budget 100" in done.stdout


def test_the_sandbox_of_a_profile_is_its_own(reasoning: Run, home: Path) -> None:
    reasoning("--profile", "berlin", "--sandbox", "config", "set", "gateway.port", "9002")
    assert [one.relative_to(home) for one in home.rglob("config.toml")] == [Path("profiles/berlin/sandbox/config.toml")]
    assert reasoning("--sandbox", "config", "get", "gateway.port").stdout == "8001\n"


@pytest.mark.parametrize("kept", ["--print-systemd", "--print-cron"])
def test_the_guard_of_a_profile_guards_that_profile(kept: str, reasoning: Run) -> None:
    printed = reasoning("--profile", "berlin", "--sandbox", "costs", "guard", kept).stdout
    assert "-m reasoning_cli --profile berlin --sandbox costs guard" in printed
    assert ("reasoning-guard-berlin.service" in printed) == (kept == "--print-systemd")


# --- the list ---


def test_profiles_are_listed_with_their_files_and_keys(reasoning: Run, home: Path) -> None:
    reasoning("config", "set", "gateway.port", "9000")
    reasoning("--profile", "berlin", "config", "set", "together.api_key", "--stdin", input=KEY)
    (home / "profiles" / "not a profile").mkdir()
    done = reasoning("--profile", "berlin", "config", "profiles", "--json")
    assert json.loads(done.stdout)[1] == {
        "name": "berlin",
        "in_use": True,
        "has_key": True,
        "config_file": f"{home}/profiles/berlin/config.toml",
        "database": f"{home}/profiles/berlin/reasoning.db",
        "problem": None,
    }
    names = [(one["name"], one["in_use"], one["has_key"]) for one in json.loads(done.stdout)]
    assert names == [("default", False, False), ("berlin", True, True)]
    assert KEY not in done.stdout + reasoning("config", "profiles").stdout
    assert reasoning("config", "profiles", "-q").stdout.split() == ["default", "berlin"]


def test_a_profile_whose_file_is_broken_does_not_hide_the_others(reasoning: Run, home: Path) -> None:
    for name in ("berlin", "paris"):
        reasoning("--profile", name, "config", "set", "gateway.port", "9000")
    (home / "profiles" / "berlin" / "config.toml").write_text("[gateway\n")
    done = reasoning("config", "profiles")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["PROFILE", "default", "berlin", "paris"]
    assert "is not valid TOML" in done.stderr


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_names_and_keys_are_whole_at_every_width(
    columns: int, reasoning: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasoning("--profile", "berlin", "config", "set", "together.api_key", "--stdin", input=KEY)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = reasoning("config", "profiles").stdout.splitlines()
    assert all(len(line) <= columns for line in lines)
    assert [line.split()[:2] for line in lines[1:]] == [["default", "yes"], ["berlin", "set"]]


def test_names_of_profiles_are_offered_on_tab(reasoning: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert offered("reasoning --profile ", monkeypatch, reasoning) == ["default"]
    for name in ("berlin", "paris", "$(touch ran)"):
        (home / "profiles" / name).mkdir(parents=True)
    assert offered("reasoning --profile ", monkeypatch, reasoning) == ["default", "berlin", "paris"]
    assert offered("reasoning --profile b", monkeypatch, reasoning) == ["berlin"]
