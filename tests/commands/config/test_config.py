"""`reasoning config`: what is shown, what is changed, what is refused."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from pathlib import Path

import pytest

from reasoning_cli import settings as s
from tests.conftest import Run
from tests.test_settings import TEXTS

KEY = "tgp_v1_Jx7Qm2Vt9Zb4Wn1Lk6Rc3Yd8Fg5Hp0"
MASKED = "…5Hp0"


@pytest.fixture
def file(home: Path) -> Path:
    return home / "config.toml"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


# --- show ---


def test_every_setting_is_shown_with_its_source(reasoning: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")  # a pipe that nobody told a width gets all columns
    write(file, "[deploy]\nidle_minutes = 60\n")
    monkeypatch.setenv("REASONING_SERVICE_PLANNING_MODEL", "acme/planner")
    Path(".env").write_text("REASONING_GATEWAY_PORT=9000\n")
    done = reasoning("--db", "here.db", "config")
    assert (done.exit_code, done.stderr) == (0, "")
    header, *rows = [line.split() for line in done.stdout.splitlines()]
    assert header[:3] == ["SETTING", "VALUE", "SOURCE"]
    assert [row[0] for row in rows] == [setting.name for setting in s.ALL]
    found = {row[0]: row[1:] for row in rows}
    assert found["deploy.idle_minutes"] == ["60", "file"]
    assert found["planning.model"] == ["acme/planner", "environment", "REASONING_SERVICE_PLANNING_MODEL"]
    assert found["gateway.port"][:2] == ["9000", ".env"]
    assert found["store.path"] == [str(Path.cwd() / "here.db"), "flag"]
    assert found["coding.enabled"] == ["true", "default"]
    assert found["budget.limit_usd"] == ["–", "default"]


def test_json_has_values_sources_and_meanings(reasoning: Run, file: Path) -> None:
    write(file, "[budget]\nlimit_usd = 100\n")
    done = reasoning("config", "--json")
    records = {record["name"]: record for record in json.loads(done.stdout)}
    assert list(records) == [setting.name for setting in s.ALL]
    assert records["budget.limit_usd"] == {
        "name": "budget.limit_usd",
        "value": "100.00",
        "source": "file",
        "where": str(file),
        "default": None,
        "help": s.BUDGET_LIMIT.help,
        "secret": False,
        "problem": None,
    }
    assert (records["gateway.port"]["value"], records["data.collect"]["value"]) == (8001, True)


def test_every_value_of_every_setting_can_be_shown(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for column in (0, 1):
        for setting in s.ALL:
            if setting is not s.SANDBOX:
                text = TEXTS[setting.name][column]
                more, typed = (["--stdin"], text) if setting.secret else ([text], None)
                assert reasoning("config", "set", setting.name, *more, input=typed).exit_code == 0
        records = {record["name"]: record for record in json.loads(reasoning("config", "--json").stdout)}
        assert all(record["problem"] is None for record in records.values())
        for setting in s.ALL:
            shown = records[setting.name]["value"]
            assert reasoning("config", "get", setting.name).stdout == f"{s.spell(shown)}\n"
        for columns in (40, 80, 120):
            monkeypatch.setenv("COLUMNS", str(columns))
            lines = reasoning("config").stdout.splitlines()
            assert all(len(line) <= columns for line in lines)
            assert [line.split()[0] for line in lines[1:]] == list(records)


def test_the_other_formats_have_the_same_rows(reasoning: Run) -> None:
    names = [setting.name for setting in s.ALL]
    assert reasoning("config", "-q").stdout.splitlines() == names
    assert [json.loads(line)["name"] for line in reasoning("config", "--format", "jsonl").stdout.splitlines()] == names
    rows = list(csv.DictReader(io.StringIO(reasoning("config", "--format", "csv").stdout)))
    assert [row["name"] for row in rows] == names


@pytest.mark.parametrize("arguments", [("config",), ("config", "--json"), ("config", "get", "together.api_key")])
@pytest.mark.parametrize("place", ["environment", ".env", "file"])
def test_a_key_is_never_shown_whole(
    arguments: tuple[str, ...], place: str, reasoning: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "environment":
        monkeypatch.setenv("TOGETHER_AI_API_KEY", KEY)
    elif place == ".env":
        Path(".env").write_text(f"TOGETHER_API_KEY='{KEY}'\n")
    else:
        write(file, f'[together]\napi_key = "{KEY}"\n')
    done = reasoning(*arguments)
    assert KEY not in done.stdout + done.stderr
    assert MASKED in done.stdout


def test_one_wrong_value_is_a_row_not_the_end(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONING_GATEWAY_PORT", "80a")
    monkeypatch.setenv("REASONING_DATA_COLLECT", "perhaps")
    done = reasoning("config")
    assert done.exit_code == 4
    assert "80a (wrong)" in done.stdout
    assert len(done.stdout.splitlines()) == len(s.ALL) + 1
    assert done.stderr.splitlines()[0] == "warning: REASONING_GATEWAY_PORT: `80a` is not a whole number"
    assert done.stderr.splitlines()[1].startswith("error: REASONING_DATA_COLLECT: `perhaps` is neither")
    records = {record["name"]: record for record in json.loads(reasoning("config", "--json").stdout)}
    assert records["gateway.port"]["problem"] == "REASONING_GATEWAY_PORT: `80a` is not a whole number"


def test_a_wrong_key_is_masked_too(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", f"'{KEY}'")
    done = reasoning("config")
    assert done.exit_code == 4
    assert KEY not in done.stdout + done.stderr


def test_an_unclear_sandbox_switch_is_a_row_too(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONING_SANDBOX", "treu")
    done = reasoning("config")
    assert (done.exit_code, "treu (wrong)" in done.stdout) == (4, True)


def test_a_broken_file_is_told_after_what_is_known(reasoning: Run, file: Path) -> None:
    write(file, "[gateway\n")
    done = reasoning("config")
    assert done.exit_code == 4
    assert len(done.stdout.splitlines()) == len(s.ALL) + 1
    assert "is not valid TOML" in done.stderr


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_names_are_whole_at_every_width(
    columns: int, reasoning: Run, monkeypatch: pytest.MonkeyPatch, no_address: None
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = reasoning("config").stdout.splitlines()
    assert all(len(line) <= columns for line in lines)
    assert [line.split()[0] for line in lines[1:]] == [setting.name for setting in s.ALL]
    assert all("default" in line for line in lines[1:]) == (columns > 40)


# --- get ---


def test_a_value_is_printed_as_it_is_typed(reasoning: Run) -> None:
    assert reasoning("config", "get", "data.collect").stdout == "true\n"
    assert reasoning("config", "get", "Gateway.Port").stdout == "8001\n"


def test_what_is_not_set_prints_nothing(reasoning: Run) -> None:
    done = reasoning("config", "get", "budget.limit_usd")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "budget.limit_usd is not set.\n")


def test_a_mistyped_name_is_a_usage_error(reasoning: Run) -> None:
    done = reasoning("config", "get", "gatway.port")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "error: `gatway.port` is not a setting\nhint: did you mean `gateway.port`?\n"


# --- set and unset ---


@pytest.mark.parametrize(
    ("name", "value"), [("gateway.port", "9000"), ("budget.limit_usd", "$1,250.50"), ("planning.model", "acme/x y")]
)
def test_set_get_unset(name: str, value: str, reasoning: Run, file: Path) -> None:
    done = reasoning("config", "set", name, value)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"{name} is {value} now.\n")
    assert reasoning("config", "get", name).stdout.strip() == str(s.BY_NAME[name].parse(value))
    done = reasoning("config", "unset", name)
    assert (done.exit_code, done.stderr) == (0, f"{name} is no longer set in {file}.\n")
    assert reasoning("config", "unset", name).stderr == f"{name} was not set in {file}.\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_wrong_value_is_refused_before_it_is_written(reasoning: Run, file: Path) -> None:
    done = reasoning("config", "set", "deploy.idle_minutes", "5000")
    assert (done.exit_code, file.exists()) == (2, False)
    assert done.stderr.startswith("error: `5000` is not between 0 and 1440")


def test_a_value_must_be_given(reasoning: Run) -> None:
    done = reasoning("config", "set", "gateway.port")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "`reasoning config set gateway.port VALUE`" in done.stderr


def test_a_key_is_not_taken_from_the_command_line(reasoning: Run, file: Path) -> None:
    done = reasoning("config", "set", "together.api_key", KEY)
    assert (done.exit_code, file.exists()) == (2, False)
    assert KEY not in done.stdout + done.stderr
    assert "--stdin" in done.stderr


def test_a_key_is_taken_from_a_pipe(reasoning: Run, file: Path) -> None:
    done = reasoning("config", "set", "together.api_key", "--stdin", input=f"{KEY}\n")
    assert (done.exit_code, done.stderr) == (0, f"together.api_key is {MASKED} now.\n")
    assert file.read_text() == f'[together]\napi_key = "{KEY}"\n'
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)


def test_without_a_terminal_a_key_is_not_waited_for(reasoning: Run) -> None:
    done = reasoning("config", "set", "together.api_key")
    assert (done.exit_code, "--stdin" in done.stderr) == (2, True)


def test_an_empty_pipe_sets_nothing(reasoning: Run, file: Path) -> None:
    assert reasoning("config", "set", "together.api_key", "--stdin", input="").exit_code == 2
    assert not file.exists()


def test_a_change_without_effect_says_so(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_PROXY_PORT", "7000")
    done = reasoning("config", "set", "gateway.port", "9000")
    assert done.exit_code == 0
    assert done.stderr.splitlines()[1] == "warning: ANTHROPIC_PROXY_PORT is set too, and wins over the file"
    assert reasoning("config", "unset", "gateway.port").stderr.count("ANTHROPIC_PROXY_PORT") == 1


@pytest.mark.parametrize("name", ["gateway.prot", "prot", "gatway.port"])
def test_a_mistyped_line_that_stops_everything_can_be_removed(name: str, reasoning: Run, file: Path) -> None:
    group, _, key = name.rpartition(".")
    write(file, (f"[{group}]\n" if group else "") + f"{key} = 1\n[data]\ncollect = false\n")
    assert reasoning("setup", "env").exit_code == 4
    done = reasoning("config", "unset", name)
    assert (done.exit_code, done.stderr) == (0, f"{name} is no longer set in {file}.\n")
    assert reasoning("setup", "env").exit_code == 0
    assert reasoning("config", "get", "data.collect").stdout == "false\n"


def test_an_unknown_name_that_is_nowhere_is_a_usage_error(reasoning: Run) -> None:
    assert reasoning("config", "unset", "gateway.prot").exit_code == 2


def test_nothing_can_be_unset_in_a_file_that_is_no_toml(reasoning: Run, file: Path) -> None:
    write(file, "[gateway\n")
    done = reasoning("config", "unset", "gateway.port")
    assert (done.exit_code, file.read_text()) == (4, "[gateway\n")
    assert "`reasoning config edit`" in done.stderr


# --- the sandbox ---


def test_the_sandbox_has_its_own_file(reasoning: Run, file: Path) -> None:
    reasoning("--sandbox", "config", "set", "gateway.port", "9001")
    assert not file.exists()
    assert reasoning("--sandbox", "config", "path").stdout == f"{file.parent}/sandbox/config.toml\n"
    assert reasoning("--sandbox", "config", "get", "gateway.port").stdout == "9001\n"
    assert reasoning("config", "get", "gateway.port").stdout == "8001\n"


def test_there_is_a_way_out_of_the_sandbox(reasoning: Run) -> None:
    reasoning("config", "set", "sandbox.enabled", "on")
    shown = reasoning("config")
    assert "sandbox: nothing here is real" in shown.stderr
    assert [line.split() for line in shown.stdout.splitlines() if line.startswith("sandbox.enabled")] == [
        ["sandbox.enabled", "true", "file"]
    ]
    done = reasoning("config", "unset", "sandbox.enabled")
    assert "warning" not in done.stderr
    assert reasoning("config").stderr == ""


# --- path and edit ---


def test_the_path_is_data(reasoning: Run, file: Path) -> None:
    done = reasoning("config", "path")
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{file}\n", "")


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor that runs the shell script written into it on the file."""
    script = tmp_path / "an editor.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", f"'{script}' --wait")
    monkeypatch.setenv("EDITOR", "false")
    return script


