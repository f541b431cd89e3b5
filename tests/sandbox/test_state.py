"""What outlives the process: the world, its clock, and who may hold it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.engines.together.fine_tune_requests import JobRequest
from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.sandbox.server import SandboxServer
from tests.sandbox.conftest import PROJECT, Api, endpoint_of, path_of
from tests.sandbox.decisions import write
from tests.waiting import until

_SERVE = """
import sys
from pathlib import Path
from reasoning_cli.sandbox.server import serve
serve(port=0, speed=float(sys.argv[2]), state=Path(sys.argv[1]),
      exit_when_idle_minutes=float(sys.argv[3]) if len(sys.argv) > 3 else None,
      announce=lambda url: print(url, flush=True))
"""
Serve = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "sandbox.json"


@pytest.fixture
def serve(state: Path) -> Iterator[Serve]:
    """Start a server process; answers it and its address."""
    started: list[subprocess.Popen[str]] = []

    def start(*, speed: float = 0, idle_minutes: float | None = None) -> tuple[subprocess.Popen[str], str]:
        arguments = [str(state), str(speed)] + ([] if idle_minutes is None else [str(idle_minutes)])
        process = subprocess.Popen([sys.executable, "-c", _SERVE, *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _everything(api: Api, deployment: dict[str, Any]) -> tuple[object, ...]:
    return api.ok("GET", "/_sandbox")["now"], api.meter(), api.get(deployment), api.events(endpoint_of(deployment))


def test_a_restart_goes_on_where_it_was(state: Path) -> None:
    with SandboxServer(state, speed=0) as server:
        api = Api(server.url)
        with api.http:
            deployment = api.serving(inactiveTimeout=60)
            api.advance(100)
            api.chat("hello")
            before = _everything(api, deployment)
    with SandboxServer(state, speed=Decimal(0)) as server:
        api = Api(server.url)
        with api.http:
            assert _everything(api, deployment) == before
            api.advance(3600)
            assert api.state(deployment) == ("STOPPING", 0)


def test_every_kind_of_record_outlives_the_process(state: Path) -> None:
    """A rollout, an upload, a check and a job under way, an adapter, a job that is over and an endpoint of v1."""

    def everything(api: Api) -> list[object]:
        paths = [f"{PROJECT}/endpoints", f"{PROJECT}/models", f"{PROJECT}/models/uploads", "/v1/endpoints"]
        paths += ["/v1/fine-tunes", "/_sandbox/meter", "/_sandbox/behaviour", rollout, adapters, "/v1/files"]
        paths += [f"/v1/fine-tunes/{made_job}/{part}" for part in ("events", "metrics", "checkpoints")]
        return [api.ok("GET", path) for path in paths]

    with SandboxServer(state, speed=0) as server:
        api = Api(server.url)
        with api.http:
            made = api.ok("POST", "/_sandbox/endpoints", {"name": "base", "model": "Qwen/Qwen3-8B"})
            source = made["deployment"]
            job = api.ok("POST", "/_sandbox/fine-tunes", {"model": "Qwen/Qwen3-8B"})
            adapters = f"{path_of(source)}/adapters"
            api.ok("POST", adapters, {"adapterModelId": job["adapter_object_id"]})
            upload = {"modelId": job["model_object_id"], "remoteUrl": "https://huggingface.co/someone/model"}
            api.ok("POST", f"{PROJECT}/models/uploads", upload)
            api.ok("POST", "/_sandbox/v1/endpoints", {"model": "old"})
            target = api.deployment(made["endpoint"])
            rollouts = f"{PROJECT}/endpoints/{made['endpoint']['id']}/rollouts"
            body = {"sourceDeploymentId": source["id"], "targetDeploymentId": target["id"]}
            rollout = f"{rollouts}/{api.ok('POST', rollouts, body)['id']}"
            api.ok("POST", f"{rollout}/start")
            client = TogetherClient(server.url, "sandbox-key")
            with closing(client):
                file_id = client.upload_file(write(state.with_name("first.jsonl"), "planning", 30, 1))
                api.advance(60)
                made_job = client.create_job(JobRequest(file_id, "planning-r1-00000000", model="Qwen/Qwen3-8B")).id
                api.advance(250)
                client.upload_file(write(state.with_name("second.jsonl"), "planning", 3, 2))
            before = everything(api)
    with SandboxServer(state, speed=0) as server:
        api = Api(server.url)
        with api.http:
            assert everything(api) == before
            api.advance(180)
            assert api.ok("GET", rollout)["currentTrafficPercent"] == 25
            assert {one["processing_status"] for one in api.ok("GET", "/v1/files")["data"]} == {"COMPLETED"}
            api.advance(600)
            assert api.ok("GET", f"/v1/fine-tunes/{made_job}")["status"] == "completed"


def test_files_are_private_and_leave_no_litter(state: Path) -> None:
    with SandboxServer(state, speed=0) as server:
        description = json.loads(state.with_name("sandbox.json.server.json").read_text())
        assert description == {"url": server.url, "pid": os.getpid(), "speed": 0.0}
        assert {_mode(one) for one in state.parent.iterdir()} == {0o600}
        assert _mode(state.parent) == 0o700
    assert {one.name for one in state.parent.iterdir()} == {"sandbox.json", "sandbox.json.clock", "sandbox.json.lock"}


def test_a_killed_server_loses_nothing_and_turns_no_clock_back(state: Path, serve: Serve) -> None:
    process, url = serve(speed=600)
    api = Api(url)
    with api.http:
        api.endpoint("kept")
        api.ok("POST", "/_sandbox/clock", {"advance_seconds": 12345})
        seen = api.ok("GET", "/_sandbox")["now"]
    process.kill()
    process.wait()
    process, url = serve(speed=0)
    api = Api(url)
    with api.http:
        assert api.ok("GET", f"{PROJECT}/endpoints")["data"][0]["name"] == "sandbox/kept"
        now = api.ok("GET", "/_sandbox")["now"]
    assert now >= seen


def test_the_clock_is_saved_while_nobody_asks(state: Path, serve: Serve) -> None:
    process, url = serve(speed=600)
    begin = httpx.get(f"{url}/_sandbox").json()["now"]
    clock = state.with_name("sandbox.json.clock")
    asked_at = int(clock.read_text())
    until(lambda: int(clock.read_text()) != asked_at, "the clock on disk to move")
    process.kill()
    process.wait()
    _, url = serve(speed=0)
    assert httpx.get(f"{url}/_sandbox").json()["now"] > begin


def test_what_was_due_when_it_was_killed_still_happens(state: Path, serve: Serve) -> None:
    """The clock was saved by reads alone; the state on disk is older than it."""
    process, url = serve(speed=0)
    api = Api(url)
    with api.http:
        deployment = api.deployment(api.endpoint())
        api.advance(299)
    process.kill()
    process.wait()
    clock = state.with_name("sandbox.json.clock")
    clock.write_text(str(int(clock.read_text()) + 2000))
    _, url = serve(speed=0)
    api = Api(url)
    with api.http:
        assert api.state(deployment) == ("READY", 1)
        assert api.meter()["deployments"][0]["readyReplicaSeconds"] == "1"


def test_a_second_server_for_the_same_state_is_refused(state: Path, serve: Serve) -> None:
    _, url = serve()
    with pytest.raises(ReasoningError, match="already running"):
        SandboxServer(state)
    assert httpx.get(f"{url}/_sandbox").status_code == 200
    assert json.loads(state.with_name("sandbox.json.server.json").read_text())["url"] == url


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(state: Path, serve: Serve, stop: signal.Signals) -> None:
    process, url = serve()
    with httpx.Client(base_url=url) as http:
        assert http.get("/_sandbox").json()["pid"] == process.pid
        process.send_signal(stop)  # with a connection kept open
        assert process.wait(timeout=60) == 0
    assert not state.with_name("sandbox.json.server.json").exists()
    with SandboxServer(state, speed=0):
        pass


def test_it_goes_away_when_nobody_asks(state: Path, serve: Serve) -> None:
    process, _ = serve(idle_minutes=0.001)
    assert process.wait(timeout=60) == 0


def test_a_taken_port_is_said_so(server: SandboxServer) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(ReasoningError, match=f"port `{port}`") as caught:
        SandboxServer(port=port)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 9}', '{"format": 1}', '{"format": 2, "world": {"now": 1}}']
)
def test_a_state_that_cannot_be_read_is_left_alone(state: Path, text: str) -> None:
    state.parent.mkdir()
    state.write_text(text)
    with pytest.raises(DataError) as caught:
        SandboxServer(state)
    assert caught.value.hint
    assert state.read_text() == text


def test_a_disk_that_takes_no_more_is_an_error_on_the_wire_and_frees_the_lock(state: Path) -> None:
    with pytest.raises(DataError), SandboxServer(state, speed=0) as server:
        shutil.rmtree(state.parent)
        api = Api(server.url)
        with api.http:
            status, message = api.error("POST", f"{PROJECT}/endpoints", {"name": "lost"})
        assert (status, "cannot be written" in message) == (500, True)
    with SandboxServer(state, speed=0):
        pass


def test_closing_twice_is_harmless() -> None:
    server = SandboxServer(speed=0)
    server.close()
    server.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)
