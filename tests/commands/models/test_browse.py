"""`models hardware`, `search` and `show`, and the names a deploy takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.engines.together.service import KEY, MODELS, Service, service

QWEN = "Qwen/Qwen3-8B"


@pytest.fixture
def still(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        yield one


def planned(reasoning: Run, *arguments: str) -> dict[str, Any]:
    shown = reasoning("models", "deploy", *arguments, "--as", "planning", "--dry-run", "--json")
    assert shown.exit_code == 0, shown.stderr
    record: dict[str, Any] = json.loads(shown.stdout)
    return record


def test_hardware_is_listed_with_price_and_room(still: Service, reasoning: Run) -> None:
    shown = reasoning("models", "hardware")
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["HARDWARE", "$/H", "FREE", "BY", "REGION"]
    assert lines[1].split() == ["1xnvidia-a100-80gb", "$3.29", "0", "us-central-1", "0"]
    assert lines[3].split() == ["1xnvidia-h200-140gb", "$7.49", "?", "us-central-1", "?"]
    offers = json.loads(reasoning("models", "hardware", "--json").stdout)
    assert offers[1] == {
        "name": "1xnvidia-h100-80gb",
        "price_cents_per_hour": 549,
        "headroom": 24,
        "regions": {"us-central-1": 16, "eu-west-1": 8},
        "config_id": None,
        "is_chosen": False,
        "description": "1x NVIDIA H100 80GB",
    }


def test_hardware_for_a_model_is_what_can_serve_it_and_what_a_deploy_would_take(still: Service, reasoning: Run) -> None:
    offers = json.loads(reasoning("models", "hardware", MODELS["coding"], "--json").stdout)
    assert [(one["name"], one["is_chosen"]) for one in offers] == [
        ("4xnvidia-h100-80gb", True),
        ("8xnvidia-h100-80gb", False),
    ]
    plan = planned(reasoning, MODELS["coding"])
    assert plan["config"].endswith(offers[0]["config_id"])
    none = reasoning("models", "hardware", "sandbox/no-config-27b")
    assert (none.exit_code, none.stdout, "no config" in none.stderr) == (5, "", True)


def test_search_finds_ours_and_the_catalogues_and_tab_offers_them(still: Service, reasoning: Run, home: Path) -> None:
    shown = reasoning("models", "search", "qwen", "--json")
    found = json.loads(shown.stdout)
    assert [(one["name"], one["ours"]) for one in found][:3] == [
        (MODELS["should_respond"], True),
        (MODELS["planning"], True),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", False),
    ]
    assert QWEN in reasoning("models", "search", "QWEN3", "-q").stdout.splitlines()
    assert QWEN in next(home.rglob("names.json")).read_text()
    none = reasoning("models", "search", "nothing-like-it")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "No model has `nothing-like-it` in its name.\n")


def test_show_tells_all_about_a_model(still: Service, reasoning: Run) -> None:
    still.deploy()
    shown = reasoning("models", "show", "DeepSeek-Qwen-14B-planning")
    assert shown.exit_code == 0, shown.stderr
    assert "base       deepseek-ai/DeepSeek-R1-Distill-Qwen-14B" in shown.stdout
    assert "1xnvidia-h100-80gb at $5.49 an hour, 24 free, would be chosen (cr_" in shown.stdout
    assert "deployed   planning: READY" in shown.stdout
    record = json.loads(reasoning("models", "show", MODELS["planning"], "--json").stdout)
    assert [one["validation"] for one in record["revisions"]] == ["SUCCESS"]
    assert record["deployed"] == [{"name": "planning", "state": "READY"}]
    empty = json.loads(reasoning("models", "show", "sandbox/no-weights-8b", "--json").stdout)
    assert empty["revisions"] == []
    refused = json.loads(reasoning("models", "show", "sandbox/no-config-27b", "--json").stdout)
    assert (refused["hardware"], "no config" in refused["refused"]) == ([], True)


def test_a_model_of_the_catalogue_can_be_deployed(still: Service, reasoning: Run) -> None:
    plan = planned(reasoning, QWEN)
    assert (plan["model"], plan["hardware"]) == (QWEN, "1xnvidia-h100-80gb")
    assert still.deploy(QWEN, model_type="planning").record.state == "READY"


def test_a_fine_tuning_job_is_a_model(still: Service, reasoning: Run) -> None:
    full = still.ask("POST", "/_sandbox/fine-tunes", {"model": QWEN, "suffix": "full", "type": "Full"})
    lora = still.ask("POST", "/_sandbox/fine-tunes", {"model": QWEN, "suffix": "lora"})
    assert planned(reasoning, full["id"])["model"] == "sandbox/full"
    assert planned(reasoning, lora["id"], "--merged")["model"] == "sandbox/lora"
    assert planned(reasoning, lora["id"], "--adapter")["model"] == "sandbox/lora-adapter"
    asked = reasoning("models", "deploy", lora["id"], "--as", "planning", "--dry-run")
    assert asked.exit_code == 2
    said = " ".join(asked.stderr.split())
    assert "`--merged` (on a deployment of its own, $5.49 an hour more), or `--adapter` (to a deployment of" in said
    other = reasoning("models", "deploy", full["id"], "--adapter", "--as", "planning", "--dry-run")
    assert (other.exit_code, "is not an adapter, and has none" in other.stderr) == (5, True)
    assert still.deploy(lora["id"], model_type="planning", merged=True).record.model_name == "sandbox/lora"


@pytest.mark.parametrize(
    ("job", "message"),
    [({"registered": False}, "registration failed"), ({"status": "running"}, "is running: there is no model yet")],
)
def test_a_job_without_a_model_says_why(still: Service, reasoning: Run, job: dict[str, object], message: str) -> None:
    made = still.ask("POST", "/_sandbox/fine-tunes", {"model": QWEN, **job})
    shown = reasoning("models", "deploy", made["id"], "--as", "planning", "--yes")
    assert (shown.exit_code, message in shown.stderr) == (5, True)
    assert still.creations() == []


def test_a_model_type_stands_for_the_model_set_for_it_or_serving_it(still: Service, reasoning: Run) -> None:
    assert json.loads(reasoning("models", "show", "planning", "--json").stdout)["name"] == MODELS["planning"]
    offers = json.loads(reasoning("models", "hardware", "coding", "--json").stdout)
    assert [one["name"] for one in offers] == ["4xnvidia-h100-80gb", "8xnvidia-h100-80gb"]
    still.deploy("planning")
    reasoning("config", "set", "planning.model", MODELS["coding"])
    assert json.loads(reasoning("models", "show", "PLANNING", "--json").stdout)["name"] == MODELS["planning"]
