"""The settings file in the operator's editor: a private copy is edited, checked, and only then put in place."""

from __future__ import annotations

import itertools
import shlex
import signal
import subprocess
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from reasoning_cli.errors import ConfigurationError, DataError, ReasoningError
from reasoning_cli.paths import read_small, write_private
from reasoning_cli.settings import ALL, check_file


def edit_settings(file: Path, environ: Mapping[str, str]) -> bool:
    """Edit `file`; whether it changed. A text that makes no sense is kept beside it, and the file stays as it was.

    A missing file starts as a list of all settings, commented out.
    """
    before = _read(file)
    draft = file.with_name("config.edit.toml")
    write_private(draft, _blank() if before is None else before)
    offered = _read(draft)
    try:
        run_editor(draft, environ)
        text = _read(draft)
        if text is None or text == offered:
            return False
        reason = _refusal(draft, file, before)
        if reason is not None:
            rejected = file.with_name("config.rejected.toml")
            draft.replace(rejected)
            raise ConfigurationError(
                reason.replace(str(draft), str(rejected)), "the settings are as before; your text is in that file"
            )
        write_private(file, text)
        return True
    finally:
        draft.unlink(missing_ok=True)


def _read(file: Path) -> str | None:
    try:
        return read_small(file).decode(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot read `{file}`: {error.strerror}") from error


def _refusal(draft: Path, file: Path, before: str | None) -> str | None:
    """Why the edited text does not take the place of the file, if it does not."""
    for problem in check_file(draft):
        return problem.message
    if _read(file) != before:
        return f"`{file}` was changed by somebody else meanwhile; what you wrote is in `{draft}`"
    return None


def run_editor(draft: Path, environ: Mapping[str, str]) -> None:
    editor = environ.get("VISUAL") or environ.get("EDITOR") or "vi"
    # Ctrl-C belongs to the editor while it runs. A handler that does nothing, because one that is ignored the editor
    # would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.call([*shlex.split(editor), str(draft)])
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the editor `{editor}` does not start: {error}", "name another: `EDITOR=nano reasoning config edit`"
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)
    if code != 0:
        raise ReasoningError(f"the editor `{editor}` ended with {code}; nothing was changed")


def _blank() -> str:
    """All settings with their defaults, commented out."""
    lines = ["# Take the # away from a line to change that setting; `reasoning config` shows what is in effect."]
    for group, settings in itertools.groupby(ALL, key=lambda setting: setting.name.partition(".")[0]):
        lines += ["", f"[{group}]"]
        for setting in settings:
            lines += [f"# {setting.help}", f"#{setting.name.partition('.')[2]} = {_toml(setting.default)}"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | Decimal) else f'"{value or ""}"'
