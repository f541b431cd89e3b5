"""What a model has to show before it is promoted: one table of rules, what was found, and what would help. Pure.

What was found comes from an evaluation (`train eval`) and from live traffic (`train compare`). A rule is held against
the cautious end of an interval: few decisions do not pass for good ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path

from reasoning_cli.errors import ConfigurationError, DataError, LimitError
from reasoning_cli.operations.statistics.sequential import Verdict
from reasoning_cli.settings_file import read_file
from reasoning_cli.values import MODEL_TYPES, spell_model_type


@dataclass(frozen=True)
class Gate:
    """The rules. Percents are of decisions, `p95_ms` None is the slot's own deadline.

    `agreement_percent` counts where no label tells who is right, and what the original decided is held to be. While a
    promotion goes on, `valid_percent` and `live_agreement_percent` are the floors that send the model back, at an error
    rate of `alpha_percent` for the whole of the promotion.
    """

    min_decisions: int = 100
    valid_percent: float = 95
    margin_percent: float = 2
    agreement_percent: float = 85
    wrong_respond_percent: float = 10
    p95_ms: int | None = None
    max_age_days: int = 14
    live_agreement_percent: float = 75
    alpha_percent: float = 5


# Plans and code can be right in many ways, so two good models agree on fewer of them.
DEFAULTS: Mapping[str, Gate] = {
    "should_respond": Gate(),
    "planning": Gate(agreement_percent=65, live_agreement_percent=55),
    "coding": Gate(agreement_percent=25, live_agreement_percent=15),
}

MEANINGS: Mapping[str, str] = {
    "min_decisions": "decisions it was evaluated on, at least",
    "valid_percent": "valid answers: the low end of the interval at least",
    "margin_percent": "how much worse than what answers now it may be, at the low end of the interval",
    "agreement_percent": "decides as the original, where no label tells who is right: the low end at least",
    "wrong_respond_percent": "of the decisions it should have kept out of, answered with RESPOND, at most",
    "p95_ms": "95 % of the answers within; without it the slot's deadline",
    "max_age_days": "days since it was evaluated, at most",
    "live_agreement_percent": "sent back when it decides as the original in fewer",
    "alpha_percent": "how often, of 100 promotions, a model at its floors may be sent back by chance",
}


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
    `alike` with our model that answers now, which is `rival`; None where the original does. `leaked` decisions of the
    evaluation were in its training. `live` is the verdict of the traffic.
    """

    evaluation: int | None = None
    at: datetime | None = None
    decisions: int = 0
    valid: Bounds | None = None
    agreement: Bounds | None = None
    difference: Bounds | None = None
    alike: Bounds | None = None
    labelled: int = 0
    wrong_respond: float | None = None
    p95_ms: int | None = None
    leaked: int = 0
    rival: str | None = None
    live: Verdict | None = None
    live_decisions: int = 0


@dataclass(frozen=True)
class Criterion:
    """One rule, held against what was found. `passed` is None where the rule does not apply."""

    key: str
    text: str
    wanted: str
    found: str
    passed: bool | None
    help: str = ""


_ALIKE_MARGIN_PERCENT = 10.0


class GateError(LimitError):
    """A model does not pass."""


def read_gate(path: Path | None, model_type: str) -> Gate:
    """The rules for a type: the defaults, with what a TOML file says in their place, for all or in a table of the type.

    Raises ConfigurationError for what is no rule, DataError for a file that cannot be read.
    """
    gate = DEFAULTS[model_type]
    if path is None:
        return gate
    rules, own = {}, {}
    try:
        found = read_file(path) if path.exists() else None
    except ConfigurationError as error:
        raise ConfigurationError(error.message, f"one rule a line, like {_EXAMPLE}") from error
    if found is None:
        raise DataError(f"there is no file `{path}`", "`--gate FILE` names a TOML file")
    for name, text in found.items():
        table, _, key = name.rpartition(".")
        whose = table.replace("-", "_")
        if whose not in ("", *MODEL_TYPES):
            raise ConfigurationError(f"`{table}` in `{path}` is no model type", f"there are {', '.join(MODEL_TYPES)}")
        value = _checked(path, key, text)
        if whose == model_type:
            own[key] = value
        elif not whose:
            rules[key] = value
    return replace(gate, **{**rules, **own})  # type: ignore[arg-type]  # numbers, each where one belongs


