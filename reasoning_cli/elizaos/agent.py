"""One runtime with a service of ours in it: its model calls, whether they are led through us, what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reasoning_cli.decisions.answers import PlanningAnswer, render_answer
from reasoning_cli.decisions.prompts import agent_name
from reasoning_cli.decisions.recognise import recognise
from reasoning_cli.elizaos.current import Current, current, enter, scope_of
from reasoning_cli.elizaos.override import Method, Override
from reasoning_cli.elizaos.owners import is_owner
from reasoning_cli.elizaos.sentences import asked_for
from reasoning_cli.gateway.decision_path import Request
from reasoning_cli.gateway.slot_cache import View
from reasoning_cli.library import operator
from reasoning_cli.library.around import around, around_stream
from reasoning_cli.library.asynchronous import AsyncReasoningService, written
from reasoning_cli.library.core import Core
from reasoning_cli.library.requests import request_of
from reasoning_cli.operations.deploy.slots import DISABLED, HANDS_THROUGH

_log = logging.getLogger(__name__)
_OUTCOME_SECONDS = 1.0  # those of one span are written together
_SPOKEN_OF_SECONDS = 600.0  # after a sentence, in which `it` means the models
# A message that may be about the agent's models is planned by its usual one: only that knows what to make of it.
_ABOUT_US = re.compile(r"\breasoning\b|\b(?:custom|own|fine-?tuned)\s+models?\b", re.IGNORECASE)
_PROVIDERS = re.compile(r"<providers>\n(.*)\n</providers>", re.DOTALL)


class Agent:
    """A runtime whose decisions go our way as long as the settings let any slot be asked."""

    def __init__(
        self, runtime: Any, service: AsyncReasoningService, owners: Sequence[str], *, add_should_respond: bool
    ) -> None:
        self.runtime, self.service, self._owners = runtime, service, owners
        self.core: Core = service._core
        self._add_should_respond = add_should_respond
        self.override = Override(
            runtime,
            {
                "use_model": self._use_model,
                "use_model_stream": self._use_model_stream,
                "compose_state": self._compose_state,
            },
        )
        self._outcomes: list[tuple[str, str]] = []
        self._writers: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._spoken_of: dict[tuple[str | None, str | None], float] = {}

    @classmethod
    async def attach(
        cls,
        runtime: Any,
        owners: Sequence[str],
        *,
        profile: str | None,
        db: str | Path | None,
        sandbox: bool,
        add_should_respond: bool,
    ) -> Agent:
        """Open a service in the runtime's loop and follow its settings. Raises what opening does."""
        service = await AsyncReasoningService.open(profile=profile, db=db, sandbox=sandbox)
        agent = cls(runtime, service, owners, add_should_respond=add_should_respond)
        loop = asyncio.get_running_loop()
        agent.core.book.watch = partial(_in_loop, loop, agent.follow)
        agent.follow(agent.core.book.view)
        return agent

    def follow(self, view: View | None = None) -> None:
        """Stand in for the runtime's model calls, or leave it as it was, as the settings say now."""
        if self._ending.is_set():  # a look that was under way when the runtime stopped
            return
        view = view or self.core.book.view
        if any(slot.closed not in (DISABLED, HANDS_THROUGH) for slot in view.slots.values()):
            self.override.place()
        else:
            self.override.remove()

    async def detach(self) -> None:
        """Leave the runtime as it was, and record what is under way."""
        self._ending.set()
        self.override.remove()
        self.core.book.watch = lambda view: None
        if self._writers:
            await asyncio.wait(self._writers)
        await self.service.close()

    def note_outcome(self, what: str) -> None:
        """Say what came of the message that this task is about. Never waits."""
        found = current(self.runtime)
        if found is not None and found.samples:
            self._came_of(found.samples[-1], what)

    def _came_of(self, sample_id: str, what: str) -> None:
        self._outcomes.append((sample_id, what))
        if len(self._outcomes) == 1:
            writer = asyncio.ensure_future(self._write_outcomes())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)

    async def _write_outcomes(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), _OUTCOME_SECONDS)
        outcomes, self._outcomes = self._outcomes, []
        try:
            await written(self.core, partial(operator.outcomes, self.core, outcomes))
        except Exception:
            _log.exception("what came of decisions is not noted")

    def _compose_state(self, original: Method) -> Method:
        def compose_state(message: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                enter(self.runtime, message)
            except Exception:
                _log.exception("a message could not be read")
            return original(message, *args, **kwargs)

        return compose_state

    def _use_model(self, original: Method) -> Method:
        async def use_model(
            model_type: Any, params: dict[str, Any] | None = None, provider: str | None = None, **kwargs: Any
        ) -> Any:
            call = partial(original, model_type, params, provider, **kwargs)
            request = self._request(model_type, params, kwargs, stream=False)
            if request is None:
                return await call()
            if (plan := await self._switching(request)) is not None:
                return plan
            if await self._is_silent(request, original, model_type):
                return ""
            return await around(self.core, request, call, self._note, ask_model=not self._is_about_us())

        return use_model

    def _use_model_stream(self, original: Method) -> Method:
        async def streamed(
            request: Request, call: Callable[[], AsyncIterator[str]], model_type: Any
        ) -> AsyncIterator[str]:
            if (plan := await self._switching(request)) is not None:
                yield plan
                return
            whole = str(getattr(model_type, "value", model_type)).removesuffix("_STREAM")
            if await self._is_silent(request, self.runtime.use_model, whole):
                return
            answer = around_stream(self.core, request, call, self._note, ask_model=not self._is_about_us())
            async with contextlib.aclosing(answer) as pieces:
                async for piece in pieces:
                    yield piece

        def use_model_stream(
            model_type: Any, params: dict[str, Any] | None = None, provider: str | None = None, **kwargs: Any
        ) -> AsyncIterator[str]:
            call = partial(original, model_type, params, provider, **kwargs)
            request = self._request(model_type, params, kwargs, stream=True)
            return call() if request is None else streamed(request, call, model_type)

        return use_model_stream

    def _request(
        self, model_type: Any, params: dict[str, Any] | None, more: dict[str, Any], *, stream: bool
    ) -> Request | None:
        """The request that a model call is; None for one that asks for no text, or that cannot be read."""
        try:
            if not str(getattr(model_type, "value", model_type)).startswith("TEXT_"):
                return None
            given = {**(params or {}), **more}
            prompt, system = given.get("prompt"), given.get("system")
            if not isinstance(prompt, str) or not prompt:
                return None
            messages = [{"role": "system", "content": system}] if isinstance(system, str) and system else []
            most = given.get("maxTokens")
            return request_of(
                [*messages, {"role": "user", "content": prompt}],
                None,
                scope_of(self.runtime),
                max_tokens=most if isinstance(most, int) else None,
                stream=stream,
            )
        except Exception:
            _log.exception("a call of a model could not be read")
            return None

    async def _switching(self, request: Request) -> str | None:
        """The plan for what its owner says of the agent's models; None for any other message."""
        found = current(self.runtime)
        if found is None:
            return None
        try:
            whose = (found.scope.room_id, found.scope.entity_id)
            spoken_of = time.monotonic() - self._spoken_of.get(whose, -_SPOKEN_OF_SECONDS) < _SPOKEN_OF_SECONDS
            action = asked_for(found.text, spoken_of=spoken_of)
            planning = recognise(request.asked.text) if action is not None else None
            if action is None or planning is None or planning.model_type != "planning":
                return None
            if not await is_owner(self.runtime, found.message, self._owners):
                return None
            answer = PlanningAnswer("My owner speaks of my own models.", (action,), (), "One moment.")
            return render_answer(answer, planning.codes) if planning.can_be_echoed and planning.fmt == "xml" else None
        except Exception:
            _log.exception("a sentence about the models could not be read")
            return None

    def spoke_of_models(self, message: Any) -> None:
        """Remember that an owner just did, in a room."""
        self._spoken_of[str(message.room_id), str(message.entity_id)] = time.monotonic()

    def _is_about_us(self) -> bool:
        """Whether the message may be its owner's word about our models."""
        found = current(self.runtime)
        return found is not None and _ABOUT_US.search(found.text) is not None

    async def _is_silent(self, request: Request, original: Method, model_type: Any) -> bool:
        """Whether the agent says nothing to a message of a group: asked once a message, before its plan."""
        found = current(self.runtime)
        if not self._add_should_respond or found is None or not found.is_of_group:
            return False
        if recognise(request.asked.text).model_type != "planning":
            return False
        if found.silent is None:
            try:
                found.silent = await self._asked_for_silence(request, original, model_type, found)
            except Exception:
                _log.exception("whether to respond could not be asked")
                found.silent = False
        return found.silent

    async def _asked_for_silence(self, request: Request, original: Method, model_type: Any, found: Current) -> bool:
        from elizaos.prompts import SHOULD_RESPOND_TEMPLATE

        context = _PROVIDERS.search(request.asked.text)
        name = agent_name(request.asked.text) or self.runtime.character.name
        known = context[1] if context is not None else ""
        if found.text not in known:  # as where the runtime composed the state of a room some messages ago
            known = f"{known}\n\n# Current Message\nUser: {found.text}".strip()
        prompt = SHOULD_RESPOND_TEMPLATE.replace("{{agentName}}", name).replace("{{providers}}", known)
        small = "TEXT_SMALL" if self.runtime.has_model("TEXT_SMALL") else model_type

        async def baseline(messages: Any) -> str:
            return str(await original(small, {"prompt": prompt}) or "")

        result = await self.service.decide(
            [{"role": "user", "content": prompt}], model_type="should_respond", baseline=baseline, scope=found.scope
        )
        if result.sample_id is not None and result.decision in ("IGNORE", "STOP"):
            self._came_of(result.sample_id, "silent")
        return result.decision in ("IGNORE", "STOP")

    def _note(self, model_type: str | None, sample_id: str | None) -> None:
        found = current(self.runtime)
        if found is not None and model_type == "planning" and sample_id is not None:
            found.samples.append(sample_id)


def _in_loop(loop: asyncio.AbstractEventLoop, follow: Callable[[View], None], view: View) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(follow, view)
