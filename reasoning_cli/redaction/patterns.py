"""What secrets and personal data look like: the table `personal` works from.

Each shape has a gate, a pattern both RE2 and `re` read that finds at least every line its exact `pattern` matches in,
and often a `check` that tells a card from any number. Every pattern takes linear time on any text: what repeats is
bounded, or its first characters cannot stand inside it. A group named `v` is the secret part of a match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from reasoning_cli.redact import KEY_SHAPES
from reasoning_cli.redaction.validators import (
    BASE58,
    NOT_IN_SEEDS,
    digits_of,
    iban_of,
    is_american,
    is_assigned_key,
    is_assigned_password,
    is_base58_key,
    is_bearer,
    is_byte_list,
    is_card,
    is_email,
    is_iban,
    is_international,
    is_ipv4,
    is_ipv6,
    is_key,
    is_national,
    is_no_hash,
    is_said_phone,
    is_seed_phrase,
    is_wif,
    lowered,
    seed_words,
)

KINDS = (
    "private_key",
    "seed_phrase",
    "key",
    "token",
    "password",
    "email",
    "iban",
    "card",
    "phone",
    "ssn",
    "ip",
)

Check = Callable[[re.Match[str]], bool]


@dataclass(frozen=True)
class Shape:
    """One way a value of a kind is written. `canonical` gives two spellings of one value the same placeholder."""

    kind: str
    pattern: re.Pattern[str]
    gate: str
    check: Check = bool
    canonical: Callable[[str], str] = str

    @property
    def rank(self) -> int:
        """The smaller names a place that two shapes share."""
        return KINDS.index(self.kind)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the secret parts are."""
        group = "v" if "v" in self.pattern.groupindex else 0
        for found in self.pattern.finditer(text):
            if self.check(found):
                yield found.span(group)


def gates_of(shapes: Sequence[Shape]) -> tuple[str, ...]:
    """Patterns of which one is found wherever one of the shapes might be.

    All in one but for a phrase of words: that counts whatever people write, and RE2 would need each of its states for
    each state of the others.
    """
    together = dict.fromkeys(shape.gate for shape in shapes if shape.gate != _WORDS_GATE)
    gates = (
        "|".join(f"(?:{gate})" for gate in together),
        *{shape.gate for shape in shapes if shape.gate == _WORDS_GATE},
    )
    return tuple(filter(None, gates))


def _re(pattern: str, flags: int = 0) -> re.Pattern[str]:
    # \d, \w and \b are those of ASCII, so that a key is found right behind a Chinese character.
    return re.compile(pattern, re.ASCII | flags)


_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_LATIN = "A-Za-z0-9À-ɏ"
_TOKEN_CHARS = r"[A-Za-z0-9._~+/=-]"
_NAMED = r"(?:api[_-]?key|access[_-]?key|secret|token|private[_-]?key|account[_-]?key|credentials?|auth[_-]?key)"
_PASSWORDS = r"(?:passw(?:or)?d|passwort|passphrase|passcode|pwd)"
# RE2 cannot look back. Most numbers of ids, which are everywhere in prompts, stand behind a dash.
_NOT_BEHIND = r"(?m:^|[^\w.+\n-])"
# A quote, as it is, in a string of JSON, or in an answer's XML.
_QUOTE = r"(?:\\?[\"'\]`]|&quot;|&apos;)"
_ASSIGN = rf"{_QUOTE}{{0,2}}\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}}{_QUOTE}?"
_SEED_WORD = rf"(?!(?:{NOT_IN_SEEDS})\b)[a-z]{{3,8}}"
# One for all long ones: RE2 counts each in states of its own.
_LONG_GATE = r"[A-Za-z0-9]{51}"
# Words of any length but for the commonest of all, which is in no such phrase: the fewer letters and words RE2 counts,
# the fewer states it has, and those of nearly all texts stay in the processor's cache.
_GATE_WORD = r"(?:[a-su-z][a-z]{2}|t[a-gi-z][a-z]|th[a-df-z]|the[a-z])[a-z]*"
_WORDS_GATE = rf"\b{_GATE_WORD}(?:[ ,]{{1,2}}{_GATE_WORD}){{11}}"
_SEED_WORDS = r"(?:(?:seed|recovery|secret|backup)[ _-]?(?:phrase|words)|mnemonic)"
_ASSIGNED = r"(?P<v>[^\s\"'`<>&,;()\[\]{}|]{5,})"

