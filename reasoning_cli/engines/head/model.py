"""A trained head: what it answers, how sure, and why; the file it is stored in. Needs the standard library alone.

The file is one line that names the format and the hash of what follows, one line of JSON, and the weights, packed. It
is written whole or not at all; a file of another version, or a damaged one, is refused when it is read.

    head = Head.load(path)
    verdict = head.judge(moment)         # label RESPOND, IGNORE or None: the baseline is to answer
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import exp
from pathlib import Path
from typing import Any, Literal

from reasoning_cli.engines.head.bound import Proof
from reasoning_cli.engines.head.features import SIZE, STRUCTURE_WEIGHT, Signs, signs_of
from reasoning_cli.engines.head.moment import Moment
from reasoning_cli.errors import DataError, NotFoundError
from reasoning_cli.paths import make_private_dir, replacing
from reasoning_cli.values import head_training

Label = Literal["RESPOND", "IGNORE"]
By = Literal["rule", "model"]
LABELS: tuple[Label, ...] = ("IGNORE", "RESPOND")

FORMAT = 1  # how the file is written
SCHEMA = 1  # what the signs mean: a head reads moments as those it was trained on
PREFIX = "head/"  # of the names of such models
_MAGIC = "reasoning head"
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a head makes of a decision. Without a label it abstains, and `reason` says why; `confidence` is how sure it
    is of what it would have answered."""

    label: Label | None
    confidence: float
    reason: str
    by: By


@dataclass(frozen=True, slots=True)
class Rule:
    """What the log says of one situation: how often it was seen in training, and how often its label was not given."""

    label: Label
    confidence: float
    seen: int
    disagreed: int


@dataclass(frozen=True, slots=True)
class Group:
    """The decisions of one label, with names or without: answered from `threshold` on, as `proof` allows. Without a
    threshold none is, and `rooms_missing` says how many more rooms may change that (None: no number is likely to)."""

    label: Label
    named: bool
    by: By
    threshold: float | None
    proof: Proof
    rooms_missing: int | None = 0

    @property
    def proven(self) -> bool:
        """Whether it answers any of them."""
        return self.threshold is not None


@dataclass(frozen=True, slots=True)
class Linear:
    """A weight for each sign, and the probability that a sum of them means."""

    weights: array[float]
    intercept: float
    slope: float
    offset: float

    def probability(self, signs: Signs) -> float:
        weights = self.weights
        total = (
            self.intercept
            + STRUCTURE_WEIGHT * sum([weights[place] for place in signs.structure])
            + signs.words_value * sum([weights[place] for place in signs.words])
        )
        return 1 / (1 + exp(-max(-700.0, min(700.0, self.slope * total + self.offset))))


