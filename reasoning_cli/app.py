"""The command tree: every group by name, global options, errors to exit codes.

A group's module is imported when the group is used, so that `--help` and `--version` load nothing of ours.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from reasoning_cli import __version__
from reasoning_cli.errors import EXIT_CODE_MEANINGS, DataError, ExitCode, ReasoningError
from reasoning_cli.terminal.console import Color, NobodyReads, Terminal, lead_nowhere


@dataclass(frozen=True)
class Entry:
    """A line of the first screen: where it stands, what it says, whether it is a group of commands."""

    chapter: str
    help: str
    is_group: bool = True


ENTRIES = {
    "setup": Entry("Start", "Choose models, budget and provider, step by step."),
    "demo": Entry("Start", "See all of it in 30 seconds, on a sandbox, free.", is_group=False),
    "doctor": Entry("Start", "Check keys, paths, network, what is left running.", is_group=False),
    "status": Entry("Operate", "One screen: models, money, the guard.", is_group=False),
    "dashboard": Entry("Operate", "The same in your browser, and act there.", is_group=False),
    "models": Entry("Operate", "Deploy, route and stop models."),
    "gateway": Entry("Operate", "Stand between an agent and its provider."),
    "costs": Entry("Operate", "What it costs, limits, automatic shutdown."),
    "data": Entry("Learn", "Collect, look at and export decisions."),
    "train": Entry("Learn", "From the log to a better model."),
    "config": Entry("Adjust", "Show and change settings."),
    "store": Entry("Adjust", "Where samples and costs are kept, and how they get elsewhere."),
    "sandbox": Entry("Adjust", "A stand-in for Together to try things on."),
}


_NO_COMMAND = re.compile("No such command `(.+)`")
_NARROW = 52  # columns of a terminal for which Typer would write help that is wider

COMPLETE_VARIABLE = "_REASONING_COMPLETE"  # set by the scripts in completions/ when TAB is pressed


def command_app(name: str) -> typer.Typer:
    """The commands of `name`, imported now: of a file of that name, or of `app.py` in a folder of it."""
    module = import_module(f"reasoning_cli.commands.{name}")
    if hasattr(module, "__path__"):
        module = import_module(f"reasoning_cli.commands.{name}.app")
    typed: typer.Typer = module.app
    return typed


@cache
def _built(name: str, typed: typer.Typer) -> Any:
    """The command or group of `name`, built once a process: Typer reads every signature of a group to build it, which
    takes longer than most commands."""
    command = get_group(typed) if ENTRIES[name].is_group else get_command(typed)
    command.name = name
    for subcommand in getattr(command, "commands", {}).values():
        subcommand.short_help = re.split(r"\.\s|\n\n", subcommand.help or "")[0].rstrip(".") + "."  # Typer would cut it
    return command


class Root(TyperGroup):
    """Names every command at once, imports one only when it is asked for, and turns errors into exit codes."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in ENTRIES.items():
            self.commands[name] = TyperGroup(name=name, help=entry.help)
        self._loaded: set[str] = set()

    def load(self, name: str) -> None:
        """Put the real command in the place of its name."""
        if name in self._loaded:
            return
        self._loaded.add(name)
        self.commands[name] = _built(name, command_app(name))

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        columns = shutil.get_terminal_size().columns
        if columns < _NARROW:
            extra.setdefault("terminal_width", columns)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if any(not word.startswith("-") for word in args):
            from reasoning_cli.commands._shared.spelling import arrange

            args, lines = arrange(self, args)
            for line in () if ctx.resilient_parsing else lines:
                _terminal(ctx).note(line)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in ENTRIES:
            self.load(args[0])
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        if COMPLETE_VARIABLE in os.environ:
            from reasoning_cli.commands._shared.completion import learn_shells

            learn_shells()
        try:
            code = super().main(
                args, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args, **extra
            )
        except typer.TyperException as error:
            if not standalone_mode:
                raise
            _fail_usage(error)
        except typer.Abort:
            if not standalone_mode:
                raise
            sys.exit(ExitCode.FAILED)
        except SystemExit:
            # Typer's word for a pipe that broke while it wrote help. Nothing was done by then.
            if type(sys.stdout).__name__ == "PacifyFlushWrapper":
                sys.exit(ExitCode.OK)
            raise
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else ExitCode.OK)

    def invoke(self, ctx: Any) -> Any:
        with showing_errors(ctx):
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write_text(self.help)
        formatter.write_paragraph()
        formatter.write_usage(ctx.command_path, "[OPTIONS] COMMAND …")
        for chapter in dict.fromkeys(entry.chapter for entry in ENTRIES.values()):
            with formatter.section(chapter):
                formatter.write_dl([(n.ljust(9), e.help) for n, e in ENTRIES.items() if e.chapter == chapter])
        options = [record for parameter in self.get_params(ctx) if (record := parameter.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(options, col_max=30 if formatter.width >= _NARROW - 2 else 12)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code.value).ljust(7), meaning) for code, meaning in EXIT_CODE_MEANINGS.items()])


