"""Settings that several commands change: those that money depends on, and those that switch models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.session import Session

if TYPE_CHECKING:
    from reasoning_cli.operations.deploy.switch import Switch


def change_settings(
    session: Session, action: str, changes: Sequence[tuple[s.Setting[object], str | None]], subject: str
) -> None:
    """Write settings that money depends on, remember who did it to what, and say when a variable hides one."""
    from reasoning_cli.store.audit_log import Event, Events

    detail = {setting.name: text for setting, text in changes}
    with Events(session.store).recording(Event(session.ledger_now, "operator", action, subject, detail)):
        s.write_settings(session.settings.paths, detail)
    for setting, _ in changes:
        if (hiding := s.overrides(session.settings, setting)) is not None:
            session.terminal.warn(f"{hiding} says otherwise, and wins over the settings file")
    session.read_settings_again()


def write_switch(session: Session, switch: Switch) -> None:
    """Write what switches models, and say when a variable hides a setting."""
    from reasoning_cli.operations.deploy.switch import apply

    for hiding in apply(switch, session.settings, session.store, session.ledger_now):
        session.terminal.warn(f"{hiding} says otherwise, and wins over the settings file")
    session.read_settings_again()
