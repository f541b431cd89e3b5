"""`models upload --from DIR`: each part to the storage host once, whatever breaks, and a model that can be deployed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from reasoning_cli.operations.deploy.catalog import find_model
from reasoning_cli.operations.weights.folder import PART_BYTES
from tests.conftest import Run
from tests.engines.together.service import KEY, PROJECT, Service, service
from tests.waiting import until
from tests.weights import write_adapter, write_model, write_tensors

BASE = "Qwen/Qwen3-8B"
STORAGE = "^/_storage/"
UPLOAD = ("models", "upload", "mine", "--from", "./mine", "--base", BASE)


@pytest.fixture
def together(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    home.mkdir()
    with service(home) as one:
        monkeypatch.setenv("TOGETHER_API_KEY", KEY)
        monkeypatch.setenv("TOGETHER_BASE_URL", one.url)
        monkeypatch.setenv("REASONING_DEPLOY_POLL_SECONDS", "0.02")
        one.run_clock()
        yield one


@pytest.fixture
def mine() -> Path:
    """Weights of three parts and two small files: five parts in all."""
    return write_model(Path("mine"), 2 * PART_BYTES)


def puts(together: Service) -> list[str]:
    """The parts that were sent and taken, as `upload/number`."""
    return [one["path"].rpartition("_storage/")[2] for one in together.journal("PUT") if one["status"] == 200]


def posts(together: Service, end: str) -> list[dict[str, Any]]:
    return [one["body"] for one in together.journal("POST") if one["path"].endswith(f"/models/upload/{end}")]


def model(together: Service) -> dict[str, Any]:
    models: list[dict[str, Any]] = together.ask("GET", f"{PROJECT}/models")["data"]
    (one,) = [one for one in models if one["name"] == "sandbox/mine"]
    return one


def revisions(together: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = together.ask("GET", f"{PROJECT}/models/{model(together)['id']}/revisions")["data"]
    return found


def records(home: Path) -> list[Path]:
    return list((home / "uploads").glob("*"))


def test_sent_it_can_be_deployed(together: Service, reasoning: Run, mine: Path, home: Path) -> None:
    done = reasoning("-vv", *UPLOAD, "--yes")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"sandbox/mine is there, and its weights are valid ({model(together)['id']}).\n"
    assert "signature=" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("mine: ")] == [
        "mine: reading",
        "mine: sending",
        "mine: validating the weights",
    ]
    assert len(puts(together)) == len(set(puts(together))) == 5
    assert records(home) == []
    plan = reasoning("models", "deploy", "mine", "--as", "planning", "--dry-run", "--json")
    assert json.loads(plan.stdout)["model"] == "sandbox/mine"

    again = reasoning(*UPLOAD)
    assert again.exit_code == 0, "it is there already: nothing is asked"
    assert (len(puts(together)), len(revisions(together)), records(home)) == (5, 1, [])


def test_only_what_changed_is_sent_again(together: Service, reasoning: Run, mine: Path) -> None:
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    (mine / "tokenizer.json").write_text("[]")  # of the same size
    assert reasoning(*UPLOAD).exit_code == 1, "this must be asked about"
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    assert (len(puts(together)), len(revisions(together))) == (6, 2)


def test_a_dry_run_lists_files_and_sends_nothing(together: Service, reasoning: Run, mine: Path) -> None:
    (mine / "optimizer.pt").write_bytes(b"junk")
    shown = reasoning(*UPLOAD, "--dry-run", "--json")
    plan = json.loads(shown.stdout)
    assert (shown.exit_code, plan["dry_run"]) == (0, True)
    assert {one["path"]: one["bytes"] for one in plan["files"]}["model.safetensors"] == plan["bytes"] - 41
    assert [(one["path"], one["bytes"]) for one in plan["left_out"]] == [("optimizer.pt", 4)]
    text = reasoning(*UPLOAD, "--dry-run").stdout
    assert "3 files, 42 MB" in text
    assert "model.safetensors  42 MB" in text
    assert (reasoning(*UPLOAD).exit_code, together.journal("POST")) == (1, [])


def test_an_adapter(together: Service, reasoning: Run) -> None:
    write_adapter(Path("mine"))
    assert reasoning(*UPLOAD, "--yes").exit_code == 2
    done = reasoning(*UPLOAD, "--yes", "--kind", "adapter", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["revision"] == revisions(together)[0]["revisionId"]


def test_what_breaks_on_the_way_is_sent_again(together: Service, reasoning: Run, mine: Path) -> None:
    together.fault(STORAGE, status=503, times=2)
    together.fault(STORAGE, cut="after_action", times=2)
    together.fault(STORAGE, status=200, headers={"ETag": '"0123456789abcdef0123456789abcdef"'}, times=1)
    together.fault("/upload/create$", cut="before", times=1)
    done = reasoning(*UPLOAD, "--yes")
    assert done.exit_code == 0, done.stderr
    assert (len(revisions(together)), len(set(puts(together)))) == (1, 5)


def test_addresses_that_are_no_longer_good_are_asked_for_anew(together: Service, reasoning: Run, mine: Path) -> None:
    together.fault(rf"{STORAGE}[^/]+/3$", status=403, times=2)
    done = reasoning(*UPLOAD, "--yes")
    assert done.exit_code == 0, done.stderr
    asked = [[one["path"] for one in body["files"]] for body in posts(together, "create")]
    assert asked[0] == ["config.json", "model.safetensors", "tokenizer.json"]
    assert asked[1:] == [["model.safetensors"]] * 2
    together.fault(STORAGE, status=403)
    write_tensors(mine / "model.safetensors", 7)
    refused = reasoning(*UPLOAD, "--yes")
    assert (refused.exit_code, "refuses the address" in refused.stderr) == (1, True)
    assert refused.stderr.count("\nerror: ") == 1


def test_a_host_that_stays_broken_is_told_and_the_next_run_goes_on(
    together: Service, reasoning: Run, mine: Path
) -> None:
    together.fault(rf"{STORAGE}[^/]+/2$", status=500)
    failed = reasoning(*UPLOAD, "--yes")
    assert (failed.exit_code, "failed with 500" in failed.stderr) == (7, True)
    together.clear_faults()
    assert "are sent already" in reasoning(*UPLOAD, "--dry-run").stdout
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    assert (len(puts(together)), len(set(puts(together))), len(posts(together, "create"))) == (5, 5, 1)


def test_a_lost_answer_at_the_end_makes_no_second_one(together: Service, reasoning: Run, mine: Path) -> None:
    together.fault("/upload/complete$", cut="after_action", times=1)
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    assert len(revisions(together)) == 1


def test_weights_that_are_not_valid_say_why(together: Service, reasoning: Run, mine: Path) -> None:
    together.behave(fail_validation=True)
    failed = reasoning(*UPLOAD, "--yes")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "are not valid: the weights do not fit the architecture" in failed.stderr
    together.behave(fail_validation=False)
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    assert len(puts(together)) == 5, "Together has the files: they are not sent again"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["--from", "./nothing"], 5, "is not a folder"),
        (["--from", "./mine", "--kind", "adapter"], 2, "holds whole weights"),
        (["--from", "./mine", "--token-stdin"], 2, "needs no Hugging Face token"),
        (["--from", "acme/mine", "--abort"], 2, "is for the upload of a folder"),
        (["--from", "./mine", "--abort"], 5, "no model `mine` was begun"),
    ],
)
def test_what_cannot_work_sends_nothing(
    together: Service, reasoning: Run, mine: Path, arguments: list[str], exit_code: int, said: str
) -> None:
    shown = reasoning("models", "upload", "mine", "--base", BASE, *arguments, "--yes")
    assert (shown.exit_code, shown.stdout, said in shown.stderr) == (exit_code, "", True)
    assert together.journal("POST") == together.journal("PUT") == []


def test_weights_from_elsewhere_and_from_here_are_not_mixed(together: Service, reasoning: Run, mine: Path) -> None:
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    other = reasoning("models", "upload", "mine", "--from", "acme/mine", "--base", BASE, "--yes")
    assert (other.exit_code, "has weights from elsewhere" in other.stderr) == (1, True)
    assert reasoning("models", "upload", "far", "--from", "acme/far", "--base", BASE, "--yes").exit_code == 0
    local = reasoning("models", "upload", "far", "--from", "./mine", "--base", BASE, "--yes")
    assert (local.exit_code, "is from elsewhere already" in local.stderr) == (1, True)


def test_it_asks_what_the_vendors_own_command_line_asks(together: Service, reasoning: Run, mine: Path) -> None:
    """The only judge of these two calls: no published contract has them."""
    theirs = together.client.create_model("theirs", find_model(together.client, BASE).id, "model")
    done = subprocess.run(
        [Path(sys.executable).with_name("tg"), "models", "upload", theirs.id, mine, "--json"],
        env={
            "HOME": str(mine.absolute().parent),
            "TOGETHER_API_KEY": KEY,
            "TOGETHER_BASE_URL": together.url,
            "TOGETHER_PROJECT_ID": "proj_sandbox",
            "TOGETHER_TELEMETRY_DISABLED": "1",
            "TOGETHER_DISABLE_VERSION_CHECK": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    for end in ("create", "complete"):
        wanted, made = posts(together, end)
        for body in (wanted, made):
            assert body.pop("objectId").startswith("ml_")
            body["files"].sort(key=lambda one: one["path"])
            for file in body["files"]:
                assert file.get("uploadDetails", {}).pop("uploadId", "upl_").startswith("upl_")
        assert made == wanted


# --- broken off in the middle ---


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "reasoning_cli", *arguments, "--yes"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_all_but_one_arrived(home: Path) -> None:
    """Until the record of the running upload has the four parts that are not held back."""
    until(lambda: sum(one.read_text().count('"etag"') for one in records(home)) >= 4, "four parts")


def kill_with_one_part_left(running: subprocess.Popen[str], together: Service, home: Path) -> None:
    """Kill it when all is there but the part that is held: one that was still under way would leave the next run the
    hold."""
    until(lambda: together.server.service.faults.held(), "the part to hold")
    until_all_but_one_arrived(home)
    running.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("hold", ["before", "after_action"])
def test_killed_in_the_middle_it_goes_on_with_what_is_missing(
    together: Service, reasoning: Run, mine: Path, home: Path, hold: str
) -> None:
    together.fault(rf"{STORAGE}[^/]+/2$", hold=hold, times=1)
    with start(*UPLOAD) as running:
        kill_with_one_part_left(running, together, home)
    assert [one.stat().st_mode & 0o777 for one in records(home)] == [0o600]
    with records(home)[0].open("a") as record:
        record.write('{"file": "model.safetensors", "pa')  # what a kill leaves of a line
    together.forget_journal()
    done = reasoning(*UPLOAD, "--yes")
    assert done.exit_code == 0, done.stderr
    assert [one.rpartition("/")[2] for one in puts(together)] == ["2"]
    assert (len(posts(together, "create")), len(revisions(together)), records(home)) == (0, 1, [])


def test_a_file_that_changed_meanwhile_begins_anew(together: Service, reasoning: Run, mine: Path, home: Path) -> None:
    together.fault(rf"{STORAGE}[^/]+/2$", hold="before", times=1)
    with start(*UPLOAD) as running:
        kill_with_one_part_left(running, together, home)
    write_tensors(mine / "model.safetensors", 2 * PART_BYTES, b"v")
    together.forget_journal()
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    assert [one["path"] for one in posts(together, "create")[0]["files"]] == ["model.safetensors"]
    assert sorted(one.rpartition("/")[2] for one in puts(together)) == ["1", "2", "3"]


@pytest.mark.parametrize(
    "path", [f"{PROJECT}/models$", "/models/upload/create$", "/models/upload/complete$"], ids=["model", "plan", "end"]
)
@pytest.mark.parametrize("hold", ["before", "after_action"])
def test_killed_at_any_other_call_there_is_one_model_and_one_revision(
    together: Service, reasoning: Run, mine: Path, path: str, hold: str
) -> None:
    together.fault(path, method="POST", hold=hold, times=1)
    with start(*UPLOAD) as running:
        until(lambda: together.ask("GET", "/_sandbox/faults")["held"], "the call")
        running.send_signal(signal.SIGKILL)
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    assert len(revisions(together)) == 1
    assert len(set(puts(together))) == 5


def test_eight_parts_go_at_a_time(together: Service, mine: Path) -> None:
    for number in range(8):
        (mine / f"extra-{number}.json").write_text("{}")
    together.fault(STORAGE, hold="before")
    held: list[int] = []

    def eight_for_a_while() -> bool:
        held.append(len(together.ask("GET", "/_sandbox/faults")["held"]))
        return 8 in held[:-20]

    with start(*UPLOAD) as running:
        until(eight_for_a_while, "eight parts")
        running.send_signal(signal.SIGKILL)
    assert max(held) == 8, "of thirteen"


def test_interrupted_it_says_what_is_there_and_abort_takes_it_back(
    together: Service, reasoning: Run, mine: Path, home: Path
) -> None:
    together.fault(rf"{STORAGE}[^/]+/2$", hold="before", times=1)
    with start(*UPLOAD) as running:
        until_all_but_one_arrived(home)
        busy = reasoning(*UPLOAD, "--yes")
        assert (busy.exit_code, "another run is uploading" in busy.stderr) == (1, True)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode in (130, -signal.SIGINT)
    assert "are at Together; they are no model yet, and cost nothing." in said
    rmtree(mine)
    plan = json.loads(reasoning(*UPLOAD, "--abort", "--dry-run", "--json").stdout)
    assert plan == {"dry_run": True, "name": "sandbox/mine", "parts": 4, "model_deleted": True}
    taken_back = reasoning(*UPLOAD, "--abort", "--yes")
    assert (taken_back.exit_code, taken_back.stdout) == (
        0,
        "The upload of sandbox/mine is forgotten, and the model is gone.\n",
    )
    assert records(home) == []
    assert reasoning(*UPLOAD, "--abort", "--yes").exit_code == 5
    assert "sandbox/mine" not in [one["name"] for one in together.ask("GET", f"{PROJECT}/models")["data"]]


def test_an_abort_leaves_weights_that_are_finished(together: Service, reasoning: Run, mine: Path, home: Path) -> None:
    assert reasoning(*UPLOAD, "--yes").exit_code == 0
    finished = reasoning(*UPLOAD, "--abort", "--yes")
    assert (finished.exit_code, "was begun from here and not finished" in finished.stderr) == (5, True)
    write_tensors(mine / "model.safetensors", 7)
    together.fault(STORAGE, status=400)
    failed = reasoning(*UPLOAD, "--yes")
    assert (failed.exit_code, "refuses a part with 400" in failed.stderr) == (1, True)
    taken_back = reasoning(*UPLOAD, "--abort", "--yes")
    assert "the model keeps the weights it has" in taken_back.stdout
    assert (len(revisions(together)), records(home)) == (1, [])
