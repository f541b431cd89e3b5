"""Numbers of a moment: hashed signs of its structure, its names and its words, and the few facts that rules are about.

Names never get into a sign: the agent's own and those of others are masked, so that what is learned of one person holds
for another.

The facts of a moment's structure are gathered in groups of those that go together. A group has few forms, which come
again and again, so that each is spelled and hashed once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from math import sqrt
from zlib import crc32

from reasoning_cli.engines.head.moment import Moment, Spoken, minutes_between

BITS = 16
SIZE = 1 << BITS
_MASK = SIZE - 1
# How much a group of signs weighs: of many words together as much as of a few facts.
STRUCTURE_WEIGHT = 0.5
WORDS_WEIGHT = 1.5
_FORMS = 2048  # of a group of facts; of most there are some dozens
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
    return Signs(
        structure=tuple(chain.from_iterable(map(_places, _structure(moment, named)))),
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
    known = names.agent | names.sender | names.people | called
    words, places = [], []
    for place, token in enumerate(tokens):
        bare = token.removeprefix("@").removesuffix("'s")
        if bare not in known:
            words.append(token)
            continue
        is_sender = bare in names.sender and not token.startswith("@")
        whom = AGENT if bare in names.agent else NOBODY if is_sender else OTHER
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


Facts = tuple[str, ...]  # that go together


def _structure(moment: Moment, named: Named) -> Iterator[Facts]:
    """Who spoke when and to whom, in words."""
    around = _around(moment, named)
    yield from _of_the_message(moment, named, around)
    yield from _of_the_agent(moment, around)
    yield from _of_the_sender(moment, around)
    yield from _of_the_room(moment, around)
    yield from _of_the_exchange(moment, around)
    yield from _of_the_other(moment, around)


@dataclass(frozen=True, slots=True)
class _Around:
    """What several groups are about. `own`, `agents` and `to_sender` are places among the recent messages: of the
    sender's, the agent's, and the agent's answers to the sender. `after` is what came since the sender's last message,
    `first` who began it, `last` who wrote the newest message of all; `word` is the first of the message received."""

    own: Sequence[int]
    agents: Sequence[int]
    to_sender: Sequence[int]
    after: Sequence[Spoken]
    first: str
    last: str
    followed: str
    waiting: bool
    whom: str
    word: str


def _around(moment: Moment, named: Named) -> _Around:
    recent = moment.recent
    own = [place for place, spoken in enumerate(recent) if spoken.is_by(moment.sender, moment.sender_id)]
    agents = [place for place, spoken in enumerate(recent) if spoken.by_agent]
    to_sender = [place for place in agents if moment.is_sender(recent[place].answered)]
    newest_own = own[-1] if own else -1
    after = recent[newest_own + 1 :]
    by_agent = bool(agents) and agents[-1] > newest_own
    by_others = any(not spoken.by_agent for spoken in after)
    return _Around(
        own,
        agents,
        to_sender,
        after,
        first="never" if not own else _who(moment, after[0]) if after else "none",
        last=_who(moment, recent[-1]) if recent else "none",
        followed=f"{by_agent} {by_others}",
        waiting=bool(to_sender) and to_sender[-1] > newest_own,
        whom=named.whom,
        word=named.words[0] if named.words else "",
    )


def _of_the_message(moment: Moment, named: Named, around: _Around) -> Iterator[Facts]:
    """Whom it names, what it looks like, and who wrote the three before it."""
    text = moment.message[:_LONGEST_TEXT]
    before = [_who(moment, spoken) for spoken in reversed(moment.recent[-3:])] + ["none"] * 3
    yield _naming(named.whom, named.where, moment.replies_to_agent, moment.direct)
    you = _YOU.search(text.lower()) is not None
    yield _shape("?" in text[-3:], you, _step(len(text), (5, 15, 40, 100)), len(moment.burst))
    yield _before(around.last, before[1], before[2])


@lru_cache(_FORMS)
def _naming(whom: str, where: str, replies: bool | None, direct: bool | None) -> Facts:
    return f"named {whom}", f"names {where}", f"reply {replies}", f"direct {direct}"


@lru_cache(_FORMS)
def _shape(question: bool, you: bool, length: int, burst: int) -> Facts:
    return f"question {question}", f"you {you}", f"length {length}", f"burst {burst}"


@lru_cache(_FORMS)
def _before(last: str, second: str, third: str) -> Facts:
    return f"before {last}", f"before {last} {second}", f"before {last} {second} {third}"


def _of_the_agent(moment: Moment, around: _Around) -> Iterator[Facts]:
    """When the agent spoke, whom it answered, and whom it named."""
    recent = moment.recent
    if not around.agents:
        yield ("agent never",)
        return
    place = around.agents[-1]
    spoken = recent[place]
    since = _step(len(recent) - place, (2, 3, 4, 6, 9))
    ago = _step(minutes_between(spoken.minute, moment.minute), (1, 2, 5, 15))
    answered = _tri(moment.answered_sender, "answered")
    spoke_before = "none" if place == 0 else str(place - 1 in around.own)
    own = _content(moment.message)
    others = [message.text for message in recent if not message.by_agent][-3:]
    to_agent = len(own & _content(spoken.text)) if own else 0
    to_others = max([len(own & _content(text)) for text in others], default=0) if own else 0
    more = (to_agent > to_others) - (to_others > to_agent)
    asked, they_asked = "?" in spoken.text, any("?" in text for text in others)
    yield _spoke(since, ago, answered, spoke_before, around.last, around.whom)
    yield _said(_contains_name(spoken.text, moment.sender), min(to_agent, 2), more, asked, they_asked, since)
    yield (f"first word {around.word} {asked} {they_asked}",)


@lru_cache(_FORMS)
def _spoke(since: int, ago: int, answered: str, before: str, last: str, whom: str) -> Facts:
    return (
        f"since {since}",
        f"ago {ago}",
        f"agent {answered}",
        f"agent {answered} {last} {since} {whom}",
        f"agent after sender {before}",
        f"agent after sender {before} {since} {last}",
        f"agent after sender {before} {ago} {last}",
    )


@lru_cache(_FORMS)
def _said(named_sender: bool, shares: int, more: int, asked: bool, they_asked: bool, since: int) -> Facts:
    return (
        f"agent named sender {named_sender}",
        f"shares {shares}",
        f"shares more {more}",
        f"asked {asked} {they_asked} {since}",
    )


def _of_the_sender(moment: Moment, around: _Around) -> Iterator[Facts]:
    """What came of the sender's earlier messages."""
    recent = moment.recent
    if around.own:
        newest = recent[around.own[-1]]
        gap = _step(minutes_between(newest.minute, moment.minute), (1, 2, 5, 15))
        named_agent = str(_contains_name(newest.text, moment.agent))
    else:
        gap, named_agent = 9, "never"
    others_named = any(not spoken.by_agent and _contains_name(spoken.text, moment.sender) for spoken in around.after)
    yield _carried(around.followed, gap, named_agent, others_named)
    yield _waited(around.waiting, around.first, around.last, around.followed, around.whom)


