"""Send a folder of weights to Together: hash, ask where each part goes, send several at a time, make a revision.

What arrived is on record, so a run that broke off, or was killed, is gone on with by the same command.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar, cast

from reasoning_cli.engines.errors import LinkExpiredError, RequestRefusedError
from reasoning_cli.engines.weights import SentFile
from reasoning_cli.errors import DataError, NotFoundError, ReasoningError
from reasoning_cli.operations.weights.folder import Folder, read_folder
from reasoning_cli.operations.weights.upload import Patience, check_base, check_name, newest_revision, wait_until_valid
from reasoning_cli.operations.weights.upload_journal import Sent, UploadRecord, count_parts, open_record, record_path

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud, Uploading
    from reasoning_cli.engines.serving import Model, Revision
    from reasoning_cli.engines.weights import Storage

AT_ONCE = 8
_CHUNK_BYTES = 1024 * 1024
_TICK_SECONDS = 0.2
_RATE_SECONDS = 15.0
_LAST_SECONDS = 1.0  # that parts under way are given to notice the end
# So often in a row addresses are asked for anew without any part arriving.
_MOST_REFUSALS = 3

T = TypeVar("T")


@dataclass(frozen=True)
class LocalPlan:
    """What will be sent as which model; `model` is there when it was made before, `revision` is its newest weights.

    `may_be_there` says that its newest weights have the same files in the same sizes. `begun_bytes` were sent by an
    earlier run.
    """

    name: str
    folder: Folder
    base: Model
    kind: str
    model: Model | None
    revision: Revision | None
    may_be_there: bool
    begun_bytes: int


@dataclass(frozen=True)
class Moving:
    """How far reading or sending is: bytes, bytes a second of late, and the time the rest takes at that rate."""

    what: str
    done: int
    total: int
    rate: float

    @property
    def left(self) -> timedelta | None:
        return timedelta(seconds=(self.total - self.done) / self.rate) if self.rate else None


@dataclass
class Mover:
    """What a run is given beside Together: where records are, whom to tell how far it is, and the clocks.

    `arrived_bytes` is what a run that has ended leaves at Together.
    """

    records: Path
    notify: Callable[[Moving], None]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    arrived_bytes: int = 0


class _Stopped(Exception):
    """In a thread: the run has ended for another reason."""


@dataclass
class _Progress:
    """Bytes moved by all threads, and the rate of the last seconds."""

    what: str
    total: int
    mover: Mover
    stop: threading.Event = field(default_factory=threading.Event)
    done: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = deque([(self.mover.clock(), self.done)])

    def add(self, count: int) -> None:
        """Raises _Stopped when nothing more is wanted."""
        if self.stop.is_set():
            raise _Stopped
        with self._lock:
            self.done += count

    def notify(self) -> None:
        now, done = self.mover.clock(), self.done
        while len(self._seen) > 1 and now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        rate = max(0.0, (done - before) / (now - since)) if now > since else 0.0
        self._seen.append((now, done))
        self.mover.notify(Moving(self.what, done, self.total, rate))

    def sleep(self, seconds: float) -> None:
        """Between two attempts, in steps short enough to end soon after Ctrl-C."""
        while seconds > 0:
            self.add(0)
            self.mover.sleep(min(seconds, 0.5))
            seconds -= 0.5


def plan_local(client: Cloud, name: str, root: Path, base: str, kind: str, records: Path) -> LocalPlan:
    """Check folder, name and base, and look what an earlier run has done. Makes and sends nothing.

    Raises what `read_folder` does, and NotFoundError for a base on which nothing could be served afterwards.
    """
    check_name(name)
    found = check_base(client, base)
    folder = read_folder(root, kind, found.name)
    model = client.find_model_record(name)
    if model is None:
        return LocalPlan(name, folder, found, kind, None, None, False, 0)
    if model.base_model_id not in (None, found.id):
        raise ReasoningError(f"`{model.name}` exists already, on another base", "choose another name for this one")
    if client.uploads(model.id):
        raise ReasoningError(f"`{model.name}` is from elsewhere already", "choose another name for this one")
    revision = newest_revision(client, model)
    same = False
    if revision is not None and revision.status in ("SUCCESS", "PENDING"):
        there = {file.path: file.size_bytes for file in client.model_files(model, revision.revision_id)}
        same = there == {file.path: file.size for file in folder.files}
    begun = 0
    path = record_path(records, model.id)
    if path.exists():
        with open_record(path, folder.files) as record:
            begun = record.sent_bytes
    return LocalPlan(name, folder, found, kind, model, revision, same, begun)


def is_there(client: Uploading, plan: LocalPlan, mover: Mover) -> bool:
    """Whether the newest weights at Together are these, byte for byte. Reads the folder where the sizes say maybe."""
    if not plan.may_be_there or plan.model is None or plan.revision is None:
        return False
    there = {file.path: file.hash for file in client.model_files(plan.model, plan.revision.revision_id)}
    with open_record(record_path(mover.records, plan.model.id), plan.folder.files) as record:
        _hash(plan.folder, record, mover)
        same = there == {path: _digest(file.md5) for path, file in record.files.items()}
        if same:
            record.forget()
    return same


def run_local(client: Uploading, plan: LocalPlan, mover: Mover, patience: Patience) -> tuple[Model, Revision]:
    """Do what `plan` says, or go on with it; the model and its validated weights.

    Raises RemoteError when the network or the service gives up, DataError when a file changes meanwhile,
    ReasoningError when the weights are not valid.
    """
    model = plan.model or client.create_model(plan.name, plan.base.id, plan.kind)
    with open_record(record_path(mover.records, model.id), plan.folder.files) as record:
        try:
            _hash(plan.folder, record, mover)
            _ask_where(client, model, record, [file for file in record.files.values() if not file.is_begun])
            _send(client, model, plan.folder, record, mover)
        finally:
            mover.arrived_bytes = record.sent_bytes
        files = [
            SentFile(path, _digest(file.md5), None if file.is_there else file.upload_id, file.etags)
            for path, file in record.files.items()
        ]
        try:
            client.complete_files(model, files)
        except RequestRefusedError as refusal:
            record.forget()
            raise ReasoningError(
                f"Together does not take what was sent: {refusal.message}",
                "run the same command again: it sends again what Together does not have",
            ) from refusal
        record.forget()
    return model, wait_until_valid(client, model, patience)


@dataclass(frozen=True)
class AbortPlan:
    """An upload to take back: how many parts were sent, and whether the model goes, which it does without weights."""

    model: Model
    parts: int
    deletes_model: bool


def plan_abort(client: Uploading, name: str, records: Path) -> AbortPlan:
    """What `models upload NAME` began and did not finish; the folder is not needed. NotFoundError for nothing."""
    model = client.find_model_record(name)
    if model is None:
        raise NotFoundError(f"no model `{name}` was begun", "`reasoning models search` shows what there is")
    revision, fetched = newest_revision(client, model), client.uploads(model.id)
    path = record_path(records, model.id)
    if not path.exists() and (revision is not None or fetched):
        raise NotFoundError(f"no upload of `{model.name}` was begun from here and not finished", None)
    return AbortPlan(model, count_parts(path), revision is None and not fetched)


def run_abort(client: Uploading, plan: AbortPlan, records: Path) -> None:
    """Forget what was sent, and delete a model that has no weights. Raises ReasoningError while a run is at it."""
    with open_record(record_path(records, plan.model.id), ()) as record:
        if plan.deletes_model:
            client.delete_model(plan.model.id)
        record.forget()


def _hash(folder: Folder, record: UploadRecord, mover: Mover) -> None:
    """The MD5 of every part of every file that has none on record yet."""
    todo = [file for file in record.files.values() if not file.md5]
    progress = _Progress("reading", sum(file.file.size for file in todo), mover)

    def read(sent: Sent) -> None:
        md5 = []
        for number in range(1, sent.file.part_count + 1):
            digest = hashlib.md5(usedforsecurity=False)
            for chunk in _chunks(folder, sent, number, progress):
                digest.update(chunk)
            md5.append(digest.hexdigest())
        record.hashed(sent, md5)

    _in_parallel([partial(read, file) for file in todo], progress)


def _ask_where(client: Uploading, model: Model, record: UploadRecord, todo: Sequence[Sent]) -> None:
    """Addresses for the parts of files, or the word that a file is there already."""
    if not todo:
        return
    answers = client.begin_files(model.id, [(file.file.path, _digest(file.md5), file.file.part_count) for file in todo])
    by_path = {answer.path: answer for answer in answers}
    for sent in todo:
        links = by_path.get(sent.file.path)
        numbers = sorted(part.part_number for part in links.parts) if links else []
        if links is None or not (links.skip_upload or numbers == list(range(1, sent.file.part_count + 1))):
            raise ReasoningError(
                f"Together's plan for `{sent.file.path}` is not for its {sent.file.part_count} parts",
                "a newer `reasoning` may know it",
            )
        record.begun(sent, links)


def _send(client: Uploading, model: Model, folder: Folder, record: UploadRecord, mover: Mover) -> None:
    """Every part that is missing. Addresses that are no longer good are asked for anew, a file at a time."""
    total = sum(file.file.size for file in record.files.values())
    fruitless = 0
    with client.storage(AT_ONCE) as storage:
        while todo := [file for file in record.files.values() if file.missing]:
            _ask_where(client, model, record, [file for file in todo if not file.links])
            before = record.sent_bytes
            progress = _Progress("sending", total, mover, done=before)
            work = [
                partial(_send_part, storage, folder, record, file, number, progress)
                for file in todo
                for number in file.missing
            ]
            refusals = [refusal for refusal in _in_parallel(work, progress) if refusal is not None]
            arrived = record.sent_bytes > before
            fruitless = 0 if arrived else fruitless + 1
            if refusals and fruitless == _MOST_REFUSALS:
                raise refusals[0]


def _send_part(
    storage: Storage, folder: Folder, record: UploadRecord, sent: Sent, number: int, progress: _Progress
) -> LinkExpiredError | None:
    """Send one part, if its address is still good; else the refusal that says it is not."""
    if number not in sent.links:
        return None  # another part of this file was refused
    url, headers = sent.links[number]
    size, md5, counted = sent.file.part(number)[1], sent.md5[number - 1], 0

    def content() -> Iterator[bytes]:
        nonlocal counted
        progress.add(-counted)  # of an attempt that broke off
        counted, digest = 0, hashlib.md5(usedforsecurity=False)
        for chunk in _chunks(folder, sent, number, progress):
            digest.update(chunk)
            counted += len(chunk)
            if counted == size and digest.hexdigest() != md5:
                raise _changed(folder, sent)
            yield chunk

    try:
        etag = storage.put(url, headers, size, content, md5, progress.sleep)
    except LinkExpiredError as refusal:
        progress.add(-counted)
        record.refused(sent)
        return refusal
    record.arrived(sent, number, etag)
    return None


def _chunks(folder: Folder, sent: Sent, number: int, progress: _Progress) -> Iterator[bytes]:
    """The bytes of one part, never more than a chunk of them in memory."""
    offset, left = sent.file.part(number)
    path = folder.root / sent.file.path
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while left:
                chunk = file.read(min(_CHUNK_BYTES, left))
                if not chunk:
                    raise _changed(folder, sent)
                left -= len(chunk)
                progress.add(len(chunk))
                yield chunk
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror}") from error


def _changed(folder: Folder, sent: Sent) -> DataError:
    return DataError(
        f"`{folder.root / sent.file.path}` changed while it was sent",
        "run the same command again once it stays as it is",
    )


def _digest(md5: Sequence[str]) -> str:
    """A file's hash as Together has it: the MD5 of one part, or of the parts' MD5s, with their number."""
    if len(md5) == 1:
        return md5[0]
    joined = hashlib.md5(b"".join(bytes.fromhex(digest) for digest in md5), usedforsecurity=False)
    return f"{joined.hexdigest()}-{len(md5)}"


def _in_parallel(work: Sequence[Callable[[], T]], progress: _Progress) -> list[T]:
    """Do all, several at a time, telling how far it is. The first that fails, or Ctrl-C, stops the others.

    The threads are daemons: one that hangs on a dead connection does not keep the program from ending.
    """
    todo, lock = iter(enumerate(work)), threading.Lock()
    ended: SimpleQueue[tuple[int, T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        while not progress.stop.is_set():
            with lock:
                number, act = next(todo, (-1, None))
            if act is None:
                return
            try:
                ended.put((number, act(), None))
            except BaseException as problem:
                ended.put((number, None, problem))

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(AT_ONCE, len(work)))]
    results: dict[int, T] = {}
    notified_at = progress.mover.clock()
    try:
        for thread in threads:
            thread.start()
        while len(results) < len(work):
            with contextlib.suppress(Empty):
                number, result, problem = ended.get(timeout=_TICK_SECONDS)
                if problem is not None:
                    raise problem
                results[number] = cast(T, result)
            if progress.mover.clock() - notified_at >= _TICK_SECONDS or len(results) == len(work):
                progress.notify()
                notified_at = progress.mover.clock()
    finally:
        progress.stop.set()
        deadline = time.monotonic() + _LAST_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
    return [results[number] for number in range(len(work))]
