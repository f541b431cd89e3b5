"""`reasoning doctor`: what is found, what to type about it, and the exit code."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.operations.doctor.check import Check, Status
from reasoning_cli.operations.doctor.gateway import Probes
from reasoning_cli.operations.doctor.run import exit_code, run_checks
from reasoning_cli.operations.doctor.together import MOST_SKEW_SECONDS
from reasoning_cli.operations.guard.lock import hold_guard
from reasoning_cli.paths import find_paths
from reasoning_cli.sandbox.server import SandboxServer
from reasoning_cli.settings import load_settings
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.conftest import Run
from tests.engines.together.service import Service
from tests.engines.together.service import service as together_standing_still

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxServer]:
    """Something that answers as Together would, with a clock that stands still."""
    with SandboxServer(speed=0) as server:
        monkeypatch.setenv("TOGETHER_BASE_URL", server.url)
        monkeypatch.setenv("TOGETHER_API_KEY", "sandbox-key")
        yield server


@pytest.fixture
def file(home: Path) -> Path:
    home.mkdir(mode=0o700)
    file = home / "config.toml"
    file.write_text("[budget]\nlimit_usd = 100\n")
    file.chmod(0o600)
    return file


def checks(reasoning: Run, *arguments: str) -> tuple[int, dict[str, list[dict[str, object]]]]:
    """The exit code, and the checks by name."""
    done = reasoning("doctor", "--json", *arguments)
    found: dict[str, list[dict[str, object]]] = {}
    for check in json.loads(done.stdout):
        found.setdefault(check["name"], []).append(check)
    return done.exit_code, found


def test_all_is_well(reasoning: Run, service: SandboxServer, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("REASONING_GATEWAY_PORT", str(free.getsockname()[1]))
    open_store(file.parent / "reasoning.db").close()
    done = reasoning("doctor")
    assert (done.exit_code, done.stderr) == (0, "")
    words = [line.split()[0] for line in done.stdout.splitlines()]
    assert set(words) <= {"ok"}, done.stdout
    assert "python 3." in done.stdout.splitlines()[0]
    for fact in ("intact", "budget $100.00", "is free", "accepted, project Sandbox", "nothing runs at Together"):
        assert fact in done.stdout
    assert not Path(file.parent / "cache").exists()


@pytest.mark.both_engines
def test_nothing_is_made_by_looking(reasoning: Run, service: SandboxServer, home: Path) -> None:
    assert reasoning("doctor").exit_code == 0
    assert not home.exists()


def test_a_first_run_without_anything_says_what_is_missing(reasoning: Run) -> None:
    code, found = checks(reasoning)
    assert code == 4
    assert found["account"][0]["status"] == "fail"
    assert "reasoning setup" in str(found["account"][0]["fix"])
    assert found["budget"][0]["status"] == "warn"
    assert found["database"][0]["status"] == "ok"


def test_offline_asks_nobody(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_BASE_URL", NOWHERE)
    code, found = checks(reasoning, "--offline")
    assert (code, {"account", "clock", "running"} & set(found)) == (0, set())


def test_warnings_alone_are_no_failure() -> None:
    warned = Check("budget", Status.WARN, "no budget")
    missing = Check("account", Status.FAIL, "no key", None, exit_code([]).CONFIGURATION)
    broken = Check("database", Status.FAIL, "damaged", None, exit_code([]).FAILED)
    assert exit_code([warned]) == 0
    assert exit_code([warned, missing, broken]) == 4
    assert exit_code([broken, missing]) == 1


# --- the account ---


def test_a_refused_key_is_a_matter_of_configuration(
    reasoning: Run, service: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "tgp_v1_wrong_wrong_wrong_wrong")
    code, found = checks(reasoning)
    assert (code, found["account"][0]["exit_code"]) == (4, 4)
    assert "wrong_wrong" not in json.dumps(found)


def test_a_service_out_of_reach_is_a_matter_of_trying_again(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "sandbox-key")
    monkeypatch.setenv("TOGETHER_BASE_URL", NOWHERE)
    code, found = checks(reasoning)
    assert (code, "cannot reach Together" in str(found["account"][0]["detail"])) == (7, True)


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [
        (0, "ok", "agrees"),
        (MOST_SKEW_SECONDS, "ok", "agrees"),
        (90, "warn", "90 s ahead of"),
        (-3600, "warn", "3600 s behind"),
    ],
)
def test_the_clock_is_compared_with_the_services(
    ahead: int, status: str, words: str, service: SandboxServer, home: Path
) -> None:
    settings = load_settings(find_paths({"REASONING_HOME": str(home)}), os.environ)
    client = TogetherClient(service.url, "sandbox-key")
    nobody = Probes(lambda: None, lambda url: 200)
    found = list(run_checks(settings, lambda: client, lambda: client.now() + timedelta(seconds=ahead), nobody))
    client.close()
    (clock,) = [check for check in found if check.name == "clock"]
    assert (clock.status, words in clock.detail) == (status, True)


def test_what_is_left_running_is_told_with_its_price(
    reasoning: Run, together: object, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reasoning("models", "deploy", "planning", "--yes").exit_code == 0
    _, found = checks(reasoning)
    assert (found["running"][0]["status"], found["running"][0]["detail"]) == (
        "ok",
        "1 deployment runs of ours, up to $5.49 an hour",
    )
    monkeypatch.delenv("REASONING_STORE_URL", raising=False)
    monkeypatch.setenv("REASONING_STORE_PATH", str(file.with_name("other.db")))
    code, found = checks(reasoning)
    assert (code, found["running"][0]["status"]) == (0, "warn")
    assert "not from here: sandbox/planning/" in str(found["running"][0]["detail"])


# --- money, and who watches it ---


@pytest.fixture
def still(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Together standing still, and the operator's own store."""
    home.mkdir()
    with together_standing_still(home) as one:
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        monkeypatch.setenv("TOGETHER_API_KEY", "sandbox-key")
        yield one


