"""What starts this program without a person: lines of a systemd unit and of a crontab, for the same account and data.

A service sees neither the variables nor the working folder of the shell that printed it, and both formats give signs a
meaning of their own that no shell does.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.errors import UsageError
from reasoning_cli.paths import HOME_VARIABLE
from reasoning_cli.values import DatabaseAddress

LINGER = "# a user's services end with the last session: `loginctl enable-linger` keeps them, and starts them at boot"

# Where platformdirs looks for the places of files; a service is not told them by the shell.
_PLACES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
_PLAIN = re.compile(r"[\w@+=:,./%-]+", re.ASCII)


def unit_lines(session: Session, *words: str) -> str:
    """`Environment=` and `ExecStart=` of a unit that does `words` with the account and data of this session."""
    lines = [f'Environment="{_escaped(f"{name}={value}")}"' for name, value in _variables().items()]
    command = " ".join(_unit_word(word) for word in _command(session, words))
    return "\n".join([*lines, f"ExecStart={command}"])


def cron_line(session: Session, *words: str) -> str:
    """A line of a crontab that does the same each minute."""
    variables = "".join(f"{name}={shlex.quote(value)} " for name, value in _variables().items())
    command = f"{variables}{shlex.join(_command(session, words))}"
    # A `%` ends the command there, and a backslash takes the meaning of the next.
    escaped = re.sub(r"[\\%]", r"\\\g<0>", command)
    return f"* * * * * {escaped}"


def _command(session: Session, words: tuple[str, ...]) -> list[str]:
    url = session.settings.resolve(s.STORE_URL)
    if isinstance(session.settings.place(), DatabaseAddress) and url.source is not s.Source.FILE:
        # What is printed would hold its password.
        raise UsageError(
            f"the address of the store is said by {url.where} alone, and nothing that starts by itself knows that",
            "`reasoning config set store.url postgresql://…` puts it into the settings file",
        )
    database = session.settings.resolve(s.STORE_PATH)
    of_shell = database.value is not None and database.source not in (s.Source.FILE, s.Source.DEFAULT)
    path = ["--db", str(database.value.absolute())] if of_shell and database.value is not None else []
    return [sys.executable, "-m", "reasoning_cli", *session.global_options, *path, *words]


def _variables() -> dict[str, str]:
    """The variables that say where files are, as they lead there from anywhere."""
    environ = s.environment()
    if home := environ.get(HOME_VARIABLE):
        return {HOME_VARIABLE: str(Path(home).expanduser().absolute())}
    return {name: value for name in _PLACES if (value := environ.get(name))}


def _unit_word(word: str) -> str:
    """A word of `ExecStart`, where `$` begins a variable too."""
    escaped = _escaped(word).replace("$", "$$")
    return escaped if _PLAIN.fullmatch(word) else f'"{escaped}"'


def _escaped(text: str) -> str:
    for sign, meant in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(sign, meant)
    return text
