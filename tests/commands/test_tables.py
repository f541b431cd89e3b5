"""Every table as a person sees it on a terminal of 120, 80, 60 and 40 columns, whole, beside what it was before Rich
drew it; and what a pipe gets, which has not changed."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from reasoning_cli.terminal.console import Color, Terminal
from tests.commands.filled_tables import TABLES
from tests.terminal.conftest import Screen, screen  # noqa: F401

SCREENS = Path(__file__).with_name("tables")
WIDTHS = (120, 80, 60, 40)
STYLE = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def recorded(name: str) -> dict[str, str]:
    """The screens of one table: `80 before`, `80 after` and so on, and `pipe`."""
    text = (SCREENS / f"{name.replace(' ', '_')}.txt").read_text(encoding="utf-8")
    parts = re.split(r"^=== (.+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def seen(screen: Screen, name: str, columns: int, **environ: str) -> str:  # noqa: F811
    screen.resize(columns)
    TABLES[name](Terminal(out=screen.stream, err=screen.stream, environ={"TERM": "xterm", **environ}))
    return screen.read()


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_the_whole_screen(name: str, columns: int, screen: Screen) -> None:  # noqa: F811
    assert seen(screen, name, columns, NO_COLOR="1") == recorded(name)[f"{columns} after"]


@pytest.mark.parametrize("name", TABLES)
def test_a_pipe_gets_what_it_got_before(name: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    TABLES[name](Terminal(out=out, err=out))
    out.seek(0)
    assert out.read() == recorded(name)["pipe"]


@pytest.mark.parametrize("columns", [*WIDTHS, 59, 61, 70, 100, 200])
@pytest.mark.parametrize("name", [name for name in TABLES if name not in ("doctor", "gateway status", "costs compare")])
def test_no_line_is_wider_than_the_terminal(name: str, columns: int, screen: Screen) -> None:  # noqa: F811
    for line in seen(screen, name, columns, NO_COLOR="1").splitlines():
        # A command to copy stays whole.
        assert cell_len(line) <= columns or "`" in line, line


@pytest.mark.parametrize("name", TABLES)
def test_colour_says_nothing_that_signs_do_not(name: str, screen: Screen) -> None:  # noqa: F811
    coloured, plain = seen(screen, name, 120), seen(screen, name, 120, NO_COLOR="1")
    assert STYLE.sub("", coloured) == plain
    assert "\x1b" not in plain
    for sign, code in (("✓", "32"), ("✗", "31"), ("!", "33"), ("▸", "36")):
        assert coloured.count(f"\x1b[{code}m{sign} ") == plain.count(f"{sign} ")


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"CI": "true"}, {"TERM": "dumb", "CI": "1", "COLUMNS": "80"}])
def test_a_poor_terminal_gets_the_same_words(environ: dict[str, str], screen: Screen) -> None:  # noqa: F811
    for name in TABLES:
        assert STYLE.sub("", seen(screen, name, 80, **environ)) == recorded(name)["80 after"]


@pytest.mark.parametrize("environ", [{"LANG": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "de_DE.UTF-8", "LC_ALL": "C"}])
def test_a_terminal_of_the_locale_c_gets_signs_of_ascii(environ: dict[str, str], screen: Screen) -> None:  # noqa: F811
    shown = seen(screen, "costs report", 80, NO_COLOR="1", **environ)
    assert shown.isascii()
    assert "o STOPPED" in shown
    assert "#################... 85 % used" in shown
    assert "コード" in seen(screen, "models list", 120, **environ)


def test_others_neither_command_the_terminal_nor_paint(screen: Screen) -> None:  # noqa: F811
    shown = seen(screen, "models list", 120)
    assert "acme/[red]x[/red]" in shown


def test_colour_is_forced_and_forbidden_as_everywhere(screen: Screen) -> None:  # noqa: F811
    for color, coloured in ((Color.ALWAYS, True), (Color.NEVER, False)):
        terminal = Terminal(out=screen.stream, err=screen.stream, environ={"TERM": "dumb"}, color=color)
        TABLES["models list"](terminal)
        assert ("\x1b[" in screen.read()) is coloured


def test_a_pipe_loads_no_rich(home: Path) -> None:
    home.mkdir()
    program = "import sys; from reasoning_cli.__main__ import main\ntry: main()\nexcept SystemExit: pass\n"
    found = "import json; sys.stderr.write(json.dumps([one for one in sys.modules if one.startswith('rich')]))"
    for command in (["models", "list"], ["costs", "prices"], ["config"], ["train", "history"], ["data", "stats"]):
        done = subprocess.run(
            [sys.executable, "-c", program + found, *command], capture_output=True, text=True, check=True, timeout=60
        )
        assert json.loads(done.stderr.rpartition("[")[1] + done.stderr.rpartition("[")[2]) == [], command
