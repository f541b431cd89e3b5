"""What Together's reads answer, by the contract in ../shared/contracts: the names, types and known values of members.

`reasoning doctor --live` holds real answers against it. Only facts are taken, no text.

    python .ci/contract.py [FOLDER OF CONTRACTS]    # write reasoning_cli/engines/together/contract/contract.json anew
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
OUT = ROOT / "reasoning_cli/engines/together/contract/contract.json"
CONTRACTS = ROOT.parent / "shared/contracts"
NEWEST, LEGACY = "together-sdk-3.1.1.openapi.yaml", "together-openapi.yaml"
P = "/v2/projects/{project_id}"
READS = (
    "/v3/whoami",
    f"{P}/endpoints",
    f"{P}/endpoints/{{id}}",
    f"{P}/endpoints/{{id}}/events",
    f"{P}/endpoints/{{id}}/analytics",
    f"{P}/endpoints/{{endpoint_id}}/deployments",
    f"{P}/endpoints/{{endpoint_id}}/deployments/{{id}}",
    f"{P}/endpoints/{{endpoint_id}}/deployments/{{deployment_id}}/adapters",
    f"{P}/endpoints/{{endpoint_id}}/rollouts",
    f"{P}/models",
    f"{P}/models/uploads",
    f"{P}/models/{{id}}/revisions",
    f"{P}/configs",
    "/v2/supported-models",
    "/v2/public/inference-instance-types",
    "/v1/files",
    "/v1/fine-tunes",
    "/v1/fine-tunes/{id}",
    "/v1/fine-tunes/{id}/events",
    "/v1/fine-tunes/{id}/checkpoints",
    "/v1/fine-tunes/{id}/metrics",
    "/v1/billing/usage",
    # Which the program itself does not ask.
    "/v1/projects",
    "/v1/batches",
    "/v1/evaluation",
    "/v2/organizations/{organization_id}/endpoints",
    "/v2/organizations/{organization_id}/models",
    f"{P}/placement-profiles",
    f"{P}/models/{{id}}/files",
    f"{P}/endpoints/{{endpoint_id}}/abExperiments",
    f"{P}/endpoints/{{endpoint_id}}/shadowExperiments",
)
# The SDK reads no more of a bill than its pages; the answer has these beside them.
BESIDE_THE_BILL = (
    *("object", "organization_id", "billing_period", "currency"),
    *("earliest_window_start", "latest_window_end"),
)
LEGACY_READS = ("/endpoints", "/hardware")


def contract(folder: Path) -> dict[str, Any]:
    """The shape of each read's answer, by its path with every name in braces written `{}`."""
    newest, legacy = _read(folder / NEWEST), _read(folder / LEGACY)
    found = {_plain_path(path): _answer(newest, path) for path in READS}
    text = {"type": "string"}
    found["/v1/billing/usage"]["properties"] |= dict.fromkeys(BESIDE_THE_BILL, text)
    return found | {f"/v1{path}": _answer(legacy, path) for path in LEGACY_READS}


def written(folder: Path) -> str:
    """One line a read."""
    lines = (
        f"{json.dumps(path)}: {json.dumps(shape, separators=(',', ':'), sort_keys=True)}"
        for path, shape in sorted(contract(folder).items())
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _plain_path(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return document


def _answer(document: dict[str, Any], path: str) -> dict[str, Any]:
    content = document["paths"][path]["get"]["responses"]["200"]["content"]
    return _shape(document, content["application/json"]["schema"], ())


def _shape(document: dict[str, Any], schema: dict[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
    """A schema with what it refers to put in, and without anything but names, types and values."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return {} if name in above else _shape(document, document["components"]["schemas"][name], (*above, name))
    if parts := schema.get("allOf"):
        return _joined(
            [_shape(document, part, above) for part in (*parts, *([_rest(schema)] if _rest(schema) else []))]
        )
    for kind in ("anyOf", "oneOf"):
        if kind in schema:
            choices = [_shape(document, item, above) for item in schema[kind]]
            nullable = [choice for choice in choices if choice.get("type") != "null"]
            return nullable[0] | _null(nullable[0]) if len(nullable) == 1 != len(choices) else {"anyOf": choices}
    found: dict[str, Any] = {name: schema[name] for name in ("type", "enum", "required") if name in schema}
    if "const" in schema:
        found["enum"] = [schema["const"]]
    if "properties" in schema:
        found["properties"] = {
            name: _shape(document, property, above) for name, property in sorted(schema["properties"].items())
        }
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = _shape(document, schema["additionalProperties"], above)
    elif "additionalProperties" in schema and "properties" not in schema:
        found["additionalProperties"] = {}
    if "items" in schema:
        found["items"] = _shape(document, schema["items"], above)
    return found


def _rest(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in schema.items() if name != "allOf"}


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name == "properties":
                joined["properties"] = joined.get("properties", {}) | value
            elif name == "required":
                joined["required"] = [*joined.get("required", []), *value]
            else:
                joined[name] = value
    return joined


def _null(shape: dict[str, Any]) -> dict[str, Any]:
    kind = shape.get("type")
    if kind is None:
        return {}
    return {"type": [*(kind if isinstance(kind, list) else [kind]), "null"]}


if __name__ == "__main__":
    OUT.write_text(written(Path(sys.argv[1]) if len(sys.argv) > 1 else CONTRACTS))
