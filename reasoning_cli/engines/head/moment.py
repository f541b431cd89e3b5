"""What a head sees of one decision: who wrote what to whom, read from the prompt and from what is known beside it.

`moment_of(prompt, system, facts)` is the one way a moment is made, for training and for serving. A prompt says who
spoke in which order, but not whom the agent answered: that, whether a message replies to the agent, and whether it came
as a direct message are `Facts`, which the gateway and the log know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from reasoning_cli.decisions.prompts import agent_name, conversation, current_message, received_message

_MOST_SPOKEN = 20  # of the conversation, newest first
_LONGEST_BURST = 3  # messages of one person before the one received that belong to it
_BURST_MINUTES = 5
_DAY = 24 * 60

# `09:15 (2 hours ago) [5a0a03a7-…] Alice: …`; without the id where whoever asks knows names alone, as with the library.
_MARKED = re.compile(
    r"^(?P<hour>\d\d):(?P<minute>\d\d) \([^()\n]{1,40}\) (?:\[(?P<id>[^\]\s]{1,64})\] )?(?:(?P<name>[^:\n(]{1,64}): )?",
    re.MULTILINE,
)
# The compact form has no marks.
_UNMARKED = re.compile(r"^(?P<name>[^:\n(]{1,40}): ", re.MULTILINE)
# What the runtime writes around messages: `(Nova's internal thought: …)`, ` (Nova's actions: REPLY)`.
_ASIDE = re.compile(r"^ ?\([^()\n]{1,64}'s (?:internal thought|actions): .*$|^ ?\(Attachments: .*$", re.MULTILINE)
_SENDER = re.compile(r"([^:\n]{1,64}): ")
_PEOPLE = "# People in the Room\n"
_LISTED = re.compile(r'^"([^"\n]{1,80})"((?: aka [^\n]{1,400})?)\nID: ', re.MULTILINE)
_QUOTED = re.compile(r'"([^"\n]{1,80})"')


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a decision beside its prompt; None for what is not known.

    `answered` says whom the agent's messages in this room answered, newest first, each by entity id or by name (None in
    it: that one is not known).
    """

    answered: tuple[str | None, ...] = ()
    replies_to_agent: bool | None = None
    direct: bool | None = None
    sender_id: str | None = None


NOTHING_KNOWN = Facts()


class Spoken(NamedTuple):
    """A message of the conversation, several of one person in a row as one. There are many of them, hence a tuple.

    `minute` is the minute of the day, where the prompt says it; `answered` whom a message of the agent answered, by id
    or name.
    """

    speaker: str
    speaker_id: str | None
    by_agent: bool
    text: str
    minute: int | None = None
    answered: str | None = None

    def is_by(self, name: str, entity_id: str | None) -> bool:
        """Whether this person said it, by id where both are known."""
        if self.speaker_id is not None and entity_id is not None:
            return self.speaker_id == entity_id
        return self.speaker == name


@dataclass(frozen=True, slots=True)
class Moment:
    """A decision as a head sees it.

    `message` is the one received, `burst` what the same person wrote right before it. `recent` stands before that,
    oldest first. `people` are the other names in use in the room.
    """

    agent: str
    message: str
    sender: str
    sender_id: str | None
    recent: tuple[Spoken, ...] = ()
    people: tuple[str, ...] = ()
    burst: tuple[str, ...] = ()
    minute: int | None = None
    replies_to_agent: bool | None = None
    direct: bool | None = None

    def is_sender(self, whom: str | None) -> bool:
        """Whether an id or name is that of who wrote the message."""
        return whom is not None and whom in (self.sender, self.sender_id)

    @property
    def answered_sender(self) -> bool | None:
        """Whether the agent's last message answered this person; None where it is not known or there is none."""
        last = next((spoken for spoken in reversed(self.recent) if spoken.by_agent), None)
        return None if last is None or last.answered is None else self.is_sender(last.answered)


