"""`reasoning config set-key`: the old key stays until the new one is known to work where the old one did."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reasoning_cli.terminal.console import Terminal
from tests.commands.setup.test_setup import NOWHERE, Script
from tests.conftest import Run
from tests.engines.together.service import Service, service

OLD, NEW, OTHER = (f"tgp_v1_{letter * 24}{number}" for letter, number in (("a", "old1"), ("b", "new2"), ("c", "oth3")))
ORGANISATION, REVOKED = f"tgp_v1_{'d' * 24}org4", f"tgp_v1_{'e' * 24}rev5"
PROJECTS = {OLD: "agents", NEW: "agents", OTHER: "toys", ORGANISATION: None}


class Accounts(BaseHTTPRequestHandler):
    """Tells whose a key is, and lets a key of the organisation into the project `agents` alone."""

    def do_GET(self) -> None:
        key = self.headers["Authorization"].removeprefix("Bearer ")
        name = PROJECTS.get(key)
        if key not in PROJECTS:
            self.answer(401, {"error": {"message": "no"}})
        elif self.path == "/v3/whoami":
            project = {"id": f"proj_{name}", "slug": name, "name": name} if name else None
            self.answer(200, {"type": "user", "project": project})
        elif self.path.startswith("/v2/projects/proj_agents/"):
            self.answer(200, {"data": [], "next_cursor": None})
        else:
            self.answer(403, {"error": {"message": "not a member"}})

    def answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Accounts) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("TOGETHER_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


@pytest.fixture
def file(home: Path) -> Path:
    home.mkdir()
    path = home / "config.toml"
    path.write_text(f'# of the agents\n[together]\napi_key = "{OLD}"\n')
    return path


def key_in(file: Path) -> str:
    return file.read_text().splitlines()[-1].partition('"')[2].rstrip('"')


def set_key(reasoning: Run, key: str, *more: str) -> tuple[int, str]:
    done = reasoning("config", "set-key", "--stdin", *more, input=f"{key}\n")
    assert done.stdout == ""
    for one in (OLD, NEW, OTHER, ORGANISATION, REVOKED):
        assert one not in done.stderr
    return done.exit_code, done.stderr


def test_a_key_that_works_takes_the_place_of_the_old_one(reasoning: Run, accounts: None, file: Path) -> None:
    code, said = set_key(reasoning, NEW)
    assert (code, said) == (
        0,
        "The key …new2 is accepted; its project is agents.\ntogether.api_key is …new2 now.\n",
    )
    assert file.read_text() == f'# of the agents\n[together]\napi_key = "{NEW}"\n'


def test_a_first_key_needs_no_old_one(reasoning: Run, accounts: None, home: Path) -> None:
    assert set_key(reasoning, OTHER)[0] == 0
    assert key_in(home / "config.toml") == OTHER


def test_a_refused_key_leaves_the_old_one(reasoning: Run, accounts: None, file: Path) -> None:
    code, said = set_key(reasoning, REVOKED)
    assert (code, key_in(file)) == (4, OLD)
    assert said.startswith("Nothing was changed.\nerror: Together refuses the new key\n")


@pytest.mark.parametrize("key", ["", "two words", "'quoted'"])
def test_what_is_no_key_is_a_usage_error(key: str, reasoning: Run, accounts: None, file: Path) -> None:
    assert (set_key(reasoning, key)[0], key_in(file)) == (2, OLD)


def test_out_of_reach_the_old_key_stays_unless_told(
    reasoning: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_BASE_URL", NOWHERE)
    code, said = set_key(reasoning, NEW)
    assert (code, key_in(file), "--offline" in said) == (7, OLD, True)
    code, said = set_key(reasoning, NEW, "--offline")
    assert (code, key_in(file), said) == (0, NEW, "together.api_key is …new2 now, unchecked.\n")


@pytest.mark.parametrize(("answer", "code", "kept"), [("y\n", 0, NEW), ("\n", 7, OLD)])
def test_out_of_reach_a_person_is_asked(
    answer: str,
    code: int,
    kept: str,
    reasoning: Run,
    file: Path,
    session_facts: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOGETHER_BASE_URL", NOWHERE)
    monkeypatch.setattr(Terminal, "can_ask", True)
    session_facts["prompter"] = Script([("API key", NEW)])
    done = reasoning("config", "set-key", input=answer)
    assert (done.exit_code, key_in(file)) == (code, kept)
    assert "Write this key unchecked? [y/N]" in done.stderr


def test_another_project_is_told_and_must_be_meant(reasoning: Run, accounts: None, file: Path) -> None:
    code, said = set_key(reasoning, OTHER)
    assert (code, key_in(file)) == (1, OLD)
    assert "warning: the key is of project toys; the project so far is agents\n" in said
    assert "add --yes" in said
    assert set_key(reasoning, OTHER, "--yes")[0] == 0
    assert key_in(file) == OTHER


def test_a_person_who_does_not_mean_it_keeps_the_old_key(
    reasoning: Run,
    accounts: None,
    file: Path,
    session_facts: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Terminal, "can_ask", True)
    session_facts["prompter"] = Script([("API key", OTHER)])
    done = reasoning("config", "set-key", input="\n")
    assert (done.exit_code, key_in(file), "Nothing was changed." in done.stderr) == (1, OLD, True)


def test_a_revoked_old_key_is_no_obstacle(reasoning: Run, accounts: None, file: Path) -> None:
    file.write_text(file.read_text().replace(OLD, REVOKED))
    assert (set_key(reasoning, NEW)[0], key_in(file)) == (0, NEW)


def test_a_key_of_an_organisation_needs_a_project_that_lets_it_in(reasoning: Run, accounts: None, file: Path) -> None:
    code, said = set_key(reasoning, ORGANISATION)
    assert (code, "belongs to an organisation" in said) == (4, True)
    reasoning("config", "set", "together.project_id", "proj_toys")
    code, _ = set_key(reasoning, ORGANISATION)
    assert (code, OLD in file.read_text()) == (1, True)
    reasoning("config", "set", "together.project_id", "proj_agents")
    assert set_key(reasoning, ORGANISATION)[0] == 0
    assert ORGANISATION in file.read_text()


def test_what_runs_in_the_old_project_is_named(
    reasoning: Run, accounts: None, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(file.parent) as at_work:
        at_work.deploy("planning")
        (name,) = [row["endpoint_name"] for row in at_work.store.rows("SELECT endpoint_name FROM deployments")]
    file.write_text(file.read_text().replace(OLD, REVOKED))  # nothing but the store knows the old project
    code, said = set_key(reasoning, NEW)
    assert (code, REVOKED in file.read_text()) == (1, True)
    assert f"it is another. What runs there goes on costing, and only the old key can stop it: {name}" in said


def test_a_variable_that_hides_the_new_key_is_told(
    reasoning: Run, accounts: None, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", OLD)
    code, said = set_key(reasoning, NEW)
    assert (code, key_in(file)) == (0, NEW)
    assert said.endswith("warning: TOGETHER_API_KEY is set too, and wins over the file\n")


def test_the_sandbox_keeps_its_key(reasoning: Run, home: Path) -> None:
    done = reasoning("--sandbox", "config", "set-key", "--stdin", input=f"{NEW}\n")
    assert (done.exit_code, (home / "sandbox").exists()) == (2, False)


def test_a_working_key_of_the_running_service_is_accepted(reasoning: Run, home: Path, still: Service) -> None:
    still.deploy("planning")
    assert reasoning("config", "set-key", "--stdin", input="sandbox-key\n").exit_code == 0
    assert "sandbox-key" in (home / "config.toml").read_text()


@pytest.fixture
def still(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        yield one
