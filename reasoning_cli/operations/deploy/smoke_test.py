"""Ask the model in a slot a real decision, and judge the answer as the agent would."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from reasoning_cli.decisions.answers import Answer, InvalidAnswer, cut_of, decision_of, is_natural_end, read_answer
from reasoning_cli.decisions.compact import compact
from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.engines.serving import ServedAnswer
from reasoning_cli.operations.deploy.own_server import OwnServer, is_another_model
from reasoning_cli.operations.inventory.lookup import find_live
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter, Samples

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Answering

# Room for a model that thinks aloud before it answers.
MAX_TOKENS = 2048


@dataclass(frozen=True)
class Question:
    """What to ask, and where it is from: `the newest sample`, `a built-in example` or `a file`."""

    prompt: str
    source: str
    system: str | None = None


@dataclass(frozen=True)
class Trial:
    """What came back: the raw output, what it is read as, how long it took and how many tokens it was; of the
    operator's own server also the model that it says it is."""

    model_type: str
    model_name: str
    serving_name: str
    question: Question
    output: str
    answer: Answer | InvalidAnswer
    latency: timedelta
    prompt_tokens: int | None
    completion_tokens: int | None
    answered_as: str | None = None

    @property
    def is_another_model(self) -> bool:
        """Whether the server says that another model answered."""
        return is_another_model(self.serving_name, self.answered_as)

    @property
    def is_valid(self) -> bool:
        return not isinstance(self.answer, InvalidAnswer)

    @property
    def decision(self) -> str | None:
        """What was decided, in a word or two; None of an invalid answer."""
        return None if isinstance(self.answer, InvalidAnswer) else decision_of(self.answer)


def choose_question(store: Store, model_type: str, form: str = "exact") -> Question:
    """The newest decision of the log in the slot's form of prompts; a built-in one while there is none."""
    for sample in Samples(store).iterate(SampleFilter(model_types=(model_type,), limit=1)):
        return Question(_in_form(model_type, sample.prompt, form), "the newest sample", sample.system)
    return built_in_question(model_type, form)


def built_in_question(model_type: str, form: str) -> Question:
    """A decision that nobody's log is needed for, in the slot's form of prompts."""
    return Question(_in_form(model_type, EXAMPLES[model_type], form), "a built-in example")


def _in_form(model_type: str, prompt: str, form: str) -> str:
    """The prompt as the slot's model gets it; as it is where it lacks what the form needs."""
    return (compact(model_type, prompt) if form == "compact" else None) or prompt


def try_model(
    connect: Callable[[], Answering], store: Store, server: OwnServer | None, model_type: str, question: Question
) -> Trial:
    """Ask the model that is deployed for a type, or the operator's own `server` that serves it: nobody else then.

    Raises NotFoundError when none is, NotServingError when it does not run, and what is in `engines.errors`.
    """
    if server is not None:
        with closing(server.connect()) as own:
            return _tried(own, server.model, server.model, server.max_tokens, model_type, question)
    record = find_live(store, model_type)
    return _tried(connect(), record.model_name, record.serving_name or "", MAX_TOKENS, model_type, question)


def _tried(
    client: Answering,
    model_name: str,
    serving_name: str,
    max_tokens: int,
    model_type: str,
    question: Question,
) -> Trial:
    messages = [{"role": "user", "content": question.prompt}]
    if question.system:
        messages.insert(0, {"role": "system", "content": question.system})
    started = time.perf_counter()
    answer = client.chat(serving_name, messages, max_tokens=max_tokens)
    latency = timedelta(seconds=time.perf_counter() - started)
    end = answer.finish_reason
    found = read_answer(model_type, question.prompt, answer.text)
    if not (isinstance(found, InvalidAnswer) or is_natural_end(end)):
        found = InvalidAnswer(f"cut ({cut_of(end)})")
    return Trial(
        model_type=model_type,
        model_name=model_name,
        serving_name=serving_name,
        question=question,
        output=answer.text,
        answer=found,
        latency=latency,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        answered_as=answer.model if isinstance(answer, ServedAnswer) else None,
    )
