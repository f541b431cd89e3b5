"""What TAB offers: names from one small file, never the network, never the database, never an exception.

The shells' scripts put what is offered through `eval` (zsh) and globbing (bash), and names come from a remote account:
only names made of harmless characters are kept and offered.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from enum import StrEnum

import typer

from reasoning_cli import settings as s
from reasoning_cli.errors import ReasoningError
from reasoning_cli.paths import DEFAULT_PROFILE, Paths, find_paths, write_private
from reasoning_cli.values import MODEL_TYPES, parse_boolean, spell_model_type

MOST_NAMES = 50

_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")

# Typer's script for zsh only registers itself: kept in `fpath`, as its first line asks, it would let the first TAB of
# every session go unanswered.
_ZSH_LAST_LINE = (
    "compdef _reasoning_completion reasoning",
    "if (( ${+compstate} )); then\n  _reasoning_completion\nelse\n  compdef _reasoning_completion reasoning\nfi",
)

log = logging.getLogger(__name__)


class Shell(StrEnum):
    """The shells that have a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def learn_shells() -> None:
    """Let Typer answer the scripts; by itself it does so only with options that would edit the shell's start files."""
    from typer.completion import completion_init  # type: ignore[attr-defined]  # not listed as exported, but public

    completion_init()


def script(shell: Shell) -> str:
    """The script that teaches `shell` to ask us."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    text: str = get_completion_script(prog_name="reasoning", complete_var="_REASONING_COMPLETE", shell=shell.value)
    return text.replace(*_ZSH_LAST_LINE) if shell is Shell.ZSH else text


# --- names ---


def remember_names(paths: Paths, names: Iterable[str]) -> None:
    """Keep `names` (models, endpoints) for the next TAB. A cache: when it cannot be written, nothing is said."""
    text = json.dumps(sorted({name for name in names if _HARMLESS.fullmatch(name)}))
    try:
        if not paths.names_cache.exists() or paths.names_cache.read_text() != text:
            write_private(paths.names_cache, text)
    except (OSError, ValueError, ReasoningError) as error:
        log.info("names for TAB are not kept: %s", error)


def complete_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of models and endpoints seen lately."""
    return [name for name in _known_names(ctx) if name.startswith(incomplete)][:MOST_NAMES]


def complete_model_types(incomplete: str) -> list[str]:
    """The three model types, as they are typed."""
    spelled = [spell_model_type(model_type) for model_type in MODEL_TYPES]
    return [name for name in spelled if name.startswith(incomplete)]


def complete_trainers(incomplete: str) -> list[str]:
    """Whose training files can be written."""
    from reasoning_cli.operations.data.export.trainers import TRAINERS

    return [name for name in TRAINERS if name.startswith(incomplete)]


def complete_targets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Whatever a deployment can be called: model types first, then names."""
    return [*complete_model_types(incomplete), *complete_names(ctx, incomplete)][:MOST_NAMES]


def complete_settings(incomplete: str) -> list[str]:
    """Names of settings."""
    return [name for name in s.BY_NAME if name.startswith(incomplete)]


def complete_profiles(incomplete: str) -> list[str]:
    """Names of profiles, read off their folders."""
    try:
        names = [DEFAULT_PROFILE, *find_paths(s.environment(), DEFAULT_PROFILE).profiles()]
    except Exception:  # as below
        return []
    return [name for name in names if name.startswith(incomplete)][:MOST_NAMES]


def _known_names(ctx: typer.Context) -> list[str]:
    try:
        environ = s.environment()
        paths = find_paths(environ, ctx.find_root().params.get("profile"))
        # Nothing was started: whether this is a sandbox run is read off the command line and the environment.
        asked = any(parse_boolean(environ[name]) for name in s.SANDBOX.variables if environ.get(name))
        if asked or ctx.find_root().params.get("sandbox"):
            paths = paths.sandbox()
        names = json.loads(paths.names_cache.read_text(encoding="utf-8"))
        assert isinstance(names, list)
        return [name for name in names if isinstance(name, str) and _HARMLESS.fullmatch(name)]
    except Exception:  # whatever it is, it would land in the middle of what is being typed
        return []
