"""The client it all is for: an ElizaOS agent decides through the gateway, and never notices when our models fail."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.sandbox.server import SandboxServer
from tests.gateway import canned
from tests.gateway.eliza import Json, Original, provider, run_agent
from tests.gateway.node import node_folder
from tests.gateway.provider import Answering, Handler, Received
from tests.gateway.serving import Served, served
from tests.sandbox.conftest import CODING, PLANNING, SHOULD_RESPOND, Api

MODELS = {"should_respond": SHOULD_RESPOND, "planning": PLANNING, "coding": CODING}
both_plugins = pytest.mark.parametrize("plugin", ["openai", "anthropic"])


@pytest.fixture(scope="module")
def folder() -> Path:
    return node_folder("@elizaos/core")


@pytest.fixture(scope="module")
def original(folder: Path) -> Iterator[Original]:
    with provider(folder) as one:
        yield one


@pytest.fixture(scope="module")
def alone(folder: Path, original: Original, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Json]]:
    """What the agent does without us, by plugin."""
    return {
        plugin: run_agent(folder, tmp_path_factory.mktemp(plugin), original.url, plugin)
        for plugin in ("openai", "anthropic")
    }


def led_to(gateway: Served, original: Original) -> Served:
    """The gateway, in front of that provider."""
    upstream = f"{original.url}/v1"
    gateway.gateway.book.view = replace(
        gateway.gateway.book.view, openai_upstream=upstream, anthropic_upstream=upstream
    )
    return gateway


@both_plugins
def test_with_the_slots_closed_the_agent_does_what_it_does_without_us(
    folder: Path, original: Original, alone: dict[str, list[Json]], plugin: str, tmp_path: Path
) -> None:
    with served(tmp_path, slots=False) as gateway:
        led_to(gateway, original)
        assert run_agent(folder, tmp_path / "agent", gateway.url, plugin) == alone[plugin]
        assert {one.source for one in gateway.samples(8)} == {"original"}


@both_plugins
def test_with_the_slots_open_its_decisions_are_our_models(
    folder: Path, original: Original, alone: dict[str, list[Json]], plugin: str, tmp_path: Path
) -> None:
    with SandboxServer(speed=Decimal(0)) as server, served(tmp_path) as gateway:
        led_to(gateway, original)
        api = Api(server.url)
        with api.http:
            for model_type, model in MODELS.items():
                api.serving(model, name=model_type.replace("_", "-"))
        for model_type in MODELS:
            name = f"sandbox/{model_type.replace('_', '-')}"
            gateway.change(model_type, url=f"{server.url}/v1", api_key="sandbox-key", model=name)
        results = run_agent(folder, tmp_path / "agent", gateway.url, plugin)
        samples = gateway.samples(8)
        assert {one.source for one in samples} == {"slot"}
        assert {one.model_type for one in samples} == {"should_respond", "planning"}
    said = {one["id"]: one for one in results}
    assert said["dm-hello"]["text"] == 'You said "Hi! Who are you?". I am Nova, and I am here to help.'
    assert said["group-other"]["didRespond"] is True, "the sandbox's model answers every question"
    assert results != alone[plugin]
    if plugin == "openai":  # the other plugin never streams
        assert said["dm-stream"]["streamed"] == said["dm-stream"]["text"] != ""


def misbehaving() -> Handler:
    """A model that fails in another way at each call."""

    async def junk(request: Received, answering: Answering) -> None:
        await answering.whole(200, canned.chat_answer("Sure! I would respond to this message."))

    async def thinking(request: Received, answering: Answering) -> None:
        await answering.whole(
            200, canned.chat_answer("<think>I say <response><action>STOP</action></response> or", finish="length")
        )

    async def fails(request: Received, answering: Answering) -> None:
        await answering.whole(500, {"error": {"message": "broken"}})

    async def hangs(request: Received, answering: Answering) -> None:
        await answering.until_caller_leaves()

    async def cut(request: Received, answering: Answering) -> None:
        await answering.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
        answering.cut()

    ways = itertools.cycle([junk, thinking, fails, hangs, cut])

    async def handler(request: Received, answering: Answering) -> None:
        await next(ways)(request, answering)

    return handler


def test_with_models_that_fail_in_every_way_the_agent_does_what_it_does_without_us(
    folder: Path,
    original: Original,
    alone: dict[str, list[Json]],
    tmp_path: Path,
) -> None:
    with served(tmp_path, deadline_seconds=0.3) as gateway:
        led_to(gateway, original)
        gateway.model.handler = misbehaving()
        for circuit in gateway.gateway.circuits.values():
            circuit.failed = lambda: None  # type: ignore[method-assign]  # each call shall meet its failure
        assert run_agent(folder, tmp_path / "agent", gateway.url, "openai") == alone["openai"]
        samples = gateway.samples(8)
        assert {one.source for one in samples} == {"fallback"}
        assert {one.metadata["fallback"].partition(":")[0] for one in samples} == {
            "invalid",
            "refused",
            "too late",
            "unreachable",
        }


def test_a_good_answer_after_a_thought_that_holds_another_is_taken(
    folder: Path, original: Original, alone: dict[str, list[Json]], tmp_path: Path
) -> None:
    """The model says what the original would; `benchmarks/eliza_agent.py` has the other wrappings."""
    with provider(folder) as model, served(tmp_path) as gateway:
        led_to(gateway, original)
        model.set_behaviour("mode", mode="think")
        for model_type in MODELS:
            gateway.change(model_type, url=f"{model.url}/v1")
        wanted = [one for one in alone["openai"] if one["id"] in ("group-named", "dm-stream")]
        results = run_agent(folder, tmp_path / "agent", gateway.url, "openai", only="group-named,dm-stream")
        assert results == wanted
        assert {one.source for one in gateway.samples(2)} == {"slot"}
