"""What the program assumes of the service and nobody outside could check, one object a fact.

Each says what is assumed, what depends on it, and judges by what was seen: it holds, it does not, or (None) that is not
settled. A fact says nothing of another, and guesses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from reasoning_cli.operations.doctor.live.evidence import Billed, Evidence, Measured

EVENT_DAYS = 30  # that the ledger may have to look back
ANALYTICS_SECONDS = 60.0
_NO_PROBE = "needs a deployment of its own: `--spend 2`"
_MINUTE = 60.0
_HOUR = timedelta(hours=1)


class Verdict(StrEnum):
    """What became of an assumption."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "not settled"


@dataclass(frozen=True)
class Finding:
    """A verdict, what was found (a plain value), and in words why."""

    verdict: Verdict
    value: object = None
    why: str = ""


@dataclass(frozen=True)
class Fact:
    """One thing that only the live service can tell."""

    name: str
    assumed: str
    depends: str
    judge: Callable[[Evidence], Finding]


def _settled(holds: bool, value: object, why: str) -> Finding:
    return Finding(Verdict.HOLDS if holds else Verdict.FAILS, value, why)


def _open(why: str) -> Finding:
    return Finding(Verdict.OPEN, None, why)


def _unmeasured(seen: Evidence, why: str = "the probe did not come so far") -> Finding:
    """Not settled: for want of a probe, or (`why`) because that does not tell."""
    return _open(_NO_PROBE if seen.measured is None else why)


def _comma_arrays(seen: Evidence) -> Finding:
    found = (seen.reads and seen.reads.arrays) or (seen.measured and seen.measured.arrays)
    if not found:
        return _open("needs an endpoint that has events of two kinds")
    return _settled(found in ("comma", "both"), found, f"two types asked for at once were understood as: {found}")


def _event_days(seen: Evidence) -> Finding:
    feeds = seen.reads.feeds if seen.reads else ()
    enough = timedelta(days=EVENT_DAYS)
    for feed in feeds:
        if not feed.has_beginning and (feed.oldest is None or feed.oldest < enough) and feed.age > _HOUR:
            days = feed.oldest.days if feed.oldest is not None else 0
            return _settled(False, days, f"an endpoint {feed.age.days} days old has events of the last {days} days")
    longest = max((feed.oldest for feed in feeds if feed.oldest is not None), default=timedelta())
    if longest >= enough:
        return _settled(True, longest.days, f"events {longest.days} days old are there")
    return _open(f"no endpoint is {EVENT_DAYS} days old; nothing was missing so far")


def _unique_endpoints(seen: Evidence) -> Finding:
    if seen.reads is not None and seen.reads.twins:
        return _settled(False, False, "two endpoints of this project have one name")
    if seen.measured is None or seen.measured.twin_taken is None:
        return _unmeasured(seen)
    taken = seen.measured.twin_taken
    return _settled(not taken, not taken, f"a second endpoint of one name was {'made' if taken else 'refused'}")


def _routing(seen: Evidence) -> Finding:
    if seen.measured is None or seen.measured.routed is None:
        return _unmeasured(seen)
    routed = seen.measured.routed
    return _settled(not routed, routed, f"the first deployment was {'' if routed else 'not '}routed by itself")


def _empty_split(seen: Evidence) -> Finding:
    if seen.measured is None or seen.measured.empty_split is None:
        return _unmeasured(seen)
    taken = seen.measured.empty_split
    return _settled(taken, taken, f"an empty split was {'accepted' if taken else 'refused'}")


def _scaled_counts(seen: Evidence) -> Finding:
    counts_ready = seen.measured.counts_ready if seen.measured else None
    if counts_ready is None:
        return _unmeasured(seen, "no event told of its replica")
    counted = "ready" if counts_ready else "desired"
    when = "while it became ready" if counts_ready else "before it was ready"
    return _settled(counts_ready, counted, f"the event of the first replica came {when}")


