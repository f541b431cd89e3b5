"""Settings of a home whose three slots are at one server of its operator's own, which the test controls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from reasoning_cli import settings as s
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import environment
from reasoning_cli.values import MODEL_TYPES
from tests.gateway import canned
from tests.gateway.provider import Answering, Received


def set_all(**texts: str) -> None:
    """Set what is named for each of the three types: `mode="shadow"`."""
    write({f"{model_type}.{name}": text for model_type in MODEL_TYPES for name, text in texts.items()})


def write(texts: Mapping[str, str]) -> None:
    """Write settings of the home that the environment names."""
    s.write_settings(find_paths(environment()), texts)


def serve_by(url: str, **texts: str) -> None:
    """Let the server at `url` serve all three slots; a slow machine is not a slow model."""
    set_all(provider_url=f"{url}/v1", model="acme/model", deadline_ms="20000", **texts)


async def model(request: Received, answering: Answering) -> None:
    """A slot's model that answers well, as a stream where it is asked so."""
    await say(canned.MODEL_SAYS[canned.kind_of(canned.last_text(request.json))], request, answering)


async def say(text: str, request: Received, answering: Answering) -> None:
    """An answer of that text."""
    if request.json.get("stream"):
        await answering.events(canned.chat_events(text, "acme/model"))
    else:
        await answering.whole(200, canned.chat_answer(text, "acme/model"))


async def nonsense(request: Received, answering: Answering) -> None:
    """A model that says nothing of use."""
    await say("I think the agent should say hello.", request, answering)


async def broken(request: Received, answering: Answering) -> None:
    """A model's server that fails."""
    await answering.whole(500, {"error": {"message": "boom"}})


async def mute(request: Received, answering: Answering) -> None:
    """A model's server that never says a word."""
    await answering.until_caller_leaves()


async def slow(request: Received, answering: Answering) -> None:
    """A model that answers well, after everybody's patience."""
    await asyncio.sleep(0.3)
    await model(request, answering)
