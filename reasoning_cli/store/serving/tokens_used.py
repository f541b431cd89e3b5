"""The tokens that the model of a slot took: of answers that agents got, and of those beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reasoning_cli.store.database import Store
from reasoning_cli.store.timestamps import to_ms


@dataclass(frozen=True)
class TokensUsed:
    """So many answers with counted tokens, and so many without, of which the characters of prompt and answer are known.
    `answers` are those that agents got."""

    answers: int = 0
    counted: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    uncounted_prompt_chars: int = 0
    uncounted_output_chars: int = 0

    def __add__(self, other: TokensUsed) -> TokensUsed:
        return TokensUsed(*(mine + theirs for mine, theirs in zip(_values(self), _values(other), strict=True)))


@dataclass(frozen=True)
class Watermark:
    """Up to which answers and attempts were read."""

    sample: int = 0
    attempt: int = 0


BEGINNING = Watermark()


def tokens_used(
    store: Store, model_type: str, model: str, since: datetime, until: datetime, after: Watermark = BEGINNING
) -> tuple[TokensUsed, Watermark]:
    """What `model` took as the slot's model of `model_type` from `since` to `until`, of rows after a watermark; and the
    next watermark."""
    times = (to_ms(since), to_ms(until))
    last = store.row(
        "SELECT coalesce((SELECT max(seq) FROM samples), 0), coalesce((SELECT max(number) FROM attempts), 0)"
    )
    assert last is not None
    known = "prompt_tokens IS NOT NULL AND completion_tokens IS NOT NULL"
    answers = store.row(
        f"SELECT count(*), {_sums(known, 'prompt_chars', 'output_chars')} FROM samples"
        " WHERE source='slot' AND model_type=? AND model=? AND created_at>=? AND created_at<? AND seq>? AND seq<=?",
        (model_type, model, *times, after.sample, last[0]),
    )
    of_attempt = known.replace("prompt_tokens", "a.prompt_tokens").replace("completion_tokens", "a.completion_tokens")
    attempts = store.row(
        f"SELECT 0, {_sums(of_attempt, 's.prompt_chars', 'length(a.output)', 'a.')} FROM attempts a"
        " JOIN samples s ON s.id = a.sample_id WHERE a.deployment_key IS NULL AND a.model_type=? AND a.model=?"
        " AND a.at>=? AND a.at<? AND a.number>? AND a.number<=?",
        (model_type, model, *times, after.attempt, last[1]),
    )
    assert answers is not None
    assert attempts is not None
    return TokensUsed(*answers) + TokensUsed(*attempts), Watermark(last[0], last[1])


def _sums(known: str, prompt_chars: str, output_chars: str, table: str = "") -> str:
    def total(what: str, where: str) -> str:
        return f"coalesce(sum(CASE WHEN {where} THEN {what} ELSE 0 END), 0)"

    return ", ".join(
        [
            total("1", known),
            total(f"{table}prompt_tokens", known),
            total(f"{table}completion_tokens", known),
            total("1", f"NOT ({known})"),
            total(prompt_chars, f"NOT ({known})"),
            total(output_chars, f"NOT ({known})"),
        ]
    )


def _values(used: TokensUsed) -> tuple[int, ...]:
    return (
        used.answers,
        used.counted,
        used.prompt_tokens,
        used.completion_tokens,
        used.uncounted,
        used.uncounted_prompt_chars,
        used.uncounted_output_chars,
    )
