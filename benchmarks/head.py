"""The head on real human text and on the made-up agent, as ratios of one run: `python -m benchmarks.head real`.

`real` builds rooms from the PyPI package chitchat_dataset 0.9.0 (MIT), which is downloaded to a temporary folder, or
taken from `--wheel FILE`: of each room's four dialogues two are with the agent, its three people speak with the agent
and with each other, and a fifth of the messages names its addressee. Each split learns from 3,000 decisions, proves on
7,000 of other people, and looks how often the bound that it states is broken by decisions of people it has never seen.
`made` measures what training costs beside an export of the same samples of the made-up agent, and a decision.
`--curve FILE.svg` draws the first split.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reasoning_cli.commands.demo.synthetic_agent import AGENT as ADA
from reasoning_cli.commands.demo.synthetic_agent import make_decisions
from reasoning_cli.engines.head.bound import by_threshold, shares_of
from reasoning_cli.engines.head.model import Head
from reasoning_cli.engines.head.moment import Moment, Spoken, moment_of
from reasoning_cli.engines.head.training import Sample, Trained, train
from reasoning_cli.operations.data.addressing import Addresser
from reasoning_cli.operations.data.head_facts import facts_of
from reasoning_cli.operations.train.head_curve import curve_svg
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample as Logged
from reasoning_cli.store.samples.training_log import Samples

PACKAGE = "chitchat_dataset"
VERSION = "0.9.0"
AGENT = "Nova"
NAMES = ("Adam", "Beth", "Carl", "Dora", "Eric", "Fern", "Glen", "Hope", "Iris", "Jude", "Kira", "Lars", "Maya", "Neil")
PIECE = 16  # turns of a dialogue in one room
SHORTEST = 6
SIDES = (0.2, 0.45, 0.35)  # of the people: to learn from, to prove on, to see whether it holds


@dataclass(frozen=True)
class Turn:
    """What one of two people wrote before the other did; `at` in seconds, `answered` whether the other went on."""

    person: str
    text: str
    at: float
    answered: bool


@dataclass(frozen=True)
class Message:
    """A turn in a room, between two names."""

    at: float
    sender: str
    to: str
    person: str
    text: str
    right: str


def dialogues(wheel: Path) -> list[list[Turn]]:
    """The dialogues of two people, those of a few turns left out."""
    with zipfile.ZipFile(wheel) as archive:
        data = json.loads(archive.read(f"{PACKAGE}/dataset.json"))
    found = []
    for dialogue in data.values():
        spoken = [
            (message["sender"], message["text"].strip(), datetime.fromisoformat(message["timestamp"]).timestamp())
            for group in dialogue["messages"]
            for message in group
            if message["text"].strip()
        ]
        turns: list[list[tuple[str, str, float]]] = []
        for message in spoken:
            if turns and turns[-1][-1][0] == message[0]:
                turns[-1].append(message)
            else:
                turns.append([message])
        if len(turns) >= SHORTEST and len({turn[0][0] for turn in turns}) == 2:
            found.append(
                [
                    Turn(turn[0][0], " ".join(text for _, text, _ in turn), turn[-1][2], place + 1 < len(turns))
                    for place, turn in enumerate(turns)
                ]
            )
    return found


def sides(found: Sequence[Sequence[Turn]], dice: random.Random) -> list[list[list[Turn]]]:
    """Pieces of dialogues by side, nobody on two of them; dialogues across are left out."""
    partners: dict[str, Counter[str]] = defaultdict(Counter)
    for turns in found:
        first, second = sorted({turn.person for turn in turns})
        partners[first][second] += len(turns)
        partners[second][first] += len(turns)
    sizes = {person: count.total() for person, count in partners.items()}
    side_of: dict[str, int] = {}
    load, whole = [0] * len(SIDES), sum(sizes.values())
    for person in sorted(sizes, key=lambda person: -sizes[person] * dice.uniform(0.5, 2)):
        pull = [0] * len(SIDES)
        for partner, turns in partners[person].items():
            if partner in side_of:
                pull[side_of[partner]] += turns
        room = [SIDES[side] - load[side] / whole for side in range(len(SIDES))]
        side = max(range(len(SIDES)), key=lambda side: (room[side] > 0, pull[side], room[side]))
        side_of[person] = side
        load[side] += sizes[person]
    parted: list[list[list[Turn]]] = [[] for _ in SIDES]
    for turns in found:
        where = {side_of[turn.person] for turn in turns}
        if len(where) == 1:
            pieces = (list(turns[start : start + PIECE]) for start in range(0, len(turns), PIECE))
            parted[where.pop()] += [piece for piece in pieces if len(piece) >= SHORTEST]
    return parted


def rooms(pieces: Sequence[list[Turn]], named: float, dice: random.Random) -> Iterator[list[Message]]:
    """Four dialogues at once, over three names and the agent."""
    shuffled = dice.sample(pieces, len(pieces))
    for start in range(0, len(shuffled) - 3, 4):
        first, second, third = dice.sample(NAMES, 3)
        pairs = [(AGENT, first), (AGENT, second), (first, third), dice.choice([(first, second), (second, third)])]
        messages = []
        for piece, pair in zip(shuffled[start : start + 4], pairs, strict=True):
            names = dict(zip(sorted({turn.person for turn in piece}), dice.sample(pair, 2), strict=True))
            at, before = dice.uniform(0, 240), piece[0].at
            for turn in piece:
                at, before = at + min(120, max(0, turn.at - before)), turn.at
                sender = names[turn.person]
                to = next(name for name in pair if name != sender)
                others = [name for name in (AGENT, first, second, third) if name not in (sender, to)]
                text = _named(turn.text, to, others, dice) if dice.random() < named else turn.text
                right = "RESPOND" if to == AGENT and turn.answered else "IGNORE"
                messages.append(Message(at, sender, to, turn.person, text, right))
        yield sorted(messages, key=lambda message: message.at)


def _named(text: str, to: str, others: Sequence[str], dice: random.Random) -> str:
    """The text with its addressee's name in it; now and then with that of somebody it is about."""
    if dice.random() < 0.05:
        third = dice.choice(others)
        return dice.choice((f"{text} as {third} put it", f"I heard from {third}, {text}"))
    return dice.choice((f"{to}, {text}", f"{to} {text}", f"@{to} {text}", f"{text} @{to}", f"{text}, {to}"))


