"""Switch a slot on and off, and say what its model may do: answer, answer a share, or only be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reasoning_cli import settings as s
from reasoning_cli.errors import UsageError
from reasoning_cli.settings import Settings
from reasoning_cli.store.audit_log import Event, Events
from reasoning_cli.store.database import Store
from reasoning_cli.values import Mode


@dataclass(frozen=True)
class Switch:
    """What is to be written for a slot, None for what is to be as if nobody had set it. `action` is `enable` or
    `disable`, with `_head` behind it where it is about the head in line."""

    action: str
    model_type: str
    changes: Mapping[s.Setting[object], str | None]


def enabling(model_type: str, mode: Mode | None, share_percent: int | None) -> Switch:
    """Let decisions of a type go to its model; a mode or share that is None stays as it was. A share makes a canary.
    Raises UsageError for a share of what has none."""
    if share_percent is not None and mode not in (None, Mode.CANARY):
        raise UsageError(f"a {mode} model has no share", "leave --share away, or use --mode canary")
    wanted = Mode.CANARY if share_percent is not None else mode
    changes: dict[s.Setting[object], str | None] = {s.ENABLED[model_type]: "true"}
    if wanted is not None:
        changes[s.MODE[model_type]] = str(wanted)
    if share_percent is not None:
        changes[s.SHARE[model_type]] = str(share_percent)
    return Switch("enable", model_type, changes)


def disabling(model_type: str) -> Switch:
    """Send decisions of a type to the original provider. The model goes on running, and costing."""
    return Switch("disable", model_type, {s.ENABLED[model_type]: "false"})


def apply(switch: Switch, settings: Settings, store: Store, at: datetime, *, asked_by: str = "") -> Sequence[str]:
    """Write the settings together, and remember who did it; the variables that hide one of them.

    `asked_by` is whom it was done for, where that is not whoever runs the program. Raises UsageError for a value that
    makes no sense.
    """
    detail = {
        setting.name.partition(".")[2]: text
        for setting, text in switch.changes.items()
        if text not in ("true", "false", None)
    }
    if asked_by:
        detail["asked_by"] = asked_by
    with Events(store).recording(Event(at, "operator", switch.action, switch.model_type, detail)):
        s.write_settings(settings.paths, {setting.name: text for setting, text in switch.changes.items()})
    hiding = (s.overrides(settings, setting) for setting in switch.changes)
    return [variable for variable in hiding if variable is not None]
