"""Rules and a linear model, fitted to decisions. scikit-learn (extra `head`) is imported here and nowhere else."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reasoning_cli.engines.head.dataset import Data
from reasoning_cli.engines.head.features import SIZE
from reasoning_cli.engines.head.model import LABELS, By, Label, Linear, Rule
from reasoning_cli.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_matrix

    Array = np.ndarray[Any, Any]
    Scores = tuple[Array, Array]  # of each decision the label and how sure

_REGULARISATION = 0.2


def check_installed() -> None:
    """Raises ConfigurationError without scikit-learn."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "training a head needs scikit-learn, which is not installed",
            "`pip install 'reasoning[head]'`; serving a head needs nothing more",
        ) from None


@dataclass(frozen=True)
class Fitted:
    """What was learned: the rules and the model."""

    rules: Mapping[str, Rule]
    linear: Mapping[Label, Linear]

    def scores(self, by: By, data: Data) -> Scores:
        """What the rules or the model make of decisions."""
        import numpy as np

        if by == "model":
            return model_scores(self.linear, self.sums(data))
        unknown = Rule("IGNORE", 0.0, 0, 0)
        found = [self.rules.get(situation, unknown) for situation in data.situations]
        return np.array([rule.label for rule in found]), np.array([rule.confidence for rule in found])

    def sums(self, data: Data) -> dict[Label, Array]:
        """The sums of weights that the model's probabilities are made of."""
        return {label: _sums(linear, data.matrix) for label, linear in self.linear.items()}


def fit(data: Data) -> Fitted:
    """Rules and a model whose probabilities are not calibrated yet. Without a STOP, what is not IGNORE is RESPOND."""
    labels: tuple[Label, ...] = LABELS if bool((data.decisions == "STOP").any()) else ("IGNORE",)
    return Fitted(_rules(data), {label: _linear(data.matrix, data.decisions == label) for label in labels})


def calibrated(fitted: Fitted, crossed: Mapping[Label, Array], decisions: Array) -> Fitted:
    """With probabilities that held in a cross-validation: `crossed` are the sums it gave."""
    from sklearn.linear_model import LogisticRegression

    linears: dict[Label, Linear] = {}
    for label, linear in fitted.linear.items():
        line = LogisticRegression(C=1e3).fit(crossed[label][:, None], decisions == label)
        linears[label] = replace(linear, slope=float(line.coef_[0][0]), offset=float(line.intercept_[0]))
    return replace(fitted, linear=linears)


def model_scores(linear: Mapping[Label, Linear], sums: Mapping[Label, Array]) -> Scores:
    """The more probable label of each decision, and its probability."""
    import numpy as np

    ignore = _logistic(linear["IGNORE"], sums["IGNORE"])
    respond = _logistic(linear["RESPOND"], sums["RESPOND"]) if "RESPOND" in linear else 1 - ignore
    return np.where(ignore >= respond, "IGNORE", "RESPOND"), np.maximum(ignore, respond)


def _rules(data: Data) -> dict[str, Rule]:
    """For each situation its more frequent label."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for situation, decision in zip(data.situations, data.decisions.tolist(), strict=True):
        counts[situation][decision] += 1
    rules = {}
    for situation, count in counts.items():
        label: Label = "IGNORE" if count["IGNORE"] >= count["RESPOND"] else "RESPOND"
        seen, disagreed = count.total(), count.total() - count[label]
        rules[situation] = Rule(label, 1 - (disagreed + 1) / (seen + 2), seen, disagreed)
    return rules


def _linear(matrix: csr_matrix, is_label: Array) -> Linear:
    """A logistic regression. A sign that none of the decisions has weighs nothing."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    used = np.unique(matrix.indices)
    model = LogisticRegression(C=_REGULARISATION, solver="liblinear", tol=0.02, random_state=0)
    model.fit(matrix[:, used], is_label)
    weights = np.zeros(SIZE, np.float32)
    weights[used] = model.coef_[0]
    return Linear(array("f", weights.tobytes()), float(model.intercept_[0]), 1.0, 0.0)


def _sums(linear: Linear, matrix: csr_matrix) -> Array:
    import numpy as np

    sums: Array = matrix @ np.frombuffer(linear.weights, np.float32) + linear.intercept
    return sums


def _logistic(linear: Linear, sums: Array) -> Array:
    import numpy as np

    # The sums are of single precision, where exp(89) is more than there is.
    probabilities: Array = 1 / (1 + np.exp(-np.clip(linear.slope * sums + linear.offset, -80, 80)))
    return probabilities
