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

__version__: str