def edit_with(editor: Path, script: str) -> None:
    editor.write_text(f'#!/bin/sh\n[ "$1" = --wait ] || exit 9\nfile="$2"\n{script}\n')


def test_a_good_edit_takes_the_place_of_the_file(reasoning: Run, file: Path, editor: Path) -> None:
    write(file, "# mine\n[gateway]\nport = 9000\n")
    file.chmod(0o644)
    edit_with(editor, 'sed -i s/9000/9001/ "$file"')
    done = reasoning("config", "edit")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"{file} is changed.\n")
    assert file.read_text() == "# mine\n[gateway]\nport = 9001\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["config.toml"]


def test_the_draft_is_private_while_it_is_edited(reasoning: Run, file: Path, editor: Path) -> None:
    write(file, f'[together]\napi_key = "{KEY}"\n')
    edit_with(editor, 'stat -c %a "$file" > mode; echo "# x" >> "$file"')
    reasoning("config", "edit")
    assert Path("mode").read_text() == "600\n"


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ('echo "[gateway]" > "$file"; echo "prot = 1" >> "$file"', "is not a setting"),
        ('echo "[gateway" > "$file"', "is not valid TOML"),
        ('echo "[gateway]" > "$file"; echo "port = 99999" >> "$file"', "is not between 1 and 65535"),
        (r'printf "[gateway]\nport = \377" > "$file"', "is not valid TOML"),
    ],
)
def test_a_wrong_edit_is_put_aside(script: str, complaint: str, reasoning: Run, file: Path, editor: Path) -> None:
    write(file, "[gateway]\nport = 9000\n")
    edit_with(editor, script)
    done = reasoning("config", "edit")
    rejected = file.with_name("config.rejected.toml")
    assert done.exit_code == 4
    assert complaint in done.stderr
    assert str(rejected) in done.stderr
    assert file.read_text() == "[gateway]\nport = 9000\n"
    assert rejected.read_bytes().startswith(b"[gateway")
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600


