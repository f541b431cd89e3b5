"""What was deleted on request, so that it does not come back: keyed hashes of ids and prompts, and no text.

Of a sample its own id is kept, and its prompt, by which it is told where its id is not known: in a chat file, or in an
agent's log when the gateway had recorded it. A request that named a room, a person or an agent is kept by that, and
holds for what is older than it: what they say later is new.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from hashlib import blake2b

from reasoning_cli.store.database import Store
from reasoning_cli.store.fingerprints import text_hash
from reasoning_cli.store.samples.retention import Step
from reasoning_cli.store.samples.rewrite import log_salt
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.store.timestamps import to_ms

# A UUID but for its first eight characters: what begins with a hyphen is found many times as fast.
_UUID_START, _UUID_REST = 8, re.compile(r"-[\da-fA-F]{4}-[\da-fA-F]{4}-[\da-fA-F]{4}-[\da-fA-F]{12}")
_AT_ONCE = 500
_KEEP = (
    "INSERT INTO forgotten(hash, at) VALUES (?, ?) ON CONFLICT(hash) DO UPDATE SET at=excluded.at"
    " WHERE forgotten.at < excluded.at"
)


class Forgotten:
    """What was forgotten in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def request(
        self, at: datetime, *, room: str | None = None, entity: str | None = None, agent: str | None = None
    ) -> None:
        """Keep that all of a room, a person or an agent until then was to go."""
        named = [("room", room), ("entity", entity), ("agent", agent)]
        self._store.write_many(
            _KEEP, [(self._hash(kind, value), to_ms(at)) for kind, value in named if value is not None]
        )

    def delete(
        self,
        step: Step,
        numbers: Sequence[int],
        at: datetime,
        on_progress: Callable[[int], None] = lambda gone: None,
    ) -> int:
        """Delete the samples with these `seq` and all that belongs to them, each with what is kept of it, a small step
        at a time; how many."""
        gone = place = 0
        while place < len(numbers):
            batch = json.dumps(list(numbers[place : place + step.rows]))
            place += (size := min(step.rows, len(numbers) - place))
            chosen = "seq IN (SELECT value FROM json_each(?))"
            rows = list(self._store.rows(f"SELECT id, model_type, prompt_hash FROM samples WHERE {chosen}", (batch,)))
            marks = [
                (mark, to_ms(at))
                for sample_id, model_type, prompt_hash in rows
                for mark in (self._hash("sample", sample_id), self._prompt(model_type, prompt_hash))
            ]
            with step.holding(size), self._store.transaction() as connection:
                connection.executemany(_KEEP, marks)
                gone += connection.execute(f"DELETE FROM samples WHERE {chosen}", (batch,)).rowcount
            step.give_back()
            on_progress(gone)
        return gone

    def keep(self, rows: Iterable[tuple[str, str, bytes]], at: datetime) -> None:
        """Keep that samples were to go that are not in the log: of each its id, its type and the hash of its prompt."""
        marks = [
            (mark, to_ms(at))
            for sample_id, model_type, prompt_hash in rows
            for mark in (self._hash("sample", sample_id), self._prompt(model_type, prompt_hash))
        ]
        self._store.write_many(_KEEP, marks)

    def among(self, found: Iterable[tuple[Sample, datetime | None]]) -> set[str]:
        """The ids of those that were forgotten; with each sample its time, None for one that tells none."""
        if not self._any:
            return set()
        marks = [(sample.id, at, *mark) for sample, at in found for mark in self._marks(sample)]
        until = self._until(list({digest for *_, digest in marks}))
        return {
            sample_id
            for sample_id, at, is_own, digest in marks
            if digest in until and (is_own or at is None or to_ms(at) <= until[digest])
        }

    def lift(self, samples: Iterable[Sample]) -> None:
        """Keep no longer that these samples were forgotten; what was said of rooms, people and agents stays."""
        own = [mark for sample in samples for is_own, mark in self._of_sample(sample)]
        self._store.write_many("DELETE FROM forgotten WHERE hash=?", [(mark,) for mark in own])

    def take_over(self, other: Forgotten) -> bool:
        """Keep also what was forgotten in the other store; False when that is nothing that could be known again here.

        Hashes of another log, made with a key of its own, say nothing in this one.
        """
        if not other._any:
            return False
        key = "SELECT value FROM about WHERE name = 'redaction'"
        theirs = other._store.row(key)
        assert theirs is not None
        self._store.write("INSERT INTO about(name, value) VALUES ('redaction', ?) ON CONFLICT DO NOTHING", (theirs[0],))
        ours = self._store.row(key)
        if ours is None or ours[0] != theirs[0]:
            return False
        self._store.write_many(_KEEP, (tuple(row) for row in other._store.rows("SELECT hash, at FROM forgotten")))
        return True

    @property
    def _any(self) -> bool:
        return self._store.number("SELECT EXISTS (SELECT 1 FROM forgotten)") == 1

    def _until(self, marks: Sequence[bytes]) -> dict[bytes, int]:
        """Those of the hashes that are kept, and until when they hold."""
        held: dict[bytes, int] = {}
        for start in range(0, len(marks), _AT_ONCE):
            some = marks[start : start + _AT_ONCE]
            query = f"SELECT hash, at FROM forgotten WHERE hash IN ({', '.join('?' * len(some))})"
            held.update((row[0], row[1]) for row in self._store.rows(query, some))
        return held

    def _marks(self, sample: Sample) -> Iterator[tuple[bool, bytes]]:
        """All a sample may be known by, as hashes, and whether each is its own id, which no time bounds."""
        yield from self._of_sample(sample)
        answered = json.loads(sample.reply_targets) if sample.reply_targets else ()
        people = {whose for whose in (sample.entity_id, sample.spoke_before, *answered) if whose}
        for text in (sample.prompt, sample.output):
            for rest in _UUID_REST.finditer(text):
                people.add(text[max(0, rest.start() - _UUID_START) : rest.end()])
        named = [("room", sample.room_id), ("agent", sample.agent_id), ("agent", sample.agent_name)]
        for kind, value in [*named, *(("entity", person_id) for person_id in people)]:
            if value:
                yield False, self._hash(kind, value)

    def _of_sample(self, sample: Sample) -> Iterator[tuple[bool, bytes]]:
        yield True, self._hash("sample", sample.id)
        yield False, self._prompt(sample.model_type, text_hash(sample.identity or sample.prompt))

    def _prompt(self, model_type: str, prompt_hash: bytes) -> bytes:
        return self._hash("prompt", f"{model_type} {prompt_hash.hex()}")

    def _hash(self, kind: str, value: str) -> bytes:
        return blake2b(f"{kind} {value}".encode("utf-8", "replace"), key=self._key, digest_size=16).digest()

    @cached_property
    def _key(self) -> bytes:
        return log_salt(self._store)
