"""Which base a type of decision is fine-tuned on where nobody names one."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

from reasoning_cli.errors import NotFoundError
from reasoning_cli.operations.train.estimate import billions_of

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Catalog

# Billions of parameters that a type of decision takes, and why.
_SUITS = {
    "should_respond": (3.0, "a choice of three words needs no large model, and is asked most often"),
    "planning": (10.0, "what an agent says and does needs some size, and the agent waits for it"),
    "coding": (30.0, "code needs the largest model that is worth its price"),
}
_BONUS = 0.5  # for what Together recommends, in doublings of the size
_USELESS = ("SUPPORTED_MODEL_STATUS_DEPRECATED", "SUPPORTED_MODEL_STATUS_HIDDEN")


def choose_base(client: Catalog, model_type: str) -> tuple[str, str]:
    """A model that can be fine-tuned and served and is of the size that suits the type, and why.

    NotFoundError when Together offers none.
    """
    size, why = _SUITS[model_type]

    def distance(name: str, status: str) -> float:
        away = abs(log2((billions_of(name) or 1000) / size))
        return away - (_BONUS if status == "SUPPORTED_MODEL_STATUS_RECOMMENDED" else 0)

    fitting = [
        model
        for model in client.supported_models()
        if model.status not in _USELESS and {"PRODUCT_FINE_TUNING", "PRODUCT_DEDICATED"} <= set(model.products)
    ]
    if not fitting:
        raise NotFoundError("Together offers no model that can be fine-tuned and served", "name one with --base")
    best = min(fitting, key=lambda model: (distance(model.name, model.status), model.name))
    return best.name, f"{why}; of {len(fitting)} that can be trained and served"
