"""The embedded sandbox as a process: started once, found again, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.errors import RemoteError
from reasoning_cli.operations.sandbox import KEY, find_sandbox, start_sandbox, stop_sandbox
from reasoning_cli.sandbox.server import SandboxServer
from tests.forking import for_real

# The server outlives who starts it: that is the point.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "sandbox" / "state.json"
    yield path
    stop_sandbox(path)


def servers_of(state: Path) -> list[int]:
    """The processes that serve `state`, or are about to."""
    listing = subprocess.run(["ps", "-wweo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if str(state) in line]


def test_starts_at_once_share_one_server(state: Path) -> None:
    with for_real(), ThreadPoolExecutor(3) as pool:  # a program that is forked bears no command line of its own
        found = list(pool.map(lambda _: start_sandbox(state, Decimal(60)), range(3)))
    assert len({(one.url, one.pid) for one in found}) == 1
    assert servers_of(state) == [found[0].pid], "the slower ones are gone, and do not come up later"
    client = TogetherClient(found[0].url, KEY)
    assert client.whoami().project is not None
    client.close()
    assert stop_sandbox(state)
    assert find_sandbox(state) is None
    assert not stop_sandbox(state)


def test_the_address_a_killed_server_left_is_not_believed(state: Path) -> None:
    """Between taking the lock and saying where it listens, a new server stands beside the file of the old one."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with SandboxServer(state, speed=0) as server:
        said = state.with_name(f"{state.name}.server.json")
        now = find_sandbox(state)
        assert now is not None and now.url == server.url
        said.write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": gone.pid, "speed": 1}))
        assert find_sandbox(state) is None


def test_a_killed_server_is_started_again_on_its_state(state: Path) -> None:
    first = start_sandbox(state, Decimal(60))
    client = TogetherClient(first.url, KEY)
    made = client.create_endpoint("mine")
    client.close()
    os.kill(first.pid, signal.SIGKILL)
    while True:
        second = start_sandbox(state, Decimal(60))
        if second.pid != first.pid:
            break
    client = TogetherClient(second.url, KEY)
    assert [one.id for one in client.endpoints()] == [made.id]
    client.close()


def test_a_sandbox_that_cannot_start_says_why(state: Path) -> None:
    state.parent.mkdir()
    state.write_text("no JSON")
    with pytest.raises(RemoteError, match=r"did not start: .") as caught:
        start_sandbox(state, Decimal(60))
    assert caught.value.hint is not None and "sandbox serve" in caught.value.hint
