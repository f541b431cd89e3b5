"""Every function that a route names by its name is there."""

from __future__ import annotations

import inspect

import pytest

from reasoning_cli.sandbox import admin, routes
from reasoning_cli.sandbox.http.paths import resolve

_TABLES = {**routes.TABLE, **admin.TABLE, **admin.INTERVENTIONS}


@pytest.mark.parametrize("path", _TABLES)
def test_a_route_leads_to_a_function_that_takes_its_segments(path: str) -> None:
    segments = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    wanted = [name for name in segments if name not in {"project_id", "organization_id"}]
    for method, handler in _TABLES[path].items():
        _, _, *rest = inspect.signature(resolve(handler)).parameters
        assert rest == wanted, method