_EXAMPLE = "valid_percent = 97"


def _checked(path: Path, key: str, text: str | None) -> float | int:
    known = [one.name for one in fields(Gate)]
    if key not in known:
        raise ConfigurationError(f"`{key}` in `{path}` is no rule", f"there are {', '.join(known)}")
    try:
        value = float(text or "")
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ConfigurationError(f"`{key}` in `{path}` is no number from 0", f"for example {_EXAMPLE}")
    if key.endswith("percent") and (value > 100 or (key == "alpha_percent" and not 0 < value < 50)):
        raise ConfigurationError(f"`{key} = {text}` in `{path}` makes no sense", f"for example {_EXAMPLE}")
    return value if key.endswith("percent") else int(value)


def rules_of_watch(gate: Gate, found: Evidence) -> Gate:
    """The rules to watch by. A model that is better than another of ours decides otherwise than that one: what counts
    there is how often they decided alike in the evaluation, where that is known; else it is not held to it."""
    if found.rival is None:
        return gate
    floor = 0.0 if found.alike is None else max(0.0, found.alike.low * 100 - _ALIKE_MARGIN_PERCENT)
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
    rival = f" --model {found.rival}" if found.rival else ""
    evaluate = f"{first}`reasoning train eval {name} --model {model}{rival}`"
    if found.evaluation is None:
        missing = Criterion(
            "evaluated", "an evaluation", f"one of at least {gate.min_decisions:,} decisions", "none", False, evaluate
        )
        return [missing, _live(found, name)]
    criteria = [
        Criterion(
            "min_decisions",
            "decisions evaluated",
            f"at least {gate.min_decisions:,}",
            f"{found.decisions:,}",
            found.decisions >= gate.min_decisions,
            f"ask it more: {evaluate}",
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
        _at_least("valid_percent", "valid answers", found.valid, gate.valid_percent, evaluate),
    ]
    if found.rival is not None and found.difference is None:
        both = f"ask both the same: {evaluate}"
        text = f"right decisions, less those of {found.rival}"
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
        share = found.wrong_respond
        criteria.append(
            Criterion(
                "wrong_respond_percent",
                "RESPOND where it should keep out",
                f"at most {gate.wrong_respond_percent:g} %",
                "not known" if share is None else f"{share * 100:.1f} %",
                None if share is None else share * 100 <= gate.wrong_respond_percent,
                "train on more decisions to stay out: `reasoning train init` shows the balance",
            )
        )
    most = gate.p95_ms or deadline_ms
    criteria.append(
        Criterion(
            "p95_ms",
            "95 % of answers come within",
            f"at most {most:,} ms",
            "not known" if found.p95_ms is None else f"{found.p95_ms:,} ms",
            None if found.p95_ms is None else found.p95_ms <= most,
            f"a smaller model, more replicas, or a longer deadline: `reasoning config set {model_type}.deadline_ms`",
        )
    )
    return [*criteria, _live(found, name)]


def refusal(criteria: list[Criterion], model: str, name: str) -> GateError | None:
    """What keeps a model from being promoted, with what would help; None when nothing does."""
    failed = [one for one in criteria if one.passed is False]
    if not failed:
        return None
    reasons = "; ".join(f"{one.text}: {one.found}, wanted {one.wanted}" for one in failed)
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
        return Criterion(key, text, wanted, "not known", False, help)
    shown = f"{found.value * 100:.1f} %, between {found.low * 100:.1f} and {found.high * 100:.1f}"
    return Criterion(key, text, wanted, shown, found.low * 100 >= percent, help)


def _live(found: Evidence, name: str) -> Criterion:
    shown = "no traffic yet" if found.live is None else f"{found.live}, of {found.live_decisions:,} decisions"
    passed = None if found.live is None else found.live is not Verdict.WORSE
    return Criterion("live", "in live traffic", "not worse", shown, passed, f"`reasoning train compare {name}`")
