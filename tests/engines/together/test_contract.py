"""Answers held against what is documented: the shipped contract is the vendor's, each kind of difference is seen."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from reasoning_cli.engines.contract import Deviation, Kind
from reasoning_cli.engines.together.contract.shapes import deviations, documented
from tests.sandbox.contract import CONTRACT_FILE

SCRIPT = Path(__file__).parents[3] / ".ci/contract.py"
SHIPPED = Path(__file__).parents[3] / "reasoning_cli/engines/together/contract/contract.json"
EVENTS = "/v2/projects/{}/endpoints/{}/events"
EVENT = {
    "id": "evt_1",
    "createdAt": "2026-11-20T10:00:00Z",
    "endpointId": "ep_1",
    "level": "LEVEL_INFO",
    "source": "control-plane",
    "sourceKind": "SOURCE_KIND_ENDPOINT",
    "type": "endpoint.created",
}


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contract_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_contract_is_the_vendors(shared: Path) -> None:
    if not (shared / CONTRACT_FILE).exists():
        pytest.skip("no contract file here")
    assert SHIPPED.read_text() == script().written((shared / CONTRACT_FILE).parent)


def events(**changes: Any) -> dict[str, Any]:
    return {"object": "list", "data": [EVENT, EVENT | changes], "next_cursor": None}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"message": None}, []),
        ({"type": "endpoint.renamed"}, []),
        ({"gpuHours": 1.5}, [Deviation("data[].gpuHours", Kind.UNKNOWN_MEMBER, "number")]),
        ({"level": "LEVEL_FATAL"}, [Deviation("data[].level", Kind.UNKNOWN_VALUE, "LEVEL_FATAL")]),
        ({"level": "of Mr. Smith's making"}, [Deviation("data[].level", Kind.UNKNOWN_VALUE, "(string)")]),
        ({"my grandmother's": 1}, [Deviation("data[].(string)", Kind.UNKNOWN_MEMBER, "integer")]),
        ({"newReplicas": "two"}, [Deviation("data[].newReplicas", Kind.OTHER_TYPE, "string")]),
        ({"newReplicas": True}, [Deviation("data[].newReplicas", Kind.OTHER_TYPE, "boolean")]),
        ({"source": None}, [Deviation("data[].source", Kind.OTHER_TYPE, "null")]),
    ],
)
def test_each_kind_of_difference_is_seen_once(changes: dict[str, Any], found: list[Deviation]) -> None:
    assert deviations(EVENTS, events(**changes)) == found


def test_a_member_that_is_missing_is_seen() -> None:
    event = {name: value for name, value in EVENT.items() if name != "source"}
    found = deviations(EVENTS, {"object": "list", "data": [event], "next_cursor": None})
    assert found == [Deviation("data[].source", Kind.MISSING_MEMBER, "")]


def test_of_several_shapes_the_nearest_counts() -> None:
    """Whoami is one of five."""
    key = {"type": "project_api_key", "api_key": {"id": "k"}, "organization": {"id": "o", "name": "n"}}
    whole = key | {"project": {"id": "p", "name": "n", "slug": "s"}}
    assert deviations("/v3/whoami", whole) == []
    found = deviations("/v3/whoami", whole | {"region": "eu"})
    assert found == [Deviation("region", Kind.UNKNOWN_MEMBER, "string")]


def test_a_route_outside_the_contract_is_none_of_it() -> None:
    assert documented(EVENTS)
    assert not documented("/v2/nowhere")
