"""What can be typed wrong, found broken or out of reach: two lines on stderr, an exit code, and nothing lost.

Where the process itself is to fare badly (it may write less, its output takes nothing), it is a process of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from reasoning_cli.errors import ExitCode
from reasoning_cli.store import database
from reasoning_cli.store.open import open_store
from tests.conftest import Result, Run

ROWS = Path(__file__).parents[1] / "data" / "elizaos-logs.jsonl"
SAMPLES = 11

Shell = Callable[..., Result]


@pytest.fixture
def shell(home: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run the program: `shell("data", "stats")`; `variables` come on top of the environment. With `before` or `stdout`
    it is a process of its own, with those."""

    def run(
        *arguments: object,
        variables: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
        stdout: int | None = None,
    ) -> Result:
        if before is None and stdout is None:
            with monkeypatch.context() as environment:
                for name, value in (variables or {}).items():
                    environment.setenv(name, value)
                return reasoning(*arguments)
        done = subprocess.run(
            [sys.executable, "-m", "reasoning_cli", *(str(one) for one in arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **(variables or {})},
            preexec_fn=before,
            timeout=60,
            check=False,
        )
        return Result(done.returncode, done.stdout or "", done.stderr)

    return run


@pytest.fixture
def filled(shell: Shell, reasoning: Run, home: Path) -> Iterator[Shell]:
    """The same with a settings file and a log in place, which must be the same afterwards."""
    assert reasoning("data", "import", ROWS).exit_code == 0
    assert reasoning("costs", "set-budget", "100").exit_code == 0
    written = (home / "config.toml").read_bytes()
    yield shell
    assert (home / "config.toml").read_bytes() == written
    assert samples(home) == SAMPLES
    assert sorted(one.name for one in home.rglob("*") if one.name.endswith((".part", ".new"))) == []


def samples(home: Path) -> int:
    """How many samples the log holds, read past our own code where it is in a file; it must be sound."""
    if not (home / "reasoning.db").exists():
        with open_store(home / "reasoning.db") as store:
            assert store.check().problems == ()
            return store.number("SELECT count(*) FROM samples")
    with contextlib.closing(sqlite3.connect(home / "reasoning.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(connection.execute("SELECT count(*) FROM samples").fetchone()[0])


def refused(done: Result, code: ExitCode, out: str = "") -> str:
    """The error, of a command that wrote exactly an error and a hint, and no data but what begins with `out`."""
    assert done.exit_code == code, done.stderr
    assert done.stdout.startswith(out) and bool(done.stdout) == bool(out)
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["error", "hint"], done.stderr
    assert all(line.partition(": ")[2].strip() for line in lines)
    return lines[0]


# --- typed wrong ---


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["data", "export", "-m", "codng"], "error: `codng` is not a model type"),
        (["models", "enable", "codng"], "error: `codng` is not a model type"),
        (["models", "deploy", "some/model", "--as", "codng"], "error: `codng` is not a model type"),
        (["data", "export", "--start-date", "yesterday"], "error: `yesterday` is not a time for --since"),
        (["data", "export", "--end-date", "2026-02-30"], "error: `2026-02-30` is not a time for --until"),
        (["data", "export", "--end-date", ""], "error: `` is not a time for --until"),
        (
            ["data", "export", "--since", "2026-11-02", "--until", "2026-11-01"],
            "error: --until `2026-11-01` is not after the beginning",
        ),
        (["data", "export", "--format", "xml"], "error: `xml` is not a format for training data"),
        (["data", "export", "--limit", "0"], "error: invalid value for `--limit` / `-l`: 0 is not in the range x>=1"),
        (["data", "export", "--limit", "-3"], "error: invalid value for `--limit` / `-l`: -3 is not in the range x>=1"),
        (["data", "export", "--limit", "many"], "error: invalid value for `--limit` / `-l`: `many` is not a valid int"),
        (["data", "export", "-o", ""], "error: the output has no name"),
        (["costs", "set-budget", "-5"], "error: `-5` is not more than zero"),
        (["costs", "set-budget", "1e999"], "error: `1e999` is not an amount between $0.01 and $10,000,000"),
        (["costs", "set-budget", "abc"], "error: `abc` is not an amount of dollars"),
        (["costs", "set-budget", "NaN"], "error: `NaN` is not an amount between $0.01 and $10,000,000"),
        (["costs", "set-budget", ""], "error: `` is not an amount of dollars"),
        (["costs", "auto-shutdown", "--idle-minutes", "1441"], "error: `1441` "),
        (["models", "deploy", "planning", "--idle-minutes", "1441"], "error: `1441` "),
        (["models", "deploy", "planning", "--timeout", "soon"], "error: `soon` "),
        (["models", "status", "--watch", "--interval", "0"], "error: `0` "),
        (["data", "exprot"], "error: no such command `exprot`"),
        (["data", "import"], "error: missing argument `SOURCE`"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(
    filled: Shell, arguments: Sequence[str], error: str
) -> None:
    assert refused(filled(*arguments), ExitCode.USAGE).startswith(error)
    assert list(Path().iterdir()) == []


# --- the other side ---


def test_an_unknown_model(filled: Shell, together: object) -> None:
    error = refused(filled("models", "deploy", "acme/no-such-model", "--as", "planning", "--yes"), ExitCode.NOT_FOUND)
    assert "`acme/no-such-model`" in error
    refused(filled("models", "undeploy", "nothing-of-ours", "--yes"), ExitCode.NOT_FOUND)


# What is known without Together is shown before the error.
LOCAL = "NAME            STATE  READY"


@pytest.mark.parametrize(
    ("command", "out"), [(["models", "status"], LOCAL), (["models", "deploy", "planning", "--dry-run"], "")]
)
def test_a_refused_key(filled: Shell, together: object, command: list[str], out: str) -> None:
    wrong = {"TOGETHER_API_KEY": "tgp_v1_wrong_0123456789abcdef"}
    done = filled(*command, variables=wrong)
    refused(done, ExitCode.CONFIGURATION, out)
    assert wrong["TOGETHER_API_KEY"] not in done.stderr


def test_no_key_at_all(filled: Shell) -> None:
    refused(filled("models", "status"), ExitCode.CONFIGURATION, LOCAL)


@pytest.mark.parametrize(
    ("command", "out"), [(["models", "status"], LOCAL), (["models", "deploy", "planning", "--yes"], "")]
)
def test_a_host_that_is_not_there(filled: Shell, command: list[str], out: str) -> None:
    with socket.socket() as closed:  # bound and not listening: nobody else can take the port meanwhile
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = filled(*command, variables={"TOGETHER_API_KEY": "key-0123456789", "TOGETHER_BASE_URL": url})
    assert refused(done, ExitCode.REMOTE, out) == f"error: cannot reach Together at `{url}`: Connection refused"


# --- files to import ---


@pytest.mark.parametrize(
    ("content", "code", "error"),
    [
        (None, ExitCode.NOT_FOUND, "error: there is no file `{path}`"),
        (b"", ExitCode.FAILED, "error: `{path}` is empty"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0", ExitCode.FAILED, "error: `{path}` is not text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ExitCode.FAILED, "error: `{path}` is not text"),
        (b"\x1f\x8b\x08\0\0\0", ExitCode.FAILED, "error: `{path}` is damaged"),
        (b"id,created_at\n1,2\n", ExitCode.FAILED, "error: `{path}` holds nothing that can be imported"),
    ],
    ids=["missing", "empty", "binary", "picture", "compressed", "another format"],
)
def test_a_file_that_is_no_export(
    filled: Shell, tmp_path: Path, content: bytes | None, code: ExitCode, error: str
) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert refused(filled("data", "import", path), code).startswith(error.format(path=path))


def test_a_folder_is_no_file(filled: Shell, tmp_path: Path) -> None:
    assert refused(filled("data", "import", tmp_path), ExitCode.FAILED) == f"error: `{tmp_path}` is a folder"


def test_a_line_of_five_megabytes_comes_in_and_goes_out_whole(shell: Shell, tmp_path: Path) -> None:
    row = json.loads(ROWS.read_text(encoding="utf-8").splitlines()[0])
    row["body"]["prompt"] = row["body"]["prompt"].replace("are you there?", "are you there? " + "na " * 1_700_000)
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert shell("data", "import", path).exit_code == 0
    [line] = shell("data", "export", "--max-tokens", 9_999_999, "-o", "-").stdout.splitlines()
    assert json.loads(line)["messages"][-2]["content"] == row["body"]["prompt"]


# --- places to write to ---


def test_a_folder_that_is_not_there(filled: Shell, tmp_path: Path) -> None:
    error = refused(filled("data", "export", "-o", tmp_path / "no" / "x.jsonl"), ExitCode.FAILED)
    assert error == f"error: there is no folder `{tmp_path / 'no'}`"


def as_anybody() -> None:
    """Let the modes of files count for root too, in the process to be: what it runs cannot override them."""
    if os.geteuid() == 0:
        drop_from_bounding_set, may_override = 24, 1
        if ctypes.CDLL(None).prctl(drop_from_bounding_set, may_override, 0, 0, 0):
            raise OSError


def test_a_folder_that_may_only_be_read(filled: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    target = folder / "x.jsonl"
    target.write_text("old")
    folder.chmod(0o500)
    try:
        done = filled("data", "export", "-o", target, "--force", before=as_anybody)
    except subprocess.SubprocessError:
        pytest.skip("this root cannot give up its rights")
    finally:
        folder.chmod(0o700)
    assert refused(done, ExitCode.FAILED) == f"error: cannot write `{target}`: Permission denied"
    assert [(one.name, one.read_text()) for one in folder.iterdir()] == [("x.jsonl", "old")]


# As on a full disk: no file can grow beyond 200 kB.
small_files = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (200_000, 200_000))


def many_rows(path: Path, count: int) -> Path:
    row = json.loads(ROWS.read_text(encoding="utf-8").splitlines()[0])
    path.write_text("".join(json.dumps({**row, "id": f"row-{n}"}) + "\n" for n in range(count)), encoding="utf-8")
    return path


def test_a_full_disk_leaves_the_old_export(shell: Shell, reasoning: Run, tmp_path: Path) -> None:
    assert reasoning("data", "import", many_rows(tmp_path / "rows.jsonl", 500)).exit_code == 0
    target = tmp_path / "out" / "train.jsonl"
    target.parent.mkdir()
    target.write_text("old")
    error = refused(shell("data", "export", "-o", target, "--force", before=small_files), ExitCode.FAILED)
    assert error == f"error: cannot write `{target}`: File too large"
    assert [(one.name, one.read_text()) for one in target.parent.iterdir()] == [("train.jsonl", "old")]


@pytest.mark.sqlite("a file that cannot grow any more")
def test_a_full_disk_keeps_what_was_imported_before(filled: Shell, home: Path, tmp_path: Path) -> None:
    done = filled("data", "import", many_rows(tmp_path / "rows.jsonl", 400), before=small_files)
    assert str(home / "reasoning.db") in refused(done, ExitCode.FAILED)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_stdout_that_takes_nothing(filled: Shell) -> None:
    with Path("/dev/full").open("wb") as full:
        refused(filled("data", "export", "-o", "-", stdout=full.fileno()), ExitCode.FAILED)


# --- the database ---


@pytest.mark.sqlite("a lock on the file itself")
def test_a_locked_database(
    filled: Shell, reasoning: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = (
        "import sqlite3, sys\n"
        "held = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "held.execute('BEGIN EXCLUSIVE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    path = home / "reasoning.db"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        monkeypatch.setattr(database, "BUSY_TIMEOUT_SECONDS", 0.05)  # half a minute is for real rivals
        done = reasoning("data", "import", many_rows(tmp_path / "rows.jsonl", 3))
        reading = reasoning("data", "stats", "--json")
        other.communicate()
    assert refused(done, ExitCode.FAILED) == f"error: `{path}` is locked by another program"
    assert json.loads(reading.stdout)["total"] == SAMPLES


def scribble(path: Path) -> None:
    path.write_bytes(b"this is not a database at all, " * 1000)


def break_inside(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def grow_up(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")


def change_hands(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 1")


@pytest.mark.sqlite("what is wrong with the file")
@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (scribble, "is damaged or not a database"),
        (break_inside, "is damaged or not a database"),
        (grow_up, "was written by a newer `reasoning`"),
        (change_hands, "is a database of another program"),
    ],
)
@pytest.mark.parametrize("command", [["data", "stats"], ["data", "import", ROWS], ["models", "list"]])
def test_a_database_that_cannot_be_used(
    shell: Shell, reasoning: Run, home: Path, spoil: Callable[[Path], None], error: str, command: list[object]
) -> None:
    assert reasoning("data", "import", ROWS).exit_code == 0
    path = home / "reasoning.db"
    spoil(path)
    spoilt = path.read_bytes()
    assert error in refused(shell(*command), ExitCode.FAILED)
    assert path.read_bytes() == spoilt


def test_a_database_of_the_other_realm(filled: Shell, home: Path) -> None:
    done = filled("--sandbox", "--db", home / "reasoning.db", "data", "stats")
    note, *lines = done.stderr.splitlines(keepends=True)
    assert note.startswith("sandbox: ")
    error = refused(Result(done.exit_code, done.stdout, "".join(lines)), ExitCode.FAILED)
    assert error.endswith("holds together data, not sandbox data; the two never mix")


# --- settings ---


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[planning]\nmodel = "acme/x\n', "config.toml"),
        ('[planing]\nmodel = "acme/x"\n', "`planing"),
        ('[planning]\nmodle = "acme/x"\n', "`planning.modle`"),
    ],
    ids=["syntax", "group", "name"],
)
@pytest.mark.parametrize("command", [["models", "list"], ["data", "stats"], ["costs", "set-budget", "5"]])
def test_a_settings_file_that_makes_no_sense(
    shell: Shell, home: Path, text: str, error: str, command: list[str]
) -> None:
    home.mkdir()
    (home / "config.toml").write_text(text)
    assert error in refused(shell(*command), ExitCode.CONFIGURATION)
    assert (home / "config.toml").read_text() == text


def test_a_setting_without_sense_stops_what_needs_it_and_nothing_else(shell: Shell, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text('[budget]\nlimit_usd = "lots"\n')
    assert "`lots`" in refused(shell("costs", "report", "--offline"), ExitCode.CONFIGURATION)
    assert shell("data", "stats").exit_code == ExitCode.OK
    assert shell("costs", "set-budget", "5").exit_code == ExitCode.OK
    assert shell("costs", "report", "--offline").exit_code == ExitCode.OK


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["costs", "set-budget", "abc"], "`reasoning --sandbox costs set-budget 100`"),
        (["costs", "set-budget"], "`reasoning --sandbox costs set-budget --help`"),
        (["data", "label"], "`reasoning --sandbox data label DECISION --good`"),
    ],
)
def test_an_error_in_the_sandbox_names_the_sandboxs_command(filled: Shell, typed: list[str], hint: str) -> None:
    """Before any setting was read, too: copied, the command would set the real budget."""
    assert hint in filled("--sandbox", *typed).stderr
