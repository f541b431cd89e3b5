"""What an operator does with a service: look at it, switch slots, label samples, export them.

Plain functions over a service's account, each with a connection of its own; they wait on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError, UsageError
from reasoning_cli.gateway.account import ledger_now
from reasoning_cli.library.results import TYPES, ExportResult, ServiceStatus, TypeStatus
from reasoning_cli.operations.deploy.status import model_statuses
from reasoning_cli.operations.deploy.switch import Switch, apply, disabling, enabling
from reasoning_cli.store.samples.rooms import Rooms
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from reasoning_cli.values import MODEL_TYPES, parse_mode, parse_model_type

if TYPE_CHECKING:
    from reasoning_cli.library.core import Core
    from reasoning_cli.settings import Settings
    from reasoning_cli.store.database import Store

_LONGEST_OUTCOME = 60


@contextmanager
def _opened(core: Core) -> Iterator[tuple[Settings, Store]]:
    settings = core.account.settings()
    with core.account.open_store(settings) as store:
        yield settings, store


def status(core: Core) -> ServiceStatus:
    """How the service does now. Raises ConfigurationError, DataError."""
    core.book.look()
    view = core.book.view
    with _opened(core) as (settings, store):
        get = settings.get
        at = ledger_now(store, in_sandbox=settings.outside is not None)
        models = {model_type: get(setting) for model_type, setting in s.MODEL.items()}
        enabled = {model_type: get(setting) for model_type, setting in s.ENABLED.items()}
        lines = {line.model_type: line for line in model_statuses(store, models, enabled, at)}
        counts = {name: Samples(store).count(SampleFilter(model_types=(name,))) for name in MODEL_TYPES}
    types = []
    for model_type in TYPES:
        slot, line = view.slots[model_type], lines[model_type]
        if slot.closed is not None and slot.head is not None and slot.head.closed is None:
            slot = slot.head
        types.append(
            TypeStatus(
                model_type,
                enabled[model_type],
                slot.mode.value,
                slot.share_percent,
                slot.model,
                slot.closed,
                core.circuit(model_type),  # type: ignore[arg-type]
                counts[model_type],
                core.answered(model_type, "slot") + core.answered(model_type, "head"),
                core.answered(model_type, "fallback"),
                core.answered(model_type, "original"),
                None if line.record is None else line.usage.cents,
            )
        )
    recorded = core.recorder.figures
    return ServiceStatus(
        tuple(types),
        view.profile,
        view.sandbox,
        settings.database(),
        core.opened_at,
        recorded.dropped,
        core.book.problem or recorded.last_error,
    )


def enable(core: Core, model_type: str, mode: str | None, share_percent: int | None, asked_by: str = "") -> TypeStatus:
    """Let decisions of a type go to its model. Raises UsageError, and ConfigurationError where a variable hides it."""
    try:
        wanted = None if mode is None else parse_mode(mode)
    except ValueError as error:
        raise UsageError(f"`{mode}` {error}") from None
    return _switched(core, enabling(parse_model_type(model_type), wanted, share_percent), asked_by)


def disable(core: Core, model_type: str, asked_by: str = "") -> TypeStatus:
    """Send decisions of a type to the baseline. Raises ConfigurationError where a variable hides it."""
    return _switched(core, disabling(parse_model_type(model_type)), asked_by)


def _switched(core: Core, switch: Switch, asked_by: str) -> TypeStatus:
    with _opened(core) as (settings, store):
        at = ledger_now(store, in_sandbox=settings.outside is not None)
        hiding = apply(switch, settings, store, at, asked_by=asked_by)
    if hiding:
        raise ConfigurationError(
            f"{hiding[0]} says otherwise, and wins over the settings file", f"unset {hiding[0]}, or change it there"
        )
    return status(core).of(switch.model_type)


def label(
    core: Core, sample_id: str, label: str | None, answer: str | None, decision: str | None, note: str | None, by: str
) -> None:
    """Say of a decision whether it was good. Raises NotFoundError, UsageError, DataError."""
    from reasoning_cli.operations.data.labels import Verdict, label_samples

    with _opened(core) as (_, store):
        label_samples(store, [sample_id], Verdict(label, answer, decision, note), at=datetime.now(UTC), by=by)


def outcome(core: Core, sample_id: str, what: str) -> None:
    """Say what came of a decision. Raises NotFoundError, UsageError."""
    text = what.strip()
    if not text or len(text) > _LONGEST_OUTCOME:
        raise UsageError("an outcome is a word or a few", f"`answered`, `stopped`; at most {_LONGEST_OUTCOME} signs")
    with _opened(core) as (_, store):
        Rooms(store).set_feedback([(_found(store, sample_id).seq, text)])


def outcomes(core: Core, came: Sequence[tuple[str, str]]) -> None:
    """The same of several, by their ids; those that were not stored are passed over."""
    with _opened(core) as (_, store):
        found = ((Samples(store).get(sample_id), what) for sample_id, what in came)
        Rooms(store).set_feedback([(sample.seq, what) for sample, what in found if sample is not None])


def _found(store: Store, sample_id: str) -> Sample:
    from reasoning_cli.operations.data.browse import find_sample

    return find_sample(store, sample_id)


def export(
    core: Core,
    path: str | Path,
    model_types: Sequence[str],
    *,
    since: datetime | None,
    until: datetime | None,
    label: str | None,
    split: Sequence[float],
    redact: bool,
    overwrite: bool,
) -> ExportResult:
    """Write samples as a file to fine-tune on. Raises DataError, UsageError and ReasoningError, and then writes
    nothing."""
    from reasoning_cli.operations.data.export.render import Rules
    from reasoning_cli.operations.data.export.run import ExportRequest, export_samples, new_salt

    with _opened(core) as (settings, store):
        done = export_samples(
            store,
            Path(path),
            ExportRequest(
                SampleFilter(tuple(map(parse_model_type, model_types)), since=since, until=until, label=label),
                Rules(
                    forms={name: str(settings.get(s.PROMPT_FORM[name])) for name in MODEL_TYPES},
                    max_tokens={name: settings.get(s.WINDOW_TOKENS[name]) for name in MODEL_TYPES},
                    salt=new_salt() if redact else None,
                ),
                split=tuple(split),
            ),
            now=datetime.now(UTC),
            overwrite=overwrite,
        )
    return ExportResult(
        tuple(file.path for file in done.files if file.path is not None),
        done.manifest,
        done.written,
        dict(done.by_type),
        dict(done.left_out),
        dict(done.redactions),
    )