def test_budgets_are_told_with_what_is_used(reasoning: Run, still: Service) -> None:
    reasoning("costs", "set-budget", "100")
    reasoning("costs", "set-budget", "5.50", "--model-type", "planning")
    _, found = checks(reasoning)
    assert [check["detail"] for check in found["budget"]] == [
        "budget $100.00 a month, $0.00 used (0 %), at most $40.00 an hour",
        "budget for planning $5.50 a month, $0.00 used (0 %)",
    ]
    still.deploy("planning")
    still.advance(3600)
    reasoning("costs", "report")
    for where in ((), ("--offline",)):
        _, found = checks(reasoning, *where)
        assert [(check["status"], check["detail"]) for check in found["budget"]] == [
            ("ok", "budget $100.00 a month, $5.49 used (5 %), at most $40.00 an hour"),
            ("warn", "budget for planning $5.50 a month, $5.49 used (100 %)"),
        ]


@pytest.mark.parametrize("where", [(), ("--offline",)])
def test_what_nobody_will_ever_stop_is_a_failure(where: tuple[str, ...], reasoning: Run, still: Service) -> None:
    still.deploy("planning", idle_minutes=0)
    still.deploy("should_respond", idle_minutes=30)
    code, found = checks(reasoning, *where)
    (guard,) = found["guard"]
    assert (code, guard["status"], guard["fix"]) == (1, "fail", "reasoning costs guard --print-systemd")
    assert guard["detail"] == "nothing stops planning: no idle stop at Together, and no guard was ever seen here"


@pytest.mark.parametrize("where", [(), ("--offline",)])
def test_what_only_together_watches_is_a_warning(where: tuple[str, ...], reasoning: Run, still: Service) -> None:
    still.deploy("planning", idle_minutes=30)
    code, found = checks(reasoning, *where)
    (guard,) = found["guard"]
    assert (code, guard["status"], guard["fix"]) == (0, "warn", "reasoning costs guard --print-systemd")
    assert guard["detail"] == "planning: only Together's idle stop watches, no guard was ever seen here"


