"""How the gateways and guards of a store that several hosts share are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.gateway.presence import differing_versions, everybody
from reasoning_cli.store.instances import InstanceSeen
from reasoning_cli.store.open import open_store
from reasoning_cli.terminal.units import duration
from reasoning_cli.values import IMPATIENT, DatabaseAddress, with_patience

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session


def at_work(session: Session) -> list[InstanceSeen]:
    """The gateways and guards of a store that several hosts share; none where that cannot be asked now."""
    place = session.settings.place()
    if not isinstance(place, DatabaseAddress):
        return []
    realm = "sandbox" if session.in_sandbox else "together"
    try:
        with open_store(with_patience(place, IMPATIENT), realm, create=False, or_read=True) as store:
            return everybody(store)
    except ReasoningError:
        return []


def fleet_lines(seen: Sequence[InstanceSeen]) -> list[str]:
    """A line for each, and one where their versions differ."""
    lines = [fleet_line(each) for each in seen]
    if versions := differing_versions(seen):
        lines.append(f"versions differ: {', '.join(versions)}; bring all to the newest")
    return lines


def fleet_line(seen: InstanceSeen) -> str:
    """What it is, where, of which version, and when it was last seen."""
    who = seen.instance
    does = "" if who.kind == "gateway" else ", acts" if seen.facts["acts"] else ", stands by"
    ago = f"{duration(seen.ago)} ago"
    state = f"gone, last seen {ago}" if seen.is_gone else f"seen {ago}{does}"
    return f"{who.kind} on {who.host} (process {who.pid}), reasoning {who.version}, {state}"


def fleet_record(seen: InstanceSeen) -> dict[str, object]:
    """The same for machines."""
    who = seen.instance
    return {
        "kind": who.kind,
        "id": who.id,
        "host": who.host,
        "pid": who.pid,
        "version": who.version,
        "seen_seconds_ago": round(seen.ago.total_seconds(), 1),
        "up_seconds": round(seen.since.total_seconds()),
        "gone": seen.is_gone,
        "acts": seen.facts.get("acts"),
    }