SHAPES: tuple[Shape, ...] = (
    Shape(
        "private_key",
        _re(r"(?<![0-9A-Za-z])(?:0x)?[0-9a-fA-F]{64}(?![0-9A-Za-z])"),
        _LONG_GATE,
        is_no_hash,
        lambda text: text.lower().removeprefix("0x"),
    ),
    Shape(
        "private_key",
        _re(rf"(?<![{BASE58}])[5KLc9][{BASE58}]{{50,51}}(?![{BASE58}])"),
        _LONG_GATE,
        is_wif,
    ),
    Shape(
        "private_key",
        _re(rf"(?<![{BASE58}])[{BASE58}]{{86,88}}(?![{BASE58}])"),
        _LONG_GATE,
        is_base58_key,
    ),
    Shape("private_key", _re(rf"\b[xyztuv]prv[{BASE58}]{{100,112}}\b"), r"\b[xyztuv]prv[1-9A-Za-z]{20}"),
    Shape(
        "private_key",
        _re(r"\b(?:nsec1|suiprivkey1|edsk)[0-9A-Za-z]{40,}|\bAGE-SECRET-KEY-1[0-9A-Z]{40,}"),
        r"\b(?:nsec1|suiprivkey1|edsk)[0-9A-Za-z]{40}|\bAGE-SECRET-KEY-1",
    ),
    Shape(
        "private_key",
        _re(r"\[\s{0,2}\d{1,3}(?:\s{0,2},\s{0,2}\d{1,3}){63}\s{0,2}\]"),
        r"\d{1,3}(?: ?, ?\d{1,3}){20}|\[\s*\d{1,3}(?:\s*,\s*\d{1,3}){20}",
        is_byte_list,
        digits_of,
    ),
    Shape(
        "seed_phrase",
        _re(rf"(?<![A-Za-z]){_SEED_WORD}(?:[ ,]{{1,2}}{_SEED_WORD}){{11,23}}(?![A-Za-z])"),
        _WORDS_GATE,
        is_seed_phrase,
        seed_words,
    ),
    Shape("key", _re("|".join(KEY_SHAPES)), "|".join(KEY_SHAPES), is_key),
    Shape(
        "key",
        _re(rf"{_NAMED}(?:[_-](?:id|key|value|v\d))?{_ASSIGN}{_ASSIGNED}", re.IGNORECASE),
        rf"(?i:{_NAMED}(?:[_-](?:id|key|value|v\d))?{_QUOTE}{{0,2}}\s{{0,3}}[:=])",
        is_assigned_key,
    ),
    Shape(
        "key",
        _re(rf"{_NAMED.replace('_-', '_ -')} is:? (?P<v>[^\s\"'`<>&,;()\[\]{{}}|]{{5,}})", re.IGNORECASE),
        rf"(?i:{_NAMED.replace('_-', '_ -')} is)",
        is_assigned_key,
    ),
    Shape(
        "key",
        _re(
            r"\b(?:alchemy\.com|infura\.io|quiknode\.pro|ankr\.com/\w{1,20})/(?:(?:ws/)?v\d/)?(?P<v>[A-Za-z0-9_-]{20,})"
        ),
        r"\b(?:alchemy\.com|infura\.io|quiknode\.pro|ankr\.com)/",
    ),
    Shape(
        "token",
        _re(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        r"\beyJ[A-Za-z0-9_-]{8,}\.",
    ),
    Shape(
        "token",
        _re(rf"\b(?:bearer|basic)\s{{1,3}}(?P<v>{_TOKEN_CHARS}{{12,}})", re.IGNORECASE),
        rf"(?i:\b(?:bearer|basic)\s{{1,3}}{_TOKEN_CHARS}{{12}})",
        is_bearer,
    ),
    Shape(
        "password",
        _re(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@<>\"'\[\]]{0,100}:(?P<v>[^\s/@<>\"'\[\]]{1,200})@", re.IGNORECASE),
        r"://[^\s:/@<>\"'\[\]]*:[^\s/@<>\"'\[\]]+@",
    ),
    Shape(
        "password",
        _re(rf"{_PASSWORDS}{_ASSIGN}{_ASSIGNED}", re.IGNORECASE),
        rf"(?i:{_PASSWORDS}{_QUOTE}{{0,2}}\s{{0,3}}[:=])",
        is_assigned_password,
    ),
    Shape(
        "password",
        _re(rf"{_PASSWORDS} is:? (?P<v>[^\s\"'`<>&,;()\[\]{{}}|]{{5,}})", re.IGNORECASE),
        rf"(?i:{_PASSWORDS} is)",
        is_assigned_password,
    ),
    Shape(
        "email",
        _re(
            rf"(?<![{_LATIN}._%+-])[{_LATIN}._%+-]{{1,64}}@[{_LATIN}-]{{1,63}}(?:\.[{_LATIN}-]{{1,63}}){{0,8}}"
            r"\.[A-Za-z]{2,24}(?![A-Za-z0-9])"
        ),
        rf"[{_LATIN}_%+-]@[{_LATIN}-]{{1,63}}\.",
        is_email,
        lowered,
    ),
    Shape(
        "iban",
        _re(r"(?<![A-Za-z0-9])[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"),
        r"\b[A-Z]{2}\d\d[ -]?[A-Z0-9]{4}[ -]?[A-Z0-9]{4}",
        is_iban,
        iban_of,
    ),
    Shape(
        "card",
        _re(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w]|[.-]\d)"),
        rf"{_NOT_BEHIND}(?:\d{{4}}[ -]\d{{4}}[ -]\d{{4}}|\d{{4}}[ -]\d{{6}}[ -]\d{{4}}|[2-6]\d{{12}})",
        is_card,
        digits_of,
    ),
    Shape(
        "phone",
        _re(
            r"(?<![\w+/=.-])(?:\+|00)[1-9]\d{0,2}[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d(?:[ ./-]?(?:\(\d{1,4}\)[ -]?)?\d){5,13}"
            r"(?!\w|[.,]\d)"
        ),
        rf"\+[1-9][\d (.-]{{6}}|{_NOT_BEHIND}00[1-9][\d ().-]{{6}}",
        is_international,
        lambda text: digits_of(text).removeprefix("00"),
    ),
    Shape(
        "phone",
        _re(r"(?<![\w+./-])(?:1[ .-])?(?:\([2-9]\d\d\)[ .-]?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}(?!\w|[.-]\d)"),
        r"\([2-9]\d\d\)[ .-]?[2-9]\d\d[ .-]\d{4}|\b[2-9]\d\d[ .-][2-9]\d\d[ .-]\d{4}\b",
        is_american,
        lambda text: digits_of(text).removeprefix("1"),
    ),
    Shape(
        "phone",
        _re(r"(?<![\w+./:,-])\(?0[1-9]\d{0,4}\)?[ /.-]\d{2,8}(?:[ .-]\d{2,8}){0,4}(?!\w|[.:/,-]\d)"),
        rf"{_NOT_BEHIND}0[1-9](?:\d{{0,4}}\)?[ /.-]\d{{2,8}}[ .-]\d\d|\d{{1,4}}\)?[ /.-]\d{{5}})",
        is_national,
        digits_of,
    ),
    Shape(
        "phone",
        _re(
            r"\b(?:phone|tel|telephone|mobile|cell|whatsapp|handy|call me|text me|sms|fax)\b[^\d\n+]{0,20}"
            r"(?P<v>\+?\d[\d ().-]{5,18}\d)(?!\w|[.,:]\d)",
            re.IGNORECASE,
        ),
        r"(?i:\b(?:phone|tel|telephone|mobile|cell|whatsapp|handy|call me|text me|sms|fax)\b[^\d\n+]{0,20}\+?\d)",
        is_said_phone,
        digits_of,
    ),
    Shape(
        "ssn",
        _re(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])"),
        r"\b\d{3}-\d\d-\d{4}\b",
    ),
    Shape(
        "ip",
        _re(rf"(?<![\w.-]){_OCTET}(?:\.{_OCTET}){{3}}(?![\w-]|\.\w)"),
        r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d",
        is_ipv4,
    ),
    Shape(
        "ip",
        _re(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:]|\.\w)"),
        r"[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]"
        r"|[0-9A-Fa-f]{1,4}::[0-9A-Fa-f]|::[0-9A-Fa-f]{3}",
        is_ipv6,
        lowered,
    ),
)

# Over several lines: a block that ends where it says, or where its text does; a list of words somebody announced.
BLOCKS: tuple[Shape, ...] = (
    Shape(
        "private_key",
        _re(
            r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:"
            r"(?:[A-Za-z0-9+/=\s\\:,.()]|-(?!----))*+-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
            r"|(?:\s{0,4}(?:\\n)?[A-Za-z0-9+/=]{16,})++)"
        ),
        "-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY",
        canonical=lambda text: re.sub(r"\s|\\n", "", text),
    ),
    Shape(
        "seed_phrase",
        _re(
            rf"{_SEED_WORDS}[^\n]{{0,60}}\n"
            r"(?P<v>(?:[ \t]{0,4}(?:\d{1,2}[.):]?[ \t]{1,2})?[a-z]{3,8}[ \t]{0,4}\n){11,23}"
            r"[ \t]{0,4}(?:\d{1,2}[.):]?[ \t]{1,2})?[a-z]{3,8})(?![A-Za-z])",
            re.IGNORECASE,
        ),
        f"(?i:{_SEED_WORDS})",
        canonical=seed_words,
    ),
)
