"""An engine that conforms, for others to be made of that do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reasoning_cli.engines.engine import Access
from reasoning_cli.engines.errors import MissingError
from reasoning_cli.engines.features import Feature
from reasoning_cli.errors import ConfigurationError, ReasoningError


def refuse(problem: type[ReasoningError]) -> None:
    raise problem("no", "`do` something")


@dataclass(frozen=True)
class Said:
    text: str = "yes"
    finish_reason: str | None = "stop"
    prompt_tokens: int | None = 3
    completion_tokens: int | None = 1
    tells_probabilities: bool = True


class Client:
    def close(self) -> None:
        pass

    def chat(self, model: str, messages: Any, *, max_tokens: int, probabilities: bool = False) -> Said:
        if model != "m":
            refuse(MissingError)
        return Said()


class Good:
    name = "acme"
    title = "Acme"
    features = frozenset({Feature.ANSWER, Feature.CONFIDENCE})

    def address(self, access: Access) -> str | None:
        return access.url

    def connect(self, access: Access) -> Any:
        if access.api_key is None:
            raise ConfigurationError("no key of Acme is set", "`reasoning config set TYPE.provider_key`")
        return Client()
