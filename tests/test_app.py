"""The command tree as a whole: help, usage errors, errors to exit codes, interrupts, broken pipes, secrets."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import types
from collections.abc import Callable, Iterator

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

from reasoning_cli import __version__
from reasoning_cli.app import ENTRIES, app, command_app
from reasoning_cli.errors import (
    EXIT_CODE_MEANINGS,
    ConfigurationError,
    DataError,
    ExitCode,
    LimitError,
    NotFoundError,
    ReasoningError,
    RemoteError,
    UsageError,
)
from tests.conftest import Run
from tests.waiting import until

KEY = "tgp_v1_Jx7Qm2Vt9Zb4Wn1Lk6Rc3Yd8Fg5Hp0"

Fail = Callable[[BaseException], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Make the command `demo` raise something."""

    def make(error: BaseException) -> None:
        module = types.ModuleType("reasoning_cli.commands.demo.app")
        module.app = typer.Typer(rich_markup_mode=None)  # type: ignore[attr-defined]

        @module.app.command()  # type: ignore[attr-defined, untyped-decorator]
        def demo() -> None:
            raise error

        monkeypatch.setitem(sys.modules, module.__name__, module)

    return make


# --- help ---


def test_help_names_every_command_in_its_chapter_and_every_exit_code(reasoning: Run) -> None:
    done = reasoning("--help")
    assert (done.exit_code, done.stderr) == (0, "")
    for name, entry in ENTRIES.items():
        chapter = done.stdout[done.stdout.index(f"{entry.chapter}:") :]
        assert f"  {name.ljust(9)}  {entry.help}\n" in chapter
    for code, meaning in EXIT_CODE_MEANINGS.items():
        assert f"  {str(code.value).ljust(7)}  {meaning}\n" in done.stdout


def test_nothing_typed_is_help_and_a_usage_error(reasoning: Run) -> None:
    bare, asked = reasoning(), reasoning("--help")
    assert (bare.exit_code, bare.stdout, bare.stderr) == (2, asked.stdout, "")


def test_a_bare_group_is_help_and_a_usage_error(reasoning: Run) -> None:
    bare, asked = reasoning("sandbox"), reasoning("sandbox", "--help")
    assert (bare.exit_code, bare.stdout, bare.stderr) == (2, asked.stdout, "")


def test_short_and_long_help_are_the_same(reasoning: Run) -> None:
    assert reasoning("config", "-h") == reasoning("config", "--help")


def walk(name: str, command: typer.core.TyperCommand | TyperGroup) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    yield name, command
    for below, one in getattr(command, "commands", {}).items():
        yield from walk(f"{name} {below}", one)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_command_and_option_says_what_it_is_for(name: str) -> None:
    command = get_command(command_app(name))
    assert isinstance(command, TyperGroup) == ENTRIES[name].is_group
    for path, one in walk(name, command):
        if path != name or not ENTRIES[name].is_group:
            assert one.help, path
        for parameter in one.params:
            shown = parameter.get_help_record(typer.Context(one)) if parameter.param_type_name == "option" else None
            assert shown is None or shown[1], f"{path} {parameter.name}"


@pytest.mark.parametrize("arguments", [("--version",), ("-V",), ("--version", "config"), ("-v", "--version")])
def test_the_version_is_one_line(arguments: tuple[str, ...], reasoning: Run) -> None:
    done = reasoning(*arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"reasoning {__version__}\n", "")


# --- usage errors ---


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["confg"], "no such command `confg`", "did you mean `config`? `reasoning --help`"),
        (["zzz"], "no such command `zzz`", "`reasoning --help`"),
        (["sandbox", "serv"], "no such command `serv`", "did you mean `serve`? `reasoning sandbox --help`"),
        (["--colour", "never"], "no such option `--colour`", "did you mean `--color`? `reasoning --help`"),
        (["--color", "pink", "config"], "invalid value for `--color`: `pink` is not one of", "`reasoning --help`"),
        (
            ["config", "--formt", "json"],
            "no such option `--formt`",
            "did you mean `--format`? `reasoning config --help`",
        ),
        (["sandbox", "serve", "--port", "x"], "invalid value for `--port`: `x`", "`reasoning sandbox serve --help`"),
        (["config", "get"], "missing argument `NAME`", "`reasoning config get --help`"),
        (["config", "path", "extra"], "got unexpected extra argument", "`reasoning config path --help`"),
        (["--db"], "option `--db` requires an argument", "`reasoning --help`"),
    ],
)
def test_what_makes_no_sense_is_two_lines_and_names_the_help(
    arguments: list[str], error: str, hint: str, reasoning: Run
) -> None:
    done = reasoning(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"error: {error}")
    assert second == f"hint: {hint} shows what it takes"


