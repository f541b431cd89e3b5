"""Carry an evaluation out: ask, score what comes, and keep it as it comes.

A bounded number of calls is under way at once, in threads; what they bring is scored and written down here, some dozens
at a time, so a process that is killed has lost no more than those, and the same command goes on.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from reasoning_cli.decisions.answers import ShouldRespondAnswer, cut_of, is_natural_end, render_answer
from reasoning_cli.decisions.compact import compact
from reasoning_cli.decisions.prompts import agent_name
from reasoning_cli.decisions.scoring import Score, Truth, score, truth_of
from reasoning_cli.engines.errors import BusyError, CutError, NotServingError, RequestRefusedError, UnreachableError
from reasoning_cli.engines.serving import ServedAnswer
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.costs.token_prices import TokenPrice
from reasoning_cli.operations.deploy.own_server import is_another_model
from reasoning_cli.operations.evaluate.candidates import ORIGINAL, Candidate
from reasoning_cli.operations.evaluate.code_checks import CodeChecks
from reasoning_cli.operations.evaluate.dataset_file import batched, lines_of
from reasoning_cli.operations.evaluate.heads import verdict_on
from reasoning_cli.operations.evaluate.plan import EvaluationPlan
from reasoning_cli.operations.evaluate.report import build_report, report_record
from reasoning_cli.store.database import Store
from reasoning_cli.store.evaluate.evaluations import AnswerRecord, EvaluationRecord, Evaluations
from reasoning_cli.store.evaluate.reader import AskedRow, EvaluationRows
from reasoning_cli.store.serving.attempts import UNSURE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reasoning_cli.engines.clients import Answering

# What a busy or flapping service is given before the evaluation stands still: about three minutes, and longer where
# it says itself how long it is to be left alone, a minute at most at a time.
_ATTEMPTS = 11
_LONGEST_WAIT_SECONDS = 30.0

_LEAVING_SECONDS = 1.0  # what calls under way are given when it ends before its time

_READ_AT_ONCE = 50  # samples whose texts are in memory
_STORED_AT_ONCE = 50
_STORED_AFTER_SECONDS = 2.0


@dataclass(frozen=True)
class EvaluationContext:
    """How it is carried out: what time it is, how to wait, how many calls at once, who is told how far it is.

    `run_tests` runs the tests that samples bring against the code of answers, which is not done unless it is asked for.
    """

    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    concurrency: int = 8
    run_tests: bool = False
    again: bool = False
    on_progress: Callable[[int, int], None] = lambda done, total: None


@dataclass(frozen=True)
class _Item:
    """One decision: its number, what was asked in it, and what is right."""

    number: int
    sample_seq: int | None
    prompt: str
    system: str | None
    truth: Truth
    tests: str | None = None
    original: AskedRow | None = None
    row: AskedRow | None = None


@dataclass(frozen=True)
class _Question:
    place: int
    candidate: Candidate
    item: _Item
    prompt: str


@dataclass(frozen=True)
class _Reply:
    """What came back: the answer, or why there is none."""

    output: str = ""
    failure: str | None = None
    latency_ms: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def run_evaluation(
    connect: Callable[[], Answering],
    store: Store,
    plan: EvaluationPlan,
    prices: Mapping[str, TokenPrice],
    context: EvaluationContext,
) -> EvaluationRecord:
    """Ask what the plan says and keep the report. Whatever ends it before leaves the answers so far, to go on with.

    `connect` leads to Together, and is used only where the plan has a model that is there.
    """
    evaluations = Evaluations(store)
    record = plan.going or evaluations.begin(
        plan.model_type,
        arguments=plan.arguments,
        fingerprint=plan.fingerprint,
        plan=_serialised(plan),
        items=plan.items,
        models=[
            (ORIGINAL, "[]"),
            *((candidate.name, candidate.identity(plan.request.max_tokens)) for candidate in plan.candidates),
        ],
        at=context.now(),
    )
    with CodeChecks() as checks, ExitStack() as opened:
        run = _Run(_clients(plan, connect, opened), store, plan, record, prices, context, checks)
        try:
            run.ask()
        finally:
            run.keep()
    report = build_report(store, record, plan, context.now(), context.concurrency)
    evaluations.finish(record.number, report_record(report), at=context.now())
    finished = evaluations.get(record.number)
    assert finished is not None
    return finished


def _clients(plan: EvaluationPlan, connect: Callable[[], Answering], opened: ExitStack) -> list[Answering | None]:
    """By candidate, whom to ask, None for a head; what is opened for that is closed by `opened`."""
    clients: list[Answering | None] = []
    for candidate in plan.candidates:
        if candidate.head is not None:
            clients.append(None)
        elif candidate.server is None:
            clients.append(connect())
        else:
            server = candidate.server.connect()
            opened.callback(server.close)
            clients.append(server)
    return clients


class _Run:
    def __init__(
        self,
        clients: Sequence[Answering | None],
        store: Store,
        plan: EvaluationPlan,
        record: EvaluationRecord,
        prices: Mapping[str, TokenPrice],
        context: EvaluationContext,
        checks: CodeChecks,
    ) -> None:
        self._clients, self._store, self._plan, self._number = clients, store, plan, record.number
        self._prices, self._context, self._checks = prices, context, checks
        self._evaluations = Evaluations(store)
        self._answered = [self._evaluations.answered(record.number, place) for place in range(len(plan.candidates) + 1)]
        self._unstored: list[AnswerRecord] = []
        self._stored_at = time.monotonic()
        self._over = threading.Event()
        # A server that cut an answer off takes one question at a time: from then on each waits for the one before.
        self._alone, self._is_alone = threading.Lock(), False
        self._done = 0
        self._total = plan.count * len(plan.candidates)

    def ask(self) -> None:
        """Ask all that is not answered. What came while it broke off is taken as well: it was paid for."""
        came: Came = queue.SimpleQueue()
        try:
            with closing(ask_all(self._questions(), self._ask, self._concurrency(), came, self._over)) as replies:
                for question, reply in replies:
                    self._take(question, reply)
        except BaseException:
            while not came.empty():
                question, late = came.get()
                if isinstance(late, _Reply):
                    self._take(question, late)
            raise

    def _concurrency(self) -> int:
        """How many calls at once: no more than a server of the operator's own takes."""
        servers = [candidate.server for candidate in self._plan.candidates if candidate.server is not None]
        return min([self._context.concurrency, *(server.parallel for server in servers if server.parallel)])

    def keep(self) -> None:
        """Write down what has come."""
        if self._unstored:
            self._evaluations.keep(self._number, self._unstored)
            self._unstored.clear()
        self._stored_at = time.monotonic()

    def _questions(self) -> Iterator[_Question]:
        """What is still to be asked, decision by decision; what is known already is taken on the way."""
        for batch in self._batches():
            earlier = self._earlier(batch)
            for item in batch:
                if item.original is not None and item.number not in self._answered[0]:
                    self._note(self._of_original(item, item.original))
                for place, candidate in enumerate(self._plan.candidates, start=1):
                    if item.number in self._answered[place]:
                        self._count()
                        continue
                    prompt = _in_form(self._plan.model_type, item.prompt, candidate.form)
                    question = _Question(place, candidate, item, prompt or "")
                    if (known := earlier[place - 1].get(item.number)) is not None:
                        self._take(question, _as_reply(known))
                    elif prompt is None:
                        self._take(question, _Reply(failure="no compact form"))
                    else:
                        yield question

    def _batches(self) -> Iterator[list[_Item]]:
        request = self._plan.request
        if request.dataset is not None:
            batch = []
            for line in lines_of(request.dataset, self._plan.items, self._plan.model_type):
                batch.append(_Item(line.number, None, line.prompt, line.system, line.truth, line.tests))
                if len(batch) == _READ_AT_ONCE:
                    yield batch
                    batch = []
            yield batch
            return
        rows = EvaluationRows(self._store, self._plan.model_type)
        for numbers in batched(self._plan.items, _READ_AT_ONCE):
            yield [self._item(row) for row in rows.texts(numbers)]

    def _item(self, row: AskedRow) -> _Item:
        truth = truth_of(self._plan.model_type, row.prompt, row.output, label=row.label, corrected=row.corrected)
        if row.source == "slot" and truth.basis == "original":  # its label went since it was chosen
            truth = Truth("none")
        original = None if row.source == "slot" else row
        return _Item(row.seq, row.seq, row.prompt, row.system, truth, row.tests, original, row)

    def _earlier(self, batch: list[_Item]) -> list[dict[int, AnswerRecord]]:
        """By candidate: what it answered in other evaluations to the same decisions."""
        if self._context.again or self._plan.request.dataset is not None:
            return [{} for _ in self._plan.candidates]
        numbers = [item.number for item in batch]
        tokens = self._plan.request.max_tokens
        return [self._evaluations.earlier(candidate.identity(tokens), numbers) for candidate in self._plan.candidates]

    def _of_original(self, item: _Item, row: AskedRow) -> AnswerRecord:
        """The stored answer: right or wrong beside a person's word, else what the others are held to."""
        found = score(self._plan.model_type, item.prompt, row.output, item.truth, self._checks.parse)
        of_itself = ("words_count", "parses")
        if item.truth.basis in ("original", "none"):
            own = {name: value for name, value in found.parts.items() if name in of_itself}
            found = replace(found, parts=own, differs=None)
        elif item.truth.basis == "bad":  # that it repeats itself says nothing
            found = replace(found, parts={name: value for name, value in found.parts.items() if name != "repeats"})
        cost, price = row.cost_micros, self._prices.get(row.model)
        if cost is None and price is not None and row.prompt_tokens is not None and row.completion_tokens is not None:
            cost = _micros(price, row.prompt_tokens, row.completion_tokens)
        reply = _Reply("", None, row.latency_ms, row.prompt_tokens, row.completion_tokens)
        return _answer(0, item, reply, found, cost)

    def _take(self, question: _Question, reply: _Reply) -> None:
        """Score what came, and write it down with others."""
        item, model_type = question.item, self._plan.model_type
        found = score(model_type, item.prompt, reply.output, item.truth, self._checks.parse)
        if reply.failure is not None:
            found = replace(score(model_type, item.prompt, "", item.truth), reason=reply.failure)
        elif item.tests is not None and self._context.run_tests:
            passed = self._checks.passes(reply.output, item.tests)
            found = replace(found, parts={**found.parts, "tests_pass": float(passed)})
        price = question.candidate.price
        cost = None
        if price is not None and reply.prompt_tokens is not None and reply.completion_tokens is not None:
            cost = _micros(price, reply.prompt_tokens, reply.completion_tokens)
        self._note(_answer(question.place, item, reply, found, cost))
        self._count()

    def _note(self, answer: AnswerRecord) -> None:
        self._unstored.append(answer)
        if len(self._unstored) >= _STORED_AT_ONCE or time.monotonic() - self._stored_at > _STORED_AFTER_SECONDS:
            self.keep()

    def _count(self) -> None:
        self._done += 1
        self._context.on_progress(self._done, self._total)

    def _ask(self, question: _Question) -> _Reply:
        """One answer, in a thread of its own: what is busy or flaps is waited for, what is refused is the answer."""
        client = self._clients[question.place - 1]
        if client is None:
            return _of_head(question)
        messages = [{"role": "user", "content": question.prompt}]
        if question.item.system:
            messages.insert(0, {"role": "system", "content": question.item.system})
        for attempt in range(_ATTEMPTS):
            started = time.perf_counter()
            try:
                with self._alone if self._is_alone else contextlib.nullcontext():
                    answer = client.chat(
                        question.candidate.serving_name, messages, max_tokens=self._plan.request.max_tokens
                    )
            except (BusyError, NotServingError, UnreachableError) as problem:
                if attempt == _ATTEMPTS - 1 or self._over.is_set():
                    raise
                self._is_alone |= isinstance(problem, CutError)
                asked = problem.wait_seconds if isinstance(problem, BusyError) else None
                usual = min(_LONGEST_WAIT_SECONDS, 0.5 * 2**attempt) * random.uniform(0.75, 1)
                self._context.sleep(usual if asked is None else asked)
                continue
            except RequestRefusedError as problem:
                if problem.code == "model_not_available":
                    raise
                return _Reply(failure=f"refused: {problem.code or 'no reason given'}")
            said = answer.model if isinstance(answer, ServedAnswer) else None
            if is_another_model(question.candidate.serving_name, said):
                raise ReasoningError(
                    f"asked for `{question.candidate.serving_name}`, the server answers as `{said}`: what is measured"
                    " would be another model's",
                    f"`reasoning config set {self._plan.model_type}.model {said}`, or load the model that is meant",
                )
            end = answer.finish_reason
            at_limit = "cut at the token limit" if end == "length" else f"cut ({cut_of(end)})"
            return _Reply(
                answer.text,
                None if is_natural_end(end) else at_limit,
                round((time.perf_counter() - started) * 1000),
                answer.prompt_tokens,
                answer.completion_tokens,
            )
        raise AssertionError("the last attempt returns or raises")


