"""Ask the model in a slot a real decision, and judge the answer as the agent would."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from reasoning_cli.decisions.answers import Answer, InvalidAnswer, cut_of, decision_of, is_natural_end, read_answer
from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.operations.inventory.lookup import find_live
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.training_log import SampleFilter, Samples

if TYPE_CHECKING:
    from reasoning_cli.together.client import TogetherClient

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
    """What came back: the raw output, what it is read as, how long it took and how many tokens it was."""

    model_type: str
    model_name: str
    serving_name: str
    question: Question
    output: str
    answer: Answer | InvalidAnswer
    latency: timedelta
    prompt_tokens: int | None
    completion_tokens: int | None

    @property
    def is_valid(self) -> bool:
        return not isinstance(self.answer, InvalidAnswer)

    @property
    def decision(self) -> str | None:
        """What was decided, in a word or two; None of an invalid answer."""
        return None if isinstance(self.answer, InvalidAnswer) else decision_of(self.answer)


def choose_question(store: Store, model_type: str) -> Question:
    """The newest decision of the log, as it was asked then; a built-in one while there is none."""
    for sample in Samples(store).iterate(SampleFilter(model_types=(model_type,), limit=1)):
        return Question(sample.prompt, "the newest sample", sample.system)
    return Question(EXAMPLES[model_type], "a built-in example")


def try_model(client: TogetherClient, store: Store, model_type: str, question: Question) -> Trial:
    """Ask the model that is deployed for a type.

    Raises NotFoundError when none is, NotServingError when it does not run.
    """
    record = find_live(store, model_type)
    messages = [{"role": "user", "content": question.prompt}]
    if question.system:
        messages.insert(0, {"role": "system", "content": question.system})
    started = time.perf_counter()
    answer = client.chat(record.serving_name or "", messages, max_tokens=MAX_TOKENS)
    latency = timedelta(seconds=time.perf_counter() - started)
    end = answer.choices[0].finish_reason if answer.choices else None
    found = read_answer(model_type, question.prompt, answer.text)
    if not (isinstance(found, InvalidAnswer) or is_natural_end(end)):
        found = InvalidAnswer(f"cut ({cut_of(end)})")
    return Trial(
        model_type=model_type,
        model_name=record.model_name,
        serving_name=record.serving_name or "",
        question=question,
        output=answer.text,
        answer=found,
        latency=latency,
        prompt_tokens=answer.usage.prompt_tokens if answer.usage else None,
        completion_tokens=answer.usage.completion_tokens if answer.usage else None,
    )
