"""Standing in for a runtime's methods and leaving nothing behind, also where others do the same before or after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from reasoning_cli.elizaos.override import Override
from reasoning_cli.elizaos.owners import is_owner
from reasoning_cli.elizaos.sentences import DISABLE, ENABLE, STATUS, asked_for

Method = Callable[..., Any]


class Runtime:
    """As the runtime of Python elizaOS is made: its methods are its class's."""

    name = "Nova"

    async def use_model(self, model_type: str, params: Any = None) -> str:
        return f"original {params}"


def ours(original: Method) -> Method:
    async def use_model(model_type: str, params: Any = None) -> str:
        return f"ours over {await original(model_type, params)}"

    return use_model


def asked(runtime: Any) -> str:
    return str(asyncio.run(runtime.use_model("TEXT_LARGE", 1)))


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def override(runtime: Runtime) -> Override:
    return Override(runtime, {"use_model": ours})


def test_placed_and_removed_any_number_of_times_nothing_is_left(runtime: Runtime, override: Override) -> None:
    runtime.other = object()  # type: ignore[attr-defined]
    before = dict(vars(runtime))
    override.remove()
    for _ in range(3):
        override.place()
        override.place()
        assert asked(runtime) == "ours over original 1"
        assert runtime.use_model.__name__ == "use_model"
        assert (override.is_clean, override.is_covered) == (False, False)
        override.remove()
        override.remove()
        assert vars(runtime) == before
        assert override.is_clean
        assert asked(runtime) == "original 1"


def test_what_another_had_put_there_before_us_is_put_back(runtime: Runtime, override: Override) -> None:
    async def theirs(model_type: str, params: Any = None) -> str:
        return "theirs"

    runtime.use_model = theirs  # type: ignore[method-assign]
    override.place()
    assert asked(runtime) == "ours over theirs"
    override.remove()
    assert vars(runtime) == {"use_model": theirs}


def test_below_another_that_came_after_us_ours_only_hands_through(runtime: Runtime, override: Override) -> None:
    override.place()
    below = runtime.use_model

    async def theirs(model_type: str, params: Any = None) -> str:
        return f"theirs over {await below(model_type, params)}"

    runtime.use_model = theirs  # type: ignore[method-assign]
    assert asked(runtime) == "theirs over ours over original 1"
    assert override.is_covered
    override.remove()
    assert asked(runtime) == "theirs over original 1", "theirs goes on, and ours is out of the way"
    override.place()
    assert asked(runtime) == "theirs over ours over original 1", "and not twice"
    override.remove()
    runtime.use_model = below  # type: ignore[method-assign]  # they put back what they found
    assert asked(runtime) == "original 1"
    override.remove()
    assert vars(runtime) == {}


def test_one_that_took_all_of_it_away_after_us_is_noticed(runtime: Runtime, override: Override) -> None:
    override.place()
    del runtime.use_model  # type: ignore[attr-defined]
    override.place()
    assert asked(runtime) == "ours over original 1"
    override.remove()
    assert vars(runtime) == {}


def test_a_call_under_way_ends_as_it_began(runtime: Runtime) -> None:
    async def main() -> None:
        going, go = asyncio.Event(), asyncio.Event()

        def slowly(original: Method) -> Method:
            async def use_model(model_type: str, params: Any = None) -> str:
                going.set()
                await go.wait()
                return f"ours over {await original(model_type, params)}"

            return use_model

        override = Override(runtime, {"use_model": slowly})
        override.place()
        asking = asyncio.ensure_future(runtime.use_model("TEXT_LARGE", 1))
        await going.wait()
        override.remove()
        assert await runtime.use_model("TEXT_LARGE", 2) == "original 2"
        go.set()
        assert await asking == "ours over original 1"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("enable custom reasoning", ENABLE),
        ("Nova, please turn on your own models", ENABLE),
        ("turn the reasoning service off", DISABLE),
        ("stop using custom models", DISABLE),
        ("Disable reasoning!", DISABLE),
        ("how is custom reasoning doing?", STATUS),
        ("what is the status of the reasoning service?", STATUS),
        ("turn it off again", None),
        ("how is it doing?", None),
        ("do not disable reasoning", None),
        ("Your reasoning was wrong.", None),
        ("enable dark mode", None),
        ("I was reasoning about models", None),
    ],
)
def test_a_sentence_is_understood_or_left_to_the_model(text: str, action: str | None) -> None:
    assert asked_for(text, spoken_of=False) == action


@pytest.mark.parametrize(
    ("text", "action"),
    [("turn it off again", DISABLE), ("and on? turn it on", ENABLE), ("how is it doing?", STATUS), ("thanks", None)],
)
def test_who_has_spoken_of_the_models_may_call_them_it(text: str, action: str | None) -> None:
    assert asked_for(text, spoken_of=True) == action


class World:
    """A runtime with a room, and a message in it."""

    def __init__(self, roles: Any) -> None:
        self.metadata, self.world_id, self.room_id, self.entity_id = {"roles": roles}, "w", "r", "Entity-1"

    def get_setting(self, key: str) -> None:
        return None

    async def get_room(self, room_id: str) -> World:
        return self

    async def get_world(self, world_id: str) -> World:
        return self


@pytest.mark.parametrize(
    ("roles", "owners", "may"),
    [
        ({"entity-1": "OWNER"}, (), True),
        ({"Entity-1": "admin"}, (), True),
        ({"entity-1": "MEMBER", "entity-2": "OWNER"}, (), False),
        ({}, ("ENTITY-1",), True),
        ({}, ("",), False),
        (None, (), False),
    ],
)
def test_who_may(roles: Any, owners: tuple[str, ...], may: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(roles)
    assert asyncio.run(is_owner(world, world, owners)) is may
    monkeypatch.setenv("REASONING_OWNERS", "somebody, entity-1")
    assert asyncio.run(is_owner(world, world, owners))
