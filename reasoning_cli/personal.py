"""Keys and personal data out of decisions: each value becomes a placeholder, the same value always the same one.

What counts is in `personal_shapes`. No shape reaches over the end of a line, but for blocks and lists that say what
they are, so a text is judged line by line; and since the prompts of an agent share most of their lines, the lines found
clean are remembered and not looked at again. The rest passes one search of RE2 (or, where that is not installed,
`re`) and only lines in which it finds something meet the exact shapes, which are the same either way.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from functools import lru_cache
from hashlib import blake2b

from reasoning_cli.personal_shapes import BLOCKS, KINDS, SHAPES, Shape, gate_of

# The pseudonym of a participant, beside the placeholders of secrets.
NAME = "name"

_PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(kind.upper() for kind in KINDS)})_[0-9a-f]{{8}}\]|\bPerson-[0-9a-f]{{6}}\b")
_PSEUDONYM = re.compile(r"Person-[0-9a-f]{6}")
# A line longer than this is judged anew each time; so many characters of lines are remembered at most.
_LINE_CHARS = 2_000
_REMEMBERED_CHARS = 4_000_000


class Redactor:
    """Takes secrets and personal data out of texts and counts them.

    `salt` decides the placeholders: one salt gives one value the same placeholder in any process, and without the salt
    nobody can try values until one fits. `kinds` (of `KINDS`; all when None) says what goes; `names` are people whose
    names become pseudonyms. One thread at a time.
    """

    def __init__(self, salt: bytes, *, names: Collection[str] = (), kinds: Collection[str] | None = None) -> None:
        chosen = frozenset(KINDS if kinds is None else kinds)
        self.counts: Counter[str] = Counter()
        self._key = blake2b(salt, digest_size=32).digest()
        self._names = frozenset(names)
        self._shapes = tuple(shape for shape in SHAPES if shape.kind in chosen)
        self._blocks = tuple(shape for shape in BLOCKS if shape.kind in chosen)
        self._gate = _compiled(gate_of(self._shapes)) if self._shapes else None
        self._clean: set[str] = set()
        self._clean_chars = 0

    def redact(self, text: str, names: Collection[str] = ()) -> str:
        """`text` without secrets; `names` are this text's own participants. A second time changes nothing."""
        for shape in self._blocks:
            if any(word in text for word in shape.words):
                text = self._settled(text, (shape,))
        lines = text.split("\n")
        unknown = set(lines) - self._clean
        if unknown and self._gate is not None:
            text = self._lines(text, lines, unknown)
        people = self._names.union(names) if names else self._names
        return self._pseudonyms(text, people) if people else text

    def _lines(self, text: str, lines: list[str], unknown: set[str]) -> str:
        """The text with the lines that are not known to be clean redacted."""
        assert self._gate is not None
        if self._gate.search("\n".join(unknown)) is None:
            self._remember(unknown)
            return text
        # A line may stand in the text twice, and each time counts.
        for number, line in enumerate(lines):
            if line in unknown and self._gate.search(line) is not None:
                lines[number] = self._settled(line, self._shapes)
        return "\n".join(lines)

    def _remember(self, lines: set[str]) -> None:
        short = {line for line in lines if len(line) <= _LINE_CHARS}
        self._clean_chars += sum(map(len, short))
        if self._clean_chars > _REMEMBERED_CHARS:
            self._clean, self._clean_chars = set(), 0
        self._clean |= short

    def _settled(self, text: str, shapes: tuple[Shape, ...]) -> str:
        """Redacted until nothing more is found: taking one thing out may leave another standing free."""
        while True:
            spans = _merged(_found(text, shapes))
            if not spans:
                return text
            text = self._replaced(text, spans)

    def _replaced(self, text: str, spans: list[tuple[int, int, Shape]]) -> str:
        parts, position = [], 0
        for start, end, shape in spans:
            self.counts[shape.kind] += 1
            value = shape.canonical(text[start:end])
            parts += [text[position:start], f"[{shape.kind.upper()}_{self._digest(shape.kind, value, 4)}]"]
            position = end
        return "".join([*parts, text[position:]])

    def _digest(self, kind: str, value: str, size: int) -> str:
        return blake2b(f"{kind}\0{value}".encode("utf-8", "surrogatepass"), key=self._key, digest_size=size).hexdigest()

    def _pseudonyms(self, text: str, people: frozenset[str]) -> str:
        pattern = _names_pattern(people)
        if pattern is None or pattern.search(text) is None:
            return text

        def replace(found: re.Match[str]) -> str:
            self.counts[NAME] += 1
            return f"Person-{self._digest(NAME, found[0].casefold(), 3)}"

        parts, position = [], 0
        for placeholder in _PLACEHOLDER.finditer(text):
            parts += [pattern.sub(replace, text[position : placeholder.start()]), placeholder[0]]
            position = placeholder.end()
        return "".join([*parts, pattern.sub(replace, text[position:])])


def is_pseudonym(name: str) -> bool:
    """Whether a name is one this module made."""
    return _PSEUDONYM.fullmatch(name) is not None


def _found(text: str, shapes: tuple[Shape, ...]) -> Iterator[tuple[int, int, Shape]]:
    """Where the secrets are, whatever they overlap; never inside a placeholder."""
    taken = [found.span() for found in _PLACEHOLDER.finditer(text)]
    for shape in shapes:
        for start, end in shape.spans(text):
            if start < end and not any(start < last and first < end for first, last in taken):
                yield start, end, shape


def _merged(spans: Iterator[tuple[int, int, Shape]]) -> list[tuple[int, int, Shape]]:
    """In order, those that overlap as one: the shape that is listed first names it, and no piece of any is left."""
    merged: list[tuple[int, int, Shape]] = []
    for start, end, shape in sorted(spans, key=lambda span: (span[0], -span[1], span[2].rank)):
        if merged and start < merged[-1][1]:
            first, last, other = merged[-1]
            merged[-1] = (first, max(last, end), min(shape, other, key=lambda one: one.rank))
        else:
            merged.append((start, end, shape))
    return merged


@lru_cache(maxsize=4096)
def _names_pattern(people: frozenset[str]) -> re.Pattern[str] | None:
    """Any of the names as whole words, the longest first; None when no name is left to look for."""
    real = sorted(
        (name for name in people if len(name) > 1 and not is_pseudonym(name)), key=lambda name: (-len(name), name)
    )
    if not real:
        return None
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, real))})(?!\w)")


class _Gate:
    """`search` of a compiled pattern; text that cannot be encoded (lone surrogates) counts as found."""

    def __init__(self, pattern: str) -> None:
        self._re = re.compile(pattern, re.ASCII)
        try:
            import re2
        except ImportError:
            self._re2 = None
        else:
            options = re2.Options()
            options.max_mem = 64 << 20
            self._re2 = re2.compile(pattern, options)

    def search(self, text: str) -> object | None:
        if self._re2 is None:
            return self._re.search(text)
        try:
            found: object | None = self._re2.search(text)
        except UnicodeEncodeError:
            return self._re.search(text)
        return found


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> _Gate:
    return _Gate(sys.intern(pattern))
