"""Settings: show them with their source, change them, edit the file."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.completion import complete_settings
from reasoning_cli.commands._shared.options import (
    FormatOption,
    JsonOption,
    OfflineOption,
    QuietOption,
    YesOption,
    chosen_format,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import ConfigurationError, UsageError
from reasoning_cli.paths import Paths
from reasoning_cli.redact import mask, remember, without_passwords
from reasoning_cli.settings_file import change_file, read_file
from reasoning_cli.terminal.listing import Column, Format, Kind, Listing

if TYPE_CHECKING:
    from reasoning_cli.operations.account.profiles import Profile

app = typer.Typer(rich_markup_mode=None)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_settings)]


@dataclass(frozen=True)
class Shown:
    """A setting as it is shown: secrets masked, and `problem` instead of a value that makes sense."""

    name: str
    value: object
    source: str
    where: str
    default: object
    help: str
    problem: ConfigurationError | None = None
    secret: bool = False


@app.callback(invoke_without_command=True)
def show(
    ctx: typer.Context, fmt: FormatOption = Format.TABLE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show every setting, its value and where that came from; change them with the commands below."""
    if ctx.invoked_subcommand is not None:
        return
    session = session_of(ctx)
    rows = [_shown(session.settings_as_found, setting) for setting in s.ALL]
    session.terminal.show(setting_listing(rows), chosen_format(fmt, json), quiet=quiet)
    problems = [*session.settings_as_found.problems, *(row.problem for row in rows if row.problem)]
    for problem in problems[1:]:
        session.terminal.warn(problem.message)
    if problems:
        raise problems[0]


@app.command()
def get(ctx: typer.Context, name: NameArgument) -> None:
    """Print one value; nothing when it is not set."""
    session = session_of(ctx)
    setting = s.find_setting(name)
    shown = _shown(session.settings_as_found, setting)
    if shown.problem is not None:
        raise shown.problem
    if shown.value is None:
        session.terminal.note(f"{setting.name} is not set.")
    else:
        session.terminal.print(without_passwords(s.spell(shown.value)))


@app.command("set")
def set_value(
    ctx: typer.Context,
    name: NameArgument,
    value: Annotated[str | None, typer.Argument(metavar="VALUE", help="Left out for a key: it is asked for.")] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the value from standard input.")] = False,
) -> None:
    """Write a value into the settings file."""
    session = session_of(ctx)
    setting = s.find_setting(name)
    text = _typed(session, setting, value, stdin)
    if (engine := _engine_named(setting, text)) is not None:
        _check_engine(session, setting, engine)
    paths = _home_of(session, setting)
    s.write_setting(paths, setting, text)
    session.terminal.note(f"{setting.name} is {mask(text.strip()) if setting.secret else text.strip()} now.")
    _say_if_hidden(session, setting)


@app.command("set-key")
def set_key(
    ctx: typer.Context,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read the key from standard input.")] = False,
    offline: OfflineOption = False,
    yes: YesOption = False,
) -> None:
    """Change the Together API key: the new one is tried before it takes the place of the old one."""
    from reasoning_cli.commands.config.set_key import change_key

    session = session_of(ctx)
    change_key(session, _typed(session, s.API_KEY, None, stdin), offline=offline, yes=yes)
    _say_if_hidden(session, s.API_KEY)


@app.command()
def unset(ctx: typer.Context, name: NameArgument) -> None:
    """Take a value out of the settings file, or a name that is not a setting."""
    session = session_of(ctx)
    file = session.settings_as_found.paths.config_file
    if name in s.BY_NAME or name not in read_file(file):
        setting = s.find_setting(name)
        name, file = setting.name, _home_of(session, setting).config_file
    if name not in read_file(file):
        session.terminal.note(f"{name} was not set in {file}.")
    else:
        change_file(file, {name: None})
        session.terminal.note(f"{name} is no longer set in {file}.")
    if name in s.BY_NAME:
        _say_if_hidden(session, s.BY_NAME[name])


@app.command()
def path(ctx: typer.Context) -> None:
    """Print where the settings file is."""
    session = session_of(ctx)
    paths = session.settings_as_found.paths
    session.terminal.print(str(paths.config_file))
    if paths.profile:
        session.terminal.note(f"of profile {paths.profile}")


