"""Fill a training log with made-up decisions: `python -m benchmarks.generate_log OUT.db 100000`.

The same arguments give the same rows. They are like what a busy ElizaOS agent leaves: its templates' first lines and
blocks, a window of messages that slides through a room, 2 % of the calls asked twice, an eighth of the messages not
in ASCII, some answers nobody can read, some labels. Planted among them are copies with another clock and another order
of actions, and personal data of eight kinds; `OUT.db.planted.json` says what and where.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from reasoning_cli.decisions.prompts import shape_of
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples

BATCH = 2000
WINDOW = 12  # messages in a prompt, at most
SHARES = (("should_respond", 0.60), ("planning", 0.92), ("coding", 1.0))
AGENTS = ("Nova", "Atlas", "Mira", "Quill", "Søren", "Iris", "Bolt", "Kenji", "Ada", "Juno")
AGENT_WEIGHTS = (30, 18, 13, 10, 8, 6, 5, 4, 3, 3)
_PEOPLE = """
Alice Bob Carol Dmitri Elif Farid Grace Hiro Ines Jamal Katya Liam Mónica Nils Oksana Pavel Quentin
Rosa Søren Tomás Ulrike Vikram Wanda Xiao Yusuf Zoë 田中 अनु 김민수 Ольга
"""
_WORDS = """
agent answer balance bridge budget build cache chain channel check client cloud code commit context
contract cost data deploy design detail device dialog draft error event feature file filter flow
format friend garden graph group guide handle history house idea index input issue kernel label
launch layer letter level limit list market memory message meter model month moment morning network
note number order output packet page parser patch people place plan plugin point pool price prompt
proof protocol query question queue reason record release report request result review room route
rule sample schedule schema script season secret server session share signal sketch snapshot source
stage state story stream summary supply system table task team test thing thread ticket time token
topic trace track traffic tree turn update user value version village voice wallet water weather
week window winter wish word work writer year
"""
_VERBS = "checks builds moves reads keeps breaks sends finds opens closes needs changes explains shows holds follows"
_LINKS = "because although while before after when until unless so and but"
PEOPLE, WORDS, VERBS, LINKS = (text.split() for text in (_PEOPLE, _WORDS, _VERBS, _LINKS))
FOREIGN = (
    "こんにちは、今日の予定を教えてください。",
    "你能帮我看看这个余额吗？谢谢！",
    "¿Alguien sabe por qué falló el envío?",
    "Привет! Кто-нибудь видел последний отчёт?",
    "مرحبا، هل يمكنك مساعدتي في هذا؟",
    "Ça marche très bien, merci beaucoup 😊",
    "größere Änderungen kommen später, bitte warten…",
    "नमस्ते, क्या आप मेरी मदद कर सकते हैं?",
    "🚀🚀 let’s go — naïve café ☕ “quoted”",
)
ACTIONS = ("REPLY", "IGNORE", "NONE", "MUTE_ROOM", "FOLLOW_ROOM", "GENERATE_IMAGE", "UPDATE_CONTACT", "SEND_MESSAGE")
PROVIDERS = ("ENTITIES", "RELATIONSHIPS", "FACTS", "ATTACHMENTS", "WORLD")
MODELS = {"should_respond": "TEXT_SMALL", "planning": "TEXT_LARGE", "coding": "TEXT_LARGE"}

_ASK = {
    "should_respond": (
        "<task>Decide on behalf of {name} whether they should respond to the message, ignore it or stop the"
        " conversation.</task>\n\n<providers>\n",
        "</providers>\n\n<instructions>Decide if {name} takes part. A message to {name} is answered, a message to"
        " somebody else is not, and who asks for silence gets it.</instructions>\n\n<output>\nAnswer in XML:\n"
        "<response>\n  <name>{name}</name>\n  <reasoning>Why</reasoning>\n  <action>RESPOND | IGNORE | STOP</action>\n"
        "</response>\n</output>",
    ),
    "planning": (
        "<task>Generate dialog and actions for the character {name}.</task>\n\n<providers>\n",
        "</providers>\n\n<instructions>Write what {name} thinks, does and says next. Actions run in the order they are"
        " listed; IGNORE stands alone. Ask only for providers the answer needs.</instructions>\n\n<output>\nAnswer in"
        " XML:\n<response>\n    <thought>Thought</thought>\n    <actions>ACTION1,ACTION2</actions>\n"
        "    <providers>PROVIDER1</providers>\n    <text>Text</text>\n</response>\n</output>",
    ),
}


@dataclass(frozen=True)
class _Message:
    """One message of a room, with the parts of its line that are the same in every prompt that shows it."""

    minute: int
    person: str
    text: str
    clock: str
    rest: str


@dataclass
class Planted:
    """What was hidden in the rows: `copies` are [id of the copy, id of the first]; `secrets` name the sample whose
    message first holds the value, which the prompts after it in that room repeat."""

    copies: list[tuple[str, str]] = field(default_factory=list)
    secrets: list[dict[str, str]] = field(default_factory=list)


class _Room:
    def __init__(self, rng: random.Random, number: int, agent: str) -> None:
        self.id = str(UUID(int=rng.getrandbits(128), version=4))
        self.agent = agent
        self.people = [(name, str(UUID(int=rng.getrandbits(128), version=4))) for name in rng.sample(PEOPLE, 4)]
        self.messages: deque[_Message] = deque(maxlen=WINDOW)
        self.number = number
        self.about = ""


class Generator:
    """Samples without end, oldest first, from `since` to `until` when `count` of them are taken."""

    def __init__(
        self,
        count: int,
        *,
        seed: int = 1,
        prompt_bytes: int = 4000,
        until: datetime | None = None,
        days: float = 60,
        copies: int = 200,
        secrets: int = 400,
    ) -> None:
        self.rng = random.Random(seed)
        self.count = count
        self.prompt_bytes = prompt_bytes
        self.planted = Planted()
        self._until = until or datetime.now(UTC).replace(microsecond=0)
        self._step = timedelta(days=days) / max(1, count)
        rng = self.rng
        self._sentences = [self._sentence() for _ in range(4000)]
        self._filler = " ".join(rng.choices(self._sentences, k=6000))
        self._rooms = [
            _Room(rng, number, rng.choices(AGENTS, AGENT_WEIGHTS)[0]) for number in range(max(12, count // 2000))
        ]
        self._agent_ids = {name: str(UUID(int=rng.getrandbits(128), version=4)) for name in AGENTS}
        offers = [rng.sample(ACTIONS, len(ACTIONS)) for _ in range(24)]
        # Each shuffle of the actions is a block of text that is there ready-made.
        self._offers = [
            f"Possible response actions: {', '.join(offer)}\n\n# Available Actions\n"
            + "".join(f"- **{name}**: {self._sentences[number]}\n" for number, name in enumerate(offer))
            + "\n# Providers\n\nThese providers are available for the agent to select and use:\n"
            + "".join(f"- **{name}**: {self._sentences[number]}\n" for number, name in enumerate(PROVIDERS))
            for offer in offers
        ]
        self._copy_at = set(rng.sample(range(count // 20, count), min(copies, count // 50)))
        self._secret_at = set(rng.sample(range(count // 50, count), min(secrets, count // 25)))
        for room in self._rooms:
            begin = rng.randrange(len(self._filler) // 2)
            room.about = self._filler[begin : begin + max(0, prompt_bytes)]

    def __iter__(self) -> Iterator[Sample]:
        rng, first = self.rng, self._until - self._step * (self.count - 1)
        recent: deque[Sample] = deque(maxlen=500)
        decisions: deque[tuple[Sample, _Room, tuple[_Message, ...]]] = deque(maxlen=300)
        for number in range(self.count):
            at = first + self._step * number
            if number in self._copy_at and decisions:
                original, room, messages = decisions.popleft()
                prompt = self._prompt(original.model_type, room, messages, _minute(original.created_at) + 7)
                sample = replace(original, prompt=prompt, shape=shape_of(prompt), **self._asked_again(at))
                self.planted.copies.append((sample.id, original.id))
            elif recent and number not in self._secret_at and rng.random() < 0.02:
                sample = replace(rng.choice(recent), **self._asked_again(at))
            else:
                room = rng.choice(self._rooms)
                sample = self._decision(number, at, room)
                if sample.model_type != "coding":
                    decisions.append((sample, room, tuple(room.messages)))
                recent.append(sample)
            yield sample

    def _asked_again(self, at: datetime) -> dict[str, Any]:
        return {"id": self._id(), "created_at": at, "label": None, "corrected": None}

    def _decision(self, number: int, at: datetime, room: _Room) -> Sample:
        rng = self.rng
        chance = rng.random()
        model_type = next(name for name, below in SHARES if chance < below)
        secret = number in self._secret_at
        if secret and model_type == "coding":
            model_type = "planning"
        sample_id = self._id()
        person, person_id = rng.choice(room.people)
        text = self._message(room.agent)
        if secret:
            kind, value = self._secret()
            text = f"{text} {rng.choice(('reach me at', 'it is', 'here:', 'use'))} {value}"
            self.planted.secrets.append({"sample": sample_id, "kind": kind, "value": value})
        if model_type == "coding":
            prompt, output, decision = self._coding(text)
        else:
            rest = f") [{person_id}] {person}: {text}\n"
            room.messages.append(_Message(_minute(at), person, text, f"{at:%H:%M} (", rest))
            prompt = self._prompt(model_type, room, room.messages, _minute(at))
            output, decision = self._answer(model_type, room.agent)
        label = corrected = None
        if (chance := rng.random()) < 0.045:
            label = "good" if chance < 0.03 else "bad" if chance < 0.04 else "corrected"
            corrected = self._answer(model_type, room.agent)[0] if label == "corrected" and decision else None
        counted = rng.random() < 0.8
        return Sample(
            id=sample_id,
            created_at=at,
            model_type=model_type,
            model=MODELS[model_type],
            source=rng.choices(("original", "slot", "fallback"), (80, 17, 3))[0],
            origin="made-up",
            prompt=prompt,
            output=output,
            system=f"You are {room.agent}.",
            decision=decision,
            agent_id=self._agent_ids[room.agent],
            agent_name=room.agent,
            room_id=room.id,
            entity_id=person_id,
            provider="openai",
            prompt_tokens=len(prompt) // 4 if counted else None,
            completion_tokens=len(output) // 4 if counted else None,
            latency_ms=int(rng.lognormvariate(6.5, 0.6)),
            label=None if label == "corrected" and corrected is None else label,
            confidence=round(rng.random(), 2) if rng.random() < 0.3 else None,
            corrected=corrected,
            shape=shape_of(prompt),
        )

    def _prompt(self, model_type: str, room: _Room, messages: Iterable[_Message], minute: int) -> str:
        begin, end = _ASK[model_type]
        name, offer = room.agent, self.rng.choice(self._offers)
        conversation = "".join(
            [f"{message.clock}{_age(minute - message.minute)}{message.rest}" for message in messages]
        )
        *_, last = messages
        rules = (
            f"\n\n# Received Message\n{last.person}: {last.text}\n\n\n# Focus your response\nYou are replying to the"
            f" above message from **{last.person}**.\n\n"
        )
        fixed = len(begin) + len(offer) + len(conversation) + len(rules) + len(end) + 60
        # Two thirds to four thirds of the size wanted, by the room.
        about = room.about[: max(0, int(self.prompt_bytes * (2 / 3 + room.number % 7 / 9)) - fixed)]
        return (
            f"{begin.format(name=name)}{offer}\n# About {name}\n{about}\n\n# Conversation Messages\n{conversation}"
            f"{rules}{end.format(name=name)}"
        )

    def _answer(self, model_type: str, name: str) -> tuple[str, str | None]:
        rng = self.rng
        said = rng.choice(self._sentences)
        if rng.random() < 0.01:
            return said, None
        if model_type == "coding":
            return f"```python\nprint({said!r})\n```", "python"
        if model_type == "should_respond":
            action = rng.choices(("RESPOND", "IGNORE", "STOP"), (58, 39, 3))[0]
            return (
                f"<response>\n  <name>{name}</name>\n  <reasoning>{said}</reasoning>\n  <action>{action}</action>\n"
                "</response>"
            ), action
        actions = rng.choices(("REPLY", "IGNORE", "REPLY,UPDATE_CONTACT", "NONE"), (70, 15, 9, 6))[0]
        return (
            f"<response>\n  <thought>{said}</thought>\n  <actions>{actions}</actions>\n  <providers></providers>\n"
            f"  <text>{rng.choice(self._sentences)}</text>\n</response>"
        ), actions

    def _coding(self, wish: str) -> tuple[str, str, str | None]:
        begin = self.rng.randrange(len(self._filler) // 2)
        lines = self._filler[begin : begin + self.prompt_bytes // 2].replace(". ", "\n    # ")
        output, decision = self._answer("coding", "")
        return f"Fix the function in this file. {wish}\n\n```python\ndef work():\n    # {lines}\n```", output, decision

    def _message(self, agent: str) -> str:
        rng = self.rng
        said = rng.choice(FOREIGN) if rng.random() < 0.12 else rng.choice(self._sentences)
        more = f" {rng.choice(self._sentences)}" if rng.random() < 0.4 else ""
        return f"{f'{agent}, ' if rng.random() < 0.5 else ''}{said}{more} ({rng.choice(WORDS)} {rng.choice(WORDS)})"

    def _sentence(self) -> str:
        rng = self.rng
        words = [rng.choice(WORDS) for _ in range(rng.randint(2, 6))]
        first, last = " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])
        return f"The {first} {rng.choice(VERBS)} {rng.choice(LINKS)} the {last} {rng.choice(VERBS)} it."

    def _secret(self) -> tuple[str, str]:
        return self.rng.choice(_SECRETS)(self.rng)

    def _id(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60


def _age(minutes: int) -> str:
    if minutes < 1:
        return "just now"
    return f"{minutes} minutes ago" if minutes < 60 else f"{minutes // 60} hours ago"


def _letters(rng: random.Random, count: int, more: str = "") -> str:
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + more, k=count))


def _card(rng: random.Random) -> str:
    digits = [4, *(rng.randrange(10) for _ in range(14))]
    total = sum(sum(divmod(2 * digit, 10)) if place % 2 == 0 else digit for place, digit in enumerate(digits))
    text = "".join(map(str, [*digits, -total % 10]))
    return " ".join(text[start : start + 4] for start in range(0, 16, 4))


_SECRETS: tuple[Callable[[random.Random], tuple[str, str]], ...] = (
    lambda rng: ("email", f"{_letters(rng, 7).lower()}.{rng.choice(WORDS)}@{rng.choice(WORDS)}-mail.example.com"),
    lambda rng: ("phone", f"+49 {rng.randint(151, 179)} {rng.randint(1000000, 99999999)}"),
    lambda rng: ("phone", f"({rng.randint(201, 989)}) {rng.randint(200, 999)}-{rng.randint(1000, 9999)}"),
    lambda rng: ("card", _card(rng)),
    lambda rng: ("ip", ".".join(str(rng.randint(11, 250)) for _ in range(4))),
    lambda rng: ("key", f"sk-proj-{_letters(rng, 48, '-_')}x"),
    lambda rng: ("token", f"ghp_{_letters(rng, 36)}"),
    lambda rng: ("key", f"AKIA{''.join(rng.choices('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', k=16))}"),
    lambda rng: ("token", f"eyJ{_letters(rng, 20)}.eyJ{_letters(rng, 40)}.{_letters(rng, 43, '-_')}"),
)


def fill(store: Store, generator: Generator, on_batch: Callable[[int], None] = lambda stored: None) -> Planted:
    """Store all of the generator's samples, with a line of history for each label; what was planted among them."""
    if isinstance(store.place, Path):
        # Hashes fall anywhere in their index: without room in memory each batch would read and write all of it.
        store.connection.execute("PRAGMA cache_size=-400000")
    samples, rows, stored = Samples(store), iter(generator), 0
    while batch := list(islice(rows, BATCH)):
        stored += samples.insert_many(batch)
        on_batch(stored)
    store.write(
        "INSERT INTO labels(sample_seq, at, by, label, answer) SELECT seq, created_at, 'operator', label, corrected"
        " FROM samples WHERE label IS NOT NULL AND seq NOT IN (SELECT sample_seq FROM labels)"
    )
    return generator.planted


