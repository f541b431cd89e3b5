"""What a person sees on a terminal of 120, 80, 60 or 40 columns, and what a pipe gets: nothing that matters is cut."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from reasoning_cli.app import app
from tests.conftest import Run
from tests.engines.together.service import KEY, Service, service

ROWS = Path(__file__).parents[1] / "data" / "elizaos-logs.jsonl"
WIDTHS = (120, 80, 60, 40)
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
NAMES = ("should-respond", "planning", "coding")

# Listings, four plans and reports, and an error with its hint.
COMMANDS = (
    ["models", "list"],
    ["models", "status"],
    ["status"],
    ["config"],
    ["costs", "prices"],
    ["data", "list"],
    ["models", "deploy", "coding", "--dry-run"],
    ["models", "undeploy", "planning", "--dry-run"],
    ["costs", "report"],
    ["data", "stats"],
    ["data", "cleanup", "--dry-run"],
    ["models", "deploy", "coding", "--hardware", "abacus", "--yes"],
)

See = Callable[..., list[str]]


@pytest.fixture
def at_work(home: Path, monkeypatch: pytest.MonkeyPatch, reasoning: Run) -> Iterator[Service]:
    """Together standing still, one model deployed, one decision log filled."""
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        one.deploy("planning")
        assert reasoning("data", "import", ROWS).exit_code == 0
        assert reasoning("costs", "set-budget", "100").exit_code == 0
        yield one


@pytest.fixture
def see(monkeypatch: pytest.MonkeyPatch) -> See:
    """Run the program on a real terminal and give its lines back: `see(40, "models", "list")`. It takes this process,
    unless `process`: it has a terminal then as it would have one of its own."""
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setenv("TERM", "xterm-256color")

    def look(columns: int, *arguments: str, process: bool = False) -> list[str]:
        person, program = pty.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        with reading(person) as seen:
            if process:
                command = [sys.executable, "-m", "reasoning_cli", *arguments]
                subprocess.run(command, stdin=program, stdout=program, stderr=program, timeout=60, check=False)
            else:
                with standing_on(program, program, program):
                    typed(*arguments)
            os.close(program)
        return seen.decode().replace("\r\n", "\n").splitlines()

    return look


@contextmanager
def reading(end: int) -> Iterator[bytearray]:
    """All that comes out of it until its other end is closed, which must be so when this is left."""
    seen = bytearray()

    def read() -> None:
        with suppress(OSError):  # how Linux says that nobody has the terminal any more
            while part := os.read(end, 65536):
                seen.extend(part)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        thread.join(60)
        os.close(end)


@contextmanager
def standing_on(*ends: int) -> Iterator[None]:
    """Put other ends in the place of this process's own: stdin, stdout, stderr."""
    names, kept = ("stdin", "stdout", "stderr"), [os.dup(number) for number in range(3)]
    before = [getattr(sys, name) for name in names]
    try:
        for number, (name, end) in enumerate(zip(names, ends, strict=True)):
            os.dup2(end, number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))
        yield
    finally:
        for number, (name, one, saved) in enumerate(zip(names, before, kept, strict=True)):
            getattr(sys, name).close()
            setattr(sys, name, one)
            os.dup2(saved, number)
            os.close(saved)


def typed(*arguments: str) -> None:
    with suppress(SystemExit):
        app(list(arguments), prog_name="reasoning")


def plain(lines: list[str]) -> list[str]:
    return [ESCAPE.sub("", line) for line in lines]


def longest_piece(line: str) -> int:
    """The longest word or command of a line: what may not be broken even on a narrow terminal."""
    return max((len(piece) for piece in re.findall(r"(?:`[^`]*`|[^\s`]|`)+", line)), default=0)


@pytest.mark.parametrize("columns", WIDTHS)
def test_no_line_is_wider_than_the_terminal_but_for_what_must_stay_whole(
    at_work: Service, see: See, columns: int
) -> None:
    for command in COMMANDS:
        for line in plain(see(columns, *command)):
            indent = len(line) - len(line.lstrip())
            held = re.match(r"  \S+ {3,}", line)
            first = held.end() if held else indent
            assert len(line) <= columns or first + longest_piece(line[first:]) == len(line), (command, line)


