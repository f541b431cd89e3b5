"""A head made by hand, for tests of what is done with one: what is meant for whom by names alone."""

from __future__ import annotations

from array import array
from pathlib import Path

from reasoning_cli.engines.head.bound import Proof
from reasoning_cli.engines.head.features import SIZE
from reasoning_cli.engines.head.model import By, Group, Head, Label, Linear, Rule
from reasoning_cli.paths import find_paths

# What a message names, with all other facts as they may be.
_OTHERS = [
    f"{reply}|{direct}|{answered}"
    for reply in ("reply-unknown", "no-reply", "reply")
    for direct in ("direct-unknown", "no-direct", "direct")
    for answered in ("answered-sender", "answered-other", "answered-unknown")
]


def ruled_head(
    *agents: str, name: str = "should-respond", labels: tuple[Label, ...] = ("IGNORE",), named_share: float | None = 0.6
) -> Head:
    """A head that ignores what names somebody else, of agents of these names, and answers what names them where
    RESPOND is among its labels; messages without a name it leaves to others."""
    rules: dict[str, Rule] = {}
    for facts in _OTHERS:
        rules[f"other|{facts}"] = Rule("IGNORE", 0.99, 400, 4)
        rules[f"agent|{facts}"] = Rule("RESPOND", 0.98, 300, 6)
    proof = Proof(80, 300, 3, 0.04)
    scorers: dict[bool, By] = {True: "rule", False: "rule"}
    return Head(
        name=name,
        model_type="should_respond",
        agents=agents,
        max_error=0.05,
        scorers=scorers,
        groups=tuple(Group(label, True, "rule", 0.9, proof) for label in labels),
        rules=rules,
        linear={"IGNORE": Linear(array("f", [0.0]) * SIZE, 0.0, 1.0, 0.0)},
        facts={} if named_share is None else {"named": named_share},
    )


def store_head(home: Path, head: Head) -> Path:
    """Put a head where the program finds it, in the home of a test."""
    path = find_paths({"REASONING_HOME": str(home)}).heads / f"{head.name}.head"
    head.save(path)
    return path