def test_a_broken_file_can_be_mended_with_the_editor(reasoning: Run, file: Path, editor: Path) -> None:
    write(file, "[gateway\nport = 9000\n")
    edit_with(editor, 'sed -i "s/^\\[gateway$/[gateway]/" "$file"')
    assert reasoning("config", "edit").exit_code == 0
    assert reasoning("config", "get", "gateway.port").stdout == "9000\n"


def test_an_edit_that_changes_nothing_says_so(reasoning: Run, file: Path, editor: Path) -> None:
    edit_with(editor, "true")
    done = reasoning("config", "edit")
    assert (done.exit_code, done.stderr, file.exists()) == (0, "Nothing was changed.\n", False)


def test_an_editor_that_fails_changes_nothing(reasoning: Run, file: Path, editor: Path) -> None:
    write(file, "[gateway]\nport = 9000\n")
    edit_with(editor, 'echo "[data]" > "$file"; exit 3')
    done = reasoning("config", "edit")
    assert (done.exit_code, file.read_text()) == (1, "[gateway]\nport = 9000\n")
    assert "ended with 3" in done.stderr


def test_an_editor_that_is_not_there_is_a_hint(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "no-such-editor")
    done = reasoning("config", "edit")
    assert done.exit_code == 4
    assert "EDITOR=nano reasoning config edit" in done.stderr