@lru_cache(_FORMS)
def _carried(followed: str, gap: int, named_agent: str, others_named: bool) -> Facts:
    return f"after {followed}", f"gap {gap}", f"carry {named_agent}", f"carry {named_agent} {others_named}"


@lru_cache(_FORMS)
def _waited(waiting: bool, first: str, last: str, followed: str, whom: str) -> Facts:
    return (
        f"first {first}",
        f"waiting {waiting}",
        f"waiting {waiting} {last} {followed}",
        f"waiting {waiting} {whom}",
        f"waiting {waiting} {first} {last}",
        f"named {whom} {last}",
        f"named {whom} {first} {last}",
    )


def _of_the_room(moment: Moment, around: _Around) -> Iterator[Facts]:
    """How often the agent and the sender speak with each other."""
    recent, agents = moment.recent, around.agents
    partner = _often([place - 1 in around.own for place in agents if place])
    known = _often([place in around.to_sender for place in agents if recent[place].answered is not None])
    answers = _often([recent[place + 1].by_agent for place in around.own if place + 1 < len(recent)])
    yield _partner(partner, around.first, around.followed, around.last)
    yield _known(known, around.last, around.waiting, answers, len({spoken.speaker for spoken in recent}))


@lru_cache(_FORMS)
def _partner(partner: str, first: str, followed: str, last: str) -> Facts:
    return f"partner {partner}", f"partner {partner} {first} {followed}", f"partner {partner} {last}"


@lru_cache(_FORMS)
def _known(known: str, last: str, waiting: bool, answers: str, people: int) -> Facts:
    return f"known {known}", f"known {known} {last} {waiting}", f"next {answers}", f"people {people}"


def _of_the_exchange(moment: Moment, around: _Around) -> Iterator[Facts]:
    """How the agent's own conversation with the sender stands: what it answered, and what came after that."""
    recent, own = moment.recent, around.own
    pattern = "".join(
        [
            "a" if any(begin < place < end for place in around.to_sender) else "n"
            for begin, end in pairwise([*own[-4:], len(recent)])
        ]
    )
    yield _history(pattern, around.last, around.whom)
    if not around.to_sender:
        yield (f"exchange none {len(own)}",)
        return
    place = around.to_sender[-1]
    spoken = recent[place]
    since = min(3, sum([own_place > place for own_place in own]))
    ago = _step(minutes_between(spoken.minute, moment.minute), (1, 2, 5, 15))
    people = len({message.speaker for message in recent[place + 1 :] if not message.by_agent})
    words = _content(moment.message)
    shared = len(words & _content(spoken.text)) if words else 0
    others = [other for other in recent[-6:] if other is not spoken] if words else []
    rest = max([len(words & _content(other.text)) for other in others], default=0)
    asked = "?" in spoken.text
    yield _since(since, around.last, people, ago)
    more, length = (shared > rest) - (rest > shared), _step(len(recent) - place, (2, 3, 4, 6, 9))
    yield _exchanged(since, asked, "?" in moment.message, more, length)
    yield (f"exchange word {around.word} {min(since, 2)} {asked}",)


