"""Which models an evaluation asks: how each is reached, what it costs, and what it was trained on."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reasoning_cli.errors import NotFoundError, ReasoningError, UsageError
from reasoning_cli.operations.costs.token_prices import TokenPrice
from reasoning_cli.operations.deploy.own_server import OwnServer, named_server
from reasoning_cli.paths import HEAD_SUFFIX
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.samples.exports import NumberSet
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import HEAD, HEAD_PREFIX, MODEL_TYPES, TOGETHER, is_head, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.head.model import Head

ORIGINAL = "original"

# Why a decision is not asked.
TRAINED = "in the training of {}"
COPY = "a near-copy of what {} was trained on"

Training = Literal["known", "unknown", "none"]


@dataclass(frozen=True)
class Candidate:
    """A model to be asked. `name` is what it was asked for by, `serving_name` what a chat call names.

    One that is deployed costs `cents_per_hour`, whatever it is asked; a serverless one `price` for its tokens, None
    when the table of prices has none. `form` is the form of the prompts it was trained on. `training`: whether it is
    known what it was trained on, or a catalogue's model, which nobody here trained. `run` is the training run that
    made it. `server` is the operator's own that serves it: nobody else is asked. A `head` is asked in this process.
    """

    name: str
    serving_name: str
    form: str
    model_name: str
    model_id: str | None = None
    deployment_key: str | None = None
    cents_per_hour: int | None = None
    price: TokenPrice | None = None
    training: Training = "none"
    run: int | None = None
    server: OwnServer | None = None
    head: Head | None = None

    @property
    def is_deployed(self) -> bool:
        return self.deployment_key is not None

    @property
    def is_free(self) -> bool:
        """Whether asking it costs nothing more: it is paid for by the hour, or runs on this machine."""
        return (
            self.is_deployed
            or self.head is not None
            or (self.server is not None and self.server.is_here and self.price is None)
        )

    def identity(self, max_tokens: int) -> str:
        """What its answers depend on, as JSON: the same prompt to the same identity has the same answer."""
        parts = [self.serving_name, self.model_name, self.model_id, self.deployment_key, self.form, str(max_tokens)]
        if self.server is not None:
            parts.append(self.server.place)
        return json.dumps([part for part in parts if part is not None])


def find_candidate(
    store: Store,
    name: str,
    model_type: str,
    *,
    form: str,
    prices: Mapping[str, TokenPrice],
    servers: tuple[OwnServer, ...] = (),
    heads: Path | None = None,
) -> Candidate:
    """The model meant by a type's name (its slot), a deployment's or model's name or id, a job's id, a training run's
    number, a serverless model's name, or that of a head, whose file is in the folder `heads`. `form` is the slot's.

    What one of the operator's own `servers` serves is asked there. Where the slot itself has one, a name that nothing
    deployed bears is meant for that, too: no prompt leaves the house because a name was mistyped.

    NotFoundError where nothing answers to it, ReasoningError where what does is stopped.
    """
    if is_head(name) and heads is not None:
        return _of_head(store, name, model_type, heads)
    server = named_server(servers, name, model_type)
    if server is not None:
        return _of_server(store, server, server.model, form, prices)
    own = next((server for server in servers if server.model_type == model_type), None)
    record = _deployed(store, name, in_any_folder=own is None)
    if record is not None:
        return _of_deployment(store, name, record, form)
    runs = TrainingRuns(store)
    run = runs.get(int(name)) if name.isdecimal() else runs.of_model(name)
    if run is not None and run.engine == HEAD and run.model_name is not None and heads is not None:
        return _of_head(store, run.model_name, model_type, heads)
    if run is not None:
        return _of_run(store, name, run, own, form, prices)
    if name == ORIGINAL:
        raise UsageError("the original's answers are always shown", "`--model` names a model to compare with them")
    if own is not None:
        return _of_server(store, own, name, form, prices)
    if "/" in name:
        return Candidate(name, name, form, name, price=prices.get(name))
    raise _unknown(store, name)


def _of_run(
    store: Store,
    name: str,
    run: TrainingRun,
    own: OwnServer | None,
    form: str,
    prices: Mapping[str, TokenPrice],
) -> Candidate:
    """The model that a run made: deployed, or of one that was not trained at Together at the slot's `own` server."""
    if run.engine == TOGETHER or run.model_name is None:
        return _of_deployment(store, name, _deployed_of(store, run, name), form)
    if own is None:
        raise NotFoundError(
            f"`{run.model_name}` of training run {run.number} was not trained at Together, and"
            f" {spell_model_type(run.model_type)} has no server that serves it",
            f"`reasoning config set {run.model_type}.provider_url URL`",
        )
    return _of_server(store, own, run.model_name, form, prices)


def trained_on(store: Store, run_number: int) -> NumberSet | None:
    """The samples a run's model was trained on, also by the jobs it goes on from; None where one is not known."""
    runs = TrainingRuns(store)
    found = NumberSet()
    run: TrainingRun | None = runs.get(run_number)
    seen: set[int] = set()
    while run is not None and run.number not in seen:
        seen.add(run.number)
        samples = runs.trained_on(run.number)
        if samples is None:
            return None
        found.update(samples)
        before = run.plan.get("from_job")
        if not before:
            return found
        run = runs.of_model(str(before))
    return None