@app.command()
def profiles(
    ctx: typer.Context, fmt: FormatOption = Format.TABLE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show the profiles of this host: `--profile NAME` works with one, and the first use makes it."""
    from reasoning_cli.operations.account.profiles import list_profiles

    session = session_of(ctx)
    found = list_profiles(s.environment(), session.profile)
    session.terminal.show(_profiles(found), chosen_format(fmt, json), quiet=quiet)
    for profile in found:
        if profile.problem:
            session.terminal.warn(profile.problem)


@app.command()
def edit(ctx: typer.Context) -> None:
    """Open the settings file in your editor; what makes no sense is not taken over."""
    from reasoning_cli.commands._shared.editor import edit_settings

    session = session_of(ctx)
    paths = session.settings_as_found.paths
    changed = edit_settings(paths.config_file, s.environment())
    session.terminal.note(f"{paths.config_file} is changed." if changed else "Nothing was changed.")


def _engine_named(setting: s.Setting[object], text: str | None) -> str | None:
    """The engines that a setting's text names; None where it is none, or makes no sense, which is said elsewhere."""
    if setting not in (*s.ENGINE.values(), s.LINE) or text is None:
        return None
    with contextlib.suppress(ValueError):
        return s.spell(setting.parse(text))
    return None


def _check_engine(session: Session, setting: s.Setting[object], name: str) -> None:
    """Raise ConfigurationError for an engine that could not answer the slot with the other settings as they are."""
    from reasoning_cli.operations.deploy.own_server import check_engine

    settings = session.settings_as_found
    check_engine(replace(settings, flags={**settings.flags, setting.name: name}), setting.name.partition(".")[0])


def _shown(settings: s.Settings, setting: s.Setting[object]) -> Shown:
    problem = None
    text, source, where = settings.find(setting)
    try:
        value = settings.get(setting)
        if _engine_named(setting, text) is not None:
            from reasoning_cli.operations.deploy.own_server import check_engine

            check_engine(settings, setting.name.partition(".")[0])
    except ConfigurationError as error:
        value, problem = text, error
    if setting.secret and value is not None:
        value = mask(str(value))
    return Shown(
        setting.name, _plain(value), source.value, where, _plain(setting.default), setting.help, problem, setting.secret
    )


def _plain(value: object) -> object:
    """A value as JSON has it: numbers and switches as such, all else as it is typed."""
    return value if value is None or isinstance(value, bool | int) else s.spell(value)


def setting_listing(rows: list[Shown]) -> Listing[Shown]:
    """One row a setting."""
    columns: list[Column[Shown]] = [
        Column("name", lambda row: row.name, "SETTING"),
        Column("value", lambda row: row.value, "VALUE", _value_text, gives_way=True, style=_value_style),
        Column("source", lambda row: row.source, "SOURCE", priority=3),
        Column("where", lambda row: row.where or None, "WHERE", _variable, priority=6),
        Column("default", lambda row: row.default),
        Column("help", lambda row: row.help),
        Column("problem", lambda row: row.problem.message if row.problem else None),
        Column("secret", lambda row: row.secret),
    ]
    return Listing(columns, rows, id=lambda row: row.name)


def _profiles(rows: list[Profile]) -> Listing[Profile]:
    columns: list[Column[Profile]] = [
        Column("name", lambda row: row.name, "PROFILE"),
        Column("in_use", lambda row: row.in_use, "IN USE", lambda row: "yes" if row.in_use else ""),
        Column("has_key", lambda row: row.has_key, "KEY", _key_text, kind=Kind.STATE, style=_key_style),
        Column("config_file", lambda row: row.config_file, "SETTINGS FILE", gives_way=True),
        Column("database", lambda row: row.database, "DATABASE", priority=6),
        Column("problem", lambda row: row.problem),
    ]
    return Listing(columns, rows, id=lambda row: row.name)


def _key_text(row: Profile) -> str:
    return "wrong" if row.problem else "set" if row.has_key else "–"


def _key_style(row: Profile) -> str:
    return "bad" if row.problem else "good"


def _value_text(row: Shown) -> str:
    text = "–" if row.value is None else s.spell(row.value)
    if row.problem is None:
        return text
    return f"{text} ({'refused' if isinstance(row.problem, s.RefusedAddressError) else 'wrong'})"


def _variable(row: Shown) -> str:
    """Which of several variables it was; where the file is, `config path` says once."""
    return row.where if row.source in (s.Source.ENVIRONMENT, s.Source.DOTENV) else ""


def _value_style(row: Shown) -> str:
    return "bad" if row.problem else "dim" if row.source == s.Source.DEFAULT else ""


def _typed(session: Session, setting: s.Setting[object], value: str | None, stdin: bool) -> str:
    """The value meant: an argument, a line of standard input, or for keys the answer to a hidden question."""
    if value is not None and setting.secret:
        remember(value)
        raise UsageError(
            "a secret on the command line stays in the shell's history and in the list of processes",
            f"leave it out: `reasoning config set {setting.name}` asks for it, with --stdin it reads it",
        )
    if value is not None:
        return value
    if stdin:
        return session.terminal.input.readline()
    if setting.secret and session.terminal.can_ask:
        return session.prompter.secret(f"{setting.help}:")
    if setting.secret:
        raise UsageError(f"nobody is there to ask for {setting.name}", "pipe it in and add --stdin")
    raise UsageError(f"no value for `{setting.name}`", f"`reasoning config set {setting.name} VALUE`: {setting.help}")


def _home_of(session: Session, setting: s.Setting[object]) -> Paths:
    """Where a setting is written: the sandbox has its own file, but the way out of it is not in there."""
    settings = session.settings_as_found
    if settings.outside is not None and setting.name.startswith("sandbox."):
        return settings.outside.paths
    return settings.paths


def _say_if_hidden(session: Session, setting: s.Setting[object]) -> None:
    session.read_settings_again()
    settings = session.settings_as_found
    hidden_by = s.overrides(settings, setting)
    if hidden_by is not None and settings.find(setting)[0] != settings.file.get(setting.name):
        session.terminal.warn(f"{hidden_by} is set too, and wins over the file")
