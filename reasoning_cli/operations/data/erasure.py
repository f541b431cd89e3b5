"""Removal on request: every sample of a room, a person or an agent, or with a text, and where copies of it went."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from reasoning_cli.decisions.answers import escape
from reasoning_cli.decisions.turns import texts_of
from reasoning_cli.errors import ReasoningError, UsageError
from reasoning_cli.operations.data.archive.erase import ArchivePart, Fits, erase_from_archive, find_in_archives
from reasoning_cli.operations.data.ingest.chat_jsonl import ORIGIN as CHAT_FILE
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.archives import known_archives
from reasoning_cli.store.samples.exports import ExportRecord, exports_holding
from reasoning_cli.store.samples.rewrite import beside, erasing
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from reasoning_cli.store.train.runs import TrainingRuns
from reasoning_cli.values import HEAD

_BATCH = 200


@dataclass(frozen=True)
class Request:
    """Whose data goes: samples that fit any of what is given.

    `entity` took part: it is the sample's own, or its id stands anywhere in prompt or answer. `text` is looked for
    in every text of a sample and its labels, whatever the case of its letters.
    """

    room: str | None = None
    entity: str | None = None
    agent: str | None = None
    text: str | None = None
    sample_id: str | None = None


@dataclass(frozen=True)
class ForgetPlan:
    """The samples that go, by their `seq`, what goes of archives, and the exports that hold some of either with how
    many."""

    request: Request
    numbers: Sequence[int]
    by_type: Mapping[str, int]
    oldest: datetime | None
    newest: datetime | None
    exports: tuple[tuple[ExportRecord, int], ...]
    archives: ArchivePart = field(default_factory=ArchivePart)


@dataclass(frozen=True)
class ForgetReport:
    """How many samples are gone from the log and from archives; `is_erased` is False while another program keeps the
    write-ahead log. `left` are archives that it could not reach, with why."""

    deleted: int
    is_erased: bool
    archived: int = 0
    left: tuple[tuple[str, str], ...] = ()


def plan_forget(
    store: Store, request: Request, *, on_progress: Callable[[int], None] = lambda looked_at: None
) -> ForgetPlan:
    """Find what goes; `entity` and `text` mean reading the whole log. UsageError for a request that names nothing."""
    given = [value for value in vars(request).values() if value is not None]
    if not given or any(not value.strip() for value in given):
        raise UsageError("nothing to forget is named", "give --room, --entity, --agent, --text or --id")
    numbers, by_type = array("q"), Counter[str]()
    oldest = newest = None
    for sample in _matching(store, request, on_progress):
        numbers.append(sample.seq)
        by_type[sample.model_type] += 1
        oldest = sample.created_at if oldest is None else min(oldest, sample.created_at)
        newest = sample.created_at if newest is None else max(newest, sample.created_at)
    archives = (
        find_in_archives(store, _test(request), on_progress=on_progress) if known_archives(store) else ArchivePart()
    )
    every = {*numbers}.union(*(archive.numbers for archive in archives.found))
    exports = tuple((record, len(held)) for record, held in exports_holding(store, every)) if every else ()
    return ForgetPlan(request, numbers, dict(by_type.most_common()), oldest, newest, exports, archives)


def run_forget(
    store: Store,
    plan: ForgetPlan,
    now: datetime,
    *,
    on_progress: Callable[[int], None] = lambda gone: None,
) -> ForgetReport:
    """Delete what was planned with its labels, so that it is gone from the file, and keep that it was asked for.

    No import brings it back: neither these samples nor others of that room, entity or agent from before `now`. The
    event names the room, entity, agent or sample, but never the text. Cut off, the same request goes on.
    """
    request, forgotten = plan.request, Forgotten(store)
    detail: dict[str, object] = {
        name: value for name, value in vars(request).items() if value is not None and name != "text"
    }
    if request.text is not None:
        detail["text"] = "not kept"
    detail |= {
        "samples": len(plan.numbers),
        **({"archived": plan.archives.count} if plan.archives.count else {}),
        "by_type": dict(plan.by_type),
        "exports": [record.path for record, _ in plan.exports],
    }
    Events(store).add(Event(now, "operator", "forget", "training log", detail))
    _mark_heads(store, plan, now)
    forgotten.request(now, room=request.room, entity=request.entity, agent=request.agent)
    with erasing(store) as step:
        deleted = forgotten.delete(step, plan.numbers, now, on_progress)
    is_erased = store.is_log_cut()  # what is noted of archives from here on has no text
    archived, left = 0, list(plan.archives.out_of_reach)
    for archive in plan.archives.found:
        if not archive.files and not archive.unnamed:
            continue
        try:
            archived += erase_from_archive(store, archive, _test(request), now)
        except ReasoningError as error:
            left.append((archive.address, error.message))
    return ForgetReport(deleted, is_erased, archived, tuple(left))


def _mark_heads(store: Store, plan: ForgetPlan, now: datetime) -> None:
    """Say of the heads that learned from what goes that they are stale: they are here, and can be trained anew."""
    runs = TrainingRuns(store)
    held = {export.sha256: count for export, count in plan.exports}
    for run in runs.of_files(held.keys()):
        if run.method == HEAD:
            count = held.get(run.train_sha256 or "", 0) + held.get(run.validation_sha256 or "", 0)
            runs.update(run.number, at=now, problem=f"stale: {count:,} of its decisions were deleted on request")


def forget_again(
    store: Store, now: datetime, *, on_progress: Callable[[str, int], None] = lambda doing, count: None
) -> int:
    """Delete what the log knows to be forgotten and holds all the same, as one that was put back may; how many.

    `on_progress` gets what is going on, and the samples looked at or gone so far.
    """
    forgotten, numbers, after, looked_at = Forgotten(store), array("q"), None, 0
    while batch := list(islice(Samples(store).iterate(after=after), _BATCH)):
        after = batch[-1].seq
        gone = forgotten.among((sample, None if sample.origin == CHAT_FILE else sample.created_at) for sample in batch)
        numbers.extend(sample.seq for sample in batch if sample.id in gone)
        looked_at += len(batch)
        on_progress("looking for what was forgotten", looked_at)
    if not numbers:
        return 0
    Events(store).add(Event(now, "operator", "forget_again", "training log", {"samples": len(numbers)}))
    with erasing(store) as step:
        return forgotten.delete(step, numbers, now, lambda count: on_progress("deleting what was forgotten", count))


def _matching(store: Store, request: Request, on_progress: Callable[[int], None]) -> Iterator[Sample]:
    samples = Samples(store)
    if request.entity is None and request.text is None:
        seen: set[int] = set()
        filters = []
        if request.room is not None:
            filters.append(SampleFilter(room=request.room))
        if request.agent is not None:
            filters.append(SampleFilter(agent=request.agent))
        for wanted in filters:
            for sample in samples.iterate(wanted):
                if sample.seq not in seen:
                    seen.add(sample.seq)
                    yield sample
        named = samples.get(request.sample_id) if request.sample_id is not None else None
        if named is not None and named.seq not in seen:
            yield named
        return
    fits, after, looked_at = _test(request), None, 0
    # No query stays open over the whole of a large log, which would keep the write-ahead log growing.
    while batch := list(islice(samples.iterate(after=after), _BATCH)):
        after = batch[-1].seq
        belonging = beside(store, batch)
        for sample in batch:
            texts = [text for row in belonging.get(sample.seq, ()) for text in row.texts.values()]
            if fits(sample, texts):
                yield sample
        looked_at += len(batch)
        on_progress(looked_at)


def _test(request: Request) -> Fits:
    wanted = request.text.casefold() if request.text is not None else None
    # In an answer's XML the same words may be written with entities.
    escaped = escape(wanted or "")
    quoted = escaped.replace('"', "&quot;").replace("'", "&apos;")
    spellings = tuple(dict.fromkeys([wanted, escaped, quoted])) if wanted is not None else ()

    def holds(text: str | None) -> bool:
        return text is not None and any(spelling in text.casefold() for spelling in spellings)

    def fits(sample: Sample, more: Sequence[str]) -> bool:
        if request.room is not None and sample.room_id == request.room:
            return True
        if request.agent is not None and request.agent in (sample.agent_id, sample.agent_name):
            return True
        if request.sample_id is not None and sample.id == request.sample_id:
            return True
        entity = request.entity
        named = (sample.entity_id, sample.spoke_before, *json.loads(sample.reply_targets or "[]"))
        if entity is not None and (entity in named or entity in sample.prompt or entity in sample.output):
            return True
        if wanted is None:
            return False
        plain = (sample.prompt, sample.output, sample.system, sample.corrected, sample.feedback, sample.agent_name)
        said = texts_of(sample.conversation)
        return (
            any(map(holds, plain))
            or any(map(holds, said))
            or any(map(holds, more))
            or holds(str(dict(sample.metadata)))
        )

    return fits
