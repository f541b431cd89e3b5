"""What the ledger last said of the slots, for a gateway that starts while the store does not answer.

Models and what keeps them closed, and no key: the rest is in the settings, which are read as they are.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import replace

from reasoning_cli.errors import DataError
from reasoning_cli.operations.deploy.slots import DISABLED, HANDS_THROUGH, SlotNow
from reasoning_cli.paths import write_private
from reasoning_cli.redact import bare_address
from reasoning_cli.values import DatabaseAddress


class LastSeen:
    """The file beside where the database would be. Only what was seen of the same store counts."""

    def __init__(self, address: DatabaseAddress) -> None:
        self._path = address.beside.with_name(f"{address.beside.name}.slots")
        self._store = f"{bare_address(address.url)} {address.schema}"
        self._written: object = None

    def keep(self, slots: Mapping[str, SlotNow]) -> None:
        """Write down what has changed; a disk that is full keeps nobody from anything."""
        seen = {
            model_type: [slot.model, slot.deployment_key, slot.closed] for model_type, slot in sorted(slots.items())
        }
        if seen == self._written:
            return
        with contextlib.suppress(DataError):
            write_private(self._path, json.dumps({"store": self._store, "slots": seen}))
            self._written = seen

    def fill(self, slots: Mapping[str, SlotNow]) -> dict[str, SlotNow] | None:
        """Slots as the settings alone have them, with what was last seen of each; None where nothing was."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if found["store"] != self._store:
                return None
            return {model_type: _filled(slot, *found["slots"][model_type]) for model_type, slot in slots.items()}
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _filled(slot: SlotNow, model: str | None, deployment_key: str | None, closed: str | None) -> SlotNow:
    if slot.closed in (HANDS_THROUGH, DISABLED):
        return slot
    if slot.own_server:
        return replace(slot, closed=slot.closed or closed)
    return replace(slot, model=model, deployment_key=deployment_key, closed=closed)
