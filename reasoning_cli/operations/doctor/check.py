"""One check of `doctor`: how it went, and what several checks look at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reasoning_cli.errors import ConfigurationError, ExitCode, ReasoningError
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import MissingStoreError, Store, UnreachableError
from reasoning_cli.store.open import open_store
from reasoning_cli.values import Patience, with_patience

_PATIENCE = Patience(connect_seconds=3)


class Status(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, what to type about it, and the exit code if it failed."""

    name: str
    status: Status
    detail: str
    fix: str | None = None
    exit_code: ExitCode = ExitCode.OK


def ok(name: str, detail: str) -> Check:
    return Check(name, Status.OK, detail)


def warn(name: str, detail: str, fix: str | None = None) -> Check:
    return Check(name, Status.WARN, detail, fix)


def fail(name: str, detail: str, fix: str | None, exit_code: ExitCode = ExitCode.FAILED) -> Check:
    return Check(name, Status.FAIL, detail, fix, exit_code)


def failed(name: str, error: ReasoningError) -> Check:
    return fail(name, error.message, error.hint, error.exit_code)


def database_path(settings: Settings) -> Path | None:
    """The database file of this run, or beside which path its locks lie; None when the settings make no sense, which is
    shown among them."""
    try:
        settings.place()
        return settings.database()
    except ConfigurationError:
        return None


class ExistingStore:
    """The store as the checks look at it, if there is one: looking makes none. One that did not answer is not waited
    for again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._problem: UnreachableError | None = None

    def open(self) -> Store | None:
        """Raises what keeps it from being opened."""
        settings = self._settings
        if database_path(settings) is None:
            return None
        if self._problem is not None:
            raise self._problem
        place = settings.place()
        if isinstance(place, Path) and not place.exists():
            return None
        realm = "together" if settings.outside is None else "sandbox"
        try:
            return open_store(with_patience(place, _PATIENCE), realm, create=False, or_read=True)
        except MissingStoreError:
            return None
        except UnreachableError as problem:
            self._problem = problem
            raise
