"""Sentences at any width: no word lost, no command broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.terminal.wrapping import fold, wrap, wrap_lines

words = st.text(st.characters(categories=("L", "N", "P"), exclude_characters="`"), min_size=1, max_size=12)
commands = st.lists(words, min_size=1, max_size=4).map(lambda parts: f"`{' '.join(parts)}`")
sentences = st.lists(words | commands, max_size=20).map(" ".join)


@given(sentences, st.integers(20, 100))
def test_nothing_is_lost_and_only_long_pieces_are_wider(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert " ".join(lines).split() == text.split()
    for line in lines:
        assert len(line) <= width or not line.partition(" ")[2] or "`" in line


@given(st.lists(words, max_size=8), commands, st.lists(words, max_size=8), st.integers(20, 60))
def test_a_command_stays_on_one_line(before: list[str], command: str, after: list[str], width: int) -> None:
    lines = wrap(" ".join([*before, command, *after]), width)
    assert any(command in line for line in lines)


def test_what_follows_is_indented_as_asked() -> None:
    assert wrap("a plan in many words", 12, first="  price  ", rest="         ") == [
        "  price  a",
        "         plan",
        "         in",
        "         many",
        "         words",
    ]


def test_lines_keep_their_indent_and_those_that_fit_stay() -> None:
    assert wrap_lines("short\n  a longer line than that", 14) == "short\n  a longer\n  line than\n  that"


@pytest.mark.parametrize(
    ("text", "width", "folded"),
    [
        ("one two", 20, ["  one two"]),
        ("one two three", 9, ["  one two", "  three"]),
        ("名前名前名前", 8, ["  名前名", "  前名前"]),
        ("a\n\n\tb", 10, ["  a", "", "      b"]),
        ("abcdefgh ij", 6, ["  abcd", "  efgh", "  ij"]),
        ("", 10, [""]),
    ],
)
def test_text_is_folded_by_what_a_terminal_shows(text: str, width: int, folded: list[str]) -> None:
    assert fold(text, width, "  ") == folded
