"""Claude Code through the gateway: recorded requests, and the program itself where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from reasoning_cli.gateway.dialects import messages
from reasoning_cli.gateway.dialects.events import read_events
from tests.conftest import Run
from tests.gateway.official import relaying, sandboxed
from tests.gateway.serving import Served

Json = dict[str, Any]
# Where the program is, when it is not on the PATH.
VARIABLE = "CLAUDE_CODE_PROGRAM"
SECRET = "The secret word is heliotrope."


def recorded(shared: Path) -> list[Json]:
    lines = (shared / "traffic" / "claude-code.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["request"] for line in lines]


def replay(gateway: Served, request: Json) -> bytes:
    headers = {
        name: value for name, value in request["headers"].items() if name.startswith(("anthropic", "user-", "x-"))
    }
    answer = gateway.client.post(request["path"], json=request["body"], headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.content


def test_recorded_requests_are_answered_in_events_the_vendors_types_take(shared: Path, tmp_path: Path) -> None:
    from anthropic.types import RawMessageStreamEvent  # takes long to load: not while tests are collected

    types: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
    with sandboxed(tmp_path, window_tokens=400_000) as gateway:
        reasons = []
        for request in recorded(shared):
            events = list(read_events(replay(gateway, request)))
            for name, data in events:
                if name != "ping":
                    assert types.validate_json(data, strict=True).type == name
            heard = messages.DIALECT.capture_events(events)
            reasons.append([call.name for call in heard.tool_calls] or ["text"])
            assert heard.whole
        assert gateway.original.received == []
        # One of them is the turn after a tool was called: its result is answered in words.
        turns = [request["body"]["messages"][-1] for request in recorded(shared)]
        results = [isinstance(one["content"], list) and one["content"][0]["type"] == "tool_result" for one in turns]
        assert [said == ["text"] for said, is_result in zip(reasons, results, strict=True) if is_result] == [True]


def test_a_model_that_calls_no_functions_is_not_asked_and_the_status_says_so(
    shared: Path, tmp_path: Path, reasoning: Run
) -> None:
    with relaying(tmp_path) as gateway:
        gateway.change("coding", closed=None, tools=False, window_tokens=400_000)
        for request in recorded(shared):
            assert b"event: message_stop" in replay(gateway, request)
        assert [json.loads(one.body) for one in gateway.original.received] == [one["body"] for one in recorded(shared)]
        assert gateway.model.received == []
        record = gateway.client.get("/stats").json()
        reasons = record["model_types"]["coding"]["by_source"]["original"]["reasons"]
        why = "carries tools, and the model calls no functions"
        assert reasons == {why: len(recorded(shared))}
        shown = reasoning("gateway", "status", "--port", gateway.url.rpartition(":")[2]).stdout
        assert f"{len(recorded(shared))} {why}" in shown
        assert "calls with tools go to the original" in shown
        assert "reasoning config set coding.tools true" in " ".join(shown.split())
        gateway.change("coding", tools=True)
        shown = reasoning("gateway", "status", "--port", gateway.url.rpartition(":")[2]).stdout
        assert "calls with tools go" not in shown


def claude(gateway: Served, folder: Path, prompt: str) -> Json:
    """Run the program headless in a home of its own; its answer."""
    program = os.environ.get(VARIABLE) or shutil.which("claude")
    if program is None:
        pytest.skip(f"no `claude` on the PATH, and ${VARIABLE} is not set")
    work, home = folder / "project", folder / "claude-home"
    work.mkdir()
    home.mkdir()
    (work / "hello.txt").write_text(SECRET + "\n")
    done = subprocess.run(
        [program, "-p", prompt, "--output-format", "json", "--allowedTools", "Read"],
        cwd=work,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANTHROPIC_BASE_URL": gateway.url,
            "ANTHROPIC_API_KEY": "sk-ant-dummy",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: Json = json.loads(done.stdout)
    assert found["is_error"] is False
    return found


def test_the_program_reads_a_file_because_our_model_said_so(tmp_path: Path) -> None:
    with sandboxed(tmp_path, window_tokens=400_000, deadline_seconds=20.0) as gateway:
        answer = claude(gateway, tmp_path, "Use the Read tool to read hello.txt and tell me what it says.")
        assert SECRET in answer["result"]
        assert (answer["num_turns"], answer["stop_reason"]) == (2, "end_turn")
        first, second = gateway.samples(2)
        assert (first.source, first.decision, second.source) == ("slot", "Read", "slot")
        usage = answer["usage"]
        assert usage["input_tokens"] == (first.prompt_tokens or 0) + (second.prompt_tokens or 0)
        assert [one.target for one in gateway.original.asked("messages")] == []


def test_the_program_talks_to_the_original_when_our_model_calls_no_functions(tmp_path: Path) -> None:
    with relaying(tmp_path) as gateway:
        gateway.change("coding", closed=None, tools=False, window_tokens=400_000)
        answer = claude(gateway, tmp_path, "Say something.")
        assert answer["result"] == "A plain answer of the original."
        assert gateway.model.received == []
