"""Ask a slot's model, once, within its deadline, and check that the agent can act on what it says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson

from reasoning_cli import __version__
from reasoning_cli.decisions.answers import (
    CodingAnswer,
    InvalidAnswer,
    cut_of,
    decision_of,
    is_natural_end,
    read_answer,
    render_answer,
    strip_thinking,
)
from reasoning_cli.decisions.recognise import Recognition
from reasoning_cli.decisions.turns import without_additions
from reasoning_cli.engines.clients import Answering
from reasoning_cli.engines.serving import ChatAnswer, ServedAnswer
from reasoning_cli.errors import ReasoningError, RemoteError
from reasoning_cli.gateway.dialects import chat as chat_dialect
from reasoning_cli.gateway.dialects.events import DONE, read_events
from reasoning_cli.gateway.dialects.forms import (
    Asked,
    CapturedResponse,
    Json,
    Reply,
    Unreadable,
    as_offered,
    json_of,
    objects,
)
from reasoning_cli.gateway.dialects.tool_calls import calls_decided, flaw_of_calls, named_anew
from reasoning_cli.gateway.http.unpacking import unpack
from reasoning_cli.gateway.http.upstream import CutOff, Unreachable, UpstreamError, Upstreams
from reasoning_cli.gateway.routing import Route
from reasoning_cli.operations.deploy.own_server import OwnServer, is_another_model
from reasoning_cli.operations.deploy.slots import SlotNow
from reasoning_cli.store.serving.attempts import NO_PROBABILITIES, UNSURE
from reasoning_cli.values import PromptForm

_log = logging.getLogger(__name__)
OTHER_MODEL = "answered as another model"
# Together's word for a deployment that is stopped; its ledger here may not know yet.
NOT_RUNNING = "refused: dedicated_endpoint_not_running"
_LONGEST_ANSWER_BYTES = 2 * 1024 * 1024
_LONGEST_STREAM_BYTES = 16 * 1024 * 1024  # each token in an event of its own
_MOST_QUESTIONS = 256
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"identity"),
    (b"user-agent", f"reasoning/{__version__}".encode()),
]
_HEADERS_OF_STREAM = [(name, b"text/event-stream" if name == b"accept" else value) for name, value in _HEADERS]
FULL = "its server has as many questions as it takes"
_MOST_AT_ENGINE = 8  # each has a thread of its own


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of asking. `reply` is set when the answer is good; else `failure` says why not, in words fit for
    counting. `output` is the raw answer, also of a bad one; `decision` what was read out of it. Of a head `why` is what
    it decided by, and `named` whether the message names somebody."""

    slot: SlotNow
    latency_ms: int
    reply: Reply | None = None
    failure: str | None = None
    output: str = ""
    decision: str | None = None
    confidence: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    why: str | None = None
    named: bool | None = None


class Models(Upstreams):
    """The connections to where models are served. So many questions are out at once; who comes later waits.

    A server of the operator's own may take fewer: then nobody waits, as it would answer too late. How many is set, or
    learned: one that cut an answer off while it had another question takes one at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.room = asyncio.Semaphore(_MOST_QUESTIONS)
        self._under_way: Counter[str] = Counter()
        self._takes_one: set[str] = set()
        self._connections: dict[OwnServer, Answering] = {}
        self._at_engine: Counter[str] = Counter()
        self._counting = threading.Lock()

    def is_full(self, slot: SlotNow) -> bool:
        """Whether a slot's server has as many questions as it takes."""
        if slot.connection is not None:
            return self._at_engine[slot.connection.engine] >= (slot.parallel or _MOST_AT_ENGINE)
        if not slot.own_server or slot.url is None:
            return False
        most = slot.parallel or (1 if slot.url in self._takes_one else _MOST_QUESTIONS)
        return self._under_way[slot.url] >= most

    @contextmanager
    def question(self, slot: SlotNow) -> Iterator[None]:
        """For while a slot's server has a question."""
        url = slot.url or ""
        self._under_way[url] += 1
        try:
            yield
        finally:
            self._under_way[url] -= 1

    async def ask_connection(
        self, server: OwnServer, model: str, messages: Sequence[Mapping[str, str]], most: int
    ) -> ChatAnswer:
        """What an engine answers that only a connection asks. Nothing ends its question when nobody waits for it any
        more: until its thread is through, it counts as one under way. Raises whatever the engine does."""
        future: Future[ChatAnswer] = Future()
        with self._counting:
            self._at_engine[server.engine] += 1

        def work() -> None:
            try:
                connection = self._connections.get(server) or self._connections.setdefault(server, server.connect())
                said = connection.chat(model, messages, max_tokens=most)
            except BaseException as error:
                _settle(future, error)
            else:
                _settle(future, said)
            finally:
                with self._counting:
                    self._at_engine[server.engine] -= 1

        threading.Thread(target=work, name=f"engine {server.engine}", daemon=True).start()
        return await asyncio.wrap_future(future)

    def was_cut(self, slot: SlotNow) -> None:
        """An answer of a slot's server ended in the midst."""
        if slot.own_server and slot.url is not None and self._under_way[slot.url] > 1:
            self._takes_one.add(slot.url)


