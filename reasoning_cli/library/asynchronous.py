"""The service for asyncio: everything happens in the loop it was opened in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from reasoning_cli.decisions.scope import NOWHERE, Scope
from reasoning_cli.library.results import (
    CodingResult,
    DecisionResult,
    ExportResult,
    PlanningResult,
    ServiceStatus,
    ShouldRespondResult,
    TypeStatus,
)
from reasoning_cli.library.shared import Mode, no_answer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from reasoning_cli.decisions.compose import Message
    from reasoning_cli.gateway.decision_path import Request
    from reasoning_cli.library.core import Core

_Given = TypeVar("_Given")


class AsyncSamples:
    """The samples in the log of a service."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def export(
        self,
        path: str | Path,
        *,
        model_types: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        label: str | None = None,
        split: Sequence[float] = (),
        redact: bool = True,
        overwrite: bool = False,
    ) -> ExportResult:
        """As `Samples.export` of the service without asyncio."""
        from reasoning_cli.library import operator

        export = partial(operator.export, since=since, until=until, label=label, split=split, redact=redact)
        return await written(self._core, partial(export, self._core, path, model_types, overwrite=overwrite))


class AsyncReasoningService:
    """Decides in the agent's process, for asyncio. Everything is as in `ReasoningService`, awaited.

    Any number of tasks may ask at once. A baseline may be a coroutine function, or a client for asyncio.
    """

    def __init__(self, core: Core, baseline: Any, baseline_model: str | None) -> None:
        self._core, self._baseline, self._baseline_model = core, baseline, baseline_model
        self.samples = AsyncSamples(core)

    @classmethod
    async def open(
        cls,
        *,
        profile: str | None = None,
        db: str | Path | None = None,
        sandbox: bool = False,
        baseline: Any = None,
        baseline_model: str | None = None,
    ) -> Self:
        """Open a service in the running loop, which reads settings and log first, for a moment of the loop's time."""
        from reasoning_cli.library.core import Core

        core = Core.prepare(profile, db, sandbox=sandbox)
        core.start()
        return cls(core, baseline, baseline_model)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Record what is under way and end every thread. Closing again does nothing."""
        import asyncio

        if not self._core.closed:
            self._core.check_loop()
            await self._core.close()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._core.worker, self._core.close_threads)
            self._core.worker.shutdown()

    async def should_respond(
        self,
        conversation: str | Sequence[Message | tuple[str, str] | Mapping[str, Any]],
        *,
        agent: str = "Agent",
        baseline: Any = None,
        system: str | None = None,
        scope: Scope = NOWHERE,
    ) -> ShouldRespondResult:
        """Whether the agent speaks."""
        from reasoning_cli.library import answers, requests

        request = requests.composed("should_respond", conversation, agent, scope, system=system)
        return answers.should_respond(request, await self._decide(request, baseline))

    async def plan_response(
        self,
        conversation: str | Sequence[Message | tuple[str, str] | Mapping[str, Any]],
        *,
        agent: str = "Agent",
        actions: Sequence[str] = ("REPLY", "IGNORE", "NONE"),
        providers: Sequence[str] = (),
        baseline: Any = None,
        system: str | None = None,
        scope: Scope = NOWHERE,
    ) -> PlanningResult:
        """What the agent does and says."""
        from reasoning_cli.library import answers, requests

        request = requests.composed(
            "planning", conversation, agent, scope, system=system, actions=actions, providers=providers
        )
        return answers.plan(request, await self._decide(request, baseline))

    async def generate_code(
        self,
        prompt: str,
        *,
        language: str | None = None,
        context: str | None = None,
        baseline: Any = None,
        scope: Scope = NOWHERE,
    ) -> CodingResult:
        """Code for what the prompt asks."""
        from reasoning_cli.library import answers, requests

        request = requests.coding(prompt, language, context, scope)
        return answers.code(request, await self._decide(request, baseline))

    async def decide(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        model_type: str | None = None,
        baseline: Any = None,
        scope: Scope = NOWHERE,
        max_tokens: int | None = None,
    ) -> DecisionResult:
        """The decision that a prompt asks for which exists already."""
        from reasoning_cli.library import requests

        request = requests.request_of(messages, model_type, scope, model=self._baseline_model, max_tokens=max_tokens)
        return await self._decide(request, baseline)

    async def _decide(self, request: Request, baseline: Any) -> DecisionResult:
        from reasoning_cli.library.baseline import asked, read
        from reasoning_cli.library.core import from_baseline, from_model

        core, baseline = self._core, self._baseline if baseline is None else baseline
        core.check_loop()
        turn = await core.begin(request)
        if turn.reply is not None:
            return from_model(turn)
        try:
            if baseline is None:
                raise no_answer(turn.decision)
            answer = asked(baseline, request, self._baseline_model)
            if hasattr(answer, "__await__"):
                answer = await answer
            response = read(request, answer, self._baseline_model)
        except BaseException as error:
            core.fail(turn, error)
            raise
        result, latency_ms = from_baseline(turn, response)
        core.finish(turn, response, latency_ms)
        return result

    async def status(self) -> ServiceStatus:
        """How the service does now."""
        from reasoning_cli.library import operator

        return await written(self._core, partial(operator.status, self._core))

    async def enable(
        self, model_type: str, *, mode: Mode | None = None, share_percent: int | None = None
    ) -> TypeStatus:
        """Let decisions of a type go to its model."""
        from reasoning_cli.library import operator

        enable = partial(operator.enable, self._core, model_type, mode, share_percent)
        return await in_thread(self._core, enable)

    async def disable(self, model_type: str) -> TypeStatus:
        """Send decisions of a type to the baseline."""
        from reasoning_cli.library import operator

        return await in_thread(self._core, partial(operator.disable, self._core, model_type))

    async def label(
        self,
        sample_id: str,
        label: Literal["good", "bad", "none"] | None = None,
        *,
        answer: str | None = None,
        decision: str | None = None,
        note: str | None = None,
        by: str = "library",
    ) -> None:
        """Say of a decision whether it was good."""
        from reasoning_cli.library import operator

        work = partial(operator.label, self._core, sample_id, label, answer, decision, note, by)
        await written(self._core, work)

    async def outcome(self, sample_id: str, outcome: str) -> None:
        """Say what came of a decision."""
        from reasoning_cli.library import operator

        await written(self._core, partial(operator.outcome, self._core, sample_id, outcome))


async def in_thread(core: Core, work: Callable[[], _Given]) -> _Given:
    """Do what waits on the disk."""
    import asyncio

    core.check_loop()
    return await asyncio.get_running_loop().run_in_executor(core.worker, work)


async def written(core: Core, work: Callable[[], _Given]) -> _Given:
    """The same once every decision that was answered stands in the log."""
    core.check_loop()
    await core.settle()
    await in_thread(core, core.recorder.flush)
    return await in_thread(core, work)