def _deployed(store: Store, name: str, *, in_any_folder: bool = True) -> DeploymentRecord | None:
    """What runs or is stopped under that name, of a model the newest; with `in_any_folder` in any other folder, too."""
    deployments = Deployments(store)
    record = deployments.find(name)
    if record is not None and record.deleted_at is None:
        return record
    bare = name.rpartition("/")[2]
    return next(
        (
            record
            for record in reversed([*deployments.live(), *deployments.riders()])
            if name in (record.model_id, record.model_name)
            or (in_any_folder and record.model_name.rpartition("/")[2] == bare)
        ),
        None,
    )


def _deployed_of(store: Store, run: TrainingRun, name: str) -> DeploymentRecord:
    """What runs of a training run's models; `name` is what it was called by. NotFoundError where none of them does."""
    made = (run.model_id, run.model_name, run.adapter_id, run.adapter_name)
    found = (record for each in made if each and (record := _deployed(store, each)) is not None)
    record = next(found, None)
    if record is not None:
        return record
    what = f"{run.model_name or run.model_id or name} --as {spell_model_type(run.model_type)}"
    serving = Deployments(store).get(Deployments(store).serving(run.model_type) or "")
    if serving is not None and serving.deleted_at is None:
        what += " --canary 0"  # beside what answers now, and nobody gets it
    raise NotFoundError(
        f"the model of training run {run.number} is not deployed",
        f"`reasoning models deploy {what}`; it can be stopped again after the evaluation",
    )


def _unknown(store: Store, name: str) -> NotFoundError:
    """That nothing answers to a name, and what may be meant."""
    names = [record.endpoint_name for record in Deployments(store).live()]
    known = ", ".join(names) or "nothing"
    near = difflib.get_close_matches(name, names, n=1)
    return NotFoundError(
        f"`{name}` is not a model that can be asked",
        f"did you mean `{near[0]}`?"
        if near
        else f"deployed from here: {known}; a serverless model has a name like meta-llama/Llama-3",
    )


def _of_head(store: Store, name: str, model_type: str, folder: Path) -> Candidate:
    from reasoning_cli.engines.head.model import Head

    head = Head.load(folder / f"{name.removeprefix(HEAD_PREFIX)}{HEAD_SUFFIX}")
    if head.model_type != model_type:
        raise UsageError(
            f"`{name}` decides {spell_model_type(head.model_type)}",
            f"`reasoning train eval {spell_model_type(head.model_type)} --model {name}`",
        )
    run = TrainingRuns(store).of_model(name)
    return Candidate(
        name=name,
        serving_name=name,
        form="exact",
        model_name=name,
        training="unknown" if run is None or trained_on(store, run.number) is None else "known",
        run=run.number if run is not None else None,
        head=head,
    )


def _of_server(store: Store, server: OwnServer, model: str, form: str, prices: Mapping[str, TokenPrice]) -> Candidate:
    run = TrainingRuns(store).of_model(model)
    return Candidate(
        name=model,
        serving_name=model,
        form=str(run.plan.get("prompt_form") or form) if run is not None else form,
        model_name=model,
        price=prices.get(model),
        training="unknown" if run is None or trained_on(store, run.number) is None else "known",
        run=run.number if run is not None else None,
        server=server,
    )


def _of_deployment(store: Store, name: str, record: DeploymentRecord, form: str) -> Candidate:
    if record.serving_name is None or (record.state != "READY" and record.rides_on is None):
        raise ReasoningError(
            f"`{record.endpoint_name}` cannot be asked: it is {record.state}",
            f"`reasoning models start {record.endpoint_name}`; `reasoning models status` looks at Together first",
        )
    runs = TrainingRuns(store)
    run = next(
        (run for each in (record.model_id, record.model_name) if each and (run := runs.of_model(each)) is not None),
        None,
    )
    hardware = record if record.rides_on is None else Deployments(store).get(record.rides_on)
    price = hardware.price_cents_per_hour if hardware is not None else None
    return Candidate(
        name=record.endpoint_name if name.replace("-", "_") in MODEL_TYPES else name,
        serving_name=_pinned(store, record),
        form=str(run.plan.get("prompt_form") or form) if run is not None else form,
        model_name=record.model_name,
        model_id=record.model_id,
        deployment_key=record.key,
        cents_per_hour=None if price is None or hardware is None else price * max(1, hardware.ready_replicas),
        training="unknown" if run is None or trained_on(store, run.number) is None else "known",
        run=run.number if run is not None else None,
    )


def _pinned(store: Store, record: DeploymentRecord) -> str:
    """The name that reaches this deployment alone: where two share an endpoint, its split would choose."""
    assert record.serving_name is not None
    shared = [other for other in Deployments(store).live() if other.endpoint_name == record.endpoint_name]
    pinned = len(shared) > 1 and record.rides_on is None
    return f"{record.serving_name}/{record.deployment_name}" if pinned else record.serving_name