@pytest.mark.both_engines
@pytest.mark.parametrize("where", [(), ("--offline",)])
def test_a_guard_that_looked_lately_is_enough(where: tuple[str, ...], reasoning: Run, still: Service) -> None:
    still.deploy("planning", idle_minutes=0)
    assert reasoning("costs", "guard", "--once").exit_code == 0
    code, found = checks(reasoning, *where)
    assert (code, found["guard"][0]["status"]) == (0, "ok")
    assert str(found["guard"][0]["detail"]).startswith("a guard looked ")


@pytest.mark.sqlite("the guard's sign of life is in a file")
def test_a_guard_that_was_not_seen_for_three_intervals_is_gone(reasoning: Run, still: Service, home: Path) -> None:
    database = home / "reasoning.db"
    still.deploy("planning", idle_minutes=30)
    last = {"pid": 7, "at": (datetime.now(UTC) - timedelta(hours=5)).isoformat(), "interval_seconds": 3600}
    signs = database.with_name("reasoning.db.guard")
    signs.write_text(json.dumps(last))
    (guard,) = checks(reasoning)[1]["guard"]
    assert (guard["status"], "the last guard looked 5 h ago" in str(guard["detail"])) == ("warn", True)
    with hold_guard(database):  # it lives, and hangs
        (guard,) = checks(reasoning)[1]["guard"]
        assert (guard["status"], "guard (process 7) has not looked for 5 h" in str(guard["detail"])) == ("warn", True)
    signs.write_text(json.dumps(last | {"interval_seconds": 7200}))
    assert checks(reasoning)[1]["guard"][0]["status"] == "ok"


def test_where_nothing_runs_nobody_has_to_watch(reasoning: Run, still: Service) -> None:
    assert "guard" not in checks(reasoning)[1]
    still.deploy("planning", idle_minutes=0)
    still.scale(0, 0)
    still.advance(600)
    assert "guard" not in checks(reasoning)[1]  # by Together's word
    assert checks(reasoning, "--offline")[1]["guard"][0]["status"] == "fail"  # as last seen


# --- settings and variables ---


