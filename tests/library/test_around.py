"""A call of the agent's that may be a decision: whatever of ours fails, the call is made, once, and as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from reasoning_cli import AsyncReasoningService, Scope
from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.library.around import around, around_stream
from reasoning_cli.library.requests import request_of
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.gateway import canned
from tests.gateway.provider import Provider
from tests.library import own

REQUEST = request_of([{"role": "user", "content": EXAMPLES["planning"]}], None, Scope(room_id="room-1"))
PIECES = ["<response><thought>T</thought>", "<actions>REPLY</actions><text>Hi</text></response>"]


def served(work: Callable[[AsyncReasoningService], Awaitable[Any]]) -> tuple[Any, list[Sample]]:
    """What comes of it, and what is recorded."""

    async def main() -> tuple[Any, Any]:
        async with await AsyncReasoningService.open() as service:
            done = await work(service)
            return done, (await service.status()).database

    done, database = asyncio.run(main())
    with open_store(database) as store:
        return done, list(Samples(store).iterate())


class Call:
    """The agent's own call, counted."""

    def __init__(self, given: Any) -> None:
        self.given, self.times = given, 0

    async def __call__(self) -> Any:
        self.times += 1
        if isinstance(self.given, Exception):
            raise self.given
        return self.given

    async def stream(self) -> AsyncIterator[str]:
        self.times += 1
        for piece in PIECES:
            yield piece
        if isinstance(self.given, Exception):
            raise self.given


def ignore(model_type: str | None, sample_id: str | None) -> None:
    """Nobody wants to know."""


@pytest.mark.parametrize("given", [canned.ORIGINAL_SAYS["planning"], {"a": "mapping"}, None, 3])
def test_what_the_call_gives_comes_back_as_it_is(model: Provider, given: Any) -> None:
    model.handler = own.nonsense
    call = Call(given)
    done, samples = served(lambda service: around(service._core, REQUEST, call, ignore))
    assert done is given
    assert call.times == 1
    assert [sample.source for sample in samples] == (["fallback"] if given else [])


def test_what_the_call_raises_is_raised(model: Provider) -> None:
    model.handler = own.broken
    mine = RuntimeError("the provider is down")

    async def work(service: AsyncReasoningService) -> None:
        with pytest.raises(RuntimeError) as raised:
            await around(service._core, REQUEST, Call(mine), ignore)
        assert raised.value is mine

    assert served(work)[1] == []


def test_where_we_fail_the_call_is_made(model: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Call("the call's")

    async def work(service: AsyncReasoningService) -> list[Any]:
        def breaks(*_: Any, **__: Any) -> Any:
            raise MemoryError("ours")

        done = []
        for name in ("check_loop", "begin", "finish"):
            with monkeypatch.context() as patch:
                patch.setattr(service._core, name, breaks)
                done.append(await around(service._core, REQUEST, call, ignore, ask_model=False))
        return done

    assert served(work)[0] == ["the call's"] * 3
    assert call.times == 3


def test_a_stream_is_recorded_whole_or_as_what_came_of_it(model: Provider) -> None:
    async def left(service: AsyncReasoningService) -> str:
        pieces = around_stream(service._core, REQUEST, Call(None).stream, ignore, ask_model=False)
        first = await anext(pieces)
        await pieces.aclose()
        return first

    async def whole(service: AsyncReasoningService) -> list[str]:
        own_call = Call(None)
        return [
            piece async for piece in around_stream(service._core, REQUEST, own_call.stream, ignore, ask_model=False)
        ]

    done, samples = served(whole)
    assert done == PIECES
    assert [(sample.output, sample.cut, sample.decision) for sample in samples] == [("".join(PIECES), None, "REPLY")]
    assert served(left)[0] == PIECES[0]
    newest = served(left)[1][-1]
    assert (newest.output, newest.cut, newest.decision, newest.room_id) == (PIECES[0], "broken off", None, "room-1")
    assert newest.origin == "library"