def _settle(future: Future[ChatAnswer], said: ChatAnswer | BaseException) -> None:
    """Hand over what came of a question, if anybody waits for it still."""
    with contextlib.suppress(InvalidStateError):
        if isinstance(said, BaseException):
            future.set_exception(said)
        else:
            future.set_result(said)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server answered: an answer of a model, or with another status than 200 its problem."""

    status: int
    captured: CapturedResponse | None = None
    confidence: float | None = None
    problem: Json = field(default_factory=dict)


async def ask(models: Models, slot: SlotNow, asked: Asked, chat: Json, where: Route) -> Attempt:
    """Ask the slot's model for a decision. Never raises but when it is cancelled."""
    found = where.recognition
    started = time.perf_counter()

    def since() -> int:
        return round((time.perf_counter() - started) * 1000)

    try:
        async with asyncio.timeout(slot.deadline_seconds):
            body = _request(slot, asked, chat, where)
            if slot.connection is not None:
                answer = await _from_engine(models, slot, slot.connection, body)
            else:
                with models.question(slot):
                    answer = await _post(models, slot, orjson.dumps(body))
    except TimeoutError:
        return Attempt(slot, since(), failure="too late")
    except UpstreamError as error:
        return Attempt(slot, since(), failure=f"unreachable: {type(error).__name__}")
    except (Unreadable, ValueError, TypeError, AttributeError):
        return Attempt(slot, since(), failure="not an answer of a model")
    if answer.captured is None:
        return Attempt(slot, since(), failure=_refusal(answer.status, answer.problem))
    try:
        return _judged(slot, asked, chat, found, answer.captured, answer.confidence, since())
    except (Unreadable, AttributeError, TypeError):
        return Attempt(slot, since(), failure="not an answer of a model")
    except Exception as error:
        # Whatever it said, the original answers; what we could not stand is in the log.
        _log.exception("an answer of a model could not be judged")
        return Attempt(slot, since(), failure=f"not judged: {type(error).__name__}")


def _request(slot: SlotNow, asked: Asked, chat: Json, where: Route) -> Json:
    """The request as the model gets it: for an agent's template just that prompt, for coding the whole conversation."""
    body = {
        **chat,
        "model": slot.model,
        # Closing a stream ends the work at any server. Of a whole answer llama.cpp's Python server goes on to its end,
        # for minutes, and whoever asks next waits that long.
        "stream": slot.own_server,
        slot.max_tokens_name.value: min(asked.max_tokens or slot.max_tokens, slot.max_tokens),
    }
    if slot.own_server:
        body["temperature"] = 0  # as its evaluation asked it
        body["stream_options"] = {"include_usage": True}  # tokens are counted at the end of a stream, if at all
    if where.recognition.model_type != "coding":
        body["messages"] = [{"role": "user", "content": where.prompt}]
        if asked.system:
            body["messages"].insert(0, {"role": "system", "content": asked.system})
    elif slot.prompt_form is PromptForm.COMPACT:
        body["messages"] = without_additions(chat["messages"])
    if slot.confidence is not None:
        # llama.cpp tells nothing without the second; Together takes a number, and documents no second.
        body |= {"logprobs": True, "top_logprobs": 1} if slot.own_server else {"logprobs": 1}
    return body


async def _from_engine(models: Models, slot: SlotNow, server: OwnServer, body: Json) -> _Answer:
    """The answer of an engine without an address, in the words of one that has one."""
    messages, most = body["messages"], int(body[slot.max_tokens_name.value])
    if not all(isinstance(message.get("content"), str) for message in messages):
        return _Answer(400, problem={"error": {"code": "more than text"}})
    try:
        said = await models.ask_connection(server, slot.model or "", messages, most)
    except RemoteError as error:
        raise Unreachable(error.message) from error
    except ReasoningError as error:
        return _Answer(400, problem={"error": {"code": getattr(error, "code", "") or type(error).__name__}})
    except Exception as error:  # whatever a package of others raises, the original answers
        _log.warning("the engine %s failed: %s: %s", server.engine, type(error).__name__, error)
        raise Unreadable(str(error)) from error
    model = said.model if isinstance(said, ServedAnswer) else None
    whole = is_natural_end(said.finish_reason)
    captured = CapturedResponse(
        said.text, model, said.prompt_tokens, said.completion_tokens, whole, end=said.finish_reason
    )
    return _Answer(200, captured)


