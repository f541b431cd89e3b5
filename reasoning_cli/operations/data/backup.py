"""Copies of the database that can be put back, and the database written anew without gaps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reasoning_cli.errors import DataError, NotFoundError, UsageError
from reasoning_cli.operations.data.erasure import forget_again
from reasoning_cli.paths import make_private_dir
from reasoning_cli.store.backup import (
    BackupSeen,
    CopyFacts,
    Progress,
    check_copy,
    compact_database,
    copy_database,
    copy_facts,
    draft_of,
    put_in_place,
    refuse_if_used,
    remember_backup,
    silent,
)
from reasoning_cli.store.database import Store
from reasoning_cli.store.migrations import VERSION
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.transfer import transfer
from reasoning_cli.values import DatabaseAddress


@dataclass(frozen=True)
class RestorePlan:
    """What `data restore` puts back: what the copy holds, what is there now (None: nothing), and where that goes."""

    copy: Path
    database: Path
    facts: CopyFacts
    present: CopyFacts | None
    aside: Path


@dataclass(frozen=True)
class Vacuumed:
    """The size of the database before and after."""

    before_bytes: int
    after_bytes: int


def back_up(
    store: Store, out: Path, now: datetime, *, force: bool = False, on_progress: Progress = silent
) -> CopyFacts:
    """Copy the database to `out` while others go on writing; what the copy holds. An existing file needs `force`."""
    if out.is_dir():
        raise UsageError(f"`{out}` is a folder", "name a file inside it")
    if out.exists() and not out.is_file():
        raise UsageError(f"`{out}` is not a file that could be replaced", "name a file")
    if is_part_of(out, store.path):
        raise UsageError(f"`{out}` is the database itself", "name another file")
    if (out.exists() or out.is_symlink()) and not force:
        raise UsageError(f"`{out}` exists", "name another file, or add --force to replace it")
    if not isinstance(store.place, Path):
        return _back_up_rows(store, out, now, on_progress)
    if store.read_only_for is not None:
        copy_database(store.path, out, on_progress, connection=store.connection)
        return copy_facts(out)
    copy_database(store.path, out, on_progress)
    remember_backup(store, BackupSeen(now, out.absolute()))
    return copy_facts(out)


def _back_up_rows(store: Store, out: Path, now: datetime, on_progress: Progress) -> CopyFacts:
    """A file with all that a database of another kind holds at one moment, compared with it row by row before it takes
    its name."""
    with draft_of(out) as draft:
        with open_store(draft, store.realm) as target, store.snapshot():
            transfer(store, target, lambda doing, done, total: on_progress(doing, done / max(1, total)))
            target.shorten_log()
        check_copy(draft, on_progress)
    if store.read_only_for is None:
        remember_backup(store, BackupSeen(now, out.absolute()))
    return copy_facts(out)


def require_file(place: Path | DatabaseAddress, hint: str) -> Path:
    """The file of a store. Raises UsageError for one on PostgreSQL, where the server does what is asked for."""
    if not isinstance(place, Path):
        raise UsageError("this is for a store in a file, and yours is on PostgreSQL", hint)
    return place


def plan_restore(place: Path | DatabaseAddress, realm: str, copy: Path, now: datetime) -> RestorePlan:
    """What putting a copy back would do; raises for a file that is none, or not of this realm."""
    database = require_file(place, f"into an empty schema: `reasoning store copy {copy} postgresql://…`")
    if not copy.exists():
        raise NotFoundError(f"there is no file `{copy}`", "give one that `reasoning data backup` wrote")
    if not copy.is_file():
        raise UsageError(f"`{copy}` is not a file", "give one that `reasoning data backup` wrote")
    if is_part_of(copy, database):
        raise UsageError(f"`{copy}` is the database itself", "give one that `reasoning data backup` wrote")
    facts = copy_facts(copy)
    if facts.problem is not None:
        raise DataError(f"`{copy}` {facts.problem}", "nothing was changed; give one that `reasoning data backup` wrote")
    if facts.realm != realm:
        raise DataError(f"`{copy}` holds {facts.realm} data, not {realm} data; the two never mix", "give another copy")
    present = None
    if database.exists():
        refuse_if_used(database)
        present = copy_facts(database)
    aside = database.with_name(f"{database.name}.before-restore-{now:%Y%m%d-%H%M%S}")
    return RestorePlan(copy, database, facts, present, aside)


def run_restore(
    plan: RestorePlan, now: datetime, *, include_forgotten: bool = False, on_progress: Progress = silent
) -> int | None:
    """Put the copy in place of the database, which is kept beside it. Raises DataError while anybody uses that.

    What was deleted on request since the copy was made is deleted from it, unless it is wanted; how many samples, None
    where the database was broken and does not tell.
    """
    make_private_dir(plan.database.parent)
    put_in_place(plan.copy, plan.database, plan.aside, on_progress)
    if include_forgotten or plan.present is None or plan.present.schema_version < VERSION:
        return 0

    def notify(doing: str, count: int) -> None:
        on_progress(doing, min(1.0, count / max(1, plan.facts.samples)))

    with open_store(plan.database, plan.facts.realm, create=False) as store:
        try:
            with open_store(plan.aside, plan.facts.realm, create=False) as since:
                if not Forgotten(store).take_over(Forgotten(since)):
                    return 0
        except DataError:
            return None
        return forget_again(store, now, on_progress=notify)


def vacuum(place: Path | DatabaseAddress, realm: str, on_progress: Progress = silent) -> Vacuumed:
    """Write the database anew without gaps; sizes before and after. Raises DataError while anybody uses it."""
    database = require_file(place, "the server vacuums by itself; `VACUUM (FULL, ANALYZE)` in psql writes tables anew")
    with open_store(database, realm, create=False) as store:
        before = store.size_bytes()
    compact_database(database, on_progress)
    return Vacuumed(before, database.stat().st_size)


def is_part_of(path: Path, database: Path) -> bool:
    """Whether `path` is the database or one of the files that belong to it."""
    family = [database, *(database.with_name(f"{database.name}{end}") for end in ("-wal", "-shm", ".lock", ".guard"))]
    return any(
        path.absolute() == file.absolute() or (path.exists() and file.exists() and path.samefile(file))
        for file in family
    )