def moment_of(prompt: str, system: str | None = None, facts: Facts = NOTHING_KNOWN) -> Moment | None:
    """What a head sees of a decision; None for a prompt that says neither who decides nor about which message.

    The prompt may be in its exact or its compact form. `system` adds nothing yet that the prompt lacks.
    """
    agent, received = agent_name(prompt), received_message(prompt) or current_message(prompt)
    if agent is None or received is None:
        return None
    opening = _SENDER.match(received)
    if opening is None:
        return None
    sender, message = opening[1].strip(), received[opening.end() :].strip()
    spoken = list(_spoken(conversation(prompt) or "", agent))
    minute, sender_id = None, facts.sender_id
    if spoken and not spoken[-1].by_agent:  # the message itself ends the conversation
        minute, sender_id = spoken[-1].minute, spoken.pop().speaker_id or sender_id
    before: list[str] = []
    while spoken and len(before) < _LONGEST_BURST and _goes_on(spoken[-1], sender, sender_id, minute):
        before.append(spoken.pop().text)
    recent = _merged(_with_answered(spoken, facts.answered))
    return Moment(
        agent=agent,
        message=message,
        sender=sender,
        sender_id=sender_id,
        recent=tuple(recent[-_MOST_SPOKEN:]),
        people=_people(prompt, agent, recent, sender),
        burst=tuple(reversed(before)),
        minute=minute,
        replies_to_agent=facts.replies_to_agent,
        direct=facts.direct,
    )


def _spoken(text: str, agent: str) -> Iterator[Spoken]:
    """The messages of a conversation, oldest first, without what the runtime notes between them."""
    text = _ASIDE.sub("", text)
    marks = list(_MARKED.finditer(text))
    is_marked = bool(marks)
    marks = marks or list(_UNMARKED.finditer(text))
    ends = [*(mark.start() for mark in marks), len(text)][1:]
    for mark, end in zip(marks, ends, strict=True):
        hour, minutes, speaker_id, name = mark.groups() if is_marked else (None, None, None, mark[1])
        name, said = (name or "").strip(), text[mark.end() : end].strip()
        if not name or not said:
            continue  # the agent's note that it ignored a message
        minute = int(hour) * 60 + int(minutes) if hour and minutes else None
        yield Spoken(name, speaker_id, name == agent, said, minute)


def _goes_on(spoken: Spoken, sender: str, sender_id: str | None, minute: int | None) -> bool:
    """Whether the message belongs to the same burst as what was said before it."""
    if spoken.by_agent or not spoken.is_by(sender, sender_id):
        return False
    return minutes_between(spoken.minute, minute) <= _BURST_MINUTES


def minutes_between(earlier: int | None, later: int | None) -> int:
    """Minutes from one time of day to the next; 0 where one is not known."""
    return 0 if earlier is None or later is None else (later - earlier) % _DAY


def _merged(spoken: list[Spoken]) -> list[Spoken]:
    """Messages of one person in a row as one."""
    merged: list[Spoken] = []
    for message in spoken:
        last = merged[-1] if merged else None
        if last is not None and last.is_by(message.speaker, message.speaker_id):
            merged[-1] = message._replace(text=f"{last.text}\n{message.text}")
        else:
            merged.append(message)
    return merged


def _with_answered(recent: list[Spoken], answered: tuple[str | None, ...]) -> list[Spoken]:
    """The messages, those of the agent with whom they answered."""
    targets, marked = iter(answered), list(recent)
    for place in range(len(marked) - 1, -1, -1):
        spoken = marked[place]
        if spoken.by_agent:
            marked[place] = spoken._replace(answered=next(targets, None))
    return marked


def _people(prompt: str, agent: str, recent: list[Spoken], sender: str) -> tuple[str, ...]:
    """The names of the others: who spoke, and who is listed as being in the room."""
    names = {spoken.speaker: None for spoken in recent if not spoken.by_agent}
    start = prompt.find(_PEOPLE)
    if start >= 0:
        end = prompt.find("\n\n\n", start)
        names.update(dict.fromkeys(_listed(prompt[start : end if end >= 0 else len(prompt)])))
    names.pop(agent, None)
    return tuple(name for name in names if name != sender)


@lru_cache(maxsize=64)  # the people of a room are the same with each of its messages
def _listed(section: str) -> tuple[str, ...]:
    """All names of the people that a prompt lists."""
    return tuple(name for listed in _LISTED.finditer(section) for name in (listed[1], *_QUOTED.findall(listed[2])))