@lru_cache(_FORMS)
def _history(pattern: str, last: str, whom: str) -> Facts:
    return f"history {pattern}", f"history {pattern} {last}", f"history {pattern[-2:]} {whom}"


@lru_cache(_FORMS)
def _since(since: int, last: str, people: int, ago: int) -> Facts:
    return f"exchange {since}", f"exchange {since} {last} {people}", f"exchange {since} {ago}"


@lru_cache(_FORMS)
def _exchanged(since: int, asked: bool, asks: bool, more: int, length: int) -> Facts:
    few = min(since, 2)
    return f"exchange {since} {asked} {asks}", f"exchange shares {few} {more}", f"exchange length {length} {few}"


def _of_the_other(moment: Moment, around: _Around) -> Iterator[Facts]:
    """The person who spoke last beside the sender: whether they speak with each other."""
    recent, own = moment.recent, around.own
    neither = [place for place in range(len(recent)) if not recent[place].by_agent and place not in own]
    if not neither:
        yield (f"other none {around.waiting}",)
        return
    other = neither[-1]
    speaker, whom = recent[other].speaker, (recent[other].speaker, recent[other].speaker_id)
    spoke = [place for place, spoken in enumerate(recent) if spoken.speaker == speaker]
    near = _often([place - 1 in spoke or place + 1 in spoke for place in own])
    agents = _often([place in spoke or recent[place].answered in whom for place in around.agents])
    newer = min(2, sum([place > (own[-1] if own else -1) for place in spoke]))
    names, asked = _contains_name(recent[other].text, moment.sender), "?" in recent[other].text
    yield _near(near, agents, newer, around.waiting)
    yield _other(_step(len(recent) - other, (2, 3, 5)), names, asked, newer, around.waiting)


@lru_cache(_FORMS)
def _near(near: str, agents: str, newer: int, waiting: bool) -> Facts:
    return (
        f"other near {near} {waiting}",
        f"other agents {agents} {waiting}",
        f"other newer {newer} {waiting}",
        f"other newer {newer} {waiting} {near} {agents}",
    )


@lru_cache(_FORMS)
def _other(ago: int, names: bool, asked: bool, newer: int, waiting: bool) -> Facts:
    return f"other ago {ago} {waiting} {names}", f"other asked {asked} {waiting} {newer}"


def _often(hits: Sequence[bool]) -> str:
    return str(_step(sum(hits) / len(hits), (0.01, 0.25, 0.5, 0.75))) if hits else "none"


def spelled(moment: Moment) -> Iterator[tuple[str, int, float]]:
    """The signs of a moment as a person reads them, each with its place in the weights and what it counts."""
    named = named_in(moment)
    for fact in chain.from_iterable(_structure(moment, named)):
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


@lru_cache(_FORMS)
def _places(facts: Facts) -> tuple[int, ...]:
    return tuple([_place(f"F{fact}") for fact in facts])


@lru_cache(maxsize=8192)  # few of them make up most
def _place(sign: str) -> int:
    return crc32(sign.encode("utf-8", "replace")) & _MASK


def _step(value: float, cuts: Sequence[float]) -> int:
    """How many of the cuts, which rise, it has reached."""
    return bisect_right(cuts, value)


def _tri(known: bool | None, name: str) -> str:
    return f"{name}-unknown" if known is None else name if known else f"no-{name}"


def _who(moment: Moment, spoken: Spoken) -> str:
    if spoken.by_agent:
        return "agent"
    return "same" if spoken.is_by(moment.sender, moment.sender_id) else "person"


def _last_of_agent(recent: Sequence[Spoken]) -> int | None:
    return next((place for place in range(len(recent) - 1, -1, -1) if recent[place].by_agent), None)


@lru_cache(maxsize=2048)  # those of a room
def _name_words(names: tuple[str, ...]) -> frozenset[str]:
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


@lru_cache(maxsize=4096)  # the messages of a room are looked at again with each that follows, and rooms by turns
def _content(text: str) -> frozenset[str]:
    return frozenset(_LONG_WORD.findall(text[:_LONGEST_TEXT].lower()))
