"""Where the table of prices that the operator may edit stands."""

from __future__ import annotations

from pathlib import Path

from reasoning_cli.commands._shared.session import Session


def prices_file(session: Session) -> Path:
    """The table stands beside the settings file."""
    return session.settings.paths.config_file.with_name("prices.toml")
