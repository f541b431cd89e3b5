"""Keys and personal data out of decisions: each value becomes a placeholder, the same value always the same one.

What counts is in `patterns`. No shape reaches over the end of a line, but for blocks and lists that say what
they are. RE2 searches a text for anything that might be such a value, and only the lines in which it finds something
meet the exact shapes. Where RE2 is not installed `re`, which finds the same, looks at line by line: the prompts of an
agent share most of their lines, so those seen are remembered.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any

from reasoning_cli.redaction.patterns import BLOCKS, KINDS, SHAPES, Shape, gates_of

# The pseudonym of a participant, beside the placeholders of secrets.
NAME = "name"

_TAKEN_OUT = re.compile(rf"\[(?:{'|'.join(kind.upper() for kind in KINDS)})_[0-9a-f]{{8}}\]")
_PLACEHOLDER = re.compile(rf"{_TAKEN_OUT.pattern}|\bPerson-[0-9a-f]{{6}}\b")
_PSEUDONYM = re.compile(r"Person-[0-9a-f]{6}")
# A line longer than this is judged anew each time; so many characters of clean lines, and so many lines with something
# in them, are remembered at most.
_LINE_CHARS = 20_000
_REMEMBERED_CHARS = 4_000_000
_REMEMBERED_LINES = 1_000
# What RE2 may take for one gate; with less it starts anew again and again.
_GATE_BYTES = 8 << 20


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
        shapes = [shape for shape in SHAPES if shape.kind in chosen]
        blocks = [shape for shape in BLOCKS if shape.kind in chosen]
        self._all = _Shapes(*shapes, *blocks)
        self._gates = self._all.gates
        self._shapes, self._blocks = _Shapes(*shapes), _Shapes(*blocks)
        self._clean: set[str] = set()
        self._dirty: dict[str, tuple[str, Counter[str]]] = {}
        self._remembered_chars = 0

    def redact(self, text: str, names: Collection[str] = ()) -> str:
        """`text` without secrets; `names` are this text's own participants. A second time changes nothing."""
        text = self._without_secrets(text)
        people = self._names.union(names) if names else self._names
        return self._pseudonyms(text, people) if people else text

    def leaves(self, text: bytes) -> bool:
        """Whether `redact` surely changes nothing in a text, which is given as UTF-8. Without RE2 it is never sure."""
        return not self._names and self._all.are_surely_not_in(text)

    def _without_secrets(self, text: str) -> str:
        if all(gate.is_quick for gate in self._gates):
            with suppress(UnicodeEncodeError):
                return self._at_places(text.encode())
        return self._line_by_line(text)

    def _at_places(self, text: bytes) -> str:
        """The lines in which RE2 finds something, redacted; the rest is not even looked at."""
        shapes = self._all.that_may_be_in(text)
        if any(shape in BLOCKS for shape in shapes):
            text = self._settled(text.decode(), self._blocks, self.counts).encode()
            shapes = self._all.that_may_be_in(text)
        parts, position = [], 0
        for start, end in sorted({place for shape in shapes for place in _compiled(shape.gate).lines(text)}):
            line = text[start:end].decode()
            if any(True for shape in shapes for _ in shape.spans(line)):  # most often not: an id that begins as a card
                parts += [text[position:start].decode(), self._line(line)]
                position = end
        return "".join([*parts, text[position:].decode()])

    def _line(self, line: str) -> str:
        """A line that something may be in, redacted and counted; a sliding conversation shows it again and again."""
        known = self._dirty.get(line)
        if known is None:
            counts = Counter[str]()
            known = self._settled(line, self._shapes, counts), counts
            self._remember({line}, {line: known})
        self.counts += known[1]
        return known[0]

    def _line_by_line(self, text: str) -> str:
        lines = text.split("\n")
        unknown = set(lines) - self._clean
        if unknown:
            if self._blocks.may_be_in("\n".join(unknown)):
                lines = self._settled(text, self._blocks, self.counts).split("\n")
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
        """Those of the lines the gates find something in, each with what it becomes and how many of what were in it."""
        dirty = {line: self._dirty[line] for line in lines if line in self._dirty}
        new = lines.difference(dirty)
        if new and _any_in(self._gates, "\n".join(new)):
            for line in new:
                if _any_in(self._gates, line):
                    counts = Counter[str]()
                    dirty[line] = self._settled(line, self._shapes, counts), counts
        self._remember(new, dirty)
        return dirty

    def _remember(self, new: set[str], dirty: dict[str, tuple[str, Counter[str]]]) -> None:
        short = {line for line in new if len(line) <= _LINE_CHARS}
        self._remembered_chars += sum(map(len, short))
        if self._remembered_chars > _REMEMBERED_CHARS or len(self._dirty) > _REMEMBERED_LINES:
            self._clean, self._dirty, self._remembered_chars = set(), {}, 0
        self._dirty.update((line, dirty[line]) for line in short if line in dirty)
        self._clean |= short.difference(dirty)

    def _settled(self, text: str, shapes: _Shapes, counts: Counter[str]) -> str:
        """Redacted until nothing more is found: taking one thing out may leave another standing free."""
        while shapes.may_be_in(text) and (spans := _merged(_found(text, shapes))):
            text = self._replaced(text, spans, counts)
        return text

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


