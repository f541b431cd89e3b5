"""What reaches stdout and stderr: on a terminal and on a pipe, in colour and without, at any width, in any encoding."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.errors import ReasoningError
from reasoning_cli.terminal.console import Color, Terminal
from reasoning_cli.terminal.listing import Column, Format, Kind, Listing
from tests.terminal.conftest import Piped, Screen

MakePiped = Callable[..., Piped]


@dataclass(frozen=True)
class Row:
    name: str
    state: str = "READY"
    price: str = "5.49"


def listing(*rows: Row) -> Listing[Row]:
    columns: list[Column[Row]] = [
        Column("name", lambda row: row.name, "MODEL", gives_way=True),
        Column("state", lambda row: row.state, "STATE", kind=Kind.STATE, style=lambda row: "good"),
        Column("price", lambda row: row.price, "$/H", kind=Kind.NUMBER),
        Column("note", lambda row: "rarely needed", "NOTE", priority=5),
        Column("id", lambda row: f"dep_{row.name}"),
    ]
    return Listing(columns, rows, id=lambda row: row.name)


LONG = Row("moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond")
SHORT = Row("acme/x", "provisioning", "10.98")


# --- tables ---


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_only_the_one_column_that_gives_way_does(columns: int, piped: MakePiped) -> None:
    made = piped(columns=columns)
    made.terminal.table(listing(LONG, SHORT))
    lines = made.stdout.splitlines()
    assert all(len(line) <= columns for line in lines)
    for line, row in zip(lines[1:], (LONG, SHORT), strict=True):
        assert row.state in line
        assert row.price in line
    assert [word in lines[0] for word in ("MODEL", "STATE", "$/H", "NOTE")] == [True, True, True, columns >= 100]
    assert (LONG.name in lines[1]) == (columns >= 80)
    assert "acme/x " in lines[2]


def test_a_cut_name_shows_that_it_was_cut(piped: MakePiped) -> None:
    made = piped(columns=40)
    made.terminal.table(listing(LONG))
    shown = made.stdout.splitlines()[1].split("  ")[0]
    assert "…" in shown
    assert all(part in LONG.name for part in shown.split("…"))


def test_a_pipe_is_never_cut(piped: MakePiped) -> None:
    made = piped()
    made.terminal.table(listing(Row("x" * 500)))
    assert "x" * 500 in made.stdout
    assert "NOTE" in made.stdout
    assert not any(line.endswith(" ") for line in made.stdout.splitlines())


def test_a_terminal_is_as_wide_as_it_says(screen: Screen) -> None:
    terminal = Terminal(out=screen.stream, err=screen.stream, input=screen.stream, environ={"TERM": "xterm"})
    for columns in (40, 70, 200):
        screen.resize(columns)
        terminal.table(listing(LONG))
        shown = screen.read()
        assert (LONG.name in shown) == (columns == 200)
        assert max(map(len, re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines())) <= columns


@pytest.mark.parametrize("name", ["model [acme/name] end", "[red]x[/red]", "[/]", "a:smile:b", "[link=x]y"])
def test_square_brackets_and_colons_survive(name: str, piped: MakePiped) -> None:
    made = piped()
    made.terminal.table(listing(Row(name)))
    assert name in made.stdout
    made.terminal.note(name)
    made.terminal.error(ReasoningError(name, name))
    assert made.stderr == f"{name}\nerror: {name}\nhint: {name}\n"


@given(
    names=st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=90), max_size=4),
    columns=st.integers(30, 160),
)
def test_no_width_loses_a_state_or_a_row(names: list[str], columns: int, piped: MakePiped) -> None:
    made = piped(columns=columns)
    made.terminal.table(listing(*(Row(name) for name in names)))
    lines = made.stdout.splitlines()
    assert len(lines) == len(names) + 1
    assert all(len(line) <= columns for line in lines)
    assert all("READY" in line and "5.49" in line for line in lines[1:])


@pytest.mark.parametrize("evil", ["\x1b[2J\x1b[31mgone", "a\x9bb", "one\ntwo", "bell\x07", "back\b\b\bspace", "\x7f"])
def test_control_characters_of_others_are_spelt_out(evil: str, piped: MakePiped) -> None:
    made = piped()
    made.terminal.table(listing(Row(evil)))
    made.terminal.warn(f"unknown {evil.replace(chr(10), '')}")
    for text in (made.stdout, made.stderr):
        assert all(character.isprintable() or character == "\n" for character in text)
    assert len(made.stdout.splitlines()) == 2


# --- formats ---


@pytest.mark.parametrize("fmt", list(Format))
def test_every_format_holds_the_same_names(fmt: Format, piped: MakePiped) -> None:
    made = piped(columns=40)
    made.terminal.show(listing(SHORT), fmt)
    assert "acme/x" in made.stdout
    assert made.stderr == ""


def test_quiet_is_one_id_a_line_whatever_the_format(piped: MakePiped) -> None:
    made = piped(columns=40)
    made.terminal.show(listing(LONG, SHORT), Format.JSON, quiet=True)
    assert made.stdout == f"{LONG.name}\nacme/x\n"


@pytest.mark.parametrize(
    ("fmt", "expected"),
    [(Format.TABLE, ""), (Format.JSON, "[]\n"), (Format.JSONL, ""), (Format.CSV, "name,state,price,note,id\n")],
)
def test_nothing_to_show_is_said_to_people_and_empty_for_machines(fmt: Format, expected: str, piped: MakePiped) -> None:
    made = piped()
    made.terminal.show(listing(), fmt, empty="No models yet.")
    assert made.stdout == expected
    assert made.stderr == ("No models yet.\n" if fmt is Format.TABLE else "")


# --- colour ---


@pytest.mark.parametrize(
    ("color", "environ", "on_terminal", "on_pipe"),
    [
        (Color.AUTO, {}, True, False),
        (Color.AUTO, {"NO_COLOR": "1"}, False, False),
        (Color.AUTO, {"NO_COLOR": ""}, True, False),
        (Color.AUTO, {"FORCE_COLOR": "1"}, True, True),
        (Color.AUTO, {"FORCE_COLOR": "0"}, True, False),
        (Color.AUTO, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        (Color.AUTO, {"TERM": "dumb"}, False, False),
        (Color.ALWAYS, {"NO_COLOR": "1", "TERM": "dumb"}, True, True),
        (Color.NEVER, {"FORCE_COLOR": "1"}, False, False),
    ],
)
def test_who_decides_about_colour(
    color: Color, environ: dict[str, str], on_terminal: bool, on_pipe: bool, screen: Screen, piped: MakePiped
) -> None:
    environ = {"TERM": "xterm", **environ}
    terminal = Terminal(out=screen.stream, err=screen.stream, input=screen.stream, environ=environ, color=color)
    terminal.table(listing(SHORT))
    assert ("\x1b[32m" in screen.read()) == on_terminal
    terminal.error(ReasoningError("it broke", "mend it"))
    assert ("\x1b[1;31merror:\x1b[0m it broke\n" in screen.read()) == on_terminal
    made = piped(color=color, **environ)
    made.terminal.table(listing(SHORT))
    made.terminal.warn("careful")
    assert ("\x1b[" in made.stdout, "\x1b[" in made.stderr) == (on_pipe, on_pipe)


def test_without_colour_not_even_bold_is_left(screen: Screen) -> None:
    terminal = Terminal(
        out=screen.stream, err=screen.stream, input=screen.stream, environ={"TERM": "xterm", "NO_COLOR": "1"}
    )
    terminal.table(listing(SHORT))
    assert "\x1b" not in screen.read()


# --- encodings ---


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("fmt", [Format.JSON, Format.JSONL])
def test_json_loses_nothing_whatever_the_stream_can_show(encoding: str, fmt: Format, piped: MakePiped) -> None:
    names = ["acme/Zürich", "日本語 → 😀", 'a "quoted" \\ name', "half \udc80 a character"]
    made = piped(columns=40, encoding=encoding)
    made.terminal.show(listing(*map(Row, names)), fmt)
    text = made.stdout
    records = json.loads(text) if fmt is Format.JSON else [json.loads(line) for line in text.splitlines()]
    assert [one["name"] for one in records] == names


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_that_cannot_show_a_sign_gets_another(encoding: str, piped: MakePiped) -> None:
    made = piped(columns=40, encoding=encoding)
    made.terminal.table(listing(LONG, Row("名前")))
    made.terminal.print("██░░ 1 × H100 → 3 ¢")
    made.terminal.note("key …6789")
    assert "READY" in made.stdout
    assert "?" in made.stdout
    if encoding == "ascii":
        assert "##.. 1 x H100 > 3 c\n" in made.stdout
        assert made.stderr == "key ~6789\n"


def test_text_that_is_no_text_is_no_traceback(piped: MakePiped) -> None:
    made = piped()
    made.terminal.print("a\udcffb")
    made.terminal.note("a\udcffb")
    assert (made.stdout, made.stderr) == ("a?b\n", "a?b\n")


# --- asking ---


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("yep\n", False), ("\x04", False)],
)
def test_only_a_clear_yes_is_a_yes(answer: str, agreed: bool, screen: Screen) -> None:
    terminal = Terminal(out=screen.stream, err=screen.stream, input=screen.stream, environ={})
    screen.type(answer)
    assert terminal.confirm("Deploy `x`? About $2.00 an hour.", yes=False) is agreed
    assert "Deploy `x`? About $2.00 an hour. [y/N] " in screen.read()


def test_nobody_there_is_a_refusal_not_a_guess(piped: MakePiped) -> None:
    made = piped(typed="y\n")
    with pytest.raises(ReasoningError) as caught:
        made.terminal.confirm("Deploy?", yes=False)
    assert caught.value.exit_code == 1
    assert (caught.value.hint, made.stdout, made.stderr) == ("add --yes", "", "")


def test_yes_given_before_is_not_asked_again(piped: MakePiped) -> None:
    made = piped()
    assert made.terminal.confirm("Deploy?", yes=True) is True
    assert made.stdout + made.stderr == ""


def test_a_question_is_not_data(screen: Screen, piped: MakePiped) -> None:
    made = piped()
    terminal = Terminal(out=made.out, err=screen.stream, input=screen.stream, environ={})
    screen.type("y\n")
    assert terminal.confirm("Deploy?", yes=False)
    assert made.stdout == ""


@pytest.mark.parametrize(
    ("command", "text", "called"),
    [
        ("reasoning", "`reasoning doctor`", "`reasoning doctor`"),
        ("reasoning --sandbox", "`reasoning doctor`", "`reasoning --sandbox doctor`"),
        ("reasoning --sandbox", "`reasoning --sandbox doctor`", "`reasoning --sandbox doctor`"),
        ("reasoning --profile a", "reasoning doctor", "reasoning --profile a doctor"),
        ("reasoning --profile a", "`reasoning --sandbox doctor`", "`reasoning --profile a --sandbox doctor`"),
        ("reasoning --profile a --sandbox", "`reasoning --sandbox x`", "`reasoning --profile a --sandbox x`"),
        ("reasoning --profile a", "`reasoning --profile b doctor`", "`reasoning --profile b doctor`"),
    ],
)
def test_commands_in_hints_carry_the_global_options_once(command: str, text: str, called: str) -> None:
    terminal = Terminal(command=command)
    assert terminal.as_called(text) == called
    assert terminal.as_called(called) == called


@pytest.mark.parametrize("kind", ["say", "note", "hint", "warn", "message", "facts"])
def test_whatever_is_said_names_commands_of_the_same_account(piped: MakePiped, kind: str) -> None:
    """What is copied from a sandbox's result must not change real settings, nor a profile's those of no profile."""
    made, text = piped(), "look: `reasoning data stats`"
    terminal = Terminal(out=made.out, err=made.err, environ={}, command="reasoning --sandbox")
    match kind:
        case "message":
            terminal.error(ReasoningError(text))
        case "facts":
            terminal.facts([("next", text)])
        case _:
            getattr(terminal, kind)(text)
    assert "`reasoning --sandbox data stats`" in made.stdout + made.stderr
