"""What the ways of each type are computed from: the log's traffic and speeds, prices, deployments, heads, servers, and
what each has proven. Read from store and settings; nobody is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError, ReasoningError
from reasoning_cli.operations.costs.breakeven import DAY, LOOK_BACK, Comparison, Original, compare, deployment_of
from reasoning_cli.operations.costs.token_prices import TokenPrice
from reasoning_cli.operations.costs.ways import (
    HOURS_A_DAY,
    Baseline,
    Gpu,
    Known,
    Load,
    Proof,
    ProvenHead,
    Server,
    Speed,
    Way,
    ways,
)
from reasoning_cli.operations.deploy.own_server import OwnServer, own_server
from reasoning_cli.operations.deploy.slots import HEAD_PLACE, HEAD_TYPE
from reasoning_cli.operations.evaluate.gate_rules import Gate, read_gate
from reasoning_cli.operations.promote.evidence import find_evidence, of_head, of_undeployed
from reasoning_cli.operations.promote.gate import Criterion, Evidence, judge
from reasoning_cli.operations.promote.plan import Candidate, PromoteRequest, find_candidate
from reasoning_cli.settings import Setting, Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord
from reasoning_cli.store.serving.heads import Heads
from reasoning_cli.store.serving.measured import Measured, decisions_by_hour, measured
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import HEAD_PREFIX, MIN_PRICED_DECISIONS, MODEL_TYPES, Mode, spell_model_type

HEAD_METHOD = "head"


@dataclass(frozen=True)
class Asked:
    """What the comparison is of: the log since then, or so many decisions an hour, of so many tokens in and out at a
    model of the original's, beside a GPU of that price and a model by the token; None where log and settings tell."""

    since: datetime | None = None
    decisions_per_hour: Decimal | None = None
    tokens: tuple[int, int] | None = None
    baseline: str | None = None
    gpu_cents_per_hour: int | None = None
    serverless: str | None = None


@dataclass(frozen=True)
class SideBySide:
    """One type: when its model pays, and every way beside the others. `is_assumed`: the traffic is not the log's."""

    comparison: Comparison
    known: Known
    ways: tuple[Way, ...]
    is_assumed: bool = False

    @property
    def model_type(self) -> str:
        return self.comparison.model_type


def side_by_side(
    store: Store,
    settings: Settings,
    prices: Mapping[str, TokenPrice],
    now: datetime,
    asked: Asked = Asked(),  # frozen
    only: str | None = None,
) -> list[SideBySide]:
    """Each type with decisions or a deployment, or the one that is asked about."""
    since = asked.since or now - DAY
    found = {comparison.model_type: comparison for comparison in compare(store, prices, now, since)}
    assumed = asked.decisions_per_hour is not None
    if assumed and only is not None and only not in found:
        found[only] = Comparison(only, 0, False, None, None, span=now - since)
    return [
        _of_type(store, settings, prices, found[model_type], asked, since, now)
        for model_type in MODEL_TYPES
        if model_type in found and only in (None, model_type)
    ]


def _of_type(
    store: Store,
    settings: Settings,
    prices: Mapping[str, TokenPrice],
    comparison: Comparison,
    asked: Asked,
    since: datetime,
    now: datetime,
) -> SideBySide:
    model_type = comparison.model_type
    comparison = _as_asked(comparison, asked, prices)
    load = (
        Load.even(asked.decisions_per_hour)
        if asked.decisions_per_hour is not None
        else _load(store, model_type, since, now)
    )
    record = deployment_of(store, model_type)
    gpu = None if record is None else _gpu(store, settings, comparison, record, now)
    server = _own_server(settings, model_type)
    served = None if server is None else _server(store, settings, comparison, prices, server, now)
    here = server is not None and server.is_here
    known = Known(
        name=spell_model_type(model_type),
        load=load,
        baseline=_baseline(store, comparison, since, now),
        head=_head(store, settings, model_type, since, now),
        gpu=gpu if asked.gpu_cents_per_hour is None else _assumed_gpu(model_type, asked.gpu_cents_per_hour),
        server=served if here else None,
        serverless=(None if here else served)
        if asked.serverless is None
        else _assumed_server(comparison, prices, asked.serverless),
        heads=model_type == HEAD_TYPE,
    )
    return SideBySide(comparison, known, tuple(ways(known)), asked.decisions_per_hour is not None)


def _own_server(settings: Settings, model_type: str) -> OwnServer | None:
    """The slot's server; none where its settings make no sense, which `doctor` says."""
    try:
        return own_server(settings, model_type)
    except ConfigurationError:
        return None


def _as_asked(comparison: Comparison, asked: Asked, prices: Mapping[str, TokenPrice]) -> Comparison:
    """The comparison at the traffic, the tokens and the model that were typed."""
    original = comparison.original
    if asked.decisions_per_hour is not None:
        comparison = replace(comparison, decisions=round(asked.decisions_per_hour * HOURS_A_DAY), span=DAY, busy=None)
    if asked.gpu_cents_per_hour is not None:
        comparison = replace(comparison, cents_per_hour=asked.gpu_cents_per_hour, running=False)
    model = asked.baseline or (original.model if original is not None else None)
    if model is None or (asked.tokens is None and original is None):
        return comparison
    return replace(comparison, original=_original(comparison, asked, model, prices))


