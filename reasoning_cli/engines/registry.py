"""Engines by name: ours, and those that other packages bring under the entry point `reasoning.engines`.

Nothing of an engine is loaded before it is named, and no package is looked through for a name of ours.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from typing import TYPE_CHECKING, cast

from reasoning_cli.engines.clients import Answering, Cloud, ListingServer
from reasoning_cli.engines.engine import Access, Engine
from reasoning_cli.engines.features import CLOUD, Feature
from reasoning_cli.errors import ConfigurationError, ReasoningError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from reasoning_cli.engines.clients import Client

GROUP = "reasoning.engines"
TOGETHER = "together"  # the one that an account is kept with
OPENAI = "openai"  # a server of the operator's own
HEAD = "head"  # a classifier in this process, asked before another
_OURS = {
    TOGETHER: "reasoning_cli.engines.together.engine:TOGETHER",
    OPENAI: "reasoning_cli.engines.openai.engine:OPENAI",
    HEAD: "reasoning_cli.engines.head.engine:HEAD",
}


class BrokenEngineError(ConfigurationError):
    """A package of others is at fault: what does not need its engine goes on without it."""


def engine(name: str) -> Engine:
    """The engine of that name. Raises ConfigurationError for one that nobody brings, BrokenEngineError for one that
    cannot be loaded."""
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        return cast(Engine, getattr(import_module(module), attribute))
    found = [point for point in _entry_points() if point.name == name]
    if not found:
        known = engine_names()
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean `{near[0]}`? " if near else ""
        raise ConfigurationError(
            f"`{name}` is not an engine: there {'is' if len(known) == 1 else 'are'} {', '.join(known)}",
            f"{meant}a package that brings one is installed beside `reasoning`: `pip install PACKAGE`",
        )
    if len(found) > 1:
        packages = sorted(point.dist.name for point in found if point.dist)
        raise BrokenEngineError(
            f"several packages bring an engine `{name}`: {', '.join(packages)}", f"`pip uninstall {packages[-1]}`"
        )
    return _loaded(found[0])


def engine_names() -> tuple[str, ...]:
    """The names there are: ours first."""
    others = {point.name for point in _entry_points()} - _OURS.keys()
    return (*_OURS, *sorted(others))


def cloud(access: Access, name: str = TOGETHER) -> Cloud:
    """A connection to an engine that does it all, for the caller to close."""
    return cast(Cloud, _with(name, CLOUD).connect(access))


def answering(name: str, access: Access) -> Answering:
    """A connection to an engine that answers questions, for the caller to close."""
    return cast(Answering, _with(name, {Feature.ANSWER}).connect(access))


def listing_server(name: str, access: Access) -> ListingServer:
    """The same, to one that says what it serves."""
    return cast(ListingServer, _with(name, {Feature.ANSWER, Feature.LIST}).connect(access))


def _with(name: str, features: frozenset[Feature] | set[Feature]) -> Engine:
    """The engine of that name. Raises ConfigurationError where it lacks one of `features`."""
    found = engine(name)
    if lacking := sorted(features - found.features):
        raise ConfigurationError(f"{found.title} cannot {lacking[0]}", f"it can: {', '.join(sorted(found.features))}")
    return found


def _entry_points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points  # takes longer than most commands have to start

    return tuple(entry_points(group=GROUP))


def _loaded(point: EntryPoint) -> Engine:
    package = point.dist.name if point.dist else point.value
    try:
        with redirect_stdout(sys.stderr):  # stdout is for what a command answers
            found = point.load()
    except (Exception, SystemExit) as error:  # anything may stand in a package of others
        raise BrokenEngineError(
            f"the engine `{point.name}` of `{package}` cannot be loaded: {error or type(error).__name__}",
            f"`pip install --upgrade {package}`, or ask who makes it",
        ) from error
    if not _is_engine(found, point.name):
        raise BrokenEngineError(
            f"`{point.value}` of `{package}` is not an engine named `{point.name}`",
            "reasoning_cli.testing.engines.check_engine says what one needs",
        )
    return Theirs(cast(Engine, found), package)


class Theirs:
    """An engine of another package, which is in `module`: what goes wrong in it is its error, and not one of ours."""

    def __init__(self, engine: Engine, package: str) -> None:
        self._engine, self._package = engine, package
        self.module = type(engine).__module__
        self.name, self.title, self.features = engine.name, engine.title, engine.features

    def address(self, access: Access) -> str | None:
        with self._named("say where it answers"):
            found = self._engine.address(access)
            if found is not None and not isinstance(found, str):
                raise TypeError(f"{found!r} is not an address")
            return found

    def connect(self, access: Access) -> Client:
        with self._named("be connected to"):
            found = self._engine.connect(access)
            if not callable(getattr(found, "close", None)):
                raise TypeError("what it connects by cannot be closed")
            return found

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except ReasoningError:
            raise
        except (Exception, SystemExit) as error:
            raise BrokenEngineError(
                f"the engine `{self.name}` of `{self._package}` cannot {what}: {error or type(error).__name__}",
                f"`pip install --upgrade {self._package}`, or ask who makes it",
            ) from error


def _is_engine(found: object, name: str) -> bool:
    """Whether it is one of that name, with a title and features of ours."""
    try:
        return (
            not isinstance(found, type)
            and isinstance(found, Engine)
            and found.name == name
            and isinstance(found.title, str)
            and isinstance(found.features, frozenset)
            and found.features <= frozenset(Feature)
        )
    except Exception:  # a property of it may fail
        return False
