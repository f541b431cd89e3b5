"""Decisions in process: the same path as the gateway's, by another door."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli import (
    AsyncReasoningService,
    ConfigurationError,
    Message,
    NoAnswerError,
    NotFoundError,
    ReasoningService,
    Scope,
    ServiceClosedError,
    UnusableAnswerError,
    UsageError,
)
from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.library.results import TYPES
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import environment
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from tests.gateway import canned
from tests.gateway.provider import Provider
from tests.heads import ruled_head, store_head
from tests.library import own

TALK = [Message("Sam", "Nova, are you there?", "entity-1")]


class Baseline:
    """Counts how often it is asked, and what."""

    def __init__(self, text: str) -> None:
        self.text, self.asked = text, []

    def __call__(self, messages: Any) -> str:
        self.asked.append(messages)
        return self.text


def stored(service: ReasoningService) -> list[Sample]:
    with open_store(service.status().database) as store:
        return list(Samples(store).iterate())


def attempts(service: ReasoningService, sample: Sample) -> list[AttemptRecord]:
    with open_store(service.status().database) as store:
        return Attempts(store).of_sample(sample.id)


@pytest.fixture
def service(model: Provider) -> Iterator[ReasoningService]:
    with ReasoningService.open() as opened:
        yield opened


def test_the_models_answer_in_the_shapes_that_are_asked_for(service: ReasoningService, model: Provider) -> None:
    never = Baseline("")
    should = service.should_respond(TALK, agent="Nova", baseline=never, scope=Scope(room_id="room-1", run_id="run-1"))
    assert (should.decision, should.reasoning, should.source, should.model) == (
        "RESPOND", "The model decided.", "slot", "acme/model"
    )  # fmt: skip
    plan = service.plan_response([("Sam", "Hello <3")], agent="Nova", baseline=never)
    assert (plan.thought, plan.actions, plan.text) == ("The model thought.", ("REPLY",), "Hello from the model ✨ <3")
    code = service.generate_code("Write a function that prints", language="python", context="x = 1", baseline=never)
    assert (code.code, code.language, code.explanation) == ("print('the model')", "python", "")
    assert never.asked == []
    samples = stored(service)
    assert [sample.id for sample in samples] == [should.sample_id, plan.sample_id, code.sample_id]
    assert [(sample.model_type, sample.source, sample.origin) for sample in samples] == [
        (model_type, "slot", "library") for model_type in TYPES
    ]
    first = samples[0]
    assert (first.agent_name, first.room_id, first.entity_id, first.run_id) == ("Nova", "room-1", "entity-1", "run-1")
    assert samples[2].prompt.endswith("```python\nx = 1\n```")


def test_what_the_model_does_not_answer_goes_to_the_baseline_once(service: ReasoningService, model: Provider) -> None:
    model.handler = own.nonsense
    baseline = Baseline(canned.ORIGINAL_SAYS["planning"])
    result = service.decide([{"role": "user", "content": EXAMPLES["planning"]}], baseline=baseline)
    assert (result.model_type, result.source, result.reason) == ("planning", "fallback", "invalid: no XML answer")
    assert (result.text, result.decision) == (canned.ORIGINAL_SAYS["planning"], "REPLY")
    assert baseline.asked == [[{"role": "user", "content": EXAMPLES["planning"]}]]
    [sample] = stored(service)
    assert (sample.source, sample.id, sample.output) == ("fallback", result.sample_id, baseline.text)
    [attempt] = attempts(service, sample)
    assert (attempt.failure, attempt.output) == ("invalid: no XML answer", "I think the agent should say hello.")


def test_a_shadow_is_asked_and_never_answers(service: ReasoningService) -> None:
    own.set_all(mode="shadow")
    service.status()  # looks at the settings
    result = service.should_respond(TALK, agent="Nova", baseline=lambda messages: "stop")
    assert (result.decision, result.source) == ("STOP", "original")
    [sample] = stored(service)
    [attempt] = attempts(service, sample)
    assert (sample.decision, attempt.decision, attempt.mode, attempt.agrees) == ("STOP", "RESPOND", "shadow", False)


def test_a_canary_draws_people_by_what_the_caller_knows(service: ReasoningService) -> None:
    own.set_all(mode="canary", share_percent="50")
    service.status()
    prompt = [{"role": "user", "content": EXAMPLES["planning"]}]  # says nobody's id

    def source(person: int) -> str:
        scope = Scope(entity_id=f"person-{person}")
        return service.decide(prompt, baseline=Baseline("x"), scope=scope).source

    drawn = [source(person) for person in range(24)]
    assert {"slot", "original"} == set(drawn)
    assert drawn == [source(person) for person in range(24)], "the same people again"


def test_errors_of_the_baseline_pass_through_and_nothing_is_recorded(service: ReasoningService) -> None:
    own.set_all(enabled="false")
    service.status()

    def fails(messages: Any) -> str:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        service.should_respond(TALK, baseline=fails)
    with pytest.raises(NoAnswerError, match="no model answered should-respond: the slot is disabled") as raised:
        service.should_respond(TALK)
    assert raised.value.reason == "the slot is disabled"
    assert stored(service) == []


def test_what_a_baseline_may_give(service: ReasoningService) -> None:
    own.set_all(enabled="false")
    service.status()

    class Client:
        """As those of `openai` are."""

        class chat:
            class completions:
                @staticmethod
                def create(*, model: str, messages: list[Any]) -> Any:
                    return canned.chat_answer(canned.ORIGINAL_SAYS["planning"], model)

    with ReasoningService.open(baseline=Client, baseline_model="gpt-5") as other:
        plan = other.plan_response("Hello")
        assert (plan.text, plan.model, plan.source) == ("Hello from the original ✨ <3", "gpt-5", "original")
        assert [(sample.model, sample.prompt_tokens) for sample in stored(other)] == [("gpt-5", 100)]
    anthropic = canned.messages_answer(canned.ORIGINAL_SAYS["planning"])
    assert service.plan_response("Hello", baseline=lambda messages: anthropic).model == "claude-original"
    with pytest.raises(UnusableAnswerError, match="of no use: no XML answer") as raised:
        service.plan_response("Hello", baseline=lambda messages: "well")
    assert raised.value.text == "well"
    for wrong, said in (
        (3, "a int is not a baseline"),
        (lambda messages: 3, "the baseline gave int"),
        (Client, "told which model"),
    ):
        with pytest.raises(UsageError, match=said):
            service.plan_response("Hello", baseline=wrong)

    async def for_asyncio(messages: Any) -> str:
        return ""

    with pytest.raises(UsageError, match="the baseline is for asyncio"):
        service.plan_response("Hello", baseline=for_asyncio)


@pytest.mark.parametrize("wrong", [[], [3], [{"name": "Sam"}]])
def test_a_conversation_that_cannot_be_read_is_said_so(service: ReasoningService, wrong: Any) -> None:
    with pytest.raises(UsageError):
        service.should_respond(wrong)
    with pytest.raises(UsageError, match="nothing to decide on"):
        service.decide([{"role": "system", "content": "x"}])
    with pytest.raises(UsageError, match="not a model type"):
        service.decide([{"role": "user", "content": "x"}], model_type="plannning")


def test_what_asks_for_no_decision_goes_to_the_baseline_unrecorded(service: ReasoningService) -> None:
    result = service.decide([{"role": "user", "content": "Good morning."}], baseline=lambda messages: "Morning!")
    assert (result.model_type, result.text, result.sample_id) == (None, "Morning!", None)
    assert stored(service) == []
    named = service.decide([{"role": "user", "content": "Sort them."}], model_type="coding", baseline=Baseline("no"))
    assert named.model_type == "coding"


def test_it_is_operated_in_process(service: ReasoningService, tmp_path: Path) -> None:
    result = service.should_respond(TALK, agent="Nova")
    assert result.sample_id is not None
    service.label(result.sample_id, decision="IGNORE", note="not for Nova", by="sam")
    service.outcome(result.sample_id, "stopped")
    [sample] = stored(service)
    assert (sample.label, sample.feedback) == ("corrected", "stopped")
    with pytest.raises(NotFoundError):
        service.label("nothing", "good")
    with pytest.raises(UsageError, match="a word or a few"):
        service.outcome(result.sample_id, " ")

    now = service.status().of("should_respond")
    assert (now.enabled, now.mode, now.off, now.samples, now.by_model, now.cents) == (True, "live", None, 1, 1, None)
    assert service.disable("should-respond").off == "the slot is disabled"
    assert service.should_respond(TALK, baseline=lambda messages: "IGNORE").source == "original"
    assert service.enable("should_respond", share_percent=100).mode == "canary"
    with pytest.raises(UsageError, match="a shadow model has no share"):
        service.enable("planning", mode="shadow", share_percent=10)
    assert service.should_respond(TALK).source == "slot"

    done = service.samples.export(tmp_path / "out.jsonl", model_types=["should-respond"], label="corrected")
    assert (done.written, done.by_type) == (1, {"should_respond": 1})
    assert "<action>IGNORE</action>" in (tmp_path / "out.jsonl").read_text()


def test_a_variable_that_hides_a_setting_is_named(service: ReasoningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONING_PLANNING_ENABLED", "true")
    with pytest.raises(ConfigurationError, match="REASONING_PLANNING_ENABLED says otherwise"):
        service.disable("planning")


def test_many_threads_ask_at_once(service: ReasoningService, model: Provider) -> None:
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(lambda number: service.should_respond(TALK, agent="Nova"), range(200)))
    assert {result.source for result in results} == {"slot"}
    assert len({result.sample_id for result in results}) == 200
    assert {sample.id for sample in stored(service)} == {result.sample_id for result in results}


def test_nothing_is_left_after_it_is_closed(model: Provider) -> None:
    before = set(threading.enumerate())
    service = ReasoningService.open()
    sample_id = service.should_respond(TALK, agent="Nova").sample_id
    database = service.status().database
    assert set(threading.enumerate()) > before
    service.close()
    service.close()
    assert set(threading.enumerate()) == before
    with open_store(database) as store:
        assert [sample.id for sample in Samples(store).iterate()] == [sample_id]
    with pytest.raises(ServiceClosedError, match="the service is closed"):
        service.should_respond(TALK)


_NOT_CLOSED = """
from reasoning_cli import AsyncReasoningService, ReasoningService
service = ReasoningService.open()
service.should_respond("Nova?")
"""
_NOT_CLOSED_ASYNC = """
import asyncio
from reasoning_cli import AsyncReasoningService
async def main():
    service = await AsyncReasoningService.open()
    await service.should_respond("Nova?")