def _idle_stop(seen: Evidence) -> Finding:
    if seen.measured is None or seen.measured.idle_stop is None:
        return _open("needs half an hour without requests: spend more, as the plan of `--spend` says")
    found = seen.measured.idle_stop
    seconds = seen.measured.idle_seconds
    if found == "none":
        return _settled(
            False, found, "30 minutes after the last request, while it was looked at, nothing had stopped it"
        )
    since = "the last request" if found == "requests" else "it became ready, whatever was asked"
    return _settled(found == "requests", found, f"it was stopped {seconds:.0f} s after {since}")


def _analytics(seen: Evidence) -> Finding:
    if seen.measured is None or seen.measured.analytics_waited_seconds is None:
        return _unmeasured(seen)
    seconds, waited = seen.measured.analytics_seconds, seen.measured.analytics_waited_seconds
    if seconds is None:
        if waited < ANALYTICS_SECONDS:
            return _open(f"nothing was counted within {waited:.0f} s, and there was no more time")
        return _settled(False, None, f"a request was not counted within {waited:.0f} s")
    return _settled(seconds <= ANALYTICS_SECONDS, round(seconds), f"a request was counted after {seconds:.0f} s")


def _upload_checks(seen: Evidence) -> Finding:
    if seen.measured is None or seen.measured.upload_checks is None:
        return _unmeasured(seen, "the file was refused")
    checks = seen.measured.upload_checks
    return _settled(
        not checks, checks, f"the check of an uploaded file {'began' if checks else 'did not begin'} by itself"
    )


def _long_samples(seen: Evidence) -> Finding:
    if seen.measured is None or seen.measured.long_samples is None:
        return _unmeasured(seen, "no preview was given")
    found = seen.measured.long_samples
    return _settled(
        found == "cut", found, f"a sample longer than the model takes was {found}, by the service's preview"
    )


# --- what the bill says ---


def _of_bill(judge: Callable[[Measured, Billed], Finding]) -> Callable[[Evidence], Finding]:
    """A fact that needs a probe, and its bill."""

    def judged(seen: Evidence) -> Finding:
        if seen.measured is None:
            return _open(_NO_PROBE)
        if seen.billed.seconds is None or seen.billed.cents_per_hour is None:
            return _open(seen.billed.why)
        return judge(seen.measured, seen.billed)

    return judged


def _billed_price(measured: Measured, billed: Billed) -> Finding:
    assert billed.cents_per_hour is not None
    shown = measured.price_cents_per_hour
    same = abs(billed.cents_per_hour - shown) * 200 <= shown
    dollars = f"${billed.cents_per_hour / 100:.2f}"
    return _settled(same, f"{billed.cents_per_hour:.2f}", f"{dollars} an hour is billed, ${shown / 100:.2f} shown")


@dataclass(frozen=True)
class _Reading:
    """One way to read a bill: how minutes are rounded, and whether the cold start is in it."""

    rounding: str
    with_start: bool
    low: float
    high: float


