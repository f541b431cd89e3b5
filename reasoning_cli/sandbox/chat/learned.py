"""What a fine-tuned model of the sandbox has learned: it answers as in the most similar samples it was trained on.

Each sample is a bag of hashed words and pairs of words of its message, with a little of what was said before, weighted
by how rare they are. The nearest samples vote with their similarity (cosine), so bad samples make a bad model, and
more good ones a better one.
"""

from __future__ import annotations

import heapq
import math
import re
import threading
import zlib
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reasoning_cli.sandbox.chat.answers import escape
from reasoning_cli.sandbox.chat.prompts import Asked, read_prompt
from reasoning_cli.sandbox.training_files import Sample, samples
from reasoning_cli.sandbox.world.blobs import Blobs

NEIGHBOURS = 9
MAX_SAMPLES = 20_000  # of one model and kind; the newest count
_MAX_MODELS = 4  # held in memory
_MAX_WORDS = 200
_EARLIER = 0.35  # what a word of the message before counts
_MOST_LOOKS = 8_000  # at a word in a sample, for one answer: the rarest words first
_AGAINST = 0.5  # what an answer that is not to be given takes from its decision
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|\?", re.UNICODE)
_MEMBER = re.compile(r"<(name|reasoning|action|thought|actions|providers|text)>(.*?)</\1>", re.DOTALL)
_THINKING = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>\s*", re.DOTALL)


@dataclass(frozen=True)
class _Known:
    """One sample: what it decided, and its answer's members, none for an answer that has no form."""

    decision: str
    answer: str
    members: dict[str, str]
    sender: str
    agent: str
    worse: str = ""


class Memory:
    """The samples of one kind, ready to be asked."""

    def __init__(self, known: Sequence[tuple[Asked, _Known]]) -> None:
        self._known = [sample for _, sample in known]
        bags = [_bag(asked) for asked, _ in known]
        counts = Counter(word for bag in bags for word in bag)
        self._idf = {word: math.log(1 + len(bags) / count) for word, count in counts.items()}
        self._postings: dict[int, tuple[array[int], array[float]]] = {}
        for number, bag in enumerate(bags):
            for word, weight in self._weighed(bag):
                places, weights = self._postings.setdefault(word, (array("I"), array("f")))
                places.append(number)
                weights.append(weight)
        self._usual = Counter(sample.decision for sample in self._known).most_common(1)[0][0]

    def nearest(self, asked: Asked) -> list[tuple[float, _Known]]:
        """(similarity, sample), most similar first; only what has something in common."""
        scores: dict[int, float] = {}
        looks = 0
        found = [(weight, *self._postings[word]) for word, weight in self._weighed(_bag(asked))]
        for weight, places, weights in sorted(found, key=lambda posting: (len(posting[1]), posting[0])):
            looks += len(places)
            if looks > _MOST_LOOKS and scores:
                break
            for place, other in zip(places, weights, strict=True):
                scores[place] = scores.get(place, 0.0) + weight * other
        best = heapq.nlargest(NEIGHBOURS, scores, key=scores.__getitem__)
        return [(scores[place], self._known[place]) for place in best]

    def decide(self, asked: Asked) -> _Known:
        """The nearest sample of the decision that most of the nearest speak for; the usual one for want of any."""
        near = self.nearest(asked)
        votes: dict[str, float] = {}
        for similarity, known in near:
            votes[known.decision] = votes.get(known.decision, 0) + similarity**2
            if known.worse:
                votes[known.worse] = votes.get(known.worse, 0) - _AGAINST * similarity**2
        decision = max(sorted(votes), key=votes.__getitem__) if votes else self._usual
        candidates = [known for _, known in near] or self._known
        return next((known for known in candidates if known.decision == decision), candidates[0])

    def _weighed(self, bag: dict[int, float]) -> Iterator[tuple[int, float]]:
        """Of length 1 in all, what is not known left out."""
        weighed = {word: count * self._idf[word] for word, count in bag.items() if word in self._idf}
        length = math.sqrt(sum(weight * weight for weight in weighed.values()))
        return ((word, weight / length) for word, weight in weighed.items()) if length else iter(())


_held: OrderedDict[tuple[str, ...], dict[str, Memory]] = OrderedDict()
_lock = threading.Lock()


def answer(blobs: Blobs, checksums: Sequence[str], prompt: str) -> str | None:
    """What a model says that learned from these texts; None where they have nothing of this kind."""
    asked = read_prompt(prompt)
    memory = learn(blobs, checksums).get(asked.kind)
    if memory is None:
        return None
    known = memory.decide(asked)
    if asked.kind == "should_respond" and "action" in known.members:
        return _should_respond(asked, known)
    if asked.kind == "planning" and "actions" in known.members:
        return _plan(asked, known)
    return known.answer