asyncio.run(main())
"""


@pytest.mark.filterwarnings("ignore:unclosed")
@pytest.mark.parametrize("script", [_NOT_CLOSED, _NOT_CLOSED_ASYNC], ids=["threads", "asyncio"])
def test_a_process_that_ends_without_closing_it_loses_nothing(model: Provider, script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    with open_store(find_paths(environment()).database) as store:
        assert [sample.source for sample in Samples(store).iterate()] == ["slot"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_is_refused(service: ReasoningService) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            service.should_respond(TALK)
        except ServiceClosedError as error:
            os.write(writing, str(error).encode())
        finally:
            service.close()
            os._exit(0)
    os.waitpid(child, 0)
    assert "forked" in os.read(reading, 1000).decode()
    os.close(reading), os.close(writing)
    assert service.should_respond(TALK).source == "slot"


def test_asyncio_asks_in_its_own_loop(model: Provider, tmp_path: Path) -> None:
    before = set(threading.enumerate())

    async def main() -> None:
        async with await AsyncReasoningService.open() as service:
            results = await asyncio.gather(*(service.should_respond(TALK, agent="Nova") for _ in range(100)))
            assert {result.source for result in results} == {"slot"}
            own.set_all(enabled="false")
            assert (await service.status()).of("planning").off == "the slot is disabled"

            async def baseline(messages: Any) -> str:
                await asyncio.sleep(0)
                return canned.ORIGINAL_SAYS["planning"]

            plan = await service.plan_response("Hello", baseline=baseline)
            assert (plan.source, plan.text) == ("original", "Hello from the original ✨ <3")
            await service.label(plan.sample_id or "", "good")
            assert (await service.samples.export(tmp_path / "out.jsonl", label="good")).written == 1
            with ThreadPoolExecutor(1) as thread:
                other = thread.submit(lambda: asyncio.run(service.should_respond(TALK)))
                with pytest.raises(ServiceClosedError, match="another event loop"):
                    await asyncio.wrap_future(other)
        with pytest.raises(ServiceClosedError):
            await service.status()

    asyncio.run(main())
    assert set(threading.enumerate()) == before


def test_a_task_that_is_cancelled_leaves_the_service_whole(model: Provider) -> None:
    model.handler = own.mute

    async def main() -> None:
        async with await AsyncReasoningService.open() as service:
            asking = asyncio.ensure_future(service.should_respond(TALK))
            while not model.received:
                await asyncio.sleep(0.01)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            model.handler = own.model
            assert (await service.should_respond(TALK)).source == "slot"

    asyncio.run(main())


def test_what_is_late_and_what_fails_too_often_goes_to_the_baseline(service: ReasoningService, model: Provider) -> None:
    own.set_all(deadline_ms="100")
    service.status()
    model.handler = own.mute
    late = service.should_respond(TALK, baseline=lambda messages: "IGNORE")
    assert (late.source, late.decision) == ("fallback", "IGNORE")
    model.handler = own.broken
    for _ in range(5):
        service.should_respond(TALK, baseline=lambda messages: "IGNORE")
    assert service.status().of("should_respond").circuit == "open"
    asked = len(model.received)
    assert service.should_respond(TALK, baseline=lambda messages: "IGNORE").source == "original"
    assert len(model.received) == asked, "an open circuit asks nobody"


def test_a_head_answers_what_names_alone_say_and_counts_as_a_model(home: Path) -> None:
    store_head(home, ruled_head("Nova"))
    own.write(
        {
            "should_respond.line": "head, together",
            "should_respond.head": "should-respond",
            "should_respond.head_mode": "live",
            "should_respond.audit_percent": "1",
        }
    )
    talk = [Message("Sam", "Here we are."), Message("Ben", "Sam, are you coming?")]
    with ReasoningService.open() as service:
        answers = [service.should_respond(talk, agent="Nova", baseline=Baseline("IGNORE")) for _ in range(5)]
        here = [answer for answer in answers if answer.model == "head/should-respond"]
        assert here  # one of a hundred is audited
        assert {(answer.decision, answer.source) for answer in here} == {("IGNORE", "head")}
        counted = service.status().types[0]
        assert (counted.by_model, counted.by_original) == (len(here), 5 - len(here))
        assert (counted.model, counted.mode, counted.off) == ("head/should-respond", "live", None)
