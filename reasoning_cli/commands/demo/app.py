"""The tour: real commands with their real output, on a sandbox of their own that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import typed
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.commands.demo.programs import ENDS, running
from reasoning_cli.errors import ExitCode, ReasoningError
from reasoning_cli.values import parse_speed

if TYPE_CHECKING:
    from reasoning_cli.commands.demo.synthetic_agent import Made
    from reasoning_cli.terminal.console import Terminal

app = typer.Typer(rich_markup_mode=None)

SPEED, SPEED_OF_FULL = Decimal(60), Decimal(90)
LOGS = "agent-logs.jsonl"
PAST = 1600  # messages the agent had before, of enough rooms for a head to be proven on
GATEWAY = "gateway serve"
HEAD = "HEAD"  # in what is typed: the head that was trained
_PAUSE_SECONDS = 0.5  # on a terminal, after each step: to be read


@dataclass(frozen=True)
class Step:
    """One command of the tour: why, what is typed, and how it must end."""

    why: str
    typed: str
    ends: ExitCode = ExitCode.OK
    needs_head: bool = False


STEPS = (
    Step("Is everything in place?", "doctor --offline"),
    Step("Set a limit first.", "costs set-budget 20"),
    Step("What would a deploy do, and cost?", "models deploy planning --dry-run"),
    Step("Do it.", "models deploy planning --yes"),
    Step("What runs?", "models status"),
    Step("Take in what the agent decided so far.", f"data import {LOGS}"),
    Step("Is that enough to learn from?", "data stats"),
    Step(
        "What can be decided here, for nothing?",
        "train start should-respond --engine head --max-error 5",
        needs_head=True,
    ),
    Step("What does that save?", "costs compare should-respond --baseline gpt-4o", needs_head=True),
    Step("Let it answer what it has proven.", f"models enable {HEAD} --mode live", needs_head=True),
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
    from reasoning_cli.commands.demo.gateway import LATER, show_gateway
    from reasoning_cli.commands.demo.synthetic_agent import agent_log, make_decisions
    from reasoning_cli.operations.sandbox import KEY, ORIGINAL_PATH, start_sandbox, stop_sandbox

    terminal = session_of(ctx).terminal
    times = typed(parse_speed, speed, "--speed 60") if speed else SPEED_OF_FULL if full else SPEED
    for end in ENDS - {signal.SIGINT}:  # a closed window must not leave a sandbox running
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
            ends = datetime.now(UTC) + LATER * timedelta(minutes=4)  # so that the past ends now
            past, later = _past_and_later(make_decisions(PAST + LATER, apart=True, until=ends))
            (home / LOGS).write_text(agent_log(iter(past)), encoding="utf-8")
            for step in steps_of(terminal):
                if step.typed == GATEWAY:
                    show_gateway(terminal, step.why, step.typed, home, environ, later)
                else:
                    _show(terminal, replace(step, typed=_with_head(step.typed, home)), home, environ)
    except KeyboardInterrupt:
        terminal.note("Interrupted. Nothing is left behind.")
        raise
    finally:
        stop_sandbox(state)
        shutil.rmtree(home, ignore_errors=True)
    terminal.note("That was all of it, and nothing is left behind. For your own models: `reasoning setup`")
    terminal.note("To go on trying for free: `reasoning --sandbox models deploy planning`")


def _past_and_later(made: Iterable[Made]) -> tuple[list[Made], list[Made]]:
    """What the agent decided about its first `PAST` messages, and what it decides from then on, in the same rooms."""
    past: list[Made] = []
    messages, rest = 0, iter(made)
    for decision in rest:
        messages += decision.model_type == "should_respond"
        if messages > PAST:
            return past, [decision, *rest]
        past.append(decision)
    return past, []


def steps_of(terminal: Terminal) -> tuple[Step, ...]:
    """The steps of the tour; without those of a head where what trains one is not installed."""
    from importlib.util import find_spec

    if find_spec("sklearn") is not None:
        return STEPS
    terminal.note("Without scikit-learn, this goes without a head: `pip install 'reasoning[head]'` brings it.\n")
    return tuple(step for step in STEPS if not step.needs_head)


def _with_head(typed: str, home: Path) -> str:
    """What is typed, with the name of the head that was trained."""
    if HEAD not in typed:
        return typed
    return typed.replace(HEAD, f"head/{next(home.rglob('*.head')).stem}")


def _show(terminal: Terminal, step: Step, folder: Path, environ: Mapping[str, str]) -> None:
    terminal.print(f"# {step.why}")
    terminal.print(f"$ reasoning {step.typed}")
    command = [sys.executable, "-m", "reasoning_cli", *step.typed.split()]
    with running(command, cwd=folder, env=environ) as process:
        ended = process.wait()
    if ended != step.ends:
        raise ReasoningError(f"the tour broke off: that ended with {ended}, not {step.ends}", "`reasoning doctor`")
    terminal.print()
    if terminal.out_is_terminal:
        time.sleep(_PAUSE_SECONDS)


def _steers_us(name: str) -> bool:
    """Whether a variable would bring the operator's own settings into the tour."""
    return name.startswith(("REASONING_", "CUSTOM_REASONING_", "TOGETHER_", "ANTHROPIC_PROXY_"))
