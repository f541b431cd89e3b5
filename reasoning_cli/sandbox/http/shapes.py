"""Checks of request bodies, as strict as the vendor's v2: an unknown member is an error, and so is null."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from reasoning_cli.sandbox.http.problems import ApiError, bad_request

Json = dict[str, object]
Check = Callable[[object, str], object]

_DURATION = re.compile(r"(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,9})?s")
_INT64 = re.compile(r"(?:0|[1-9][0-9]{0,18})")
_RESOURCE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def _invalid(path: str, wanted: str) -> ApiError:
    return bad_request(f"invalid value for {path}: must be {wanted}", param=path)


def text(value: object, path: str) -> object:
    if not isinstance(value, str):
        raise _invalid(path, "a string")
    return value


def resource_name(value: object, path: str) -> object:
    """The bare name of an endpoint or deployment: it becomes a part of a path, so no slash and no capitals."""
    if not isinstance(value, str) or not _RESOURCE_NAME.fullmatch(value):
        raise _invalid(path, "1 to 63 lower-case letters, digits and inner hyphens")
    return value


def flag(value: object, path: str) -> object:
    if not isinstance(value, bool):
        raise _invalid(path, "true or false")
    return value


def duration(value: object, path: str) -> object:
    """Protobuf's duration: seconds with an `s`, such as 300s."""
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise _invalid(path, 'seconds such as "300s"')
    return value


def int64(value: object, path: str) -> object:
    if not isinstance(value, str) or not _INT64.fullmatch(value):
        raise _invalid(path, "an integer in a string")
    return value


def integer(low: int, high: int) -> Check:
    def check(value: object, path: str) -> object:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _invalid(path, f"an integer from {low} to {high}")
        return value

    return check


def number(value: object, path: str) -> object:
    """A float that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise _invalid(path, "a number that is not negative")
    return value


def choice(*values: str) -> Check:
    def check(value: object, path: str) -> object:
        if value not in values:
            raise _invalid(path, "one of " + ", ".join(values))
        return value

    return check


def listing(item: Check) -> Check:
    def check(value: object, path: str) -> object:
        if not isinstance(value, list):
            raise _invalid(path, "a list")
        return [item(element, f"{path}[{index}]") for index, element in enumerate(value)]

    return check


def members(checks: Mapping[str, Check], required: Collection[str] = ()) -> Callable[[object, str], Json]:
    """An object with these members and no others; snake_case spellings are understood as the vendor does."""

    def check(value: object, path: str) -> Json:
        if not isinstance(value, dict):
            raise _invalid(path or "body", "an object")
        result: Json = {}
        for key, member in value.items():
            name = camel(key)
            if name not in checks:
                raise bad_request(f'unknown field "{key}"', param=key)
            result[name] = checks[name](member, f"{path}.{name}" if path else name)
        for name in required:
            if name not in result:
                where = f"{path}.{name}" if path else name
                raise bad_request(f"{where} is required", param=where)
        return result

    return check


def camel(name: str) -> str:
    """update_mask -> updateMask."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


_SCALING_RULES = members(
    {
        "policies": listing(
            members(
                {
                    "type": choice("SCALING_POLICY_TYPE_PODS", "SCALING_POLICY_TYPE_PERCENT"),
                    "value": integer(1, 1_000_000),
                    "periodSeconds": integer(1, 1800),
                },
                required=("type", "value", "periodSeconds"),
            )
        ),
        "selectPolicy": choice(
            "SCALING_POLICY_SELECT_MAX", "SCALING_POLICY_SELECT_MIN", "SCALING_POLICY_SELECT_DISABLED"
        ),
    }
)

_SCALING_METRIC = members(
    {
        "name": choice(
            "active_sessions",
            "cache_hit_rate",
            "decoding_speed",
            "e2e_latency",
            "gpu_utilization",
            "inflight_requests",
            "throughput_per_replica",
            "token_utilization",
            "ttft",
        ),
        "type": choice(
            "METRIC_TARGET_TYPE_VALUE", "METRIC_TARGET_TYPE_UTILIZATION", "METRIC_TARGET_TYPE_AVERAGE_VALUE"
        ),
        "target": number,
        "percentile": choice("p50", "p90", "p95", "p99"),
    },
    required=("name", "type", "target"),
)

_AUTOSCALING = members(
    {
        "minReplicas": integer(0, 1000),
        "maxReplicas": integer(0, 1000),
        "scaleUpWindow": duration,
        "scaleDownWindow": duration,
        "scaleToZeroWindow": duration,
        "scaleUp": _SCALING_RULES,
        "scaleDown": _SCALING_RULES,
        "scalingMetrics": listing(_SCALING_METRIC),
    },
    required=("minReplicas", "maxReplicas"),
)


def autoscaling(value: object, path: str) -> object:
    """Replica bounds and windows; 0/0 is a stop, and a running floor is at least 1."""
    result = _AUTOSCALING(value, path)
    low, high = result["minReplicas"], result["maxReplicas"]
    assert isinstance(low, int) and isinstance(high, int)
    if low > high:
        raise bad_request("minReplicas must not be greater than maxReplicas", param=f"{path}.minReplicas")
    if low == 0 and high > 0:
        raise bad_request("minReplicas must be at least 1 when maxReplicas is greater than 0", param=path)
    return result


def inactive_timeout(value: object, path: str) -> object:
    """Minutes: 0 (never) or 30 to 1440."""
    if isinstance(value, bool) or not isinstance(value, int) or not (value == 0 or 30 <= value <= 1440):
        raise _invalid(path, "0, or from 30 to 1440 minutes")
    return value


_COMPLIANCE = members({"hipaa": flag})

_PLACEMENT = members(
    {
        "inline": members(
            {
                "regions": listing(text),
                "constraint": choice("ENFORCEMENT_REQUIRED", "ENFORCEMENT_PREFERRED"),
                "compliancePolicy": _COMPLIANCE,
            }
        ),
        "profile": text,
    }
)


def placement(value: object, path: str) -> object:
    result = _PLACEMENT(value, path)
    if len(result) != 1:
        raise _invalid(path, "either inline or profile")
    return result


visibility = choice("VISIBILITY_PRIVATE", "VISIBILITY_INTERNAL")

traffic_split = listing(members({"deploymentId": text, "weight": number}, required=("deploymentId", "weight")))
