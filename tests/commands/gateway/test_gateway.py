"""`reasoning gateway …` as it is typed: started, watched, reloaded and ended as a process of its own."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from reasoning_cli.commands.gateway._views import _recording_facts
from reasoning_cli.operations.guard.lock import find_guard
from reasoning_cli.store.audit_log import Events
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.samples.training_log import Samples
from reasoning_cli.store.serving.attempts import Attempts
from tests.conftest import Run
from tests.engines.together.service import Service
from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Provider, Received
from tests.waiting import until


@dataclass
class Running:
    """A gateway of its own process, and what it says."""

    process: subprocess.Popen[str]
    url: str
    client: httpx.Client

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(self, model_type: str = "planning") -> httpx.Response:
        return self.client.post(PATHS["chat"], json=request("chat", PROMPTS[model_type]))

    def stats(self) -> dict[str, object]:
        found: dict[str, object] = self.client.get("/stats").json()
        return found

    def workers(self) -> list[str]:
        """The ids of the processes that answer."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [one for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]

    def end(self, sign: int = signal.SIGTERM) -> tuple[int, str]:
        """The exit code, and what it said."""
        self.process.send_signal(sign)
        assert self.process.stderr is not None
        # What came with the line that was read already waits in the reader, where `communicate` does not look.
        said = self.process.stderr.read()
        return self.process.wait(60), said


@contextlib.contextmanager
def serving(*arguments: str, host: str = "127.0.0.1", trusted: Path | None = None) -> Iterator[Running]:
    """A gateway on a free port, ready; over TLS when a certificate is `trusted`."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "reasoning_cli", "gateway", "serve", "--port", "0", "--host", host, *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"listening on (https?)://.*:(\d+) ", line := process.stderr.readline())
            assert found, line + process.stderr.read()
            assert found[1] == ("http" if trusted is None else "https")
            url = f"{found[1]}://127.0.0.1:{found[2]}"
            verify = True if trusted is None else ssl.create_default_context(cafile=str(trusted))
            with httpx.Client(base_url=url, timeout=60, trust_env=False, verify=verify) as client:
                # The port is open already: the answer comes when it is ready.
                assert client.get("/ready").json() == {"ready": True}
                yield Running(process, url, client)
        finally:
            if process.poll() is None:
                process.kill()


@pytest.fixture
def original(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The provider the agent's calls were going to."""
    provider = Provider(canned.original)
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"REASONING_GATEWAY_{name}_UPSTREAM", f"{provider.url}/v1")
    yield provider
    provider.close()


async def slowly(received: Received, answering: Answering) -> None:
    import asyncio

    await asyncio.sleep(0.5)
    await canned.original(received, answering)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_told_to_end_it_answers_what_is_under_way_and_keeps_it(
    still: Service, original: Provider, workers: str
) -> None:
    original.handler = slowly
    with serving("--workers", workers) as gateway, ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(gateway.ask) for _ in range(20)]
        until(lambda: len(original.received) == 20, "the calls to be under way")
        code, said = gateway.end()
        assert [call.result().status_code for call in calls] == [200] * 20
    assert (code, said) == (0, "")
    assert Samples(still.store).count() == 20


def test_ctrl_c_ends_it_with_130_and_no_traceback(still: Service, original: Provider) -> None:
    with serving() as gateway:
        assert gateway.ask().status_code == 200
        assert gateway.end(signal.SIGINT) == (130, "")
    assert Samples(still.store).count() == 1
    with serving("--workers", "2") as gateway:
        assert gateway.end(signal.SIGINT) == (130, "")


def test_a_second_ctrl_c_cuts_off_what_is_under_way(still: Service, original: Provider) -> None:
    async def never(received: Received, answering: Answering) -> None:
        await answering.until_caller_leaves()

    original.handler = never
    with serving() as gateway, ThreadPoolExecutor(1) as pool:
        pool.submit(gateway.ask)
        until(lambda: len(original.received) == 1, "the call to be under way")
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.stderr is not None
        assert gateway.process.stderr.readline() == "ending when 1 under way is answered; Ctrl-C again cuts off\n"
        assert gateway.end(signal.SIGINT)[0] == 130