@contextlib.contextmanager
def showing_errors(ctx: Any) -> Iterator[None]:
    """Errors of ours become two lines on stderr and an exit code; a bug becomes two as well, its traceback is for
    `--debug`."""
    try:
        yield
    except ReasoningError as error:
        _fail(ctx, error)
    except NobodyReads:
        raise typer.Exit(ExitCode.OK) from None
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (typer.TyperException, typer.Exit, typer.Abort, EOFError):
        raise  # Typer's own business
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_unread():
            raise typer.Exit(ExitCode.OK) from None
        place = f": `{error.filename}`" if error.filename else ""
        _fail(ctx, DataError(f"{error.strerror or error}{place}", "the same command with `--debug` shows where"))
    except Exception as error:
        _fail(
            ctx,
            ReasoningError(
                f"unexpected {type(error).__name__}: {error}",
                "this is a bug; the same command with `--debug` shows where",
            ),
        )


def _is_unread() -> bool:
    """Whether it is stdout that nobody reads any more, and not another pipe: then help was cut short, no work."""
    import select

    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    lead_nowhere(sys.stdout)
    return True


def _fail(ctx: Any, error: ReasoningError) -> NoReturn:
    terminal = _terminal(ctx)
    if ctx.params.get("debug"):
        import traceback

        terminal.note(traceback.format_exc())
    terminal.error(error)
    raise typer.Exit(error.exit_code) from error


def _terminal(ctx: Any) -> Terminal:
    """The terminal of this run, or one like it when the run did not get that far."""
    if ctx is not None and ctx.find_root().obj is not None:
        terminal: Terminal = ctx.find_root().obj.terminal
        return terminal
    from reasoning_cli.settings import environment

    return Terminal(environ=environment())


def _fail_usage(error: typer.TyperException) -> NoReturn:
    """What Typer itself refuses, in the same two lines."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(f"{error.format_message()}\n")
        sys.exit(ExitCode.USAGE)
    command = context.command_path if context is not None else "reasoning"
    message, _, meant = error.format_message().replace("'", "`").rstrip(".").partition(". Did you mean ")
    if (option := getattr(error, "option_name", None)) and type(error).__name__ == "NoSuchOption":
        from reasoning_cli.commands._shared.spelling import meant_option

        message = f"no such option `{option}`"
        possible = getattr(error, "possibilities", None) or []
        if context is not None and (ours := meant_option(context.command, option)):
            possible = [ours]
        meant = f"`{'` or `'.join(possible)}`?" if possible else ""
    elif context is not None and (unknown := _NO_COMMAND.fullmatch(message)):
        from reasoning_cli.commands._shared.spelling import meant as commands_meant

        group = context.command_path.removeprefix(context.find_root().command_path).strip()
        if found := commands_meant(context.find_root().command, group, unknown[1]):
            meant = f"{' or '.join(f'`reasoning {item}`' for item in found)}?"
    hint = f"did you mean {meant} " if meant else ""
    _terminal(context).error(
        ReasoningError(message[:1].lower() + message[1:], f"{hint}`{command} --help` shows what it takes")
    )
    sys.exit(ExitCode.USAGE)


app = typer.Typer(
    cls=Root,
    help="Run your agent's decisions on your own fine-tuned models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"reasoning {__version__}")
        raise typer.Exit


def _complete_profiles(incomplete: str) -> list[str]:
    from reasoning_cli.commands._shared.completion import complete_profiles

    return complete_profiles(incomplete)


@app.callback()
def root(
    ctx: typer.Context,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Work on the embedded sandbox: free, and apart from real data.")
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Work in a profile: settings, account and data of its own.",
            autocompletion=_complete_profiles,
        ),
    ] = None,
    db: Annotated[
        str | None, typer.Option("--db", metavar="FILE", help="Database for this call: a file, or postgresql://….")
    ] = None,
    allow_plain_http: Annotated[
        bool, typer.Option("--allow-plain-http", help="Send keys and prompts to other machines by http:// too.")
    ] = False,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", count=True, show_default=False, help="Say what is done; twice: each request."),
    ] = 0,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    color: Annotated[Color, typer.Option("--color", help="When to colour.")] = Color.AUTO,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Build what this run works with; nothing is opened before a command needs it."""
    from reasoning_cli.commands._shared.session import Session

    ctx.obj = Session.start(
        profile=profile,
        sandbox=sandbox,
        database=db,
        plain_http=allow_plain_http,
        verbosity=verbose,
        color=color,
    )
    ctx.call_on_close(ctx.obj.close)
