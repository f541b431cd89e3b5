"""Ask one server that speaks OpenAI's API. Nobody else is asked, and its key is sent nowhere else."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reasoning_cli import __version__
from reasoning_cli.addresses import is_loopback
from reasoning_cli.engines.errors import BusyError, CutError, RequestRefusedError, UnreachableError
from reasoning_cli.engines.openai.answers import ServerAnswer
from reasoning_cli.engines.openai.problems import explain, unreachable
from reasoning_cli.engines.openai.stream import StreamedAnswer, lines_of
from reasoning_cli.engines.serving import ServedModel
from reasoning_cli.errors import ReasoningError
from reasoning_cli.light_httpx import httpx, trusted
from reasoning_cli.redact import bare_address, remember

CONNECT_SECONDS = 5.0
# A prompt is read at 50 tokens a second on a CPU, and one server answers one question after the other.
SILENCE_SECONDS = 600.0
_REASON_SECONDS = 30.0  # for a refusal, which comes before any work
_MOST_PIECES = 3  # of an answer of one token
_COUNTING = ({"role": "user", "content": "Count from one to one hundred in words."},)
_AT_ONCE_SECONDS = 0.2  # by which a second answer may begin later than a first, and has not waited for it
_COUNTED = 64  # tokens: enough to be answered while another question comes in


class ModelServer:
    """The server under `url` (with /v1)."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        max_tokens_name: str = "max_tokens",
    ) -> None:
        if api_key:
            remember(api_key)
        self._silence_seconds, self._max_tokens_name = silence_seconds, max_tokens_name
        self.url = bare_address(url)
        self._base = url.rstrip("/")
        trust_env = not is_loopback(httpx.URL(url).host)
        self._http = httpx.Client(
            headers={
                "user-agent": f"reasoning/{__version__}",
                **({"authorization": f"Bearer {api_key}"} if api_key else {}),
            },
            trust_env=trust_env,
            verify=trusted(trust_env=trust_env),
        )

    def close(self) -> None:
        self._http.close()

    def models(self) -> list[ServedModel]:
        """What it says it serves. Raises the errors of `engines.errors`."""
        listed = self._request("GET", "/models").get("data")
        found = [model for model in (listed if isinstance(listed, list) else []) if isinstance(model, dict)]
        return [ServedModel(str(model.get("id") or ""), _context(model)) for model in found]

    def keeps_max_tokens(self, model: str) -> bool:
        """Whether it ends an answer at the limit it is given: asked for one token, it is left when more come. Raises
        the errors of `engines.errors`."""
        pieces = 0
        with self._stream(self._body(model, _COUNTING, 1)) as (_, events):
            for is_text in events:
                pieces += is_text
                if pieces > _MOST_PIECES:
                    return False
        return True

    def takes_tokens(self, model: str, tokens: int, patience_seconds: float) -> bool | None:
        """Whether it takes a prompt of about so many tokens: asked by stream for one token, and left when it has said
        nothing for so long (None). Raises RequestRefusedError with its reason where it does not take it."""
        answer = StreamedAnswer()
        body = self._body(model, [{"role": "user", "content": " a" * tokens}], 1)
        try:
            with self._stream(body, patience_seconds) as (answer, events):
                if any(True for _ in events):
                    self._raise_error(answer)
                    return True
        except UnreachableError as error:
            if isinstance(error.__cause__, httpx.TimeoutException):
                return None
            if not answer.begun:
                raise
        raise self._why_dropped(body)

    def takes_two(self, model: str, patience_seconds: float) -> bool | None:
        """Whether it works at two questions at a time; a second is asked while the first is answered, and both are left
        when that is known. False where the second waited, or cut the first off; None where the first was too short."""
        body, first, asked_at = self._body(model, _COUNTING, _COUNTED), _First(), time.monotonic()

        def ask_first() -> None:
            with contextlib.suppress(ReasoningError), self._stream(body, patience_seconds) as (answer, events):
                for is_text in events:
                    if first.left.is_set():
                        return
                    if is_text:
                        first.begun.set()
                first.is_whole = answer.finish_reason is not None
            first.ended_at = time.monotonic()
            first.begun.set()

        thread = threading.Thread(target=ask_first, daemon=True)
        thread.start()
        if not first.begun.wait(patience_seconds) or first.ended_at is not None:
            first.left.set()
            return None
        begins_within, second_asked_at = time.monotonic() - asked_at, time.monotonic()
        try:
            with self._stream(body, patience_seconds) as (_, events):
                next((True for is_text in events if is_text), None)
                second_at = time.monotonic()
        except UnreachableError as error:
            if isinstance(error.__cause__, httpx.TimeoutException):
                return False
            raise
        finally:
            first.left.set()
        thread.join(patience_seconds)
        if first.ended_at is None:
            return True
        if not first.is_whole or second_at - second_asked_at > 2 * begins_within + _AT_ONCE_SECONDS:
            return False
        return True if first.ended_at > second_at else None

    def chat(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        probabilities: bool = False,
        tools: Sequence[Mapping[str, object]] = (),
    ) -> ServerAnswer:
        """One answer at temperature 0. Raises the errors of `engines.errors`.

        It is asked for as a stream: who leaves ends the work at any server. Of a whole answer some go on to the end,
        and everybody waits that long.
        """
        body = self._body(model, messages, max_tokens)
        if probabilities:
            body |= {"logprobs": True, "top_logprobs": 1}
        if tools:
            body |= {"tools": list(tools), "tool_choice": "required"}
        answer = StreamedAnswer()
        try:
            with self._stream(body) as (answer, events):
                for _ in events:
                    pass
        except UnreachableError as error:
            if not answer.begun or isinstance(error.__cause__, httpx.TimeoutException):
                raise
            if answer.events:
                raise self._cut() from error
        if not answer.events:
            raise self._why_dropped(body)
        self._raise_error(answer)
        if answer.finish_reason is None:
            raise self._cut()
        return ServerAnswer(
            "".join(answer.texts),
            answer.finish_reason,
            _number(answer.usage.get("prompt_tokens")),
            _number(answer.usage.get("completion_tokens")),
            answer.tells_probabilities,
            answer.model,
            answer.calls_tools,
        )

    def _body(self, model: str, messages: Sequence[Mapping[str, str]], max_tokens: int) -> dict[str, object]:
        return {
            "model": model,
            "messages": list(messages),
            self._max_tokens_name: max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    @contextlib.contextmanager
    def _stream(
        self, body: Mapping[str, object], silence_seconds: float | None = None
    ) -> Iterator[tuple[StreamedAnswer, Iterator[bool]]]:
        """What is put together of an answer, and its pieces as they come: whether each brings text. At the end of the
        block the connection is closed, and the work at the server with it."""
        answer = StreamedAnswer()
        timeout = httpx.Timeout(silence_seconds or self._silence_seconds, connect=CONNECT_SECONDS)
        try:
            with self._http.stream("POST", f"{self._base}/chat/completions", json=body, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise self._refusal(response)
                answer.begun = True
                yield answer, _pieces(response, answer)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise unreachable(self.url, error) from error

    def _why_dropped(self, body: Mapping[str, object]) -> ReasoningError:
        """Why a stream ended before its first word. llama.cpp's Python server ends one so whose prompt is longer than
        its context, with status 200; asked for a whole answer, it says what it minds, at once."""
        plain = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
        try:
            self._request("POST", "/chat/completions", {**plain, self._max_tokens_name: 1}, _REASON_SECONDS)
        except RequestRefusedError as refusal:
            return refusal
        except ReasoningError:
            pass
        return CutError(
            f"{self.url} took the question and dropped the connection without a word", "`reasoning doctor` looks at it"
        )

    def _raise_error(self, answer: StreamedAnswer) -> None:
        """Raise what a server says in the midst of a stream, where it does."""
        if answer.error:
            code = answer.error.get("code") if isinstance(answer.error, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
            raise explain(self.url, status, json.dumps({"error": answer.error}).encode(), "")

    def _cut(self) -> CutError:
        return CutError(
            f"{self.url} broke an answer off in the midst, and says no reason",
            "where somebody else's question does that, `reasoning config set TYPE.parallel 1` keeps ours apart",
        )

    def _request(
        self, method: str, path: str, body: Mapping[str, object] | None = None, silence_seconds: float | None = None
    ) -> dict[str, object]:
        timeout = httpx.Timeout(silence_seconds or self._silence_seconds, connect=CONNECT_SECONDS)
        try:
            response = self._http.request(method, f"{self._base}{path}", json=body, timeout=timeout)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise unreachable(self.url, error) from error
        payload = _object(response)
        if not response.is_success:
            raise self._refusal(response)
        if not payload:
            raise BusyError(f"{self.url} answers with no JSON object", "is /v1 missing in its address?")
        return payload

    def _refusal(self, response: httpx.Response) -> ReasoningError:
        retry_after = response.headers.get("retry-after", "")
        return explain(self.url, response.status_code, response.content, retry_after)


def _object(response: httpx.Response) -> dict[str, object]:
    """The JSON object of a response; an empty one for anything else."""
    try:
        payload = response.json()
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


@dataclass
class _First:
    """The first of two questions, in a thread of its own: it has begun to be answered, and how it ended, if it did."""

    begun: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    ended_at: float | None = None
    is_whole: bool = False


def _pieces(response: httpx.Response, answer: StreamedAnswer) -> Iterator[bool]:
    """The pieces of an answer as they come, also of a server that was asked for a stream and answers whole."""
    if "json" in response.headers.get("content-type", ""):
        response.read()
        answer.events += 1
        yield answer.add(_object(response), "message")
        return
    for line in lines_of(response.iter_bytes()):
        yield answer.add_line(line)


def _context(model: Mapping[str, object]) -> int | None:
    """What a server calls it: vLLM, others, and llama.cpp, which says for how many tokens the model was trained."""
    said = model.get("meta")
    facts = {**(said if isinstance(said, dict) else {}), **model}
    names = ("max_model_len", "context_length", "context_window", "n_ctx", "n_ctx_train")
    return next((number for name in names if (number := _number(facts.get(name)))), None)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
