"""The three sentences: enable, disable, and how it is doing, as actions of the runtime."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from elizaos.types import Action, ActionExample, ActionResult, Content

from reasoning_cli.elizaos.agent import Agent
from reasoning_cli.elizaos.owners import SETTING, is_owner
from reasoning_cli.elizaos.sentences import DISABLE, ENABLE, STATUS
from reasoning_cli.elizaos.wording import status_text, switch_text
from reasoning_cli.errors import ReasoningError
from reasoning_cli.library import operator
from reasoning_cli.library.asynchronous import in_thread, written
from reasoning_cli.library.results import TYPES, ModelType

if TYPE_CHECKING:
    from collections.abc import Sequence

Find = Callable[[Any], Agent | str]
"""The agent that a runtime is, or why it has no service of ours."""
_Work = Callable[[Agent, Any], Awaitable[str]]

_WORDS: dict[ModelType, tuple[str, ...]] = {
    "should_respond": ("should-respond", "should_respond", "should respond"),
    "planning": ("planning",),
    "coding": ("coding",),
}


def actions(find: Find, owners: Sequence[str]) -> list[Action]:
    """The three, and their similes: the runtime finds an action by its name alone, so each simile is one too, which is
    offered to nobody."""
    made = []
    for name, similes, description, said, answered, work in (
        (
            ENABLE,
            ("ENABLE_CUSTOM_REASONING", "TURN_ON_REASONING"),
            "Let the agent's own fine-tuned models decide (custom reasoning), when its owner asks for it",
            "enable custom reasoning",
            "I let my own models decide.",
            _enable,
        ),
        (
            DISABLE,
            ("DISABLE_CUSTOM_REASONING", "TURN_OFF_REASONING"),
            "Stop the agent's own fine-tuned models (custom reasoning) from deciding, when its owner asks for it",
            "turn custom reasoning off again",
            "I ask the usual model again.",
            _disable,
        ),
        (
            STATUS,
            ("CUSTOM_REASONING_STATUS", "HOW_IS_REASONING"),
            "Tell the owner how the agent's own fine-tuned models (custom reasoning) are doing",
            "how is custom reasoning doing?",
            "I look how my own models do.",
            _status,
        ),
    ):
        handler = _handler(find, owners, name, work)
        examples = [
            [
                ActionExample(name="{{name1}}", content=Content(text=said)),
                ActionExample(name="{{name2}}", content=Content(text=answered, actions=[name])),
            ]
        ]
        validate = partial(_may, owners=owners)
        made.append(Action(name, description, handler, validate, similes=list(similes), examples=examples))
        made += [Action(simile, description, handler, _never) for simile in similes]
    return made


async def _may(runtime: Any, message: Any, state: Any = None, *, owners: Sequence[str]) -> bool:
    return await is_owner(runtime, message, owners)


async def _never(runtime: Any, message: Any, state: Any = None) -> bool:
    return False


def _handler(find: Find, owners: Sequence[str], name: str, work: _Work) -> Callable[..., Awaitable[ActionResult]]:
    async def handler(
        runtime: Any,
        message: Any,
        state: Any = None,
        options: Any = None,
        callback: Callable[[Content], Awaitable[Any]] | None = None,
        responses: Any = None,
    ) -> ActionResult:
        text, success = await _done(find, owners, work, runtime, message)
        if callback is not None:
            await callback(Content(text=text, actions=[name]))
        return ActionResult(text=text, success=success, data={"actionName": name})

    return handler


async def _done(find: Find, owners: Sequence[str], work: _Work, runtime: Any, message: Any) -> tuple[str, bool]:
    """What the agent says, and whether it did what it was asked."""
    if not await is_owner(runtime, message, owners):
        return f"Only my owners may ask that; {SETTING} names them.", False
    agent = find(runtime)
    if isinstance(agent, str):
        return f"Custom reasoning could not be started: {agent}", False
    agent.spoke_of_models(message)
    try:
        return await work(agent, message), True
    except ReasoningError as error:
        return f"That went wrong: {error.message}{f' ({error.hint})' if error.hint else ''}", False


async def _enable(agent: Agent, message: Any) -> str:
    types = _types(message) or await _served(agent) or TYPES
    asked_by = str(message.entity_id)
    statuses = []
    for model_type in types:
        enable = partial(operator.enable, agent.core, model_type, None, None, asked_by)
        statuses.append(await in_thread(agent.core, enable))
    agent.follow()
    return switch_text("on", statuses)


async def _disable(agent: Agent, message: Any) -> str:
    asked_by = str(message.entity_id)
    statuses = [
        await in_thread(agent.core, partial(operator.disable, agent.core, model_type, asked_by))
        for model_type in _types(message) or TYPES
    ]
    agent.follow()
    return switch_text("off", statuses)


async def _status(agent: Agent, message: Any) -> str:
    return status_text(await written(agent.core, partial(operator.status, agent.core)))


async def _served(agent: Agent) -> list[ModelType]:
    """The types that a model serves: the others there is no use in enabling."""
    status = await written(agent.core, partial(operator.status, agent.core))
    return [each.model_type for each in status.types if each.model is not None]


def _types(message: Any) -> list[ModelType]:
    """The types that the message names; none means all."""
    said = (message.content.text or "").lower()
    return [model_type for model_type, words in _WORDS.items() if any(word in said for word in words)]
