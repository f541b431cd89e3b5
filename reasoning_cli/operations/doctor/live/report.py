"""What is told of a first contact: every fact with its verdict, and every answer that differs from the contract.

The report names no key, endpoint, account, person or prompt. What is settled is stored, with when and by which version.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli import __version__
from reasoning_cli.engines.contract import Answered, Reads
from reasoning_cli.operations.doctor.live.evidence import Evidence, Measured
from reasoning_cli.operations.doctor.live.facts import FACTS, Fact, Finding, Verdict
from reasoning_cli.store.database import Store
from reasoning_cli.store.service_facts import ServiceFact, ServiceFacts

FORMAT = 1
_MASK = "(a name)"


@dataclass(frozen=True)
class Judged:
    """A fact and what became of it; `at` and `version` are when and by what it was settled, now or before."""

    fact: Fact
    finding: Finding
    at: datetime | None = None
    version: str | None = None


@dataclass(frozen=True)
class LiveReport:
    """One contact with the service."""

    at: datetime
    realm: str
    judged: tuple[Judged, ...]
    answered: tuple[Answered, ...]
    measured: Measured | None = None
    private: frozenset[str] = frozenset()

    @property
    def differing(self) -> tuple[Answered, ...]:
        """The routes whose answers are not as documented."""
        return tuple(item for item in self.answered if item.deviations or item.unreadable)

    def count(self, verdict: Verdict) -> int:
        return sum(item.finding.verdict is verdict for item in self.judged)


def make_report(store: Store, reads: Reads, seen: Evidence, *, measured: Measured | None = None) -> LiveReport:
    """Judge every fact by what was seen, store what is settled, and put in what was settled before.

    `measured` is what this contact itself measured, None when it only read.
    """
    stored = ServiceFacts(store)
    known = stored.all()
    judged = []
    for fact in FACTS:
        finding, before = fact.judge(seen), known.get(fact.name)
        if finding.verdict is not Verdict.OPEN:
            now = ServiceFact(
                fact.name, finding.verdict is Verdict.HOLDS, finding.value, finding.why, reads.at, __version__
            )
            if before is None or (before.holds, before.value, before.why) != (now.holds, now.value, now.why):
                stored.settle(now)
                before = now
        elif before is not None:
            finding = Finding(Verdict.HOLDS if before.holds else Verdict.FAILS, before.value, before.why)
        judged.append(Judged(fact, finding, before.at if before else None, before.version if before else None))
    return LiveReport(reads.at, store.realm, tuple(judged), reads.answered, measured, reads.private)


def report_record(report: LiveReport) -> dict[str, object]:
    """The report as it is sent: nothing of it names anything of the account's."""
    hidden = _pattern(report.private)
    return {
        "report": "reasoning doctor --live",
        "format": FORMAT,
        "at": report.at,
        "version": __version__,
        "python": platform.python_version(),
        "service": report.realm,
        "facts": [_fact_record(item) for item in report.judged],
        "answers": [_answer_record(item, hidden) for item in report.answered],
        "probe": report.measured.record() if report.measured else None,
    }


def _fact_record(judged: Judged) -> dict[str, object]:
    return {
        "name": judged.fact.name,
        "assumed": judged.fact.assumed,
        "depends": judged.fact.depends,
        "verdict": judged.finding.verdict.value,
        "value": judged.finding.value,
        "why": judged.finding.why,
        "settled_at": judged.at,
        "settled_by": judged.version,
    }


def _answer_record(answered: Answered, hidden: re.Pattern[str] | None) -> dict[str, object]:
    def safe(text: str) -> str:
        """The second lock: a name of the account's that got into a word of the service goes out of it."""
        return hidden.sub(_MASK, text) if hidden else text

    return {
        "route": answered.route,
        "statuses": list(answered.statuses),
        "answers": answered.answers,
        "deviations": [
            {"member": safe(deviation.member), "kind": deviation.kind.value, "found": safe(deviation.found)}
            for deviation in answered.deviations
        ],
        "unreadable": [safe(item) for item in answered.unreadable],
    }


def _pattern(private: Iterable[str]) -> re.Pattern[str] | None:
    """Any of these names, whole."""
    names = sorted(private, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names))})(?![\w-])") if names else None
