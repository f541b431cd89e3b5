"""Calls that would run in a circle: through this gateway again, or through others back to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.serving import Served, served


def lead(gateway: Served, to: str) -> None:
    """Let the originals of a gateway be at `to`."""
    gateway.gateway.book.view = replace(gateway.gateway.book.view, openai_upstream=to, anthropic_upstream=to)


@pytest.mark.parametrize("face", PATHS)
def test_two_gateways_that_lead_to_each_other_refuse(tmp_path: Path, face: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with served(tmp_path / "one", slots=False) as one, served(tmp_path / "two", slots=False) as two:
        lead(one, f"{two.url}/v1")
        lead(two, f"{one.url}/v1")
        answer = one.client.post(PATHS[face], json=request(face, PROMPTS["planning"]))
        assert answer.status_code == 508
        assert "told to call itself" in answer.text
        assert [each.client.get("/stats").json()["requests"] for each in (one, two)] == [2, 1]


def test_gateways_in_a_row_are_no_circle(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with served(tmp_path / "one", slots=False) as one, served(tmp_path / "two", slots=False) as two:
        lead(one, f"{two.url}/v1")
        answer = one.client.post(PATHS["chat"], json=request("chat", PROMPTS["other"]))
        assert answer.status_code == 200
        (asked,) = two.original.received
        hops = asked.header("x-reasoning-hop")
        assert hops == f"{one.gateway.hop}, {two.gateway.hop}"


def test_a_call_that_came_through_too_many_is_refused(gateway: Served) -> None:
    many = ", ".join(f"gateway-{number}" for number in range(9))
    assert gateway.client.get("/v1/models", headers={"x-reasoning-hop": many}).status_code == 508
    assert gateway.original.received == []
