"""What was trained, as last seen: our runs, and fine-tuning jobs made elsewhere. Asks nobody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from reasoning_cli.errors import NotFoundError
from reasoning_cli.paths import Paths
from reasoning_cli.store.database import Store
from reasoning_cli.store.train.fine_tunes import FineTuneRecord, FineTunes
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import HEAD, HEAD_PREFIX, MODEL_TYPES, spell_model_type


@dataclass(frozen=True)
class Trained:
    """One line of what was trained: a run of ours, or a job that somebody else started; `job` as last seen. `is_gone`:
    the file of a head is not where it was."""

    run: TrainingRun | None
    job: FineTuneRecord | None
    is_gone: bool = False

    @property
    def id(self) -> str:
        return str(self.run.number) if self.run else self.job.id if self.job else ""

    @property
    def model_type(self) -> str | None:
        return self.run.model_type if self.run else self.job.model_type if self.job else None

    @property
    def state(self) -> str:
        """The stage of a run; while its job runs, and of what is not ours, the job's status."""
        if self.run is None:
            return self.job.status if self.job else ""
        return self.run.job_status or "training" if self.run.stage == "training" else self.run.stage

    @property
    def problem(self) -> str | None:
        """Why it is of no use, or what keeps it from going on."""
        if self.is_gone:
            return "its file is gone: train it anew"
        return self.run.problem if self.run else None

    @property
    def base(self) -> str | None:
        return self.run.base if self.run else self.job.model if self.job else None

    @property
    def job_id(self) -> str | None:
        return self.run.job_id if self.run else self.job.id if self.job else None

    @property
    def cents(self) -> Decimal | None:
        """What it cost so far, or is reserved for it; None without a job."""
        return self.job.cents if self.job else None

    @property
    def samples(self) -> int | None:
        """Those it trains on; not known of what is not ours."""
        samples = self.run.plan.get("samples") if self.run else None
        return samples.get("train") if isinstance(samples, dict) else None

    @property
    def at(self) -> datetime:
        assert self.run or self.job
        return self.run.started_at if self.run else self.job.created_at  # type: ignore[union-attr]


def with_files(trained: Trained, paths: Paths) -> Trained:
    """The same, with whether a head's file is there."""
    run = trained.run
    if run is None or run.engine != HEAD or not run.model_name:
        return trained
    return replace(trained, is_gone=not paths.head(run.model_name.removeprefix(HEAD_PREFIX)).exists())


def all_trained(store: Store, model_type: str | None = None) -> list[Trained]:
    """Every run and every job of the account, as last seen, newest first."""
    jobs = {fine_tune.id: fine_tune for fine_tune in FineTunes(store).all()}
    runs = [Trained(run, jobs.pop(run.job_id or "", None)) for run in TrainingRuns(store).all()]
    every = [*runs, *(Trained(None, job) for job in jobs.values())]
    return sorted(
        (trained for trained in every if model_type in (None, trained.model_type)),
        key=lambda trained: trained.at,
        reverse=True,
    )


def newest_of_each(store: Store) -> list[Trained]:
    """For each type its newest run, and the newest that left a model where that is another one."""
    found = []
    every = [trained for trained in all_trained(store) if trained.run is not None]
    for model_type in MODEL_TYPES:
        of_type = [trained for trained in every if trained.model_type == model_type]
        done = next((trained for trained in of_type if trained.run and trained.run.stage == "done"), None)
        found += [*of_type[:1], *([done] if done and done is not of_type[0] else [])]
    return found


def find_trained(store: Store, name: str) -> Trained:
    """What is meant by a run's number, a job's id, the name of a model, or a type (its newest run). NotFoundError."""
    runs, jobs = TrainingRuns(store), {fine_tune.id: fine_tune for fine_tune in FineTunes(store).all()}
    text = name.strip()
    model_type = text.lower().replace("-", "_")
    if text.isascii() and text.isdigit() and len(text) < 10:
        run = runs.get(int(text))
    elif model_type in MODEL_TYPES:
        run = runs.latest(model_type)
        if run is None:
            raise NotFoundError(
                f"nothing was trained for {spell_model_type(model_type)} yet",
                f"`reasoning train init {spell_model_type(model_type)}`",
            )
    else:
        run = runs.of_model(text)
        if run is None and text in jobs:
            return Trained(None, jobs[text])
    if run is None:
        raise NotFoundError(f"there is no training run or job `{name}`", "`reasoning train list` shows them")
    return Trained(run, jobs.get(run.job_id or ""))