def _of_head(question: _Question) -> _Reply:
    """What a head answers, asked here and now."""
    head, row = question.candidate.head, question.item.row
    assert head is not None
    started = time.perf_counter()
    verdict = None if row is None else verdict_on(head, row)
    if verdict is None or verdict.label is None:
        return _Reply(failure=UNSURE)
    answer = ShouldRespondAnswer(agent_name(question.prompt) or "", verdict.reason, verdict.label)
    return _Reply(render_answer(answer), None, round((time.perf_counter() - started) * 1000), 0, 0)


Came = queue.SimpleQueue[tuple[_Question, _Reply | BaseException]]


def ask_all(
    questions: Iterator[_Question],
    ask: Callable[[_Question], _Reply],
    concurrency: int,
    came: Came,
    over: threading.Event,
) -> Generator[tuple[_Question, _Reply]]:
    """Ask in so many threads; replies as they come, by way of `came`. What a thread raises is raised here, and nothing
    more is asked.

    Questions are taken as they are needed, so no more of them are in memory than twice the threads. At the end `over`
    is set, and the threads have a moment to finish; one that waits for the other side keeps nobody from leaving.
    """
    todo: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()

    def work() -> None:
        while (question := todo.get()) is not None and not over.is_set():
            try:
                came.put((question, ask(question)))
            except BaseException as problem:  # raised where somebody can tell of it
                came.put((question, problem))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    outstanding = 0
    try:
        for question in questions:
            todo.put(question)
            outstanding += 1
            while outstanding >= 2 * concurrency:
                outstanding -= 1
                yield _got(came)
        while outstanding:
            outstanding -= 1
            yield _got(came)
    finally:
        over.set()
        for _ in threads:
            todo.put(None)
        until = time.monotonic() + _LEAVING_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def _got(came: Came) -> tuple[_Question, _Reply]:
    question, reply = came.get()
    if isinstance(reply, BaseException):
        raise reply
    return question, reply


