"""The head in line: its file as it is now, and what keeps it from answering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

from reasoning_cli import settings as s
from reasoning_cli.engines.head.model import Head
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.costs.ledger import Usage
from reasoning_cli.operations.deploy.own_server import engine_name, usable_server
from reasoning_cli.operations.deploy.slots import HEAD_PLACE, HEAD_TYPE, HeadSlot, SlotNow
from reasoning_cli.operations.deploy.status import HeadStatus, ModelStatus
from reasoning_cli.operations.deploy.switch import Switch, enabling
from reasoning_cli.paths import Paths
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.serving.heads import Heads
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import HEAD, HEAD_PREFIX, MODEL_TYPES, Mode, PromptForm, spell_model_type

# The newest file of each path that was read, known by its place on the disk, size and time.
_Identity = tuple[int, int, int]
_read: dict[Path, tuple[_Identity, Head | ReasoningError]] = {}


def load_head(paths: Paths, name: str) -> Head:
    """The head of this name. Raises NotFoundError where there is none, DataError for a file that cannot be used."""
    return Head.load(paths.head(name))


def head_in_line(settings: Settings) -> str | None:
    """The model of the head in line, `head/NAME`, whether or not it can answer; None where there is none."""
    name = settings.get(s.HEAD)
    return f"{HEAD_PREFIX}{name}" if name and HEAD_PLACE in (settings.get(s.LINE) or ()) else None


def models_without_deployment(settings: Settings) -> dict[str, list[str]]:
    """What answers each type by the settings alone: the head in line, and what the operator's own server serves."""
    head = head_in_line(settings)
    return {
        model_type: [name for name in (server and server.model, head if model_type == HEAD_TYPE else None) if name]
        for model_type in MODEL_TYPES
        for server, _ in (usable_server(settings, model_type),)
    }


def in_line(settings: Settings, store: Store, slots: Mapping[str, SlotNow]) -> Mapping[str, SlotNow]:
    """The slots with the head in line before its own, and that closed where the line has no place for its model."""
    line = settings.get(s.LINE)
    if line is None:
        return slots
    slot = slots[HEAD_TYPE]
    head = find_head(settings, store, slot) if HEAD_PLACE in line else None
    if set(line) == {HEAD_PLACE}:
        slot = replace(slot, closed="it is not in line", candidate=None, wakes=False)
    return {**slots, HEAD_TYPE: replace(slot, head=head)}


def enabling_head(settings: Settings, name: str, mode: Mode | None, share_percent: int | None) -> Switch:
    """Put a head before whoever is asked now; a mode or share that is None stays as it was. A share makes a canary.
    Raises UsageError for a share of what has none."""
    as_slot = enabling(HEAD_TYPE, mode, share_percent).changes
    line = settings.get(s.LINE)
    behind = (engine_name(settings, HEAD_TYPE),) if line is None else line
    changes: dict[s.Setting[object], str | None] = {
        s.LINE: ", ".join([HEAD_PLACE, *(place for place in behind if place != HEAD_PLACE)]),
        s.HEAD: name,
    }
    for own, of_slot in ((s.HEAD_MODE, s.MODE[HEAD_TYPE]), (s.HEAD_SHARE, s.SHARE[HEAD_TYPE])):
        if of_slot in as_slot:
            changes[own] = as_slot[of_slot]
    return Switch("enable_head", HEAD_TYPE, changes)


def disabling_head(settings: Settings) -> Switch:
    """The line without the head, as it is where nobody has set one."""
    left = [place for place in settings.get(s.LINE) or () if place != HEAD_PLACE]
    return Switch("disable_head", HEAD_TYPE, {s.LINE: ", ".join(left) or None})


