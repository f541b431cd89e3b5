"""What the runtime is handed: one plug-in, which serves every runtime it is put into on its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from elizaos.types import Evaluator, Plugin, Provider, ProviderResult, Service

from reasoning_cli.elizaos.actions import actions
from reasoning_cli.elizaos.agent import Agent
from reasoning_cli.elizaos.wording import line_of
from reasoning_cli.errors import ReasoningError

_log = logging.getLogger(__name__)
NAME = "reasoning"
_MUTING = {"MUTE_ROOM", "UNFOLLOW_ROOM"}
_SILENT = {"IGNORE", "NONE", "STOP"}


def reasoning_plugin(
    *,
    profile: str | None = None,
    db: str | Path | None = None,
    sandbox: bool = False,
    owners: Sequence[str] = (),
    add_should_respond: bool = False,
) -> Plugin:
    """The plug-in for `AgentRuntime(plugins=[…, reasoning_plugin()])`.

    `profile`, `db` and `sandbox` are those of the command line. `owners` are ids of entities that may say the three
    sentences, beside those whom `REASONING_OWNERS` names and the runtime's owners and admins. `add_should_respond` has
    the runtime, which never asks, decide in groups whether to respond before it plans.

    A runtime whose settings cannot be read works without: what is wrong is logged, and told to its owner.
    """
    agents: dict[int, Agent | str] = {}

    def find(runtime: Any) -> Agent | str:
        return agents.get(id(runtime), "its plug-in was not initialised")

    async def init(config: dict[str, Any], runtime: Any) -> None:
        try:
            agents[id(runtime)] = await Agent.attach(
                runtime, owners, profile=profile, db=db, sandbox=sandbox, add_should_respond=add_should_respond
            )
        except Exception as error:
            what = error.message if isinstance(error, ReasoningError) else f"{type(error).__name__}: {error}"
            _log.error("the agent works without reasoning: %s", what)
            agents[id(runtime)] = what

    return Plugin(
        name=NAME,
        description="Decides by the operator's own fine-tuned models, and collects decisions to train them on",
        init=init,
        actions=actions(find, owners),
        providers=[_provider(find)],
        evaluators=[_evaluator(find)],
        services=[_service(agents)],
    )


def _provider(find: Callable[[Any], Agent | str]) -> Provider:
    """One line of status in the agent's state."""

    async def get(runtime: Any, message: Any, state: Any = None) -> ProviderResult:
        agent = find(runtime)
        return ProviderResult(text="" if isinstance(agent, str) else line_of(agent.core.book.view))

    return Provider(name="REASONING_STATUS", get=get, description="Which models decide for the agent", position=100)


def _evaluator(find: Callable[[Any], Agent | str]) -> Evaluator:
    """Notes what came of each plan."""

    async def validate(runtime: Any, message: Any, state: Any = None) -> bool:
        return isinstance(find(runtime), Agent)

    async def handler(
        runtime: Any,
        message: Any,
        state: Any = None,
        options: Any = None,
        callback: Any = None,
        responses: Any = None,
    ) -> None:
        agent = find(runtime)
        if isinstance(agent, Agent):
            agent.note_outcome(_outcome(responses or []))

    return Evaluator(
        name="REASONING_OUTCOME",
        description="Notes what came of a decision",
        handler=handler,
        validate=validate,
        always_run=True,
    )


def _outcome(responses: Sequence[Any]) -> str:
    """What the agent did: it replied, muted the room or said nothing."""
    taken = {str(action).upper() for response in responses for action in response.content.actions or ()}
    if taken & _MUTING:
        return "muted"
    return "silent" if taken <= _SILENT else "replied"


def _service(agents: dict[int, Agent | str]) -> type[Service]:
    """What the runtime stops when it stops."""

    class ReasoningRuntimeService(Service):  # type: ignore[misc]  # the runtime is not installed here
        service_type = NAME

        @property
        def capability_description(self) -> str:
            """As the runtime asks for it."""
            return "Decisions by the operator's own fine-tuned models"

        @classmethod
        async def start(cls, runtime: Any) -> ReasoningRuntimeService:
            """Called when the plug-in was initialised."""
            return cls(runtime)

        async def stop(self) -> None:
            """Leave the runtime as it was, with everything recorded."""
            agent = agents.pop(id(self.runtime), None)
            if isinstance(agent, Agent):
                await agent.detach()

    return ReasoningRuntimeService
