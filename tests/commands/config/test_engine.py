"""`TYPE.engine`: which engine answers a slot, ours or another package's, and what is said of one that cannot."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reasoning_cli.operations.deploy.slots import read_slots, slots_of_settings
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import load_settings
from reasoning_cli.store.open import open_store
from tests.conftest import Run
from tests.engines.third_party import ADDRESSED, install
from tests.gateway.model_server import MODEL, ModelServer
from tests.gateway.provider import Provider

KEY = "acme-key-0123456789"


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine `acme` in an installed package: it answers with what it is asked."""
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(packages)
    monkeypatch.delitem(sys.modules, "acme_engine", raising=False)
    return packages


@pytest.fixture
def server() -> Iterator[Provider]:
    provider = Provider(ModelServer())
    yield provider
    provider.close()


def set_all(reasoning: Run, **values: str) -> None:
    for name, value in values.items():
        done = reasoning("config", "set", f"should_respond.{name}", value)
        assert done.exit_code == 0, done.stderr


def test_an_unknown_engine_is_refused_with_the_names_there_are(reasoning: Run, home: Path) -> None:
    done = reasoning("config", "set", "should_respond.engine", "opennai")
    assert done.exit_code == 4
    assert done.stderr.splitlines() == [
        "error: `opennai` is not an engine: there are together, openai, head",
        "hint: did you mean `openai`? a package that brings one is installed beside `reasoning`: `pip install PACKAGE`",
    ]
    assert not (home / "config.toml").exists()
    assert reasoning("config", "set", "should_respond.engine", "Open AI").exit_code == 2  # not a name at all


@pytest.mark.parametrize("command", [("models", "list"), ("status",), ("models", "test", "should-respond")])
def test_an_engine_that_has_gone_is_an_error_wherever_its_slot_is_asked(
    reasoning: Run, home: Path, command: tuple[str, ...]
) -> None:
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text('[should_respond]\nengine = "acme"\n')
    done = reasoning(*command)
    assert done.exit_code == 4
    assert done.stderr.startswith("error: `acme` is not an engine: there are together, openai, head")


def test_a_broken_engine_closes_its_slot_and_nothing_else(reasoning: Run, home: Path, acme: Path) -> None:
    """A package that was upgraded to a broken version keeps neither the gateway nor what shows the others from going
    on."""
    install(acme, "acme", "raise RuntimeError('no licence')")
    importlib.invalidate_caches()
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text('[should_respond]\nengine = "acme"\n')
    for command in (("status",), ("models", "list"), ("models", "status")):
        done = reasoning(*command)
        assert (done.exit_code, "no licence" in done.stdout) == (0, True), (command, done.stderr)
    assert reasoning("models", "test", "should-respond").exit_code == 4
    assert "no licence" in reasoning("doctor").stdout
    slots = slots_of_settings(
        load_settings(find_paths({"REASONING_HOME": str(home)}), {}), together_url="https://there", together_key="k"
    )
    broken = slots["should_respond"]
    assert (broken.closed, broken.api_key, broken.deployment_key) == (
        "the engine `acme` of `acme-engine` cannot be loaded: no licence",
        None,
        None,
    )
    assert slots["planning"].closed == "no model is deployed"


