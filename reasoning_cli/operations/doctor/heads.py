"""Are the newest head and that in line still what they were: the file whole, the agent's name the same, nothing that
they learned from deleted."""

from __future__ import annotations

from collections.abc import Iterator

from reasoning_cli.engines.head.model import PREFIX
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.deploy.heads import head_in_line, load_head
from reasoning_cli.operations.doctor.check import Check, fail, ok, warn
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import HEAD, head_training

_MODEL_TYPE = "should_respond"


def check_heads(store: Store, settings: Settings) -> Iterator[Check]:
    """The head in line, and the newest that was trained; nothing where there is none."""
    runs = {
        run.model_name: run for run in TrainingRuns(store).all(_MODEL_TYPE) if run.method == HEAD and run.model_name
    }
    in_line = head_in_line(settings)
    for name in dict.fromkeys([*([in_line] if in_line else []), *list(runs)[-1:]]):
        yield _check(store, settings, name, runs.get(name))


def _check(store: Store, settings: Settings, name: str, run: TrainingRun | None) -> Check:
    anew = head_training(run.plan.get("max_error") if run is not None else None)
    if run is not None and run.problem:
        return warn("training", f"{name} is {run.problem}", anew)
    try:
        head = load_head(settings.paths, name.removeprefix(PREFIX))
    except ReasoningError as error:
        return fail("training", error.message, anew, error.exit_code)
    newest = next(Samples(store).iterate(SampleFilter(model_types=(_MODEL_TYPE,), limit=1)), None)
    agent = newest.agent_name if newest is not None else None
    if agent is not None and agent not in head.agents:
        return warn(
            "training", f"{name} decides for {', '.join(head.agents)}, and the newest decision is {agent}'s", anew
        )
    return ok("training", f"{name} is whole")
