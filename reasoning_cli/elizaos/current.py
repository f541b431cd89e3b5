"""The message that an agent's task is about: the runtime's own notion of it is one for all tasks."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from reasoning_cli.decisions.scope import Scope

_GROUPS = frozenset({"GROUP", "VOICE_GROUP", "FEED", "THREAD", "WORLD", "FORUM"})


@dataclass
class Current:
    """A message under way. `samples` are those of the plans for it, the newest last; `silent` whether the
    agent is to say nothing, None before anybody was asked."""

    message: Any
    scope: Scope
    text: str
    channel: str
    samples: list[str] = field(default_factory=list)
    silent: bool | None = None

    @property
    def is_of_group(self) -> bool:
        """Whether others than the agent and one person read it."""
        return self.channel in _GROUPS


_CURRENT: ContextVar[tuple[int, Current] | None] = ContextVar("reasoning_current", default=None)


def enter(runtime: Any, message: Any) -> None:
    """From now on this task is about a message of the runtime's, which it may be already."""
    content, message_id = message.content, _text(message.id)
    found = current(runtime)
    if found is not None and _text(found.message.id) == message_id:
        return
    room, run = _text(message.room_id), None
    if _text(getattr(runtime, "_current_room_id", None)) == room:
        run = _text(getattr(runtime, "_current_run_id", None))
    scope = Scope(
        agent_name=runtime.character.name or None,
        agent_id=_text(runtime.agent_id),
        room_id=room,
        entity_id=_text(message.entity_id),
        run_id=run or message_id,
    )
    channel = _text(getattr(content, "channel_type", None)) or ""
    entered = Current(message, scope, content.text or "", channel.rpartition(".")[2].upper())
    _CURRENT.set((id(runtime), entered))


def current(runtime: Any) -> Current | None:
    """The message that this task is about; None where it is about none of the runtime's."""
    found = _CURRENT.get()
    return found[1] if found is not None and found[0] == id(runtime) else None


def scope_of(runtime: Any) -> Scope:
    """Where a call of the runtime comes from, as far as is known."""
    found = current(runtime)
    if found is not None:
        return found.scope
    return Scope(agent_name=runtime.character.name or None, agent_id=_text(runtime.agent_id))


def _text(value: object) -> str | None:
    return str(value) if value else None
