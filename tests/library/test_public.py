"""What others build on: the names of the library, their signatures and fields, and what loading it takes."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import reasoning_cli
from reasoning_cli import AsyncReasoningService, ReasoningService

NAMES = (
    *("AsyncReasoningService", "CodingResult", "ConfigurationError", "DataError", "DecisionResult", "DecisionService"),
    *("ExportResult", "Message", "NoAnswerError", "NotFoundError", "PlanningResult", "ReasoningError"),
    "ReasoningService",
    *("RemoteError", "Scope", "ServiceClosedError", "ServiceStatus", "ShouldRespondResult", "TypeStatus"),
    *("UnusableAnswerError", "UsageError", "open_service"),
)

SIGNATURES = {
    "open": "profile=None, db=None, sandbox=False, baseline=None, baseline_model=None",
    "close": "",
    "should_respond": "conversation, agent='Agent', baseline=None, system=None, scope=Scope()",
    "plan_response": "conversation, agent='Agent', actions=('REPLY', 'IGNORE', 'NONE'), providers=(), baseline=None,"
    " system=None, scope=Scope()",
    "generate_code": "prompt, language=None, context=None, baseline=None, scope=Scope()",
    "decide": "messages, model_type=None, baseline=None, scope=Scope(), max_tokens=None",
    "status": "",
    "enable": "model_type, mode=None, share_percent=None",
    "disable": "model_type",
    "label": "sample_id, label=None, answer=None, decision=None, note=None, by='library'",
    "outcome": "sample_id, outcome",
}
EXPORT = "path, model_types=(), since=None, until=None, label=None, split=(), redact=True, overwrite=False"
FIELDS = {
    "ShouldRespondResult": "decision reasoning confidence source model latency_ms sample_id",
    "PlanningResult": "thought actions providers text confidence source model latency_ms sample_id",
    "CodingResult": "code explanation language text confidence source model latency_ms sample_id",
    "DecisionResult": "model_type text decision source reason model confidence latency_ms sample_id",
    "TypeStatus": "model_type enabled mode share_percent model off circuit samples by_model by_fallback by_original"
    " cents",
    "ServiceStatus": "types profile sandbox database opened_at dropped problem",
    "ExportResult": "files manifest written by_type left_out redactions",
    "Message": "name text entity_id at",
    "Scope": "agent_name agent_id room_id entity_id run_id",
}
LOADED = """
import sys
from reasoning_cli import ReasoningService, AsyncReasoningService, ShouldRespondResult
print(" ".join(sorted(sys.modules)))
"""


def signature(function: object) -> str:
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        if parameter.name not in ("self", "cls")
    ]
    return ", ".join(
        parameter.name if parameter.default is parameter.empty else f"{parameter.name}={_shown(parameter.default)}"
        for parameter in parameters
    )


def _shown(default: object) -> str:
    return "Scope()" if default == reasoning_cli.Scope() else repr(default)


def test_the_names_stay() -> None:
    assert [name for name in dir(reasoning_cli) if name != "__version__"] == list(NAMES)
    assert all(getattr(reasoning_cli, name).__doc__ for name in NAMES)


def test_both_services_have_the_same_signatures_and_they_stay() -> None:
    for service in (ReasoningService, AsyncReasoningService):
        public = {name for name in vars(service) if not name.startswith("_")}
        assert public == set(SIGNATURES), service
        assert {name: signature(getattr(service, name)) for name in public} == SIGNATURES, service
        assert all(inspect.getdoc(getattr(service, name)) for name in public)
    from reasoning_cli.library.asynchronous import AsyncSamples
    from reasoning_cli.library.synchronous import Samples

    assert signature(Samples.export) == signature(AsyncSamples.export) == EXPORT


def test_the_fields_of_results_stay_and_cannot_be_changed() -> None:
    for name, fields in FIELDS.items():
        kind = getattr(reasoning_cli, name)
        assert [field.name for field in dataclasses.fields(kind)] == fields.split(), name
        assert kind.__dataclass_params__.frozen, name


def test_importing_it_loads_nothing_that_opening_it_needs() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"asyncio", "aiohttp", "sqlite3", "orjson", "decimal", "httpx", "pydantic", "reasoning_cli.gateway"}
    assert loaded & heavy == set()


def test_type_checkers_are_shown_what_can_be_imported() -> None:
    stub = ast.parse(Path(reasoning_cli.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    shown = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in ast.walk(stub)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {name: f"{getattr(reasoning_cli, name).__module__}.{name}" for name in dir(reasoning_cli) if name[0] != "_"}
    assert shown == homes
