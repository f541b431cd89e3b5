"""Numbers of a moment: hashed signs of its structure, its names and its words, and the few facts that rules are about.

Names never get into a sign: the agent's own and those of others are masked, so that what is learned of one person holds
for another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import sqrt
from zlib import crc32

from reasoning_cli.engines.head.moment import Moment, Spoken, minutes_between

BITS = 16
SIZE = 1 << BITS
_MASK = SIZE - 1
# How much a group of signs weighs: of many words together as much as of a few facts.
STRUCTURE_WEIGHT = 0.5
WORDS_WEIGHT = 1.5
_LONGEST_TEXT = 600  # characters of a message that are read
_WORD = re.compile(r"@?\w+(?:'\w+)?|[^\w\s]")
_LONG_WORD = re.compile(r"[^\W\d_]{5,}")
_YOU = re.compile(r"\b(?:you|your|yours|u|ur|youre|you're)\b")
_CALLED = re.compile(r"^(?:hey |hi |hello |ok |so )?@?([A-Z][\w-]{1,30})[,:] |@(\w{2,40})")
# Words that open a message with a comma behind them and are nobody's name.
_INTERJECTIONS = frozenset(
    (
        *("actually", "ah", "also", "and", "anyway", "but", "cool", "exactly", "first", "great", "haha", "hello"),
        *("hey", "hi", "hmm", "honestly", "however", "i", "lol", "maybe", "nah", "nice", "no", "nope", "now", "oh"),
        *("ok", "okay", "right", "so", "sorry", "sure", "thanks", "then", "true", "well", "what", "wow", "yeah"),
        *("yep", "yes", "you"),
    )
)
AGENT, OTHER, NOBODY = "agent", "other", "nobody"


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a message names (`agent`, `other`, both or `nobody`), where, and its words with the names masked."""

    whom: str
    where: str
    words: tuple[str, ...]

    @property
    def somebody(self) -> bool:
        return self.whom != NOBODY


@dataclass(frozen=True, slots=True)
class Signs:
    """A moment as numbers: `structure` and `words` are places in the weights; `situation` is what rules look up."""

    structure: tuple[int, ...]
    words: tuple[int, ...]
    situation: str
    named: bool

    @property
    def words_value(self) -> float:
        """What each of the words counts."""
        return WORDS_WEIGHT / sqrt(max(1, len(self.words)))


def signs_of(moment: Moment) -> Signs:
    """All that a head looks at."""
    named = named_in(moment)
    facts = tuple(_structure(moment, named))
    return Signs(
        structure=tuple(_place(f"F{fact}") for fact in facts),
        words=_words(named.words),
        situation=situation_of(moment, named),
        named=named.somebody,
    )


def named_in(moment: Moment) -> Named:
    """Whom the message names, or if nobody, what the same person wrote right before it. What looks like being called
    (`Bob, …`, `@bob`) counts as a name nobody knows."""
    names = _Names(
        _name_words((moment.agent,)), _name_words((moment.sender,)), _name_words((*moment.people, moment.sender))
    )
    named = _named(moment.message[:_LONGEST_TEXT], names)
    if named.somebody:
        return named
    for text in reversed(moment.burst):
        if (before := _named(text[:_LONGEST_TEXT], names)).somebody:
            return Named(before.whom, "before", named.words)
    return named


@dataclass(frozen=True, slots=True)
class _Names:
    """The words that people are called by."""

    agent: frozenset[str]
    sender: frozenset[str]
    people: frozenset[str]


def _named(text: str, names: _Names) -> Named:
    called = {(found[1] or found[2]).casefold() for found in _CALLED.finditer(text)} - _INTERJECTIONS
    tokens = _WORD.findall(text.lower())
    words, places = [], []
    for place, token in enumerate(tokens):
        bare = token.removeprefix("@").removesuffix("'s")
        if bare in names.agent:
            whom = AGENT
        elif bare in names.sender and not token.startswith("@"):
            whom = NOBODY
        elif bare in names.people or bare in called:
            whom = OTHER
        else:
            words.append(token)
            continue
        words.append(f"<{whom}>")
        if whom != NOBODY:
            places.append((whom, _where(token, place, len(tokens))))
    whom = "+".join(sorted({whom for whom, _ in places})) or NOBODY
    return Named(whom, " ".join(f"{whom} {where}" for whom, where in places[:2]), tuple(words))


