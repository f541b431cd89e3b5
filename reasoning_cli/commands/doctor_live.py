"""`doctor --live`: the first contact with the live service, and the report of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reasoning_cli import __version__
from reasoning_cli.commands._shared.confirm import ask_about
from reasoning_cli.commands._shared.options import typed
from reasoning_cli.errors import DataError, ExitCode, ReasoningError
from reasoning_cli.operations.doctor.live.facts import Verdict
from reasoning_cli.paths import replacing
from reasoning_cli.terminal.listing import Column, Format, Kind, Listing, to_json
from reasoning_cli.terminal.units import counted, duration, money
from reasoning_cli.values import parse_usd

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session
    from reasoning_cli.engines.contract import Reads
    from reasoning_cli.operations.doctor.live.evidence import Measured
    from reasoning_cli.operations.doctor.live.probe import Probe, ProbePlan
    from reasoning_cli.operations.doctor.live.report import Judged, LiveReport

_STYLES = {Verdict.HOLDS: "good", Verdict.FAILS: "bad", Verdict.OPEN: "warning"}
_SAID = {Verdict.HOLDS: "hold", Verdict.FAILS: "do not hold", Verdict.OPEN: "are not settled"}
_SHOWN_DEVIATIONS = 12


def run_live(session: Session, fmt: Format, *, spend: str | None, output: Path | None, yes: bool) -> None:
    """Read, with `spend` deploy for some minutes, and report. What was made and not seen stopped is an error."""
    from reasoning_cli.operations.doctor.live.bill import read_bill
    from reasoning_cli.operations.doctor.live.evidence import Billed, Evidence
    from reasoning_cli.operations.doctor.live.report import make_report, report_record
    from reasoning_cli.store.service_facts import ServiceFacts
    from reasoning_cli.terminal.progress import waiting

    terminal = session.terminal
    usd = typed(parse_usd, spend, "--spend 2") if spend is not None else None
    plan = _ask(session, usd, yes=yes) if usd is not None else None
    with waiting(terminal, "asking Together everything that can be read"):
        reads = session.client.read_everything()
    probe, unstopped = _probe(session, plan) if plan is not None else (None, None)
    if probe is not None:
        ServiceFacts(session.store).add_probe(reads.at, __version__, probe.measured.record())
    measured = probe.measured if probe is not None else _last_probe(session)
    billed = Billed()
    if measured is not None and unstopped is None:
        billed = read_bill(session.client, measured, session.client.now())
    report = make_report(
        session.store, reads, Evidence(reads, measured, billed), measured=probe.measured if probe else None
    )
    record = report_record(report)
    if fmt is Format.JSON:
        terminal.json(record)
    else:
        terminal.show(_listing(report.judged), fmt)
    if fmt is Format.TABLE:
        _show_below(session, report, measured)
    try:
        path = _write(record, reads, output)
    except DataError as problem:
        if unstopped is None:
            raise
        terminal.warn(problem.message)
    else:
        terminal.note(f"The report is {path}: it names no key, account, endpoint, person or prompt.")
    if unstopped is not None:
        raise unstopped
    if probe is not None and probe.problem is not None:
        _end_of(session, probe)


def _ask(session: Session, usd: Decimal, *, yes: bool) -> ProbePlan:
    """The plan, shown and agreed to."""
    from reasoning_cli.operations.doctor.live.probe import IDLE_MINUTES, plan_probe

    plan = plan_probe(session.client, session.store, session.limits, usd)
    price = plan.hardware.price_cents_per_hour
    left_out = f"left out: it needs {IDLE_MINUTES} minutes without a request, `--spend {_dollars(plan.idle_cents)}`"
    facts = [
        ("deploys", f"{plan.model.name} on {plan.hardware.name}, {money(price)} an hour, the cheapest that has room"),
        ("cap", f"{money(plan.spend_cents)}: stopped after {duration(plan.lasts)} at the latest, cold start included"),
        ("not known", f"whether there is a minimum charge; one of an hour would be {money(price)}"),
        ("idle stop", "is waited for" if plan.tests_idle else left_out),
        ("at the end", "it is stopped, seen stopped, and deleted; on Ctrl-C and on errors too"),
    ]
    ask_about(session.terminal, facts, f"Spend up to {money(plan.spend_cents)} at Together?", yes=yes)
    return plan


def _dollars(cents: int) -> str:
    return f"{-(-cents // 10) / 10:.2f}"


def _probe(session: Session, plan: ProbePlan) -> tuple[Probe, ReasoningError | None]:
    """The probe once it is over, and the error when it was not seen stopped."""
    from reasoning_cli.operations.doctor.live.probe import Probe
    from reasoning_cli.terminal.progress import waiting

    with waiting(session.terminal, "deploying") as shown:
        probe = Probe(session.client, session.store, plan, session.poll_seconds, session.sleep, shown.show)
        try:
            probe.run()
        except ReasoningError as unstopped:
            return probe, unstopped
    return probe, None


def _end_of(session: Session, probe: Probe) -> None:
    """A probe that ended before its time: what it had found is in the report, and what it made is gone."""
    if isinstance(probe.problem, KeyboardInterrupt):
        session.terminal.note("Interrupted: what was deployed is seen stopped.")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if probe.problem is not None:
        raise probe.problem


def _last_probe(session: Session) -> Measured | None:
    """What a probe of before measured, whose bill may be there by now: the newest that came so far."""
    from reasoning_cli.operations.doctor.live.evidence import Measured
    from reasoning_cli.store.service_facts import ServiceFacts

    probes = [Measured.of(probe.measured) for probe in ServiceFacts(session.store).probes()]
    return next((each for each in (*(each for each in probes if each.gone_at is not None), *probes)), None)


def _write(record: dict[str, object], reads: Reads, output: Path | None) -> Path:
    path = output or Path(f"reasoning-live-{reads.at:%Y%m%d-%H%M%S}.json")
    try:
        with replacing(path) as file:
            file.write(f"{to_json(record)}\n".encode())
    except OSError as error:
        raise DataError(
            f"the report cannot be written to `{path}`: {error.strerror}", "name another: `-o FILE`"
        ) from None
    return path


def _listing(judged: Sequence[Judged]) -> Listing[Judged]:
    columns: list[Column[Judged]] = [
        Column("name", lambda judged: judged.fact.name),
        Column(
            "verdict",
            lambda judged: judged.finding.verdict.value,
            "VERDICT",
            kind=Kind.STATE,
            style=lambda judged: _STYLES[judged.finding.verdict],
        ),
        Column("assumed", lambda judged: judged.fact.assumed, "ASSUMED", gives_way=True, prose=True),
        Column("why", lambda judged: judged.finding.why, "SEEN", priority=2, prose=True),
        Column("depends", lambda judged: judged.fact.depends),
        Column("value", lambda judged: judged.finding.value),
        Column("settled_at", lambda judged: judged.at),
        Column("settled_by", lambda judged: judged.version),
    ]
    return Listing(columns, judged, id=lambda judged: judged.fact.name)


def _show_below(session: Session, report: LiveReport, measured: Measured | None) -> None:
    terminal = session.terminal
    terminal.print()
    sums = ", ".join(f"{report.count(item)} {_SAID[item]}" for item in Verdict if report.count(item))
    routes = counted(len(report.answered), "route")
    terminal.say(
        f"{counted(len(report.judged), 'fact')}: {sums}. {routes} asked, {len(report.differing)} not as documented."
    )
    for item in report.judged:
        if item.finding.verdict is Verdict.FAILS:
            terminal.say(f"  {item.fact.name}: {item.finding.why}. On it depends {item.fact.depends}.")
    reasons = Counter(item.finding.why for item in report.judged if item.finding.verdict is Verdict.OPEN)
    for why, count in reasons.items():
        terminal.say(f"  {count} not settled: {why}.")
    lines = [
        f"{answered.route}: {deviation.kind} `{deviation.member}`{f' ({deviation.found})' if deviation.found else ''}"
        for answered in report.differing
        for deviation in answered.deviations
    ]
    lines += [f"{answered.route}: {item}" for answered in report.differing for item in answered.unreadable]
    for line in lines[:_SHOWN_DEVIATIONS]:
        terminal.say(f"  {line}")
    if len(lines) > _SHOWN_DEVIATIONS:
        terminal.say(f"  and {len(lines) - _SHOWN_DEVIATIONS} more in the report")
    if measured is None:
        terminal.hint("what a deployment of its own settles: `reasoning doctor --live --spend 2`")
