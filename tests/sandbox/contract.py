"""The vendor's contract as a judge of requests and responses.

`Contract.request_violations` is for tests of clients: give it what was sent (the sandbox's journal has it) and expect
an empty list. v2 bodies are read strictly: a member that the contract does not know is a violation, as it is at the
vendor.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

CONTRACT_FILE = "contracts/together-sdk-3.1.1.openapi.yaml"
LEGACY_CONTRACT_FILE = "contracts/together-openapi.yaml"  # the one that has all of v1
_LEGACY_PATHS = re.compile(r"/endpoints(/\{\w+\})?|/hardware|/clusters/availability-zones|/files/upload")
_formats = jsonschema.FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class Contract:
    """One OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        strict = copy.deepcopy(document)
        _forbid_unknown_members(strict)
        self._documents = {"urn:lenient": document, "urn:strict": strict}
        self._registry: Registry[Any] = Registry().with_resources(
            (name, DRAFT202012.create_resource(one)) for name, one in self._documents.items()
        )
        # The most literal path first: /models/uploads before /models/{id}.
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", template)), template)
            for template in sorted(document["paths"], key=lambda one: (one.count("{"), one))
        ]

    def request_violations(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object = None
    ) -> list[str]:
        """What is wrong with a request, one line each."""
        found = self._operation(method, path)
        if found is None:
            return [f"{method} {path}: not in the contract"]
        template, operation = found
        violations = list(_query_violations(operation, query or {}))
        declared = operation.get("requestBody")
        if body is None and declared and declared.get("required"):
            violations.append("body: missing")
        elif body is not None and not declared:
            violations.append("body: not wanted")
        elif body is not None:
            kind = "urn:strict" if path.startswith("/v2/") else "urn:lenient"
            violations += self._check(kind, (template, method.lower(), "requestBody"), body)
        return [f"{method} {path}: {violation}" for violation in violations]

    def response_violations(self, method: str, path: str, status: int, body: object) -> list[str]:
        """What is wrong with a JSON response, one line each; a path outside the contract is not judged."""
        found = self._operation(method, path)
        if found is None:
            return []
        template, operation = found
        key = str(status) if str(status) in operation["responses"] else "default"
        if key not in operation["responses"]:
            return [f"{method} {path} -> {status}: not in the contract"]
        if "content" not in operation["responses"][key]:
            return [] if body is None else [f"{method} {path} -> {status}: body: not wanted"]
        violations = self._check("urn:lenient", (template, method.lower(), "responses", key), body)
        return [f"{method} {path} -> {status}: {violation}" for violation in violations]

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, Any]] | None:
        for pattern, template in self._paths:
            if pattern.fullmatch(path):
                operation = self._documents["urn:lenient"]["paths"][template].get(method.lower())
                if operation is not None:
                    return template, operation
        return None

    def _check(self, document: str, place: tuple[str, ...], value: object) -> list[str]:
        declared: Any = self._documents[document]
        for step in ("paths", *place):
            declared = declared[step]
        (kind,) = declared["content"] if len(declared["content"]) == 1 else ("application/json",)
        steps = ("paths", *place, "content", kind, "schema")
        pointer = "/".join(quote(step.replace("~", "~0").replace("/", "~1")) for step in steps)
        validator = jsonschema.Draft202012Validator(
            {"$ref": f"{document}#/{pointer}"}, registry=self._registry, format_checker=_formats
        )
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@functools.cache
def load_contract(shared: Path) -> Contract:
    """The contract in the folder of references; reading it takes a second, so once."""
    return Contract(_read(shared / CONTRACT_FILE))


@functools.cache
def load_legacy_contract(shared: Path) -> Contract:
    """What is left of v1: its endpoints and hardware."""
    document = _read(shared / LEGACY_CONTRACT_FILE)
    kept = {f"/v1{path}": one for path, one in document["paths"].items() if _LEGACY_PATHS.fullmatch(path)}
    return Contract({**document, "paths": kept})


def _read(path: Path) -> dict[str, Any]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # type: ignore[no-any-return]


def _forbid_unknown_members(schema: object) -> None:
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("type", "object") == "object":
            schema["additionalProperties"] = False
        for one in schema.values():
            _forbid_unknown_members(one)
    elif isinstance(schema, list):
        for one in schema:
            _forbid_unknown_members(one)


def _query_violations(operation: dict[str, Any], query: Mapping[str, str]) -> Iterator[str]:
    declared = {one["name"]: one for one in operation.get("parameters", []) if one["in"] == "query"}
    for name, one in declared.items():
        if one.get("required") and name not in query:
            yield f"query {name}: missing"
    for name, text in query.items():
        if name not in declared:
            yield f"query {name}: not in the contract"
            continue
        schema = declared[name]["schema"]
        for error in jsonschema.Draft202012Validator(schema, format_checker=_formats).iter_errors(_typed(schema, text)):
            yield f"query {name}: {error.message}"


def _typed(schema: dict[str, Any], text: str) -> object:
    """A query value as the JSON it stands for; text that does not fit stays text and fails the check."""
    if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    if schema.get("type") == "boolean" and text in {"true", "false"}:
        return text == "true"
    if schema.get("type") == "array":
        return text.split(",")
    return text
