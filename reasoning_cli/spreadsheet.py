"""Cells of CSV and TSV as a spreadsheet may open them: one that begins like a formula would be run there."""

from __future__ import annotations

import re

# The signs a formula begins with, in ASCII and in the full width of East Asian keyboards; and what is cut off before.
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(?:\d[\d,_ ]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?%?", re.ASCII)


def cell(text: str) -> str:
    """`text` with an apostrophe before it where a spreadsheet would run it; numbers, such as -5 or +3.2, stay."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
