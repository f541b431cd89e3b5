"""Whom a message of a conversation may be meant for: what stands around it, and whom the agent answered last.

The last is in no prompt. It is known to who saw which messages the agent answered: each is told from others by its line
in the conversation, which stands word for word in every later prompt of the room.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reasoning_cli.decisions.prompts import newest_lines, speaker_id

# Messages of which it is known that they were answered; of a busy agent some days.
_REMEMBERED_MESSAGES = 20_000
_PEOPLE = "\n# People in the Room\n"
# From the first quote of a line: a line of nothing but quotes is not read to its end from each of them.
_PERSON = re.compile(r'^[^"\n]*+"(?P<name>[^"\n]{1,80})"[^\n]*+\nID: (?P<id>\S+)', re.MULTILINE)
# What actions a plan that says nothing may have.
_SILENT = frozenset({"", "IGNORE", "NONE", "STOP"})

Line = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Addressing:
    """What stands around the message a decision is about. Entity ids; None where nobody knows.

    `reply_targets` are those whom the agent's messages in the prompt answered, newest first; empty where none of them
    is known. `spoke_before` is who spoke before the sender's `burst` of so many messages in a row (0 where the prompt
    shows no conversation), `people` how many are in the room beside the agent: one is a direct conversation.
    """

    reply_targets: tuple[str | None, ...] = ()
    spoke_before: str | None = None
    burst: int = 0
    people: int | None = None


class AnsweredMessages:
    """The messages that an agent is known to have answered."""

    def __init__(self) -> None:
        # By the hash of agent and line. The older half is let go at once.
        self._new: dict[int, None] = {}
        self._old: dict[int, None] = {}

    def note(self, agent: str, prompt: str) -> None:
        """The agent answers the message that this prompt is about."""
        line = next(newest_lines(prompt), None)
        if line is None:
            return
        self._new[hash((agent, line))] = None
        if len(self._new) > _REMEMBERED_MESSAGES // 2:
            self._new, self._old = {}, self._new

    def knows(self, agent: str, line: Line) -> bool:
        """Whether the agent answered the message of this line."""
        key = hash((agent, line))
        return key in self._new or key in self._old


def speaks(model_type: str, decision: str | None) -> bool:
    """Whether the agent answers a message of which it decided so."""
    if model_type == "should_respond":
        return decision == "RESPOND"
    return model_type == "planning" and bool(set((decision or "").split(",")) - _SILENT)


def addressing_of(prompt: str, agent: str, answered: AnsweredMessages) -> Addressing:
    """What stands around the message a prompt is about, from its end to the beginning."""
    lines = newest_lines(prompt)
    newest = next(lines, None)
    if newest is None:
        return Addressing(people=people_in(prompt, agent))
    sender, burst, before = speaker_id(newest), 1, None
    says = f"] {agent}: "
    targets: list[str | None] = []
    open_from = 0  # those of the agent's messages whose target has not been come to
    for line in lines:
        who, text = speaker_id(line), line[1]
        if text.startswith(f"[{who}] ("):  # no message: which actions the agent took
            continue
        if before is None and who == sender:
            burst += 1
        elif before is None:
            before = who
        if text.startswith(f"[{who}{says}"):
            targets.append(None)
        elif open_from < len(targets) and answered.knows(agent, line):
            # What it says piece by piece answers one message.
            targets[open_from:] = [who] * (len(targets) - open_from)
            open_from = len(targets)
    return Addressing(tuple(targets) if open_from else (), before, burst, people_in(prompt, agent))


def people_in(prompt: str, agent: str) -> int | None:
    """How many the prompt lists as being in the room, beside the agent; None where it has no such list."""
    start = prompt.find(_PEOPLE)
    if start < 0:
        return None
    end = prompt.find("\n# ", start + len(_PEOPLE))
    listed = _PERSON.finditer(prompt, start + len(_PEOPLE), end if end >= 0 else len(prompt))
    return len({found["id"] for found in listed if found["name"] != agent})


def names_by_id(prompt: str) -> dict[str, str]:
    """The names of those who speak in a prompt's conversation, by their ids."""
    return dict(_named(newest_lines(prompt)))


def _named(lines: Iterable[Line]) -> Iterable[tuple[str, str]]:
    for line in lines:
        who = speaker_id(line)
        name, colon, _ = line[1][len(who) + 3 :].partition(": ")
        if colon and not name.startswith("("):
            yield who, name
