"""Answers in the form nearly all have, read in one match: the same result as `answers`, a tenth of the time.

Whatever does not match is None here and `answers`' to read; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from reasoning_cli.decisions.answers import ACTIONS, Answer, PlanningAnswer, ShouldRespondAnswer, unescape

_TAGS = {
    "should_respond": ("name", "reasoning", "action"),
    "planning": ("thought", "actions", "providers", "text"),
}
# A value as `render_answer` writes it: escaped, and without space around it.
_WRITTEN = r"(?!\s)[^<>&]*(?:&(?:lt|gt|amp);[^<>&]*)*(?<!\s)"
_VALUES = {
    "name": _WRITTEN,
    "reasoning": _WRITTEN,
    "action": "(?:" + "|".join(ACTIONS) + ")",
    "thought": f"(?=[^<]){_WRITTEN}",
    "actions": r"[A-Za-z0-9_]+(?:,[A-Za-z0-9_]+)*",
    "providers": r"(?:[A-Za-z0-9_]+(?:,[A-Za-z0-9_]+)*)?",
    "text": _WRITTEN,
}
_CANONICAL = {
    model_type: re.compile(
        "<response>\n" + "".join(f"  <{tag}>{_VALUES[tag]}</{tag}>\n" for tag in tags) + "</response>"
    )
    for model_type, tags in _TAGS.items()
}
_SHAPE = {
    model_type: re.compile(
        r"\s*<response>\s*" + "".join(rf"<{tag}>([^<]*)</{tag}>\s*" for tag in tags) + r"</response>\s*"
    )
    for model_type, tags in _TAGS.items()
}
_THINKING = re.compile(r"</?think")


def is_canonical(model_type: str, output: str) -> bool:
    """Whether an answer that is known to be valid stands there exactly as it would be written."""
    if model_type == "coding":
        return bool(output) and not (output[0].isspace() or output[-1].isspace()) and not _THINKING.search(output)
    return _CANONICAL[model_type].fullmatch(output) is not None


def canonical_check(model_type: str) -> Callable[[str], object]:
    """`is_canonical` for answers of one type: true or false in any form, and with nothing to look up at each."""
    known = _CANONICAL.get(model_type)
    return known.fullmatch if known is not None else partial(is_canonical, model_type)


def quick_answer(model_type: str, output: str) -> Answer | None:
    """The answer to should_respond or planning, known to be valid; None when it is not in the common form."""
    shape = _SHAPE.get(model_type)
    found = shape.fullmatch(output) if shape is not None else None
    if found is None:
        return None
    if model_type == "should_respond":
        name, reasoning, action = map(_value, found.groups())
        return ShouldRespondAnswer(name, reasoning, action.upper()) if action.upper() in ACTIONS else None
    thought, actions, providers, text = map(_value, found.groups())
    return PlanningAnswer(thought, _names(actions), _names(providers), text) if thought and _names(actions) else None


def _value(text: str) -> str:
    return (unescape(text) if "&" in text else text).strip()


def _names(value: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in value.split(",")) if name)
