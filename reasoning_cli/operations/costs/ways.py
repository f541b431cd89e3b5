"""Every way to have the decisions of a type answered, side by side at one traffic: what it costs a month, how much our
own answer, and what is proven of that. Pure.

A month is 730 hours. What is not known is None, and what is only assumed says so: nothing estimated passes for what was
measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import time
from decimal import Decimal
from enum import StrEnum

from reasoning_cli.values import Hours, head_training

HOURS_A_DAY = 24
HOURS_A_MONTH = Decimal(730)
_ALL, _NONE = Decimal(1), Decimal(0)


class Kind(StrEnum):
    """Who answers."""

    BASELINE = "baseline"
    HEAD = "head"  # what it is sure of; the baseline the rest
    GPU_HOURS = "gpu_hours"  # a GPU in the hours in which it pays, behind the head where there is one
    OWN_SERVER = "own_server"  # on this machine
    SERVERLESS = "serverless"  # somebody else's server, by the token
    GPU = "gpu"  # a GPU at all hours


@dataclass(frozen=True)
class Load:
    """Decisions in each of the 24 hours of a day, on average, the first from midnight where the operator lives."""

    by_hour: tuple[Decimal, ...]

    @classmethod
    def even(cls, decisions_per_hour: Decimal) -> Load:
        """As many in each hour."""
        return cls((decisions_per_hour,) * HOURS_A_DAY)

    @property
    def a_day(self) -> Decimal:
        return sum(self.by_hour, _NONE)


@dataclass(frozen=True)
class Speed:
    """Milliseconds within which half and 95 % of the answers in the log came."""

    p50_ms: int
    p95_ms: int


@dataclass(frozen=True)
class Proof:
    """What is known of a model of ours. `passes`: it meets the gate; `at_most` is the share, 0 to 1, in which it
    disagrees at most, None where that was not measured; `next` is the command that brings it further."""

    passes: bool = False
    at_most: Decimal | None = None
    next: str = ""


@dataclass(frozen=True)
class Baseline:
    """The original provider's model. None where nobody knows what a decision costs there."""

    model: str
    cents_per_decision: Decimal | None
    speed: Speed | None = None


@dataclass(frozen=True)
class ProvenHead:
    """A head: the share of decisions it is sure of, how often it disagrees at most, and the share of its own that the
    baseline answers all the same, to audit it. `in_line`: it answers now; then `share_is_measured` on this traffic, and
    `speed` is that of all that answered. `is_out`: its audits took it out. `next` is the command that brings it in."""

    model: str
    share: Decimal
    at_most: Decimal | None
    audited: Decimal
    in_line: bool = False
    share_is_measured: bool = False
    speed: Speed | None = None
    is_out: bool = False
    next: str = ""

    @property
    def answers(self) -> Decimal:
        return self.share * (_ALL - self.audited)


@dataclass(frozen=True)
class Gpu:
    """A deployment, with the replicas it runs on. `answers` is the share of what it was asked that it answered, None
    where the log has no such answer; `hours` are those it is scheduled for. `stopped`: it is there and off."""

    cents_per_hour: int
    proof: Proof = Proof()
    answers: Decimal | None = None
    speed: Speed | None = None
    running: bool = False
    stopped: bool = False
    live: bool = False
    hours: Hours | None = None


@dataclass(frozen=True)
class Server:
    """A server that is not Together's; `cents_per_decision` None where its tokens have no price."""

    model: str
    cents_per_decision: Decimal | None
    proof: Proof = Proof()
    answers: Decimal | None = None
    speed: Speed | None = None
    live: bool = False


@dataclass(frozen=True)
class Way:
    """One way. `share` of the decisions our own answer (0 to 1), where `share_is_measured` on this traffic; `at_most`
    is how often those disagree at most; `hours_up` a day something is paid for by the hour, in `hours`, None: all or
    none. `passes`: it needs no proof, or has it; `is_let`: its model answers already, whatever it has proven. `is_now`:
    it is what answers today. `next` is the command that leads there, or to its proof; `lacks` is why there is no
    price."""

    kind: Kind
    name: str
    cents_a_month: Decimal | None = None
    share: Decimal | None = None
    share_is_measured: bool = False
    at_most: Decimal | None = None
    speed: Speed | None = None
    hours_up: int | None = None
    hours: Hours | None = None
    passes: bool = False
    is_let: bool = False
    is_now: bool = False
    next: str = ""
    lacks: str = ""


@dataclass(frozen=True)
class Known:
    """All that the ways of one type are computed from; None is not there. `name` is the type's, as it is typed;
    `heads`: a head can decide it."""

    name: str
    load: Load
    baseline: Baseline | None
    head: ProvenHead | None = None
    gpu: Gpu | None = None
    server: Server | None = None
    serverless: Server | None = None
    heads: bool = False


def ways(known: Known) -> list[Way]:
    """Each way at this load, in the order in which they are to be thought of."""
    found = [_baseline(known)]
    if known.heads:
        found.append(_head(known))
    found += [
        _gpu_in_its_hours(known),
        _server(known, Kind.OWN_SERVER, "own server", known.server),
        _server(known, Kind.SERVERLESS, "serverless, by the token", known.serverless),
        _gpu(known),
    ]
    return found


