"""What one run works with: settings, terminal, client, store. Built here, once, when first needed, and handed on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, cast

import typer

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.paths import DEFAULT_PROFILE, PROFILE_VARIABLE, Paths, chosen_profile, find_paths
from reasoning_cli.redact import redact
from reasoning_cli.settings import Settings, checked, environment, naming_store, read_settings
from reasoning_cli.terminal.console import Color, Terminal

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud
    from reasoning_cli.operations.costs.budget import Limits
    from reasoning_cli.operations.deploy.status import SlotUse
    from reasoning_cli.operations.sandbox import RunningSandbox
    from reasoning_cli.store.database import Store
    from reasoning_cli.terminal.prompts import Prompter


@dataclass
class Session:
    """One run of the program."""

    terminal: Terminal
    flags: dict[str, str] = field(default_factory=dict)
    profile: str | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    prompter: Prompter = field(default_factory=lambda: _prompter())
    _is_said_to_be_sandbox: bool = field(default=False, init=False, repr=False)

    @classmethod
    def start(
        cls,
        *,
        profile: str | None,
        sandbox: bool,
        database: str | None,
        plain_http: bool,
        verbosity: int,
        color: Color,
    ) -> Session:
        """The session of this process. Reads nothing yet. Raises UsageError for a profile that cannot be."""
        environ = environment()
        terminal = Terminal(environ=environ, color=color)
        _log_to(terminal, verbosity)
        flags = {}
        if sandbox:
            flags[s.SANDBOX.name] = "true"
        if database is not None:
            flags |= naming_store(database)
        if plain_http:
            flags[s.PLAIN_HTTP.name] = "true"
        session = cls(terminal, flags, profile)
        # Before settings are read: an error of the line that was typed names a command too.
        terminal.command = " ".join(("reasoning", *session._profile_options, *(("--sandbox",) if sandbox else ())))
        return session

    @property
    def _profile_options(self) -> tuple[str, ...]:
        environ = environment()
        if chosen := chosen_profile(environ, self.profile):
            return "--profile", chosen
        overruled = bool(environ.get(PROFILE_VARIABLE, "").strip())
        return ("--profile", DEFAULT_PROFILE) if overruled else ()

    @property
    def global_options(self) -> tuple[str, ...]:
        """The options that lead another run to the same account and data, by the same ways."""
        plain = ("--allow-plain-http",) if s.PLAIN_HTTP.name in self.flags else ()
        return (*self._profile_options, *(("--sandbox",) if self.in_sandbox else ()), *plain)

    @property
    def database_option(self) -> list[str]:
        """The option that leads another run to the same store, where one was given."""
        named = self.flags.get(s.STORE_URL.name) or self.flags.get(s.STORE_PATH.name)
        return [f"--db={named}"] if named else []

    @cached_property
    def settings(self) -> Settings:
        """Every setting of this run; in the sandbox this says so, each time."""
        return checked(self.settings_as_found)

    @cached_property
    def settings_as_found(self) -> Settings:
        """The same without a look at what is wrong with them, for `config` and `doctor`."""
        environ = environment()
        settings = read_settings(self.paths, environ, self.flags)
        if settings.outside is not None:
            from reasoning_cli.operations.sandbox import KEY

            self.terminal.command = " ".join(("reasoning", *self._profile_options, "--sandbox"))
            if not self._is_said_to_be_sandbox:  # once, however often settings are read
                self._is_said_to_be_sandbox = True
                self.terminal.note("sandbox: nothing here is real, and nothing costs money")
            settings.flags.setdefault(s.API_KEY.name, KEY)
        return settings

    @cached_property
    def paths(self) -> Paths:
        """Where the files of this run's profile are, in the sandbox or not. A profile that is new is told: it may be
        mistyped."""
        paths = find_paths(environment(), self.profile)
        if paths.profile and not paths.config_file.parent.exists() and not paths.data_dir.exists():
            self.terminal.note(f"profile {paths.profile} is new: nothing is set and nothing is known in it")
        return paths

    def read_settings_again(self) -> None:
        """After they were changed."""
        self.__dict__.pop("settings", None)
        self.__dict__.pop("settings_as_found", None)

    @property
    def in_sandbox(self) -> bool:
        return self.settings.get(s.SANDBOX)

    @property
    def client(self) -> Cloud:
        """The connection to Together, or to the sandbox, which is started when it does not run.

        Where there is no key it is the first call that raises ConfigurationError, and not this: a command that turns
        out to ask nothing works without.
        """
        try:
            return self._connected
        except ConfigurationError as problem:
            return cast("Cloud", _Unconnected(problem))

    @cached_property
    def _connected(self) -> Cloud:
        settings = self.settings
        if self.in_sandbox:
            from reasoning_cli.engines import registry
            from reasoning_cli.engines.engine import Access

            return registry.cloud(Access(self.start_sandbox().url, settings.get(s.API_KEY) or "", sleep=self.sleep))
        key = settings.get(s.API_KEY)
        if key is None and settings.paths.profile:
            raise ConfigurationError(
                f"no Together API key is set in profile `{settings.paths.profile}`",
                "`reasoning setup` asks for it; a profile keeps it in its own file, and no variable stands in for it",
            )
        if key is None:
            raise ConfigurationError(
                "no Together API key is set",
                "`reasoning setup` asks for it; or export TOGETHER_API_KEY=…; or try it free: `reasoning --sandbox …`",
            )
        return self.connect(key)

    def start_sandbox(self) -> RunningSandbox:
        """The embedded sandbox, which says when it is started how its time passes."""
        from reasoning_cli.operations.sandbox import find_sandbox, start_sandbox

        state, speed = self.settings.paths.sandbox_state, self.settings.get(s.SANDBOX_SPEED)
        if find_sandbox(state) is None:
            self.terminal.note(
                f"sandbox: started; its clock runs {speed:f} times as fast as yours (sandbox.speed), but an idle model"
                " is stopped after ten of your minutes at the earliest"
            )
        sandbox = start_sandbox(state, speed)
        logging.getLogger(__name__).info("sandbox at %s, clock at %sx", sandbox.url, sandbox.speed)
        return sandbox

    def connect(self, key: str) -> Cloud:
        """A connection to Together with another key, to try it; the caller closes it. Raises ConfigurationError for an
        address that must not get it."""
        from reasoning_cli.engines import registry
        from reasoning_cli.engines.engine import Access

        settings = self.settings.with_key(key)
        return registry.cloud(Access(settings.get(s.BASE_URL), key, settings.get(s.PROJECT_ID), sleep=self.sleep))

    @property
    def poll_seconds(self) -> float:
        """How long to wait between two looks; the sandbox's hours are short."""
        seconds = self.settings.get(s.POLL_SECONDS)
        if self.in_sandbox:
            seconds = max(seconds / max(self.settings.get(s.SANDBOX_SPEED), Decimal(1)), seconds / 50)
        return float(seconds)

    @cached_property
    def store(self) -> Store:
        """The training log and ledger of this run; on a disk that is full or cannot be written, to be read alone."""
        from reasoning_cli.store.open import open_store

        realm = "sandbox" if self.in_sandbox else "together"
        return open_store(self.settings.place(), realm, or_read=True)

    @property
    def is_without_together(self) -> bool:
        """Whether there is no key of Together and nothing there, and models run on the operator's own servers, were
        trained here, or are to be by themselves: what would look at Together first, shows what is known here."""
        from reasoning_cli.store.deploy.deployments import Deployments
        from reasoning_cli.store.train.auto_loops import Loops
        from reasoning_cli.store.train.runs import TrainingRuns
        from reasoning_cli.values import TOGETHER

        if self.in_sandbox or self.settings.get(s.API_KEY) is not None or Deployments(self.store).live():
            return False
        runs, loops = TrainingRuns(self.store).all(), Loops(self.store).all()
        engines = {*(run.engine for run in runs), *(loop.engine for loop in loops)}
        return any(use.provider_url for use in self.uses.values()) or bool(engines - {TOGETHER})

    @property
    def models(self) -> dict[str, str]:
        """The model set for each model type."""
        return {model_type: self.settings.get(setting) for model_type, setting in s.MODEL.items()}

    @property
    def enabled(self) -> dict[str, bool]:
        """Whether each model type may be answered by our models."""
        return {model_type: self.settings.get(setting) for model_type, setting in s.ENABLED.items()}

    @property
    def uses(self) -> dict[str, SlotUse]:
        """What the gateway makes of each slot's model, and of one that is served elsewhere."""
        from reasoning_cli.operations.deploy.own_server import usable_server
        from reasoning_cli.operations.deploy.status import SlotUse

        get = self.settings.get
        servers = {model_type: usable_server(self.settings, model_type) for model_type in s.MODE}
        places = {
            model_type: broken or (server.url or server.place if server else None)
            for model_type, (server, broken) in servers.items()
        }
        return {
            model_type: SlotUse(get(s.MODE[model_type]), get(s.SHARE[model_type]), places.get(model_type))
            for model_type in s.MODE
        }

    @property
    def idle_by_type(self) -> dict[str, int]:
        """The idle minutes set for single model types."""
        return {
            model_type: minutes
            for model_type, setting in s.TYPE_IDLE.items()
            if (minutes := self.settings.get(setting)) is not None
        }

    @property
    def ledger_now(self) -> datetime:
        """Now, by the clock of the ledger: the sandbox's runs ahead of ours, and stands still while nobody uses it."""
        from reasoning_cli.operations.deploy.status import last_look

        return (last_look(self.store) if self.in_sandbox else None) or self.now()

    @property
    def limits(self) -> Limits:
        """Budget and hourly cap as set."""
        from reasoning_cli.operations.costs.budget import read_limits

        return read_limits(self.settings)

    def limits_of(self, *, dry_run: bool) -> Limits:
        """The same; for a plan that is only shown, with what they refuse told in it."""
        return replace(self.limits, rehearsed=dry_run)

    def disconnect(self) -> None:
        """Forget the connection; the next use makes one with the settings of then."""
        if "_connected" in self.__dict__:
            self.__dict__.pop("_connected").close()

    def reopen_store(self) -> None:
        """Forget the store; the next use opens that of the settings of then."""
        if "store" in self.__dict__:
            self.__dict__.pop("store").close()
        self.read_settings_again()

    def close(self) -> None:
        """Close what was opened."""
        for name in ("_connected", "store"):
            if name in self.__dict__:
                self.__dict__[name].close()
        logging.getLogger("reasoning_cli").handlers.clear()  # they write to this run's terminal


class _Unconnected:
    """In the place of a connection that cannot be made: asked for anything, it says why."""

    def __init__(self, problem: ConfigurationError) -> None:
        self._problem = problem

    def close(self) -> None:
        """Nothing is open."""

    def __getattr__(self, name: str) -> object:
        raise self._problem


def _prompter() -> Prompter:
    from reasoning_cli.terminal.prompts import TerminalPrompter

    return TerminalPrompter()


def session_of(ctx: typer.Context) -> Session:
    """The session a command runs in."""
    session = ctx.find_root().obj
    assert isinstance(session, Session)
    return session


def _log_to(terminal: Terminal, verbosity: int) -> None:
    """Send log lines to stderr, without secrets: `-v` what is done, `-vv` every request."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]

    class ToTerminal(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            terminal.note(redact(self.format(record)))

    logger = logging.getLogger("reasoning_cli")
    logger.handlers[:] = [ToTerminal()]
    logger.setLevel(level)
    logger.propagate = False
