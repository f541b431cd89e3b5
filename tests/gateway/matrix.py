"""The fault matrix: every fault at every place, for every face, whole and streamed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import product
from pathlib import Path

from reasoning_cli.gateway.circuit import Circuit
from reasoning_cli.values import MODEL_TYPES
from tests.gateway import canned
from tests.gateway.certificates import self_signed
from tests.gateway.faults import (
    AT_THE_MODEL,
    AT_THE_ORIGINAL,
    DIALECTS,
    RELAYED,
    Cell,
    judge_model,
    judge_original,
    original,
)
from tests.gateway.provider import Provider
from tests.gateway.serving import Served

DEADLINE_SECONDS = 1.0


class Patient(Circuit):
    """It never opens, so that the model is asked each time."""

    def failed(self) -> None:
        pass


WHOLE_OR_STREAM = (False, True)


def at_the_original(gateway: Served) -> list[Cell]:
    """The original fails: of a decision whose slot is closed, and of a call that is only handed through."""
    gateway.original.handler = original

    async def judged() -> list[Cell]:
        some = asyncio.Semaphore(24)

        async def one(fault: str, dialect: str, stream: bool) -> Cell:
            async with some:
                return await judge_original(gateway.url, gateway.original.url, fault, dialect, stream)

        every = product(AT_THE_ORIGINAL, (*DIALECTS, RELAYED), WHOLE_OR_STREAM)
        return list(await asyncio.gather(*(one(*each) for each in every)))

    return asyncio.run(judged())


def at_the_model(gateway: Served) -> list[Cell]:
    """The slot's model fails: the agent gets the original's answer."""
    gateway.original.handler = canned.original
    cells = []
    for fault, handler in AT_THE_MODEL.items():
        gateway.model.handler = handler
        cells += _with_model(gateway, fault, len(gateway.model.received))
    return cells


def no_model_there(gateway: Served, bases: dict[str, str]) -> list[Cell]:
    """Nobody serves at the slot's base."""
    gateway.original.handler = canned.original
    cells = []
    for fault, base in bases.items():
        gateway.change("planning", url=base)
        cells += _with_model(gateway, fault, None)
    return cells


def _with_model(gateway: Served, fault: str, asked_before: int | None) -> list[Cell]:
    """Each face at once."""
    gateway.change("planning", deadline_seconds=DEADLINE_SECONDS)
    gateway.gateway.circuits = {one: Patient() for one in MODEL_TYPES}

    async def judged() -> list[Cell]:
        every = product(DIALECTS, WHOLE_OR_STREAM)
        return list(
            await asyncio.gather(
                *(judge_model(gateway.url, gateway.original.url, fault, dialect, stream) for dialect, stream in every)
            )
        )

    cells = asyncio.run(judged())
    if asked_before is not None and len(gateway.model.received) < asked_before + len(cells):
        return [replace(one, flaw=one.flaw or "the model was not asked") for one in cells]
    return cells


def both(gateway: Served, model_fault: str = "500") -> list[Cell]:
    """The model fails, and then the original."""
    gateway.model.handler = AT_THE_MODEL[model_fault]
    gateway.original.handler = original
    cells = []
    for fault in AT_THE_ORIGINAL:
        gateway.gateway.circuits = {one: Patient() for one in MODEL_TYPES}

        async def judged(fault: str = fault) -> list[Cell]:
            every = product(DIALECTS, WHOLE_OR_STREAM)
            return list(
                await asyncio.gather(
                    *(
                        judge_original(gateway.url, gateway.original.url, fault, dialect, stream)
                        for dialect, stream in every
                    )
                )
            )

        cells += [replace(one, where="model, original") for one in asyncio.run(judged())]
    return cells


def no_original_there(gateway: Served, bases: dict[str, str]) -> list[Cell]:
    """Nobody serves at the original's base: nothing comes directly, and here an error that says so."""
    cells = []
    before = gateway.gateway.book.view
    for fault, base in bases.items():
        gateway.gateway.book.view = replace(before, openai_upstream=base, anthropic_upstream=base)

        async def judged(fault: str = fault) -> list[Cell]:
            every = product((*DIALECTS, RELAYED), WHOLE_OR_STREAM)
            return list(
                await asyncio.gather(
                    *(
                        judge_original(gateway.url, "http://127.0.0.1:1", fault, dialect, stream)
                        for dialect, stream in every
                    )
                )
            )

        cells += [replace(one, where="original") for one in asyncio.run(judged())]
    gateway.gateway.book.view = before
    return cells


def other_bases(folder: Path) -> tuple[dict[str, str], Provider]:
    """Bases at which nobody answers as they should, by their faults; and the server behind one of them."""
    context, _ = self_signed(folder)
    server = Provider(canned.original, context)
    return {
        "refused connection": "http://127.0.0.1:1/v1",
        "DNS failure": "http://nowhere.invalid/v1",
        "TLS failure": f"{server.url}/v1",
    }, server
