"""What nobody may read over a shoulder, and what others wrote, in the output of commands."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Run

PASSWORD = "hun7er2secret"
SETTINGS = f"""
[gateway]
openai_upstream = "https://me:{PASSWORD}@127.0.0.1:9/v1?api_key={PASSWORD}"
[planning]
provider_url = "http://me:{PASSWORD}@127.0.0.1:9/v1"
[coding]
provider_url = "ftp://me:{PASSWORD}@127.0.0.1:9/v1"
"""


@pytest.fixture
def settings(home: Path) -> Path:
    home.mkdir(mode=0o700)
    file = home / "config.toml"
    file.write_text(SETTINGS)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("how", ["--format=table", "--format=csv", "--format=tsv", "--format=jsonl", "--json"])
@pytest.mark.parametrize("command", [("config",), ("doctor",), ("status",), ("models", "list"), ("models", "status")])
def test_no_command_shows_the_password_of_an_address(
    command: tuple[str, ...], how: str, settings: Path, reasoning: Run
) -> None:
    if command == ("doctor",):
        how = {"--format=table": "", "--json": "--json"}.get(how, "--offline")
    for text in (SETTINGS, SETTINGS.replace("ftp://", "http://")):
        settings.write_text(text)
        done = reasoning(*command, *([how] if how else []))
        assert PASSWORD not in done.stdout + done.stderr
    if command == ("config",):
        assert "me:…@127.0.0.1:9/v1" in done.stdout


def test_one_value_and_a_change_show_no_password_either(settings: Path, reasoning: Run) -> None:
    settings.write_text(SETTINGS.replace("ftp://", "http://"))
    assert reasoning("config", "get", "gateway.openai_upstream").stdout == "https://me:…@127.0.0.1:9/v1?api_key=…\n"
    for value in (f"http://me:{PASSWORD}@h.example/v1", f"ftp://me:{PASSWORD}@h.example/v1"):
        done = reasoning("config", "set", "planning.provider_url", value)
        assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/db",
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/db?sslpassword={PASSWORD}&sslmode=nonsense",
        f"postgresql://127.0.0.1:1/db?user=me&password={PASSWORD}",
        f"postgresql://127.0.0.1:1/db?passwort={PASSWORD}",
        f"postgresql://me:{PASSWORD}/{PASSWORD}@127.0.0.1:1/db",
        f"postgresql://me:x@{PASSWORD}@127.0.0.1:1/db",
        f"postgresql://me:{PASSWORD}#?@127.0.0.1:1/db",
        f"postgresql://me:{PASSWORD}%zz@127.0.0.1:1/db",
        f"postgresql://me:{PASSWORD}@[::1",
        f"http://me:{PASSWORD}@127.0.0.1:9",
        f"http://me:{PASSWORD}@[::1",
        f"http://me:{PASSWORD}/x@127.0.0.1:9/api?token={PASSWORD}",
        f"mysql://me:{PASSWORD}@127.0.0.1:9/db",
    ],
)
def test_an_import_that_fails_does_not_tell_the_password(url: str, reasoning: Run) -> None:
    pytest.importorskip("psycopg")
    for options in ((), ("--json",), ("--debug",)):
        arguments = ["--debug", "data", "import", url] if options == ("--debug",) else ["data", "import", url, *options]
        done = reasoning(*arguments)
        assert done.exit_code in (1, 2, 4, 5, 7)
        assert PASSWORD not in done.stdout + done.stderr
        if options != ("--debug",):
            assert "unexpected" not in done.stderr


DEEP = 3000


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * DEEP + "]" * DEEP,
        "[budget]\nlimit_usd = " + "{a = " * DEEP + "1" + "}" * DEEP,
        "[" + "a." * DEEP + "a]\nx = 1",
        "x = " + "[" * 150 + "]" * 150,  # which tomllib reads, and tomlkit does not
    ],
)
def test_settings_nested_without_end_are_an_ordinary_error(text: str, settings: Path, reasoning: Run) -> None:
    settings.write_text(text)
    for command in (
        ["config"],
        ["config", "get", "budget.limit_usd"],
        ["config", "set", "budget.limit_usd", "5"],
        ["config", "unset", "x"],
        ["status"],
        ["doctor", "--offline"],
    ):
        done = reasoning(*command)
        assert "unexpected" not in done.stderr, command
        assert done.exit_code in (0, 2, 4), command
    assert settings.read_text() == text


@pytest.mark.parametrize("depth", [260, 900, 100_000])
@pytest.mark.parametrize("sign", ["[]", "{}"])
def test_json_nested_without_end_is_a_bad_line_everywhere(
    depth: int, sign: str, home: Path, reasoning: Run, tmp_path: Path
) -> None:
    """A reader takes more depth than the writer that follows it."""
    deep = "[" * depth + "]" * depth if sign == "[]" else '{"a":' * depth + "1" + "}" * depth
    file = tmp_path / "file.jsonl"
    chat = '{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "tools": %s}'
    call = '{"request": {"path": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": %s}]}}}'
    body = '{"type": "useModel:TEXT_SMALL", "id": %s, "body": {"params": %s, "prompt": "x", "response": "y"}}'
    label = '{"id": "a", "label": %s}'
    for line in (
        deep,
        chat % deep,
        call % deep,
        body % ('"a"', deep),
        body % (deep, 1),
        label % deep,
    ):
        for text in (f"{line}\n", f"[{line}]"):
            file.write_text(text)
            for command in (
                ["data", "import", file],
                ["data", "check", file],
                ["data", "label", "--from", file],
                ["gateway", "explain", file],
                ["train", "eval", "planning", "--file", file, "--yes"],
            ):
                done = reasoning(*command)
                assert "unexpected" not in done.stderr, (command, line[:60], done.stderr)


@pytest.mark.sqlite("`data restore` puts a file in the place of a file")
def test_what_stands_in_a_copied_database_does_not_come_in(reasoning: Run, home: Path, tmp_path: Path) -> None:
    """The trigger that deleted all other samples with the next import."""
    rows = Path(__file__).parents[1] / "data" / "elizaos-logs.jsonl"
    assert reasoning("data", "import", rows).exit_code == 0
    copy = tmp_path / "copy.db"
    assert reasoning("data", "backup", copy).exit_code == 0
    with closing(sqlite3.connect(copy)) as evil, evil:
        evil.execute("CREATE TRIGGER t AFTER INSERT ON samples BEGIN DELETE FROM samples WHERE seq <> new.seq; END")
    before = json.loads(reasoning("data", "list", "--json").stdout)
    done = reasoning("data", "restore", copy, "--yes")
    assert (done.exit_code, done.stdout) == (1, "")
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ") and "the trigger `t`, which this program did not make" in error
    assert hint == "hint: nothing was changed; give one that `reasoning data backup` wrote"
    assert json.loads(reasoning("data", "list", "--json").stdout) == before
