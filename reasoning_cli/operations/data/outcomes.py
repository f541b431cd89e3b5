"""What came of what an agent said, as far as the next decisions of the room show it.

After the agent spoke to somebody, either that person wrote to it again within half an hour (`answered`), or the next
thing asked of it was to be quiet (`stopped`): a decision to STOP, or a plan to mute the room or to follow it no more.
Anything else says nothing, and is left open. It is worked out for the time around what came in, so that rows may come
in any order, twice or in parts, and the end is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.rooms import ANSWERED, STOPPED, RoomRow, Rooms
from reasoning_cli.store.samples.training_log import Sample

WITHIN = timedelta(minutes=30)

# The decisions about one message are some seconds to minutes apart.
_OF_ONE_MESSAGE = timedelta(minutes=10)
_SILENT = {"", "IGNORE", "NONE", "STOP"}
_OURS = (None, ANSWERED, STOPPED)
_QUIET = {"STOP", "MUTE_ROOM", "UNFOLLOW_ROOM"}


@dataclass(frozen=True)
class _Turn:
    """One message and what the agent decided about it. `spoke`: it said something; `addressed`: the message was for
    it."""

    rows: tuple[RoomRow, ...]
    spoke: bool
    addressed: bool
    hushed: bool

    @property
    def began(self) -> datetime:
        return self.rows[0].created_at

    @property
    def ended(self) -> datetime:
        return self.rows[-1].created_at

    @property
    def entity(self) -> str | None:
        return next((row.entity_id for row in self.rows if row.entity_id), None)


def note_outcomes(store: Store, samples: Iterable[Sample]) -> Mapping[str, int]:
    """Say what came of the decisions around these samples, and of them; how many were found to be what."""
    found: Counter[str] = Counter()
    rooms = Rooms(store)
    changes: list[tuple[int, str | None]] = []
    for room_id, since, until in _touched(samples):
        margin = WITHIN + _OF_ONE_MESSAGE
        turns = _turns(list(rooms.rows(room_id, since - margin, until + margin)))
        for place, turn in enumerate(turns):
            # What came of later ones cannot be seen from here.
            if turn.began > until:
                break
            outcome = _outcome(turn, turns[place + 1 :])
            # What was said of a turn whose beginning lies before the time looked at is not ours to take back.
            if outcome is None and turn.began < since - WITHIN:
                continue
            changed = [row for row in turn.rows if row.feedback != outcome and row.feedback in _OURS]
            changes += [(row.seq, outcome) for row in changed]
            if outcome is not None and changed:
                found[outcome] += len(changed)
    rooms.set_feedback(changes)
    return dict(found)


def _touched(samples: Iterable[Sample]) -> Iterator[tuple[str, datetime, datetime]]:
    """The rooms and times samples are of. Where an agent's own id stands for the room, all its rooms are in one."""
    times: dict[str, list[datetime]] = {}
    for sample in samples:
        if sample.room_id is not None and sample.room_id != sample.agent_id and sample.model_type != "coding":
            times.setdefault(sample.room_id, []).append(sample.created_at)
    for room_id, moments in times.items():
        moments.sort()
        since = until = moments[0]
        for moment in moments[1:]:
            if moment - until > 2 * WITHIN:
                yield room_id, since, until
                since = moment
            until = moment
        yield room_id, since, until


def _turns(rows: Sequence[RoomRow]) -> list[_Turn]:
    """The rows by the message they are about, which shares a run; those without a run stand alone."""
    grouped: dict[object, list[RoomRow]] = {}
    for row in rows:
        grouped.setdefault(row.run_id or row.seq, []).append(row)
    return sorted((_turn(tuple(group)) for group in grouped.values()), key=lambda turn: turn.began)


def _turn(rows: tuple[RoomRow, ...]) -> _Turn:
    asked = [row.decision for row in rows if row.model_type == "should_respond"]
    planned = [set((row.decision or "").split(",")) for row in rows if row.model_type == "planning"]
    return _Turn(
        rows,
        spoke=any(actions - _SILENT for actions in planned),
        # Nobody asks whether to respond where the message was plainly for the agent.
        addressed="RESPOND" in asked if asked else bool(planned),
        hushed="STOP" in asked or any(actions & _QUIET for actions in planned),
    )


def _outcome(turn: _Turn, later: Sequence[_Turn]) -> str | None:
    if not turn.spoke or turn.hushed:
        return None
    is_last_word = True
    for later_turn in later:
        if later_turn.began - turn.ended > WITHIN:
            return None
        if later_turn.hushed and is_last_word:
            return STOPPED
        if later_turn.addressed and later_turn.entity == turn.entity:
            return ANSWERED
        is_last_word = is_last_word and not later_turn.spoke
    return None
