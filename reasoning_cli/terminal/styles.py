"""What is said by colour, and by what sign besides: colour is never the only one."""

from __future__ import annotations

Cell = tuple[str, str]  # text and style

# Names of what is said, as the terminal's own colours, so that they fit every theme.
STYLES = {
    "error": "1;31",
    "hint": "36",
    "warning": "33",
    "good": "32",
    "bad": "31",
    "dim": "2",
    "header": "1",
    "going": "36",
}

# Signs a terminal draws one column wide, whatever its locale makes of `ambiguous` characters.
_MARKS = {"good": "✓", "bad": "✗", "warning": "!", "dim": "◦", "going": "▸"}
_RICH = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}


def marked(text: str, style: str) -> str:
    """A state with the sign of how good it is."""
    return f"{_MARKS.get(style, '·')} {text}"


def rich_style(style: str) -> str:
    """A style of ours in Rich's words."""
    return " ".join(_RICH[code] for code in STYLES[style].split(";")) if style in STYLES else ""