def _original(comparison: Comparison, asked: Asked, model: str, prices: Mapping[str, TokenPrice]) -> Original:
    known = comparison.original or Original(model, 0, 0, Decimal(0), Decimal(0), None)
    if asked.baseline is not None:
        known = replace(known, model=model, price=prices.get(model))
    if asked.tokens is not None:
        prompt, completion = map(Decimal, asked.tokens)
        known = replace(
            known, prompt_tokens=prompt, completion_tokens=completion, cached_tokens=Decimal(0), estimated=0
        )
    return known


def _load(store: Store, model_type: str, since: datetime, now: datetime) -> Load:
    """The hours of the days since then, one on top of the other; of less than a day its mean in each."""
    counts = [Decimal(0)] * HOURS_A_DAY
    for hour, count in decisions_by_hour(store, model_type, since, now):
        counts[hour.astimezone().hour] += count
    days = Decimal((now - since) // timedelta(seconds=1)) / int(DAY.total_seconds())
    if days < 1:
        return Load.even(sum(counts, Decimal(0)) / days / HOURS_A_DAY)
    return Load(tuple(count / days for count in counts))


def _baseline(store: Store, comparison: Comparison, since: datetime, now: datetime) -> Baseline | None:
    original = comparison.original
    if original is None:
        return None
    found = measured(store, comparison.model_type, since, now, source="original", model=original.model)
    return Baseline(original.model, original.cents_per_decision, _speed(found))


def _head(store: Store, settings: Settings, model_type: str, since: datetime, now: datetime) -> ProvenHead | None:
    """The head in line, else the newest that has proven something. What one in line answered is measured where it was
    there all the time."""
    if model_type != HEAD_TYPE:
        return None
    proven = {run.model_name: run.plan for run in TrainingRuns(store).all(model_type) if _has_proven(run)}
    name = settings.get(s.HEAD) if HEAD_PLACE in (settings.get(s.LINE) or ()) else None
    model = f"{HEAD_PREFIX}{name}" if name else next(reversed(proven), None)
    if model is None:
        return None
    audited = Decimal(settings.get(s.AUDIT_PERCENT)) / 100
    audits, plan = Heads(store).get(model), proven.get(model, {})
    is_out = audits is not None and audits.out_at is not None
    share, at_most = (_number(plan, what) for what in ("share", "at_most"))
    command = _next_of_head(store, settings, model, now)
    head = ProvenHead(model, share, at_most or None, audited, is_out=is_out, next=command)
    if name is None or is_out or audits is None or not _is_live(settings, model_type, s.HEAD_MODE):
        return head if head.share else None
    head = replace(head, in_line=True, speed=_speed(measured(store, model_type, since, now)))
    if audits.since <= since and (of := measured(store, model_type, since, now).answered):
        # What was audited is counted, not reckoned: of how much it was drawn may have changed meanwhile.
        answered = measured(store, model_type, since, now, source="slot", model=model).answered
        answered += Heads(store).withheld(model_type, model, since, now)
        head = replace(head, share=Decimal(answered) / of, share_is_measured=True)
    return head


def _next_of_head(store: Store, settings: Settings, model: str, now: datetime) -> str:
    """What comes first: an evaluation that meets the gate, then the promotion."""
    gate = read_gate(None, HEAD_TYPE)
    evidence = of_head(store, model, gate, now)
    criteria = judge(gate, evidence, HEAD_TYPE, model, settings.get(s.DEADLINE_MS[HEAD_TYPE]), now)
    proof = _proof_of(criteria)
    return proof.next or f"reasoning train promote {spell_model_type(HEAD_TYPE)} --to {model}"


def _has_proven(run: TrainingRun) -> bool:
    return run.method == HEAD_METHOD and run.stage == "done" and run.problem is None and bool(run.plan.get("share"))


def _number(plan: Mapping[str, object], name: str) -> Decimal:
    return Decimal(str(plan.get(name) or 0))


def _is_live(settings: Settings, model_type: str, mode: Setting[Mode]) -> bool:
    get = settings.get
    return get(s.GATEWAY_ENABLED) and get(s.ENABLED[model_type]) and get(mode) is Mode.LIVE


def _gpu(
    store: Store, settings: Settings, comparison: Comparison, record: DeploymentRecord, now: datetime
) -> Gpu | None:
    if comparison.cents_per_hour is None:
        return None
    model_type = comparison.model_type
    try:
        candidate = find_candidate(store, PromoteRequest(model_type, record.model_name))
    except ReasoningError:
        candidate = Candidate(record.model_name, record, None, record.model_name)
    found = _of_slot(store, model_type, record.serving_name or record.model_name, now)
    return Gpu(
        comparison.cents_per_hour,
        proof=_proof(store, settings, model_type, candidate, now),
        answers=_answers(found),
        speed=_speed(found),
        running=comparison.running,
        stopped=record.deleted_at is None and not comparison.running,
        live=_is_live(settings, model_type, s.MODE[model_type]),
        hours=settings.get(s.TYPE_HOURS[model_type]),
    )


def _assumed_gpu(model_type: str, cents_per_hour: int) -> Gpu:
    return Gpu(cents_per_hour, Proof(next=f"reasoning models deploy {spell_model_type(model_type)} --dry-run"))


def _assumed_server(comparison: Comparison, prices: Mapping[str, TokenPrice], model: str) -> Server:
    proof = Proof(next=f"reasoning config set {comparison.model_type}.provider_url URL")
    return Server(model, _by_the_token(comparison, prices, model), proof)


def _server(
    store: Store,
    settings: Settings,
    comparison: Comparison,
    prices: Mapping[str, TokenPrice],
    server: OwnServer,
    now: datetime,
) -> Server:
    model_type = comparison.model_type
    found = _of_slot(store, model_type, server.model, now)
    return Server(
        server.model,
        _by_the_token(comparison, _prices_of_slot(settings, prices, server), server.model),
        proof=_proof_of_server(store, settings, server, now),
        answers=_answers(found),
        speed=_speed(found),
        live=_is_live(settings, model_type, s.MODE[model_type]),
    )


def _prices_of_slot(
    settings: Settings, prices: Mapping[str, TokenPrice], server: OwnServer
) -> Mapping[str, TokenPrice]:
    """The table with what the slot's server costs: as it is set for the slot, else as the table has it; else, on this
    machine, nothing."""
    rate = settings.get(s.TOKEN_PRICE[server.model_type])
    if rate is not None:
        return {**prices, server.model: TokenPrice(server.model, rate.input_usd, rate.output_usd)}
    if server.is_here and server.model not in prices:
        return {**prices, server.model: TokenPrice(server.model, Decimal(0), Decimal(0))}
    return prices


def _by_the_token(comparison: Comparison, prices: Mapping[str, TokenPrice], model: str) -> Decimal | None:
    """Cents for a decision of as many tokens as the original's."""
    price, original = prices.get(model), comparison.original
    if price is None or original is None:
        return None
    return price.cents(original.prompt_tokens, original.completion_tokens)


def _proof(store: Store, settings: Settings, model_type: str, candidate: Candidate, now: datetime) -> Proof:
    """Whether a deployed model meets the gate, by its newest evaluation and what live traffic says."""
    gate = read_gate(None, model_type)
    evidence = find_evidence(store, model_type, candidate, None, gate, now)
    return _proof_by(settings, model_type, candidate.name, gate, evidence, now)


def _proof_of_server(store: Store, settings: Settings, server: OwnServer, now: datetime) -> Proof:
    """The same of what a server serves, where it was asked there, as its promotion wants it."""
    model_type, model = server.model_type, server.model
    gate = read_gate(None, model_type)
    evidence = of_undeployed(store, model_type, model, server.place, None, gate, now)
    return _proof_by(settings, model_type, model, gate, evidence, now)


def _proof_by(settings: Settings, model_type: str, model: str, gate: Gate, evidence: Evidence, now: datetime) -> Proof:
    """What the evidence comes to; how often a model disagrees at most, of decisions whose agreement is a share."""
    criteria = judge(gate, evidence, model_type, model, settings.get(s.DEADLINE_MS[model_type]), now)
    at_most = None
    if model_type == HEAD_TYPE and evidence.agreement is not None:
        at_most = 1 - Decimal(str(evidence.agreement.low))
    return replace(_proof_of(criteria), at_most=at_most)


def _proof_of(criteria: Sequence[Criterion]) -> Proof:
    failed = next((criterion for criterion in criteria if criterion.passed is False), None)
    return Proof(failed is None, next="" if failed is None else _command_in(failed.help))


def _command_in(help: str) -> str:
    """The first command that a text tells to type."""
    return next((part for place, part in enumerate(help.split("`")) if place % 2), "")


def _of_slot(store: Store, model_type: str, model: str, now: datetime) -> Measured:
    """What a slot's model did in the last day, or, where it was asked too little to tell, in as many as count."""
    recent = measured(store, model_type, now - DAY, now, source="slot", model=model)
    if recent.asked >= MIN_PRICED_DECISIONS:
        return recent
    return measured(store, model_type, now - LOOK_BACK, now, source="slot", model=model)


def _answers(found: Measured) -> Decimal | None:
    """The share answered of what was asked, where it was asked often enough to tell."""
    return Decimal(found.answered) / found.asked if found.asked >= MIN_PRICED_DECISIONS else None


def _speed(found: Measured) -> Speed | None:
    return Speed(found.p50_ms, found.p95_ms) if found.p50_ms is not None and found.p95_ms is not None else None