def head_status(settings: Settings, store: Store) -> ModelStatus:
    """The head in line as a line of `models`."""
    name, mode = settings.get(s.HEAD), settings.get(s.HEAD_MODE)
    in_line = Heads(store).get(f"{HEAD_PREFIX}{name}") if name else None
    problem = _load(settings.paths.head(name))[1] if name else "no head is chosen"
    if problem is None and in_line is not None and in_line.out_at is not None:
        problem = f"taken out: {in_line.why}"
    share = settings.get(s.HEAD_SHARE) if mode is Mode.CANARY else None
    return HeadStatus(
        f"{HEAD_PREFIX}{name or ''}",
        None,
        None,
        problem or f"{mode}, in line for {spell_model_type(HEAD_TYPE)}",
        None,
        Usage(),
        None,
        mode=mode,
        share_percent=share,
        is_out=problem is not None,
    )


def find_head(settings: Settings, store: Store, slot: SlotNow) -> HeadSlot:
    """The head before a slot, as settings, log and its file have it. Never raises for a file that cannot be used."""
    get = settings.get
    name = get(s.HEAD)
    model = f"{HEAD_PREFIX}{name}" if name else None
    path = settings.paths.head(name) if name else None
    in_line = Heads(store).get(model) if model else None
    head, problem, at = _load(path)
    closed = None
    if not get(s.GATEWAY_ENABLED) or not get(s.ENABLED[slot.model_type]):
        closed = slot.closed
    elif name is None:
        closed, problem = "no head is chosen", "no head is chosen: `reasoning models enable head/NAME`"
    elif problem is not None:
        closed = "its file cannot be used"
    elif in_line is not None and in_line.out_at is not None:
        closed, problem = "it was taken out", f"taken out: {in_line.why}"
    elif not slot.collect:
        closed, problem = "decisions are not collected", "decisions are not collected: nobody could audit it"
    own = {field.name: getattr(slot, field.name) for field in fields(SlotNow)}
    return HeadSlot(
        **own
        | {
            "url": None,
            "api_key": None,
            "model": model,
            "mode": get(s.HEAD_MODE),
            "share_percent": get(s.HEAD_SHARE),
            "closed": closed,
            "deployment_key": None,
            "wakes": False,
            "prompt_form": PromptForm.EXACT,
            "candidate": None,
            "watched": False,
            "head": None,
        },
        judge=head if closed is None else None,
        audit_percent=get(s.AUDIT_PERCENT),
        problem=problem,
        since=in_line.since if in_line is not None else at,
    )


def _load(path: Path | None) -> tuple[Head | None, str | None, datetime | None]:
    """(the head, why it cannot be used, the time of its file); read again only where the file is another."""
    if path is None:
        return None, None, None
    try:
        there = path.stat()
    except OSError as error:
        return None, f"`{path}` cannot be read: {(error.strerror or 'no reason given').lower()}", None
    identity = (there.st_ino, there.st_size, there.st_mtime_ns)
    known = _read.get(path)
    if known is None or known[0] != identity:
        known = _read[path] = (identity, _loaded(path))
    found, at = known[1], datetime.fromtimestamp(there.st_mtime, UTC)
    if isinstance(found, ReasoningError):
        return None, found.message, at
    if found.model_type != "should_respond":
        return None, f"`{path}` was trained for {found.model_type}", at
    return found, None, at


def _loaded(path: Path) -> Head | ReasoningError:
    try:
        return Head.load(path)
    except ReasoningError as error:
        return error
    except Exception as error:  # whatever a damaged file holds, the next one may be good
        from reasoning_cli.errors import DataError

        return DataError(f"`{path}` is damaged: {type(error).__name__}")


def waiting_head(store: Store) -> TrainingRun | None:
    """The run of the newest head, where nobody has put it in line or begun to yet, and nothing speaks against it."""
    runs = [run for run in TrainingRuns(store).all(HEAD_TYPE) if run.method == HEAD and run.model_name]
    if not runs or runs[-1].problem is not None:
        return None
    name = runs[-1].model_name or ""
    seen = Heads(store).get(name) is not None
    return None if seen or any(promotion.model == name for promotion in Promotions(store).all(HEAD_TYPE)) else runs[-1]
