"""Decisions of a made-up agent that follow a policy, for the tour and for tests: the same seed gives the same ones.

Ada sits in rooms where people talk to her, about her, and mostly to each other. She answers what is said to her,
leaves the rest alone and is quiet when told so. What counts is who is addressed: a question to somebody else is none of
her business, however much it is a question. A model that was never told answers all of them; one that has seen enough
of her decisions does not.
"""

from __future__ import annotations

import json
import random
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from reasoning_cli.decisions.answers import PlanningAnswer, ShouldRespondAnswer, render_answer

AGENT = "Ada"
Answers = Literal["right", "wrong", "coin"]

_PEOPLE = ("Ben", "Cleo", "Dana", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jule", "Kofi")
_THINGS = """the train to Lima|the soup|the old harbour|the game last night|the blue tent|the rent|the piano|the museum
the weather|the new bakery|the garden|the bus pass|the meeting|the cat next door|the broken lamp|the film|the exam
the river path|the recipe|the tickets|the map|the long weekend|the radio|the bridge|the library card|the market"""
_ACTIONS = ("REPLY", "IGNORE", "NONE", "GENERATE_IMAGE", "MUTE_ROOM")
_PROVIDERS = ("ENTITIES", "FACTS", "ATTACHMENTS", "WORLD")


@dataclass(frozen=True)
class _Situation:
    """Something people say, what the policy makes of it and why, and what is done about it."""

    weight: int
    action: str
    why: str
    said: tuple[str, ...]
    plan: tuple[str, ...] = ("REPLY",)
    provider: str = ""


_SITUATIONS = (
    _Situation(
        18,
        "RESPOND",
        "I am asked.",
        (
            "{agent}, what do you know about {thing}?",
            "{agent}, where do I find {thing}?",
            "how much is {thing}, {agent}?",
            "{agent}, when was {thing} last open?",
        ),
        provider="FACTS",
    ),
    _Situation(
        10,
        "RESPOND",
        "I am asked to do something.",
        (
            "{agent}, remind me of {thing} tomorrow.",
            "please put {thing} on the list, {agent}.",
            "{agent}, book {thing}.",
        ),
    ),
    _Situation(
        6,
        "RESPOND",
        "A picture is wanted.",
        ("{agent}, draw {thing} for us.", "{agent}, can you paint {thing} at night?"),
        plan=("REPLY", "GENERATE_IMAGE"),
    ),
    _Situation(
        26,
        "IGNORE",
        "They talk to each other.",
        (
            "{other}, did you see {thing}?",
            "{other}, are you coming along to {thing}?",
            "what about you and {thing}, {other}?",
            "{other}, have you paid for {thing}?",
        ),
    ),
    _Situation(
        10,
        "IGNORE",
        "They talk about me, not to me.",
        (
            "{other}, I heard {agent} helped your sister with {thing}.",
            "yesterday {agent} told us all about {thing}, {other}.",
        ),
    ),
    _Situation(
        14,
        "IGNORE",
        "Nobody in particular is meant.",
        ("I am so tired of {thing}.", "{thing} again, what a day.", "we finally went to {thing} and it was fine."),
    ),
    _Situation(
        8,
        "IGNORE",
        "Somebody else is to be quiet.",
        ("{other}, stop it, enough of {thing}.", "{other}, go away with {thing}."),
    ),
    _Situation(
        8,
        "STOP",
        "I am told to be quiet.",
        ("{agent}, stop talking about {thing}.", "be quiet about {thing} now, {agent}."),
    ),
)

_RESPOND = """<task>Decide on behalf of {agent} whether they should respond to the message, ignore it or stop the \
conversation.</task>

<providers>
{context}
</providers>

<instructions>Decide if {agent} should respond to or interact with the conversation.

- If YOUR name ({agent}) is directly mentioned → RESPOND
- If someone uses a DIFFERENT name (not {agent}) → IGNORE (they're talking to someone else)
- If someone tells you to stop or be quiet → STOP
- Otherwise → IGNORE
</instructions>

<output>
Respond using XML format like this:
<response>
  <name>{agent}</name>
  <reasoning>Your reasoning here</reasoning>
  <action>RESPOND | IGNORE | STOP</action>
</response>
</output>"""

_PLAN = """<task>Generate dialog and actions for the character {agent}.</task>

<providers>
{context}
</providers>

<instructions>
Write a thought and plan for {agent} and decide what actions to take, in the order they should be executed.
</instructions>

<output>
Respond using XML format like this:
<response>
    <thought>Your thought here</thought>
    <actions>ACTION1,ACTION2</actions>
    <providers>PROVIDER1,PROVIDER2</providers>
    <text>Your response text here</text>
</response>
</output>"""

_CONTEXT = """Possible response actions: {actions}

# Providers

These providers are available for the agent to select and use:
{providers}

# People in the Room
{people}

# About {agent}
{agent} lives in a chat and keeps lists for everybody.

# Conversation Messages
{conversation}


# Received Message
{received}


# Focus your response
You are replying to the above message from **{sender}**."""


@dataclass(frozen=True)
class Made:
    """One decision. `right` is what the policy decides, `output` what was answered, which may be something else."""

    model_type: str
    at: datetime
    run: str
    room: str
    sender: str
    message: str
    prompt: str
    output: str
    right: str


@dataclass
class _Room:
    id: str
    people: tuple[str, ...]
    apart: bool = False
    said: deque[tuple[datetime, str, str]] = field(default_factory=lambda: deque(maxlen=6))

    def id_of(self, who: str) -> str:
        return _id(f"{self.id} {who}" if self.apart and who != AGENT else who)


def make_decisions(
    messages: int,
    *,
    seed: int = 1,
    answers: Answers = "right",
    noise: float = 0.0,
    until: datetime | None = None,
    planning: bool = True,
    apart: bool = False,
) -> Iterator[Made]:
    """What Ada decided about so many messages, oldest first, the last of them about `until`.

    `answers` are of one who follows the policy, who does the opposite, or who tosses a coin. Of the right ones a share
    of `noise` is wrong. With `planning` each message she answers brings a second decision. Rooms are `apart` where none
    of their people, whatever their names, is in another, and a room has ten messages or so.
    """
    dice, others = random.Random(seed), random.Random(f"{seed} answers")  # whoever answers, people say the same
    things = [thing for line in _THINGS.splitlines() for thing in line.split("|")]
    rooms = [
        _Room(_id(f"room {seed} {number}"), tuple(dice.sample(_PEOPLE, 4)), apart)
        for number in range(6 + messages // (10 if apart else 25))
    ]
    at = (until or datetime.now(UTC)) - messages * timedelta(minutes=4)
    for turn in range(messages):
        at += timedelta(minutes=4)
        room = dice.choice(rooms)
        sender, other = dice.sample(room.people, 2)
        situation = dice.choices(_SITUATIONS, [situation.weight for situation in _SITUATIONS])[0]
        thing = dice.choice(things)
        message = dice.choice(situation.said).format(agent=AGENT, other=other, thing=thing)
        room.said.append((at, sender, message))
        run = _id(f"run {seed} {turn}")
        action = _answered(situation.action, answers, noise, others)
        why = situation.why if action == situation.action else "It seems so."
        decided = render_answer(ShouldRespondAnswer(AGENT, why, action))
        prompt = _prompt(_RESPOND, room, at, others)
        yield Made("should_respond", at, run, room.id, sender, message, prompt, decided, situation.action)
        if action != "RESPOND":
            continue
        answered = at + timedelta(seconds=2)
        plan = situation.plan if situation.action == "RESPOND" else ("REPLY",)
        said = f"About {thing}: I will see to it, {sender}."
        if planning:
            planned = PlanningAnswer(why, plan, (situation.provider,) if situation.provider else (), said)
            prompt = _prompt(_PLAN, room, answered, others)
            right = ",".join(situation.plan)
            yield Made("planning", answered, run, room.id, sender, message, prompt, render_answer(planned), right)
        room.said.append((answered, AGENT, said))


def planning_prompt(text: str) -> str:
    """What the agent asks its provider when it is to answer `text`."""
    at = datetime.now(UTC)
    room = _Room(_id("room"), _PEOPLE[:4])
    room.said.append((at, _PEOPLE[0], text))
    return _prompt(_PLAN, room, at, random.Random(1))


def agent_log(made: Iterator[Made]) -> str:
    """Decisions as ElizaOS writes them into its `logs` table, as JSON Lines."""
    return "".join(f"{json.dumps(_row(decision))}\n" for decision in made)


def _answered(right: str, answers: Answers, noise: float, dice: random.Random) -> str:
    if answers == "coin":
        return dice.choice(("RESPOND", "IGNORE"))
    if answers == "wrong" or dice.random() < noise:
        return "IGNORE" if right == "RESPOND" else "RESPOND"
    return right


def _prompt(template: str, room: _Room, at: datetime, dice: random.Random) -> str:
    sender, message = next((who, said) for _, who, said in reversed(room.said) if who != AGENT)
    lines = [f"{when:%H:%M} ({_age(at - when)}) [{room.id_of(who)}] {who}: {said}" for when, who, said in room.said]
    context = _CONTEXT.format(
        agent=AGENT,
        actions=", ".join(dice.sample(_ACTIONS, len(_ACTIONS))),
        providers="\n".join(f"- **{provider}**: {provider.capitalize()} the agent knows of" for provider in _PROVIDERS),
        people="\n\n".join(f'"{who}" aka "{who.lower()}"\nID: {room.id_of(who)}' for who in room.people),
        conversation="\n".join(lines),
        received=f"{sender}: {message}",
        sender=sender,
    )
    return template.format(agent=AGENT, context=context)


def _age(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    return "just now" if minutes < 1 else f"{minutes} minute{'s' if minutes > 1 else ''} ago"


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"tour:{name}"))


def _row(made: Made) -> dict[str, object]:
    kind = "TEXT_SMALL" if made.model_type == "should_respond" else "TEXT_LARGE"
    return {
        "id": _id(f"{made.run} {kind}"),
        "created_at": made.at.isoformat(),
        "entity_id": _id(AGENT),
        "room_id": made.room,
        "type": f"useModel:{kind}",
        "body": {
            "modelType": kind,
            "modelKey": kind,
            "prompt": made.prompt,
            "systemPrompt": f"You are {AGENT}, short and friendly.",
            "runId": made.run,
            "timestamp": int(made.at.timestamp() * 1000),
            "executionTime": 320,
            "provider": "openai",
            "response": made.output,
        },
    }
