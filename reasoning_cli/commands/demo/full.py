"""The long tour: from the log of an agent to a better model in the slot, by real commands with their real output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from reasoning_cli.commands.demo.gateway import running_gateway
from reasoning_cli.commands.demo.provider import Agent, original_provider
from reasoning_cli.commands.demo.synthetic_agent import agent_log, make_decisions

if TYPE_CHECKING:
    from collections.abc import Callable

    from reasoning_cli.terminal.console import Terminal

LOGS = "agent-logs.jsonl"
TYPE = "should-respond"
# The original is wrong about one in twenty: what learns from it cannot be right about all.
NOISE = 0.05
PAST, LIVE = 700, 3000
MODEL = "MODEL"  # stands for the name of what was trained
GATEWAY, AGENT = "gateway serve", "the agent"


def steps() -> tuple[tuple[str, str], ...]:
    """Why, and what is typed, in order."""
    return (
        ("An agent's past decisions: whom to answer, whom to leave alone.", f"data import {LOGS}"),
        ("A small model for them, in the slot: what costs runs from here on.", f"models deploy {TYPE} --yes"),
        ("Nobody is to get its answers yet.", f"models enable {TYPE} --mode shadow"),
        ("Put the agent behind the gateway.", GATEWAY),
        ("Is the small model any good?", f"train compare {TYPE}"),
        ("No. What would it take to train a better one?", f"train init {TYPE}"),
        ("Train it.", f"train start {TYPE} --split 0.8/0.2 --yes"),
        ("Bring it up as a shadow of the other.", f"models deploy {MODEL} --as {TYPE} --canary 0 --yes"),
        ("Ask both what neither has seen.", f"train eval {TYPE} --model {MODEL} --model {TYPE}"),
        ("Let it in if it passes the gate: shadow, 10 %, 50 %, all.", f"train promote {TYPE} --yes"),
        ("What was that?", f"train history {TYPE}"),
        ("Who answered the agent?", "gateway stats --since 1h"),
        ("Stop what costs.", "models undeploy --all --yes"),
        ("The bill.", "costs report"),
    )


def show_full(
    terminal: Terminal, show: Callable[[str, str, Mapping[str, str]], None], folder: Path, environ: dict[str, str]
) -> None:
    """All of it in `folder`. `show` types a command; while a candidate is rolled out, the agent asks on."""
    past = list(make_decisions(PAST, seed=1, noise=NOISE, planning=False))
    live = list(make_decisions(LIVE, seed=2, noise=NOISE, planning=False))
    (folder / LOGS).write_text(agent_log(iter(past)), encoding="utf-8")
    with original_provider(live) as original:
        environ = environ | {"REASONING_GATEWAY_OPENAI_UPSTREAM": original, "REASONING_DEPLOY_IDLE_MINUTES": "0"}
        plan = iter(steps())
        for why, typed in plan:
            if typed == GATEWAY:
                break
            show(why, typed, environ)
        with running_gateway(terminal, why, GATEWAY, folder, environ, beside=True) as base:
            agent = Agent(base, cycle(live))
            agent.ask(100, until=Event())
            terminal.print(f"The agent asked {agent.asked} times, and got the original's answers.")
            terminal.print()
            for why, typed in plan:
                typed = typed.replace(MODEL, _trained(folder, environ)) if MODEL in typed else typed
                if typed.startswith("train promote"):
                    with agent.at_work():
                        show(why, typed, environ)
                    terminal.print(f"Meanwhile the agent asked on: {agent.asked} times, {agent.failed} errors.")
                    terminal.print()
                else:
                    show(why, typed, environ)


def _trained(folder: Path, environ: Mapping[str, str]) -> str:
    """The name of the model that was trained."""
    command = [sys.executable, "-m", "reasoning_cli", "train", "list", "--json"]
    done = subprocess.run(
        command, cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return str(json.loads(done.stdout)[0]["model"])