async def _post(models: Models, slot: SlotNow, body: bytes) -> _Answer:
    headers = _HEADERS_OF_STREAM if slot.own_server else _HEADERS
    if slot.api_key:
        headers = [*headers, (b"authorization", f"Bearer {slot.api_key}".encode())]
    async with models.room:
        answer = await models.ask("POST", f"{slot.url}/chat/completions", headers, body)
        is_stream = answer.header(b"content-type").startswith("text/event-stream")
        most = _LONGEST_STREAM_BYTES if is_stream else _LONGEST_ANSWER_BYTES
        try:
            parts, size = [], 0
            while part := await answer.read():
                size += len(part)
                if size > most:
                    raise ValueError("longer than any answer")
                parts.append(part)
        except CutOff:
            models.was_cut(slot)
            raise
        finally:
            answer.close()
        content = unpack(b"".join(parts), answer.header(b"content-encoding"), most)
        if answer.status != 200:
            return _Answer(answer.status, problem=_problem(content))
        if is_stream:
            events = list(read_events(content))
            if not any(map(_ends, _chunks(events))):
                models.was_cut(slot)
            captured = chat_dialect.DIALECT.capture_events(events)
            return _Answer(200, captured, _confidence(_chunks(events)))
    payload = json_of(content)
    if not isinstance(payload, dict):
        raise ValueError("no object")
    return _Answer(200, chat_dialect.capture(payload), _confidence([payload]))


def _ends(chunk: Json) -> bool:
    """Whether a piece says why an answer ends."""
    return any(choice.get("finish_reason") for choice in objects(chunk.get("choices")))


def _chunks(events: Iterable[tuple[str, str]]) -> Iterator[Json]:
    """The pieces of a streamed answer."""
    for _, data in events:
        if data.strip() != DONE and isinstance(chunk := json_of(data), dict):
            yield chunk


def _problem(content: bytes) -> Json:
    try:
        payload = json_of(content)
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _refusal(status: int, payload: Json) -> str:
    """A refusal in words fit for counting: Together's own code where it gives one."""
    error = payload.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return f"refused: {code}" if isinstance(code, str) and len(code) < 60 else f"refused: status {status}"


def _judged(
    slot: SlotNow,
    asked: Asked,
    chat: Json,
    found: Recognition,
    captured: CapturedResponse,
    confidence: float | None,
    latency_ms: int,
) -> Attempt:
    """The answer, checked: an Attempt with a reply the agent can act on, or with what is wrong with the answer."""
    reply: Reply | None = None
    decision: str | None = None
    failure = flaw_of_calls(chat, captured.tool_calls) if captured.whole else f"invalid: {_cut(captured.end)}"
    if failure is None and slot.own_server and is_another_model(slot.model or "", captured.model):
        failure = OTHER_MODEL  # what was evaluated is the model of this name
    if failure is None and slot.confidence is not None and (confidence is None or confidence < slot.confidence):
        failure = NO_PROBABILITIES if confidence is None else UNSURE
    if failure is None:
        text, decision, failure = _text(asked, found, captured)
        if failure is None:
            reply = Reply(
                text,
                asked.model,
                captured.prompt_tokens or 0,
                captured.completion_tokens or 0,
                "tool_calls" if captured.tool_calls else "stop",
                as_offered(named_anew(captured.tool_calls), asked.tools),
                _stopped_by(captured, chat),
            )
    return Attempt(
        slot,
        latency_ms,
        reply,
        failure,
        captured.text,
        decision,
        confidence,
        captured.prompt_tokens,
        captured.completion_tokens,
        captured.cached_tokens,
    )


def _stopped_by(captured: CapturedResponse, chat: Json) -> str | None:
    """Which of the caller's stop sequences ended the answer: models have some of their own."""
    wanted = chat.get("stop")
    return captured.stopped_by if isinstance(wanted, list) and captured.stopped_by in wanted else None


def _cut(end: str | None) -> str:
    return "cut at the token limit" if end == "length" else f"cut ({cut_of(end)})"


def _text(asked: Asked, found: Recognition, captured: CapturedResponse) -> tuple[str, str | None, str | None]:
    """(the answer in its one form, what was decided, what is wrong with it)."""
    assert found.model_type is not None
    if captured.tool_calls:
        return strip_thinking(captured.text), calls_decided(captured.tool_calls), None
    answer = read_answer(found.model_type, asked.text, captured.text)
    if isinstance(answer, InvalidAnswer):
        return "", None, f"invalid: {answer.reason}"
    if isinstance(answer, CodingAnswer) and not answer.code and not asked.tools:
        return "", decision_of(answer), "invalid: no code"
    return render_answer(answer, found.codes), decision_of(answer), None


def _confidence(payloads: Iterable[Json]) -> float | None:
    """How sure the model was, by an answer or the pieces of one: the geometric mean of its tokens' probabilities; None
    when it does not say."""
    numbers: list[float] = []
    for payload in payloads:
        choices = objects(payload.get("choices"))
        said = choices[0].get("logprobs") if choices else None
        if isinstance(said, dict):
            found = [token.get("logprob") for token in objects(said.get("content"))] or said.get("token_logprobs") or []
            numbers += [value for value in found if isinstance(value, int | float)]
    return math.exp(sum(numbers) / len(numbers)) if numbers else None
