"""The tour's stop at the gateway: a real one on a free port, and a call as an agent sends it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli.commands.demo.programs import running
from reasoning_cli.commands.demo.provider import Agent, original_provider
from reasoning_cli.commands.demo.synthetic_agent import Made, make_decisions, planning_prompt
from reasoning_cli.errors import ReasoningError

if TYPE_CHECKING:
    from reasoning_cli.terminal.console import Terminal

QUESTION = "Ada, how many legs does a spider have?"
LATER = 300  # messages that the agent decides about meanwhile
PLANS = 399  # and as many plans, so that the bill has a price of a thousand


@contextmanager
def running_gateway(
    terminal: Terminal, why: str, typed: str, folder: Path, environ: Mapping[str, str], *, beside: bool = False
) -> Iterator[str]:
    """A gateway on a free port as long as the block runs, `beside` what is typed meanwhile; its base address."""
    terminal.print(f"# {why}")
    terminal.print(f"$ reasoning {typed}{' &' if beside else ''}")
    command = [sys.executable, "-m", "reasoning_cli", *typed.split(), "--port", "0"]
    with running(command, cwd=folder, env=environ, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            found = re.search(r"http://\S+", said)
            if found is None:
                raise ReasoningError(f"the tour broke off: {said}{process.stderr.read()}".strip(), "`reasoning doctor`")
            terminal.print(said.rstrip())
            yield found[0]
        finally:
            process.terminate()


def _more_plans(later: Sequence[Made]) -> Iterator[Made]:
    """As many plans as are missing."""
    there = sum(decision.model_type == "planning" for decision in later)
    made = (decision for decision in make_decisions(4 * PLANS, seed=2) if decision.model_type == "planning")
    return islice(made, PLANS - there)


def show_gateway(
    terminal: Terminal, why: str, typed: str, folder: Path, environ: Mapping[str, str], later: Sequence[Made]
) -> None:
    """Start it, ask it as an OpenAI client would, show who answered what, and end it. Behind it stands a provider that
    knows what the agent decides `later`."""
    from reasoning_cli.gateway.probe import ask_chat

    with (
        original_provider(later) as upstream,
        running_gateway(
            terminal, why, typed, folder, {**environ, "REASONING_GATEWAY_OPENAI_UPSTREAM": upstream}
        ) as base,
    ):
        answer = ask_chat(base, planning_prompt(QUESTION))
        terminal.print(f'The agent, to what it takes for OpenAI at {base}/v1: "{QUESTION}"')
        terminal.print(answer.text)
        who = "your model" if answer.source == "slot" else "the original provider"
        terminal.print(f"Answered by {who} in {answer.milliseconds} ms, with {answer.tokens} tokens.")
        agent = Agent(base, chain(later, _more_plans(later)))
        agent.ask()
        terminal.print(f"The agent asks on: {agent.asked + 1} decisions by now, {agent.failed} errors.")
    terminal.print()
