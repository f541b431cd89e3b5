"""Run an agent's decisions on your own fine-tuned models.

What is named here is the library, and stays as it is; so does `reasoning_cli.testing`. Every other module may change
with any version.
"""

from __future__ import annotations

__version__ = "0.1.0"

# Where each name lives. Loaded when it is asked for: no command starts slower for the library. Type checkers read
# `__init__.pyi`: nothing here may name the library, whose own files ask this one for the version.
_HOMES = {
    "Message": "decisions.compose",
    "Scope": "decisions.scope",
    "ConfigurationError": "errors",
    "DataError": "errors",
    "NotFoundError": "errors",
    "ReasoningError": "errors",
    "RemoteError": "errors",
    "UsageError": "errors",
    "AsyncReasoningService": "library.asynchronous",
    "DecisionService": "library.protocol",
    "open_service": "library.protocol",
    "CodingResult": "library.results",
    "DecisionResult": "library.results",
    "ExportResult": "library.results",
    "NoAnswerError": "library.results",
    "PlanningResult": "library.results",
    "ServiceClosedError": "library.results",
    "ServiceStatus": "library.results",
    "ShouldRespondResult": "library.results",
    "TypeStatus": "library.results",
    "UnusableAnswerError": "library.results",
    "ReasoningService": "library.synchronous",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return ["__version__", *_HOMES]
