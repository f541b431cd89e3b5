"""`reasoning dashboard` before any page is shown: what it refuses, and what it says instead."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import Run
from tests.waiting import until


def test_without_the_extra_it_says_what_to_install(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "nicegui" else find(name, *rest)
    )
    done = reasoning("--sandbox", "dashboard", "--no-open")
    assert done.exit_code == 4
    assert "hint: `pip install 'reasoning[dashboard]'`" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--host", "192.0.2.1"), 4, "without TLS anybody on the way there can read along"),
        (("--tls-cert", "c.pem"), 2, "a certificate and its key belong together"),
        (("--host", "0.0.0.0", "--tls-cert", "c.pem", "--tls-key", "k.pem"), 4, "cannot read `c.pem`"),
    ],
)
def test_what_others_could_reach_or_read_is_refused(
    reasoning: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    pytest.importorskip("nicegui")
    done = reasoning("--sandbox", "dashboard", "--no-open", *words)
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr


def test_another_name_must_be_named_where_all_addresses_are_listened_on(reasoning: Run) -> None:
    pytest.importorskip("nicegui")
    done = reasoning("--sandbox", "--allow-plain-http", "dashboard", "--no-open", "--host", "0.0.0.0")
    assert (done.exit_code, "by which name is it called?" in done.stderr) == (2, True), done.stderr


# --- beside a gateway ---


def test_without_the_extra_no_gateway_is_started_either(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "nicegui" else find(name, *rest)
    )
    done = reasoning("--sandbox", "gateway", "serve", "--port", "0", "--dashboard")
    assert done.exit_code == 4
    assert "hint: `pip install 'reasoning[dashboard]'`" in done.stderr
    assert "listening" not in done.stderr


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_it_comes_and_goes_with_the_gateway_it_is_started_beside(tmp_path: Path, end: signal.Signals) -> None:
    """In a process of its own, which ends also where the gateway is killed."""
    pytest.importorskip("nicegui")
    words = ["--sandbox", "gateway", "serve", "--port", "0", "--dashboard", "--dashboard-port", "0"]
    said = tmp_path / "said"
    with said.open("w") as out:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "reasoning_cli", *words],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "REASONING_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        )
        try:
            until(lambda: "/login?key=" in said.read_text() or gateway.poll() is not None, "the link", seconds=280)
            text = said.read_text()
            link = re.search(r"^http://127\.0\.0\.1:\d+/login\?key=\S+$", text, re.MULTILINE)
            called = re.search(r"listening on (http://127\.0\.0\.1:\d+)", text)
            assert link is not None, text
            assert called is not None, text
            assert "The dashboard ends with the gateway." in said.read_text()
            assert httpx.get(f"{called[1]}/health", timeout=60).status_code == 200
            assert httpx.get(link[0], timeout=60).status_code == 303
        finally:
            gateway.send_signal(end)
            gateway.wait(60)
    until(lambda: not _answers(link[0]), "its end")
    subprocess.run(
        [sys.executable, "-m", "reasoning_cli", "--sandbox", "sandbox", "stop"],
        env={**os.environ, "REASONING_HOME": str(tmp_path)},
        capture_output=True,
        check=True,
    )


def _answers(link: str) -> bool:
    try:
        httpx.get(link, timeout=60)
    except httpx.TransportError:
        return False
    return True
