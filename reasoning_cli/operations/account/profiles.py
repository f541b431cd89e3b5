"""The profiles of this host: the default one, then those that have settings or data of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.paths import DEFAULT_PROFILE, chosen_profile, find_paths
from reasoning_cli.redact import bare_address


@dataclass(frozen=True)
class Profile:
    """One profile. `has_key` is None, and `problem` says why, when its settings cannot be read."""

    name: str
    in_use: bool
    config_file: Path
    database: Path | str | None
    has_key: bool | None
    problem: str | None = None


def list_profiles(environ: Mapping[str, str], chosen: str | None) -> list[Profile]:
    """Every profile; `chosen` is the one named on the command line, if any."""
    in_use = chosen_profile(environ, chosen) or DEFAULT_PROFILE
    names = [DEFAULT_PROFILE, *find_paths(environ, DEFAULT_PROFILE).profiles()]
    return [_profile(environ, name, name == in_use) for name in names]


def _profile(environ: Mapping[str, str], name: str, in_use: bool) -> Profile:
    paths = find_paths(environ, name)
    found = s.read_settings(paths, environ)
    settings = found.outside or found  # one that works on the sandbox has its own things all the same
    try:
        key, place = settings.get(s.API_KEY), settings.place()
        for problem in settings.problems:
            raise problem
    except ConfigurationError as error:
        return Profile(name, in_use, paths.config_file, None, None, error.message)
    database = place if isinstance(place, Path) else bare_address(place.url)
    return Profile(name, in_use, paths.config_file, database, key is not None)