def _where(token: str, place: int, count: int) -> str:
    if token.startswith("@"):
        return "at"
    return "first" if place <= 1 else "last" if place >= count - 2 else "middle"


def situation_of(moment: Moment, named: Named) -> str:
    """The facts that plain rules are about, as one key."""
    return "|".join(
        (
            named.whom,
            _tri(moment.replies_to_agent, "reply"),
            _tri(moment.direct, "direct"),
            {True: "answered-sender", False: "answered-other", None: "answered-unknown"}[_answered_sender(moment)],
        )
    )


def _answered_sender(moment: Moment) -> bool | None:
    """Whether the agent's last message answered this person; as far as known, else by who spoke before it."""
    if (known := moment.answered_sender) is not None:
        return known
    place = _last_of_agent(moment.recent)
    if place is None or place == 0:
        return None
    return moment.recent[place - 1].is_by(moment.sender, moment.sender_id)


def _structure(moment: Moment, named: Named) -> Iterator[str]:
    """Who spoke when and to whom, in words."""
    recent, text = moment.recent, moment.message[:_LONGEST_TEXT]
    before = [_who(moment, spoken) for spoken in reversed(recent[-3:])] + ["none"] * 3
    last, second, third = before[:3]
    yield f"named {named.whom}"
    yield f"names {named.where}"
    yield f"reply {moment.replies_to_agent}"
    yield f"direct {moment.direct}"
    yield f"question {'?' in text[-3:]}"
    yield f"you {_YOU.search(text.lower()) is not None}"
    yield f"length {_step(len(text), (5, 15, 40, 100))}"
    yield f"burst {len(moment.burst)}"
    yield f"before {last}"
    yield f"before {last} {second}"
    yield f"before {last} {second} {third}"
    yield from _of_the_agent(moment, named, last)
    yield from _of_the_sender(moment, named, last)


def _of_the_agent(moment: Moment, named: Named, last: str) -> Iterator[str]:
    """When the agent spoke, whom it answered, and whom it named."""
    recent = moment.recent
    place = _last_of_agent(recent)
    if place is None:
        yield "agent never"
        return
    spoken = recent[place]
    since = _step(len(recent) - place, (2, 3, 4, 6, 9))
    ago = _step(minutes_between(spoken.minute, moment.minute), (1, 2, 5, 15))
    answered = _tri(moment.answered_sender, "answered")
    spoke_before = "none" if place == 0 else str(recent[place - 1].is_by(moment.sender, moment.sender_id))
    named_sender = _contains_name(spoken.text, moment.sender)
    own = _content(moment.message)
    others = [message.text for message in recent if not message.by_agent][-3:]
    to_agent = len(own & _content(spoken.text))
    to_others = max((len(own & _content(text)) for text in others), default=0)
    asked, they_asked = "?" in spoken.text, any("?" in text for text in others)
    yield f"since {since}"
    yield f"ago {ago}"
    yield f"agent {answered}"
    yield f"agent {answered} {last} {since} {named.whom}"
    yield f"agent after sender {spoke_before}"
    yield f"agent after sender {spoke_before} {since} {last}"
    yield f"agent after sender {spoke_before} {ago} {last}"
    yield f"agent named sender {named_sender}"
    yield f"shares {min(to_agent, 2)}"
    yield f"shares more {(to_agent > to_others) - (to_others > to_agent)}"
    yield f"asked {asked} {they_asked} {since}"
    yield f"first word {named.words[0] if named.words else ''} {asked} {they_asked}"


