"""No fault at the original or at the model leaves the agent with less than it would have had without us."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.faults import AT_THE_MODEL, AT_THE_ORIGINAL, Cell, exchange, less, original
from tests.gateway.matrix import at_the_model, at_the_original, both, no_model_there, no_original_there, other_bases
from tests.gateway.serving import Served, served


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway without models."""
    with served(tmp_path_factory.mktemp("closed"), slots=False) as running:
        yield running


def flaws(cells: list[Cell]) -> list[Cell]:
    return [one for one in cells if one.flaw is not None]


def test_faults_of_the_original(closed: Served) -> None:
    cells = at_the_original(closed)
    assert len(cells) == len(AT_THE_ORIGINAL) * 4 * 2
    assert flaws(cells) == []


def test_faults_of_the_model(tmp_path: Path) -> None:
    with served(tmp_path) as gateway:
        cells = at_the_model(gateway)
        assert len(cells) == len(AT_THE_MODEL) * 3 * 2
        assert flaws(cells) == []
        assert flaws(both(gateway)) == []


def test_nobody_there(tmp_path: Path) -> None:
    bases, server = other_bases(tmp_path)
    with served(tmp_path) as gateway:
        assert flaws(no_model_there(gateway, bases)) == []
    with served(tmp_path, slots=False) as gateway:
        assert flaws(no_original_there(gateway, bases)) == []
    server.close()


@pytest.mark.parametrize("method", ["HEAD", "GET", "DELETE", "PUT", "PATCH", "OPTIONS"])
def test_other_methods(closed: Served, method: str) -> None:
    """A HEAD is answered without a body, whatever length is told."""
    closed.original.handler = original
    body = b'{"x": 1}' if method in ("PUT", "PATCH") else b""
    chosen = ["answers well", "404", "429 with retry-after", "redirect", "gzip", "204", "304", "200 headers"]

    async def judged(fault: str) -> str | None:
        headers = {"x-fault": fault}
        direct = await exchange(closed.original.url, method, "/v1/models/a%2Fb?c=d", headers, body)
        return less(direct, await exchange(closed.url, method, "/v1/models/a%2Fb?c=d", headers, body))

    assert {fault: asyncio.run(judged(fault)) for fault in chosen} == dict.fromkeys(chosen)
