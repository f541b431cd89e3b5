"""What the tests with official clients share: a gateway whose models are the sandbox's, and tools in each dialect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from reasoning_cli.sandbox.server import SandboxServer
from reasoning_cli.values import MODEL_TYPES
from tests.gateway import canned
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served, served
from tests.sandbox.conftest import CODING, Api

Json = dict[str, Any]
# What a message asks for, and the answer of the sandbox's model or the original's.
CODE = "Write a Python function that returns the first number below a limit."
TWO_FILES = "Read app.py and lib.py and explain the code."
ONE_FILE = "Read app.py and explain the code."

_PATH = {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}
_NOTHING = {"type": "object", "properties": {}}
READ = ("Read", "Reads a file", _PATH)
BASH = ("Bash", "Runs a command", {"type": "object", "properties": {"command": {"type": "string"}}})
STATUS = ("get_status", "Says how things are", _NOTHING)
TOOLS = (READ, BASH, STATUS)


def anthropic_tools() -> list[Json]:
    return [{"name": name, "description": text, "input_schema": schema} for name, text, schema in TOOLS]


def chat_tools() -> list[Json]:
    return [
        {"type": "function", "function": {"name": name, "description": text, "parameters": schema}}
        for name, text, schema in TOOLS
    ]


def responses_tools() -> list[Json]:
    return [
        {"type": "function", "name": name, "description": text, "parameters": schema, "strict": False}
        for name, text, schema in TOOLS
    ]


@contextmanager
def sandboxed(folder: Path, **changes: Any) -> Iterator[Served]:
    """A gateway whose three slots are at a coding model of the sandbox that calls functions."""
    with SandboxServer(speed=Decimal(0)) as server:
        api = Api(server.url)
        with api.http:
            api.serving(CODING)
        there = {"url": f"{server.url}/v1", "api_key": "sandbox-key", "model": "sandbox/decisions", "tools": True}
        with served(folder) as gateway:
            for model_type in MODEL_TYPES:
                gateway.change(model_type, **{**there, **changes})
            yield gateway


@contextmanager
def relaying(folder: Path) -> Iterator[Served]:
    """A gateway with all slots closed, before an original that counts tokens too."""
    with served(folder, slots=False) as gateway:
        gateway.original.handler = original
        yield gateway


async def original(request: Received, answering: Answering) -> None:
    """An original that counts tokens too."""
    path = request.target.partition("?")[0]
    if path.endswith("/count_tokens"):
        await answering.whole(200, {"input_tokens": 42})
    else:
        await canned.original(request, answering)
