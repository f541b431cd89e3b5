"""Sentences on a terminal of any width: broken between words, never inside one, never inside a command to copy."""

from __future__ import annotations

import re

# What stands in backticks is a command or a name: it stays in one piece, as does a word too long for a line (a
# terminal that breaks it still copies it whole).
_PIECE = re.compile(r"\s*(?:`[^`\n]*`|[^\s`]|`)+")


def wrap(text: str, width: int, *, first: str = "", rest: str = "") -> list[str]:
    """`text` as lines of at most `width` columns where words allow; `first` and `rest` begin the lines."""
    line, lines = first, []
    begun = False
    for piece in _PIECE.findall(text):
        if begun and len(line) + len(piece) > width:
            lines.append(line)
            line, begun = rest, False
        line += piece if begun or not lines else piece.lstrip()
        begun = True
    lines.append(line)
    return [line.rstrip() for line in lines]


def wrap_lines(text: str, width: int) -> str:
    """Each line of `text` wrapped, what follows indented as the line itself is; lines that fit stay as they are."""
    wrapped = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        wrapped.extend([line] if len(line) <= width else wrap(line.lstrip(), width, first=indent, rest=indent))
    return "\n".join(wrapped)


def fold(text: str, width: int, indent: str = "") -> list[str]:
    """Each line of `text` within `width` columns as a terminal counts them, broken between words or, where one is too
    long, inside it; all begin with `indent`. Blank lines stay."""
    from rich.cells import cell_len, chop_cells

    room = max(1, width - cell_len(indent))
    folded = []
    for line in text.expandtabs(4).split("\n"):
        current, used = "", 0
        for piece in re.findall(r"\s*\S+", line):
            wide = len(piece) if piece.isascii() else cell_len(piece)
            if used + wide <= room:
                current, used = current + piece, used + wide
                continue
            if current:
                folded.append(current)
            *full, current = chop_cells(piece.lstrip() if current else piece, room) or [""]
            folded += full
            used = cell_len(current)
        folded.append(current)
    return [(indent + line).rstrip() for line in folded]