def _found(text: str, shapes: _Shapes) -> Iterator[tuple[int, int, Shape]]:
    """Where the secrets are, whatever they overlap; never inside a placeholder."""
    # A pattern that can begin in one way only is searched for far faster.
    pattern = _PLACEHOLDER if "Person-" in text else _TAKEN_OUT
    taken = [found.span() for found in pattern.finditer(text)]
    for shape in shapes.worth_trying(text):
        for start, end in shape.spans(text):
            if start < end and not any(start < last and first < end for first, last in taken):
                yield start, end, shape


def _merged(spans: Iterator[tuple[int, int, Shape]]) -> list[tuple[int, int, Shape]]:
    """In order, those that overlap as one: the shape that is listed first names it, and no piece of any is left."""
    merged: list[tuple[int, int, Shape]] = []
    for start, end, shape in sorted(spans, key=lambda span: (span[0], -span[1], span[2].rank)):
        if merged and start < merged[-1][1]:
            first, last, other = merged[-1]
            merged[-1] = (first, max(last, end), min(shape, other, key=lambda kind: kind.rank))
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


def _options() -> Any:
    import re2

    options = re2.Options()
    options.max_mem = _GATE_BYTES
    return options


class _Gate:
    """Whether a pattern is somewhere in a text: RE2 where it is installed and the text can be encoded, else `re`."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        try:
            import re2
        except ImportError:
            self._re2 = None
        else:
            self._re2 = re2.compile(pattern, _options())

    @property
    def is_quick(self) -> bool:
        """Whether there is RE2, which `finds` and `lines` need."""
        return self._re2 is not None

    @cached_property
    def _re(self) -> re.Pattern[str]:
        return re.compile(self._pattern, re.ASCII)

    def search(self, text: str) -> bool:
        if self._re2 is not None:
            with suppress(UnicodeEncodeError):
                return self.finds(text.encode())
        return self._re.search(text) is not None

    def finds(self, text: bytes) -> bool:
        """Whether it is in UTF-8; RE2 reads no other, so nothing is encoded twice."""
        assert self._re2 is not None
        return self._re2.search(text) is not None

    def lines(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Where the lines are that it is in; what reaches over the end of a line is in neither."""
        assert self._re2 is not None
        position = 0
        while position <= len(text) and (found := self._re2.search(text, position)) is not None:
            start = text.rfind(b"\n", 0, found.start()) + 1
            end = text.find(b"\n", start)
            end = len(text) if end < 0 else end
            if found.end() <= end or self.finds(text[start:end]):
                yield start, end
            position = end + 1


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> _Gate:
    return _Gate(pattern)


def _any_in(gates: Iterable[_Gate], text: str) -> bool:
    return any(gate.search(text) for gate in gates)


class _Shapes:
    """Shapes, and which of them a text is worth trying."""

    def __init__(self, *shapes: Shape) -> None:
        self.gates = tuple(map(_compiled, gates_of(shapes)))
        self._shapes = shapes

    def may_be_in(self, text: str) -> bool:
        return _any_in(self.gates, text)

    def are_surely_not_in(self, text: bytes) -> bool:
        """Whether no gate is in UTF-8: in one go, faster than one gate after the other. Never sure without RE2."""
        return self._is_quick and not self._set.Match(text)

    def that_may_be_in(self, text: bytes) -> list[Shape]:
        """Those whose gate is in UTF-8: in one go, faster than one gate after the other. Needs RE2."""
        return [self._shapes[place] for place in sorted(self._set.Match(text) or ())]

    def worth_trying(self, text: str) -> Iterator[Shape]:
        """Those whose gate is in a text that holds one of them."""
        found: list[Shape] = []
        if self._is_quick:
            with suppress(UnicodeEncodeError):
                found = self.that_may_be_in(text.encode())
        return iter(found) if found else (shape for shape in self._shapes if _compiled(shape.gate).search(text))

    @cached_property
    def _is_quick(self) -> bool:
        return all(gate.is_quick for gate in self.gates)

    @cached_property
    def _set(self) -> Any:
        return _at_once(tuple(shape.gate for shape in self._shapes))


@lru_cache(maxsize=16)
def _at_once(patterns: tuple[str, ...]) -> Any:
    """RE2 tells all the gates that are in a text in one go. Made once for all redactors: that takes 5 ms."""
    import re2

    gates = re2.Set.SearchSet(_options())
    for pattern in patterns:
        gates.Add(pattern)
    gates.Compile()
    return gates
