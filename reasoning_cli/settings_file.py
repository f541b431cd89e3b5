"""The settings file: TOML, read as flat `group.key` names and changed without losing the operator's comments."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path

from reasoning_cli.errors import ConfigurationError
from reasoning_cli.paths import read_small, write_private


def read_file(path: Path) -> dict[str, str | None]:
    """What the file says, as text by flat name; None stands for a list or table where one value belongs.

    An absent file is empty. Raises ConfigurationError when it cannot be read or is not TOML.
    """
    try:
        return read_text(_text(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}", "mend or move the file") from error
    except ValueError as error:  # no TOML, or not even UTF-8
        raise _no_toml(path, str(error)) from error


def _text(path: Path) -> str:
    """The text of the file, its lines ended as Python ends them."""
    return read_small(path).decode().replace("\r\n", "\n").replace("\r", "\n")


def _no_toml(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"`{path}` is not valid TOML: {why}", "`reasoning config edit` mends that line; or move the file away"
    )


def read_text(text: str) -> dict[str, str | None]:
    """The same for a text. Raises ValueError (`TOMLDecodeError`) when it is not TOML."""
    import tomllib

    values: dict[str, str | None] = {}
    try:
        read = tomllib.loads(text, parse_float=str)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    for group, table in read.items():
        for key, value in table.items() if isinstance(table, dict) else ((None, table),):
            name = f"{group}.{key}" if key else group
            if isinstance(value, dict | list):
                values[name] = None
            else:
                values[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return values


def change_file(path: Path, changes: Mapping[str, str | int | None]) -> None:
    """Set values by flat name, remove those that are None, and leave every other line as it is.

    The new file appears whole or not at all. The old one must be valid TOML.
    """
    import tomlkit

    text = _text(path) if path.exists() else ""
    try:
        document = tomlkit.parse(text)
    except (ValueError, RecursionError) as error:  # it takes less depth than what reads the file
        raise _no_toml(path, str(error)) from error
    for name, value in changes.items():
        if name in document:  # written in quotes, or without a group
            document.remove(name)
        group, _, key = name.partition(".")
        if value is not None:
            if not isinstance(document.get(group), MutableMapping):
                if document:
                    document.add(tomlkit.nl())
                document[group] = tomlkit.table()
            table = document[group]
            assert isinstance(table, MutableMapping)
            table[key] = value
            continue
        table = document.get(group)
        if isinstance(table, MutableMapping) and key in table:
            del table[key]
            if not table and not _has_comments(table):
                document.remove(group)
    changed = tomlkit.dumps(document)
    if changed != text:
        write_private(path, changed)


def _has_comments(table: object) -> bool:
    from tomlkit.items import Comment, Table

    if not isinstance(table, Table):
        return False
    return bool(table.trivia.comment) or any(isinstance(item, Comment) for _, item in table.value.body)
