"""Search decisions by what people wrote and what was answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reasoning_cli.decisions.reading import message_of, words_of
from reasoning_cli.errors import DataError, UsageError
from reasoning_cli.operations.data.browse import find_sample
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.listing import Pages
from reasoning_cli.store.samples.search import BATCH, Hit, Search, spaced
from reasoning_cli.store.samples.training_log import SampleFilter, Samples

# Of a text that is longer the beginning is searched.
_MOST_CHARS = 20_000

_TERM = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')
_OPERATORS = ("AND", "OR", "NOT")


@dataclass(frozen=True)
class Found:
    """What a search found, newest first. `more`: there are others behind them. `id_chars` as for a page."""

    hits: Sequence[Hit]
    more: bool
    id_chars: int


@dataclass(frozen=True)
class IndexState:
    """How far the index is: whether it `is_made`, and how many of the decisions are `unread`, which is not in it."""

    is_made: bool
    decisions: int
    unread: int

    @property
    def is_whole(self) -> bool:
        """Whether a search reads what is missing by itself, without anybody waiting for it."""
        return self.is_made and self.unread <= BATCH

    @property
    def share(self) -> float:
        return 1 - self.unread / self.decisions if self.decisions else 1.0


def index_state(store: Store) -> IndexState:
    """How far the index is; reads nothing into it."""
    search = Search(store)
    decisions = Samples(store).count()
    if not search.is_made:
        return IndexState(False, decisions, decisions)
    return IndexState(True, decisions, min(search.unread(), decisions))


def read_a_little(store: Store) -> None:
    """Read what is new where that takes some tens of milliseconds; more is left for `bring_up_to_date`. DataError where
    there is no index."""
    search = Search(store)
    if not search.is_made:
        raise DataError("there is no search index yet", "`reasoning data search --index build` makes it")
    if store.read_only_for is None and search.unread() <= BATCH:
        bring_up_to_date(store)


def bring_up_to_date(store: Store, on_progress: Callable[[int, int], None] | None = None) -> int:
    """Make the index if there is none and read what is new; how many decisions were read.

    The newest are read first. `on_progress` gets how many of how many are read. Interrupted, it goes on from there the
    next time. Where nothing can be written an index stays as it is, and DataError is raised where there is none.
    """
    search = Search(store)
    if store.read_only_for is not None and search.is_made:
        return 0  # what it holds is found
    if not search.is_made:
        search.make()
    total, done = search.unread(), 0
    for done in search.read(_words):
        if on_progress is not None:
            on_progress(done, max(total, done))
    return done


def search_samples(store: Store, typed: str, wanted: SampleFilter, *, after: str | None, limit: int) -> Found:
    """The newest `limit` decisions that match what was typed, and the filter, behind the id `after`.

    Words must all be there, `"words in quotes"` in that order, `begin*` how a word begins; OR and NOT stand between
    two of them. What would be no sense as such is taken word for word. UsageError when nothing can be searched for.
    """
    behind = find_sample(store, after).seq if after is not None else None
    search, pages = Search(store), Pages(store)
    try:
        hits = search.find(expression_of(typed), wanted, after=behind, limit=limit + 1)
    except DataError:
        if expression_of(typed) == expression_of(typed, literal=True):
            raise
        hits = search.find(expression_of(typed, literal=True), wanted, after=behind, limit=limit + 1)
    shown = hits[:limit]
    length = max((pages.distinct_length(hit.row.id) for hit in shown), default=0)
    return Found(shown, len(hits) > limit, max(8, length))


def expression_of(typed: str, *, literal: bool = False) -> str:
    """What was typed as an FTS5 expression: every term quoted, so that nothing in it is taken for syntax."""
    terms: list[str] = []
    for phrase, star, word in _TERM.findall(typed):
        # An operator stands between two terms; anywhere else it is a word.
        if word in _OPERATORS and not literal and terms and terms[-1] not in _OPERATORS:
            terms.append(word)
            continue
        text = phrase or word
        begins = bool(star) or (text.endswith("*") and len(text) > 1)
        quoted = spaced(text.removesuffix("*")).replace('"', '""')
        if any(character.isalnum() for character in quoted):
            terms.append(f'"{quoted}"{" *" if begins else ""}')
    if terms and terms[-1] in _OPERATORS:
        terms[-1] = f'"{terms[-1]}"'
    if not terms:
        raise UsageError(f"`{typed}` holds no word to search for", 'for example `reasoning data search "good morning"`')
    return " ".join(terms)


def _words(model_type: str, prompt: str, answer: str) -> tuple[str, str]:
    return message_of(model_type, prompt)[:_MOST_CHARS], words_of(model_type, answer)[:_MOST_CHARS]
