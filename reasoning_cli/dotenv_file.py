"""`.env` as an agent's own loader reads it: the grammar of node's `dotenv` 16 and 17, which TypeScript agents load.

python-dotenv, which Python agents load, agrees wherever a file is written as both describe it. Where the two differ (a
`#` with nothing before it, backticks, escapes other than `\\n`, `${...}`), the reading is node's: one file has one
reading here, and most agents that this program serves are node's. `tests/test_dotenv_file.py` holds it to both.
"""

from __future__ import annotations

import re
from pathlib import Path

from reasoning_cli.paths import read_small

# JavaScript's classes are not Python's: U+0085 and U+001C to U+001F are no blanks there and end no line, the
# byte-order mark is a blank, U+2028 and U+2029 end lines for `^`, `$` and `.`.
_BLANKS = "\t\n\v\f\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_END = "\n\r\u2028\u2029"
_S = rf"[{_BLANKS}]"
_AT_START, _AT_END = rf"(?<![^{_END}])", rf"(?![^{_END}])"

_NEXT_LINE = re.compile(rf"[{_END}]{_S}*|\Z")
_BEGIN = re.compile(rf"{_S}*")
_SETTING = re.compile(
    rf"(?:export{_S}+)?([A-Za-z0-9_.-]+)(?:{_S}*={_S}*?|:{_S}+?)"
    rf"({_S}*'(?:\\'|[^'])*'|{_S}*\"(?:\\\"|[^\"])*\"|{_S}*`(?:\\`|[^`])*`|[^#\r\n]+)?"
    rf"{_S}*(?:\#[^{_END}]*)?{_AT_END}"
)
_QUOTED = re.compile(rf"{_AT_START}(['\"`])([\s\S]*)\1{_AT_END}")
_OUTER_BLANKS = re.compile(rf"\A{_S}+|{_S}+\Z")


def read_dotenv(path: Path) -> dict[str, str]:
    """What the file sets; nothing where it cannot be read. Bytes that are no UTF-8 become the replacement character."""
    try:
        return parse_dotenv(read_small(path).decode(errors="replace"))
    except OSError:
        return {}


def parse_dotenv(text: str) -> dict[str, str]:
    """The same of a text: of a name that stands there twice the last value. A line that is not a setting is passed
    over, and a line inside a quoted value belongs to the value."""
    text = re.sub(r"\r\n?", "\n", text)
    values = {}
    at = _blanks_end(text, 0)
    while at < len(text):
        found = _SETTING.match(text, at)
        if found is None:
            at = _next_line(text, at)
            continue
        values[found[1]] = _value(found[2] or "")
        at = _next_line(text, found.end())
    return values


def _blanks_end(text: str, at: int) -> int:
    found = _BEGIN.match(text, at)
    return found.end() if found else at


def _next_line(text: str, at: int) -> int:
    """Where the next line that has something on it begins to have it."""
    found = _NEXT_LINE.search(text, at)
    return found.end() if found else len(text)


def _value(raw: str) -> str:
    trimmed = _OUTER_BLANKS.sub("", raw)
    value = _QUOTED.sub(r"\2", trimmed)
    return value.replace("\\n", "\n").replace("\\r", "\r") if trimmed.startswith('"') else value
