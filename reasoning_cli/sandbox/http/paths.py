"""Finding the function that answers a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib import import_module
from typing import cast

from reasoning_cli.sandbox.http.problems import ApiError
from reasoning_cli.sandbox.http.requests import Reply, Request

Handler = Callable[..., Reply]
Methods = Mapping[str, Handler | str]
Routes = dict[int, list[tuple[list[str], Methods]]]  # by how many segments a path has

# The host that takes parts of weights, and files, under other paths of this server.
STORAGE = "/_storage/"
FILE_STORAGE = "/_storage/files/"
# Where the provider is that an agent called before.
ORIGINAL = "/_original/v1"


def compile_routes(table: Mapping[str, Methods]) -> Routes:
    """`{name}` in a path stands for one segment, handed to the function by that name; the first match wins.

    Segments, not regular expressions: compiling those would be most of the time the server needs to start. For the
    same reason a function may be given as `folder.module.name`: it is imported when it is first asked for.
    """
    routes: Routes = {}
    for path, methods in table.items():
        pattern = path.split("/")
        routes.setdefault(len(pattern), []).append((pattern, methods))
    return routes


def match_route(routes: Routes, request: Request) -> tuple[Handler, dict[str, str]] | None:
    """The function and the segments by name; None for a path that is not there. Raises ApiError: 405 wrong method."""
    given = request.path.split("/")
    for pattern, methods in routes.get(len(given), ()):
        names = _match(pattern, given)
        if names is None:
            continue
        if request.method not in methods:
            raise ApiError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{request.method} is not allowed on {request.path}",
                code="method_not_allowed",
                headers={"Allow": ", ".join(sorted(methods))},
            )
        return resolve(methods[request.method]), names
    return None


def unknown_path(request: Request) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, f"no route for {request.path}", code="not_found")


def resolve(handler: Handler | str) -> Handler:
    """The function itself, of one that may be given by its name."""
    if not isinstance(handler, str):
        return handler
    module, _, name = handler.rpartition(".")
    return cast(Handler, getattr(import_module(f"reasoning_cli.sandbox.{module}"), name))


def _match(pattern: list[str], given: list[str]) -> dict[str, str] | None:
    names: dict[str, str] = {}
    for wanted, segment in zip(pattern, given, strict=True):
        if wanted.startswith("{") and segment:
            names[wanted[1:-1]] = segment
        elif wanted != segment:
            return None
    return names
