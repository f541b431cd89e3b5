"""Is the newest head still what it was: its file whole, its agent's name the same, nothing it learned from deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reasoning_cli.engines.head.model import PREFIX, SUFFIX, Head
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.doctor.check import Check, failed, ok, warn
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from reasoning_cli.store.train.runs import TrainingRuns
from reasoning_cli.values import HEAD

_MODEL_TYPE = "should_respond"
_ANEW = "reasoning train start should-respond --engine head"


def check_heads(store: Store, folder: Path) -> Iterator[Check]:
    """The newest head that was trained; nothing where there is none."""
    runs = [run for run in TrainingRuns(store).all(_MODEL_TYPE) if run.method == HEAD and run.model_name]
    if not runs:
        return
    name = runs[-1].model_name or ""
    if runs[-1].problem:
        yield warn("training", f"{name} is {runs[-1].problem}", _ANEW)
        return
    try:
        head = Head.load(folder / f"{name.removeprefix(PREFIX)}{SUFFIX}")
    except ReasoningError as error:
        yield failed("training", error)
        return
    newest = next(Samples(store).iterate(SampleFilter(model_types=(_MODEL_TYPE,), limit=1)), None)
    agent = newest.agent_name if newest is not None else None
    if agent is not None and agent not in head.agents:
        yield warn(
            "training", f"{name} decides for {', '.join(head.agents)}, and the newest decision is {agent}'s", _ANEW
        )
        return
    yield ok("training", f"{name} is whole")
