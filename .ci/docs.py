"""The parts of the documentation that the program knows best: its commands, settings, exit codes, files and screens.

They are committed, so that they can be read without a build; a test fails when one is not what the program says.

    python .ci/docs.py              # write the reference and draw the screens anew, in docs/
    python .ci/docs.py FOLDER       # the same, elsewhere
    python .ci/docs.py --reference  # the reference alone, which takes a second
"""

from __future__ import annotations

import dataclasses
import gzip
import inspect
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from reasoning_cli import settings
from reasoning_cli.app import ENTRIES, app
from reasoning_cli.errors import EXIT_CODE_MEANINGS
from reasoning_cli.values import MODEL_TYPES, spell_model_type

WIDTH = 100
EXAMPLE_LOG = "agent-logs.jsonl.gz"
# What is typed on the day that the screens show, in order: two models run since the morning, inside a budget.
MORNING = (
    "costs set-budget 100",
    "models deploy planning --dry-run",
    "models deploy should-respond --yes --idle-minutes 0",
    "models deploy planning --yes --idle-minutes 0",
)
EVENING = (
    "models status",
    "models deploy coding --yes",
    "costs report",
    "models stop planning --yes",
)
SCREENS = {
    "day": ("models status", "models deploy coding --yes", "costs report"),
    "plan": ("models deploy planning --dry-run",),
    "stop": ("models stop planning --yes",),
}
AT_ONCE = ("provisioning_seconds", "scaling_seconds", "stopping_seconds")
HOURS = 7  # of a working day
PER_HOUR = {"should-respond": 420, "planning": 260}  # decisions


def pages() -> dict[str, str]:
    """Every page that is written by the program: its place below docs/, and its text."""
    return {
        "reference/commands.md": _page(
            "Commands",
            "Every listing takes `--format table|json|jsonl|csv|tsv`, `--json` and `-q` (ids only);"
            " [output](output.md) says what a script can rely on.",
            commands(),
            "```{toctree}\n:hidden:\n\n" + "\n".join(f"commands/{name}" for name in ENTRIES) + "\n```",
        ),
        **{f"reference/commands/{name}.md": _command_page(name) for name in ENTRIES},
        "reference/settings.md": _page("Settings", _SETTINGS, setting_table()),
        "reference/exit-codes.md": _page("Exit codes", "What the shell sees when a command ends.", exit_codes()),
        "reference/files.md": _page("Files", _FILES, files(), _FILES_END),
        "reference/gate.md": _page("The gate", _GATE, gate()),
        "reference/library.md": _page("Library", _LIBRARY, library()),
    }


_LIBRARY = """\
The public names of `reasoning_cli` and `reasoning_cli.testing`, with what may be passed and what comes back. They stay
as they are; every other module may change with any version. `AsyncReasoningService` has the methods of
`ReasoningService`, to be awaited. [Decide in process](../guides/library.md) shows them at work."""

_SETTINGS = """\
A flag wins over the environment, the environment over `.env` in the working folder, that over the settings file, and
the settings file over the default. `reasoning config` shows each value and which of these won; `reasoning config path`
prints where the file is. Each setting `group.name` is also the variable `REASONING_GROUP_NAME`.

`TYPE` stands for `should_respond`, `planning` or `coding`; a variable has it in capitals. Where the three differ, their
defaults stand in this order.

An address that only `.env` in the working folder names gets no key from elsewhere: put its key beside it, or adopt the
address with `reasoning config set`. `http://` to another machine needs `--allow-plain-http`,
`REASONING_ALLOW_PLAIN_HTTP` or `network.allow_plain_http`, and no `.env` can set these. With `--sandbox` neither the
environment nor `.env` is read."""

_FILES = """\
On Linux these are the places; elsewhere the platform's own. `REASONING_HOME=FOLDER` puts everything into one folder.
Files are mode 0600, folders made by the program 0700."""

_FILES_END = """\
Exports (each with its manifest), archives and copies of the database are written where you say, with mode 0600 too.

To uninstall, delete these folders and the package."""

_GATE = """\
A model has to pass these rules before `reasoning train promote` lets it take over; see
[train and promote](../guides/train.md#let-it-take-over). `--gate FILE` names a TOML file with other values, for all
types or in a table of one type."""


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((f"% Written by .ci/docs.py from the program; do not edit.\n\n# {title}", *parts)) + "\n"


def _commands_of(name: str) -> Iterator[tuple[str, Any]]:
    """The commands below an entry of the first screen, and what each is called."""
    root = get_command(app)
    root.load(name)
    group = root.commands[name]
    if not ENTRIES[name].is_group or group.invoke_without_command:
        yield name, group
    for verb, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {verb} {below}", subcommand) for below, subcommand in command.commands.items())
        else:
            yield f"{name} {verb}", command


def commands() -> str:
    """A table of every command, its arguments and what it does, each leading to its help."""
    lines = ["| command | what it does |", "| --- | --- |"]
    for name in ENTRIES:
        for typed, command in _commands_of(name):
            words = " ".join(("reasoning", typed, *_arguments(command))).replace("|", "\\|")
            anchor = f"commands/{name}.md#{_anchor(typed)}"
            lines.append(f"| [`{words}`]({anchor}) | {_first_sentence(command.help or ENTRIES[name].help)} |")
    return "\n".join(lines)


