"""What stands in the prompt that a model is asked with: which decision, for whom, about what, and what is offered."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMPACT = re.compile(r"# Decision for (?P<name>.+?): (?P<type>should_respond|planning)\n")
_SHOULD_RESPOND = re.compile(r"<action>\s*RESPOND\s*\|\s*IGNORE\s*\|\s*STOP")
_PLANNING_MEMBERS = ("<thought>", "<actions>", "<text>")
_HEAD = re.compile(
    r"\s{0,9}(?:<task>|# Task: |task: )"
    r"(?:(?P<decide>Decide on behalf of|Decide whether)|Generate dialog and actions)"
)
_AGENT = re.compile(
    r"Decision for (.{1,200}?): (?:should_respond|planning)\n"
    r"|Decide on behalf of (.{1,200}?) whether|Decide whether (.{1,200}?) should respond"
    r"|Generate dialog and actions for (?:the character )?(.{1,200}?)\.?(?:</task>|\n|\Z)"
)
_ACTIONS = re.compile(r"Possible response actions:([^\n<]*)")
_PROVIDERS = re.compile(r"These providers are available for the agent to select and use:\n((?:- \*\*[^\n]+(?:\n|\Z))+)")
_PROVIDER = re.compile(r"^- \*\*([^*\n]+)\*\*", re.MULTILINE)
_CONVERSATION, _RECEIVED, _FOCUS = "# Conversation Messages\n", "# Received Message\n", "\n# Focus your response"
_LINE = re.compile(r"(?:\d\d:\d\d \([^()\n]{1,40}\) )?(?:\[[^\]\s]{1,64}\] )?([^:\n]{1,64}): (.*)")
_PLAIN_CHARACTERS = 2000  # of a prompt without parts, at each end


@dataclass(frozen=True)
class Asked:
    """`kind` is should_respond, planning or other; `earlier` has (speaker, text) of messages before, newest last."""

    kind: str
    agent: str
    sender: str
    message: str
    earlier: tuple[tuple[str, str], ...]
    actions: tuple[str, ...]
    providers: tuple[str, ...]


def kind_of(prompt: str) -> str:
    if compact := _COMPACT.match(prompt):
        return compact["type"]
    before, _, tail = prompt.rpartition("<output>")
    if before and _SHOULD_RESPOND.search(tail):
        return "should_respond"
    if before and all(member in tail for member in _PLANNING_MEMBERS):
        return "planning"
    head = _HEAD.match(prompt)
    if head is None:
        return "other"
    return "should_respond" if head["decide"] else "planning"


def read_prompt(prompt: str, earlier: int = 2) -> Asked:
    """Any prompt; of one without parts the message is what stands at its ends."""
    kind = kind_of(prompt)
    if kind == "other":
        return Asked(kind, "Agent", "", _ends(prompt), (), (), ())
    found = _AGENT.search(prompt)
    agent = next((name for name in found.groups() if name), "Agent").strip() if found else "Agent"
    received, said = _message_and_conversation(prompt)
    lines = [(spoken[1], spoken[2]) for spoken in map(_LINE.match, said.rstrip().split("\n")[-8:]) if spoken]
    sender, colon, text = received.partition(": ")
    if not colon or "\n" in sender or len(sender) > 64:
        sender, text = "", received
    if not received and lines:  # a template of before there was a received message
        sender, text = lines[-1]
    actions, providers = _ACTIONS.search(prompt), _PROVIDERS.search(prompt)
    return Asked(
        kind,
        agent,
        sender,
        text,
        tuple(lines[:-1][-earlier:]),
        tuple(name for name in map(str.strip, actions[1].split(",")) if name) if actions else (),
        tuple(_PROVIDER.findall(providers[1])) if providers else (),
    )


def _ends(prompt: str) -> str:
    """A long text's beginning and end, a short one whole."""
    if len(prompt) <= 2 * _PLAIN_CHARACTERS:
        return prompt
    return prompt[:_PLAIN_CHARACTERS] + "\n" + prompt[-_PLAIN_CHARACTERS:]


def _message_and_conversation(prompt: str) -> tuple[str, str]:
    """The received message, and what was said before it; each empty where the template has no part of that name."""
    end = prompt.rfind(_FOCUS)
    end = end if end >= 0 else len(prompt)
    start = prompt.rfind(_RECEIVED, 0, end)
    received = prompt[start + len(_RECEIVED) : end].strip() if start >= 0 else ""
    begin = prompt.find(_CONVERSATION)
    stop = start if start >= 0 else end
    return received, prompt[begin + len(_CONVERSATION) : stop] if 0 <= begin < stop else ""