def cheapest(found: Sequence[Way]) -> Way | None:
    """The cheapest that may answer, as it needs no proof, has it, or is let. What answers now wins a tie, then what
    comes first."""
    known = [way for way in found if (way.passes or way.is_let) and way.cents_a_month is not None]
    return min(known, key=lambda way: (way.cents_a_month, not way.is_now), default=None)


def cheaper_unproven(found: Sequence[Way]) -> Way | None:
    """The cheapest that would cost less than `cheapest`, and has not proven that it may."""
    best = cheapest(found)
    if best is None or best.cents_a_month is None:
        return None
    others = [
        way
        for way in found
        if not (way.passes or way.is_let) and way.cents_a_month is not None and way.cents_a_month < best.cents_a_month
    ]
    return min(others, key=lambda way: way.cents_a_month or _NONE, default=None)


def _a_month(cents_a_day: Decimal) -> Decimal:
    return cents_a_day * HOURS_A_MONTH / HOURS_A_DAY


def _price(known: Known) -> Decimal | None:
    return known.baseline.cents_per_decision if known.baseline is not None else None


def _at_baseline(known: Known, decisions: Decimal) -> Decimal | None:
    """Cents for decisions that the baseline answers; none cost nothing, whatever its price."""
    if not decisions:
        return _NONE
    price = _price(known)
    return None if price is None else decisions * price


def _baseline(known: Known) -> Way:
    cents = _at_baseline(known, known.load.a_day)
    now = not (
        (known.head is not None and known.head.in_line)
        or (known.gpu is not None and known.gpu.running)
        or any(server is not None and server.live for server in (known.server, known.serverless))
    )
    return Way(
        Kind.BASELINE,
        "baseline",
        None if cents is None else _a_month(cents),
        share=_NONE,
        share_is_measured=True,
        speed=known.baseline.speed if known.baseline is not None else None,
        hours_up=0,
        passes=True,
        is_now=now,
        next=_back(known),
        lacks=_why_no_baseline(known),
    )


def _back(known: Known) -> str:
    """The command that lets the baseline answer."""
    if known.gpu is not None and known.gpu.running:
        return f"reasoning models stop {known.name}"
    if known.head is not None and known.head.in_line:
        return f"reasoning models disable {known.head.model}"
    return f"reasoning models disable {known.name}"


def _why_no_baseline(known: Known) -> str:
    if known.baseline is None:
        return "the log holds no answer of the original provider"
    if known.baseline.cents_per_decision is None:
        return f"{known.baseline.model} has no price: `reasoning costs prices --edit`"
    return ""


def _head(known: Known) -> Way:
    head = known.head
    if head is None:
        return Way(
            Kind.HEAD,
            "head, then baseline",
            lacks=f"none is trained: `{_train(known)}`",
            next=_train(known),
        )
    cents = _at_baseline(known, known.load.a_day * (_ALL - head.answers))
    return Way(
        Kind.HEAD,
        "head, then baseline",
        None if cents is None else _a_month(cents),
        share=head.answers,
        share_is_measured=head.share_is_measured,
        at_most=head.at_most,
        speed=head.speed,
        hours_up=0,
        passes=not head.is_out,
        is_now=head.in_line and not (known.gpu is not None and known.gpu.running),
        next=_train(known) if head.is_out else head.next,
        lacks=_why_no_baseline(known),
    )


def _train(known: Known) -> str:
    return head_training()


def _gpu_in_its_hours(known: Known) -> Way:
    """The GPU in the span of a day in which it costs less than the baseline for what the head leaves."""
    gpu, price = known.gpu, _price(known)
    name = "head, then GPU in its hours" if known.head is not None else "GPU in its hours"
    if gpu is None or price is None:
        lacks = _why_no_baseline(known) if gpu is not None else _no_gpu(known)
        return Way(Kind.GPU_HOURS, name, lacks=lacks, next=_deploy(known))
    span = _paying_span(known, gpu, price)
    way = Way(
        Kind.GPU_HOURS,
        name,
        _a_month(span.cents_a_day),
        share=span.share,
        share_is_measured=_head_is_measured(known) and (not span.length or gpu.answers is not None),
        at_most=_higher(known.head, gpu if span.length else None),
        hours_up=span.length,
        hours=span.hours,
        is_now=gpu.running and gpu.hours is not None,
        next=_to_hours(known, gpu, span.hours),
    )
    if not span.length:
        return replace(way, lacks="a GPU pays in no hour of the day")
    if known.head is not None and known.head.is_out:
        return way
    if known.head is not None and not known.head.in_line:
        way = replace(way, next=_head(known).next)
    return replace(way, passes=gpu.proof.passes, is_let=gpu.running and gpu.live)


@dataclass(frozen=True)
class _Span:
    """The hours a GPU is up: how many, which (None: all or none), what the day costs, and what share ours answer."""

    length: int
    hours: Hours | None
    cents_a_day: Decimal
    share: Decimal