def _arguments(command: Any) -> list[str]:
    if hasattr(command, "commands"):
        return []
    return [param.human_readable_name for param in command.params if param.param_type_name == "argument"]


def _anchor(typed: str) -> str:
    return f"reasoning-{typed.replace(' ', '-')}"


def _command_page(name: str) -> str:
    """The help of every command of a group, as the program prints it."""
    parts = [ENTRIES[name].help]
    for typed, _ in _commands_of(name):
        parts.append(f"## reasoning {typed}\n\n```text\n{_help(typed)}\n```")
    return _page(f"reasoning {name}", *parts)


def _help(typed: str) -> str:
    shown = CliRunner().invoke(app, [*typed.split(), "--help"], prog_name="reasoning", terminal_width=WIDTH)
    assert shown.exit_code == 0, shown.output
    return shown.output.rstrip()


def setting_table() -> str:
    """A table of every setting: name, default, variables, meaning; those of the three types once."""
    lines = ["| setting | default | also read from | what it is |", "| --- | --- | --- | --- |"]
    for group in _same_for_each_type():
        setting = group[0]
        defaults = list(
            dict.fromkeys("" if member.default is None else f"`{_plain(member.default)}`" for member in group)
        )
        name, others, meaning = (
            setting.name,
            ", ".join(f"`{variable}`" for variable in setting.variables[1:]),
            setting.help,
        )
        if len(group) > 1:
            model_type = name.partition(".")[0]
            name = name.replace(model_type, "TYPE")
            others = others.replace(model_type.upper(), "TYPE")
            meaning = meaning.replace(spell_model_type(model_type), "TYPE")
        lines.append(f"| `{name}` | {', '.join(defaults)} | {others} | {meaning} |".replace("  ", " "))
    return "\n".join(lines)


def _same_for_each_type() -> list[list[settings.Setting[Any]]]:
    """Settings, those that each model type has put together."""
    found: dict[str, list[settings.Setting[Any]]] = {}
    for setting in settings.ALL:
        group, _, name = setting.name.partition(".")
        found.setdefault(f"TYPE.{name}" if group in MODEL_TYPES else setting.name, []).append(setting)
    return list(found.values())


def files() -> str:
    """A table of what the program writes, and where."""
    from reasoning_cli.paths import Paths

    paths = Paths(Path("~/.config/reasoning/config.toml"), Path("~/.local/share/reasoning"), Path("~/.cache/reasoning"))
    sandbox, profile = paths.sandbox(), paths.of_profile("NAME")
    rows = [
        ("settings, with the API key if you let `setup` keep it", paths.config_file),
        ("prices of the original providers", paths.config_file.with_name("prices.toml")),
        ("samples, ledger, deployments, events (`store.path`, or `--db FILE` for one call)", paths.database),
        ("decisions that wait for a store on PostgreSQL that is away", f"{paths.database}.spool"),
        ("what a gateway last saw of its slots in such a store", f"{paths.database}.slots"),
        ("the database before an upgrade", f"{paths.database}.schema-N.bak"),
        ("the database before `data restore`", f"{paths.database}.before-restore-TIME"),
        ("what has arrived of unfinished uploads, with signed addresses", f"{paths.uploads}/"),
        ("what a training run is about to send, and the manifest of what it sent", f"{paths.data_dir}/training/"),
        ("lines of imports that could not be read", f"{paths.data_dir}/rejects/"),
        ("names offered on TAB", paths.names_cache),
        ("state of the sandbox", paths.sandbox_state),
        ("settings, ledger and samples of the sandbox", f"{sandbox.data_dir}/"),
        ("a profile: settings", profile.config_file),
        ("a profile: everything else", f"{profile.data_dir}/"),
    ]
    return "\n".join(["| what | where |", "| --- | --- |", *(f"| {what} | `{where}` |" for what, where in rows)])


def library() -> str:
    """The public names: signatures of the services, fields of what is given back, errors."""
    import reasoning_cli
    from reasoning_cli import testing

    names = [name for name in dir(reasoning_cli) if not name.startswith("__")]
    found = {name: getattr(reasoning_cli, name) for name in names}
    errors = {name: value for name, value in found.items() if isinstance(value, type) and issubclass(value, Exception)}
    data = {name: value for name, value in found.items() if dataclasses.is_dataclass(value)}
    parts = [_documented("ReasoningService", found["ReasoningService"]), "Its methods:"]
    for name, method in vars(found["ReasoningService"]).items():
        if not name.startswith("_"):
            function = method.__func__ if isinstance(method, classmethod) else method
            parts.append(_documented(f"{name}{_signature(function)}", function, level=3))
    export = found["ReasoningService"].__init__.__globals__["Samples"].export
    parts.append(_documented(f"samples.export{_signature(export)}", export, level=3))
    parts.append("## What comes back, and what is passed")
    for name, value in data.items():
        fields = "\n".join(f"- `{field.name}`: `{field.type}`" for field in dataclasses.fields(value))
        parts += [_documented(name, value, level=3), fields]
    parts.append("## Errors")
    parts.append("\n".join(f"- `{name}` ({value.__base__.__name__}): {_said(value)}" for name, value in errors.items()))
    parts.append("## For other implementations")
    for name in ("DecisionService", "open_service"):
        value = found[name]
        parts.append(_documented(name if isinstance(value, type) else f"{name}{_signature(value)}", value, level=3))
    for name in ("check_service", "check_engine", "NotConforming"):
        value = getattr(testing, name)
        shown = name if isinstance(value, type) else f"{name}{_signature(value)}"
        parts.append(_documented(f"testing.{shown}", value, level=3))
    return "\n\n".join(parts)