def samples(pieces: Sequence[list[Turn]], named: float, dice: random.Random, count: int, prefix: str) -> list[Sample]:
    """The decisions about what people wrote, whole rooms until there are so many."""
    made: list[Sample] = []
    for number, messages in enumerate(rooms(pieces, named, dice)):
        for place, message in enumerate(messages):
            if message.sender != AGENT:
                room = f"{prefix}{number}"
                made.append(Sample(len(made), room, message.person, _moment(messages, place), message.right))
        if len(made) >= count:
            break
    return made[:count]


def _moment(messages: Sequence[Message], place: int) -> Moment:
    """What the head would see of a message, with whom the agent answered."""
    received = messages[place]
    before = list(messages[max(0, place - 20) : place])
    burst = []
    while before and before[-1].sender == received.sender and len(burst) < 3:
        burst.insert(0, before.pop().text)
    recent: list[Spoken] = []
    for message in before:
        by_agent = message.sender == AGENT
        spoken = Spoken(
            message.sender,
            None,
            by_agent,
            message.text,
            int(message.at // 60),
            message.to if by_agent else None,
        )
        if recent and recent[-1].speaker == message.sender:
            spoken = Spoken(
                spoken.speaker, None, by_agent, f"{recent[-1].text}\n{spoken.text}", spoken.minute, spoken.answered
            )
            recent.pop()
        recent.append(spoken)
    people = {message.sender for message in messages} - {AGENT, received.sender}
    return Moment(
        AGENT, received.text, received.sender, None, tuple(recent), tuple(people), tuple(burst), int(received.at // 60)
    )


@dataclass(frozen=True)
class Outcome:
    """One split: what was stated, and what held for people the head has never seen."""

    seed: int
    max_error: float
    stated: float
    share: float
    disagreed: float
    by_rooms: float
    accuracy: float
    rule_accuracy: float
    majority: float
    seconds: float


def one_split(
    found: Sequence[Sequence[Turn]],
    seed: int,
    named: float,
    count: int,
    errors: Sequence[float],
    curve: Path | None = None,
) -> list[Outcome]:
    """Learn and prove on a log of so many decisions, then see whether it holds."""
    dice = random.Random(f"{seed} {named}")
    learn, prove, new = sides(found, dice)
    log = samples(learn, named, dice, count * 3 // 10, "l") + samples(prove, named, dice, count - count * 3 // 10, "p")
    truth = samples(new, named, dice, 6000, "t")
    outcomes = []
    for error in errors:
        began = time.process_time()
        trained = train(log, max_error=error)
        took = time.process_time() - began
        if curve is not None and error == errors[0]:
            curve.write_text(curve_svg(trained))
        outcomes.append(_outcome(seed, error, trained, truth, took))
    return outcomes


def _outcome(seed: int, error: float, trained: Trained, truth: Sequence[Sample], took: float) -> Outcome:
    verdicts = [(trained.head.judge(sample.moment).label, sample) for sample in truth]
    scored = [(1.0, sample.room, label != sample.decision) for label, sample in verdicts if label is not None]
    shares = shares_of(next(by_threshold(scored, [0])))
    return Outcome(
        seed,
        error,
        trained.proof.at_most if trained.share else 0.0,
        len(scored) / len(truth),
        sum(disagrees for _, _, disagrees in scored) / max(1, len(scored)),
        statistics.fmean(shares) if shares else 0.0,
        trained.by_scorer["model"].accuracy,
        trained.by_scorer["rule"].accuracy,
        trained.majority_share,
        took,
    )


def real(typed: argparse.Namespace) -> None:
    """A line a split, then what came of all."""
    with tempfile.TemporaryDirectory() as folder:
        found = dialogues(typed.wheel or _download(Path(folder)))
    outcomes: list[Outcome] = []
    for seed in range(typed.first, typed.first + typed.splits):
        curve = typed.curve if seed == typed.first else None
        outcomes += one_split(found, seed, typed.named, typed.samples, typed.max_error, curve)
        print(outcomes[-1], flush=True)
    for error in typed.max_error:
        of_error = [outcome for outcome in outcomes if outcome.max_error == error]
        print(
            f"at most {error:.0%}, {len(of_error)} splits: answers {_mean(of_error, 'share'):.1%}, of which"
            f" {_mean(of_error, 'disagreed'):.2%} disagree; beyond the bound in"
            f" {sum(outcome.disagreed > error for outcome in of_error)} counted by decisions,"
            f" {sum(outcome.by_rooms > error for outcome in of_error)} by rooms;"
            f" accuracy {_mean(of_error, 'accuracy'):.1%},"
            f" rules {_mean(of_error, 'rule_accuracy'):.1%}, always IGNORE {_mean(of_error, 'majority'):.1%};"
            f" {_mean(of_error, 'seconds'):.1f} s of CPU to train"
        )


def _mean(outcomes: Sequence[Outcome], name: str) -> float:
    return statistics.fmean(getattr(outcome, name) for outcome in outcomes)


def _download(folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, f"{PACKAGE}=={VERSION}"], check=True
    )
    return next(folder.glob("*.whl"))


def made(typed: argparse.Namespace) -> None:
    """Training beside an export of the same samples, each in a process of its own, and a decision in this one."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        some = _made_log(home / "reasoning.db", typed.samples)
        train_it = ("train", "start", "should-respond", "--engine", "head", "--max-error", "5", "--json")
        export = ("data", "export", "-m", "should-respond", "-o", str(home / "out.jsonl"), "--force")
        rounds = [(_taken(home, export), _taken(home, train_it)) for _ in range(typed.rounds)]
        exported = statistics.median(seconds for (seconds, _), _ in rounds)
        trained = statistics.median(seconds for _, (seconds, _) in rounds)
        peak = max(megabytes for _, (_, megabytes) in rounds)
        print(f"{typed.samples:,} samples: export {exported:.2f} s of CPU, training {trained:.2f} s", end="")
        print(f", {trained / exported:.2f} times as long; {peak:.0f} MB")
        head = Head.load(next((home / "heads").glob("*.head")))
    began = time.process_time()
    moments = [moment_of(sample.prompt, None, facts_of(sample)) for sample in some]
    read = time.process_time()
    answered = sum(head.judge(moment).label is not None for moment in moments if moment is not None)
    judged = time.process_time()
    each = 1e6 / len(some)
    print(f"a decision: {(read - began) * each:.0f} µs to read, {(judged - read) * each:.0f} µs to judge", end="")
    print(f"; answers {answered / len(some):.0%}")


def _made_log(path: Path, count: int) -> list[Logged]:
    """A log of the made-up agent, with 2 % of its answers wrong; some of it."""
    addresser, log = Addresser(), []
    for number, decision in enumerate(make_decisions(count, noise=0.02, planning=False)):
        action = (
            "RESPOND" if "<action>RESPOND" in decision.output else "STOP" if "STOP<" in decision.output else "IGNORE"
        )
        sample = Logged(
            f"s{number}",
            decision.at,
            "should_respond",
            "gpt-4o-mini",
            "original",
            "gateway",
            decision.prompt,
            decision.output,
            decision=action,
            agent_name=ADA,
            room_id=decision.room,
        )
        log.append(addresser.addressed(sample))
    with open_store(path) as store:
        Samples(store).insert_many(log)
    return log[:2000]


_MEASURED = """
import resource, sys
from reasoning_cli.__main__ import main
where = sys.argv.pop()
try:
    main()
finally:
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    with open(where, "w") as file:
        print(seconds, own.ru_maxrss, file=file)
"""


def _taken(home: Path, arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds of CPU and megabytes at the peak that a command takes."""
    environ = {**os.environ, "REASONING_HOME": str(home), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments, str(home / "used")], env=environ, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds, kilobytes = (home / "used").read_text().split()
    return float(seconds), float(kilobytes) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("real", "made"))
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--first", type=int, default=100, help="the first split")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--named", type=float, default=0.2)
    parser.add_argument("--max-error", type=float, nargs="*", default=[0.05])
    parser.add_argument("--curve", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    typed = parser.parse_args()
    (real if typed.what == "real" else made)(typed)


if __name__ == "__main__":
    main()