def test_every_wrong_setting_is_told_with_what_to_do(
    reasoning: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("[gateway]\nport = 99999\n[deploy]\nidle_minuts = 30\n")
    monkeypatch.setenv("REASONING_DATA_COLLECT", "perhaps")
    Path(".env").write_text("REASONING_BUDGET_LIMIT_USD=lots\n")
    code, found = checks(reasoning, "--offline")
    assert code == 4
    fixes = [str(check["fix"]) for check in found["settings"]]
    assert "`reasoning config unset deploy.idle_minuts`" in fixes[0]
    assert fixes[1:] == [
        "change or unset REASONING_BUDGET_LIMIT_USD in .env",
        "change or unset REASONING_DATA_COLLECT",
        "reasoning config unset gateway.port",
    ]
    assert {check["status"] for check in found["settings"]} == {"fail"}


def test_with_a_broken_file_together_is_not_asked(reasoning: Run, service: SandboxServer, file: Path) -> None:
    file.write_text("[gateway\n")
    code, found = checks(reasoning)
    assert code == 4
    assert "not valid TOML" in str(found["settings"][0]["detail"])
    assert "was not asked" in str(found["account"][0]["detail"])


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("REASONING_GATWAY_PORT", "rename it to REASONING_GATEWAY_PORT, or unset it"),
        ("CUSTOM_REASONING_BUDGET_LIMITS", "rename it to CUSTOM_REASONING_BUDGET_LIMIT, or unset it"),
        ("REASONING_SERVICE_ENABLED", "unset REASONING_SERVICE_ENABLED"),
        ("TOGETHER_AI_TIMEOUT", "unset TOGETHER_AI_TIMEOUT"),
    ],
)
def test_variables_without_effect_are_told(
    name: str, fix: str, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    _, found = checks(reasoning, "--offline")
    (check,) = found["variables"]
    assert (check["status"], check["detail"], check["fix"]) == ("warn", f"{name} (environment) has no effect", fix)


def test_a_variable_that_another_overrules_is_told(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOM_REASONING_BUDGET_LIMIT", "10")
    monkeypatch.setenv("REASONING_SERVICE_BUDGET_LIMIT", "10")
    assert "variables" not in checks(reasoning, "--offline")[1]
    monkeypatch.setenv("REASONING_SERVICE_BUDGET_LIMIT", "20")
    (check,) = checks(reasoning, "--offline")[1]["variables"]
    assert check["detail"] == (
        "REASONING_SERVICE_BUDGET_LIMIT (environment) has no effect: CUSTOM_REASONING_BUDGET_LIMIT wins"
    )


def test_variables_that_count_are_not_told(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REASONING_GATEWAY_PORT", "ANTHROPIC_PROXY_PORT"):
        monkeypatch.setenv(name, "9000")
    assert "variables" not in checks(reasoning, "--offline")[1]


# --- files ---


@pytest.mark.sqlite("what is wrong with the file")
def test_private_files_that_are_not_private_are_told_with_a_command_that_helps(reasoning: Run, file: Path) -> None:
    database = file.parent / "reasoning.db"
    open_store(database).close()
    for one in (file, database):
        one.chmod(0o644)
    code, found = checks(reasoning, "--offline")
    assert (code, [check["status"] for check in found["modes"]]) == (0, ["warn", "warn"])
    for check in found["modes"]:
        subprocess.run(shlex.split(str(check["fix"])), check=True)
    assert "modes" not in checks(reasoning, "--offline")[1]


def test_a_home_that_cannot_be_written_is_a_failure(
    reasoning: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REASONING_HOME", str(tmp_path / "file" / "below"))
    code, found = checks(reasoning, "--offline")
    assert code != 0
    assert found["folders"][0]["fix"] == "export REASONING_HOME=FOLDER"


@pytest.mark.sqlite("what is wrong with the file")
@pytest.mark.parametrize(
    "content", [b"no database at all, but some text" * 50, b"SQLite format 3\x00" + b"\xff" * 4096]
)
def test_a_damaged_database_is_a_failure(content: bytes, reasoning: Run, file: Path) -> None:
    (file.parent / "reasoning.db").write_bytes(content)
    code, found = checks(reasoning, "--offline")
    assert (code, found["database"][0]["status"]) == (1, "fail")


@pytest.mark.sqlite("what is wrong with the file")
def test_a_page_that_went_bad_is_found(reasoning: Run, file: Path) -> None:
    path = file.parent / "reasoning.db"
    with open_store(path) as store:
        store.write_many(
            "INSERT INTO events(at, actor, action, subject, detail) VALUES (?, 'a', 'b', 'c', ?)",
            [(at, "x" * 500) for at in range(200)],
        )
    size = path.stat().st_size
    with path.open("r+b") as raw:
        raw.seek(size - 3 * 4096)
        raw.write(b"\xff" * 8192)
    code, found = checks(reasoning, "--offline")
    assert (code, "damaged" in str(found["database"][0]["detail"])) == (1, True)


@pytest.mark.sqlite("what is wrong with the file")
def test_a_database_of_another_program_is_a_failure(reasoning: Run, file: Path) -> None:
    connection = sqlite3.connect(file.parent / "reasoning.db")
    connection.execute("CREATE TABLE theirs(id)")
    connection.close()
    code, found = checks(reasoning, "--offline")
    assert (code, "another program" in str(found["database"][0]["detail"])) == (1, True)


# --- the gateway ---


def test_a_taken_port_is_told(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("REASONING_GATEWAY_PORT", str(port))
        code, found = checks(reasoning, "--offline")
    assert code == 0
    assert (found["gateway"][0]["status"], found["gateway"][0]["detail"]) == (
        "warn",
        f"gateway port {port}: taken by another program",
    )


def test_an_upstream_that_is_the_gateway_is_a_failure(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REASONING_GATEWAY_ANTHROPIC_UPSTREAM", "http://localhost:8001/v1")
    code, found = checks(reasoning, "--offline")
    assert (code, found["gateway"][1]["status"]) == (4, "fail")
    assert "for ever" in str(found["gateway"][1]["detail"])


# --- how it looks ---


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_every_width_shows_every_word(columns: int, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = reasoning("doctor", "--offline").stdout.splitlines()
    text = " ".join(" ".join(lines).split())
    for _, found in sorted(checks(reasoning, "--offline")[1].items()):
        assert all(str(check["detail"]) in text for check in found)
    budget = next(number for number, line in enumerate(lines) if "no budget is set" in line)
    assert ("fix:" in lines[budget]) == (columns > 80)
    assert any("fix: reasoning costs set-budget 100" in line for line in lines)


def test_in_the_sandbox_the_sandbox_is_looked_at(process: Run, home: Path) -> None:
    done = process("--sandbox", "doctor")
    try:
        assert (done.exit_code, "accepted, project Sandbox" in done.stdout) == (0, True)
        assert "clock" not in done.stdout
    finally:
        process("sandbox", "reset", "--yes")
    assert not (home / "sandbox").exists()


@pytest.mark.both_engines
@pytest.mark.parametrize(("labelled", "copied", "status"), [(49, False, None), (50, False, "warn"), (50, True, "ok")])
def test_labels_without_a_copy_are_told(
    reasoning: Run, home: Path, tmp_path: Path, store_engine: str, labelled: int, copied: bool, status: str | None
) -> None:
    """But of a server nobody here sees how it is backed up, nor the disks of its other hosts."""
    home.mkdir()
    made = Sample("", datetime.now(UTC), "planning", "m", "original", "test", "p", "o", label="good")
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many([replace(made, id=str(number)) for number in range(labelled)])
    if copied:
        assert reasoning("data", "backup", tmp_path / "copy.db").exit_code == 0
    _, found = checks(reasoning, "--offline")
    if store_engine == "postgresql" and status is not None:
        status = "ok"
    assert [check["status"] for check in found.get("backup", [])] == ([status] if status else [])
    if copied:
        (tmp_path / "copy.db").unlink()
        [check] = checks(reasoning, "--offline")[1]["backup"]
        assert check["status"] == ("ok" if store_engine == "postgresql" else "warn"), check


@pytest.mark.sqlite("what is wrong with the file")
def test_what_others_put_into_the_database_is_a_failure_with_the_words_that_end_it(reasoning: Run, file: Path) -> None:
    path = file.parent / "reasoning.db"
    open_store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as store, store:
        store.execute('CREATE TRIGGER "it\'s \u202e mine" AFTER INSERT ON samples BEGIN DELETE FROM samples; END')
    code, found = checks(reasoning, "--offline")
    check = found["database"][0]
    assert (code, check["status"]) == (1, "fail")
    assert "the trigger `it's \u202e mine`, which this program did not make" in str(check["detail"])
    assert "\u202e" not in reasoning("doctor", "--offline").stdout
    fix = shlex.split(str(check["fix"]))
    with contextlib.closing(sqlite3.connect(fix[1])) as store, store:
        store.execute(fix[2])
    assert checks(reasoning, "--offline")[1]["database"][0]["status"] == "ok"


def test_ok_is_said_of_no_file_that_is_not_there(reasoning: Run, file: Path, tmp_path: Path, store_engine: str) -> None:
    file.unlink()
    shown = reasoning("doctor", "--offline").stdout
    assert f"settings make sense, no settings file yet ({file})" in " ".join(shown.split())
    reasoning("config", "set", "gateway.port", "9000")
    assert f"settings make sense, file {file}" in " ".join(reasoning("doctor", "--offline").stdout.split())
    reasoning("data", "backup", str(tmp_path / "copy.db"))
    assert "ok    last copy 0 d ago" in reasoning("doctor", "--offline").stdout
    (tmp_path / "copy.db").unlink()
    lost = " ".join(reasoning("doctor", "--offline").stdout.split())
    if store_engine == "sqlite":
        assert "ok last copy" not in lost
        assert "which is not there any more" in lost
    else:  # the copy may be on another of its hosts
        assert "copy.db, which is not on this host" in lost
    for name in ("gateway.tls_cert", "gateway.tls_key"):
        reasoning("config", "set", name, str(tmp_path / "none.pem"))
    done = reasoning("doctor", "--offline", "--json")
    wrong = [one["detail"] for one in json.loads(done.stdout) if one["status"] == "fail"]
    assert (done.exit_code, len(wrong)) == (4, 2)
    assert f"gateway.tls_key names {tmp_path / 'none.pem'}, which is not there" in wrong