def _of_the_sender(moment: Moment, named: Named, last: str) -> Iterator[str]:
    """What came of the sender's earlier messages."""
    recent = moment.recent
    own = [place for place, spoken in enumerate(recent) if spoken.is_by(moment.sender, moment.sender_id)]
    if own:
        after = recent[own[-1] + 1 :]
        gap = _step(minutes_between(recent[own[-1]].minute, moment.minute), (1, 2, 5, 15))
        first = "none" if not after else _who(moment, after[0])
        named_agent = str(_contains_name(recent[own[-1]].text, moment.agent))
    else:
        after, gap, first, named_agent = recent, 9, "never", "never"
    followed = f"{any(spoken.by_agent for spoken in after)} {any(not spoken.by_agent for spoken in after)}"
    waiting = any(spoken.by_agent and moment.is_sender(spoken.answered) for spoken in after)
    others_named = any(not spoken.by_agent and _contains_name(spoken.text, moment.sender) for spoken in after)
    yield f"after {followed}"
    yield f"first {first}"
    yield f"gap {gap}"
    yield f"carry {named_agent}"
    yield f"carry {named_agent} {others_named}"
    yield f"waiting {waiting}"
    yield f"waiting {waiting} {last} {followed}"
    yield f"waiting {waiting} {named.whom}"
    yield f"waiting {waiting} {first} {last}"
    yield f"named {named.whom} {last}"
    yield f"named {named.whom} {first} {last}"
    yield from _of_the_room(moment, own, f"{first} {followed}", last, waiting)
    yield from _of_the_exchange(moment, named, own, last)
    yield from _of_the_other(moment, own, waiting)


def _of_the_room(moment: Moment, own: Sequence[int], since: str, last: str, waiting: bool) -> Iterator[str]:
    """How often the agent and the sender speak with each other."""
    recent = moment.recent
    agents = [place for place, spoken in enumerate(recent) if spoken.by_agent]
    partner = _often([recent[place - 1].is_by(moment.sender, moment.sender_id) for place in agents if place])
    known = _often([moment.is_sender(recent[place].answered) for place in agents if recent[place].answered is not None])
    answers = _often([recent[place + 1].by_agent for place in own if place + 1 < len(recent)])
    yield f"partner {partner}"
    yield f"partner {partner} {since}"
    yield f"partner {partner} {last}"
    yield f"known {known}"
    yield f"known {known} {last} {waiting}"
    yield f"next {answers}"
    yield f"people {len({spoken.speaker for spoken in recent})}"


def _of_the_exchange(moment: Moment, named: Named, own: Sequence[int], last: str) -> Iterator[str]:
    """How the agent's own conversation with the sender stands: what it answered, and what came after that."""
    recent = moment.recent
    to_sender = [place for place, spoken in enumerate(recent) if spoken.by_agent and moment.is_sender(spoken.answered)]
    pattern = "".join(
        "a" if any(begin < place < end for place in to_sender) else "n"
        for begin, end in pairwise([*own[-4:], len(recent)])
    )
    yield f"history {pattern}"
    yield f"history {pattern} {last}"
    yield f"history {pattern[-2:]} {named.whom}"
    if not to_sender:
        yield f"exchange none {len(own)}"
        return
    place = to_sender[-1]
    spoken, since = recent[place], sum(own_place > place for own_place in own)
    ago = _step(minutes_between(spoken.minute, moment.minute), (1, 2, 5, 15))
    people = {message.speaker for message in recent[place + 1 :] if not message.by_agent}
    own_words = _content(moment.message)
    shared = len(own_words & _content(spoken.text))
    rest = max((len(own_words & _content(other.text)) for other in recent[-6:] if not _is(other, spoken)), default=0)
    asked = "?" in spoken.text
    yield f"exchange {min(since, 3)}"
    yield f"exchange {min(since, 3)} {last} {len(people)}"
    yield f"exchange {min(since, 3)} {ago}"
    yield f"exchange {min(since, 3)} {asked} {'?' in moment.message}"
    yield f"exchange shares {min(since, 2)} {(shared > rest) - (rest > shared)}"
    yield f"exchange word {named.words[0] if named.words else ''} {min(since, 2)} {asked}"
    yield f"exchange length {_step(len(recent) - place, (2, 3, 4, 6, 9))} {min(since, 2)}"


