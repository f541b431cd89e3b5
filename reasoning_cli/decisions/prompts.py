"""The parts of a decision's prompt that a person or a trainer needs.

Everything between the template's own lines is written by people, who may quote a template. Each part is therefore
found from the side nobody else can write to: the start for names and actions, the end for the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAME = re.compile(
    r"(?:\s*initial code: \S+\s+)?(?:<task>|# Task: |task: )"
    r"(?:Decide on behalf of (?P<decide>.{1,200}?) whether they should respond"
    r"|Decide whether (?P<domain>.{1,200}?) should respond"
    r"|Generate dialog and actions for (?:the character )?(?P<plan>.{1,200}?)\.(?:</task>|[ \t]*$))",
    re.MULTILINE,
)
# The first line of the compact form, which `compact` writes.
_COMPACT_HEAD = re.compile(r"# Decision for (?P<name>.{1,200}?): (?P<type>should_respond|planning)\n")
_ACTIONS = re.compile(r"\nPossible response actions:[ \t]*(.+)")
_ACTION_NAMES = re.compile(r"<actionNames>(?:\s*Possible response actions:)?([^<]+)</actionNames>")
_PROVIDERS = re.compile(
    r"\nThese providers are available for the agent to select and use:\n((?:- \*\*[^\n]+(?:\n|\Z))+)"
)
_PROVIDER = re.compile(r"^- \*\*([^*\n]+)\*\*", re.MULTILINE)
_RECEIVED = "# Received Message\n"
# A message is compared whole where its end is the same; not as often as somebody may write that line.
_SURE_CHARS, _MOST_COMPARED = 64, 100
_CURRENT = "\n# Current Message\n"
_FOCUS = "\n\n\n# Focus your response"
_PROVIDERS_END = "\n</providers>"
_CONVERSATION = "# Conversation Messages\n"
# The clock and the age before each message: `12:00 (just now) `, `09:15 (2 hours ago) `.
_SAID = re.compile(r"(\d\d:\d\d) \([^()\n]{1,40}\) (\[[^\]\s]+\] .*)")
# Beginning with the line's break, which a search skips to, three times as fast as with `^`.
_WHEN = re.compile(r"\n\d\d:\d\d \([^()\n]{1,40}\) ")
_SPEAKER = re.compile(r"^\d\d:\d\d \([^()\n]{1,40}\) (?:\[[0-9a-fA-F-]{8,36}\] )?([^:\n]{1,64}): ", re.MULTILINE)
_SENDER = re.compile(r"([^:\n]{1,64}): ")


def agent_name(prompt: str) -> str | None:
    """The name in the template's first line; None when there is none or it was left as `{{agentName}}`."""
    found = _NAME.match(prompt)
    if found is None:
        head = compact_head(prompt)
        return head[0] if head else None
    name = next(value for value in found.groups() if value is not None).strip()
    return None if name.startswith("{{") else name


def compact_head(prompt: str) -> tuple[str, str] | None:
    """Name and model type in the first line of a compact prompt; None for any other prompt."""
    found = _COMPACT_HEAD.match(prompt)
    return (found["name"], found["type"]) if found else None


def holds_compact_head(text: str) -> bool:
    """Whether the first line of a compact prompt stands anywhere in a text, as where somebody quotes one."""
    return _COMPACT_HEAD.search(text) is not None


def received_message(prompt: str) -> str | None:
    """What the decision is about, as `Name: text`; None when the prompt has no such part."""
    end = prompt.rfind(_FOCUS)
    if end < 0:
        return None
    starts = []
    start = prompt.find(_RECEIVED, 0, end)
    while start >= 0:
        if start == 0 or prompt[start - 1] == "\n":
            starts.append(start + len(_RECEIVED))
        start = prompt.find(_RECEIVED, start + 1, end)
    if not starts:
        return None
    last, compared = _without_space(prompt, end), 0
    for start in starts:
        # The conversation above ends with the same message, which settles where a message that quotes begins.
        above, length = _without_space(prompt, start - len(_RECEIVED)), max(0, last - start)
        if length > above or not prompt.endswith(prompt[max(start, last - _SURE_CHARS) : last], 0, above):
            continue
        compared += 1
        if compared > _MOST_COMPARED:
            break
        if prompt.startswith(prompt[start:last], above - length):
            return prompt[start:end]
    return prompt[starts[-1] : end]


