"""What others wrote cannot steer a terminal, whatever it is written as; a pipe gets it as it is."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from reasoning_cli.errors import DataError
from reasoning_cli.terminal.console import Color, Terminal
from reasoning_cli.terminal.listing import Column, Format, Listing
from reasoning_cli.terminal.progress import waiting
from tests.terminal.conftest import Piped, Screen

CONTROLS = [chr(code) for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"]
DIRECTIONS = list("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029")
EVIL = "".join(f"a{one}" for one in (*CONTROLS, *DIRECTIONS)) + "\x1b[2J\x9b31m"


def listing(text: str) -> Listing[str]:
    return Listing([Column("name", lambda row: row, "NAME")], [text], id=lambda row: row)


def nothing_obeyed(shown: str) -> bool:
    return not any(one in shown for one in (*CONTROLS, *DIRECTIONS))


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("fmt", list(Format))
def test_a_terminal_obeys_nothing_in_any_format(fmt: Format, quiet: bool, screen: Screen) -> None:
    screen.resize(2000)
    Terminal(out=screen.stream, err=screen.stream, color=Color.NEVER).show(listing(EVIL), fmt, quiet=quiet)
    shown = screen.read()
    assert nothing_obeyed(shown)
    assert "\\u202e" in shown
    if fmt is Format.JSON and not quiet:
        assert json.loads(shown) == [{"name": EVIL}]
    if fmt is Format.JSONL and not quiet:
        assert json.loads(shown) == {"name": EVIL}


def test_a_terminal_obeys_nothing_in_words_either(screen: Screen) -> None:
    terminal = Terminal(out=screen.stream, err=screen.stream, color=Color.NEVER)
    terminal.print(EVIL.replace("\x1b[2J", ""))
    terminal.say(EVIL)
    terminal.note(EVIL)
    terminal.warn(EVIL)
    terminal.error(DataError(EVIL, EVIL))
    terminal.facts([("label", EVIL)])
    assert nothing_obeyed(screen.read())


def test_colours_of_ours_stay(screen: Screen) -> None:
    terminal = Terminal(out=screen.stream, err=screen.stream, color=Color.ALWAYS)
    terminal.print(terminal.paint("good", "good", screen.stream))
    assert screen.read() == "\x1b[32mgood\x1b[0m\n"


def test_what_is_waited_for_is_shown_as_it_is_named(screen: Screen) -> None:
    terminal = Terminal(out=screen.stream, err=screen.stream, color=Color.NEVER)
    with waiting(terminal, "reading \u202eelif [bold]") as shown:
        shown.show("postgres://u:secret@h/db \u2066", "1")
    seen = screen.read()
    assert not any(one in seen for one in ("\u202e", "\u2066", "secret"))


@pytest.mark.parametrize("fmt", [Format.JSON, Format.JSONL, Format.CSV, Format.TSV])
def test_a_pipe_gets_the_data_as_it_is(fmt: Format, piped: Callable[..., Piped]) -> None:
    text = "a\x7f\x9b\u202eb"
    out = piped()
    out.terminal.show(listing(text), fmt)
    assert text in out.stdout


@pytest.mark.parametrize("fmt", list(Format))
def test_passwords_in_addresses_are_in_no_format(fmt: Format, piped: Callable[..., Piped]) -> None:
    url = "https://me:hunter2@host.example/v1?a=1&password=hunter2"
    out = piped()
    out.terminal.show(listing(url), fmt)
    out.terminal.json({"deep": [{"url": url}]})
    out.terminal.say(url)
    assert "hunter2" not in out.stdout
    assert "https://me:…@host.example/v1?a=1&password=…" in out.stdout
    exact = piped()
    exact.terminal.show(Listing(listing(url).columns, [url], id=str, exact=True), fmt)
    assert url in exact.stdout
