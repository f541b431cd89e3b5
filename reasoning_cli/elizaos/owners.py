"""Who may switch an agent's models: those whom `REASONING_OWNERS` names, and whom the runtime's roles let."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

SETTING = "REASONING_OWNERS"
_ROLES = ("OWNER", "ADMIN")


async def is_owner(runtime: Any, message: Any, owners: Iterable[str]) -> bool:
    """Whether the writer of a message may. Ids are compared without regard to case."""
    entity = str(message.entity_id or "").lower()
    if not entity:
        return False
    named = ",".join(filter(None, (str(runtime.get_setting(SETTING) or ""), os.environ.get(SETTING, ""))))
    allowed = {name.strip().lower() for name in (*owners, *named.split(","))} - {""}
    return entity in allowed or await _role(runtime, message, entity) in _ROLES


async def _role(runtime: Any, message: Any, entity: str) -> str:
    """The role of somebody in the world of a message's room; empty where the runtime knows none."""
    try:
        room = await runtime.get_room(message.room_id)
        world = await runtime.get_world(room.world_id) if room is not None and room.world_id else None
        roles = dict(world.metadata["roles"]) if world is not None and world.metadata else {}
        return next((str(role).upper() for who, role in roles.items() if str(who).lower() == entity), "")
    except Exception:  # an agent without a database, or with metadata of another form, has no roles
        return ""