def _paying_span(known: Known, gpu: Gpu, price: Decimal) -> _Span:
    by_head = known.head.answers if known.head is not None else _NONE
    left, answers = _ALL - by_head, _ALL if gpu.answers is None else gpu.answers
    saved = [decisions * left * answers * price - gpu.cents_per_hour for decisions in known.load.by_hour]
    begin, length = _best_span(saved)
    in_span = [(begin + step) % HOURS_A_DAY for step in range(length)]
    by_gpu = sum((known.load.by_hour[hour] for hour in in_span), _NONE) * left * answers
    return _Span(
        length,
        Hours(time(begin), time((begin + length) % HOURS_A_DAY)) if 0 < length < HOURS_A_DAY else None,
        known.load.a_day * left * price - sum((saved[hour] for hour in in_span), _NONE),
        by_head + (by_gpu / known.load.a_day if by_gpu else _NONE),
    )


def _head_is_measured(known: Known) -> bool:
    return known.head is None or known.head.share_is_measured


def _higher(head: ProvenHead | None, gpu: Gpu | None) -> Decimal | None:
    """How often what both answer disagrees at most: the higher bound of the two. None where one is not measured."""
    bounds = [*([head.at_most] if head is not None else []), *([gpu.proof.at_most] if gpu is not None else [])]
    known = [bound for bound in bounds if bound is not None]
    return max(known) if known and len(known) == len(bounds) else None


def _best_span(saved: Sequence[Decimal]) -> tuple[int, int]:
    """(first hour, how many) of the run of hours that saves most, also over midnight; (0, 0) where none saves."""
    best = (_NONE, 0, 0)
    for begin in range(HOURS_A_DAY):
        total = _NONE
        for length in range(1, HOURS_A_DAY + 1):
            total += saved[(begin + length - 1) % HOURS_A_DAY]
            if total > best[0]:
                best = (total, begin, length)
    return (0, HOURS_A_DAY) if best[2] == HOURS_A_DAY else best[1:]


def _server(known: Known, kind: Kind, name: str, server: Server | None) -> Way:
    if server is None:
        place = "http://127.0.0.1:8080/v1" if kind is Kind.OWN_SERVER else "URL"
        unset = f"reasoning config set {known.name.replace('-', '_')}.provider_url {place}"
        return Way(kind, name, lacks=f"none is set: `{unset}`", next=unset)
    answers = _ALL if server.answers is None else server.answers
    rest = _at_baseline(known, known.load.a_day * (_ALL - answers))
    each = server.cents_per_decision
    priced = f"reasoning config set {known.name.replace('-', '_')}.token_price IN/OUT"
    lacks = f"{server.model} has no price: `{priced}`" if each is None and known.baseline is not None else ""
    return Way(
        kind,
        name,
        None if each is None or rest is None else _a_month(known.load.a_day * each + rest),
        share=answers,
        share_is_measured=server.answers is not None,
        at_most=server.proof.at_most,
        speed=server.speed,
        passes=server.proof.passes,
        is_let=server.live,
        is_now=server.live,
        next=f"reasoning train promote {known.name} --to {server.model}" if server.proof.passes else server.proof.next,
        lacks=lacks or ("" if each is not None and rest is not None else _why_no_baseline(known)),
    )


def _gpu(known: Known) -> Way:
    gpu = known.gpu
    if gpu is None:
        return Way(Kind.GPU, "GPU at all hours", lacks=_no_gpu(known), next=_deploy(known))
    answers = _ALL if gpu.answers is None else gpu.answers
    rest = _at_baseline(known, known.load.a_day * (_ALL - answers))
    return Way(
        Kind.GPU,
        "GPU at all hours",
        None if rest is None else _a_month(gpu.cents_per_hour * Decimal(HOURS_A_DAY) + rest),
        share=answers,
        share_is_measured=gpu.answers is not None,
        at_most=gpu.proof.at_most,
        speed=gpu.speed,
        hours_up=HOURS_A_DAY,
        passes=gpu.proof.passes,
        is_let=gpu.running and gpu.live,
        is_now=gpu.running and gpu.hours is None,
        next=_to_hours(known, gpu, None),
        lacks="" if rest is not None else _why_no_baseline(known),
    )


def _no_gpu(known: Known) -> str:
    return f"never deployed; its price: `reasoning models deploy {known.name} --dry-run`"


def _deploy(known: Known) -> str:
    return f"reasoning models deploy {known.name} --dry-run"


def _to_hours(known: Known, gpu: Gpu, hours: Hours | None) -> str:
    """The command that leads to a GPU in those hours, by what is missing for it first."""
    if not (gpu.proof.passes or (gpu.running and gpu.live)):
        return gpu.proof.next
    if not gpu.running:
        return f"reasoning models {'start' if gpu.stopped else 'deploy'} {known.name}"
    if hours != gpu.hours:
        return f"reasoning costs schedule {known.name} {hours or 'none'}"
    return f"reasoning models enable {known.name} --mode live"