def test_a_change_made_meanwhile_is_not_lost(reasoning: Run, file: Path, editor: Path) -> None:
    write(file, "[gateway]\nport = 9000\n")
    edit_with(editor, f'sed -i s/9000/9001/ "$file"; echo "# theirs" >> "{file}"')
    done = reasoning("config", "edit")
    assert done.exit_code == 4
    assert file.read_text() == "[gateway]\nport = 9000\n# theirs\n"
    assert file.with_name("config.rejected.toml").read_text() == "[gateway]\nport = 9001\n"


def test_a_new_file_starts_as_a_list_of_all_settings(
    reasoning: Run, file: Path, editor: Path, no_address: None
) -> None:
    edit_with(editor, r'cp "$file" offered; sed -i "s/^#\([a-z_]* = \)/\1/; /^[a-z_]* = \"\"$/d" "$file"')
    done = reasoning("config", "edit")
    assert (done.exit_code, done.stderr) == (0, f"{file} is changed.\n")
    offered = Path("offered").read_text()
    assert all(f"# {setting.help}\n" in offered for setting in s.ALL)
    rows = json.loads(reasoning("config", "--json").stdout)
    assert all(row["value"] == row["default"] for row in rows)
    assert {row["source"] for row in rows if row["default"] is not None} == {"file"}


def test_ctrl_c_in_the_editor_is_the_editors(reasoning: Run, file: Path, editor: Path) -> None:
    edit_with(editor, f'kill -INT {os.getpid()}; echo "[data]" > "$file"')
    done = reasoning("config", "edit")
    assert (done.exit_code, file.read_text()) == (0, "[data]\n")


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
def test_json_is_whole_where_only_ascii_can_be_written(
    locale: dict[str, str], reasoning: Run, process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reasoning("config", "set", "planning.model", "acme/zürich-→").exit_code == 0
    for name, value in locale.items():
        monkeypatch.setenv(name, value)
    shown = process("config", "--json")
    assert (shown.exit_code, shown.stdout.isascii()) == (0, True)
    assert "acme/zürich-→" in [one["value"] for one in json.loads(shown.stdout)]
