"""A training plan as it is kept with its run: all that another process needs to go on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.operations.data.export.run import ExportReport, ExportRequest
from reasoning_cli.operations.train.plan import Figures, TrainingPlan, TrainRequest
from reasoning_cli.store.samples.training_log import SampleFilter
from reasoning_cli.store.train.runs import TrainingRun

if TYPE_CHECKING:
    from reasoning_cli.engines.jobs import JobRequest

# What two plans of the same samples and figures may differ in.
_OF_THE_MOMENT = ("agreed_cents", "estimate_cents", "estimate_source", "slot_model", "serving_cents_per_hour")


def serialised(plan: TrainingPlan) -> dict[str, object]:
    """A plan as JSON holds it: all that it takes to go on, and what was agreed to."""
    request = plan.request
    whole = {
        **of_request(request, plan.export),
        "figures": asdict(plan.figures),
        "agreed_cents": plan.agreed_cents,
        "estimate_cents": None if plan.price is None else ceil(plan.price.cents),
        "estimate_source": None if plan.price is None else plan.price.source,
        "slot_model": plan.slot_model,
        "tokens": plan.tokens,
        "serving_cents_per_hour": plan.served_on.price_cents_per_hour if plan.served_on else None,
    }
    return as_read(whole)


def of_request(request: TrainRequest, export: ExportReport) -> dict[str, object]:
    """What was asked for, and what it comes to by a dry run of its export."""
    wished = asdict(request.export)
    wished["rules"].pop("salt")
    wanted = wished["wanted"]
    for name in ("since", "until"):
        wanted[name] = wanted[name].isoformat() if wanted[name] else None
    return {
        "export": wished,
        "redact": request.redact,
        "from_job": request.from_job,
        "suffix": request.suffix,
        "prompt_form": request.prompt_form,
        "force": request.force,
        "typed": dict(request.typed),
        "samples": {file.side or "train": file.samples for file in export.files},
        "left_out": dict(export.left_out),
    }


def as_read(plan: Mapping[str, object]) -> dict[str, object]:
    """A plan as it will be read again."""
    read: dict[str, object] = json.loads(json.dumps(plan))
    return read


def request_of(run: TrainingRun) -> TrainRequest:
    """The request of a run, as far as carrying it out needs it."""
    plan: Any = run.plan
    export, wanted = plan["export"], dict(plan["export"]["wanted"])
    for name in ("since", "until"):
        wanted[name] = datetime.fromisoformat(wanted[name]) if wanted[name] else None
    wanted["model_types"] = tuple(wanted["model_types"])
    return TrainRequest(
        model_type=run.model_type,
        export=ExportRequest(
            wanted=SampleFilter(**wanted),
            rules=Rules(**export["rules"]),
            dedupe=export["dedupe"],
            balance=export["balance"],
            split=tuple(export["split"]),
            seed=export["seed"],
        ),
        redact=plan["redact"],
        base=run.base,
        from_job=plan["from_job"],
        suffix=plan["suffix"],
        method="dpo" if run.method == "dpo" else "sft",
        full=plan["figures"] is not None and plan["figures"]["lora_rank"] is None,
        force=plan["force"],
        typed=plan["typed"],
    )


def job_request(run: TrainingRun) -> JobRequest:
    """The job of a run whose files are at Together."""
    from reasoning_cli.engines.jobs import JobRequest

    plan: Any = run.plan
    figures = Figures(**plan["figures"])
    assert run.training_file_id is not None
    assert run.suffix is not None
    return JobRequest(
        model=None if plan["from_job"] else run.base,
        from_checkpoint=plan["from_job"],
        training_file=run.training_file_id,
        validation_file=run.validation_file_id,
        suffix=run.suffix,
        n_epochs=figures.epochs,
        n_evals=figures.evals if run.validation_file_id else 0,
        learning_rate=figures.learning_rate,
        full=figures.full,
        lora_r=figures.lora_rank,
        method=figures.method,
        random_seed=plan["export"]["seed"],
    )


def is_same_again(run: TrainingRun, plan: TrainingPlan) -> bool:
    """Whether a plan would train the same base on the same samples with the same figures once more."""
    return is_same_plan(run, plan.base, serialised(plan))


def is_same_plan(run: TrainingRun, base: str, plan: Mapping[str, object]) -> bool:
    """Whether a run was of the same base, and planned alike but for what differs by the moment."""
    return run.base == base and _lasting(run.plan) == _lasting(plan)


def _lasting(plan: Any) -> dict[str, object]:
    wanted = {name: value for name, value in plan["export"]["wanted"].items() if name != "until"}
    rules = asdict(Rules(**plan["export"]["rules"]))  # what an earlier version did not know of included
    export = {**plan["export"], "wanted": wanted, "rules": rules}
    return {**{name: value for name, value in plan.items() if name not in _OF_THE_MOMENT}, "export": export}
