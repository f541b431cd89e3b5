"""`reasoning doctor --live`: what it asks, shows, writes and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from reasoning_cli.sandbox.server import SandboxServer
from reasoning_cli.store.open import open_store
from reasoning_cli.store.service_facts import ServiceFacts
from tests.conftest import Run
from tests.waiting import until

HEADERS = {"authorization": "Bearer sandbox-key"}
ENDPOINTS = "/v2/projects/proj_sandbox/endpoints"


@pytest.fixture
def service(together: SandboxServer) -> SandboxServer:
    return together


def report_file(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("reasoning-live-*.json")
    assert path.stat().st_mode & 0o077 == 0
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def posts(service: SandboxServer) -> list[str]:
    journal = httpx.get(f"{service.url}/_sandbox/requests", headers=HEADERS).json()
    return [one["path"] for one in journal if one["method"] != "GET"]


def deployments(service: SandboxServer) -> list[dict[str, Any]]:
    endpoints = httpx.get(f"{service.url}{ENDPOINTS}", headers=HEADERS).json()["data"]
    return [one for endpoint in endpoints for one in endpoint["deployments"]]


def test_reading_changes_nothing_at_together_and_leaves_a_report(reasoning: Run, service: SandboxServer) -> None:
    done = reasoning("doctor", "--live")
    assert done.exit_code == 0, done.stderr
    assert posts(service) == []
    report = report_file(Path.cwd())
    assert {one["verdict"] for one in report["facts"]} == {"not settled"}
    assert {one["route"] for one in report["answers"]} >= {"/v3/whoami", "/v2/projects/{}/endpoints", "/v1/files"}
    assert "14 facts: 14 are not settled" in done.stdout
    assert "`reasoning doctor --live --spend 2`" in done.stderr


def test_what_does_not_hold_is_said_with_what_depends_on_it_at_any_width(
    reasoning: Run, service: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    behaviour = {"takes_empty_split": False, "extra_members": True}
    httpx.post(f"{service.url}/_sandbox/behaviour", json=behaviour).raise_for_status()
    done = reasoning("doctor", "--live", "--spend", "2", "--yes")
    said = done.stdout + done.stderr
    assert "empty_split: an empty split was refused. On it depends whether `models undeploy` can delete" in said
    assert "not settled: needs half an hour without requests" in said
    assert "/v2/projects/{}/endpoints/{}/deployments: unknown member `data[].preemptible`" not in said  # none was there
    (left,) = deployments(service)
    assert left["state"] == "DEPLOYMENT_STATE_STOPPED"
    later = reasoning("doctor", "--live").stdout
    assert "/v2/projects/{}/endpoints/{}/deployments: unknown member `data[].preemptible` (boolean)" in later


def test_it_spends_nothing_without_a_yes(reasoning: Run, service: SandboxServer) -> None:
    done = reasoning("doctor", "--live", "--spend", "2")
    assert done.exit_code != 0
    assert "add --yes" in done.stderr
    assert "$2.00: stopped after 21 min at the latest" in done.stderr
    assert posts(service) == []
    assert list(Path.cwd().iterdir()) == []


def test_a_probe_settles_what_reading_cannot_and_what_is_settled_stays(
    reasoning: Run, service: SandboxServer, home: Path, tmp_path: Path
) -> None:
    service.service.step_seconds = Decimal(5)
    done = reasoning("doctor", "--live", "--spend", "2", "--yes", "-o", tmp_path / "sent.json", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "sent.json").read_text())
    found = {one["name"]: one["verdict"] for one in report["facts"]}
    assert {name for name, verdict in found.items() if verdict == "not settled"} == {
        *("event_days", "idle_stop", "billed_price", "cold_start_free", "billing_exact", "no_billing_minimum")
    }
    assert (report["probe"]["stopped"], report["probe"]["removed"]) == (True, True)
    assert deployments(service) == []
    with open_store(home / "reasoning.db") as store:
        stored = ServiceFacts(store).all()
    assert {name for name, verdict in found.items() if verdict == "holds"} == set(stored)
    assert {one.version for one in stored.values()} == {report["version"]}
    later = reasoning("doctor", "--live", "--json")
    kept = {one["name"]: (one["verdict"], one["settled_at"]) for one in json.loads(later.stdout)["facts"]}
    for one in report["facts"]:
        if one["verdict"] == "holds":
            assert kept[one["name"]] == ("holds", one["settled_at"])


def test_the_bill_of_a_probe_is_read_by_a_later_look(reasoning: Run, service: SandboxServer) -> None:
    httpx.post(f"{service.url}/_sandbox/behaviour", json={"billing_enabled": True, "billing_rounding": "up"})
    service.service.step_seconds = Decimal(1)
    assert reasoning("doctor", "--live", "--spend", "2", "--yes").exit_code == 0
    httpx.post(f"{service.url}/_sandbox/clock", json={"advance_seconds": 4 * 3600})
    report = json.loads(reasoning("doctor", "--live", "--json").stdout)
    found = {one["name"]: (one["verdict"], one["value"]) for one in report["facts"]}
    assert found["billing_exact"] == ("does not hold", "up")
    assert found["billed_price"] == ("holds", "549.00")


@pytest.mark.parametrize(
    "options", [("--spend", "2"), ("-o", "x.json"), ("--live", "--offline"), ("--live", "--spend", "much")]
)
def test_what_makes_no_sense_is_refused(reasoning: Run, service: SandboxServer, options: tuple[str, ...]) -> None:
    done = reasoning("doctor", *options)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert posts(service) == []


def test_a_refused_key_is_said_as_ever(reasoning: Run, service: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "tgp_v1_wrong_wrong_wrong_wrong")
    done = reasoning("doctor", "--live")
    assert done.exit_code == 4
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_signal_ends_it_with_nothing_running(service: SandboxServer, number: signal.Signals, code: int) -> None:
    """The program itself, as a process of its own."""
    command = [sys.executable, "-P", "-m", "reasoning_cli", "doctor", "--live", "--spend", "4", "--yes"]
    with subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            until(lambda: "/v1/chat/completions" in posts(service), "the probe to be ready")
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code, said.decode()
    assert "seen stopped" in said.decode()
    assert deployments(service) == []
    assert report_file(Path.cwd())["probe"]["stopped"] is True


def test_a_program_that_is_killed_leaves_what_a_stop_knows(reasoning: Run, service: SandboxServer) -> None:
    command = [sys.executable, "-P", "-m", "reasoning_cli", "doctor", "--live", "--spend", "4", "--yes"]
    with subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: "/v1/chat/completions" in posts(service), "the probe to be ready")
        process.kill()
    (left,) = deployments(service)
    done = reasoning("models", "undeploy", left["name"].split("/")[1], "--yes")
    assert done.exit_code == 0, done.stderr
    assert deployments(service) == []


def test_what_was_seen_is_shown_where_the_report_cannot_be_written(reasoning: Run, service: SandboxServer) -> None:
    done = reasoning("doctor", "--live", "-o", "nowhere/report.json")
    assert done.exit_code == 1
    assert "14 facts" in done.stdout
    assert "cannot be written to `nowhere/report.json`" in done.stderr
