"""What a model has to show before it is promoted: one table of rules, what was found, and what would help. Pure.

What was found comes from an evaluation (`train eval`) and from live traffic (`train compare`). A rule is held against
the cautious end of an interval: few decisions do not pass for good ones. Nor does what was not measured, but for the
rules that may be left open: live traffic, which comes only after the gate, and a rule that asks for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reasoning_cli.errors import LimitError
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.statistics.sequential import Verdict
from reasoning_cli.values import spell_model_type


@dataclass(frozen=True)
class Bounds:
    """A share from 0 to 1, and the interval it is known within."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """What is known of a model. None is not known.

    `difference` is its share of right decisions less that of what answers now. `agreement` is with the original,
    `baseline_agreement` with our model that answers now, the `baseline`; None where the original does. `leaked`
    decisions of the evaluation were in its training. `live` is the verdict of the traffic.
    """

    evaluation: int | None = None
    at: datetime | None = None
    decisions: int = 0
    valid: Bounds | None = None
    agreement: Bounds | None = None
    difference: Bounds | None = None
    baseline_agreement: Bounds | None = None
    labelled: int = 0
    wrong_respond: float | None = None
    p95_ms: int | None = None
    leaked: int = 0
    baseline: str | None = None
    live: Verdict | None = None
    live_decisions: int = 0


@dataclass(frozen=True)
class Criterion:
    """One rule, held against what was found. `passed` is None where it was not measured and need not be."""

    key: str
    text: str
    wanted: str
    found: str
    passed: bool | None
    help: str = ""


_AGREEMENT_MARGIN_PERCENT = 10.0


class GateError(LimitError):
    """A model does not pass."""


def rules_of_watch(gate: Gate, found: Evidence) -> Gate:
    """The rules to watch by. A model that is better than another of ours decides otherwise than that one: what counts
    there is how often they agreed in the evaluation, where that is known; else it is not held to it."""
    if found.baseline is None:
        return gate
    floor = (
        0.0
        if found.baseline_agreement is None
        else max(0.0, found.baseline_agreement.low * 100 - _AGREEMENT_MARGIN_PERCENT)
    )
    return replace(gate, live_agreement_percent=min(gate.live_agreement_percent, floor))


def judge(
    gate: Gate,
    found: Evidence,
    model_type: str,
    model: str,
    deadline_ms: int,
    now: datetime,
    *,
    first: str = "",
) -> list[Criterion]:
    """Each rule and whether it holds. `first` is what has to be done before the model can be evaluated. Pure."""
    name = spell_model_type(model_type)
    against = f" --model {found.baseline}" if found.baseline else ""
    evaluate = f"{first}`reasoning train eval {name} --model {model}{against}`"
    if found.evaluation is None:
        missing = Criterion(
            "evaluated", "an evaluation", f"one of at least {gate.min_decisions:,} decisions", "none", False, evaluate
        )
        return [missing, _live(found, name)]
    # As it is named, an evaluation takes all there is that the model has not seen: at once again, it finds no more.
    more = f"collect more decisions that it was not trained on (`reasoning data stats`), then {evaluate}"
    better = f"see what it answered: `reasoning data review --evaluation {found.evaluation}`; better training moves it"
    criteria = [
        Criterion(
            "min_decisions",
            "decisions evaluated",
            f"at least {gate.min_decisions:,}",
            f"{found.decisions:,}",
            found.decisions >= gate.min_decisions,
            more,
        ),
        _fresh(gate, found, evaluate, now),
        Criterion(
            "leak",
            "decisions it was trained on",
            "none",
            f"{found.leaked:,}",
            not found.leaked,
            f"evaluate on what it has not seen: {evaluate}",
        ),
        _at_least(
            "valid_percent",
            "valid answers",
            found.valid,
            gate.valid_percent,
            evaluate if found.valid is None else more if found.valid.value * 100 >= gate.valid_percent else better,
        ),
    ]
    if found.baseline is not None and found.difference is None:
        both = f"ask both the same: {evaluate}"
        text = f"right decisions, less those of {found.baseline}"
        criteria.append(_at_least("margin_percent", text, None, -gate.margin_percent, both))
    elif found.difference is not None:
        criteria.append(
            _at_least(
                "margin_percent",
                "right decisions, less those of what answers now",
                found.difference,
                -gate.margin_percent,
                f"more labels narrow the interval: `reasoning data review -m {name}`; better training moves it",
            )
        )
    else:
        criteria.append(
            _at_least(
                "agreement_percent",
                "decides as the original",
                found.agreement,
                gate.agreement_percent,
                f"label where they differ, so that it is known who is right: `reasoning data review -m {name}`",
            )
        )
    if model_type == "should_respond":
        criteria.append(_wrong_respond(gate, found.wrong_respond, evaluate))
    return [*criteria, _latency(gate.p95_ms or deadline_ms, found.p95_ms, model_type, evaluate), _live(found, name)]


def refusal(criteria: list[Criterion], model: str, name: str) -> GateError | None:
    """What keeps a model from being promoted, with what would help; None when nothing does."""
    failed = [criterion for criterion in criteria if criterion.passed is False]
    if not failed:
        return None
    reasons = "; ".join(f"{criterion.text}: {criterion.found}, wanted {criterion.wanted}" for criterion in failed)
    return GateError(f"`{model}` is not promoted to {name}: {reasons}", failed[0].help)


def _fresh(gate: Gate, found: Evidence, evaluate: str, now: datetime) -> Criterion:
    assert found.at is not None
    days = (now - found.at) / timedelta(days=1)
    return Criterion(
        "max_age_days",
        "days since the evaluation",
        f"at most {gate.max_age_days}",
        f"{max(0.0, days):.0f}",
        days <= gate.max_age_days,
        f"evaluate it anew, with `--again`: {evaluate}",
    )


def _at_least(key: str, text: str, found: Bounds | None, percent: float, help: str) -> Criterion:
    wanted = f"at least {percent:g} %"
    if found is None:
        return Criterion(key, text, wanted, "not measured", False, help)
    shown = f"{found.value * 100:.1f} %, between {found.low * 100:.1f} and {found.high * 100:.1f}"
    return Criterion(key, text, wanted, shown, found.low * 100 >= percent, help)


def _wrong_respond(gate: Gate, share: float | None, evaluate: str) -> Criterion:
    """Not measured where it was asked nothing to stay out of; at 100 % there is nothing to measure."""
    most = gate.wrong_respond_percent
    if share is None:
        passed = None if most >= 100 else False
        help = f"evaluate on decisions to stay out of: {evaluate}; or let the gate say wrong_respond_percent = 100"
    else:
        passed = share * 100 <= most
        help = "train on more decisions to stay out: `reasoning train init` shows the balance"
    shown = "not measured" if share is None else f"{share * 100:.1f} %"
    text = "RESPOND where it should keep out"
    return Criterion("wrong_respond_percent", text, f"at most {most:g} %", shown, passed, help)


def _latency(most: int, found: int | None, model_type: str, evaluate: str) -> Criterion:
    return Criterion(
        "p95_ms",
        "95 % of answers come within",
        f"at most {most:,} ms",
        "not measured" if found is None else f"{found:,} ms",
        found is not None and found <= most,
        f"ask it: {evaluate}"
        if found is None
        else f"a smaller model, more replicas, or a longer deadline: `reasoning config set {model_type}.deadline_ms`",
    )


def _live(found: Evidence, name: str) -> Criterion:
    shown = "no traffic yet" if found.live is None else f"{found.live}, of {found.live_decisions:,} decisions"
    passed = None if found.live is None else found.live is not Verdict.WORSE
    return Criterion(
        "live", "in live traffic", "not worse, once there is any", shown, passed, f"`reasoning train compare {name}`"
    )