def test_config_and_doctor_show_what_is_wrong_with_it_and_go_on(reasoning: Run, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text('[should_respond]\nengine = "acme"\n[planning]\nengine = "openai"\n')
    rows = {row["name"]: row for row in json.loads(reasoning("config", "--json").stdout)}
    assert rows["should_respond.engine"]["problem"].startswith("`acme` is not an engine")
    assert rows["planning.engine"]["problem"] == (
        "planning.engine is `openai`, and the address of that server is not set"
    )
    assert rows["coding.engine"]["problem"] is None
    done = reasoning("doctor", "--offline", "--json")
    said = [check["detail"] for check in json.loads(done.stdout) if check["status"] == "fail"]
    assert done.exit_code == 4
    assert any("`acme` is not an engine" in detail for detail in said), said


def test_no_working_folder_chooses_an_engine(reasoning: Run) -> None:
    """It would get the slot's key and its prompts."""
    Path(".env").write_text("REASONING_SHOULD_RESPOND_ENGINE=openai\n")
    assert reasoning("config", "get", "should_respond.engine").stdout == ""


def test_the_engine_decides_and_not_the_address_alone(reasoning: Run, server: Provider) -> None:
    """A slot goes back to Together without its server's address being forgotten."""
    done = reasoning("config", "set", "should_respond.engine", "openai")
    assert done.exit_code == 4
    assert "provider_url" in done.stderr
    set_all(reasoning, provider_url=f"{server.url}/v1", model="local/smol")
    assert reasoning("models", "test", "should-respond").exit_code == 0
    set_all(reasoning, engine="together")
    done = reasoning("models", "test", "should-respond")
    assert done.exit_code == 5  # nothing is deployed there
    set_all(reasoning, engine="openai")
    assert reasoning("models", "test", "should-respond").exit_code == 0
    assert len(server.received) == 2


def test_an_engine_of_another_package_is_tried_by_the_commands(reasoning: Run, acme: Path) -> None:
    install(acme, "acme")
    set_all(reasoning, engine="acme", model="m")
    assert reasoning("config", "get", "should_respond.engine").stdout == "acme\n"
    tried = json.loads(reasoning("models", "test", "should-respond", "--json").stdout)
    assert (tried["model"], tried["valid"]) == ("m", False)  # it repeats the question
    listed = json.loads(reasoning("models", "list", "--json").stdout)
    slot = next(row for row in listed if row["name"] == "should_respond")
    assert (slot["state"], slot["provider_url"]) == ("elsewhere", "Acme's models")
    set_all(reasoning, model="another")
    done = reasoning("models", "test", "should-respond")
    assert done.exit_code == 5
    assert done.stderr.splitlines() == ["error: Acme has no model `another`", "hint: ask for `m`"]


def test_an_engine_with_an_address_gets_the_slots_key_there(reasoning: Run, acme: Path, server: Provider) -> None:
    install(acme, "acme", ADDRESSED.replace("URL", repr(f"{server.url}/v1")))
    reasoning("config", "set", "should_respond.provider_key", "--stdin", input=f"{KEY}\n")
    set_all(reasoning, engine="acme", model="m")
    done = reasoning("doctor", "--json")
    details = [check["detail"] for check in json.loads(done.stdout)]
    assert any("m answered a built-in decision" in detail for detail in details), details
    assert {request.header("authorization") for request in server.received} == {f"Bearer {KEY}"}


def test_the_gateway_asks_an_engine_at_its_address_or_by_a_connection(
    home: Path, tmp_path: Path, acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {"planning.engine": "acme", "planning.model": "m", "planning.provider_key": KEY}
    settings = load_settings(find_paths({"REASONING_HOME": str(home)}), {}, flags)
    install(acme, "acme")
    with open_store(tmp_path / "log.db") as store:
        slots = read_slots(settings, store, datetime.now(UTC), together_url="http://x", together_key="t")
        planning = slots["planning"]
        assert (planning.closed, planning.url, planning.connection is not None) == (None, "", True)
        shutil.rmtree(acme)
        acme.mkdir()
        install(acme, "acme", ADDRESSED.replace("URL", "'https://acme.example/v1'"))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, "acme_engine")
        slots = read_slots(settings, store, datetime.now(UTC), together_url="http://x", together_key="t")
    slot = slots["planning"]
    assert (slot.closed, slot.url, slot.api_key, slot.model) == (None, "https://acme.example/v1", KEY, "m")
    assert slot.own_server
    assert slots["coding"].url == "http://x/v1"


def test_a_head_is_no_engine_of_a_slot_by_itself(reasoning: Run) -> None:
    done = reasoning("config", "set", "should_respond.engine", "head")
    assert done.exit_code == 4
    assert done.stderr.startswith("error: should_respond.engine is `head`, and a head answers no slot alone")


def test_the_line_names_the_engine_after_the_head(reasoning: Run, server: Provider) -> None:
    """An address beside it is kept for later; what says otherwise is refused, with what to type."""
    set_all(reasoning, provider_url=f"{server.url}/v1", model=MODEL, line="head, together")
    assert reasoning("models", "test", "should-respond").exit_code == 5  # nothing is deployed there
    assert server.received == []
    done = reasoning("config", "set", "should_respond.engine", "openai")
    assert (done.exit_code, done.stderr.splitlines()) == (
        4,
        [
            "error: should_respond.engine is `openai`, and should_respond.line asks `together`",
            'hint: `reasoning config set should_respond.line "head, openai"`',
        ],
    )
    set_all(reasoning, line="head, openai")
    set_all(reasoning, engine="openai")
    assert reasoning("models", "test", "should-respond").exit_code == 0
    done = reasoning("config", "set", "should_respond.line", "head, acme")
    assert done.exit_code == 4
    assert reasoning("config", "unset", "should_respond.engine").exit_code == 0
    done = reasoning("config", "set", "should_respond.line", "head, acme")
    assert done.exit_code == 4
    assert "`acme` is not an engine" in done.stderr
