"""Ask a running gateway how it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reasoning_cli.errors import RemoteError
from reasoning_cli.gateway.http.certificate import trusting


def gateway_record(host: str, port: int, token: str | None = None, certificate: Path | None = None) -> dict[str, Any]:
    """What `/stats` of the gateway at `host` and `port` says, over TLS when it has a certificate. RemoteError when none
    answers there."""
    from reasoning_cli.light_httpx import httpx

    shown = f"[{host}]" if ":" in host else host
    headers = {"x-reasoning-token": token} if token else {}
    # Without TLS no authorities are needed, and reading them takes longer than asking.
    scheme, verify = ("https", trusting(certificate)) if certificate else ("http", False)
    try:
        # Never through a proxy: it is on this machine, or one the operator named.
        with httpx.Client(timeout=5, trust_env=False, verify=verify) as client:
            answer = client.get(f"{scheme}://{shown}:{port}/stats", headers=headers)
        record = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        record = None
    if not isinstance(record, dict) or "model_types" not in record:
        raise RemoteError(
            f"no gateway answers at {shown}:{port}{' over TLS' if certificate else ''}",
            "start one with `reasoning gateway serve`, or name its --port",
        )
    return record


def look(url: str) -> int | str:
    """The status that a GET without a key is answered with there, or in a few words why it is not answered."""
    from reasoning_cli.light_httpx import httpx

    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TimeoutException:
        return "no answer in 5 seconds"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return str(error) or type(error).__name__


@dataclass(frozen=True)
class ChatAnswer:
    """What an agent got, and who gave it: `slot`, or None for the original provider. `tokens`: prompt and answer."""

    text: str
    source: str | None
    milliseconds: int
    tokens: int


def ask_chat(base: str, prompt: str) -> ChatAnswer:
    """Ask a gateway as an agent with an OpenAI client does. Raises RemoteError when no answer comes."""
    from reasoning_cli.light_httpx import httpx

    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]}
    try:
        answer = httpx.post(f"{base}/v1/chat/completions", json=body, timeout=30, trust_env=False)
        found = answer.raise_for_status().json()
        return ChatAnswer(
            text=found["choices"][0]["message"]["content"],
            source=answer.headers.get("x-reasoning-source"),
            milliseconds=round(answer.elapsed.total_seconds() * 1000),
            tokens=found["usage"]["total_tokens"],
        )
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise RemoteError(f"the gateway gave no answer: {error}", "`reasoning doctor`") from error