def test_the_figures_are_those_of_all_workers(still: Service, original: Provider) -> None:
    with serving("--workers", "3") as gateway:
        for _ in range(20):
            # A connection of its own for each, so that all of them get some.
            answer = httpx.post(gateway.url + PATHS["chat"], json=request("chat", PROMPTS["planning"]), trust_env=False)
            assert answer.status_code == 200

        def whole() -> bool:
            found = httpx.get(f"{gateway.url}/stats", trust_env=False).json()
            return bool(found["workers"] == 3 and found["requests"] == found["recording"]["stored"] == 20)

        until(whole, "the figures of all three")
        line = "reasoning_gateway_requests_total 20.0\n"
        until(lambda: line in httpx.get(f"{gateway.url}/metrics", trust_env=False).text, "the same in the metrics")
        assert gateway.end()[0] == 0


def left_by(worker: str) -> int:
    """How many requests a worker has told the others of."""
    variables = Path(f"/proc/{worker}/environ").read_text().split("\0")
    options = json.loads(next(one for one in variables if one.startswith("_REASONING_GATEWAY=")).partition("=")[2])
    told = Path(options["siblings"], f"{worker}.json")
    return int(json.loads(told.read_text())["figures"]["requests"]) if told.exists() else 0


def test_a_worker_that_dies_is_replaced_and_what_it_did_still_counts(still: Service, original: Provider) -> None:
    with serving("--workers", "2") as gateway:
        for _ in range(10):
            httpx.post(gateway.url + PATHS["chat"], json=request("chat", PROMPTS["planning"]), trust_env=False)

        def told() -> dict[str, int]:
            with contextlib.suppress(httpx.HTTPError):
                found: dict[str, int] = httpx.get(f"{gateway.url}/stats", trust_env=False).json()
                return found
            return {"workers": 0, "requests": 0}

        until(lambda: len(gateway.workers()) == 2, "both workers")
        first, second = gateway.workers()
        # Each tells the others once a second; what one did since is lost with it.
        until(lambda: left_by(first) + left_by(second) == 10, "both workers' figures")
        until(lambda: (told()["workers"], told()["requests"]) == (2, 10), "the figures of both")
        os.kill(int(first), signal.SIGKILL)
        until(lambda: first not in (now := gateway.workers()) and len(now) == 2, "another process in its place")
        until(lambda: (told()["workers"], told()["requests"]) == (2, 10), "the figures of both again")
        assert gateway.end()[0] == 0


def test_workers_do_not_outlive_what_started_them(still: Service, original: Provider) -> None:
    with serving("--workers", "2") as gateway:
        gateway.process.kill()
        gateway.process.wait()

        def closed() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", gateway.port)) != 0

        until(closed, "the workers to end")


