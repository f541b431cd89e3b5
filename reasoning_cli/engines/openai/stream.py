"""An answer put together from the events of a stream, as servers that speak OpenAI's API send them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass
class StreamedAnswer:
    """What has come so far. `begun`: the server has taken the question; `events` counts what it sent, the last one
    included. `error` is what it says in the midst of a stream in the place of more."""

    begun: bool = False
    events: int = 0
    texts: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Mapping[str, object] = field(default_factory=dict)
    model: str | None = None
    tells_probabilities: bool = False
    calls_tools: bool = False
    error: object = None

    def add_line(self, line: str) -> bool:
        """Take a line of the stream; whether it brings a piece of text. Other lines mean nothing."""
        if not line.startswith("data:"):
            return False
        self.events += 1
        try:
            chunk = json.loads(line.removeprefix("data:"))
        except (ValueError, RecursionError):
            return False
        return isinstance(chunk, dict) and self.add(chunk, "delta")

    def add(self, chunk: Mapping[str, object], place: str) -> bool:
        """Take a piece of an answer, or a whole one, whose text is in the choice's `place`; whether it has any."""
        self.error = chunk.get("error") or self.error
        if isinstance(model := chunk.get("model"), str) and model:
            self.model = model
        if isinstance(usage := chunk.get("usage"), dict):
            self.usage = usage
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        if isinstance(finish := choice.get("finish_reason"), str) and finish:
            self.finish_reason = finish
        self.tells_probabilities |= isinstance(logprobs := choice.get("logprobs"), dict) and any(logprobs.values())
        said = choice.get(place)
        if not isinstance(said, dict):
            return False
        self.calls_tools |= bool(said.get("tool_calls"))
        text = said.get("content")
        if isinstance(text, str) and text:
            self.texts.append(text)
            return True
        return False


def lines_of(pieces: Iterable[bytes]) -> Iterator[str]:
    """The lines of a stream. Only a line feed ends one: texts may hold any other sign that Unicode breaks lines at."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").rstrip("\r")
    if rest:
        yield rest.decode(errors="replace").rstrip("\r")