def _without_space(text: str, end: int) -> int:
    """Where a text ends before `end` without the space in front of that."""
    while end > 0 and text[end - 1].isspace():
        end -= 1
    return end


def current_message(prompt: str) -> str | None:
    """What the decision is about, as `Name: text`, where the template of Python elizaOS says it: at the end of what its
    providers say. None when the prompt has no such part."""
    end = prompt.rfind(_PROVIDERS_END)
    start = prompt.rfind(_CURRENT, 0, max(end, 0))
    return prompt[start + len(_CURRENT) : end] if start >= 0 else None


def participants(prompt: str) -> tuple[str, ...]:
    """Who spoke in the conversation, each once, the agent too if it did."""
    end = prompt.rfind(_FOCUS)
    start = prompt.find(_CONVERSATION)
    names = [found[1] for found in _SPEAKER.finditer(prompt, max(start, 0), end if end >= 0 else len(prompt))]
    if (received := received_message(prompt)) is not None and (sender := _SENDER.match(received)) is not None:
        names.append(sender[1])
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def available_actions(prompt: str) -> tuple[str, ...]:
    """The actions the agent offers, in the prompt's order; empty when it names none.

    Since 1.3 they are listed ahead of the conversation, before that in a block of their own behind it.
    """
    listed = _ACTIONS.search(prompt)
    conversation = prompt.find(_CONVERSATION)
    if listed is None or 0 <= conversation < listed.start():
        block = _ACTION_NAMES.search(prompt, max(prompt.rfind("<actionNames>"), 0))
        listed = block or listed
    return _names(listed[1]) if listed else ()


def available_providers(prompt: str) -> tuple[str, ...]:
    """The providers the agent offers, in the prompt's order; empty when it names none."""
    found = _PROVIDERS.search(prompt)
    return tuple(_PROVIDER.findall(found[1])) if found else ()


def newest_lines(prompt: str) -> Iterator[tuple[str, str]]:
    """The messages of the prompt's conversation, newest first, each as (`09:15`, `[entity id] Name: text`)."""
    start = prompt.find(_CONVERSATION)
    end = prompt.rfind(_RECEIVED, 0, max(prompt.rfind(_FOCUS), 0))
    if not 0 <= start < end:
        return
    start += len(_CONVERSATION) - 1  # the break before the first line
    while end > start:
        line_break = prompt.rfind("\n", start, end)
        if (found := _SAID.match(prompt, line_break + 1, end)) is not None:
            yield found[1], found[2]
        end = line_break


def speaker_id(line: tuple[str, str]) -> str:
    """The entity id of who said a line of the conversation."""
    return line[1][1 : line[1].index("]")]


def sender_id(prompt: str) -> str | None:
    """The entity id of who wrote the message the decision is about; None when the prompt does not say."""
    line = next(newest_lines(prompt), None)
    return speaker_id(line) if line is not None else None


def shape_of(prompt: str) -> str:
    """What a second prompt about the same message shares with this one: its conversation, without clock and ages.

    An agent that asks again shuffles its actions and examples and the clock has moved on, so the whole prompts differ.
    Empty when the prompt has no conversation of this kind.
    """
    end = prompt.rfind(_FOCUS)
    if end < 0:  # a template of before there was a received message
        end = prompt.rfind(_PROVIDERS_END)
    start = prompt.find(_CONVERSATION)
    return _WHEN.sub("\n", prompt[start:end]) if 0 <= start < end else ""


def conversation(prompt: str) -> str | None:
    """The messages so far, as the prompt shows them, the received one being the last; None when it has no such part."""
    received = received_message(prompt)
    end = prompt.rfind(_FOCUS)
    start = prompt.find(_CONVERSATION)
    if received is None or start < 0:
        return None
    above = end - len(received) - len(_RECEIVED)
    return prompt[start + len(_CONVERSATION) : above] if above >= start + len(_CONVERSATION) else None


def _names(line: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in line.split(",")) if name)