def test_a_taken_port_is_said_before_anything_starts(still: Service, reasoning: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = reasoning("gateway", "serve", "--port", port)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: port {port} of 127.0.0.1 is taken\n"
        "hint: `reasoning gateway status` says whether by a gateway;"
        f" or take another: `--port {port + 1}`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--host", "0.0.0.0"], 4, "no token is set"),
        (["--host", "no.such.host.invalid"], 4, "is not an address of this machine"),
        (["--host", "192.0.2.7"], 4, "no token is set"),
        (["--host", "127.example.org"], 4, "no token is set"),
        (["--workers", "0"], 2, "workers"),
    ],
)
def test_what_must_not_start_does_not(
    still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    if "no.such" in arguments[-1]:
        monkeypatch.setenv("REASONING_GATEWAY_TOKEN", "the-token-of-tests")
    done = reasoning("gateway", "serve", *arguments)
    assert done.exit_code == code
    assert words in done.stderr


def test_settings_are_followed_and_a_broken_file_changes_nothing(
    still: Service, original: Provider, home: Path, process: Run
) -> None:
    still.deploy()
    file = home / "config.toml"
    with serving() as gateway:
        assert gateway.ask().headers["x-reasoning-source"] == "slot"
        assert process("models", "disable", "planning").exit_code == 0
        until(lambda: "x-reasoning-source" not in gateway.ask().headers, "the slot to close")
        good = file.read_text()
        file.write_text("[planning\n")
        until(lambda: gateway.stats()["problem"] is not None, "the problem to be seen")
        assert "x-reasoning-source" not in gateway.ask().headers
        file.write_text(good.replace("enabled = false", "enabled = true"))
        until(lambda: "x-reasoning-source" in gateway.ask().headers, "the slot to open")
        assert gateway.stats()["problem"] is None
        code, said = gateway.end()
    assert code == 0
    assert said.count("settings and slots stay as they were") == 1


def test_the_token_is_followed_and_never_given_up(still: Service, original: Provider, home: Path, process: Run) -> None:
    def set_token(token: str) -> None:
        (home / "config.toml").write_text(f'[gateway]\ntoken = "{token}"\n' if token else "")
        (home / "config.toml").chmod(0o600)

    set_token("the-first-token")
    with serving("--access-log", host="0.0.0.0") as gateway:

        def status(token: str) -> int:
            return gateway.client.get(f"/t/{token}/v1/models").status_code

        assert (status("the-first-token"), status("another-token")) == (200, 401)
        assert original.received[-1].target == "/v1/models"
        set_token("the-second-token")
        until(lambda: status("the-second-token") == 200, "the new token")
        assert status("the-first-token") == 401
        set_token("")
        time.sleep(1.5)
        assert (status("the-second-token"), gateway.client.get("/v1/models").status_code) == (200, 401)
        said = gateway.end()[1]
    assert '"path": "/v1/models"' in said
    assert "-token" not in said.replace("gateway.token", "")


def test_names_it_may_be_called_by(still: Service, original: Provider, home: Path) -> None:
    def status(gateway: Running, host: str) -> int:
        return gateway.client.get("/v1/models", headers={"host": host}).status_code

    with serving("--allow-host", "host.docker.internal", "--allow-host", "Gateway", "--workers", "2") as gateway:
        assert [status(gateway, one) for one in ("host.docker.internal:1", "gateway", "evil.example")] == [
            200,
            200,
            421,
        ]
    (home / "config.toml").write_text("")
    with serving() as gateway:
        assert status(gateway, "agents.internal") == 421
        (home / "config.toml").write_text('[gateway]\nhosts = "agents.internal, other"\n')
        until(lambda: status(gateway, "agents.internal") == 200, "the name to be known")
        assert status(gateway, "evil.example") == 421


def test_the_guard_runs_inside_and_only_one_acts(still: Service, original: Provider, process: Run) -> None:
    def acting() -> str | None:
        seen = find_guard(still.store.path, still.store)
        return seen.name if seen is not None and seen.running else None

    with serving("--guard") as gateway:
        until(acting, "the guard's sign of life")
        other = process("costs", "guard", "--once")
        assert (other.exit_code, other.stderr.splitlines()[0]) == (
            1,
            f"error: a guard is at work already ({acting()}); two would get in each other's way",
        )
        assert str(acting()).startswith(f"process {gateway.process.pid}")
        assert gateway.end()[0] == 0
    assert process("costs", "guard", "--once").exit_code == 0


def test_traffic_wakes_a_stopped_model_and_the_original_answers_meanwhile(
    still: Service, original: Provider, monkeypatch: pytest.MonkeyPatch, process: Run
) -> None:
    monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.05")
    still.deploy()
    still.stop(keep=True)
    with serving() as gateway:
        assert "x-reasoning-source" not in gateway.ask().headers
        time.sleep(0.3)
        assert not [one for one in Events(still.store).list() if one.action == "wake"]
    with serving("--wake", "--workers", "2") as gateway:
        for _ in range(6):
            assert "x-reasoning-source" not in gateway.ask().headers
        until(lambda: any(one.action == "wake" for one in Events(still.store).list()), "the start")
        still.run_clock()
        until(lambda: "x-reasoning-source" in gateway.ask().headers, "the model to answer")
        assert gateway.end()[0] == 0
    woken = [one for one in Events(still.store).list() if one.action == "wake"]
    assert [(one.actor, one.detail["text"]) for one in woken] == [("gateway", "a planning decision came in")]


def test_who_stops_a_model_that_traffic_starts_is_told(
    still: Service, reasoning: Run, session_facts: dict[str, object]
) -> None:
    session_facts["sleep"] = still.sleep
    still.deploy()
    reasoning("config", "set", "planning.wake", "true")
    done = reasoning("models", "stop", "planning", "--yes")
    assert "warning: traffic starts it again too, while planning.wake is set\n" in done.stderr
    assert done.stderr.endswith("hint: `reasoning models disable planning` keeps it off\n")


def test_what_is_kept_is_redacted_when_that_is_wanted(
    still: Service, original: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONING_DATA_REDACT_ON_WRITE", "true")
    monkeypatch.setenv("REASONING_PLANNING_MODE", "shadow")
    still.deploy()
    prompt = PROMPTS["planning"].replace("Sam:", "Sam: write to sam.miller@example.org,", 1)
    with serving() as gateway:
        gateway.client.post(PATHS["chat"], json=request("chat", prompt))
        assert gateway.end()[0] == 0
    (sample,) = Samples(still.store).iterate()
    (attempt,) = Attempts(still.store).of_sample(sample.id)
    assert "[EMAIL" in sample.prompt.upper()
    assert "sam.miller@example.org" not in sample.prompt + attempt.output


def test_a_model_stopped_behind_our_back_is_seen(still: Service, original: Provider) -> None:
    still.deploy()
    still.scale(0, 0)
    still.advance(60)
    with serving() as gateway:
        assert "x-reasoning-source" not in gateway.ask().headers

        def closed() -> bool:
            return gateway.stats()["slots"]["planning"]["closed"] == "the model is STOPPED"  # type: ignore[index]

        until(closed, "the slot to close")


def test_another_provider_serves_a_slot(
    still: Service, original: Provider, home: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Provider(canned.model)
    reasoning("config", "set", "planning.provider_url", f"{model.url}/v1")
    reasoning("config", "set", "planning.model", "acme/model")
    reasoning("config", "set", "planning.provider_key", "--stdin", input="the-key-elsewhere\n")
    with serving() as gateway:
        assert gateway.ask().headers["x-reasoning-source"] == "slot"
        (asked,) = model.asked("/chat/completions")
        assert (asked.target, asked.header("authorization")) == ("/v1/chat/completions", "Bearer the-key-elsewhere")
        assert asked.json["model"] == "acme/model"
        monkeypatch.setenv("REASONING_GATEWAY_PORT", str(gateway.port))
        model.handler = canned.original  # which also answers a GET
        shown = reasoning("doctor").stdout
        assert f"a gateway runs on port {gateway.port}: 1 decisions, 1 answered by your models" in shown
        assert f"planning is served at {model.url}/v1, which answers" in shown
        assert "plugin-anthropic 1.0.x ignores ANTHROPIC_BASE_URL" in shown
        assert f"GATEWAY  on port {gateway.port}: 1 decisions, 1 answered by our models" in reasoning("status").stdout
    assert still.deployments() == []
    model.close()
    assert "which cannot be reached" in reasoning("doctor").stdout


def test_what_it_did_is_told_while_it_runs_and_afterwards(
    still: Service, original: Provider, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    still.deploy()
    with serving() as gateway:
        for _ in range(3):
            gateway.ask()
        gateway.ask("should_respond")
        monkeypatch.setenv("REASONING_GATEWAY_PORT", str(gateway.port))
        until(lambda: Samples(still.store).count() == 4, "the decisions to be kept")
        until(
            lambda: "'answered': 3" in reasoning("gateway", "stats", "--json").stdout.replace('"', "'"), "its answers"
        )
        live = json.loads(reasoning("gateway", "stats", "--json").stdout)["model_types"]
        shown = reasoning("gateway", "stats").stdout
        status = reasoning("gateway", "status").stdout
        rows = [json.loads(line) for line in reasoning("gateway", "stats", "-f", "jsonl").stdout.splitlines()]
        slots = list(csv.DictReader(reasoning("gateway", "status", "--format", "csv").stdout.splitlines()))
        ids = reasoning("gateway", "status", "-q").stdout.split()
        gateway.end()
    assert live["planning"]["by_source"]["slot"]["count"] == 3
    assert [(row["model_type"], row["source"], row["count"]) for row in rows] == [
        ("planning", "slot", 3),
        ("should_respond", "original", 1),
    ]
    assert [(row["model_type"], row["decisions"], row["slot"], row["original"]) for row in slots] == [
        ("should_respond", "1", "0", "1"),
        ("planning", "3", "3", "0"),
        ("coding", "0", "0", "0"),
    ]
    assert (slots[0]["closed"], slots[1]["mode"], ids) == (
        "no model is deployed",
        "live",
        ["should_respond", "planning", "coding"],
    )
    assert re.search(r"^planning +model +3 +100 % +\d+ ms", shown, re.M)
    assert re.search(r"^should-respond +original +1 .* 1 no model is deployed$", shown, re.M)
    model = Deployments(still.store).live()[0].model_name
    assert re.search(rf"^planning +{re.escape(model)} +3 +0 +0 +– +\d+ ms +\d+ ms", shown, re.M), shown
    assert "4 calls: 4 decisions, 0 handed through" in status
    after = reasoning("gateway", "stats")
    assert after.stderr.endswith("this is the log of the last 24 hours\n")
    assert re.search(r"^planning +model +3 +100 % +\d+ ms", after.stdout, re.M)
    past = reasoning("gateway", "stats", "--since", "3d", "--until", "2d", "--format", "tsv")
    assert past.stdout == "model_type\tsource\tcount\tshare\tp50_ms\tp95_ms\treasons\n"
    told = json.loads(reasoning("gateway", "stats", "--since", "1h", "--json").stdout)["model_types"]
    assert told["planning"]["success_rate"] == 1.0
    assert told["should_respond"]["by_source"]["original"]["count"] == 1
    gone = reasoning("gateway", "status")
    assert (gone.exit_code, gone.stdout) == (7, "")


def test_a_person_who_starts_it_is_told_what_to_type_next(home: Path) -> None:
    screen, end = pty.openpty()
    command = [sys.executable, "-P", "-m", "reasoning_cli", "gateway", "serve", "--port", "0", "--profile", "shop"]
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end) as process:
        os.close(end)
        said = ""
        while "--watch" not in said:
            said += os.read(screen, 4096).decode()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    os.close(screen)
    assert "lead an agent here: `reasoning --profile shop gateway env`; see what comes:" in " ".join(said.split())


@pytest.mark.sqlite("with an address from the environment it is refused: a password would be printed")
def test_a_unit_that_starts_it_as_wanted(reasoning: Run, home: Path) -> None:
    shown = reasoning("gateway", "serve", "--print-systemd", "--guard", "--port", "9001", "--workers", "2")
    command = f"{sys.executable} -m reasoning_cli gateway serve --port 9001 --workers 2 --guard"
    assert f"ExecStart={command}\n" in shown.stdout
    assert f'Environment="REASONING_HOME={home}"' in shown.stdout
    assert shown.exit_code == 0


def test_what_waits_for_a_store_that_stands_still_is_shown() -> None:
    recording = {"stored": 247, "unreadable": 0, "dropped": 0, "last_error": None}
    busy, stuck = (_recording_facts({**recording, "waiting_bytes": count})[0][1] for count in (1_720, 794_122))
    assert busy == "247 in the log, 0 unreadable, 0 dropped"
    assert stuck == f"{busy}, 794 kB waiting to be written"