def _readings(measured: Measured) -> Iterator[_Reading]:
    ready, start = measured.ready_seconds, measured.start_seconds
    if ready is None or start is None:
        return
    for with_start in (False, True):
        low, high = (item + (more if with_start else 0) for item, more in zip(ready, start, strict=True))
        yield _Reading("exact", with_start, low - 2, high + 2)
        yield _Reading("up", with_start, -(-low // _MINUTE) * _MINUTE, -(-high // _MINUTE) * _MINUTE)
        yield _Reading("down", with_start, low // _MINUTE * _MINUTE, high // _MINUTE * _MINUTE)


def _matching(measured: Measured, billed: Billed) -> list[_Reading]:
    """The ways to read the bill that fit; several where the time was close to whole minutes."""
    seconds = float(billed.seconds or 0)
    return [reading for reading in _readings(measured) if reading.low - 0.5 <= seconds <= reading.high + 0.5]


def _both(measured: Measured, billed: Billed) -> str:
    ready = measured.ready_seconds or (0.0, 0.0)
    return f"{float(billed.seconds or 0):.0f} s are billed, {ready[0]:.0f} to {ready[1]:.0f} s it was ready"


def _cold_start(measured: Measured, billed: Billed) -> Finding:
    ways = {way.with_start for way in _matching(measured, billed)}
    if len(ways) != 1:
        return _open(f"the bill can be read in {'several ways' if ways else 'no known way'}: {_both(measured, billed)}")
    counted = ways == {True}
    return _settled(not counted, counted, f"the cold start is {'' if counted else 'not '}in the bill")


def _rounding(measured: Measured, billed: Billed) -> Finding:
    ways = {way.rounding for way in _matching(measured, billed)}
    if len(ways) != 1:
        return _open(f"the bill can be read in {'several ways' if ways else 'no known way'}: {_both(measured, billed)}")
    (way,) = ways
    return _settled(way == "exact", way, _both(measured, billed))


def _minimum(measured: Measured, billed: Billed) -> Finding:
    ways = list(_readings(measured))
    if not ways:
        return _open("nobody knows how long it was ready")
    seconds = float(billed.seconds or 0)
    if _matching(measured, billed):
        return _settled(True, 0, f"no minimum above {seconds:.0f} s: {_both(measured, billed)}")
    if seconds > max(way.high for way in ways):
        return _settled(False, round(seconds), f"more is billed than any time of it: {_both(measured, billed)}")
    return _open(f"the bill can be read in no known way: {_both(measured, billed)}")


FACTS: tuple[Fact, ...] = (
    Fact(
        "comma_arrays",
        "a list in a query is one value with commas",
        "which events the ledger reads to know when replicas changed",
        _comma_arrays,
    ),
    Fact(
        "event_days",
        f"events can be read for {EVENT_DAYS} days at least",
        "how exact the ledger is where nobody looked for a while",
        _event_days,
    ),
    Fact(
        "unique_endpoints",
        "a project has no two endpoints of one name",
        "whether a deploy that lost its answer may look for what it made by name",
        _unique_endpoints,
    ),
    Fact(
        "first_not_routed",
        "the first deployment gets no traffic until the split is set",
        "nothing that breaks: the split is read back, and set where the deployment is not in it",
        _routing,
    ),
    Fact(
        "empty_split",
        "an empty traffic split is accepted",
        "whether `models undeploy` can delete what it stopped; a stop does not need it",
        _empty_split,
    ),
    Fact(
        "scaled_counts_ready",
        "`newReplicas` of an event counts replicas that are ready",
        "whether an event tells the ledger when the bill began",
        _scaled_counts,
    ),
    Fact(
        "idle_stop",
        "the idle time is counted from the last request, and looking at a deployment is none",
        "when Together stops a model that nobody uses; the guard is the second line",
        _idle_stop,
    ),
    Fact(
        "analytics_delay",
        f"a request is counted within {ANALYTICS_SECONDS:.0f} s",
        "how soon the guard may call a model idle",
        _analytics,
    ),
    Fact(
        "upload_not_checked",
        "a file sent to /v1/files/upload is not checked until that is asked for",
        "nothing yet: the program sends files the other way, and asks for the check",
        _upload_checks,
    ),
    Fact(
        "long_samples_cut",
        "a training sample longer than the model takes is cut",
        "what is trained on of samples that `data check` calls long",
        _long_samples,
    ),
    Fact(
        "billed_price",
        "the price the API shows is the price billed",
        "every figure in dollars",
        _of_bill(_billed_price),
    ),
    Fact("cold_start_free", "a cold start is not billed", "the ledger, which counts ready time", _of_bill(_cold_start)),
    Fact(
        "billing_exact",
        "ready time is billed as it is, not by whole minutes",
        "the ledger's figures: up to a minute for each start",
        _of_bill(_rounding),
    ),
    Fact("no_billing_minimum", "there is no minimum charge", "what a short run costs", _of_bill(_minimum)),
)
