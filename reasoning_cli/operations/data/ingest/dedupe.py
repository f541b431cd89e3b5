"""Which decisions an import finds are not to be stored: those that are there, in whatever form, and those forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reasoning_cli.decisions.answers import InvalidAnswer, read_answer, render_answer
from reasoning_cli.operations.data.ingest.chat_jsonl import ORIGIN as CHAT_FILE
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.import_cursors import Imports
from reasoning_cli.store.samples.tombstones import Forgotten
from reasoning_cli.store.samples.training_log import Sample


@dataclass(frozen=True)
class Sifted:
    """What is to be done with a batch: store `fresh`; the others are not, and `there` counts those stored already.

    `recorded` were recorded by the gateway as they were answered. `forgotten` were deleted on request: those of them in
    `fresh` are wanted all the same.
    """

    fresh: list[Sample]
    there: int
    recorded: list[Sample]
    forgotten: list[Sample]


class Sieve:
    """What a store knows of decisions that come in. With `keep` False it writes nothing."""

    def __init__(self, store: Store, *, include_forgotten: bool, keep: bool) -> None:
        self._imports, self._forgotten = Imports(store), Forgotten(store)
        self._include_forgotten, self._keep = include_forgotten, keep

    def sift(self, batch: Sequence[Sample]) -> Sifted:
        """Part a batch."""
        stored = self._imports.known([sample.id for sample in batch])
        new = [sample for sample in batch if sample.id not in stored and not self._is_stored_line(sample)]
        # A chat line is of a time that nobody knows.
        gone = self._forgotten.among(
            (sample, None if sample.origin == CHAT_FILE else sample.created_at) for sample in new
        )
        forgotten = [sample for sample in new if sample.id in gone]
        if not self._include_forgotten:
            new = [sample for sample in new if sample.id not in gone]
        calls = [sample for sample in new if sample.origin != CHAT_FILE]
        recorded = self._imports.recorded(calls, _is_answer, keep=self._keep)
        ours = {sample.id for sample in recorded}
        fresh = [sample for sample in new if sample.id not in ours]
        there = len(batch) - len(fresh) - len(recorded) - (0 if self._include_forgotten else len(forgotten))
        return Sifted(fresh, there, recorded, forgotten)

    def _is_stored_line(self, found: Sample) -> bool:
        """Whether a chat line says what is stored already, word for word: so an export comes back as nothing new."""
        if found.origin != CHAT_FILE:
            return False
        said = _canonical(found, found.corrected or found.output)
        return any(
            _canonical(found, answer) == said for answer in self._imports.answers_to(found.model_type, found.prompt)
        )


def _is_answer(sample: Sample, stored: str) -> bool:
    return _canonical(sample, stored) == _canonical(sample, sample.output)


def _canonical(sample: Sample, output: str) -> str:
    """The answer as it is exported."""
    answer = read_answer(sample.model_type, sample.prompt, output)
    return output.strip() if isinstance(answer, InvalidAnswer) else render_answer(answer)
