"""Carry a training run out, from the log to a job at Together: export, check, upload, price, create.

Each step is written down before the next begins, so a run that was killed anywhere is gone on with by the same command:
one file, one job. `training_watch` follows the job to its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli.engines.errors import MissingError, QuotaError, RequestRefusedError, UnreachableError
from reasoning_cli.errors import DataError, LimitError, ReasoningError, RemoteError
from reasoning_cli.operations.costs.budget import Limits, standings
from reasoning_cli.operations.costs.fine_tunes import note_fine_tunes
from reasoning_cli.operations.costs.reserve import Reserved, reserve_price
from reasoning_cli.operations.data.export.run import export_samples
from reasoning_cli.operations.data.validate.file import check_file
from reasoning_cli.operations.train.plan import TrainingPlan, check_price, with_salt
from reasoning_cli.operations.train.plan_record import job_request, request_of, serialised
from reasoning_cli.paths import make_private_dir
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.train.fine_tunes import FineTunes
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Training
    from reasoning_cli.engines.jobs import Job, JobRequest, PriceEstimate, RemoteFile

CREATING = "creating"  # the status of a job that was asked for, as long as nobody knows whether it was made
_LOOKS_FOR_A_JOB = 2  # one more comes before the job is asked for again


@dataclass(frozen=True)
class Progress:
    """What goes on with a run right now, in words; while its job runs, what Together says of it."""

    run: TrainingRun
    text: str
    detail: str = ""
    job: Job | None = None
    losses: tuple[float, ...] = ()
    elapsed: timedelta = timedelta()


@dataclass(frozen=True)
class Asked:
    """Together's own price of a job, and what was agreed to before it was known (None: nothing was)."""

    run: TrainingRun
    cents: int
    agreed_cents: int | None
    train_tokens: int | None


@dataclass(frozen=True)
class TrainingContext:
    """How a run is carried out: where its files go, how to wait (seconds between looks), whom to tell, whom to ask.

    `agree` is asked when Together's price is more than was agreed to; without a yes the run waits for one.
    """

    folder: Path
    limits: Limits
    poll_seconds: float
    sleep: Callable[[float], None] = time.sleep
    notify: Callable[[Progress], None] = lambda progress: None
    agree: Callable[[Asked], bool] = lambda asked: False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    keep_files: bool = False
    actor: str = "operator"  # who does it, for the history
    timeout: timedelta | None = None


def begin_training(store: Store, plan: TrainingPlan, at: datetime) -> TrainingRun:
    """Write the run down. Raises ReasoningError when another one of this type was begun meanwhile."""
    run = TrainingRuns(store).begin(
        plan.model_type, base=plan.base, method=plan.request.method, plan=serialised(plan), at=at
    )
    if run.plan != serialised(plan):
        raise ReasoningError(
            f"run {run.number} of {spell_model_type(plan.model_type)} was begun meanwhile",
            f"`reasoning train watch {run.number}`",
        )
    return run


def advance(client: Training, store: Store, run: TrainingRun, context: TrainingContext) -> TrainingRun:
    """Bring a run as far as a job at Together, or to its end when that cannot be; the run as it then is.

    Raises what keeps it where it is: the same again goes on. It says so in the run, as its `problem`.
    """
    with alone_with(store, run):
        step = _Step(client, store, context)
        while True:
            current = TrainingRuns(store).get(run.number)
            assert current is not None
            run = current
            if run.over or run.stage == "training":
                return run
            try:
                step.take(run)
            except ReasoningError as problem:
                TrainingRuns(store).update(run.number, at=context.now(), problem=problem.message)
                raise


@contextlib.contextmanager
def alone_with(store: Store, run: TrainingRun) -> Iterator[None]:
    """Be the only process that brings a run on. Raises ReasoningError when another one does."""
    with store.alone(f"training-{run.model_type}") as alone:
        if not alone:
            raise ReasoningError(
                f"another process is at work on the training of {spell_model_type(run.model_type)}",
                f"wait for it, or watch: `reasoning train watch {run.number}`",
            )
        yield


