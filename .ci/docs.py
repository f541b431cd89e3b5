"""The parts of the README that the program knows best: its commands, settings, exit codes, and a picture of it.

The README calls these in comments (`cog`), and a test fails when what stands there is not what the program says.

    python -m cogapp -r -I .ci README.md     # write the tables anew
    python .ci/docs.py docs/screen.svg       # draw the picture anew
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from typer.main import get_command

from reasoning_cli import settings
from reasoning_cli.app import ENTRIES, app
from reasoning_cli.errors import EXIT_CODE_MEANINGS

WIDTH = 100
# What has happened before the picture begins: two models have run since the morning, inside a budget.
BEFORE = (
    "costs set-budget 100",
    "models deploy should-respond --yes --idle-minutes 0",
    "models deploy planning --yes --idle-minutes 0",
)
PICTURE = (
    "models status",
    "models deploy coding --yes",
    "costs report",
)
HOURS = 7  # of a working day
PER_HOUR = {"should-respond": 420, "planning": 260}  # decisions


def commands() -> str:
    """A table of every command, its arguments and what it does."""
    root = get_command(app)
    lines = ["| command | what it does |", "| --- | --- |"]
    for name, entry in ENTRIES.items():
        root.load(name)
        group = root.commands[name]
        if not entry.is_group:
            lines.append(f"| `reasoning {name}` | {_first_sentence(group.help)} |")
            continue
        if group.invoke_without_command:
            lines.append(f"| `reasoning {name}` | {_first_sentence(group.help or entry.help)} |")
        for verb, command in group.commands.items():
            arguments = "".join(
                f" {parameter.human_readable_name}"
                for parameter in command.params
                if parameter.param_type_name == "argument"
            )
            words = f"reasoning {name} {verb}{arguments}".replace("|", "\\|")
            lines.append(f"| `{words}` | {_first_sentence(command.help)} |")
    return "\n".join(lines)


def setting_table() -> str:
    """A table of every setting: name, default, variables, meaning."""
    lines = ["| setting | default | also read from | what it is |", "| --- | --- | --- | --- |"]
    for setting in settings.ALL:
        default = "" if setting.default is None else f"`{_plain(setting.default)}`"
        others = ", ".join(f"`{name}`" for name in setting.variables[1:])
        lines.append(f"| `{setting.name}` | {default} | {others} | {setting.help} |".replace("  ", " "))
    return "\n".join(lines)


def gate() -> str:
    """A table of the rules a model has to hold to be promoted, with their defaults."""
    from reasoning_cli.operations.evaluate.gate_rules import DEFAULTS, MEANINGS

    lines = [f"| rule | {' | '.join(DEFAULTS)} | what it says |", f"| --- |{' --- |' * len(DEFAULTS)} --- |"]
    for name, meaning in MEANINGS.items():
        defaults = [getattr(one, name) for one in DEFAULTS.values()]
        shown = " | ".join("deadline" if one is None else f"{one:g}" for one in defaults)
        lines.append(f"| `{name}` | {shown} | {meaning} |")
    return "\n".join(lines)


def exit_codes() -> str:
    """A table of what the shell sees."""
    rows = [f"| {code.value} | {meaning} |" for code, meaning in EXIT_CODE_MEANINGS.items()]
    return "\n".join(["| code | meaning |", "| --- | --- |", *rows])


def picture() -> str:
    """An SVG of real commands and their real output, on a sandbox whose clock stands still but for us."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for typed, output in _day():
        console.print(Text.assemble(("$ ", "bold green"), (f"reasoning {typed}", "bold")))
        console.print(Text.from_ansi(output.rstrip("\n")))
        console.print()
    return console.export_svg(title="reasoning", unique_id="reasoning")


def _day() -> list[tuple[str, str]]:
    """A day of an agent: what was typed at its end, and what that printed."""
    import httpx

    from reasoning_cli.sandbox.server import SandboxServer

    start = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as home, SandboxServer(speed=0, start=start) as server:

        def advance(seconds: float) -> None:
            httpx.post(f"{server.url}/_sandbox/clock", json={"advance_seconds": seconds})

        httpx.post(f"{server.url}/_sandbox/behaviour", json={"provisioning_seconds": 0, "scaling_seconds": 0})
        environ = {
            "PATH": os.environ["PATH"],
            "REASONING_HOME": home,
            "TOGETHER_API_KEY": "sandbox-key",
            "TOGETHER_BASE_URL": server.url,
            "COLUMNS": str(WIDTH),
            "TZ": "UTC",
            "PYTHONIOENCODING": "utf-8",
        }

        def typed(line: str) -> str:
            command = [sys.executable, "-m", "reasoning_cli", "--color", "always", *line.split()]
            done = subprocess.run(
                command, env=environ, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            return done.stdout.decode()

        for line in BEFORE:
            typed(line)
        with httpx.Client(headers={"Authorization": "Bearer sandbox-key"}) as agent:
            for _ in range(HOURS):
                advance(3540)
                for name, count in PER_HOUR.items():
                    body = {"model": f"sandbox/{name}", "messages": [{"role": "user", "content": "hello"}]}
                    for _ in range(count):
                        agent.post(f"{server.url}/v1/chat/completions", json=body).raise_for_status()
                advance(60)
        return [(line, typed(line)) for line in PICTURE]


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split()).replace("|", "\\|")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(), encoding="utf-8")