def _is(first: Spoken, second: Spoken) -> bool:
    return first is second


def _of_the_other(moment: Moment, own: Sequence[int], waiting: bool) -> Iterator[str]:
    """The person who spoke last beside the sender: whether they speak with each other."""
    recent = moment.recent
    other = next(
        (place for place in range(len(recent) - 1, -1, -1) if not recent[place].by_agent and place not in own),
        None,
    )
    if other is None:
        yield f"other none {waiting}"
        return
    speaker = recent[other].speaker
    near = _often(
        [
            any(0 <= place + step < len(recent) and recent[place + step].speaker == speaker for step in (-1, 1))
            for place in own
        ]
    )
    agents = _often(
        [
            recent[place].speaker == speaker or recent[place].answered in (speaker, recent[other].speaker_id)
            for place in range(len(recent))
            if recent[place].by_agent
        ]
    )
    newer = sum(place > (own[-1] if own else -1) for place in range(len(recent)) if recent[place].speaker == speaker)
    names = _contains_name(recent[other].text, moment.sender)
    yield f"other near {near} {waiting}"
    yield f"other agents {agents} {waiting}"
    yield f"other newer {min(newer, 2)} {waiting}"
    yield f"other newer {min(newer, 2)} {waiting} {near} {agents}"
    yield f"other ago {_step(len(recent) - other, (2, 3, 5))} {waiting} {names}"
    yield f"other asked {'?' in recent[other].text} {waiting} {min(newer, 2)}"


def _often(hits: Sequence[bool]) -> str:
    return str(_step(sum(hits) / len(hits), (0.01, 0.25, 0.5, 0.75))) if hits else "none"


def spelled(moment: Moment) -> Iterator[tuple[str, int, float]]:
    """The signs of a moment as a person reads them, each with its place in the weights and what it counts."""
    named = named_in(moment)
    for fact in _structure(moment, named):
        yield fact, _place(f"F{fact}"), STRUCTURE_WEIGHT
    signs = {_place(sign): sign for sign in _word_signs(named.words)}
    for place, sign in signs.items():
        yield f'says "{sign[1:]}"', place, WORDS_WEIGHT / sqrt(max(1, len(signs)))


def _words(words: Sequence[str]) -> tuple[int, ...]:
    """Words and pairs of words, each once."""
    return tuple({_place(sign) for sign in _word_signs(words)})


def _word_signs(words: Sequence[str]) -> Iterator[str]:
    found = ["^", *words, "$"]
    yield from (f"w{word}" for word in found)
    yield from (f"p{first} {second}" for first, second in pairwise(found))


@lru_cache(maxsize=8192)  # few of them make up most
def _place(sign: str) -> int:
    return crc32(sign.encode("utf-8", "replace")) & _MASK


def _step(value: float, cuts: Sequence[float]) -> int:
    return sum(value >= cut for cut in cuts)


def _tri(known: bool | None, name: str) -> str:
    return f"{name}-unknown" if known is None else name if known else f"no-{name}"


def _who(moment: Moment, spoken: Spoken) -> str:
    if spoken.by_agent:
        return "agent"
    return "same" if spoken.is_by(moment.sender, moment.sender_id) else "person"


def _last_of_agent(recent: Sequence[Spoken]) -> int | None:
    return next((place for place in range(len(recent) - 1, -1, -1) if recent[place].by_agent), None)


def _name_words(names: Sequence[str]) -> frozenset[str]:
    """The words people call somebody by: the whole name, and each longer word of it."""
    words: set[str] = set()
    for name in names:
        parts = _WORD.findall(name.casefold())
        words.update(part for part in parts if len(part) > 2)
        if len(parts) == 1:
            words.add(parts[0])
    return frozenset(words)


def _contains_name(text: str, name: str) -> bool:
    return name.casefold() in text.casefold()


@lru_cache(maxsize=512)  # the messages of a room are looked at again with each that follows
def _content(text: str) -> frozenset[str]:
    return frozenset(_LONG_WORD.findall(text[:_LONGEST_TEXT].lower()))
