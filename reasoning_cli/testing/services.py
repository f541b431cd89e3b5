"""Whether a service of decisions keeps to `DecisionService`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from reasoning_cli.decisions.compose import Message
from reasoning_cli.errors import ReasoningError, UsageError
from reasoning_cli.library.protocol import DecisionService
from reasoning_cli.library.results import TYPES, CodingResult, PlanningResult, ShouldRespondResult
from reasoning_cli.testing.verdict import NotConforming

_TALK = [Message("Ben", "Is the museum open?", "entity-1"), Message("Sam", "Nova, what do you think?", "entity-2")]
_ACTIONS, _PROVIDERS = ("REPLY", "IGNORE"), ("FACTS",)
# What a baseline answers that the check brings, by type.
_ANSWERS = {
    "should_respond": "<response><name>Nova</name><reasoning>Asked.</reasoning><action>STOP</action></response>",
    "planning": "<response><thought>Hm.</thought><actions>REPLY</actions><providers></providers>"
    "<text>The baseline &lt;3</text></response>",
    "coding": "The code:\n\n```python\nbaseline = 3\n```",
}
_SAID: dict[str, dict[str, object]] = {
    "should_respond": {"decision": "STOP"},
    "planning": {"actions": ("REPLY",), "text": "The baseline <3"},
    "coding": {"code": "baseline = 3"},
}
_THREADS, _ASKED_BY_EACH = 8, 3


class _Mine(Exception):
    """What a baseline of the check fails with."""


class _Baseline:
    """Answers as it is told, and counts."""

    def __init__(self, answer: str | _Mine) -> None:
        self.answer, self.asked = answer, 0

    def __call__(self, messages: Sequence[Mapping[str, Any]]) -> str:
        self.asked += 1
        if isinstance(self.answer, _Mine):
            raise self.answer
        if not all(isinstance(message, Mapping) and "role" in message for message in messages):
            raise TypeError("a baseline gets messages of chat completions")
        return self.answer


def check_service(open_service: Callable[[], DecisionService]) -> None:
    """Check the service that `open_service` opens, anew each time it is called; may switch its types on and off.

    Raises NotConforming with every finding, each a sentence that says what the service did and what it should.
    """
    check = _Check(open_service)
    check.run()
    if check.findings:
        raise NotConforming(check.name, check.findings)


class _Check:
    def __init__(self, open_service: Callable[[], DecisionService]) -> None:
        self._open = open_service
        self.name, self.findings = "the service", list[str]()

    def run(self) -> None:
        before = set(threading.enumerate())
        service = None
        with self._step("opening it"):
            service = self._open()
        if service is None:
            return
        self.name = type(service).__name__
        missing = [name for name in _METHODS if not callable(getattr(service, name, None))]
        if missing:
            self.findings.append(f"it lacks {', '.join(missing)}")
            return
        with self._step("using it with `with`"), service:
            for model_type in TYPES:
                with self._step(f"asking {model_type} as it was opened"):
                    baseline = _Baseline(_ANSWERS[model_type])
                    self._judge(model_type, _ask(service, model_type, baseline), baseline)
                self._disabled(service, model_type)
                self._enabled(service, model_type)
            self._refusals(service)
            self._threads(service)
        self._closed(service, before)

    def _disabled(self, service: DecisionService, model_type: str) -> None:
        """Of a type that is switched off, the baseline decides."""
        with self._step(f"disabling {model_type}"):
            service.disable(model_type)
            if service.status().of(model_type).enabled:
                self.findings.append(f"after disable({model_type!r}) status() says it is enabled")
            baseline = _Baseline(_ANSWERS[model_type])
            result = _ask(service, model_type, baseline)
            self._judge(model_type, result, baseline)
            if baseline.asked == 0:
                self.findings.append(f"{model_type} is disabled, and the baseline was not asked")
            elif result.source != "original":
                self.findings.append(f"{model_type} is disabled, and the source is {result.source!r}, not 'original'")
            for name, said in _SAID[model_type].items():
                if (found := getattr(result, name, None)) != said:
                    self.findings.append(f"the baseline of {model_type} said {name} {said!r}, the result {found!r}")
            mine = _Mine("of the baseline")
            baseline = _Baseline(mine)
            try:
                _ask(service, model_type, baseline)
                self.findings.append(f"the baseline of {model_type} failed, and its exception did not pass through")
            except Exception as error:
                if error is not mine:
                    self.findings.append(
                        f"the baseline of {model_type} failed, and {type(error).__name__} was raised in its place"
                    )
            if baseline.asked > 1:
                self.findings.append(f"the baseline of {model_type} failed, and was asked {baseline.asked} times")
            self._raises(
                f"{model_type} is disabled, without a baseline", ReasoningError, lambda: _ask(service, model_type, None)
            )

    def _enabled(self, service: DecisionService, model_type: str) -> None:
        with self._step(f"enabling {model_type}"):
            service.enable(model_type, mode="live")
            if not service.status().of(model_type).enabled:
                self.findings.append(f"after enable({model_type!r}) status() says it is disabled")
            baseline = _Baseline(_ANSWERS[model_type])
            self._judge(model_type, _ask(service, model_type, baseline), baseline)

    def _refusals(self, service: DecisionService) -> None:
        self._raises("a type there is not", UsageError, lambda: service.enable("plannning"))
        self._raises("an empty conversation", UsageError, lambda: service.should_respond([]))

    def _threads(self, service: DecisionService) -> None:
        def ask(_: int) -> None:
            baseline = _Baseline(_ANSWERS["should_respond"])
            for _ in range(_ASKED_BY_EACH):
                self._judge("should_respond", _ask(service, "should_respond", baseline), None)

        with self._step("asking from several threads"), ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(ask, range(_THREADS)))

    def _closed(self, service: DecisionService, before: set[threading.Thread]) -> None:
        with self._step("closing it again"):
            service.close()
        self._raises(
            "it is closed", ReasoningError, lambda: _ask(service, "should_respond", _Baseline(_ANSWERS["planning"]))
        )
        left = [thread.name for thread in threading.enumerate() if thread not in before and thread.is_alive()]
        if left:
            self.findings.append(f"after it was closed these threads go on: {', '.join(left)}")

    def _judge(self, model_type: str, result: Any, baseline: _Baseline | None) -> None:
        """Whether a result holds what it should."""
        kind, values = _KINDS[model_type]
        if missing := [field.name for field in fields(kind) if not hasattr(result, field.name)]:
            self.findings.append(f"the result of {model_type} lacks {', '.join(missing)}")
            return
        for name, (is_right, should) in {**_COMMON, **values}.items():
            if not is_right(found := getattr(result, name)):
                self.findings.append(f"{name} of {model_type} is {found!r}, and should be {should}")
        try:
            result.latency_ms = 0
            self.findings.append(f"the result of {model_type} can be changed: make it a frozen dataclass")
        except (AttributeError, TypeError):
            pass
        if baseline is None:
            return
        if baseline.asked > 1:
            self.findings.append(f"the baseline of {model_type} was asked {baseline.asked} times, not once")
        if (result.source == "slot") is (baseline.asked == 1):
            self.findings.append(
                f"{model_type} has the source {result.source!r}, and the baseline was asked {baseline.asked} times"
            )

    def _raises(self, what: str, kind: type[ReasoningError], work: Callable[[], object]) -> None:
        try:
            work()
        except kind:
            return
        except Exception as error:
            self.findings.append(f"{what}: {type(error).__name__} was raised, and should be {kind.__name__}")
        else:
            self.findings.append(f"{what}: nothing was raised, and should be {kind.__name__}")

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.findings.append(f"{what} raised {type(error).__name__}: {error}")


def _ask(service: DecisionService, model_type: str, baseline: _Baseline | None) -> Any:
    match model_type:
        case "should_respond":
            return service.should_respond(_TALK, agent="Nova", baseline=baseline)
        case "planning":
            return service.plan_response(
                [("Sam", "Nova, what do you think?")],
                agent="Nova",
                actions=_ACTIONS,
                providers=_PROVIDERS,
                baseline=baseline,
            )
        case _:
            return service.generate_code("Write a function that adds two numbers", language="python", baseline=baseline)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _of(offered: Sequence[str], least: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, tuple) and len(value) >= least and set(value) <= set(offered)


_Rule = tuple[Callable[[Any], bool], str]
_COMMON: dict[str, _Rule] = {
    "confidence": (
        lambda value: value is None or (isinstance(value, int | float) and 0 <= value <= 1),
        "0 to 1, or None",
    ),
    "source": (lambda value: value in ("slot", "fallback", "original"), "slot, fallback or original"),
    "model": (_is_text, "a text"),
    "latency_ms": (lambda value: isinstance(value, int) and value >= 0, "whole milliseconds"),
    "sample_id": (lambda value: value is None or (_is_text(value) and value != ""), "a text, or None"),
}
_KINDS: dict[str, tuple[type, dict[str, _Rule]]] = {
    "should_respond": (
        ShouldRespondResult,
        {
            "decision": (lambda value: value in ("RESPOND", "IGNORE", "STOP"), "RESPOND, IGNORE or STOP"),
            "reasoning": (_is_text, "a text"),
        },
    ),
    "planning": (
        PlanningResult,
        {
            "thought": (_is_text, "a text"),
            "actions": (_of(_ACTIONS, 1), f"a tuple of one or more of {', '.join(_ACTIONS)}, which were offered"),
            "providers": (_of(_PROVIDERS, 0), f"a tuple of none or more of {', '.join(_PROVIDERS)}"),
            "text": (_is_text, "a text"),
        },
    ),
    "coding": (CodingResult, {"code": (_is_text, "a text"), "explanation": (_is_text, "a text")}),
}
_METHODS = ("should_respond", "plan_response", "generate_code", "enable", "disable", "status", "close", "__enter__")
