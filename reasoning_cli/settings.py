"""What each setting is now and where that came from; and changing it. The settings themselves are `settings_table`.

Precedence: flag > environment > `.env` in the working folder > settings file (TOML) > default. In a profile the account
and its ledger (`Setting.of_account`) are taken from flag and file alone: a key exported for one account must not deploy
there in the name of another.

A working folder may be anybody's: a repository just cloned, an archive unpacked. Its `.env` can name addresses, but no
key from elsewhere goes there (`Setting.carries`), unless the operator's own settings name the same address. What must
not be used cannot be read: `get` refuses it.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar, cast

from reasoning_cli.dotenv_file import read_dotenv
from reasoning_cli.errors import ConfigurationError, UsageError
from reasoning_cli.paths import Paths
from reasoning_cli.redact import mask, remember
from reasoning_cli.settings_file import change_file, read_file
from reasoning_cli.settings_table import ALL as ALL
from reasoning_cli.settings_table import ANTHROPIC_UPSTREAM as ANTHROPIC_UPSTREAM
from reasoning_cli.settings_table import API_KEY as API_KEY
from reasoning_cli.settings_table import AUDIT_PERCENT as AUDIT_PERCENT
from reasoning_cli.settings_table import BASE_URL as BASE_URL
from reasoning_cli.settings_table import BUDGET_LIMIT as BUDGET_LIMIT
from reasoning_cli.settings_table import BUDGET_PERIOD as BUDGET_PERIOD
from reasoning_cli.settings_table import BY_NAME as BY_NAME
from reasoning_cli.settings_table import COLLECT as COLLECT
from reasoning_cli.settings_table import CONFIDENCE as CONFIDENCE
from reasoning_cli.settings_table import DEADLINE_MS as DEADLINE_MS
from reasoning_cli.settings_table import ENABLED as ENABLED
from reasoning_cli.settings_table import ENGINE as ENGINE
from reasoning_cli.settings_table import GATEWAY_ENABLED as GATEWAY_ENABLED
from reasoning_cli.settings_table import GATEWAY_HOST as GATEWAY_HOST
from reasoning_cli.settings_table import GATEWAY_HOSTS as GATEWAY_HOSTS
from reasoning_cli.settings_table import GATEWAY_PORT as GATEWAY_PORT
from reasoning_cli.settings_table import GATEWAY_TLS_CERT as GATEWAY_TLS_CERT
from reasoning_cli.settings_table import GATEWAY_TLS_KEY as GATEWAY_TLS_KEY
from reasoning_cli.settings_table import GATEWAY_TOKEN as GATEWAY_TOKEN
from reasoning_cli.settings_table import GUARD_CLEANUP as GUARD_CLEANUP
from reasoning_cli.settings_table import GUARD_INTERVAL as GUARD_INTERVAL
from reasoning_cli.settings_table import HEAD as HEAD
from reasoning_cli.settings_table import HEAD_MODE as HEAD_MODE
from reasoning_cli.settings_table import HEAD_SHARE as HEAD_SHARE
from reasoning_cli.settings_table import IDLE_MINUTES as IDLE_MINUTES
from reasoning_cli.settings_table import LINE as LINE
from reasoning_cli.settings_table import MAX_COST_PER_HOUR as MAX_COST_PER_HOUR
from reasoning_cli.settings_table import MAX_SAMPLES as MAX_SAMPLES
from reasoning_cli.settings_table import MAX_TOKENS as MAX_TOKENS
from reasoning_cli.settings_table import MAX_TOKENS_NAME as MAX_TOKENS_NAME
from reasoning_cli.settings_table import MODE as MODE
from reasoning_cli.settings_table import MODEL as MODEL
from reasoning_cli.settings_table import OF_TYPE as OF_TYPE
from reasoning_cli.settings_table import OPENAI_UPSTREAM as OPENAI_UPSTREAM
from reasoning_cli.settings_table import PARALLEL as PARALLEL
from reasoning_cli.settings_table import PLAIN_HTTP as PLAIN_HTTP
from reasoning_cli.settings_table import POLL_SECONDS as POLL_SECONDS
from reasoning_cli.settings_table import PROJECT_ID as PROJECT_ID
from reasoning_cli.settings_table import PROMPT_FORM as PROMPT_FORM
from reasoning_cli.settings_table import PROVIDER_KEY as PROVIDER_KEY
from reasoning_cli.settings_table import PROVIDER_URL as PROVIDER_URL
from reasoning_cli.settings_table import READY_TIMEOUT as READY_TIMEOUT
from reasoning_cli.settings_table import REDACT_ON_WRITE as REDACT_ON_WRITE
from reasoning_cli.settings_table import RESERVE_HOURS as RESERVE_HOURS
from reasoning_cli.settings_table import RETENTION_DAYS as RETENTION_DAYS
from reasoning_cli.settings_table import SANDBOX as SANDBOX
from reasoning_cli.settings_table import SANDBOX_SPEED as SANDBOX_SPEED
from reasoning_cli.settings_table import SHARE as SHARE
from reasoning_cli.settings_table import SPOOL_MB as SPOOL_MB
from reasoning_cli.settings_table import STORE_PATH as STORE_PATH
from reasoning_cli.settings_table import STORE_SCHEMA as STORE_SCHEMA
from reasoning_cli.settings_table import STORE_URL as STORE_URL
from reasoning_cli.settings_table import TOKEN_PRICE as TOKEN_PRICE
from reasoning_cli.settings_table import TOOLS as TOOLS
from reasoning_cli.settings_table import TYPE_BUDGET as TYPE_BUDGET
from reasoning_cli.settings_table import TYPE_COLLECT as TYPE_COLLECT
from reasoning_cli.settings_table import TYPE_HOURS as TYPE_HOURS
from reasoning_cli.settings_table import TYPE_IDLE as TYPE_IDLE
from reasoning_cli.settings_table import WAKE as WAKE
from reasoning_cli.settings_table import WARN_PERCENT as WARN_PERCENT
from reasoning_cli.settings_table import WEBHOOK as WEBHOOK
from reasoning_cli.settings_table import WINDOW_TOKENS as WINDOW_TOKENS
from reasoning_cli.settings_table import Setting as Setting
from reasoning_cli.settings_table import find_setting as find_setting
from reasoning_cli.values import DatabaseAddress, is_address, is_database_url

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(StrEnum):
    """Where a value came from, strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    DOTENV = ".env"
    FILE = "file"
    DEFAULT = "default"


