"""A `.env` in the working folder names an address: real servers stand there, and tell whether anything arrived.

`strange` stands for one of somebody else, on another address of this machine. Another machine, for plain HTTP, is
`0.0.0.0`: it leads here, and is not a loopback address.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reasoning_cli.engines.errors import MissingError
from reasoning_cli.engines.together.connection import Connection
from reasoning_cli.engines.together.downloads import download
from tests.commands.gateway.test_gateway import serving
from tests.conftest import Run
from tests.engines.together.service import KEY, Service
from tests.gateway import canned
from tests.gateway.provider import Provider
from tests.sources.eliza_server import Eliza, eliza_server
from tests.waiting import until

STORED = "tgp_v1_Jx7Qm2Vt9Zb4Wn1Lk6Rc3Yd8Fg5Hp0"
BESIDE = "tgp_v1_Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj0"
URLS = ("together.base_url", "gateway.openai_upstream", "gateway.anthropic_upstream", "planning.provider_url")


@dataclass
class Strange:
    """A server of somebody else: all that arrived there, heads and bodies, as text."""

    port: int = 0
    arrived: list[str] = field(default_factory=list)
    redirect: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.2:{self.port}"


@contextlib.contextmanager
def strange_server(host: str = "127.0.0.2") -> Iterator[Strange]:
    found = Strange()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            found.arrived.append(f"{self.command} {self.path}\n{self.headers}\n{body.decode()}")
            self.send_response(404 if found.redirect is None else 302)
            if found.redirect is not None:
                self.send_header("location", found.redirect)
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Handler) as server:
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def strange() -> Iterator[Strange]:
    with strange_server() as found:
        yield found


def stored(home: Path, **groups: dict[str, str]) -> None:
    """The operator's own settings file."""
    home.mkdir(exist_ok=True)
    lines = [
        f"[{group}]\n" + "".join(f'{key} = "{text}"\n' for key, text in of.items()) for group, of in groups.items()
    ]
    (home / "config.toml").write_text("".join(lines))
    (home / "config.toml").chmod(0o600)


def folder(**variables: str) -> None:
    Path(".env").write_text("".join(f"{name}={text}\n" for name, text in variables.items()))


# --- the key for Together ---


@pytest.mark.parametrize("variable", ["TOGETHER_BASE_URL", "TOGETHER_AI_BASE_URL", "REASONING_TOGETHER_BASE_URL"])
@pytest.mark.parametrize("place", ["file", "environment"])
def test_the_folder_gets_no_key_from_elsewhere(
    home: Path, strange: Strange, reasoning: Run, monkeypatch: pytest.MonkeyPatch, place: str, variable: str
) -> None:
    if place == "file":
        stored(home, together={"api_key": STORED})
    else:
        monkeypatch.setenv("TOGETHER_API_KEY", STORED)
    folder(**{variable: strange.url})
    done = reasoning("models", "status")
    assert (done.exit_code, strange.arrived) == (4, [])
    of = home / "config.toml" if place == "file" else "TOGETHER_API_KEY"
    assert done.stderr.splitlines() == [
        f"error: {variable} in .env names `{strange.url}` as together.base_url: together.api_key ({of}) does not go to"
        " an address of the working folder",
        f"hint: `reasoning config set together.base_url {strange.url}` makes it yours, if you know it, or put a key for"
        " it beside it (REASONING_TOGETHER_API_KEY); else take it out of .env",
    ]


def test_a_key_beside_the_address_goes_there_alone(home: Path, strange: Strange, reasoning: Run) -> None:
    stored(home, together={"api_key": STORED})
    folder(TOGETHER_BASE_URL=strange.url, TOGETHER_API_KEY=BESIDE)
    reasoning("models", "status")
    assert BESIDE in strange.arrived[0]
    assert STORED not in "".join(strange.arrived)