@dataclass(frozen=True, slots=True)
class Head:
    """A classifier of one type's decisions, of the agents it was trained on.

    Where `linear` has no RESPOND, whatever is not IGNORE is. `facts` are what its training wants to be said of it.
    """

    name: str
    model_type: str
    agents: tuple[str, ...]
    max_error: float
    scorers: Mapping[bool, By]  # by whether a message names somebody
    groups: tuple[Group, ...]
    rules: Mapping[str, Rule]
    linear: Mapping[Label, Linear]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """Its name among models."""
        return f"{PREFIX}{self.name}"

    def judge(self, moment: Moment) -> Verdict:
        """What it answers, or that it does not."""
        signs = signs_of(moment)
        label, confidence, reason = self._score(signs)
        by = self.scorers[signs.named]
        if moment.agent not in self.agents:
            return Verdict(None, confidence, f"trained for {', '.join(self.agents)}, not for {moment.agent}", by)
        group = next((group for group in self.groups if (group.label, group.named) == (label, signs.named)), None)
        if group is None or group.threshold is None:
            kind = "with a name" if signs.named else "without a name"
            return Verdict(None, confidence, f"{label} {kind} is not proven", by)
        if confidence < group.threshold:
            return Verdict(None, confidence, f"not sure enough: {confidence:.3f} < {group.threshold:.3f}", by)
        return Verdict(label, confidence, reason, by)

    def _score(self, signs: Signs) -> tuple[Label, float, str]:
        if self.scorers[signs.named] == "rule":
            rule = self.rules.get(signs.situation)
            if rule is None:
                return "IGNORE", 0.0, "no rule"
            return rule.label, rule.confidence, f"rule {signs.situation}: {rule.disagreed} of {rule.seen} disagreed"
        label, confidence = probable_label(self.linear, signs)
        return label, confidence, f"model: {signs.situation}"

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises DataError."""
        make_private_dir(path.parent)
        try:
            with replacing(path) as file:
                file.write(self.packed())
        except OSError as error:
            raise DataError(
                f"cannot write `{path}`: {error.strerror}",
                "nothing was stored; free some space, or mend the folder's rights, and train again",
            ) from error

    def packed(self) -> bytes:
        """The file's content."""
        labels = list(self.linear)
        head = {
            "schema": SCHEMA,
            "name": self.name,
            "model_type": self.model_type,
            "agents": self.agents,
            "max_error": self.max_error,
            "scorers": {"named": self.scorers[True], "unnamed": self.scorers[False]},
            "groups": [asdict(group) for group in self.groups],
            "rules": {situation: asdict(rule) for situation, rule in self.rules.items()},
            "linear": {
                label: {"intercept": linear.intercept, "slope": linear.slope, "offset": linear.offset}
                for label, linear in self.linear.items()
            },
            "facts": self.facts,
        }
        weights = zlib.compress(b"".join(_little_endian(self.linear[label].weights) for label in labels), 6)
        body = json.dumps(head, ensure_ascii=False).encode() + b"\n" + weights
        return f"{_MAGIC} {FORMAT} {hashlib.sha256(body).hexdigest()}\n".encode() + body

    @classmethod
    def load(cls, path: Path) -> Head:
        """Read a file. Raises NotFoundError where there is none, DataError for one that this program cannot use."""
        try:
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            raise NotFoundError(f"there is no head `{path}`", _TRAIN) from None
        except OSError as error:
            raise DataError(f"cannot read `{path}`: {error.strerror}", "it must be a file that you may read") from error
        return cls.unpacked(content, str(path))

    @classmethod
    def unpacked(cls, content: bytes, name: str) -> Head:
        """What `packed` gave; `name` is what errors call it."""
        opening, _, body = content.partition(b"\n")
        magic, _, rest = opening.decode("ascii", "replace").rpartition(" ")
        magic, _, version = magic.rpartition(" ")
        if magic != _MAGIC:
            raise DataError(f"`{name}` is not a head", _TRAIN)
        if version != str(FORMAT):
            raise DataError(f"`{name}` is of version {version}; this program reads version {FORMAT}", _TRAIN)
        if hashlib.sha256(body).hexdigest() != rest:
            raise DataError(f"`{name}` is damaged: its content is not what was written", _TRAIN)
        header, _, weights = body.partition(b"\n")
        try:
            found = json.loads(header)
            if found["schema"] != SCHEMA:
                raise DataError(
                    f"`{name}` was trained on signs of version {found['schema']}; this program reads version {SCHEMA}",
                    _TRAIN,
                )
            return cls._of(found, weights)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, zlib.error) as error:
            raise DataError(f"`{name}` is whole, and not as this program writes a head", _TRAIN) from error

    @classmethod
    def _of(cls, found: Mapping[str, Any], weights: bytes) -> Head:
        return cls(
            name=found["name"],
            model_type=found["model_type"],
            agents=tuple(found["agents"]),
            max_error=found["max_error"],
            scorers={True: found["scorers"]["named"], False: found["scorers"]["unnamed"]},
            groups=tuple(Group(**{**group, "proof": Proof(**group["proof"])}) for group in found["groups"]),
            rules={situation: Rule(**rule) for situation, rule in found["rules"].items()},
            linear=dict(_linears(found["linear"], weights)),
            facts=found["facts"],
        )


_TRAIN = f"train it anew: `{head_training()}`"


def probable_label(linear: Mapping[Label, Linear], signs: Signs) -> tuple[Label, float]:
    """The more probable label, and its probability."""
    ignore = linear["IGNORE"].probability(signs)
    respond = linear["RESPOND"].probability(signs) if "RESPOND" in linear else 1 - ignore
    return ("IGNORE", ignore) if ignore >= respond else ("RESPOND", respond)


def _linears(found: Mapping[str, Any], packed: bytes) -> list[tuple[Label, Linear]]:
    """Raises ValueError for more weights than there are signs, or fewer: none is unpacked that is not wanted."""
    labels = [label for label in found if label in LABELS]
    unpacking, size = zlib.decompressobj(), len(labels) * SIZE * 4
    weights = unpacking.decompress(packed, size + 1)
    if len(weights) != size or not unpacking.eof:
        raise ValueError("it has not a weight for each sign")
    linears: list[tuple[Label, Linear]] = []
    for number, label in enumerate(labels):
        values = array("f")
        values.frombytes(weights[number * SIZE * 4 : (number + 1) * SIZE * 4])
        if sys.byteorder == "big":
            values.byteswap()
        linears.append(("IGNORE" if label == "IGNORE" else "RESPOND", Linear(values, **found[label])))
    return linears


def _little_endian(weights: array[float]) -> bytes:
    if sys.byteorder == "little":
        return weights.tobytes()
    swapped = array("f", weights)
    swapped.byteswap()
    return swapped.tobytes()
