"""What imports need of the store: how far each source was read, and what is there already."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from reasoning_cli.store.database import Store, Value
from reasoning_cli.store.fingerprints import text_hash
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.store.timestamps import to_ms

_AT_ONCE = 500
# The gateway notes when it was asked, an agent when it had its answer; their clocks may differ besides.
_SAME_CALL = timedelta(minutes=10)
RECORDED = """SELECT seq, output, json_extract(metadata, '$.log_id') AS log_id FROM samples
 WHERE model_type = :type AND prompt_hash = :prompt AND origin IN ('gateway', 'library')
 AND created_at BETWEEN :since AND :until
 ORDER BY abs(created_at - :at)"""
# The gateway guesses rooms, and knows no ids of agents and runs.
_CLAIM = """UPDATE samples SET metadata = json_set(coalesce(metadata, '{}'), '$.log_id', :id),
 room_id = coalesce(:room, room_id), agent_id = coalesce(agent_id, :agent), run_id = coalesce(run_id, :run)
 WHERE seq = :seq AND json_extract(metadata, '$.log_id') IS NULL"""


class Imports:
    """The positions of the sources in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._claimed: dict[int, str] = {}

    def position(self, source: str) -> Mapping[str, object] | None:
        """Where the last import of a source ended; None when there was none."""
        row = self._store.row("SELECT position FROM imports WHERE source=?", (source,))
        found = json.loads(row[0]) if row is not None else None
        return found if isinstance(found, dict) else None

    def remember(self, source: str, position: Mapping[str, object]) -> None:
        """Keep where an import has come to."""
        self._store.write(
            "INSERT INTO imports(source, position, at) VALUES (?, ?, ?)"
            " ON CONFLICT(source) DO UPDATE SET position=excluded.position, at=excluded.at",
            (source, json.dumps(position), to_ms(datetime.now(UTC))),
        )

    def known(self, ids: Sequence[str]) -> set[str]:
        """Which of these samples are stored."""
        found: set[str] = set()
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            found.update(row[0] for row in self._store.rows(f"SELECT id FROM samples WHERE id IN ({marks})", some))
        return found

    def answers_to(self, model_type: str, prompt: str) -> Collection[str]:
        """What is stored as the answer wherever this prompt was asked, a person's word before the model's."""
        return {
            row[0]
            for row in self._store.rows(
                "SELECT coalesce(corrected, output) FROM samples WHERE model_type=? AND prompt_hash=?",
                (model_type, text_hash(prompt)),
            )
        }

    def recorded(
        self, samples: Sequence[Sample], is_same: Callable[[Sample, str], bool], *, keep: bool
    ) -> list[Sample]:
        """Those that the gateway recorded as they were answered: the same prompt and answer at about the same time.

        Each stands for one recorded decision, which is given what the agent's log knows and the gateway does not;
        that is written unless `keep` is False. `is_same` says whether a stored answer is that of a sample.
        """
        found = []
        for sample in samples:
            at, within = to_ms(sample.created_at), _SAME_CALL // timedelta(milliseconds=1)
            rows = self._store.rows(
                RECORDED,
                {
                    "type": sample.model_type,
                    "prompt": text_hash(sample.prompt),
                    "at": at,
                    "since": at - within,
                    "until": at + within,
                },
            )
            for seq, output, log_id in list(rows):
                claimed_by = log_id or self._claimed.get(seq)
                if claimed_by not in (None, sample.id) or not is_same(sample, output):
                    continue
                if claimed_by is not None or self._claim(seq, sample, keep=keep):
                    found.append(sample)
                    break
        return found

    def _claim(self, seq: int, sample: Sample, *, keep: bool) -> bool:
        """Take a recorded decision to be this sample; False when another import was faster."""
        if not keep:
            self._claimed[seq] = sample.id
            return True
        values: dict[str, Value] = {
            "seq": seq,
            "id": sample.id,
            # Where an agent's own id stands for the room, the log does not tell rooms apart.
            "room": sample.room_id if sample.room_id != sample.agent_id else None,
            "agent": sample.agent_id,
            "run": sample.run_id,
        }
        return self._store.write(_CLAIM, values) == 1
