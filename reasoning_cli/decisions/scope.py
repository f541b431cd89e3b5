"""Whom a decision belongs to, as far as whoever asks for it says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """The agent, the room, who wrote the message and the agent's run; what is None is read off the prompt, if there.

    All ids are the agent's own. A canary draws by `entity_id`: the same person always gets the same model.
    """

    agent_name: str | None = None
    agent_id: str | None = None
    room_id: str | None = None
    entity_id: str | None = None
    run_id: str | None = None


NOWHERE = Scope()
