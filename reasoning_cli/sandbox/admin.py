"""The controls of the stand-in itself, under /_sandbox: clock, meter, journal, faults, behaviour."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any, Protocol

from reasoning_cli import __version__
from reasoning_cli.sandbox import timeline
from reasoning_cli.sandbox.clock import Clock, stamp
from reasoning_cli.sandbox.costs.meter import read_meter
from reasoning_cli.sandbox.faults import Faults, Journal
from reasoning_cli.sandbox.http.paths import Methods, compile_routes, match_route, unknown_path
from reasoning_cli.sandbox.http.problems import bad_request
from reasoning_cli.sandbox.http.requests import Reply, Request
from reasoning_cli.sandbox.http.shapes import Check, choice, flag, integer, members, number, text
from reasoning_cli.sandbox.world.world import World

PREFIX = "/_sandbox"
_COUNT = integer(0, 1_000_000)
_TEN_YEARS_SECONDS = 10 * 366 * 24 * 3600
_MAX_SPEED = 1_000_000

_clock = members({"advanceSeconds": number, "speed": number, "stepSeconds": number})
_BEHAVIOUR: dict[str, Check] = {
    "provisioning_seconds": _COUNT,
    "scaling_seconds": _COUNT,
    "stopping_seconds": _COUNT,
    "never_ready": flag,
    "fail_start": flag,
    "quota_replicas": _COUNT,
    "flap_calls": _COUNT,
    "flap_seconds": _COUNT,
    "upload_seconds": _COUNT,
    "upload_errors": _COUNT,
    "validation_seconds": _COUNT,
    "fail_validation": flag,
    "billing_enabled": flag,
    "fail_gates": flag,
    "file_check_seconds": _COUNT,
    "fail_file_check": choice("", "invalid_format", "failed"),
    "queue_seconds": _COUNT,
    "training_seconds": _COUNT,
    "saving_seconds": _COUNT,
    "fail_job": choice("", "error", "user_error", "billing_limit"),
    "register_results": flag,
    "spending_limit_dollars": number,
    "insufficient_balance": flag,
    "retired_base": text,
    "capital_events": flag,
    "separate_arrays": flag,
    "event_days": _COUNT,
    "unique_endpoints": flag,
    "routes_first": flag,
    "takes_empty_split": flag,
    "scaled_counts": choice("ready", "desired"),
    "idle_counts": choice("requests", "ready", "reads"),
    "analytics_delay_seconds": _COUNT,
    "upload_checks": flag,
    "long_samples": choice("cut", "split", "kept"),
    "billed_percent": _COUNT,
    "bills_cold_start": flag,
    "billing_rounding": choice("exact", "up", "down"),
    "billing_minimum_seconds": _COUNT,
    "extra_members": flag,
}


class Service(Protocol):
    """What the controls turn: the stand-in that answers the requests."""

    world: World
    clock: Clock
    step_seconds: Decimal
    faults: Faults
    journal: Journal

    def reset(self) -> None: ...


def owns(path: str) -> bool:
    return path == PREFIX or path.startswith(PREFIX + "/")


def route(service: Service, request: Request) -> Reply:
    request = replace(request, path=request.path.rstrip("/"))
    if found := match_route(_ROUTES, request):
        handler, names = found
        return handler(service, request, **names)
    if found := match_route(_INTERVENTION_ROUTES, request):
        handler, names = found
        return handler(service.world, request, **names)
    raise unknown_path(request)


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
    step_seconds = Decimal(str(body.get("stepSeconds", service.step_seconds)))
    for name, value in (("advance_seconds", seconds), ("step_seconds", step_seconds)):
        if value > _TEN_YEARS_SECONDS:
            raise bad_request(f"{name} is more than ten years", param=name)
    service.step_seconds = step_seconds
    if "speed" in body:
        if Decimal(str(body["speed"])) > _MAX_SPEED:
            raise bad_request(f"speed is more than {_MAX_SPEED}", param="speed")
        service.clock.set_speed(Decimal(str(body["speed"])))
    service.clock.advance(seconds)
    timeline.pass_time(service.world, service.clock.now())
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


def _show_held(service: Service, request: Request) -> Reply:
    return {"held": [{"method": fault.method, "path": fault.path} for fault in service.faults.held()]}


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


TABLE: dict[str, Methods] = {
    PREFIX: {"GET": _show},
    PREFIX + "/clock": {"POST": _turn_clock},
    PREFIX + "/meter": {"GET": _show_meter},
    PREFIX + "/requests": {"GET": _show_journal, "DELETE": _clear_journal},
    PREFIX + "/faults": {"GET": _show_held, "POST": _add_fault, "DELETE": _clear_faults},
    PREFIX + "/behaviour": {"GET": _show_behaviour, "POST": _change_behaviour},
    PREFIX + "/reset": {"POST": _reset},
}
_DEPLOYMENT = PREFIX + "/deployments/{deployment_id}"
INTERVENTIONS: dict[str, Methods] = {
    PREFIX + "/endpoints": {"POST": "interventions.create_endpoint"},
    PREFIX + "/endpoints/{endpoint_id}": {"DELETE": "interventions.delete_endpoint"},
    _DEPLOYMENT: {"DELETE": "interventions.delete_deployment"},
    _DEPLOYMENT + "/crash": {"POST": "interventions.crash"},
    _DEPLOYMENT + "/restore": {"POST": "interventions.restore"},
    _DEPLOYMENT + "/fail": {"POST": "interventions.fail"},
    _DEPLOYMENT + "/scale": {"POST": "interventions.scale"},
    _DEPLOYMENT + "/flap": {"POST": "interventions.flap"},
    PREFIX + "/prices": {"GET": "interventions.show_prices", "POST": "interventions.change_prices"},
    PREFIX + "/v1/endpoints": {"POST": "deploy.legacy.seed_endpoint"},
    PREFIX + "/fine-tunes": {"POST": "train.fine_tunes.seed_job"},
}
_ROUTES = compile_routes(TABLE)
_INTERVENTION_ROUTES = compile_routes(INTERVENTIONS)
