"""What a server says, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerAnswer:
    """One answer, with what the server counted, None for what it does not say; whether it told how probable its tokens
    were; the model it says it is, and whether it called a tool."""

    text: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    tells_probabilities: bool = False
    model: str | None = None
    calls_tools: bool = False