@pytest.mark.parametrize("columns", WIDTHS)
def test_tables_fit_and_keep_names_and_states_whole(at_work: Service, see: See, columns: int) -> None:
    for listing in (["models", "list"], ["models", "status"]):
        lines = plain(see(columns, *listing))
        table = lines[: 2 + len(NAMES)]
        assert all(len(line) <= columns for line in lines)
        if columns >= 60:
            assert [line.split()[0] for line in table] == ["NAME", "─" * len(table[1]), *NAMES]
            assert [line.split()[1:3] for line in table[2:]] == [["◦", "off"], ["✓", "READY"], ["◦", "off"]]
            assert "$5.49" in table[3]
        else:
            blocks = "\n".join(lines).split("\n\n")[: len(NAMES)]
            assert [block.split()[:4] for block in blocks] == [
                [name, "STATE", *state]
                for name, state in zip(NAMES, (("◦", "off"), ("✓", "READY"), ("◦", "off")), strict=True)
            ]
            assert "\n  $/H    $5.49\n" in blocks[1]
    bill = "\n".join(plain(see(columns, "costs", "report")))
    assert all(len(line) <= columns for line in bill.splitlines())
    assert "planning" in bill
    assert "$5.49" in bill


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_plan_says_everything_at_any_width(at_work: Service, see: See, columns: int) -> None:
    shown = plain(see(columns, "models", "deploy", "coding", "--dry-run"))
    said = " ".join(" ".join(shown).split())
    for part in (
        "moonmakesmagic/DeepSeek-Llama-67B-coding as coding",
        "$21.96 an hour while ready",
        "4xnvidia-h100-80gb",
        "of $100.00 used this month",
        "Nothing was changed.",
    ):
        assert part in said
    labels = [line[2:].split()[0] for line in shown if line.startswith("  ") and not line.startswith("    ")]
    assert labels == ["deploy", "endpoint", "hardware", "price", "idle", "budget"]


@pytest.mark.parametrize("columns", WIDTHS)
def test_commands_in_hints_are_in_one_piece(at_work: Service, see: See, columns: int) -> None:
    shown = "\n".join(plain(see(columns, "data", "export", "-m", "planning", "--agent", "Nobody")))
    assert "error: no sample matches, so nothing was written" in " ".join(shown.split())
    assert "`reasoning data stats`" in shown


@pytest.mark.parametrize("command", [[], ["data"], ["models", "deploy", "--help"], ["data", "export", "--help"]])
@pytest.mark.parametrize("columns", WIDTHS)
def test_help_fits_and_no_sentence_is_cut(see: See, columns: int, command: list[str]) -> None:
    shown = see(columns, *command)
    assert max(map(len, shown)) <= columns
    assert "..." not in "\n".join(shown).replace("[ARGS]...", "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_pipe_gets_no_escape_codes_and_nothing_cut(
    at_work: Service, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    (out, its_out), (err, its_err) = os.pipe(), os.pipe()
    with Path(os.devnull).open() as nothing, reading(out) as said, reading(err) as told:
        with standing_on(nothing.fileno(), its_out, its_err):
            typed(*command)
        os.close(its_out)
        os.close(its_err)
    stdout, stderr = said.decode(), told.decode()
    assert stdout + stderr
    assert "\x1b" not in stdout + stderr
    assert "…" not in stdout or command == ["config"]  # which masks a key
    if command[:2] == ["models", "list"]:
        assert "moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond" in stdout


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colour_says_the_same(
    at_work: Service, see: See, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    coloured = see(80, "models", "list")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    bare = see(80, "models", "list")
    assert "\x1b" in "\n".join(coloured)
    assert "\x1b" not in "\n".join(bare)
    assert [line[:40] for line in bare] == [line[:40] for line in plain(coloured)]


def test_a_terminal_of_ascii_gets_other_signs_and_whole_numbers(
    at_work: Service, see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    shown = "\n".join(plain(see(120, "data", "stats", process=True)))
    assert shown.isascii()
    assert "REPLY ######.... 60 %" in shown
    assert json.loads("\n".join(see(120, "data", "stats", "--json", process=True)))["total"] == 11
