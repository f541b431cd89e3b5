"""What an owner says of the agent's models, understood without one: switching off a bad one must not depend on it."""

from __future__ import annotations

import re

ENABLE, DISABLE, STATUS = "ENABLE_REASONING_SERVICE", "DISABLE_REASONING_SERVICE", "CHECK_REASONING_STATUS"

_MODELS = (
    r"(?:(?:the|your|custom|own)\s+)*(?:reasoning(?:\s+(?:service|models?))?|(?:custom|own|fine-?tuned)\s+models?)"
)
_IT = r"(?:it|that|them)"


def _patterns(what: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    def pattern(*wordings: str) -> re.Pattern[str]:
        return re.compile("|".join(wordings).replace("WHAT", what), re.IGNORECASE)

    return (
        (
            DISABLE,
            pattern(
                r"\b(?:disable|deactivate|stop)\s+(?:using\s+)?WHAT\b",
                r"\b(?:turn|switch)\s+(?:WHAT\s+off|off\s+WHAT)\b",
            ),
        ),
        (
            ENABLE,
            pattern(
                r"\b(?:enable|activate|start)\s+(?:using\s+)?WHAT\b", r"\b(?:turn|switch)\s+(?:WHAT\s+on|on\s+WHAT)\b"
            ),
        ),
        (
            STATUS,
            pattern(r"\bhow\s+(?:is|are|does|do|well\s+(?:is|are))\s+WHAT\b", r"\b(?:status|state)\s+of\s+WHAT\b"),
        ),
    )


_NAMED, _POINTED_AT = _patterns(_MODELS), _patterns(_IT)
_NOT = re.compile(r"\b(?:don'?t|do\s+not|never|not)\b", re.IGNORECASE)


def asked_for(text: str, *, spoken_of: bool) -> str | None:
    """The action that a message asks for; None where it is not plain. `spoken_of`: its writer has just asked for one,
    so that `it` can mean the models."""
    if _NOT.search(text):
        return None
    patterns = (*_NAMED, *_POINTED_AT) if spoken_of else _NAMED
    return next((action for action, pattern in patterns if pattern.search(text)), None)