def learn(blobs: Blobs, checksums: Sequence[str]) -> dict[str, Memory]:
    """What is remembered of these texts, by kind of decision; the models asked last are kept."""
    key = tuple(checksums)
    with _lock:
        if key in _held:
            _held.move_to_end(key)
            return _held[key]
        memories = _learn(sample for checksum in key for sample in samples(blobs.get(checksum)))
        if memories:
            _held[key] = memories
            if len(_held) > _MAX_MODELS:
                _held.popitem(last=False)
        return memories


def _learn(found: Iterable[Sample]) -> dict[str, Memory]:
    by_kind: dict[str, list[tuple[Asked, _Known]]] = {}
    for sample in found:
        asked = read_prompt(sample.prompt)
        rows = by_kind.setdefault(asked.kind, [])
        rows.append((asked, _known(asked, sample)))
        if len(rows) > 2 * MAX_SAMPLES:
            del rows[:-MAX_SAMPLES]
    return {kind: Memory(rows[-MAX_SAMPLES:]) for kind, rows in by_kind.items()}


def _known(asked: Asked, sample: Sample) -> _Known:
    members = _members(sample.answer)
    worse = _decision(asked.kind, _members(sample.worse), sample.worse) if sample.worse else ""
    decision = _decision(asked.kind, members, sample.answer)
    return _Known(decision, sample.answer, members, asked.sender, asked.agent, worse)


def _members(answer: str) -> dict[str, str]:
    return {name: value.strip() for name, value in _MEMBER.findall(_THINKING.sub("", answer))}


def _decision(kind: str, members: dict[str, str], answer: str) -> str:
    """What is voted on; an answer without form stands for itself."""
    if kind == "should_respond":
        return members.get("action", answer).upper()
    if kind == "planning":
        return ",".join(_names(members.get("actions", answer))).upper()
    return answer


def _bag(asked: Asked) -> dict[int, float]:
    """Hashed words and pairs with their weights. Who is meant counts, not what they are called."""
    people = {asked.sender.lower(), *(name.lower() for name, _ in asked.earlier)} - {"", asked.agent.lower()}
    words = _words(asked.message, asked.agent, people)
    bag: dict[int, float] = {}
    for word in words:
        _add(bag, word, 1.0)
    for first, second in pairwise(words):
        _add(bag, f"{first} {second}", 1.0)
    if words:
        _add(bag, f"^ {words[0]}", 1.0)
    _add(bag, "$ named" if "@agent" in words else "$ unnamed", 1.0)
    if asked.earlier:
        speaker, text = asked.earlier[-1]
        _add(bag, "< agent" if speaker.lower() == asked.agent.lower() else "< other", 1.0)
        for word in _words(text, asked.agent, people):
            _add(bag, f"< {word}", _EARLIER)
    return bag


def _words(text: str, agent: str, people: set[str]) -> list[str]:
    agent_words = set(agent.lower().split())
    found = []
    for word in _WORD.findall(text.lower())[:_MAX_WORDS]:
        found.append("@agent" if word in agent_words else "@other" if word in people else word)
    return found


def _add(bag: dict[int, float], word: str, weight: float) -> None:
    key = zlib.crc32(word.encode())
    bag[key] = max(bag.get(key, 0.0), weight)


def _should_respond(asked: Asked, known: _Known) -> str:
    reasoning = known.members.get("reasoning", "")
    if known.agent != asked.agent and len(known.agent) > 1:
        reasoning = reasoning.replace(escape(known.agent), escape(asked.agent))
    return (
        "<response>\n"
        f"  <name>{escape(asked.agent)}</name>\n"
        f"  <reasoning>{reasoning}</reasoning>\n"
        f"  <action>{known.members['action']}</action>\n"
        "</response>"
    )


def _plan(asked: Asked, known: _Known) -> str:
    """Only what the prompt offers; people are called by the names they have here."""
    actions = [name for name in _names(known.members["actions"]) if not asked.actions or name in asked.actions]
    if not actions:
        actions = [action for action in ("REPLY", "IGNORE", *asked.actions) if action in asked.actions][:1]
    providers = [
        name for name in _names(known.members.get("providers", "")) if not asked.providers or name in asked.providers
    ]
    texts = {name: known.members.get(name, "") for name in ("thought", "text")}
    for theirs, ours in ((known.sender, asked.sender), (known.agent, asked.agent)):
        if len(theirs) > 1 and ours and theirs != ours:
            called = escape(ours).replace("\\", r"\\")
            pattern = re.compile(rf"(?<!\w){re.escape(escape(theirs))}(?!\w)")
            texts = {name: pattern.sub(called, text) for name, text in texts.items()}
    return (
        "<response>\n"
        f"  <thought>{texts['thought']}</thought>\n"
        f"  <actions>{','.join(actions)}</actions>\n"
        f"  <providers>{','.join(providers)}</providers>\n"
        f"  <text>{texts['text'] if actions != ['IGNORE'] else ''}</text>\n"
        "</response>"
    )


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]
