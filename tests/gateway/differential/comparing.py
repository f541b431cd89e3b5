"""All cases of both sides, and our verdicts beside those of nginx."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.gateway.differential.answers import ANSWERS
from tests.gateway.differential.differences import DIFFERENCES
from tests.gateway.differential.judging import Tell, Verdict, answers, requests, silent, told
from tests.gateway.differential.peers import Peer
from tests.gateway.differential.requests import REQUESTS

# Whether a case of that name is judged.
Chosen = Callable[[str], bool]
RECORDED = Path(__file__).with_name("nginx.json")
_WRONG = "WRONG: "  # nothing excuses it: a caller got what was not its own, or the provider what is not a request


def every(name: str) -> bool:
    return True


def provider_verdicts(peer: Peer, chosen: Chosen = every, tell: Tell = silent) -> dict[str, Verdict]:
    """What a peer does with the chosen answers of a provider."""
    cases = [one for one in ANSWERS if chosen(f"provider: {one.name}")]
    return {f"provider: {name}": verdict for name, verdict in answers(peer, cases, tell).items()}


def caller_verdicts(peer: Peer, chosen: Chosen = every, tell: Tell = silent) -> dict[str, Verdict]:
    """What a peer does with the chosen requests of a caller."""
    cases = [one for one in REQUESTS if chosen(f"caller: {one.name}")]
    return {f"caller: {name}": verdict for name, verdict in requests(peer, cases, tell).items()}


def verdicts(peer: Peer, chosen: Chosen = every, tell: Tell = silent) -> dict[str, Verdict]:
    """What it does with the cases of both sides."""
    return provider_verdicts(peer, chosen, tell) | caller_verdicts(peer, chosen, tell)


def recorded() -> dict[str, str]:
    """What nginx did, each verdict in a line."""
    found: dict[str, str] = json.loads(RECORDED.read_text())["verdicts"]
    return found


@dataclass(frozen=True)
class Compared:
    """One case. `why` is the listed reason of a difference; `flaw` what is wrong with the lists themselves."""

    name: str
    ours: str
    theirs: str
    why: str
    flaw: str | None

    @property
    def same(self) -> bool:
        return self.ours == self.theirs


def compared(ours: dict[str, Verdict], theirs: dict[str, str], side: str | None = "") -> list[Compared]:
    """Each case of ours. `side`: how the names begin of which these are all: what is listed besides is a flaw."""
    found = []
    for name, verdict in ours.items():
        mine, nginx = told(verdict), theirs.get(name, "not recorded")
        meant, flaw = DIFFERENCES.get(name), None
        if _WRONG in mine:
            flaw = "wrong, whatever nginx does"
        elif mine == nginx:
            flaw = "listed as a difference, and is none" if meant else None
        elif meant is None:
            flaw = "a difference that is not listed"
        elif meant.ours != mine:
            flaw = f"listed as: {meant.ours}"
        why = meant.because if meant else "NOT LISTED"
        found.append(Compared(name, mine, nginx, why, flaw))
    if side is not None:
        left = [name for name in DIFFERENCES if name.startswith(side) and name not in ours]
        found += [Compared(name, "", "", "", "listed, and no case") for name in left]
    return found
