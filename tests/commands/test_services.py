"""Printed units and lines of a crontab start the same program, with the same account and data, from anywhere."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run

ODD = 'a 100% "odd" $HOME \\dir\'s'
COMMANDS = [
    ("costs", "guard", "--print-systemd"),
    ("gateway", "serve", "--print-systemd"),
    ("costs", "guard", "--print-cron"),
]

refused = pytest.mark.sqlite("with an address from the environment it is refused: a password would be printed")


def unit_words(line: str) -> list[str]:
    """The words of a line as systemd.service(5) and systemd.unit(5) read them."""
    words, word, quoted, at = [], "", False, 0
    while at < len(line):
        sign = line[at]
        if sign == "\\":
            word += {"n": "\n", "t": "\t"}.get(line[at + 1], line[at + 1])
            at += 1
        elif sign in "%$":
            assert line[at + 1] == sign, f"{line[at:]} has a meaning"
            word += sign
            at += 1
        elif sign == '"':
            quoted = not quoted
        elif sign == " " and not quoted:
            words.append(word)
            word = ""
        else:
            assert quoted or sign != "'"
            word += sign
        at += 1
    assert not quoted
    return [*words, word]


def cron_words(line: str) -> list[str]:
    """The words of a line's command, as cron hands it to a shell."""
    assert line.startswith("* * * * * ")
    command, escaped = "", False
    for sign in line.removeprefix("* * * * * "):
        if escaped:
            command = command[:-1] + sign if sign in "\\%" else command + sign
            escaped = False
            continue
        assert sign != "%", "here the command would end"
        command += sign
        escaped = sign == "\\"
    return shlex.split(command)


def words_of(printed: str) -> tuple[dict[str, str], list[str]]:
    """The variables and the command in what was printed."""
    lines = [line for line in printed.splitlines() if line]
    if lines[0].startswith("*"):
        [line] = lines
        words = cron_words(line)
        count = next(number for number, word in enumerate(words) if word == sys.executable)
        return dict(word.split("=", 1) for word in words[:count]), words[count:]
    variables = {}
    for line in lines:
        if line.startswith("Environment="):
            [word] = unit_words(line.removeprefix("Environment=").replace("$", "$$"))
            name, _, value = word.partition("=")
            variables[name] = value
    [start] = [line for line in lines if line.startswith("ExecStart=")]
    return variables, unit_words(start.removeprefix("ExecStart="))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_was_typed_is_kept(command: tuple[str, ...], reasoning: Run, home: Path) -> None:
    done = reasoning("--profile", "berlin", "--db", "logs/a.db", *command)
    _, words = words_of(done.stdout)
    kept = ["--profile", "berlin", "--db", str(Path.cwd() / "logs" / "a.db")]
    assert words[: 3 + len(kept)] == [sys.executable, "-m", "reasoning_cli", *kept]


@refused
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_the_database_of_a_variable_is_kept(
    command: tuple[str, ...], place: str, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "environment":
        monkeypatch.setenv("REASONING_STORE_PATH", "a.db")
    else:
        Path(".env").write_text("REASONING_STORE_PATH=a.db\n")
    _, words = words_of(reasoning(*command).stdout)
    assert words[3:5] == ["--db", str(Path.cwd() / "a.db")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_signs_with_a_meaning_of_their_own_are_escaped(
    command: tuple[str, ...], reasoning: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / ODD
    monkeypatch.setenv("REASONING_HOME", str(home))
    variables, words = words_of(reasoning("--db", home / "100%.db", *command).stdout)
    assert variables == {"REASONING_HOME": str(home)}
    assert words[3:5] == ["--db", str(home / "100%.db")]


@refused
def test_folders_of_the_desktop_are_kept(reasoning: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REASONING_HOME")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    variables, _ = words_of(reasoning("costs", "guard", "--print-systemd").stdout)
    assert variables == {name: str(tmp_path / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}


@refused
def test_how_often_to_look_is_kept_and_lingering_is_said(reasoning: Run) -> None:
    printed = reasoning("costs", "guard", "--print-systemd", "--interval", "30s").stdout
    assert words_of(printed)[1][-2:] == ["--interval", "30s"]
    assert "loginctl enable-linger" in printed
    assert "loginctl enable-linger" in reasoning("gateway", "serve", "--print-systemd").stdout


@pytest.mark.parametrize("command", COMMANDS[:2], ids=" ".join)
def test_systemd_takes_the_unit(
    command: tuple[str, ...], reasoning: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    monkeypatch.setenv("REASONING_HOME", str(tmp_path / ODD))
    unit = tmp_path / "reasoning-test.service"
    unit.write_text(reasoning("--db", tmp_path / ODD / "100%.db", *command).stdout)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    # The system's rules are those of a user's unit here, and need no session of a user.
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    said = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]
    assert (done.returncode, said) == (0, [])
