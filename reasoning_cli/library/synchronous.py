"""The service for code without asyncio: a loop in a thread of its own, which any thread may ask."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from reasoning_cli.decisions.scope import NOWHERE, Scope
from reasoning_cli.errors import UsageError
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


class Samples:
    """The samples in the log of a service."""

    def __init__(self, service: ReasoningService) -> None:
        self._service = service

    def export(
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
        """Write samples as a file to fine-tune on, the answers that people corrected in their corrected form.

        The suffix of `path` is not looked at: it is JSON Lines. `model_types` empty means all; since <= time < until,
        aware; `label` is `good`, `bad`, `corrected` or `none`; `split` holds the shares of several files, such as
        (0.9, 0.1). Without `redact` keys, e-mail and phone numbers stay in. Raises DataError where a file is there
        already or cannot be written, and ReasoningError where nothing matches; nothing is written then.
        """
        from reasoning_cli.library import operator

        export = partial(operator.export, since=since, until=until, label=label, split=split, redact=redact)
        return self._service._written(partial(export, self._service._core, path, model_types, overwrite=overwrite))


class ReasoningService:
    """Decides in the agent's process: by the slots' models where they are good, else by the baseline.

    Which model answers, in what time and with what confidence, is as `reasoning` is set, and follows its settings
    within a second. Each decision is recorded. Any number of threads may ask at once; a service belongs to the process
    it was opened in. Close it, or use it with `with`: what is under way is recorded then, and no thread is left.
    """

    def __init__(self, core: Core, baseline: Any, baseline_model: str | None) -> None:
        import uvloop

        self._core, self._baseline, self._baseline_model = core, baseline, baseline_model
        self.samples = Samples(self)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="reasoning", daemon=True)
        self._thread.start()
        self._run(_started(core))
        self._closing = threading.Lock()
        atexit.register(self.close)

    @classmethod
    def open(
        cls,
        *,
        profile: str | None = None,
        db: str | Path | None = None,
        sandbox: bool = False,
        baseline: Any = None,
        baseline_model: str | None = None,
    ) -> Self:
        """Open a service.

        `profile` and `db` are those of the command line: whose settings, and which log; `sandbox` starts the stand-in
        for Together where it does not run. `baseline` answers what a call brings none for, see `decide`;
        `baseline_model` is the model a client asks, and the name a function's answers are recorded under. Raises
        ConfigurationError, DataError and UsageError.
        """
        from reasoning_cli.library.core import Core

        return cls(Core.prepare(profile, db, sandbox=sandbox), baseline, baseline_model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Record what is under way and end every thread. Closing again, or in a fork, does nothing."""
        import asyncio

        with self._closing:
            if self._core.closed or not self._core.is_here:
                return
            self._run(self._core.close())
        atexit.unregister(self.close)
        self._core.close_threads()
        self._core.worker.shutdown()
        with contextlib.suppress(RuntimeError):  # a process that ends has ended it
            asyncio.run_coroutine_threadsafe(self._loop.shutdown_default_executor(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def should_respond(
        self,
        conversation: str | Sequence[Message | tuple[str, str] | Mapping[str, Any]],
        *,
        agent: str = "Agent",
        baseline: Any = None,
        system: str | None = None,
        scope: Scope = NOWHERE,
    ) -> ShouldRespondResult:
        """Whether the agent speaks, after the last message of a conversation.

        A message is a `Message`, a pair of name and text, or a mapping with `name` and `text`; a conversation of one
        may be its text. `agent` is the agent's name, `system` its system message. `baseline` and `scope` are as in
        `decide`; this one's baseline may answer with the word alone. Raises what `decide` does, and UnusableAnswerError
        where the baseline's answer says nothing of the kind.
        """
        from reasoning_cli.library import answers, requests

        request = requests.composed("should_respond", conversation, agent, scope, system=system)
        return answers.should_respond(request, self._decide(request, baseline))

    def plan_response(
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
        """What the agent does and says, after the last message of a conversation.

        A plan names none but the `actions` and `providers` offered. The rest is as in `should_respond`.
        """
        from reasoning_cli.library import answers, requests

        request = requests.composed(
            "planning", conversation, agent, scope, system=system, actions=actions, providers=providers
        )
        return answers.plan(request, self._decide(request, baseline))

    def generate_code(
        self,
        prompt: str,
        *,
        language: str | None = None,
        context: str | None = None,
        baseline: Any = None,
        scope: Scope = NOWHERE,
    ) -> CodingResult:
        """Code for what the prompt asks, in a `language`; `context` is code that is there already, or what else the
        model should see. A model of ours that answers without code has not answered; a baseline's answer may have none.
        Raises what `decide` does."""
        from reasoning_cli.library import answers, requests

        request = requests.coding(prompt, language, context, scope)
        return answers.code(request, self._decide(request, baseline))

    def decide(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        model_type: str | None = None,
        baseline: Any = None,
        scope: Scope = NOWHERE,
        max_tokens: int | None = None,
    ) -> DecisionResult:
        """The decision that a prompt asks for which exists already.

        `messages` are those of chat completions, the last of a user being the prompt. `model_type` says which decision
        it is; without it the prompt is recognised as the gateway does. `scope` is what the caller knows of where it
        comes from; `max_tokens` bounds the model's answer.

        `baseline` answers what the slot's model does not: a function of the messages that gives the text of an answer,
        or a client of `openai` or `anthropic`. It is asked once, in the caller's thread, and its exceptions pass
        through. Raises NoAnswerError where it would be asked and there is none, UsageError for messages, a type or a
        baseline that make no sense, and ServiceClosedError.
        """
        from reasoning_cli.library import requests

        request = requests.request_of(messages, model_type, scope, model=self._baseline_model, max_tokens=max_tokens)
        return self._decide(request, baseline)

    def _decide(self, request: Request, baseline: Any) -> DecisionResult:
        from reasoning_cli.library.baseline import asked, read
        from reasoning_cli.library.core import from_baseline, from_model

        core, baseline = self._core, self._baseline if baseline is None else baseline
        turn = self._run(core.begin(request))
        if turn.reply is not None:
            return from_model(turn)
        try:
            if baseline is None:
                raise no_answer(turn.decision)
            answer = asked(baseline, request, self._baseline_model)
            if hasattr(answer, "__await__"):
                getattr(answer, "close", lambda: None)()  # a coroutine that nobody awaits complains
                raise UsageError("the baseline is for asyncio", "use AsyncReasoningService, or another baseline")
            response = read(request, answer, self._baseline_model)
        except BaseException as error:
            self._loop.call_soon_threadsafe(core.fail, turn, error)
            raise
        result, latency_ms = from_baseline(turn, response)
        self._loop.call_soon_threadsafe(core.finish, turn, response, latency_ms)
        return result

    def status(self) -> ServiceStatus:
        """How the service does now, once every decision that was answered stands in the log."""
        from reasoning_cli.library import operator

        return self._written(partial(operator.status, self._core))

    def enable(self, model_type: str, *, mode: Mode | None = None, share_percent: int | None = None) -> TypeStatus:
        """Let decisions of a type go to its model, as `reasoning models enable` does: for everything that runs by these
        settings. What is None stays as it was; a share (0 to 100) makes a canary. Raises UsageError, and
        ConfigurationError where a variable of the environment says otherwise."""
        from reasoning_cli.library import operator

        self._core.check()
        return operator.enable(self._core, model_type, mode, share_percent)

    def disable(self, model_type: str) -> TypeStatus:
        """Send decisions of a type to the baseline. Its model goes on running, and costing. Raises as `enable` does."""
        from reasoning_cli.library import operator

        self._core.check()
        return operator.disable(self._core, model_type)

    def label(
        self,
        sample_id: str,
        label: Literal["good", "bad", "none"] | None = None,
        *,
        answer: str | None = None,
        decision: str | None = None,
        note: str | None = None,
        by: str = "library",
    ) -> None:
        """Say of a decision whether it was good: a `label`, or what would have been right, as a whole `answer` or as a
        `decision` alone. `by` is who says so. Raises NotFoundError, UsageError, and DataError for an answer that the
        agent could not use."""
        from reasoning_cli.library import operator

        self._written(partial(operator.label, self._core, sample_id, label, answer, decision, note, by))

    def outcome(self, sample_id: str, outcome: str) -> None:
        """Say what came of a decision, in a word or a few: `answered`, `stopped`, whatever else is worth counting.
        Raises NotFoundError and UsageError."""
        from reasoning_cli.library import operator

        self._written(partial(operator.outcome, self._core, sample_id, outcome))

    def _run(self, work: Coroutine[None, None, _Given]) -> _Given:
        """Do something in the loop, and wait for it."""
        import asyncio

        try:
            self._core.check()
        except BaseException:
            work.close()
            raise
        doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return doing.result()
        except BaseException:
            doing.cancel()  # whoever waited was interrupted
            raise

    def _written(self, work: Callable[[], _Given]) -> _Given:
        """Do what waits on the disk, once every decision that was answered stands in the log."""
        self._run(self._core.settle())
        self._core.recorder.flush()
        return work()


async def _started(core: Core) -> None:
    core.start()