def test_an_address_made_ones_own_gets_the_key(home: Path, strange: Strange, reasoning: Run) -> None:
    stored(home, together={"api_key": STORED})
    folder(TOGETHER_BASE_URL=f"{strange.url}/v1")
    assert reasoning("models", "status").exit_code == 4
    done = reasoning("config", "set", "together.base_url", f"{strange.url}/v1")
    assert (done.exit_code, done.stderr) == (0, f"together.base_url is {strange.url}/v1 now.\n")
    reasoning("models", "status")
    assert STORED in strange.arrived[0]


@pytest.mark.parametrize(
    "command", [("config", "set-key", "--stdin"), ("setup", "--non-interactive", "--api-key-stdin")]
)
@pytest.mark.parametrize("beside", [{}, {"TOGETHER_API_KEY": BESIDE}])
def test_a_key_just_typed_is_not_tried_there(
    strange: Strange, reasoning: Run, command: tuple[str, ...], beside: dict[str, str]
) -> None:
    folder(TOGETHER_BASE_URL=strange.url, **beside)
    done = reasoning(*command, input=f"{STORED}\n")
    assert (done.exit_code, strange.arrived) == (4, [])
    assert "does not go to an address of the working folder" in done.stderr


def test_a_token_for_others_stays_here(
    still: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.delenv("TOGETHER_API_KEY")
    monkeypatch.delenv("TOGETHER_BASE_URL")
    monkeypatch.setenv("HF_TOKEN", "hf_notarealtokenbutlongenough")
    monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.02")
    still.run_clock()
    folder(TOGETHER_BASE_URL=still.url, TOGETHER_API_KEY=KEY)
    upload = (
        "models",
        "upload",
        "mine",
        "--from",
        "acme/mine",
        "--base",
        "Qwen/Qwen3-8B",
        "--yes",
        "--timeout",
        "0.1s",
    )
    done = reasoning(*upload)
    assert (done.exit_code, [one for one in still.journal("POST") if "uploads" in one["path"]]) == (4, [])
    assert "the Hugging Face token does not go to an address of the working folder" in done.stderr


def test_an_agents_env_leads_no_stored_key_away(home: Path, reasoning: Run, strange: Strange) -> None:
    stored(home, together={"api_key": STORED})
    Path("agent.env").write_text(f"TOGETHER_BASE_URL={strange.url}\nREASONING_ALLOW_PLAIN_HTTP=true\n")
    done = reasoning("setup", "--from-env", "agent.env")
    assert (done.exit_code, "base_url" in (home / "config.toml").read_text()) == (0, False)
    assert "plain" not in (home / "config.toml").read_text()
    assert "together.api_key is not from this file, and would go there" in " ".join(done.stdout.split())
    Path("agent.env").write_text(f"TOGETHER_BASE_URL={strange.url}\nTOGETHER_API_KEY={STORED}\n")
    assert reasoning("setup", "--from-env", "agent.env").exit_code == 0
    assert reasoning("config", "get", "together.base_url").stdout == f"{strange.url}\n"


# --- what the gateway sends on ---


@pytest.mark.parametrize(
    ("variable", "own"),
    [
        ("REASONING_GATEWAY_OPENAI_UPSTREAM", {}),
        ("REASONING_GATEWAY_ANTHROPIC_UPSTREAM", {}),
        ("REASONING_PLANNING_PROVIDER_URL", {"planning": {"provider_key": STORED}}),
        ("TOGETHER_BASE_URL", {"together": {"api_key": STORED}}),
    ],
)
def test_a_gateway_does_not_start(home: Path, strange: Strange, variable: str, own: dict[str, dict[str, str]]) -> None:
    stored(home, **own)
    folder(**{variable: f"{strange.url}/v1"})
    command = [sys.executable, "-P", "-m", "reasoning_cli", "gateway", "serve", "--port", "0"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (4, "")
    assert len(done.stderr.splitlines()) == 2
    assert done.stderr.startswith(f"error: {variable} in .env names `{strange.url}")
    assert "reasoning config set " in done.stderr


def test_a_running_gateway_stays_with_what_it_had(home: Path, strange: Strange) -> None:
    own = Provider(canned.original)
    stored(home, gateway={f"{name}_upstream": f"{own.url}/v1" for name in ("openai", "anthropic")})
    with contextlib.closing(own), serving() as gateway:
        folder(REASONING_GATEWAY_OPENAI_UPSTREAM=f"{strange.url}/v1")

        def ask() -> int:
            question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
            mine = {"authorization": "Bearer sk-mine"}
            return gateway.client.post("/v1/chat/completions", json=question, headers=mine).status_code

        until(lambda: ask() and (strange.arrived or gateway.stats()["problem"]), "the gateway to see it")
        assert (ask(), strange.arrived) == (200, [])
        assert own.received[-1].header("authorization") == "Bearer sk-mine"
        assert "does not go to an address of the working folder" in str(gateway.stats()["problem"])


def test_a_model_beside_the_agent_needs_no_key(home: Path, strange: Strange, reasoning: Run) -> None:
    folder(REASONING_PLANNING_PROVIDER_URL=f"{strange.url}/v1")
    assert reasoning("config", "get", "planning.provider_url").stdout == f"{strange.url}/v1\n"


def test_the_gateways_token_is_shown_to_no_strange_gateway(home: Path, strange: Strange, reasoning: Run) -> None:
    stored(home, gateway={"token": "gateway-token-of-ours"})
    folder(REASONING_GATEWAY_HOST="127.0.0.2", ANTHROPIC_PROXY_PORT=str(strange.port))
    done = reasoning("gateway", "status")
    assert (done.exit_code, strange.arrived) == (4, [])
    assert "gateway.token" in done.stderr


def test_nor_to_what_listens_on_a_port_of_the_folder(home: Path, reasoning: Run) -> None:
    stored(home, gateway={"token": "gateway-token-of-ours"})
    with strange_server("127.0.0.1") as strange:
        folder(ANTHROPIC_PROXY_PORT=str(strange.port))
        assert reasoning("gateway", "status").exit_code == 7
        assert len(strange.arrived) == 1
        assert "gateway-token-of-ours" not in strange.arrived[0]
        reasoning("gateway", "status", "--port", strange.port)
        assert "gateway-token-of-ours" in strange.arrived[1]


# --- the webhook ---


def test_the_guard_works_and_tells_no_hook_of_the_folder(still: Service, reasoning: Run, strange: Strange) -> None:
    still.deploy()
    still.advance(3600)
    reasoning("costs", "set-budget", "1")
    folder(REASONING_GUARD_WEBHOOK_URL=f"{strange.url}/T0/a-secret-of-the-hook")
    done = reasoning("costs", "guard", "--once")
    assert (done.exit_code, strange.arrived) == (0, [])
    assert "stopping planning" in done.stdout
    assert "warning: the webhook was not notified: REASONING_GUARD_WEBHOOK_URL in .env" in done.stderr
    assert "a-secret-of-the-hook" not in done.stderr


# --- plain HTTP ---


def test_plain_http_to_another_machine_needs_a_word(home: Path, strange: Strange, reasoning: Run) -> None:
    with strange_server("127.0.0.1") as far:
        url = f"http://0.0.0.0:{far.port}"
        stored(home, together={"api_key": STORED, "base_url": url})
        folder(REASONING_ALLOW_PLAIN_HTTP="true")
        done = reasoning("models", "status")
        assert (done.exit_code, far.arrived) == (4, [])
        assert done.stderr.splitlines() == [
            f"error: {home / 'config.toml'}: `{url}` (together.base_url) is another machine, and anybody on the way"
            " there can read plain HTTP",
            "hint: use https://; or allow it: `reasoning --allow-plain-http …`, for good `reasoning config set"
            " network.allow_plain_http true`",
        ]
        reasoning("--allow-plain-http", "models", "status")
        assert STORED in far.arrived[0]


@pytest.mark.parametrize("setting", URLS)
@pytest.mark.parametrize(
    "url", ["http://example.com/v1", "HTTP://127.0.0.1.evil.com/v1", "http://0x7f.1/v1", "http://localhost@evil.com/v1"]
)
def test_no_address_is_used_in_plain(home: Path, reasoning: Run, setting: str, url: str) -> None:
    group, _, name = setting.partition(".")
    stored(home, **{group: {name: url}})
    done = reasoning("config", "get", setting)
    assert (done.exit_code, "anybody on the way there can read plain HTTP" in done.stderr) == (4, True)
    assert reasoning("--allow-plain-http", "config", "get", setting).exit_code == 0


def test_the_allowance_is_for_the_operator_to_give(home: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(home, planning={"provider_url": "http://gpu.lan:8000/v1"})
    folder(REASONING_NETWORK_ALLOW_PLAIN_HTTP="true")
    assert reasoning("config", "get", "planning.provider_url").exit_code == 4
    assert "REASONING_NETWORK_ALLOW_PLAIN_HTTP (.env) has no effect" in reasoning("doctor", "--offline").stdout
    Path(".env").unlink()
    assert reasoning("config", "set", "network.allow_plain_http", "yes").exit_code == 0
    assert reasoning("config", "get", "planning.provider_url").exit_code == 0
    reasoning("config", "unset", "network.allow_plain_http")
    monkeypatch.setenv("REASONING_ALLOW_PLAIN_HTTP", "1")
    assert reasoning("config", "get", "planning.provider_url").exit_code == 0


def test_a_token_of_an_elizaos_server_is_not_sent_in_plain(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELIZA_SERVER_AUTH_TOKEN", "eliza-token")
    with strange_server("127.0.0.1") as far:
        done = reasoning("data", "import", f"http://0.0.0.0:{far.port}")
        assert (done.exit_code, far.arrived) == (4, [])
        assert "in plain HTTP" in done.stderr
        reasoning("--allow-plain-http", "data", "import", f"http://0.0.0.0:{far.port}")
        assert "eliza-token" in far.arrived[0]
    with eliza_server(Eliza([{"id": "a", "name": "a", "status": "active"}], token="eliza-token")) as here:
        assert reasoning("data", "import", here.url).exit_code == 0


# --- redirects ---


def test_a_redirect_leads_no_key_to_another_host(strange: Strange, tmp_path: Path) -> None:
    with strange_server("127.0.0.1") as first:
        first.redirect = f"{strange.url}/weights"
        connection = Connection(f"http://127.0.0.1:{first.port}", STORED, sleep=lambda seconds: None)
        with pytest.raises(MissingError):
            download(connection, "/file", {}, tmp_path / "file", lambda done, of: None)
        connection.close()
    assert STORED in first.arrived[0]
    assert len(strange.arrived) == 1
    assert STORED not in strange.arrived[0]


# --- how it is shown ---


def test_config_and_doctor_show_it(home: Path, strange: Strange, reasoning: Run) -> None:
    stored(home, together={"api_key": STORED})
    folder(TOGETHER_BASE_URL=strange.url)
    record = next(one for one in json.loads(reasoning("config", "--json").stdout) if one["name"] == "together.base_url")
    assert (record["value"], record["source"], record["where"]) == (strange.url, ".env", "TOGETHER_BASE_URL in .env")
    assert "does not go to an address of the working folder" in record["problem"]
    assert f"{strange.url} (refused)" in reasoning("config").stdout
    done = reasoning("doctor", "--json")
    failed = [one for one in json.loads(done.stdout) if one["name"] == "settings" and one["status"] == "fail"]
    assert (done.exit_code, len(failed), strange.arrived) == (4, 1, [])
    assert failed[0]["fix"].startswith(f"`reasoning config set together.base_url {strange.url}`")


def test_a_command_to_copy_runs_nothing_else(home: Path, reasoning: Run) -> None:
    stored(home, together={"api_key": STORED})
    folder(TOGETHER_BASE_URL="https://evil.example/;touch${IFS}ran")
    hint = reasoning("models", "status").stderr.splitlines()[1]
    assert shlex.quote("https://evil.example/;touch${IFS}ran") in hint
