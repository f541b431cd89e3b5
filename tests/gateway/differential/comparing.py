"""All cases of both sides, and our verdicts beside those of nginx."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.gateway.differential.answers import ANSWERS
from tests.gateway.differential.differences import DIFFERENCES, FAULTS_TODAY
from tests.gateway.differential.judging import Tell, Verdict, answers, requests, silent, told
from tests.gateway.differential.peers import Peer
from tests.gateway.differential.requests import REQUESTS

RECORDED = Path(__file__).with_name("nginx.json")


def provider_verdicts(peer: Peer, only: str = "", tell: Tell = silent) -> dict[str, Verdict]:
    """What a peer does with each answer of a provider whose name holds `only`."""
    chosen = [one for one in ANSWERS if only in one.name]
    return {f"provider: {name}": verdict for name, verdict in answers(peer, chosen, tell).items()}


def caller_verdicts(peer: Peer, only: str = "", tell: Tell = silent) -> dict[str, Verdict]:
    """What a peer does with each request of a caller whose name holds `only`."""
    chosen = [one for one in REQUESTS if only in one.name]
    return {f"caller: {name}": verdict for name, verdict in requests(peer, chosen, tell).items()}


def verdicts(peer: Peer, only: str = "", tell: Tell = silent) -> dict[str, Verdict]:
    """What it does with the cases of both sides."""
    return provider_verdicts(peer, only, tell) | caller_verdicts(peer, only, tell)


def recorded() -> dict[str, Verdict]:
    found: dict[str, Verdict] = json.loads(RECORDED.read_text())["verdicts"]
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


def compared(ours: dict[str, Verdict], theirs: dict[str, Verdict], side: str | None = "") -> list[Compared]:
    """Each case of ours. `side`: how the names begin of which these are all: what is listed besides is a flaw."""
    found = []
    for name, verdict in ours.items():
        mine, nginx = told(verdict), told(theirs[name]) if name in theirs else "not recorded"
        listed = [
            (kind, table[name]) for kind, table in (("", DIFFERENCES), ("FAULT: ", FAULTS_TODAY)) if name in table
        ]
        flaw = None
        if len(listed) > 1:
            flaw = "listed twice"
        elif mine == nginx and listed:
            flaw = "listed as a difference, and is none"
        elif mine != nginx and not listed:
            flaw = "a difference that is not listed"
        elif listed and listed[0][1].ours != mine:
            flaw = f"listed as: {listed[0][1].ours}"
        elif "WRONG" in mine and not (listed and listed[0][0]):
            flaw = "wrong, whatever nginx does"
        why = "; ".join(kind + one.because for kind, one in listed) or "NOT LISTED"
        found.append(Compared(name, mine, nginx, why, flaw))
    if side is not None:
        left = [name for name in (*DIFFERENCES, *FAULTS_TODAY) if name.startswith(side) and name not in ours]
        found += [Compared(name, "", "", "", "listed, and no case") for name in left]
    return found
