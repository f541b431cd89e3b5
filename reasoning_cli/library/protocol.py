"""The interface that others implement: a service of decisions, found by its name where a package brings one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, cast, runtime_checkable

from reasoning_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from reasoning_cli.decisions.compose import Message
    from reasoning_cli.library.results import (
        CodingResult,
        PlanningResult,
        ServiceStatus,
        ShouldRespondResult,
        TypeStatus,
    )
    from reasoning_cli.library.shared import Mode

GROUP = "reasoning.services"
OURS = "reasoning"


@runtime_checkable
class DecisionService(Protocol):
    """What an agent asks for its three decisions. `reasoning_cli.testing.check_service` tells whether one keeps to it.

    What the service does not answer itself goes to `baseline`, once, whose exceptions pass through. Errors of its own
    are ReasoningError. Any number of threads may ask at once. Results may have more than the fields named in them.
    """

    def should_respond(
        self,
        conversation: str | Sequence[Message | tuple[str, str] | Mapping[str, Any]],
        *,
        agent: str = ...,
        baseline: Any = ...,
    ) -> ShouldRespondResult:
        """Whether the agent speaks, after the last message."""

    def plan_response(
        self,
        conversation: str | Sequence[Message | tuple[str, str] | Mapping[str, Any]],
        *,
        agent: str = ...,
        actions: Sequence[str] = ...,
        providers: Sequence[str] = ...,
        baseline: Any = ...,
    ) -> PlanningResult:
        """What the agent does and says; of the actions and providers offered."""

    def generate_code(
        self, prompt: str, *, language: str | None = ..., context: str | None = ..., baseline: Any = ...
    ) -> CodingResult:
        """Code for what the prompt asks."""

    def enable(self, model_type: str, *, mode: Mode | None = ..., share_percent: int | None = ...) -> TypeStatus:
        """Answer decisions of a type. UsageError for a type there is not."""

    def disable(self, model_type: str) -> TypeStatus:
        """Leave decisions of a type to the baseline."""

    def status(self) -> ServiceStatus:
        """How the service does now."""

    def close(self) -> None:
        """Let go of everything, threads too; a second time does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def open_service(name: str = OURS, **options: Any) -> DecisionService:
    """Open a service by its name: `reasoning`, or one that another package brings under the entry point
    `reasoning.services`, a callable that gives a DecisionService. `options` are its own; ours takes those of
    `ReasoningService.open`. Raises ConfigurationError for a name that nobody brings, and whatever opening raises."""
    if name == OURS:
        from reasoning_cli.library.synchronous import ReasoningService

        return ReasoningService.open(**options)
    from importlib.metadata import entry_points

    found = list(entry_points(group=GROUP))
    of_name = [point for point in found if point.name == name]
    if len(of_name) != 1:
        known = ", ".join([OURS, *sorted({point.name for point in found})])
        why = "is brought by several packages" if of_name else "is not a service"
        raise ConfigurationError(f"`{name}` {why}: there are {known}", "`pip install PACKAGE` brings one")
    return cast(DecisionService, of_name[0].load()(**options))
