"""A server that speaks OpenAI's API as an engine: it answers, and says what it serves. Who runs it starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reasoning_cli.engines.engine import Access
from reasoning_cli.engines.features import Feature
from reasoning_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import ListingServer


class OpenAICompatible:
    """vLLM, llama.cpp, Ollama, or a provider that sells by the token."""

    name = "openai"
    title = "a server of your own"
    features = frozenset({Feature.ANSWER, Feature.CONFIDENCE, Feature.LIST, Feature.PRICE_BY_TOKEN})

    def address(self, access: Access) -> str | None:
        return access.url

    def connect(self, access: Access) -> ListingServer:
        from reasoning_cli.engines.openai.client import SILENCE_SECONDS, ModelServer

        if access.url is None:
            raise ConfigurationError(
                "no address of a model's server is set", "`reasoning config set TYPE.provider_url URL`"
            )
        return ModelServer(
            access.url,
            access.api_key,
            silence_seconds=access.silence_seconds or SILENCE_SECONDS,
            max_tokens_name=access.max_tokens_name,
        )


OPENAI = OpenAICompatible()