def fail(store: Store, run: TrainingRun, problem: str, context: TrainingContext, stage: str = "failed") -> TrainingRun:
    """The end of a run that came to nothing, once."""
    runs, at = TrainingRuns(store), context.now()
    if runs.end(run.number, at=at, stage=stage, problem=problem):
        action = "train_cancelled" if stage == "cancelled" else "train_failed"
        Events(store).add(
            Event(at, context.actor, action, spell_model_type(run.model_type), {**event_detail(run), "why": problem})
        )
    ended = runs.get(run.number)
    assert ended is not None
    return ended


def folder_of(store: Store, run: TrainingRun, folder: Path) -> Path:
    """Where the files of a run are; databases that share a folder do not share it."""
    name = str(run.number) if store.path.name == "reasoning.db" else f"{store.path.stem}-{run.number}"
    return folder / name


def clear_away(store: Store, run: TrainingRun, folder: Path) -> None:
    """Remove the samples of a run from this machine, those of an export that was killed as well; its manifest stays."""
    place = folder_of(store, run, folder)
    for file in (*place.glob("*.jsonl"), *place.glob(".*.part")):
        with contextlib.suppress(OSError):
            file.unlink()


def export_files(store: Store, run: TrainingRun, context: TrainingContext) -> dict[str, object]:
    """Write the files of a run, in place whole and checked or not at all; what is to be known of them with the run.

    What another trainer than Together reads is not held to what Together takes.
    """

    def notify(text: str, detail: str = "") -> None:
        context.notify(Progress(run, text, detail))

    notify("exporting")
    folder = folder_of(store, run, context.folder)
    make_private_dir(folder)
    clear_away(store, run, context.folder)  # of an export that was killed
    request = with_salt(store, request_of(run))
    done = export_samples(
        store,
        files_of(store, run, context.folder)[0],
        request,
        now=context.now(),
        overwrite=True,
        on_progress=lambda count, total: notify("exporting", f"{count:,} of {total:,} samples"),
    )
    train, *others = done.files
    assert train.path is not None
    assert done.manifest is not None
    for file in done.files[:2] if request.rules.trainer == "together" else ():
        assert file.path is not None
        found = check_file(
            file.path,
            against=None if file is train else train.path,
            on_progress=lambda count, total: notify("checking", f"{count * 100 // max(total, 1)} %"),
        )
        if not found.accepted:
            reasons = ", ".join(f"{reason} ({count:,})" for reason, count in found.refusals.items())
            raise DataError(f"`{file.path}` would be refused: {reasons}", f"`reasoning data check {file.path}`")
    digest = hashlib.sha256(done.manifest.read_bytes()).hexdigest()
    return {
        "manifest": str(done.manifest),
        "manifest_sha256": digest,
        "train_sha256": train.sha256,
        "validation_sha256": others[0].sha256 if others else None,
        "suffix": suffix_of(run, digest),
    }


def files_of(store: Store, run: TrainingRun, folder: Path) -> tuple[Path, Path, Path]:
    """Where the samples of a run are: all of them, and of a split those to learn from and to check with."""
    whole = folder_of(store, run, folder) / f"{spell_model_type(run.model_type)}-r{run.number}.jsonl"
    return whole, whole.with_name(f"{whole.stem}.train.jsonl"), whole.with_name(f"{whole.stem}.validation.jsonl")


