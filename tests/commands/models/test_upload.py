"""`models upload`: fetched, restarted, validated, and gone on with when it is run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.engines.together.service import KEY, PROJECT, Service, service

BASE = "Qwen/Qwen3-8B"
UPLOAD = ("models", "upload", "mine", "--from", "acme/mine", "--base", BASE)
TOKEN = "hf_notarealtokenbutlongenough"


@pytest.fixture
def together(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    home.mkdir()
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.02")
        one.run_clock()
        yield one


def records(together: Service) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = together.ask("GET", f"{PROJECT}/models")["data"]
    return [one for one in models if one["name"] == "sandbox/mine"]


def sent(together: Service) -> list[dict[str, Any]]:
    return [one["body"] for one in together.journal("POST") if one["path"].endswith("/models/uploads")]


def test_uploaded_it_can_be_deployed(together: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = reasoning("-vv", *UPLOAD, "--yes")
    assert done.exit_code == 0, done.stderr
    (model,) = records(together)
    assert done.stdout == f"sandbox/mine is there, and its weights are valid ({model['id']}).\n"
    assert TOKEN not in done.stdout + done.stderr
    (body,) = sent(together)
    assert body["remoteUrl"] == "https://huggingface.co/acme/mine"
    plan = reasoning("models", "deploy", "mine", "--as", "planning", "--dry-run", "--json")
    assert json.loads(plan.stdout)["model"] == "sandbox/mine"
    again = reasoning(*UPLOAD)
    assert (again.exit_code, len(sent(together))) == (0, 1), "it is there already"


def test_the_token_comes_from_stdin(together: Service, reasoning: Run) -> None:
    done = reasoning(*UPLOAD, "--yes", "--token-stdin", "--kind", "adapter", "--json", input=f"{TOKEN}\n")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["type"] == "adapter"
    assert "token" in sent(together)[0]


def test_what_breaks_off_is_restarted_by_the_service(together: Service, reasoning: Run) -> None:
    together.behave(upload_errors=2)
    done = reasoning(*UPLOAD, "--yes")
    assert (done.exit_code, "restart" in done.stderr) == (0, True)


def test_given_up_it_says_why_and_the_next_run_tries_anew(together: Service, reasoning: Run) -> None:
    together.behave(upload_errors=9)
    failed = reasoning(*UPLOAD, "--yes")
    assert (failed.exit_code, failed.stdout, "failed too often" in failed.stderr) == (7, "", True)
    together.behave(upload_errors=0)
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    assert (len(records(together)), len(sent(together))) == (1, 2)


def test_a_run_that_broke_off_is_gone_on_with(together: Service, reasoning: Run) -> None:
    together.behave(upload_seconds=100_000)
    late = reasoning(*UPLOAD, "--yes", "--timeout", "60s")
    assert (late.exit_code, "go on waiting" in late.stderr) == (7, True)
    assert "was begun before, and goes on" in reasoning(*UPLOAD, "--dry-run").stdout
    together.advance(200_000)
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    assert (len(records(together)), len(sent(together))) == (1, 1)


def test_a_lost_answer_makes_no_second_one(together: Service, reasoning: Run) -> None:
    together.fault(rf"^{PROJECT}/models$", method="POST", cut="after_action", times=1)
    together.fault(r"/models/uploads$", method="POST", cut="after_action", times=1)
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    uploads = together.ask("GET", f"{PROJECT}/models/uploads")["data"]
    assert (len(records(together)), len(uploads)) == (1, 1)


def test_weights_that_are_not_valid_say_why(together: Service, reasoning: Run) -> None:
    together.behave(fail_validation=True)
    failed = reasoning(*UPLOAD, "--yes")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "do not fit the architecture" in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["a/b", "--from", "acme/mine", "--base", BASE], 2, "not a name of a model"),
        (["mine", "--from", "nowhere", "--base", BASE], 2, "neither a Hugging Face repository"),
        (["mine", "--from", "acme/mine", "--base", "google/gemma-3-27b-it"], 5, "cannot be served"),
        (["mine", "--from", "acme/mine", "--base", "nothing like it"], 5, "no model"),
    ],
)
def test_what_cannot_work_uploads_nothing(
    together: Service, reasoning: Run, arguments: list[str], exit_code: int, message: str
) -> None:
    shown = reasoning("models", "upload", *arguments, "--yes")
    assert (shown.exit_code, shown.stdout, message in shown.stderr) == (exit_code, "", True)
    assert records(together) == []


def test_nothing_is_uploaded_without_a_yes(together: Service, reasoning: Run) -> None:
    assert reasoning(*UPLOAD).exit_code == 1
    assert records(together) == []


def test_a_name_of_hugging_face_is_told_how_to_be_uploaded(together: Service, reasoning: Run) -> None:
    shown = reasoning("models", "deploy", "acme/Qwen3-8B-planning", "--as", "planning", "--yes")
    assert shown.exit_code == 5
    command = "reasoning models upload Qwen3-8B-planning --from acme/Qwen3-8B-planning --base Qwen/Qwen3-8B"
    assert f"`{command}`" in shown.stderr
    assert reasoning(*command.split()[1:], "--yes").exit_code == 0
