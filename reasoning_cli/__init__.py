"""Run an agent's decisions on your own fine-tuned models.

What is named here is the library, and stays as it is; so does `reasoning_cli.testing`. Every other module may change
with any version.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, which takes longer to load than all of this

if TYPE_CHECKING:
    from reasoning_cli.decisions.compose import Message as Message
    from reasoning_cli.decisions.scope import Scope as Scope
    from reasoning_cli.errors import ConfigurationError as ConfigurationError
    from reasoning_cli.errors import DataError as DataError
    from reasoning_cli.errors import NotFoundError as NotFoundError
    from reasoning_cli.errors import ReasoningError as ReasoningError
    from reasoning_cli.errors import RemoteError as RemoteError
    from reasoning_cli.errors import UsageError as UsageError
    from reasoning_cli.library.asynchronous import AsyncReasoningService as AsyncReasoningService
    from reasoning_cli.library.protocol import DecisionService as DecisionService
    from reasoning_cli.library.protocol import open_service as open_service
    from reasoning_cli.library.results import CodingResult as CodingResult
    from reasoning_cli.library.results import DecisionResult as DecisionResult
    from reasoning_cli.library.results import ExportResult as ExportResult
    from reasoning_cli.library.results import NoAnswerError as NoAnswerError
    from reasoning_cli.library.results import PlanningResult as PlanningResult
    from reasoning_cli.library.results import ServiceClosedError as ServiceClosedError
    from reasoning_cli.library.results import ServiceStatus as ServiceStatus
    from reasoning_cli.library.results import ShouldRespondResult as ShouldRespondResult
    from reasoning_cli.library.results import TypeStatus as TypeStatus
    from reasoning_cli.library.results import UnusableAnswerError as UnusableAnswerError
    from reasoning_cli.library.synchronous import ReasoningService as ReasoningService

__version__ = "0.1.0"

# Where each name lives. Loaded when it is asked for: no command starts slower for the library.
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