class _Step:
    def __init__(self, client: Training, store: Store, context: TrainingContext) -> None:
        self._client, self._store, self._context = client, store, context
        self._runs = TrainingRuns(store)
        self._exported = False

    def take(self, run: TrainingRun) -> None:
        """The next step of a run."""
        match run.stage:
            case "planned":
                self._export(run)
            case "exported":
                self._upload(run)
            case "uploaded":
                self._validate(run)
            case _:
                self._create(run)

    # --- files ---

    def _export(self, run: TrainingRun) -> None:
        changes = export_files(self._store, run, self._context)
        self._exported = True
        self._move(run, "exported", **changes)

    def _upload(self, run: TrainingRun) -> None:
        """Each file once: what was sent already is known by its hash."""
        whole, train, validation = files_of(self._store, run, self._context.folder)
        sides = [("training_file_id", run.train_sha256, train if run.validation_sha256 else whole)]
        if run.validation_sha256:
            sides.append(("validation_file_id", run.validation_sha256, validation))
        for column, sha256, path in sides:
            if getattr(run, column) is not None:
                continue
            assert sha256 is not None
            if not is_file_of(path, sha256):
                if self._exported:
                    raise DataError(f"`{path}` changes while it is sent", "run the same command again")
                self._move(run, "planned")  # somebody cleared it away: the same samples make the same file
                return
            what = f"uploading {path.name}"
            self._notify(run, what)
            file_id = self._client.upload_file(
                path,
                purpose="fine-tune",
                sha256=sha256,
                on_progress=self._sending(run, what),
            )
            self._runs.update(run.number, at=self._context.now(), **{column: file_id})
        self._move(run, "uploaded")

    def _validate(self, run: TrainingRun) -> None:
        """Together's own check, which takes its time."""
        ids = [file_id for file_id in (run.training_file_id, run.validation_file_id) if file_id]
        while True:
            try:
                files = [self._client.file(file_id) for file_id in ids]
            except MissingError:  # somebody deleted one: what is still there is found by its hash
                self._move(run, "exported", training_file_id=None, validation_file_id=None)
                return
            refused = next((file for file in files if file.is_refused), None)
            if refused is not None:
                self._refused(run, refused)
                return
            if all(file.is_ready for file in files):
                self._move(run, "validated")
                return
            self._notify(run, "Together checks the files" if len(files) > 1 else "Together checks the file")
            self._context.sleep(self._context.poll_seconds)

    def _refused(self, run: TrainingRun, file: RemoteFile) -> None:
        """The end, where the file is at fault; where the check itself broke off, the file is sent anew."""
        if file.processing_status != "FAILED":
            fail(self._store, run, f"Together refuses `{file.filename}` ({file.id}): {file.flaw}", self._context)
            return
        self._client.delete_file(file.id)
        column = "training_file_id" if file.id == run.training_file_id else "validation_file_id"
        self._move(run, "exported", **{column: None})
        raise RemoteError(
            f"Together's own check of `{file.filename}` broke off",
            f"send it again: `{_same(run)}`; or give it up: `reasoning train cancel {run.number}`",
        )

    # --- the job ---

    def _create(self, run: TrainingRun) -> None:
        """The job, once: one that may have been made already is looked for first."""
        if run.job_status == CREATING:
            for _ in range(_LOOKS_FOR_A_JOB):
                if (job := self._client.find_job(job_request(run))) is not None:
                    self._created(run, job)
                    return
                self._notify(run, "looking for the job that was asked for")
                self._context.sleep(self._context.poll_seconds)
        request = job_request(run)
        self._notify(run, "asking for Together's price")
        try:
            if not self._is_agreed(run, self._client.estimate_price(request)):
                return
            reserved = self._reserve(run)
            run = self._runs.update(run.number, at=self._context.now(), job_status=CREATING)
            self._notify(run, "creating the job")
            with reserved.sending():
                job = self._make(run, request)
            self._created(run, job)
            if any(noted.id == job.id for noted in FineTunes(self._store).all()):
                reserved.release()
        except (RequestRefusedError, MissingError) as problem:
            fail(self._store, run, f"Together refuses the job: {problem.message}", self._context)

    def _make(self, run: TrainingRun, request: JobRequest) -> Job:
        try:
            return self._client.create_job(request)
        except QuotaError as problem:
            self._runs.update(run.number, at=self._context.now(), job_status=None)
            raise QuotaError(
                f"{problem.message}; the file is at Together and nothing was charged",
                f"add credit at together.ai, then go on: `{_same(run)}`",
            ) from problem
        except UnreachableError as problem:
            raise RemoteError(
                f"{problem.message}; the job may have been made", f"look for it and go on: `{_same(run)}`"
            ) from problem

    def _is_agreed(self, run: TrainingRun, estimate: PriceEstimate) -> bool:
        """Whether the job may be made at Together's price; False where the run has ended. Raises what it waits for."""
        if not estimate.available or estimate.total_price is None:
            if (estimate.unavailable_reason or "").endswith("_invalid"):
                fail(self._store, run, f"Together gives no price: {estimate.unavailable_reason}", self._context)
                return False
            raise RemoteError(
                f"Together gives no price yet: {estimate.unavailable_reason or 'it does not say why'}",
                f"go on in a while: `{_same(run)}`",
            )
        cents = ceil(estimate.total_price * 100)
        if estimate.allowed_to_proceed is False:
            limit = "" if estimate.user_limit is None else f" (its limit is ${estimate.user_limit:.2f})"
            raise QuotaError(
                f"Together asks ${Decimal(cents) / 100:.2f} for this, and does not let this account spend it{limit}",
                f"add credit at together.ai, then go on: `{_same(run)}`",
            )
        self._check_budgets(run, cents)
        agreed = run.plan.get("agreed_cents")
        agreed_cents = agreed if isinstance(agreed, int) else None
        if agreed_cents is None or cents > agreed_cents:
            asked = Asked(run, cents, agreed_cents, int(estimate.train_tokens or 0) or None)
            if not self._context.agree(asked):
                before = "nothing was agreed to" if agreed_cents is None else f"${agreed_cents / 100:.2f} was agreed to"
                raise LimitError(
                    f"Together asks ${cents / 100:.2f} for this training, and {before}; nothing was charged",
                    f"agree to it with `{_same(run)} --max-cost {ceil(cents / 100)}`,"
                    f" or give it up: `reasoning train cancel {run.number}`",
                )
            agreed_cents = cents
        plan = {**run.plan, "agreed_cents": agreed_cents, "estimate_cents": cents, "estimate_source": "Together"}
        self._runs.update(run.number, at=self._context.now(), plan=plan)
        return True

    def _check_budgets(self, run: TrainingRun, cents: int) -> None:
        at = max(self._context.now(), self._client.now())
        every = standings(self._store, self._context.limits, at)
        check_price(
            [standing for standing in every if standing.model_type in (None, run.model_type)],
            run.model_type,
            Decimal(cents),
        )

    def _reserve(self, run: TrainingRun) -> Reserved:
        """What was agreed to, until the job is in the ledger."""
        agreed = self._runs.get(run.number)
        cents = (agreed or run).plan.get("estimate_cents")
        assert isinstance(cents, int)
        return reserve_price(
            self._store, f"training run {run.number}", run.model_type, cents, lambda: self._check_budgets(run, cents)
        )

    def _created(self, run: TrainingRun, job: Job) -> None:
        """A job that is there: in the run, the ledger and the history."""
        now = self._context.now()
        run = self._move(run, "training", job_id=job.id, job_status=job.status)
        note_fine_tunes(self._client, self._store)
        detail = {**event_detail(run), "estimate_cents": run.plan.get("estimate_cents")}
        Events(self._store).add(
            Event(now, self._context.actor, "train_start", spell_model_type(run.model_type), detail)
        )

    # --- how ---

    def _sending(self, run: TrainingRun, what: str) -> Callable[[int, int], None]:
        return lambda sent, total: self._notify(run, what, f"{sent * 100 // max(total, 1)} %")

    def _move(self, run: TrainingRun, stage: str, **changes: object) -> TrainingRun:
        return self._runs.update(run.number, at=self._context.now(), stage=stage, problem=None, **changes)

    def _notify(self, run: TrainingRun, text: str, detail: str = "") -> None:
        self._context.notify(Progress(run, text, detail))


def suffix_of(run: TrainingRun, manifest_sha256: str) -> str:
    """What the job of a run is called: no two are, not even of two machines that share an account."""
    typed = f"-{run.plan['suffix']}" if run.plan.get("suffix") else ""
    return f"{spell_model_type(run.model_type)}{typed}-r{run.number}-{manifest_sha256[:8]}"


def event_detail(run: TrainingRun) -> dict[str, object]:
    """What the history keeps of a run with whatever happens to it."""
    return {"run": run.number, "base": run.base, "job": run.job_id, "manifest_sha256": run.manifest_sha256}


def _same(run: TrainingRun) -> str:
    return f"reasoning train start {spell_model_type(run.model_type)}"


def is_file_of(path: Path, sha256: str) -> bool:
    """Whether a file is there as it was written."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