def _documented(title: str, value: object, level: int = 2) -> str:
    name, _, rest = title.partition("(")
    code = f"```text\n{title}\n```\n\n" if rest else ""
    return f"{'#' * level} {name}\n\n{code}{_said(value)}"


def _said(value: object) -> str:
    """A docstring as paragraphs of a page."""
    said = inspect.getdoc(value) or ""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in said.split("\n\n"))


def _signature(function: Callable[..., object]) -> str:
    """What may be passed, with defaults, without the types that docstrings explain."""
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    shown = str(inspect.Signature(parameters))
    return re.sub(r"Scope\([^)]*\)", "Scope()", shown)


def gate() -> str:
    """A table of the rules a model has to hold to be promoted, with their defaults."""
    from reasoning_cli.operations.evaluate.gate_rules import DEFAULTS, MEANINGS

    lines = [f"| rule | {' | '.join(DEFAULTS)} | what it says |", f"| --- |{' --- |' * len(DEFAULTS)} --- |"]
    for name, meaning in MEANINGS.items():
        defaults = [getattr(default, name) for default in DEFAULTS.values()]
        shown = " | ".join("deadline" if default is None else f"{default:g}" for default in defaults)
        lines.append(f"| `{name}` | {shown} | {meaning} |")
    return "\n".join(lines)


def exit_codes() -> str:
    """A table of what the shell sees."""
    rows = [f"| {code.value} | {meaning} |" for code, meaning in EXIT_CODE_MEANINGS.items()]
    return "\n".join(["| code | meaning |", "| --- | --- |", *rows])


def drawings() -> dict[str, str]:
    """Every screen as SVG: real commands and their real output, on a sandbox whose clock moves only when told."""
    shown = dict(_day())
    return {f"screens/{name}.svg": _draw({typed: shown[typed] for typed in lines}) for name, lines in SCREENS.items()}


def _draw(shown: dict[str, str]) -> str:
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for typed, output in shown.items():
        console.print(Text.assemble(("$ ", "bold green"), (f"reasoning {typed}", "bold")))
        console.print(Text.from_ansi(output.rstrip("\n")))
        console.print()
    return console.export_svg(title="reasoning", unique_id="reasoning")


def _day() -> list[tuple[str, str]]:
    """A day of an agent: what was typed in the morning and at its end, and what that printed."""
    import httpx

    from reasoning_cli.sandbox.server import SandboxServer

    start = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as home, SandboxServer(speed=0, start=start) as server:

        def advance(seconds: float) -> None:
            httpx.post(f"{server.url}/_sandbox/clock", json={"advance_seconds": seconds})

        httpx.post(f"{server.url}/_sandbox/behaviour", json=dict.fromkeys(AT_ONCE, 0))
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

        shown = []
        for line in MORNING:
            shown.append((line, typed(line)))
            advance(900)  # what costs the same would come in any order
        with httpx.Client(headers={"Authorization": "Bearer sandbox-key"}) as agent:
            for _ in range(HOURS):
                advance(3540)
                for name, count in PER_HOUR.items():
                    body = {"model": f"sandbox/{name}", "messages": [{"role": "user", "content": "hello"}]}
                    for _ in range(count):
                        agent.post(f"{server.url}/v1/chat/completions", json=body).raise_for_status()
                advance(60)
        return [*shown, *((line, typed(line)) for line in EVENING)]


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split()).replace("|", "\\|")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def example_log() -> str:
    """Decisions of a made-up agent, as ElizaOS logs them, to try things on: the README and the tutorial import them."""
    from reasoning_cli.commands.demo.synthetic_agent import agent_log, make_decisions

    return agent_log(make_decisions(400, until=datetime(2026, 11, 21, 9, 0, tzinfo=UTC)))


def write(folder: Path, *, screens: bool = True) -> None:
    """Write every page and draw every screen below `folder`."""
    found = pages() | (drawings() if screens else {})
    for name, text in found.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    if screens:
        (folder / EXAMPLE_LOG).write_bytes(gzip.compress(example_log().encode(), mtime=0))


if __name__ == "__main__":
    typed = sys.argv[1:]
    places = [argument for argument in typed if not argument.startswith("-")]
    root = Path(places[0]) if places else Path(__file__).parents[1] / "docs"
    write(root, screens="--reference" not in typed)
