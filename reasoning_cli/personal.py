"""Keys and personal data out of decisions: each value becomes a placeholder, the same value always the same one.

What counts is in `personal_shapes`. No shape reaches over the end of a line, but for blocks and lists that say what
they are. A text passes one search of RE2; where that finds something the lines are judged one by one, and only those in
which it finds something again meet the exact shapes. The prompts of an agent share most of their lines, so those seen
are remembered: that is what helps where RE2 is not installed and `re`, which finds the same, does its part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import groupby

from reasoning_cli.personal_shapes import BLOCKS, KINDS, SHAPES, Shape, gate_of

# The pseudonym of a participant, beside the placeholders of secrets.
NAME = "name"

_PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(kind.upper() for kind in KINDS)})_[0-9a-f]{{8}}\]|\bPerson-[0-9a-f]{{6}}\b")
_PSEUDONYM = re.compile(r"Person-[0-9a-f]{6}")
# A line longer than this is judged anew each time; so many characters of lines are remembered at most.
_LINE_CHARS = 20_000
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
        self._gate = _compiled(gate_of((*self._shapes, *self._blocks)))
        self._clean: set[str] = set()
        self._dirty: dict[str, tuple[str, Counter[str]]] = {}
        self._remembered_chars = 0

    def redact(self, text: str, names: Collection[str] = ()) -> str:
        """`text` without secrets; `names` are this text's own participants. A second time changes nothing."""
        # RE2 reads a text sooner than its lines are looked up; `re` does not.
        if not self._gate.is_quick or self._gate.search(text):
            text = self._without_secrets(text)
        people = self._names.union(names) if names else self._names
        return self._pseudonyms(text, people) if people else text

    def _without_secrets(self, text: str) -> str:
        lines = text.split("\n")
        unknown = set(lines) - self._clean
        if unknown:
            for shape in self._blocks:
                if _compiled(shape.gate).search("\n".join(unknown)):
                    lines = self._settled(text, (shape,), self.counts).split("\n")
                    unknown = set(lines) - self._clean
                    text = "\n".join(lines)
            dirty = self._looked_at(unknown)
            if dirty:
                for number, line in enumerate(lines):
                    if line in dirty:
                        # A line may stand in the text twice, and each time counts.
                        lines[number], counts = dirty[line]
                        self.counts += counts
                text = "\n".join(lines)
        return text

    def _looked_at(self, lines: set[str]) -> dict[str, tuple[str, Counter[str]]]:
        """Those of the lines the gate finds something in, each with what it becomes and how many of what were in it."""
        dirty = {line: self._dirty[line] for line in lines if line in self._dirty}
        new = lines.difference(dirty)
        if new and self._gate.search("\n".join(new)):
            for line in new:
                if self._gate.search(line):
                    counts = Counter[str]()
                    dirty[line] = self._settled(line, self._shapes, counts), counts
        self._remember(new, dirty)
        return dirty

    def _remember(self, new: set[str], dirty: dict[str, tuple[str, Counter[str]]]) -> None:
        short = {line for line in new if len(line) <= _LINE_CHARS}
        self._remembered_chars += sum(map(len, short))
        if self._remembered_chars > _REMEMBERED_CHARS:
            self._clean, self._dirty, self._remembered_chars = set(), {}, 0
        self._dirty.update((line, dirty[line]) for line in short if line in dirty)
        self._clean |= short.difference(dirty)

    def _settled(self, text: str, shapes: tuple[Shape, ...], counts: Counter[str]) -> str:
        """Redacted until nothing more is found: taking one thing out may leave another standing free."""
        gate = _compiled(gate_of(shapes))
        while True:
            spans = _merged(_found(text, shapes)) if gate.search(text) else []
            if not spans:
                return text
            text = self._replaced(text, spans, counts)

    def _replaced(self, text: str, spans: list[tuple[int, int, Shape]], counts: Counter[str]) -> str:
        parts, position = [], 0
        for start, end, shape in spans:
            counts[shape.kind] += 1
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
    for _, alike in groupby(shapes, key=lambda shape: shape.kind):
        group = tuple(alike)
        if _compiled(gate_of(group)).search(text):
            for shape in group:
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
    """Whether a pattern is somewhere in a text: RE2 where it is installed and the text can be encoded, else `re`."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        try:
            import re2
        except ImportError:
            self._re2 = None
        else:
            options = re2.Options()
            options.max_mem = 64 << 20
            self._re2 = re2.compile(pattern, options)

    @property
    def is_quick(self) -> bool:
        """Whether a search is faster than splitting a text into lines and looking those up."""
        return self._re2 is not None

    @cached_property
    def _re(self) -> re.Pattern[str]:
        return re.compile(self._pattern, re.ASCII)

    def search(self, text: str) -> bool:
        if self._re2 is not None:
            with suppress(UnicodeEncodeError):
                return self._re2.search(text) is not None
        return self._re.search(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> _Gate:
    return _Gate(pattern)
