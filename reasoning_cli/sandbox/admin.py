"""The controls of the stand-in itself, under /_sandbox: clock, meter, journal, faults, behaviour."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from reasoning_cli import __version__
from reasoning_cli.sandbox import lifecycle
from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.meter import read_meter
from reasoning_cli.sandbox.problems import ApiError, bad_request
from reasoning_cli.sandbox.requests import Reply, Request
from reasoning_cli.sandbox.routes import wrong_method
from reasoning_cli.sandbox.shapes import Check, flag, integer, members, number

if TYPE_CHECKING:
    from reasoning_cli.sandbox.service import Service

PREFIX = "/_sandbox"
_COUNT = integer(0, 1_000_000)
_TEN_YEARS_SECONDS = 10 * 366 * 24 * 3600
_MAX_SPEED = 1_000_000

_clock = members({"advanceSeconds": number, "speed": number})
_BEHAVIOUR: dict[str, Check] = {
    "provisioning_seconds": _COUNT,
    "scaling_seconds": _COUNT,
    "stopping_seconds": _COUNT,
    "never_ready": flag,
    "fail_start": flag,
    "quota_replicas": _COUNT,
}


def owns(path: str) -> bool:
    return path == PREFIX or path.startswith(PREFIX + "/")


def route(service: Service, request: Request) -> Reply:
    methods = _TABLE.get(request.path.removeprefix(PREFIX).rstrip("/"))
    if methods is None:
        raise ApiError(HTTPStatus.NOT_FOUND, f"no route for {request.path}", code="not_found")
    handler = methods.get(request.method)
    if handler is None:
        raise wrong_method(request, methods)
    return handler(service, request)


def _show(service: Service, request: Request) -> Reply:
    return {
        "sandbox": True,
        "version": __version__,
        "now": stamp(service.world.now),
        "speed": float(service.clock.speed),
        "pid": os.getpid(),
    }


def _turn_clock(service: Service, request: Request) -> Reply:
    body = _clock(request.body(), "")
    seconds = Decimal(str(body.get("advanceSeconds", 0)))
    if seconds > _TEN_YEARS_SECONDS:
        raise bad_request("advance_seconds is more than ten years", param="advance_seconds")
    if "speed" in body:
        if Decimal(str(body["speed"])) > _MAX_SPEED:
            raise bad_request(f"speed is more than {_MAX_SPEED}", param="speed")
        service.clock.set_speed(Decimal(str(body["speed"])))
    service.clock.advance(seconds)
    lifecycle.pass_time(service.world, service.clock.now())
    return {"now": stamp(service.world.now), "speed": float(service.clock.speed)}


def _show_meter(service: Service, request: Request) -> Reply:
    return read_meter(service.world)


def _show_journal(service: Service, request: Request) -> Reply:
    return service.journal.entries()


def _clear_journal(service: Service, request: Request) -> Reply:
    service.journal.clear()
    return {}


def _add_fault(service: Service, request: Request) -> Reply:
    service.faults.add(request.body())
    return {}


def _clear_faults(service: Service, request: Request) -> Reply:
    service.faults.clear()
    return {}


def _show_behaviour(service: Service, request: Request) -> Reply:
    return asdict(service.world.behaviour)


def _change_behaviour(service: Service, request: Request) -> Reply:
    changes: dict[str, Any] = {}
    for name, value in request.body().items():
        if name not in _BEHAVIOUR:
            raise bad_request(f'unknown field "{name}"', param=name)
        changes[name] = _BEHAVIOUR[name](value, name)
    service.world.behaviour = replace(service.world.behaviour, **changes)
    service.world.changed = True
    return asdict(service.world.behaviour)


def _reset(service: Service, request: Request) -> Reply:
    service.reset()
    return _show(service, request)


_TABLE: dict[str, dict[str, Callable[[Service, Request], Reply]]] = {
    "": {"GET": _show},
    "/clock": {"POST": _turn_clock},
    "/meter": {"GET": _show_meter},
    "/requests": {"GET": _show_journal, "DELETE": _clear_journal},
    "/faults": {"POST": _add_fault, "DELETE": _clear_faults},
    "/behaviour": {"GET": _show_behaviour, "POST": _change_behaviour},
    "/reset": {"POST": _reset},
}