def main() -> int:
    """Make the file; refuses one that is there, since two logs in one file would be neither."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prompt-bytes", type=int, default=4000, help="mean size of a prompt; 7000 is like real ones")
    parser.add_argument("--days", type=float, default=60, help="how far back the first decision lies")
    parser.add_argument("--until", type=datetime.fromisoformat, help="time of the last decision; default: now")
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--secrets", type=int, default=400)
    parser.add_argument("--realm", default="together")
    chosen = parser.parse_args()
    if chosen.out.exists():
        parser.error(f"{chosen.out} is there already")
    began = time.perf_counter()
    generator = Generator(
        chosen.count,
        seed=chosen.seed,
        prompt_bytes=chosen.prompt_bytes,
        until=chosen.until.astimezone(UTC) if chosen.until else None,
        days=chosen.days,
        copies=chosen.copies,
        secrets=chosen.secrets,
    )

    def notify(stored: int) -> None:
        if stored % 100_000 == 0:
            print(f"{stored:,} rows, {stored / (time.perf_counter() - began):,.0f} a second", flush=True)

    with open_store(chosen.out, chosen.realm) as store:
        planted = fill(store, generator, notify)
        store.shorten_log()
        size = store.size_bytes()
    chosen.out.with_name(f"{chosen.out.name}.planted.json").write_text(json.dumps(asdict(planted), ensure_ascii=False))
    took = time.perf_counter() - began
    print(
        f"{chosen.count:,} rows in {took:.1f} s ({chosen.count / took:,.0f} a second), {size / 1e6:,.0f} MB,"
        f" {len(planted.copies)} copies and {len(planted.secrets)} secrets planted"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
