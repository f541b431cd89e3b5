"""What others wrote, as a person may see it: nothing in it moves the cursor, recolours the screen, or turns a line
round so that it reads otherwise than it is."""

from __future__ import annotations

import re
from functools import cache

# Controls of terminals (C0, DEL and C1, of which U+009B alone begins an escape), what breaks lines, and what sets the
# direction of text.
_CONTROL = (*range(32), *range(127, 160))
_INVISIBLE = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_SPELT = {
    **{code: f"\\x{code:02x}" for code in _CONTROL},
    **{code: f"\\u{code:04x}" for code in _INVISIBLE},
}
_LITERAL = "".join(map(chr, (*_CONTROL, *_INVISIBLE)))
# What may stand in a line that is drawn: the colours are ours.
_DRAWN = re.compile(rf"\x1b\[[\d;]*m|[{re.escape(_LITERAL.replace(chr(10), '').replace(chr(9), ''))}]")
_IN_JSON = re.compile(f"[\x7f-\x9f{re.escape(''.join(map(chr, _INVISIBLE)))}]")


def visible(text: str, but: str = "") -> str:
    """What a terminal would obey spelt out, but for the characters in `but`."""
    return text.translate(_spelt_but(but))


@cache
def _spelt_but(but: str) -> dict[int, str]:
    return {code: shown for code, shown in _SPELT.items() if chr(code) not in but}


def drawn(text: str) -> str:
    """The same for lines that were laid out and coloured: the last look before they reach a terminal."""
    return _DRAWN.sub(lambda found: found[0] if found[0].endswith("m") else _SPELT[ord(found[0][0])], text)


def visible_json(text: str) -> str:
    """JSON that says the same, without what a terminal would obey: JSON itself escapes C0 only."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
