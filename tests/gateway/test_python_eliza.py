"""Python elizaOS 2.0, the runtime itself, at each of its validation levels: no message unanswered because of us."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.gateway import canned
from tests.gateway.provider import Answering, Received
from tests.gateway.pythons import python_with
from tests.gateway.serving import served
from tests.waiting import until

PACKAGES = ("elizaos==2.0.0a5", "elizaos-plugin-openai==2.0.0a5", "elizaos-plugin-inmemorydb==2.0.0a5")
LEVELS = ("default", "trusted", "progressive", "strict")
AGENT = Path(__file__).with_name("eliza_py_agent.py")
MESSAGES = 3


@pytest.fixture(scope="module")
def python() -> Path:
    return python_with(*PACKAGES)


def told(python: Path, level: str, url: str) -> list[dict[str, object]]:
    """What became of the agent's messages."""
    done = subprocess.run(
        [python, AGENT, level],
        env={
            "PATH": os.environ["PATH"],
            "OPENAI_API_KEY": "sk-dummy",
            "OPENAI_BASE_URL": f"{url}/v1",
            "NO_PROXY": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"answered"')]
    assert len(lines) == MESSAGES, done.stdout[-2000:] + done.stderr[-2000:]
    return lines


async def original(request: Received, answering: Answering) -> None:
    """A good model: it echoes whatever code its prompt asks for."""
    if not request.target.endswith("/chat/completions"):
        await answering.whole(404, {"error": {"message": "nothing is here"}})
        return
    prompt = canned.last_text(request.json)
    block = prompt[prompt.rfind("<output>") :]
    codes = {
        "initial": re.findall(r"^initial code: (\S+)", prompt)[0],
        "middle": re.findall(r"^middle code: (\S+)", prompt, re.MULTILINE)[-1],
        "end": re.findall(r"^end code: (\S+)", prompt, re.MULTILINE)[-1],
    }
    marks = [f"<{tag}>{codes[part]}</{tag}>" for tag, part in re.findall(r"<(\w+?_(initial|middle|end)_code)>", block)]
    marks += [f"<{tag}>{code}</{tag}>" for tag, code in re.findall(r"<(code_\w+)>output exactly: (\S+?)</", block)]
    fields = "<thought>Hm.</thought><actions>REPLY</actions><providers></providers><text>From the original.</text>"
    await answering.whole(200, canned.chat_answer(f"<response>{''.join(marks)}{fields}</response>"))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("slots", [False, True], ids=["original", "slot"])
def test_no_message_goes_unanswered(python: Path, tmp_path: Path, level: str, slots: bool) -> None:
    with served(tmp_path, slots=slots) as gateway:
        gateway.original.handler = original
        said = "Hello from the model ✨ <3" if slots else "From the original."
        assert told(python, level, gateway.url) == [{"answered": True, "text": said}] * MESSAGES
        samples = gateway.samples(MESSAGES)
        assert [(one.model_type, one.source) for one in samples] == [
            ("planning", "slot" if slots else "original")
        ] * MESSAGES
        until(lambda: gateway.gateway.figures.in_flight == 0, "the end of all calls")
        assert len(gateway.original.asked("chat")) == (0 if slots else MESSAGES)  # and nothing was asked twice
