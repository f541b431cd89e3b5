"""What the gateway does with odd answers and odd requests is what nginx does, or listed with a reason."""

from __future__ import annotations

import pytest

from tests.gateway.differential import peers
from tests.gateway.differential.comparing import compared, provider_verdicts, recorded


def flaws(ours: dict[str, dict[str, str]], side: str) -> list[str]:
    """What is not listed, or listed wrongly."""
    found = compared(ours, recorded(), side)
    return [f"{one.name}: {one.flaw}\n  nginx  {one.theirs}\n  ours   {one.ours}" for one in found if one.flaw]


def test_odd_answers_of_a_provider() -> None:
    with peers.ours() as ours:
        verdicts = provider_verdicts(ours)
    assert len(verdicts) >= 60
    found = flaws(verdicts, "provider: ")
    if found:
        pytest.fail("\n".join(found), pytrace=False)