# --- errors and exit codes ---


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ReasoningError, 1),
        (UsageError, 2),
        (ConfigurationError, 4),
        (NotFoundError, 5),
        (LimitError, 6),
        (RemoteError, 7),
        (DataError, 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    kind: type[ReasoningError], code: int, fail: Fail, reasoning: Run
) -> None:
    fail(kind("`planning` is not there", "type `reasoning models list`"))
    done = reasoning("demo")
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr == "error: `planning` is not there\nhint: type `reasoning models list`\n"
    assert ExitCode(code) in EXIT_CODE_MEANINGS


def test_an_error_without_hint_is_one_line(fail: Fail, reasoning: Run) -> None:
    fail(ReasoningError("it broke"))
    assert reasoning("demo").stderr == "error: it broke\n"


def test_debug_adds_the_traceback_and_keeps_the_exit_code(fail: Fail, reasoning: Run) -> None:
    fail(LimitError("too much", "stop something"))
    done = reasoning("--debug", "demo")
    assert done.exit_code == ExitCode.LIMIT
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("error: too much\nhint: stop something\n")


def test_a_bug_is_two_lines_without_debug(fail: Fail, reasoning: Run) -> None:
    fail(ZeroDivisionError("division by zero"))
    done = reasoning("demo")
    assert done.exit_code == ExitCode.FAILED
    assert done.stderr == (
        "error: unexpected ZeroDivisionError: division by zero\n"
        "hint: this is a bug; the same command with `--debug` shows where\n"
    )
    assert "Traceback" in reasoning("--debug", "demo").stderr


def test_a_file_error_is_explained_not_called_a_bug(fail: Fail, reasoning: Run) -> None:
    fail(PermissionError(13, "Permission denied", "/srv/samples.jsonl"))
    done = reasoning("demo")
    assert done.exit_code == ExitCode.FAILED
    assert done.stderr.startswith("error: Permission denied: `/srv/samples.jsonl`\n")
    assert "this is a bug" not in done.stderr


def test_ctrl_c_is_130_and_silent(fail: Fail, reasoning: Run) -> None:
    fail(KeyboardInterrupt())
    done = reasoning("demo")
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", "")


def test_an_aborted_question_is_a_failure(fail: Fail, reasoning: Run) -> None:
    fail(typer.Abort())
    assert reasoning("demo").exit_code == 1


@pytest.mark.parametrize("flags", [(), ("--debug",), ("-vv",)])
@pytest.mark.parametrize("kind", [ReasoningError, RuntimeError])
def test_a_key_in_an_error_is_never_shown(
    kind: type[Exception], flags: tuple[str, ...], fail: Fail, reasoning: Run
) -> None:
    fail(kind(f"POST failed with Bearer {KEY}"))
    done = reasoning(*flags, "demo")
    assert KEY not in done.stderr
    assert f"…{KEY[-4:]}" in done.stderr


def test_each_request_is_shown_with_vv_and_its_key_is_not(
    together: object, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "sandbox-key")
    assert "GET /v3/whoami" not in reasoning("doctor").stderr
    done = reasoning("-vv", "doctor")
    assert "GET /v3/whoami 200" in done.stderr
    assert "sandbox-key" not in done.stdout + done.stderr


# --- colour before anything runs ---


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_even_a_usage_error_obeys_the_colour_variables(
    environ: dict[str, str], coloured: bool, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in reasoning("confg").stderr) == coloured


@pytest.mark.parametrize(("when", "coloured"), [("always", True), ("never", False), ("auto", False)])
def test_color_decides_over_the_stream(when: str, coloured: bool, fail: Fail, reasoning: Run) -> None:
    fail(ReasoningError("it broke"))
    assert ("\x1b[" in reasoning("--color", when, "demo").stderr) == coloured


# --- as a process ---


def start(*arguments: str, **streams: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "reasoning_cli", *arguments], **streams)  # type: ignore[call-overload, no-any-return]


def unread_bytes(pipe: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0])


def test_a_real_ctrl_c_ends_a_process_that_reads_with_130() -> None:
    with start(
        "config", "set", "together.api_key", "--stdin", stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        stdin = process.stdin
        assert stdin is not None
        assert process.stderr is not None
        stdin.write(b"half a line")
        stdin.flush()
        until(lambda: not unread_bytes(stdin.fileno()), "the half line to be read")
        process.send_signal(signal.SIGINT)
        assert (process.wait(60), process.stderr.read()) == (130, b"")


def test_a_reader_that_went_away_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start("config", "--json", stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        assert process.stderr is not None
        assert (process.wait(60), process.stderr.read()) == (0, b"")


def test_the_tree_is_the_same_object_for_docs_and_shell() -> None:
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    assert list(command.commands) == list(ENTRIES)
