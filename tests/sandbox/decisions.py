"""Made-up decisions with a rule behind them, the same for the same seed: what there is to learn from.

The agent answers who means it, goes quiet when asked to, and keeps out of what is said to others.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PEOPLE = ("Alice", "Bob", "Carol", "Dmitri", "Elif", "Farid", "Grace", "Hiro", "Ines", "Jamal")
_AGENTS = ("Nova", "Atlas")
_TOPICS = (
    "the invoice", "our deploy", "this parser", "the weather", "the gateway", "that contract", "the dashboard",
    "a backup", "the schedule", "my password", "the vote", "the logs", "the wallet", "the design", "the index",
)  # fmt: skip
_MEANT = (
    "{agent}, can you look at {topic}?",
    "hey {agent}, what do you make of {topic}?",
    "could you explain {topic} to me, {agent}?",
    "{agent} please check {topic}",
    "I need help with {topic}, {agent}",
    "does anybody know what happened to {topic}?",
    "how do I change {topic}?",
)
_OTHERS = (
    "{other}, did you finish {topic}?",
    "thanks {other}, {topic} works now",
    "{other} and I will see to {topic} tomorrow",
    "lol, {topic} again",
    "good night everyone",
    "I am off to lunch, {topic} can wait",
    "{other}: please send me {topic}",
)
_QUIET = (
    "{agent}, stop talking about {topic}",
    "please be quiet {agent}",
    "that is enough, {agent}, leave {topic} alone",
    "stop it, nobody asked about {topic}",
    "shut up about {topic}, {agent}",
)
_ACTIONS = ("REPLY", "IGNORE", "NONE", "MUTE_ROOM", "UPDATE_CONTACT")
_PROVIDERS = ("ENTITIES", "FACTS", "WORLD")


@dataclass(frozen=True)
class Decision:
    prompt: str
    answer: str
    decided: str

    def line(self) -> str:
        turns = [{"role": "user", "content": self.prompt}, {"role": "assistant", "content": self.answer}]
        return json.dumps({"messages": turns}) + "\n"


def decisions(kind: str, count: int, seed: int, *, wrong: float = 0.0, compact: bool = False) -> Iterator[Decision]:
    """`wrong` of the answers are of another decision than the rule's."""
    rng = random.Random(f"{kind} {seed}")
    for _ in range(count):
        agent, (sender, other) = rng.choice(_AGENTS), rng.sample(_PEOPLE, 2)
        decided, texts = rng.choices((("RESPOND", _MEANT), ("IGNORE", _OTHERS), ("STOP", _QUIET)), (5, 4, 2))[0]
        text = rng.choice(texts).format(agent=agent, other=other, topic=rng.choice(_TOPICS))
        prompt = _prompt(kind, agent, sender, other, text, rng.choice(_TOPICS), compact=compact)
        if rng.random() < wrong:
            decided = rng.choice([one for one in ("RESPOND", "IGNORE", "STOP") if one != decided])
        yield Decision(prompt, *_answer(kind, agent, sender, decided))


def write(path: Path, kind: str, count: int, seed: int, *, wrong: float = 0.0, compact: bool = False) -> Path:
    """As a file to be trained on."""
    path.write_text("".join(one.line() for one in decisions(kind, count, seed, wrong=wrong, compact=compact)))
    return path


def decided(kind: str, answer: str) -> str:
    """What an answer decides, in the words of `Decision.decided`; nothing for one that has no form."""
    member = "action" if kind == "should_respond" else "actions"
    begin, end = answer.find(f"<{member}>"), answer.find(f"</{member}>")
    return answer[begin + len(member) + 2 : end].strip() if 0 <= begin < end else ""


def _prompt(kind: str, agent: str, sender: str, other: str, text: str, topic: str, *, compact: bool) -> str:
    offered = (
        f"Possible response actions: {', '.join(_ACTIONS)}\n\n"
        "These providers are available for the agent to select and use:\n"
        + "".join(f"- **{one}**{'' if compact else ': what it knows'}\n" for one in _PROVIDERS)
    )
    said = [f"{other}: {topic} is done", f"{sender}: {text}"]
    if compact:
        return (
            f"# Decision for {agent}: {kind}\n\n{offered}\n# Conversation Messages\n" + "\n".join(said) + "\n"
            f"\n# Received Message\n{said[-1]}\n\n\n# Focus your response"
        )
    task, form = {
        "should_respond": (
            f"Decide on behalf of {agent} whether they should respond to the message, ignore it or stop the"
            " conversation.",
            "<response>\n  <name>N</name>\n  <reasoning>R</reasoning>\n  <action>RESPOND | IGNORE | STOP</action>\n"
            "</response>",
        ),
        "planning": (
            f"Generate dialog and actions for the character {agent}.",
            "<response>\n  <thought>T</thought>\n  <actions>A,B</actions>\n  <providers>P</providers>\n"
            "  <text>T</text>\n</response>",
        ),
    }[kind]
    lines = "\n".join(f"12:0{number} (just now) [5a0a03a7-2e7a-0814] {one}" for number, one in enumerate(said))
    return (
        f"<task>{task}</task>\n\n<providers>\n{offered}\n# Conversation Messages\n{lines}\n\n\n# Received Message\n"
        f"{said[-1]}\n\n\n# Focus your response\nYou are replying to **{sender}**.\n</providers>\n\n<output>\n{form}\n"
        "</output>"
    )


def _answer(kind: str, agent: str, sender: str, decided: str) -> tuple[str, str]:
    """(answer, what it decides)."""
    if kind == "should_respond":
        why = {"RESPOND": f"{agent} is meant", "IGNORE": "it is for others", "STOP": "silence is wanted"}[decided]
        return (
            f"<response>\n  <name>{agent}</name>\n  <reasoning>{why}</reasoning>\n  <action>{decided}</action>\n"
            "</response>"
        ), decided
    actions, providers, text = {
        "RESPOND": ("REPLY", "FACTS", f"On it, {sender}."),
        "IGNORE": ("IGNORE", "", ""),
        "STOP": ("REPLY,MUTE_ROOM", "", "I will be quiet."),
    }[decided]
    return (
        f"<response>\n  <thought>t</thought>\n  <actions>{actions}</actions>\n  <providers>{providers}</providers>\n"
        f"  <text>{text}</text>\n</response>"
    ), actions
