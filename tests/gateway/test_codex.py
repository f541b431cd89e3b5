"""Codex through the gateway: the program itself, as its vendor gives it out by npm.

$CODEX_PROGRAM names one that is there already; otherwise the version below is installed (some 400 MB, once).
"""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.gateway.calls import Call
from tests.gateway import canned
from tests.gateway.node import installed
from tests.gateway.official import CODE
from tests.gateway.provider import Answering, Handler, Provider, Received
from tests.gateway.serving import Served, served
from tests.waiting import until

Json = dict[str, Any]
PACKAGE, VERSION = "@openai/codex", "0.171.0"
VARIABLE = "CODEX_PROGRAM"
TEXT = canned.ORIGINAL_SAYS["coding"]
TIMES = 5
# What the program is told of its provider. By the first of them it opens a WebSocket of its own accord.
OPENAI = 'openai_base_url = "{base}"\n'
OWN = """model_provider = "here"
[model_providers.here]
name = "here"
base_url = "{base}"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
supports_websockets = true
"""


@pytest.fixture(scope="module")
def program() -> Path:
    named = os.environ.get(VARIABLE)
    return Path(named) if named else installed(PACKAGE, VERSION) / "node_modules" / ".bin" / "codex"


def codex(program: Path, folder: Path, url: str, config: str = OPENAI) -> str:
    """Run the program headless in an empty project and a home of its own; what it answers."""
    home, work = folder / "codex-home", folder / "project"
    if not work.is_dir():
        home.mkdir()
        subprocess.run(["git", "init", "--quiet", str(work)], check=True)
    (home / "config.toml").write_text("check_for_update_on_startup = false\n" + config.format(base=f"{url}/v1"))
    done = subprocess.run(
        [program, "exec", "--sandbox", "read-only", CODE],
        cwd=work,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "CODEX_HOME": str(home),
            "OPENAI_API_KEY": "sk-dummy",
            "CODEX_API_KEY": "sk-dummy",
            # It looks for plugins at GitHub and at its vendor's: nobody is there.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "NO_PROXY": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def events() -> list[bytes]:
    """A stream with what the program reads of one beside the text: where an item begins and ends."""
    begins, *deltas, ends = canned.responses_events(TEXT)
    item = canned.responses_answer(TEXT)["output"][0]
    added, done = "response.output_item.added", "response.output_item.done"
    begun = {**item, "status": "in_progress", "content": []}
    return [
        begins,
        canned.sse({"type": added, "output_index": 0, "item": begun}, added),
        *deltas,
        canned.sse({"type": done, "output_index": 0, "item": item}, done),
        ends,
    ]


def original(*, ends: bool = True) -> Handler:
    """A provider of HTTP alone; one that does not end its answers has said all of them before."""

    async def handler(request: Received, answering: Answering) -> None:
        if (request.method, request.target) != ("POST", "/v1/responses"):
            await answering.whole(404, {"error": {"message": "nothing is here"}})
        elif ends:
            await answering.events(events())
        else:
            await answering.head(200, {"content-type": "text/event-stream"})
            for one in events():
                await answering.chunk(one)
            await answering.until_caller_leaves()

    return handler


def calls_of(gateway: Served) -> list[tuple[str, str, int | None]]:
    """Each call that comes to the gateway from now on, with the status of its answer."""
    found: list[tuple[str, str, int | None]] = []

    def keep(call: Call) -> None:
        found.append((call.method, call.path, call.status))

    gateway.gateway.access_log = keep
    return found


ONCE = [("GET", "/v1/responses", 426), ("POST", "/v1/responses", 200)]


def test_it_tries_no_more_often_than_without_a_gateway(program: Path, tmp_path: Path) -> None:
    with closing(Provider(original())) as direct:
        said = codex(program, tmp_path, direct.url)
        tries = len(direct.received)
    assert said == TEXT
    with served(tmp_path, slots=False) as gateway:
        gateway.original.handler = original()
        calls = calls_of(gateway)
        assert codex(program, tmp_path, gateway.url) == said
        until(lambda: gateway.gateway.figures.in_flight == 0, "the end of all calls")
        assert calls == ONCE
        assert len(calls) <= tries
        (asked,) = gateway.original.received
        assert (asked.method, asked.header("authorization")) == ("POST", "Bearer sk-dummy")


def test_each_decision_is_kept_though_it_hangs_up_with_the_last_event(program: Path, tmp_path: Path) -> None:
    with served(tmp_path, slots=False) as gateway:
        gateway.original.handler = original(ends=False)
        calls = calls_of(gateway)
        for _ in range(TIMES):
            assert codex(program, tmp_path, gateway.url, OWN) == TEXT
        samples = gateway.samples(TIMES)
        assert [(one.model_type, one.source, one.prompt, one.output) for one in samples] == [
            ("coding", "original", CODE, TEXT)
        ] * TIMES
        until(lambda: gateway.gateway.figures.in_flight == 0, "the end of all calls")
        assert calls == ONCE * TIMES


def test_a_model_that_calls_no_functions_is_not_asked(program: Path, tmp_path: Path) -> None:
    """Its tools are no `tools` of the request but an item of its input."""
    with served(tmp_path, tools=False) as gateway:
        gateway.original.handler = original()
        assert codex(program, tmp_path, gateway.url) == TEXT
        (asked,) = [one.json for one in gateway.original.asked("responses") if one.method == "POST"]
        assert "tools" not in asked
        assert [item["type"] for item in asked["input"]].count("additional_tools") == 1
        assert gateway.model.received == []


def test_it_runs_the_custom_tool_that_our_model_calls(program: Path, tmp_path: Path) -> None:
    asked: list[Json] = []

    async def model(request: Received, answering: Answering) -> None:
        asked.append(request.json)
        if any(one["role"] == "tool" for one in request.json["messages"]):
            await answering.whole(200, canned.chat_answer(canned.MODEL_SAYS["coding"], "acme/model"))
            return
        made = canned.chat_answer("", "acme/model", "tool_calls")
        function = {"name": "exec", "arguments": '{"input": "text(String(40 + 2))"}'}
        made["choices"][0]["message"]["tool_calls"] = [{"id": "1", "type": "function", "function": function}]
        await answering.whole(200, made)

    with served(tmp_path, tools=True) as gateway:
        gateway.model.handler = model
        gateway.original.handler = original()
        assert codex(program, tmp_path, gateway.url) == canned.MODEL_SAYS["coding"]
        assert "42" in asked[1]["messages"][-1]["content"]
        first, second = gateway.samples(2)
        assert [(one.source, one.decision) for one in (first, second)] == [("slot", "exec"), ("slot", "python")]
        assert second.conversation is not None and "40 + 2" in second.conversation
