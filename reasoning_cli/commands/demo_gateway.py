"""The tour's stop at the gateway: a real one on a free port, and a call as an agent sends it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli.commands.demo_agent import planning_prompt
from reasoning_cli.errors import ReasoningError

if TYPE_CHECKING:
    from reasoning_cli.terminal.console import Terminal

QUESTION = "Ada, how many legs does a spider have?"


def show_gateway(terminal: Terminal, why: str, typed: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Start it, ask it as an OpenAI client would, show who answered what, and end it."""
    from reasoning_cli.gateway.reaching import ask_chat

    terminal.print(f"# {why}")
    terminal.print(f"$ reasoning {typed}")
    command = [sys.executable, "-m", "reasoning_cli", *typed.split(), "--port", "0"]
    with subprocess.Popen(
        command, cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            found = re.search(r"http://\S+", said)
            if found is None:
                raise ReasoningError(f"the tour broke off: {said}{process.stderr.read()}".strip(), "`reasoning doctor`")
            terminal.print(said.rstrip())
            answer = ask_chat(found[0], planning_prompt(QUESTION))
            terminal.print(f'The agent, to what it takes for OpenAI at {found[0]}/v1: "{QUESTION}"')
            terminal.print(answer.text)
            who = "your model" if answer.source == "slot" else "the original provider"
            terminal.print(f"Answered by {who} in {answer.milliseconds} ms, with {answer.tokens} tokens.")
        finally:
            process.terminate()
    terminal.print()