def _in_form(model_type: str, prompt: str, form: str) -> str | None:
    return compact(model_type, prompt) if form == "compact" else prompt


def _as_reply(known: AnswerRecord) -> _Reply:
    failure = known.failure if (known.failure or "").startswith("cut ") else None
    return _Reply(known.output, failure, known.latency_ms, known.prompt_tokens, known.completion_tokens)


def _answer(place: int, item: _Item, reply: _Reply, found: Score, cost_micros: int | None) -> AnswerRecord:
    scores: dict[str, object] = {"truth": item.truth.decided, "decided": found.decided, "basis": item.truth.basis}
    if found.checked:
        scores["checked"] = found.checked
    return AnswerRecord(
        place=place,
        item=item.number,
        sample_seq=item.sample_seq,
        differs=found.differs,
        latency_ms=reply.latency_ms,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        cost_micros=cost_micros,
        failure=None if found.valid else found.reason,
        output=reply.output if item.sample_seq is not None else "",  # nobody could find it to delete it
        scores={**scores, **found.parts},
    )


def _micros(price: TokenPrice, prompt_tokens: int, completion_tokens: int) -> int:
    """Millionths of a dollar: what so many tokens cost."""
    return round(price.cents(prompt_tokens, completion_tokens) * 10_000)


def _serialised(plan: EvaluationPlan) -> dict[str, object]:
    """What is kept of a plan beside its items: what is shown of it, and what another process goes on with."""
    return {
        "models": [candidate.name for candidate in plan.candidates],
        "count": plan.count,
        "labelled": plan.labelled,
        "leaked": plan.leaked,
        "left_out": dict(plan.left_out),
        "warnings": list(plan.warnings),
    }
