"""A gateway on the sandbox: what no model answers ends in a stand-in, and a real provider is called by name only."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from reasoning_cli.commands.demo.synthetic_agent import planning_prompt
from reasoning_cli.gateway.serving import Options
from reasoning_cli.gateway.serving import _reader as make_reader
from reasoning_cli.sandbox.server import SandboxServer
from tests.commands.gateway.test_gateway import serving
from tests.conftest import Run
from tests.gateway import canned
from tests.gateway.provider import Provider

HELLO = [{"role": "user", "content": "Hello there"}]


@pytest.fixture(autouse=True)
def no_sandbox_left(process: Run) -> Iterator[None]:
    yield
    process("sandbox", "stop")


@pytest.fixture
def nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever calls anybody but this machine fails at once."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@contextmanager
def rehearsing() -> Iterator[tuple[str, list[str]]]:
    """The address of a gateway on the sandbox, and what it said when it started."""
    command = [sys.executable, "-P", "-m", "reasoning_cli", "--sandbox", "gateway", "serve", "--port", "0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as gateway:
        assert gateway.stderr is not None
        said: list[str] = []
        try:
            while (found := re.search(r"listening on (\S+)", said[-1] if said else "")) is None:
                line = gateway.stderr.readline()
                assert line, said
                said.append(line)
            assert httpx.get(f"{found[1]}/ready", trust_env=False, timeout=60).json() == {"ready": True}
            yield found[1], said
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(60)


def test_what_no_model_answers_gets_the_stand_in(nothing_outside: None) -> None:
    with rehearsing() as (url, said):
        assert any("the sandbox's stand-in for your agent's provider answers" in line for line in said), said
        import anthropic  # these take long to load: not while tests are collected
        import openai

        chat = openai.OpenAI(api_key="theirs", base_url=f"{url}/v1", max_retries=0)
        messages = anthropic.Anthropic(api_key="theirs", base_url=url, max_retries=0)

        whole = chat.chat.completions.create(model="gpt-4o", messages=HELLO)  # type: ignore[arg-type]
        assert "stand-in" in (whole.choices[0].message.content or "")
        pieces = chat.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)  # type: ignore[call-overload]
        assert "".join(one.choices[0].delta.content or "" for one in pieces) == whole.choices[0].message.content

        response = chat.responses.create(model="gpt-4o", input="Hello there")
        assert response.output_text == whole.choices[0].message.content
        with chat.responses.stream(model="gpt-4o", input="Hello there") as stream:
            assert stream.get_final_response().output_text == response.output_text

        message = messages.messages.create(model="claude", max_tokens=99, messages=HELLO)  # type: ignore[arg-type]
        assert [block.text for block in message.content if block.type == "text"] == [response.output_text]
        with messages.messages.stream(model="claude", max_tokens=99, messages=HELLO) as spoken:  # type: ignore[arg-type]
            assert spoken.get_final_text() == response.output_text

        assert [one.id for one in chat.models.list()] == ["stand-in"]
        assert len(chat.embeddings.create(model="text-embedding-3-small", input="Hello").data[0].embedding) == 1536


def test_the_stand_in_decides_what_is_a_decision(nothing_outside: None) -> None:
    """Nothing is deployed: the agent goes on, and the log fills."""
    with rehearsing() as (url, _):
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": planning_prompt("Ada, what is a spider?")}]}
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, trust_env=False, timeout=60)
        assert "<actions>REPLY</actions>" in answer.json()["choices"][0]["message"]["content"]


def test_a_provider_that_was_named_is_called_and_told_of(process: Run) -> None:
    provider = Provider(canned.original)
    process("--sandbox", "config", "set", "gateway.openai_upstream", f"{provider.url}/v1")
    with rehearsing() as (url, said):
        assert any("goes there, for real" in line for line in said), said
        body = json.dumps({"model": "gpt-4o", "messages": HELLO})
        httpx.post(f"{url}/v1/chat/completions", content=body, trust_env=False, timeout=60)
    assert len(provider.asked("/chat/completions")) == 1
    provider.close()


def test_doctor_calls_no_provider_from_the_sandbox(process: Run, tmp_path: Path, nothing_outside: None) -> None:
    with rehearsing() as (url, _):
        port = url.rpartition(":")[2]
        process("--sandbox", "config", "set", "gateway.port", port)
        done = process("--sandbox", "doctor")
    assert f"a gateway runs on port {port}" in done.stdout
    assert "_upstream" not in done.stdout


def test_outside_the_sandbox_its_gateway_is_not_taken_for_the_real_one(
    process: Run, monkeypatch: pytest.MonkeyPatch, nothing_outside: None
) -> None:
    """Both have the same port by default: an agent would get the stand-in's answers, and its operator never know."""
    with rehearsing() as (url, _):
        port = url.rpartition(":")[2]
        inside = process("--sandbox", "gateway", "env", "--port", port)
        assert "The gateway runs on port" in inside.stderr, inside.stderr
        monkeypatch.setenv("REASONING_GATEWAY_PORT", port)
        env = process("gateway", "env")
        assert f"on port {port} runs the sandbox's gateway" in env.stderr, env.stderr
        assert f"`reasoning gateway serve --port {int(port) + 1}`" in env.stderr
        assert "an agent sent there gets its answers" not in env.stderr
        for verb in ("status", "stats"):
            assert process("gateway", verb).stdout.startswith("Not yours: this is the sandbox's gateway"), verb
        assert json.loads(process("gateway", "status", "--json").stdout)["sandbox"] is True
        assert f"GATEWAY  none of yours; on port {port} runs the sandbox's gateway" in process("status").stdout
        doctor = process("doctor", "--offline").stdout
        assert f"gateway port {port}: none of yours is there, but the sandbox's gateway" in doctor, doctor
        assert "answered by your models" not in doctor


def test_in_the_sandbox_and_another_profile_a_real_gateway_is_said_to_be_one(process: Run) -> None:
    """Whoever tries things out for free would send an agent to real providers by the sandbox's lines."""
    with serving() as gateway:
        port = str(gateway.port)
        assert f"The gateway runs on port {port}" in process("gateway", "env", "--port", port).stderr
        sandbox = process("--sandbox", "gateway", "env", "--port", port).stderr
        assert f"on port {port} runs a real gateway, which calls real models and providers" in sandbox, sandbox
        other = process("--profile", "work", "gateway", "status", "--port", port).stdout
        assert other.startswith("Not yours: this is a real gateway of no profile"), other


def test_the_sandbox_does_not_end_while_a_gateway_is_on_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends after half an hour in which nobody asks; an agent may be as quiet."""
    monkeypatch.setenv("REASONING_SANDBOX", "1")
    with SandboxServer(speed=0) as server:
        server.service.last_request_at -= 1700
        gateway = make_reader(Options("127.0.0.1", 8001, server.url, "sandbox-key"))
        with closing(gateway):
            view = gateway()
        assert time.monotonic() - server.service.last_request_at < 60
        assert view.openai_upstream == f"{server.url}/_original/v1"
