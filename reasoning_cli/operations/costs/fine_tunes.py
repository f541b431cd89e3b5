"""What fine-tuning jobs cost, from Together into the store, where the bill and the budgets read it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import BusyError, MissingError, RequestRefusedError
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.train.fine_tunes import NANO_DOLLARS_PER_CENT, FineTuneRecord, FineTunes
from reasoning_cli.store.train.runs import TrainingRuns
from reasoning_cli.values import MODEL_TYPES

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Training
    from reasoning_cli.engines.jobs import Job

log = logging.getLogger(__name__)


def note_fine_tunes(client: Training, store: Store) -> bool:
    """Write down the account's jobs and their prices as they are now; False where this key may not see them.

    Where Together fails to say, they stay as last seen: a guard must go on all the same.
    """
    try:
        jobs = client.jobs()
    except (MissingError, RequestRefusedError):
        return False
    except BusyError as problem:
        log.warning("the fine-tuning jobs are as last seen: %s", problem.message)
        return True
    if jobs:
        records, at = Deployments(store).all(), client.now()
        reserved = _reserved(store)
        FineTunes(store).note([_record(job, records, at, reserved.get(job.id, 0)) for job in jobs])
    return True


def _reserved(store: Store) -> dict[str, int]:
    """What the jobs of our runs that go on will cost as far as Together foretold, in billionths of a dollar, by id."""
    plans = {run.job_id: run.plan.get("estimate_cents") for run in TrainingRuns(store).all() if not run.over}
    return {job: cents * NANO_DOLLARS_PER_CENT for job, cents in plans.items() if job and isinstance(cents, int)}


def _record(job: Job, records: Sequence[DeploymentRecord], at: datetime, reserved: int) -> FineTuneRecord:
    name = job.suffix or job.model_output_name or job.id
    # Until it has a price of its own, the budgets count what it was said to cost.
    cost = max(0, (job.total_price or 0) if job.total_price or job.is_over else reserved)
    return FineTuneRecord(job.id, job.created_at or at, _model_type(job, records), name, job.model, job.status, cost)


def _model_type(job: Job, records: Sequence[DeploymentRecord]) -> str | None:
    """What a job was for: the type its name begins with, else the one that its model was deployed for."""
    suffix = re.sub(r"[^a-z]+", "", (job.suffix or "").lower())
    for model_type in MODEL_TYPES:
        if suffix.startswith(model_type.replace("_", "")):
            return model_type
    if not job.suffix:
        return None
    named = (
        record
        for record in reversed(records)
        if record.model_type and record.model_name.rpartition("/")[2] == job.suffix
    )
    return next((record.model_type for record in named), None)
