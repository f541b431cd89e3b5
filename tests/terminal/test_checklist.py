"""How doctor's lines look, wide and narrow."""

from __future__ import annotations

from collections.abc import Callable

from reasoning_cli.terminal.checklist import show_check
from reasoning_cli.terminal.console import Color
from tests.terminal.conftest import Piped

MakePiped = Callable[..., Piped]

DETAIL = "config.toml can be read by others"
FIX = "chmod 600 /home/agent/.config/reasoning/config.toml"


def test_where_there_is_room_the_fix_stands_beside(piped: MakePiped) -> None:
    made = piped(columns=120)
    show_check(made.terminal, "ok", "good", "settings make sense", None)
    show_check(made.terminal, "warn", "warning", DETAIL, FIX)
    assert made.stdout == f"ok    settings make sense\nwarn  {DETAIL:<48}  fix: {FIX}\n"


def test_on_a_narrow_terminal_the_fix_has_its_own_line_and_stays_whole(piped: MakePiped) -> None:
    made = piped(columns=40)
    show_check(made.terminal, "warn", "warning", DETAIL, FIX)
    assert made.stdout == f"warn  {DETAIL}\n      fix: {FIX}\n"


def test_a_long_finding_is_broken_between_words(piped: MakePiped) -> None:
    made = piped(columns=40)
    show_check(made.terminal, "ok", "good", "the database /srv/reasoning.db is intact and of schema 2", None)
    first, *rest = made.stdout.splitlines()
    assert first.startswith("ok    the database ")
    assert all(line.startswith("      ") and len(line) <= 40 for line in rest)
    assert "/srv/reasoning.db" in made.stdout


def test_colour_repeats_the_word(piped: MakePiped) -> None:
    made = piped(columns=120, color=Color.ALWAYS)
    show_check(made.terminal, "fail", "bad", "the port is taken", None)
    assert "\x1b[31mfail" in made.stdout
    assert made.stdout.endswith("the port is taken\n")


def test_names_from_the_network_cannot_paint(piped: MakePiped) -> None:
    made = piped(columns=120)
    show_check(made.terminal, "warn", "warning", "not from here: \x1b[2Jx [red]y", "stop \x1b[31mit")
    assert "\x1b" not in made.stdout
    assert "[red]y" in made.stdout
