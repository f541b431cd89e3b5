"""The rules that a model is held to, by type of decision, and a file of the operator's in the place of the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from reasoning_cli.errors import ConfigurationError, DataError
from reasoning_cli.settings_file import read_file
from reasoning_cli.values import MODEL_TYPES


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
    "wrong_respond_percent": "RESPOND where it should have kept out, at most; 100 lets pass what was not measured, too",
    "p95_ms": "95 % of the answers within; without it the slot's deadline",
    "max_age_days": "days since it was evaluated, at most",
    "live_agreement_percent": "sent back when it decides as the original in fewer",
    "alpha_percent": "how often, of 100 promotions, a model at its floors may be sent back by chance",
}


def read_gate(path: Path | None, model_type: str) -> Gate:
    """The rules for a type: the defaults, with what a TOML file says in their place, for all or in a table of the type.

    Raises ConfigurationError for what is not a rule, DataError for a file that cannot be read.
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
            raise ConfigurationError(
                f"`{table}` in `{path}` is not a model type", f"there are {', '.join(MODEL_TYPES)}"
            )
        value = _checked(path, key, text)
        if whose == model_type:
            own[key] = value
        elif not whose:
            rules[key] = value
    return replace(gate, **{**rules, **own})  # type: ignore[arg-type]  # numbers, each where one belongs


_EXAMPLE = "valid_percent = 97"


def _checked(path: Path, key: str, text: str | None) -> float | int:
    known = [field.name for field in fields(Gate)]
    if key not in known:
        raise ConfigurationError(f"`{key}` in `{path}` is not a rule", f"there are {', '.join(known)}")
    try:
        value = float(text or "")
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ConfigurationError(f"`{key}` in `{path}` is not a number from 0", f"for example {_EXAMPLE}")
    if key.endswith("percent") and (value > 100 or (key == "alpha_percent" and not 0 < value < 50)):
        raise ConfigurationError(f"`{key} = {text}` in `{path}` makes no sense", f"for example {_EXAMPLE}")
    return value if key.endswith("percent") else int(value)
