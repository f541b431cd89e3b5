"""Bring weights into the registry: make the model's record, let Together fetch them, wait until they are validated.

Everything is found again by the model's name, so a run that broke off is gone on with by the same command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli.errors import NotFoundError, ReasoningError, RemoteError, UsageError
from reasoning_cli.operations.deploy.catalog import find_model, serving_options

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud, Uploading
    from reasoning_cli.engines.serving import Model, Revision
    from reasoning_cli.engines.weights import RemoteUpload

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_GOING = ("PENDING", "RUNNING", "ERROR")


@dataclass(frozen=True)
class UploadPlan:
    """What will be fetched, from where, as which model. `model` and `upload` are what an earlier run has begun."""

    name: str
    url: str
    base: Model
    kind: str
    model: Model | None
    upload: RemoteUpload | None
    revision: Revision | None

    @property
    def is_done(self) -> bool:
        """Whether the weights are there already, and good."""
        return self.revision is not None and self.revision.status == "SUCCESS"


@dataclass(frozen=True)
class Step:
    """One look while waiting: what goes on, in words, and for how long on the service's clock."""

    text: str
    elapsed: timedelta


@dataclass(frozen=True)
class Patience:
    """How to wait: real seconds between looks, how to sleep, when to give up (service time), whom to tell."""

    poll_seconds: float
    timeout: timedelta
    sleep: Callable[[float], None]
    notify: Callable[[Step], None]


def source_url(source: str) -> str:
    """The address of a Hugging Face repository (`owner/name`) or of an archive. Raises UsageError."""
    if source.startswith("https://"):
        return source
    if _REPOSITORY.fullmatch(source):
        return f"https://huggingface.co/{source}"
    raise UsageError(
        f"`{source}` is neither a Hugging Face repository nor an https address, nor a folder here",
        "for example --from owner/name, or --from ./DIR",
    )


def check_name(name: str) -> None:
    """Raises UsageError for what cannot be the name of a model."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"`{name}` is not a name of a model", "1 to 96 letters, digits, dots, underscores and hyphens")


def check_base(client: Cloud, base: str) -> Model:
    """The base that is meant. Raises NotFoundError when nothing built on it could be served afterwards."""
    found = find_model(client, base)
    if not serving_options(client, found):
        raise NotFoundError(
            f"what is built on `{found.name}` cannot be served: Together has no config for it", "choose another --base"
        )
    return found


def plan_upload(client: Cloud, name: str, source: str, base: str, kind: str) -> UploadPlan:
    """Check name, source and base, and look what an earlier run has begun. Makes nothing.

    Raises NotFoundError for a base that is not known, or on which nothing could be served afterwards.
    """
    check_name(name)
    url, found = source_url(source), check_base(client, base)
    model = client.find_model_record(name)
    if model is None:
        return UploadPlan(name, url, found, kind, None, None, None)
    if model.base_model_id not in (None, found.id):
        raise ReasoningError(f"`{model.name}` exists already, on another base", "choose another name for this one")
    uploads, newest = client.uploads(model.id), newest_revision(client, model)
    if uploads and uploads[-1].remote_url != url:
        raise ReasoningError(f"`{model.name}` is from {uploads[-1].remote_url}", "choose another name for this one")
    if newest is not None and not uploads:
        raise ReasoningError(f"`{model.name}` has weights from elsewhere", "choose another name for this one")
    going = uploads[-1] if uploads and uploads[-1].state in _GOING else None
    return UploadPlan(name, url, found, kind, model, going, None if going else newest)


def run_upload(client: Uploading, plan: UploadPlan, token: str | None, wait: Patience) -> tuple[Model, Revision]:
    """Do what `plan` says, or go on with it; the model and its validated weights.

    Raises RemoteError when the service gives up or time is over, ReasoningError when the weights are not valid.
    """
    model = plan.model or client.create_model(plan.name, plan.base.id, plan.kind)
    revision = plan.revision if plan.revision is not None and plan.revision.status == "PENDING" else None
    if plan.is_done and plan.revision is not None:
        return model, plan.revision
    started = client.now()
    if revision is None:
        upload = plan.upload or client.create_upload(model.id, plan.url, token)
        while upload.state != "SUCCEEDED":
            if upload.state == "FAILED":
                raise RemoteError(
                    f"Together could not fetch {plan.url}: {upload.status_message or 'it gives no reason'}",
                    "is it public, or is HF_TOKEN set? Run the same command again to try once more",
                )
            again = f", restart {upload.restart_count} of {upload.max_restarts}" if upload.restart_count else ""
            _wait(client, wait, started, f"{upload.state.lower()}: {upload.status_message}{again}", model)
            upload = client.upload(upload.id)
    return model, wait_until_valid(client, model, wait, started)


def newest_revision(client: Uploading, model: Model) -> Revision | None:
    """The weights of a model that count."""
    return max(client.revisions(model), key=lambda revision: revision.created_at, default=None)


def wait_until_valid(client: Uploading, model: Model, wait: Patience, started: datetime | None = None) -> Revision:
    """The newest weights of a model once Together has validated them. Raises as `run_upload` does."""
    started = started or client.now()
    while True:
        revision = newest_revision(client, model)
        if revision is None:
            raise RemoteError(f"Together shows no weights of `{model.name}` yet", "run the same command again")
        if revision.status != "PENDING":
            break
        _wait(client, wait, started, "validating the weights", model)
    if revision.status != "SUCCESS":
        reasons = (
            "; ".join(_reason(validation_error) for validation_error in revision.validation_errors)
            or revision.status.lower()
        )
        raise ReasoningError(f"the weights of `{model.name}` are not valid: {reasons}", "correct them and upload anew")
    return revision


def _reason(error: object) -> str:
    """What Together says is wrong with weights, in its words."""
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def _wait(client: Uploading, wait: Patience, started: datetime, text: str, model: Model) -> None:
    elapsed = client.now() - started
    wait.notify(Step(text, elapsed))
    if elapsed >= wait.timeout:
        minutes = int(wait.timeout.total_seconds() // 60)
        raise RemoteError(
            f"`{model.name}` is not there after {minutes} minutes: {text}",
            "run the same command again to go on waiting",
        )
    wait.sleep(wait.poll_seconds)