class RefusedAddressError(ConfigurationError):
    """An address that makes sense, and must not get what would be sent there."""


@dataclass(frozen=True)
class Resolved(Generic[T_co]):
    """A value with its source; `where` names the variable or file."""

    setting: Setting[T_co]
    value: T_co
    source: Source
    where: str


@dataclass
class Settings:
    """The settings of one run, read from flags, environment, `.env` and file; values are checked when asked for.

    `problems` is what is wrong with the file itself: `load_settings` raises it. Settings of the sandbox know those
    `outside`, where `sandbox.*` is decided.
    """

    paths: Paths
    flags: dict[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    dotenv: Mapping[str, str] = field(default_factory=dict)
    file: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[ConfigurationError, ...] = ()
    outside: Settings | None = None

    def get(self, setting: Setting[T]) -> T:
        """The value that wins. Raises ConfigurationError when it makes no sense, or is an address not to be used."""
        return self.resolve(setting).value

    def resolve(self, setting: Setting[T]) -> Resolved[T]:
        """The value that wins and where it came from. Empty variables count as unset."""
        raw, source, where = self.find(setting)
        if raw is None:
            return Resolved(setting, setting.default, source, where)
        value = setting.read(raw, where)
        if setting.secret:
            remember(raw.strip())
        if setting.carries is not None:
            self._check_address(setting, str(value), where, setting.carries)
        if isinstance(value, Path) and not value.is_absolute():
            value = cast(T, _in_working_folder(value, setting, where))
        return Resolved(setting, value, source, where)

    def find(self, setting: Setting[T]) -> tuple[str | None, Source, str]:
        """The text that wins, unchecked, its source, and the variable or file it stands in; None is the default."""
        if self.outside is not None and setting.name.startswith("sandbox."):
            return self.outside.find(setting)
        if setting.name in self.flags:
            return self.flags[setting.name], Source.FLAG, "command line"
        for variables, source in ((self.environ, Source.ENVIRONMENT), (self.dotenv, Source.DOTENV)):
            for name in () if self.ignores_variables(setting, source) else setting.variables:
                if variables.get(name, "").strip():
                    return variables[name], source, name if source is Source.ENVIRONMENT else f"{name} in .env"
        if setting.name in self.file:
            return self.file[setting.name], Source.FILE, str(self.paths.config_file)
        return None, Source.DEFAULT, ""

    def ignores_variables(self, setting: Setting[object], source: Source) -> bool:
        """Whether no variable of `source` counts for `setting`: a profile has its own account and ledger, and some
        things are not for a working folder to say."""
        if setting.of_operator and source is Source.DOTENV:
            return True
        return setting.of_account and self.paths.profile is not None

    def is_of_folder(self, setting: Setting[object]) -> bool:
        """Whether the working folder alone says what `setting` is: not where the operator's own settings say the same,
        in other places or by default."""
        text, source, _ = self.find(setting)
        if text is None or source is not Source.DOTENV:
            return False
        own = replace(self, dotenv={}).find(setting)[0]
        try:
            return setting.parse(text) != (setting.default if own is None else setting.parse(own))
        except ValueError:
            return True

    def keep_from_folder(self, setting: Setting[object], what: str, or_else: str = "") -> None:
        """Raise RefusedAddressError where the working folder alone names this address: `what` does not go there."""
        if not self.is_of_folder(setting):
            return
        text, _, where = self.find(setting)
        typed = "" if setting.secret else f" {shlex.quote(str(setting.parse(text or '')))}"
        shown = mask(text or "") if setting.secret else typed.strip()
        raise RefusedAddressError(
            f"{where} names `{shown}` as {setting.name}: {what} does not go to an address of the working folder",
            f"`reasoning config set {setting.name}{typed}` makes it yours, if you know it{or_else}; else take it out"
            " of .env",
        )

    def with_key(self, key: str) -> Settings:
        """The same with an API key that is tried: a typed one is not the working folder's, and must not go to its
        address."""
        known = (self.find(API_KEY)[0] or "").strip()
        return self if key == known else replace(self, flags={**self.flags, API_KEY.name: key})

    def _check_address(
        self, setting: Setting[object], address: str, where: str, carries: Setting[str | None] | str
    ) -> None:
        """Refuse an address that would get a key from elsewhere, or get it so that others can read it."""
        if isinstance(carries, str):
            self.keep_from_folder(setting, carries)
        else:
            key, source, of = self.find(carries)
            if key is not None and source is not Source.DOTENV:
                beside = f", or put a key for it beside it ({carries.variables[0]})"
                self.keep_from_folder(setting, f"{carries.name} ({of})", beside)
        if address.startswith("http:") and not self.get(PLAIN_HTTP):
            self._refuse_plain(setting, address, where)

    def _refuse_plain(self, setting: Setting[object], address: str, where: str) -> None:
        from reasoning_cli.addresses import is_plain

        if is_plain(address):
            raise RefusedAddressError(
                f"{where}: `{mask(address) if setting.secret else address}` ({setting.name}) is another machine, and"
                " anybody on the way there can read plain HTTP",
                "use https://; or allow it: `reasoning --allow-plain-http …`, for good `reasoning config set"
                f" {PLAIN_HTTP.name} true`",
            )

    def database(self) -> Path:
        """The database file of this run; where the store is not a file, the path beside which its locks lie."""
        return self.get(STORE_PATH) or self.paths.database

    def place(self) -> Path | DatabaseAddress:
        """Where the store of this run is: a file, or a database on PostgreSQL. Of the two settings the one that was
        said closer to this run counts."""
        url, path = self.resolve(STORE_URL), self.resolve(STORE_PATH)
        order = list(Source)
        if url.value is None or (path.value is not None and order.index(path.source) < order.index(url.source)):
            return self.database()
        return DatabaseAddress(url.value, self.get(STORE_SCHEMA), self.database())


def naming_store(database: str) -> dict[str, str]:
    """The flag that names a store for one run: a file, as it is called from anywhere, or an address. What is neither is
    refused when it is asked for, as it was typed."""
    if is_database_url(database):
        return {STORE_URL.name: database}
    if not is_address(database):
        with contextlib.suppress(OSError):  # the working folder has gone: whoever asks for the file is told
            database = str(Path(database).expanduser().absolute())
    return {STORE_PATH.name: database}


def _in_working_folder(path: Path, setting: Setting[object], where: str) -> Path:
    """A relative path as it is called from anywhere. Raises ConfigurationError where the working folder has gone."""
    try:
        return path.absolute()
    except OSError:
        raise ConfigurationError(
            f"{where}: `{path}` ({setting.name}) is in the working folder, and that has gone",
            "go to a folder that is there, or name the file from the root (`/…`)",
        ) from None


def load_settings(
    paths: Paths, environ: Mapping[str, str], flags: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """Read all sources. Raises ConfigurationError for a settings file that is not to be trusted.

    In the sandbox neither the environment nor `.env` is read, so that no real key, budget or database can slip in; its
    settings file is its own. Only `sandbox.*` is always what it is outside.
    """
    return checked(read_settings(paths, environ, flags, folder))


def checked(settings: Settings) -> Settings:
    """`settings`, if their file is to be trusted and they say clearly whether the sandbox is meant."""
    for problem in settings.problems:
        raise problem
    settings.get(SANDBOX)
    return settings


def read_settings(
    paths: Paths, environ: Mapping[str, str], flags: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """The same for those who show or mend settings: what is wrong with the file is kept in `problems`, not raised."""
    dotenv = read_dotenv(folder / ".env") if folder is not None else _dotenv_of_working_folder()
    real = Settings(paths, dict(flags or {}), environ, dotenv)
    real.file, real.problems = _read_file(paths.config_file)
    with contextlib.suppress(ConfigurationError):  # it is shown with the other settings
        if real.get(SANDBOX):
            own = paths.sandbox()
            values, problems = _read_file(own.config_file)
            return Settings(own, dict(flags or {}), file=values, problems=problems, outside=real)
    return real


def _dotenv_of_working_folder() -> dict[str, str]:
    """What the `.env` there says. Where the folder itself has gone, as that of an older release, what it said last:
    the limits that a guard was started with stay."""
    try:
        Path.cwd()
    except OSError:
        return dict(_last_dotenv)
    found = read_dotenv(Path(".env"))
    _last_dotenv.clear()
    _last_dotenv.update(found)
    return found


_last_dotenv: dict[str, str] = {}


def _read_file(path: Path) -> tuple[dict[str, str], tuple[ConfigurationError, ...]]:
    """The settings in the file, and what is wrong with it. A name that is not a setting is wrong: a mistyped limit must
    not be no limit."""
    try:
        values = read_file(path)
    except ConfigurationError as error:
        return {}, (error,)
    good, problems = {}, []
    for name, value in values.items():
        if name not in BY_NAME:
            near = difflib.get_close_matches(name, BY_NAME, n=1)
            meant = f"did you mean `{near[0]}`? " if near else ""
            problems.append(
                ConfigurationError(
                    f"`{name}` in `{path}` is not a setting", f"{meant}`reasoning config unset {name}` removes the line"
                )
            )
        elif value is None:
            problems.append(ConfigurationError(f"`{name}` in `{path}` must be a single value", BY_NAME[name].help))
        else:
            good[name] = value
    return good, tuple(problems)


def check_file(path: Path) -> list[ConfigurationError]:
    """All that is wrong with a settings file, values included."""
    values, problems = _read_file(path)
    found = list(problems)
    for name, text in values.items():
        try:
            BY_NAME[name].read(text, f"`{name}` in `{path}`")
        except ConfigurationError as error:
            found.append(error)
    return found


def write_setting(paths: Paths, setting: Setting[T], text: str | None) -> None:
    """Set (or with None unset) one value in the settings file, keeping the operator's comments and order.

    The value is checked first: UsageError when it makes no sense.
    """
    write_settings(paths, {setting.name: text})


def write_settings(paths: Paths, texts: Mapping[str, str | None]) -> None:
    """The same for several at once, all or none. Refuses to build on a file that is not to be trusted."""
    changes = {
        setting.name: None if (text := texts[setting.name]) is None else as_written(setting, text)
        for setting in ALL
        if setting.name in texts
    }
    for problem in _read_file(paths.config_file)[1]:
        raise problem
    change_file(paths.config_file, changes)


def as_written(setting: Setting[object], text: str) -> str | int:
    """`text` as the file holds it: numbers and switches as such, all else as it was typed. Raises UsageError."""
    try:
        value = setting.parse(text)
    except ValueError as error:
        shown = mask(text) if setting.secret else text
        raise UsageError(f"`{shown}` {error}", f"{setting.name}: {setting.help}") from None
    return value if isinstance(value, bool | int) else text.strip()


def spell(value: object) -> str:
    """A value as it is typed."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def overrides(settings: Settings, setting: Setting[T]) -> str | None:
    """The flag or variable that hides what the file says, or None: so that a change can say it has no effect yet."""
    _, source, where = settings.find(setting)
    return where if source in (Source.FLAG, Source.ENVIRONMENT, Source.DOTENV) else None


def environment() -> Mapping[str, str]:
    """The process environment; the one place it is looked up."""
    return os.environ
