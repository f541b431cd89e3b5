"""What the gateway does with odd answers and odd requests is what nginx does, or listed with a reason."""

from __future__ import annotations

import json

import pytest

from tests.gateway.differential import peers
from tests.gateway.differential.comparing import (
    RECORDED,
    caller_verdicts,
    compared,
    provider_verdicts,
    recorded,
    verdicts,
)
from tests.gateway.differential.judging import told


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


def test_odd_requests_of_callers() -> None:
    with peers.ours() as ours:
        verdicts = caller_verdicts(ours)
    assert len(verdicts) >= 60
    found = flaws(verdicts, "caller: ")
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_the_verdicts_of_nginx_are_those_of_nginx() -> None:
    """Where the nginx is installed that they were recorded with: a part of them, without those whose callers wait."""
    version = json.loads(RECORDED.read_text())["nginx"]
    if peers.nginx_version() != version:
        pytest.skip(f"no nginx {version} here")
    theirs = recorded()
    chosen = [name for name, verdict in theirs.items() if "silent" not in verdict][::8]
    found = verdicts(peers.Nginx(), lambda name: name in chosen)
    assert {name: told(verdict) for name, verdict in found.items()} == {name: theirs[name] for name in chosen}
