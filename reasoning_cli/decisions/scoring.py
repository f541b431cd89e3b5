"""How good one answer is beside what is held to be right. Pure: nothing is run, nobody is asked.

What is right, in this order: the answer a person put in its place; the answer a person called good; of one called bad
that it is wrong; the original provider's answer. A `Score` holds the figures of one answer by name, each from 0 to 1
unless its name says otherwise; those that cannot be told of an answer are not there.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from reasoning_cli.decisions.answers import (
    Answer,
    CodingAnswer,
    InvalidAnswer,
    PlanningAnswer,
    ShouldRespondAnswer,
    decision_of,
    name_key,
    parse_answer,
    read_answer,
)

Basis = Literal["corrected", "good", "bad", "original", "file", "none"]

# Similar enough to be the same mistake again.
_REPEATS = 0.8
# Nothing longer is compared: what follows changes a similarity little, and time is not without end.
_MOST_CHARS = 50_000

# The figure by which two models are compared.
MAIN: Mapping[str, str] = {"should_respond": "accuracy", "planning": "actions_f1", "coding": "similarity"}

# Scripts that put no space between words: each character counts as one.
_ALONE = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")
_CODE_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Weights:
    """What a decision to speak where silence was right costs beside the reverse, as the operator weighs them."""

    wrong_respond: Decimal = Decimal(1)
    wrong_ignore: Decimal = Decimal(1)


@dataclass(frozen=True)
class Truth:
    """What is held to be right: `answer`, and of an answer labelled bad `wrong`. Neither where nobody knows."""

    basis: Basis
    answer: Answer | None = None
    wrong: Answer | None = None

    @property
    def decided(self) -> str | None:
        """In the few words of statistics."""
        if self.answer is not None:
            return decision_of(self.answer)
        return f"not {decision_of(self.wrong)}" if self.wrong is not None else None


@dataclass(frozen=True)
class Parsed:
    """Whether code can be read as its language, and what looked: a parser, or only `brackets`, which is weaker."""

    ok: bool
    how: str


@dataclass(frozen=True)
class Score:
    """One answer's figures. `reason` is why it is invalid; `differs` whether it decided otherwise than what is right.

    `checked` is what looked at its code, empty where nothing did.
    """

    valid: bool
    reason: str | None = None
    decided: str | None = None
    differs: bool | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    checked: str = ""


Parse = Callable[[str, str], Parsed | None]


def truth_of(
    model_type: str, prompt: str, output: str, *, label: str | None = None, corrected: str | None = None
) -> Truth:
    """What is held to be right for a decision of the log whose answer was `output`."""
    if corrected is not None:
        # A person may name what the prompt does not offer.
        better = parse_answer(model_type, corrected)
        if not isinstance(better, InvalidAnswer):
            return Truth("corrected", better)
    answer = read_answer(model_type, prompt, output)
    if isinstance(answer, InvalidAnswer):
        return Truth("none")
    if label == "bad":
        return Truth("bad", wrong=answer)
    return Truth("good" if label == "good" else "original", answer)


def score(model_type: str, prompt: str, output: str, truth: Truth, parse: Parse | None = None) -> Score:
    """The figures of an answer to `prompt`; `parse` looks at code, `parse_code` unless another is given."""
    answer = read_answer(model_type, prompt, output)
    if _wants_code(truth) and isinstance(answer, CodingAnswer) and not answer.code:
        answer = InvalidAnswer("no code")
    if isinstance(answer, InvalidAnswer):
        return Score(False, answer.reason, differs=_any_truth(truth), parts=_worst(truth))
    decided = decision_of(answer)
    match answer:
        case ShouldRespondAnswer():
            parts, differs = _responding(answer, truth)
        case PlanningAnswer():
            parts, differs = _planning(answer, truth)
        case CodingAnswer():
            found = (parse or parse_code)(answer.language, answer.code) if answer.code else None
            parts, differs = _coding(answer, truth)
            if found is not None:
                parts["parses"] = float(found.ok)
            return Score(True, None, decided, differs, parts, found.how if found is not None else "")
    return Score(True, None, decided, differs, parts)


def f1(ours: Collection[Hashable], theirs: Collection[Hashable]) -> float:
    """How much two collections share, each item as often as it is there: the harmonic mean of precision and recall.

    1 for two that are empty. The same whichever comes first.
    """
    if not ours and not theirs:
        return 1.0
    shared = (Counter(ours) & Counter(theirs)).total()
    return 2 * shared / (len(ours) + len(theirs))


def text_similarity(ours: str, theirs: str) -> float:
    """How many words two texts share, whatever their order and case; from 0 to 1."""
    return f1(words(ours), words(theirs))


def code_similarity(ours: str, theirs: str) -> float:
    """How many pairs of neighbouring tokens two pieces of code share; blank space does not count."""
    return f1(_pairs(ours), _pairs(theirs))


def words(text: str) -> list[str]:
    """The words of a text, in small letters; of scripts without spaces the characters."""
    return _WORD.findall(text[:_MOST_CHARS].lower())


def _wants_code(truth: Truth) -> bool:
    return isinstance(truth.answer, CodingAnswer) and bool(truth.answer.code)


def _any_truth(truth: Truth) -> bool | None:
    """An invalid answer differs from whatever is right."""
    return True if truth.answer is not None or truth.wrong is not None else None


def _worst(truth: Truth) -> dict[str, float]:
    """An answer nobody can use is as wrong as can be; of a mistake it is not a repetition."""
    match truth.answer if truth.answer is not None else truth.wrong:
        case ShouldRespondAnswer():
            return {"accuracy": 0.0}
        case PlanningAnswer() if truth.answer is not None:
            return {"actions_f1": 0.0, "actions_same": 0.0, "providers_same": 0.0, "text_similarity": 0.0}
        case CodingAnswer() if truth.answer is not None:
            return {"similarity": 0.0, "parses": 0.0} if _wants_code(truth) else {"similarity": 0.0}
        case None:
            return {}
    return {"repeats": 0.0}


def _responding(answer: ShouldRespondAnswer, truth: Truth) -> tuple[dict[str, float], bool | None]:
    match truth.answer, truth.wrong:
        case ShouldRespondAnswer() as right, _:
            same = answer.action == right.action
        case _, ShouldRespondAnswer() as wrong:
            same = answer.action != wrong.action
        case _:
            return {}, None
    return {"accuracy": float(same)}, not same


def _planning(answer: PlanningAnswer, truth: Truth) -> tuple[dict[str, float], bool | None]:
    if isinstance(truth.wrong, PlanningAnswer):
        wrong = truth.wrong
        repeats = _keys(answer.actions) == _keys(wrong.actions) and text_similarity(answer.text, wrong.text) >= _REPEATS
        return {"repeats": float(repeats)}, True if repeats else None
    right = truth.answer
    if not isinstance(right, PlanningAnswer):
        return {}, None
    ours, theirs = _keys(answer.actions), _keys(right.actions)
    same = set(ours) == set(theirs)
    parts = {
        "actions_f1": f1(set(ours), set(theirs)),
        "actions_same": float(same),
        "providers_same": float(set(_keys(answer.providers)) == set(_keys(right.providers))),
        "text_similarity": text_similarity(answer.text, right.text),
        "words_count": float(len(words(answer.text))),
    }
    if same and len(set(theirs)) > 1:
        parts["order_same"] = float(ours == theirs)
    return parts, not same


def _coding(answer: CodingAnswer, truth: Truth) -> tuple[dict[str, float], bool | None]:
    right = truth.answer if truth.answer is not None else truth.wrong
    if not isinstance(right, CodingAnswer):
        return {}, None
    if right.code:
        similarity = code_similarity(answer.code, right.code)
        same = answer.code.split() == right.code.split()
    else:
        similarity = text_similarity(answer.text, right.text)
        same = answer.text.split() == right.text.split()
    if truth.answer is None:
        return {"repeats": float(similarity >= _REPEATS)}, True if similarity >= _REPEATS else None
    return {"similarity": similarity, "same": float(same)}, not same


def _keys(names: Collection[str]) -> list[str]:
    return [name_key(name) for name in names]


def _pairs(code: str) -> list[tuple[str, str]]:
    tokens = ["", *_CODE_WORD.findall(code[:_MOST_CHARS]), ""]
    return list(pairwise(tokens)) if len(tokens) > 2 else []


# --- code ---

PYTHON = frozenset({"python", "py", "python3"})
JAVASCRIPT = frozenset({"javascript", "js", "mjs", "cjs"})
# Languages whose brackets say something: blocks in braces, comments as in C.
_BRACED = frozenset(
    {"typescript", "ts", "tsx", "jsx", "java", "c", "cpp", "c++", "csharp", "cs", "c#", "go", "rust", "rs", "kotlin"}
    | {"swift", "php", "scala", "dart", "css", "scss", "solidity", "jsonc", "json5"}
)
# Strings and comments; one that is not closed goes on to where it must end, so that nothing is read twice.
_SKIPPED = re.compile(
    r"""//[^\n]*|/\*(?:.*?\*/|.*)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|`(?:\\.|[^`\\])*`?""",
    re.DOTALL,
)
_OPENS = {")": "(", "]": "[", "}": "{"}


def parse_code(language: str, code: str) -> Parsed | None:
    """Whether code can be read as its language, without running any of it; None of a language nothing is known about.

    Python and JSON have parsers here. JavaScript has one where a caller brings it; it and others with braces are looked
    at for brackets alone.
    """
    if language in PYTHON:
        return Parsed(_is_python(code), "parser")
    if language == "json":
        return Parsed(_is_json(code), "parser")
    if language in JAVASCRIPT or language in _BRACED:
        return Parsed(brackets_match(code), "brackets")
    return None


def brackets_match(code: str) -> bool:
    """Whether every bracket outside of strings and comments is closed by its own kind."""
    open_ones: list[str] = []
    for character in _SKIPPED.sub("", code):
        if character in "([{":
            open_ones.append(character)
        elif character in _OPENS and (not open_ones or open_ones.pop() != _OPENS[character]):
            return False
    return not open_ones


def _is_python(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in what somebody else wrote
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two of brackets without end
        return False
    return True


def _is_json(code: str) -> bool:
    try:
        json.loads(code)
    except (ValueError, RecursionError):
        return False
    return True
