"""What the workers that share a port tell each other: figures, each in a file that its worker writes anew."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

# The worst first: one worker whose model is left alone is worth knowing.
_CIRCUITS = ("open", "half-open", "closed")


class Siblings:
    """The workers of one gateway, by the folder they write to. One that died leaves what it did."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._mine = folder, folder / f"{os.getpid()}.json"

    def notify(self, snapshot: Mapping[str, Any]) -> None:
        """Leave this worker's figures for the others. What cannot be written is missed by them, and by nobody else."""
        beside = self._mine.with_suffix(".part")
        with contextlib.suppress(OSError):
            beside.write_bytes(orjson.dumps(snapshot))
            beside.replace(self._mine)

    def others(self) -> list[dict[str, Any]]:
        """What the others last told. One that runs no more has nothing under way, and no circuit."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            if path == self._mine:
                continue
            with contextlib.suppress(OSError, ValueError):
                snapshot = orjson.loads(path.read_bytes())
                if not _runs(int(path.stem)):
                    snapshot["figures"]["in_flight"] = snapshot["recording"]["waiting_bytes"] = 0
                    snapshot["recording"] |= {"spooled": 0, "spooled_bytes": 0}
                    snapshot |= {"circuits": {}, "alive": False}
                found.append(snapshot)
        return found

    def is_first(self) -> bool:
        """Whether no other that runs began before this one, as far as numbers of processes say so: one of them all."""
        pids = [int(path.stem) for path in self._folder.glob("*.json")]
        return os.getpid() <= min(filter(_runs, pids), default=os.getpid())


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def worst(states: list[str]) -> str:
    """The state of a slot's circuit that an operator has to know of."""
    return min(states, key=_CIRCUITS.index, default="closed")
