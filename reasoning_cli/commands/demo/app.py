"""The tour: real commands with their real output, on a sandbox of their own that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import typed
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.commands.demo.programs import not_outliving
from reasoning_cli.errors import ExitCode, ReasoningError
from reasoning_cli.values import parse_speed

if TYPE_CHECKING:
    from reasoning_cli.terminal.console import Terminal

app = typer.Typer(rich_markup_mode=None)

SPEED, SPEED_OF_FULL = Decimal(60), Decimal(90)
LOGS = "agent-logs.jsonl"
PAST = 400  # messages the agent had before
GATEWAY = "gateway serve"


@dataclass(frozen=True)
class Step:
    """One command of the tour: why, what is typed, and how it must end."""

    why: str
    typed: str
    ends: ExitCode = ExitCode.OK


STEPS = (
    Step("Is everything in place?", "doctor --offline"),
    Step("Set a limit first.", "costs set-budget 20"),
    Step("What would a deploy do, and cost?", "models deploy planning --dry-run"),
    Step("Do it.", "models deploy planning --yes"),
    Step("What runs?", "models status"),
    Step("Take in what the agent decided so far.", f"data import {LOGS}"),
    Step("Is that enough to learn from?", "data stats"),
    Step("A file to fine-tune on.", "data export -m planning -o planning.jsonl"),
    Step("Try to break the limit.", "models deploy coding --yes", ExitCode.LIMIT),
    Step("Let an agent's calls through the gateway.", GATEWAY),
    Step("Who answered?", "gateway stats --since 1h"),
    Step("Stop what costs.", "models undeploy planning --yes"),
    Step("The bill.", "costs report"),
)


@app.command()
def demo(
    ctx: typer.Context,
    full: Annotated[
        bool, typer.Option("--full", help="From an agent's log to a better model in its place, in two minutes.")
    ] = False,
    speed: Annotated[
        str | None, typer.Option("--speed", hidden=True, help="How fast the sandbox's clock runs.")
    ] = None,
) -> None:
    """See all of it in 30 seconds, on a sandbox, free. Leaves nothing behind."""
    from reasoning_cli.commands.demo.full import show_full
    from reasoning_cli.commands.demo.gateway import show_gateway
    from reasoning_cli.commands.demo.synthetic_agent import agent_log, make_decisions
    from reasoning_cli.operations.sandbox import KEY, ORIGINAL_PATH, start_sandbox, stop_sandbox

    terminal = session_of(ctx).terminal
    times = typed(parse_speed, speed, "--speed 60") if speed else SPEED_OF_FULL if full else SPEED
    for end in (signal.SIGTERM, signal.SIGHUP):  # a closed window must not leave a sandbox running
        signal.signal(end, signal.getsignal(signal.SIGINT))
    home = Path(tempfile.mkdtemp(prefix="reasoning-demo-"))
    state = home / "sandbox.json"
    try:
        sandbox = start_sandbox(state, times)
        terminal.note(f"A tour on a sandbox whose clock runs {times:f} times as fast. Nothing costs money.\n")
        environ = {
            **{name: value for name, value in os.environ.items() if not _steers_us(name)},
            "REASONING_HOME": str(home / "home"),
            "TOGETHER_API_KEY": KEY,
            "TOGETHER_BASE_URL": sandbox.url,
            "REASONING_GATEWAY_OPENAI_UPSTREAM": f"{sandbox.url}{ORIGINAL_PATH}",
            "REASONING_DEPLOY_POLL_SECONDS": "0.25",
            "PYTHONUNBUFFERED": "1",
        }
        if full:
            show_full(
                terminal, lambda why, typed, environ: _show(terminal, Step(why, typed), home, environ), home, environ
            )
        else:
            (home / LOGS).write_text(agent_log(make_decisions(PAST)), encoding="utf-8")
            for step in STEPS:
                if step.typed == GATEWAY:
                    show_gateway(terminal, step.why, step.typed, home, environ)
                else:
                    _show(terminal, step, home, environ)
    except KeyboardInterrupt:
        terminal.note("Interrupted. Nothing is left behind.")
        raise
    finally:
        stop_sandbox(state)
        shutil.rmtree(home, ignore_errors=True)
    terminal.note("That was all of it, and nothing is left behind. For your own models: `reasoning setup`")
    terminal.note("To go on trying for free: `reasoning --sandbox models deploy planning`")


def _show(terminal: Terminal, step: Step, folder: Path, environ: Mapping[str, str]) -> None:
    terminal.print(f"# {step.why}")
    terminal.print(f"$ reasoning {step.typed}")
    command = [sys.executable, "-m", "reasoning_cli", *step.typed.split()]
    # Ctrl-C waits until the command itself can take it: Python, while it starts, answers with a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with not_outliving(process):
        ended = process.wait()
    if ended != step.ends:
        raise ReasoningError(f"the tour broke off: that ended with {ended}, not {step.ends}", "`reasoning doctor`")
    terminal.print()
    if terminal.out_is_terminal:
        time.sleep(1)  # to be read


def _steers_us(name: str) -> bool:
    """Whether a variable would bring the operator's own settings into the tour."""
    return name.startswith(("REASONING_", "CUSTOM_REASONING_", "TOGETHER_", "ANTHROPIC_PROXY_"))
