"""Finding the function that answers a path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus

from reasoning_cli.sandbox.problems import ApiError
from reasoning_cli.sandbox.requests import Reply, Request

Handler = Callable[..., Reply]
Methods = Mapping[str, Handler]
_SEGMENT = re.compile(r"\{(\w+)\}")
Routes = list[tuple[re.Pattern[str], Methods]]


def compile_routes(table: Mapping[str, Methods]) -> Routes:
    """`{name}` in a path stands for one segment, handed to the function by that name; the first match wins."""
    return [
        (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)), methods) for pattern, methods in table.items()
    ]


def find_route(routes: Routes, request: Request) -> tuple[Handler, dict[str, str]]:
    """The function and the segments by name. Raises ApiError: 404 unknown path, 405 wrong method."""
    for pattern, methods in routes:
        match = pattern.fullmatch(request.path)
        if match is None:
            continue
        if request.method not in methods:
            raise ApiError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{request.method} is not allowed on {request.path}",
                code="method_not_allowed",
                headers={"Allow": ", ".join(sorted(methods))},
            )
        return methods[request.method], match.groupdict()
    raise ApiError(HTTPStatus.NOT_FOUND, f"no route for {request.path}", code="not_found")
