"""What TAB offers, in the real shells; names from a remote account must never run as commands there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.commands._shared.completion import MOST_NAMES, remember_names
from reasoning_cli.paths import Paths, find_paths
from tests.conftest import Run

ROOT = Path(__file__).parents[1]
SCRIPTS = {"bash": "reasoning.bash", "zsh": "_reasoning", "fish": "reasoning.fish"}

HOSTILE = [
    "$(touch ran)",
    "\\$(touch ran)",
    "a$(touch ran)",
    "`touch ran`",
    "a\\`touch ran\\`",
    "x'; touch ran; '",
    'x"; touch ran; "',
    "a;touch ran",
    "a\ntouch ran",
    "a:b",
    "*",
    "[a-z]*",
    "~root",
    "-rf",
    "a b",
    "é",
]

Offer = Callable[[str], str]


@pytest.fixture
def paths(home: Path) -> Paths:
    return find_paths({"REASONING_HOME": str(home)})


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`reasoning` on the PATH of the shells, whatever is installed on this machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    wrapper = folder / "reasoning"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m reasoning_cli "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("COLUMNS")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def offer_bash(line: str) -> str:
    """What bash offers at the end of `line`, one candidate a line."""
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _reasoning_completion reasoning;'
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return run("bash", "--norc", "-c", script, "bash", str(ROOT / "completions/reasoning.bash"), *line.split(" "))


def offer_fish(line: str) -> str:
    """The same in fish."""
    script = 'source $argv[1]; complete -C "$argv[2]"'
    return run("fish", "--no-config", "-c", script, str(ROOT / "completions/reasoning.fish"), line)


def offer_zsh(line: str) -> str:
    """What a zsh shows after TAB was pressed twice at the end of `line`.

    Typing begins at the prompt: before it, the terminal would handle keys by itself. The next command is typed ahead
    and its output waited for: by then the completion is done.
    """
    script = r"""
        zmodload zsh/zpty
        zpty shell "env PS1='> ' zsh -f -i"
        zpty -w shell "stty rows 200 columns 200; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D"
        zpty -w shell "print LOA''DED"
        zpty -r shell screen '*LOADED*> *'
        zpty -w -n shell "$2"$'\t\t'
        zpty -w -n shell $'\x15'
        zpty -w shell "print DO''NE"
        zpty -r shell screen '*DONE*'
        print -r -- "$screen"
        zpty -d shell
    """
    return run("zsh", "-f", "-c", script, "zsh", str(ROOT / "completions"), line)


@pytest.fixture(params=["bash", "zsh", "fish"])
def offer(request: pytest.FixtureRequest, program: None) -> Offer:
    """What a shell offers for a line; skips where the shell is not installed."""
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} here")
    return {"bash": offer_bash, "zsh": offer_zsh, "fish": offer_fish}[request.param]


# --- the scripts ---


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_kept_here_are_what_the_program_prints(shell: str, reasoning: Run) -> None:
    printed = reasoning("setup", "completion", shell)
    assert (printed.exit_code, printed.stdout) == (0, (ROOT / "completions" / SCRIPTS[shell]).read_text())
    assert printed.stderr.startswith(f"hint: keep it: `reasoning setup completion {shell} > ~/.")


def test_printing_a_script_writes_nothing(
    reasoning: Run, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = tmp_path / "user"
    user.mkdir()
    monkeypatch.setenv("HOME", str(user))
    for shell in SCRIPTS:
        reasoning("setup", "completion", shell)
    assert (list(user.iterdir()), home.exists()) == ([], False)


def test_another_shell_is_a_usage_error(reasoning: Run) -> None:
    done = reasoning("setup", "completion", "tcsh")
    assert (done.exit_code, done.stdout) == (2, "")


# --- in the shells ---


def test_commands_and_options_are_offered(offer: Offer) -> None:
    groups = offer("reasoning ")
    assert all(name in groups for name in ("setup", "doctor", "models", "config"))
    of_group = offer("reasoning sandbox ")
    assert all(name in of_group for name in ("serve", "stop", "reset"))
    assert "--format" in offer("reasoning config --f")


def test_names_of_settings_are_offered(offer: Offer) -> None:
    offered = offer("reasoning config get gateway.")
    assert all(name in offered for name in ("gateway.port", "gateway.openai_upstream"))
    assert "budget.limit_usd" not in offered


def test_model_types_and_remembered_names_are_offered(offer: Offer, paths: Paths) -> None:
    remember_names(paths, ["acme/qwen-14b_v1.2", "acme/other", "zeta"])
    offered = offer("reasoning models undeploy ")
    assert all(name in offered for name in ("should-respond", "planning", "acme/qwen-14b_v1.2", "zeta"))
    offered = offer("reasoning models undeploy acme/")
    assert ("acme/qwen-14b_v1.2" in offered, "zeta" in offered) == (True, False)


def test_hostile_names_neither_run_nor_show(offer: Offer, paths: Paths) -> None:
    paths.names_cache.parent.mkdir(parents=True)
    paths.names_cache.write_text(json.dumps([*HOSTILE, "harmless"]))
    for line in ("reasoning models undeploy ", "reasoning models undeploy a", "reasoning models undeploy x"):
        assert "touch" not in offer(line).replace(line, "")
    assert "harmless" in offer("reasoning models undeploy ")
    assert not Path("ran").exists()


def test_what_is_typed_is_not_run_either(offer: Offer) -> None:
    offer("reasoning models undeploy $(touch${IFS}ran)")
    offer("reasoning models undeploy '`touch${IFS}ran`'")
    assert not Path("ran").exists()


def test_tab_starts_and_writes_nothing(offer: Offer, home: Path) -> None:
    offer("reasoning --sandbox models undeploy ")
    offer("reasoning --db new.db data export ")
    assert (home.exists(), list(Path.cwd().iterdir())) == (False, [])


# --- without a shell ---


def offered(line: str, monkeypatch: pytest.MonkeyPatch, reasoning: Run) -> list[str]:
    words = line.split(" ")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv("_REASONING_COMPLETE", "complete_bash")
    done = reasoning()
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout.split()


def test_no_more_than_a_screenful_is_offered(paths: Paths, monkeypatch: pytest.MonkeyPatch, reasoning: Run) -> None:
    remember_names(paths, [f"model-{number:04}" for number in range(2000)])
    names = offered("reasoning models undeploy model-1", monkeypatch, reasoning)
    assert names == [f"model-{number:04}" for number in range(1000, 1000 + MOST_NAMES)]
    assert len(offered("reasoning models undeploy ", monkeypatch, reasoning)) == MOST_NAMES


def test_trainers_are_offered_for_an_export(monkeypatch: pytest.MonkeyPatch, reasoning: Run) -> None:
    assert offered("reasoning data export --for ", monkeypatch, reasoning) == ["together", "trl", "axolotl", "openai"]
    assert offered("reasoning data export --for t", monkeypatch, reasoning) == ["together", "trl"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"a": 1}', b'"text"', b"3", b"[1, null, [], {}]", b"\xff\xfe", b"null"]
)
def test_a_broken_list_of_names_offers_none(
    content: bytes, paths: Paths, monkeypatch: pytest.MonkeyPatch, reasoning: Run
) -> None:
    paths.names_cache.parent.mkdir(parents=True)
    paths.names_cache.write_bytes(content)
    names = offered("reasoning models undeploy ", monkeypatch, reasoning)
    assert names == ["should-respond", "planning", "coding"]


def test_names_of_the_sandbox_stay_in_the_sandbox(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, reasoning: Run
) -> None:
    remember_names(paths, ["real"])
    remember_names(paths.sandbox(), ["rehearsed"])
    assert offered("reasoning models undeploy r", monkeypatch, reasoning) == ["real"]
    assert offered("reasoning --sandbox models undeploy r", monkeypatch, reasoning) == ["rehearsed"]
    monkeypatch.setenv("REASONING_SANDBOX", "1")
    assert offered("reasoning models undeploy r", monkeypatch, reasoning) == ["rehearsed"]


def test_completion_loads_neither_network_nor_database() -> None:
    code = (
        "import sys\nfrom reasoning_cli.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    environ = {
        **os.environ,
        "_REASONING_COMPLETE": "complete_bash",
        "COMP_WORDS": "reasoning models undeploy pl",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True, timeout=60
    )
    assert done.stdout == "planning\n"
    forbidden = {"httpx", "pydantic", "sqlite3", "sqlite_utils", "questionary", "reasoning_cli.operations"}
    assert forbidden & set(done.stderr.split()) == set()


@given(st.lists(st.text(max_size=20)))
def test_only_harmless_names_are_remembered(names: list[str]) -> None:
    folder = Path(os.environ["REASONING_HOME"])
    paths = find_paths({"REASONING_HOME": str(folder)})
    remember_names(paths, names)
    for name in json.loads(paths.names_cache.read_text()):
        assert name in names
        assert name[0].isalnum()
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-")


def test_names_that_cannot_be_kept_are_no_error(paths: Paths) -> None:
    paths.cache_dir.parent.mkdir(parents=True)
    paths.cache_dir.write_text("a file in the way")
    remember_names(paths, ["name"])
    assert paths.cache_dir.read_text() == "a file in the way"


def test_the_list_of_names_is_private_and_not_written_twice(paths: Paths) -> None:
    remember_names(paths, ["b", "a", "b"])
    first = paths.names_cache.stat()
    assert (json.loads(paths.names_cache.read_text()), first.st_mode & 0o777) == (["a", "b"], 0o600)
    remember_names(paths, ["a", "b"])
    assert paths.names_cache.stat().st_ino == first.st_ino
