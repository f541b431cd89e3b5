"""Ask one server that speaks OpenAI's API. Nobody else is asked, and its key is sent nowhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reasoning_cli import __version__
from reasoning_cli.addresses import is_loopback
from reasoning_cli.engines.errors import BusyError
from reasoning_cli.engines.openai.problems import explain, unreachable
from reasoning_cli.engines.serving import ServedModel
from reasoning_cli.errors import ReasoningError
from reasoning_cli.light_httpx import httpx, trusted
from reasoning_cli.redact import bare_address, remember

CONNECT_SECONDS = 5.0
# A prompt is read at 50 tokens a second on a CPU, and one server answers one question after the other.
SILENCE_SECONDS = 600.0
_MOST_PIECES = 3  # of an answer of one token


@dataclass(frozen=True)
class ServerAnswer:
    """One answer, with what the server counted, None for what it does not say; and whether it told how probable its
    tokens were."""

    text: str
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    tells_probabilities: bool = False


class ModelServer:
    """The server under `url` (with /v1)."""

    def __init__(self, url: str, api_key: str | None, *, silence_seconds: float = SILENCE_SECONDS) -> None:
        if api_key:
            remember(api_key)
        self.url = bare_address(url)
        self._base = url.rstrip("/")
        trust_env = not is_loopback(httpx.URL(url).host)
        self._http = httpx.Client(
            headers={
                "user-agent": f"reasoning/{__version__}",
                **({"authorization": f"Bearer {api_key}"} if api_key else {}),
            },
            timeout=httpx.Timeout(silence_seconds, connect=CONNECT_SECONDS),
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
        """Whether it ends an answer at `max_tokens`: asked for one token, it is left when more come. Raises the errors
        of `engines.errors`."""
        messages = [{"role": "user", "content": "Count from one to one hundred in words."}]
        body = {"model": model, "messages": messages, "max_tokens": 1, "temperature": 0, "stream": True}
        pieces = 0
        try:
            with self._http.stream("POST", f"{self._base}/chat/completions", json=body) as response:
                if not response.is_success:
                    response.read()
                    raise self._refusal(response)
                for line in response.iter_lines():
                    pieces += line.startswith("data:") and _has_text(line.removeprefix("data:"))
                    if pieces > _MOST_PIECES:
                        return False
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error
        return True

    def chat(
        self, model: str, messages: Sequence[Mapping[str, str]], *, max_tokens: int, probabilities: bool = False
    ) -> ServerAnswer:
        """One answer at temperature 0. Raises the errors of `engines.errors`."""
        body = {"model": model, "messages": list(messages), "max_tokens": max_tokens, "temperature": 0}
        if probabilities:
            body |= {"logprobs": True, "top_logprobs": 1}
        payload = self._request("POST", "/chat/completions", body)
        choices = payload.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        message = choice.get("message")
        if not isinstance(message, dict):
            raise BusyError(f"what {self.url} says is not a model's answer", "`reasoning doctor` looks at it")
        usage = payload.get("usage")
        counted = usage if isinstance(usage, dict) else {}
        content, end = message.get("content"), choice.get("finish_reason")
        return ServerAnswer(
            content if isinstance(content, str) else "",
            end if isinstance(end, str) else None,
            _number(counted.get("prompt_tokens")),
            _number(counted.get("completion_tokens")),
            isinstance(logprobs := choice.get("logprobs"), dict) and any(logprobs.values()),
        )

    def _request(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, object]:
        try:
            response = self._http.request(method, f"{self._base}{path}", json=body)
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
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def _has_text(data: str) -> bool:
    """Whether an event of a stream brings a piece of text."""
    try:
        choices = json.loads(data).get("choices") or [{}]
        return bool((choices[0].get("delta") or {}).get("content"))
    except (ValueError, AttributeError, TypeError, LookupError):
        return False


def _context(model: Mapping[str, object]) -> int | None:
    """What a server calls it: vLLM, others, and llama.cpp, which says for how many tokens the model was trained."""
    said = model.get("meta")
    facts = {**(said if isinstance(said, dict) else {}), **model}
    names = ("max_model_len", "context_length", "context_window", "n_ctx", "n_ctx_train")
    return next((number for name in names if (number := _number(facts.get(name)))), None)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
