"""The client over real HTTP: what it sends, what it tolerates, what it repeats, and what it never repeats."""

from __future__ import annotations

import logging
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.engines.errors import (
    BusyError,
    ConflictError,
    CreditError,
    KeyRefusedError,
    MissingError,
    NotServingError,
    QuotaError,
    RequestRefusedError,
    UnreachableError,
)
from reasoning_cli.engines.together.client import TogetherClient
from reasoning_cli.engines.together.connection import ATTEMPTS, LONGEST_WAIT_SECONDS
from reasoning_cli.errors import ConfigurationError, ExitCode, NotFoundError, ReasoningError
from reasoning_cli.sandbox.server import SandboxServer
from tests.conftest import Run
from tests.engines.together.service import DEPLOYMENTS, ENDPOINTS, KEY, PROJECT, Service
from tests.sandbox.contract import CONTRACT_FILE, load_contract

SLOWER = {"error": {"message": "slow down", "type": "rate_limit"}}


def body_of(together: Service, name: str = "first") -> dict[str, Any]:
    model = next(one for one in together.client.models() if one.name.endswith("planning"))
    config = next(one for one in together.client.configs(model) if one.hardware == "1xnvidia-h100-80gb")
    return {
        "name": name,
        "model": model.resource,
        "config": config.resource,
        "autoscaling": {"minReplicas": 1, "maxReplicas": 1},
    }


def test_every_request_of_a_whole_life_keeps_the_vendors_contract(together: Service, shared: Path) -> None:
    if not (shared / CONTRACT_FILE).is_file():
        pytest.skip("no contract file here")
    together.deploy(idle_minutes=30)
    together.deploy(idle_minutes=60, max_replicas=2)
    together.stop(keep=True)
    together.deploy()
    together.stop()
    contract = load_contract(shared)
    journal = together.journal()
    assert {one["method"] for one in journal} == {"GET", "POST", "PATCH", "DELETE"}
    for one in journal:
        if one["path"] != "/v1/chat/completions":  # every member of it is checked by the sandbox itself
            assert contract.request_violations(one["method"], one["path"], one["query"], one.get("body")) == []


def test_lists_are_read_to_their_last_page(together: Service) -> None:
    names = [f"e{number}" for number in range(53)]
    for name in names:
        together.ask("POST", f"{PROJECT}/endpoints", {"name": name})
    together.forget_journal()
    assert sorted(one.name for one in together.client.endpoints()) == sorted(f"sandbox/{name}" for name in names)
    assert len([one for one in together.journal() if one["path"] == f"{PROJECT}/endpoints"]) == 2
    first = together.client.find_endpoint("e0")
    assert first is not None and first.name == "sandbox/e0", "the oldest stands on the last page"


def test_a_cursor_that_stands_still_ends_the_list(together: Service) -> None:
    together.fault(ENDPOINTS, status=200, body={"data": [], "next_cursor": "same"}, times=5)
    assert list(together.client.endpoints()) == []
    assert len([one for one in together.journal() if one["path"] == f"{PROJECT}/endpoints"]) == 2


@pytest.mark.parametrize(
    ("status", "code", "error", "exit_code"),
    [
        (400, None, RequestRefusedError, ExitCode.FAILED),
        (400, "dedicated_endpoint_not_running", NotServingError, ExitCode.FAILED),
        (401, None, KeyRefusedError, ExitCode.CONFIGURATION),
        (402, None, CreditError, ExitCode.LIMIT),
        (403, None, RequestRefusedError, ExitCode.FAILED),
        (404, None, MissingError, ExitCode.NOT_FOUND),
        (409, None, ConflictError, ExitCode.FAILED),
        (429, "quota_exceeded", QuotaError, ExitCode.LIMIT),
        (429, None, BusyError, ExitCode.REMOTE),
        (500, None, BusyError, ExitCode.REMOTE),
        (503, None, BusyError, ExitCode.REMOTE),
        (301, None, RequestRefusedError, ExitCode.FAILED),
    ],
)
@pytest.mark.parametrize("rpc", [False, True], ids=["object", "rpc"])
def test_both_shapes_of_errors_become_errors_of_ours(
    together: Service, status: int, code: str | None, error: type[ReasoningError], exit_code: ExitCode, rpc: bool
) -> None:
    words = "GPU quota exceeded" if code == "quota_exceeded" else "said so"
    shape: dict[str, object] = {"error": {"message": words, "type": "x", "param": None, "code": code}}
    if rpc:
        shape = {"message": "short", "code": code or 3, "details": [{"detail": words}]}
    together.fault(r"/endpoints/ep_1$", method="PATCH", status=status, body=shape)
    together.client.whoami()
    with pytest.raises(error) as caught:
        together.client.route("ep_1", {})
    assert type(caught.value) is error
    assert caught.value.exit_code == exit_code
    assert words in caught.value.message or status == 401


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", [], "", {"error": "plain"}, {"error": None}, 7])
def test_errors_of_no_known_shape_are_errors_still(together: Service, body: object) -> None:
    together.fault(r"/v3/whoami", status=502, body=body)
    with pytest.raises(BusyError, match="502"):
        together.client.whoami()


@pytest.mark.parametrize("body", ["<html>hello</html>", [], 7, '{"cut'])
def test_success_of_no_known_shape_is_an_error(together: Service, body: object) -> None:
    together.fault(r"/v3/whoami", status=200, body=body)
    with pytest.raises(BusyError):
        together.client.whoami()


def test_a_missing_member_is_named(together: Service) -> None:
    together.fault(r"/endpoints/ep_1$", status=200, body={"id": "ep_1", "projectId": "p"})
    with pytest.raises(BusyError, match="name"):
        together.client.endpoint("ep_1")


def test_reads_wait_as_long_as_asked_for_and_try_again(together: Service) -> None:
    together.fault(r"/v3/whoami", status=429, headers={"retry-after": "7"}, body=SLOWER, times=1)
    together.fault(r"/v3/whoami", status=503, headers={"retry-after": "86400"}, times=1)
    together.fault(r"/v3/whoami", status=500, headers={"retry-after": "Sat, 21 Nov 2026 00:00:00 GMT"}, times=1)
    assert together.client.whoami().project is not None
    assert together.slept[:2] == [7, LONGEST_WAIT_SECONDS]
    assert 1.5 <= together.slept[2] <= 2
    assert len(together.journal()) == ATTEMPTS


def test_a_date_to_wait_for_is_by_their_clock(together: Service) -> None:
    until = together.client.now() + timedelta(seconds=25)
    together.fault(r"/v3/whoami", status=503, headers={"retry-after": format_datetime(until, usegmt=True)}, times=1)
    together.fault(r"/v3/whoami", status=503, headers={"retry-after": "soon"}, times=1)
    together.client.whoami()
    assert 20 <= together.slept[-2] <= 25
    assert 0.75 <= together.slept[-1] <= 1


def test_a_write_that_was_refused_for_being_busy_says_how_long_to_wait(together: Service) -> None:
    together.fault(r"/v1/chat/completions", status=429, headers={"retry-after": "12"}, body=SLOWER, times=1)
    with pytest.raises(BusyError) as caught:
        together.client.chat("any", [{"role": "user", "content": "hello"}], max_tokens=1)
    assert caught.value.wait_seconds == 12
    assert together.slept == []


@pytest.mark.parametrize("cut", ["before", "mid_body"])
def test_reads_survive_a_cut_connection(together: Service, cut: str) -> None:
    together.fault(r"/v3/whoami", cut=cut, times=2)
    assert together.client.whoami().project is not None
    assert len(together.journal()) == 3


def test_reads_end_after_some_attempts(together: Service) -> None:
    together.fault(r"/v3/whoami", status=503)
    with pytest.raises(BusyError):
        together.client.whoami()
    assert len(together.journal()) == ATTEMPTS


def test_quota_and_refusals_are_not_tried_again(together: Service) -> None:
    together.fault(r"/v3/whoami", status=429, body={"error": {"message": "GPU quota exceeded"}})
    with pytest.raises(QuotaError):
        together.client.whoami()
    assert len(together.journal()) == 1


@pytest.mark.parametrize("lost", [{"cut": "after_action"}, {"cut": "mid_body"}], ids=["no answer", "half an answer"])
def test_an_endpoint_whose_answer_is_lost_is_found_and_not_made_twice(
    together: Service, lost: dict[str, object]
) -> None:
    together.fault(ENDPOINTS, method="POST", times=1, **lost)
    made = together.client.create_endpoint("mine")
    assert [one["id"] for one in together.endpoints()] == [made.id]
    assert together.creations() == ["endpoints"]


@pytest.mark.parametrize("lost", [{"cut": "after_action"}, {"cut": "mid_body"}], ids=["no answer", "half an answer"])
def test_a_deployment_whose_answer_is_lost_is_found_and_not_made_twice(
    together: Service, lost: dict[str, object]
) -> None:
    endpoint = together.client.create_endpoint("mine")
    together.fault(DEPLOYMENTS, method="POST", times=1, **lost)
    made = together.client.create_deployment(endpoint.id, body_of(together))
    assert [one["id"] for one in together.deployments()] == [made.id]
    assert together.creations() == ["endpoints", "deployments"]


@pytest.mark.parametrize(
    "failure", [{"cut": "before"}, {"status": 500}, {"status": 429, "body": SLOWER}], ids=["cut", "500", "429"]
)
def test_a_create_that_came_to_nothing_is_an_error_and_not_sent_again(
    together: Service, failure: dict[str, object]
) -> None:
    together.fault(ENDPOINTS, method="POST", times=1, **failure)
    with pytest.raises((UnreachableError, BusyError)) as caught:
        together.client.create_endpoint("mine")
    assert caught.value.exit_code == ExitCode.REMOTE
    assert together.creations() == ["endpoints"]
    assert together.endpoints() == []


def test_a_create_that_never_left_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    slept: list[float] = []
    with SandboxServer(speed=0) as server:
        url = server.url
        client = TogetherClient(url, KEY, sleep=slept.append)
        client.whoami()
        _ = client.project
    try:
        with pytest.raises(UnreachableError) as caught:
            client.create_endpoint("mine")
    finally:
        client.close()
    assert not caught.value.maybe_done
    assert url in caught.value.message
    assert len(slept) in (ATTEMPTS - 1, 2 * (ATTEMPTS - 1)), "the kept connection may be lost first"


def test_a_name_that_is_taken_is_that_endpoint(together: Service) -> None:
    made = together.ask("POST", f"{PROJECT}/endpoints", {"name": "mine"})
    assert together.client.create_endpoint("mine").id == made["id"]
    assert len(together.endpoints()) == 1


@pytest.mark.parametrize("cut", ["before", "after_action"])
def test_deleting_is_finished_when_its_answer_is_lost(together: Service, cut: str) -> None:
    made = together.client.create_endpoint("mine")
    together.fault(r"/endpoints/ep_", method="DELETE", cut=cut, times=1)
    together.client.delete_endpoint(made.id)
    assert together.endpoints() == []
    together.client.delete_endpoint(made.id)  # gone already


def test_unknown_members_and_words_are_no_trouble(together: Service) -> None:
    endpoint = together.client.create_endpoint("mine")
    together.client.create_deployment(endpoint.id, body_of(together))
    (shown,) = together.deployments()
    shown["status"] = {"state": "DEPLOYMENT_STATE_HIBERNATING", "mood": {"deep": 1}}
    shown["quantum"] = [1]
    del shown["hardware"], shown["etag"]
    together.fault(DEPLOYMENTS, status=200, body={"data": [shown, "no object"], "next_cursor": "", "more": 1})
    (read,) = together.client.deployments(endpoint.id)
    assert (read.state, read.status.ready_replicas, read.hardware) == ("HIBERNATING", 0, None)


def test_a_key_without_project_says_which_setting_to_make(together: Service) -> None:
    together.fault(r"/v3/whoami", status=200, body={"type": "organization_api_key", "organization": {"id": "org_1"}})
    with pytest.raises(ConfigurationError) as caught:
        _ = together.client.project
    assert caught.value.hint is not None and "together.project_id" in caught.value.hint


def test_the_project_set_wins(together: Service) -> None:
    client = TogetherClient(together.url, KEY, project_id="proj_other")
    with pytest.raises(NotFoundError):
        list(client.endpoints())
    client.close()
    assert together.journal()[-1]["path"] == "/v2/projects/proj_other/endpoints"


def test_time_is_the_services_own(together: Service) -> None:
    before = together.client.now()
    together.advance(86_400)
    together.client.whoami()
    assert 86_399 <= (together.client.now() - before).total_seconds() <= 86_401


def test_loopback_is_reached_without_the_proxy_of_the_environment(
    together: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    client = TogetherClient(together.url, KEY, sleep=lambda _: None)
    try:
        assert client.whoami().project is not None
    finally:
        client.close()


def test_the_key_is_in_no_log_line_and_no_message(together: Service, caplog: pytest.LogCaptureFixture) -> None:
    key = "tgp_v1_0123456789abcdefghijklmnop"
    with caplog.at_level(logging.DEBUG):
        client = TogetherClient(together.url, key, sleep=lambda _: None)
        with pytest.raises(KeyRefusedError) as caught:
            client.whoami()
        client.close()
    assert key not in caplog.text
    assert key not in f"{caught.value.message} {caught.value.hint}"


def test_a_key_echoed_by_the_service_is_not_shown(
    together: Service, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "an-unusual-key-0123456789"
    monkeypatch.setenv("TOGETHER_API_KEY", key)
    monkeypatch.setenv("TOGETHER_BASE_URL", together.url)
    together.fault(r"/v3/whoami", status=403, body={"error": {"message": f"Bearer {key} may not"}})
    shown = reasoning("-vv", "models", "status")
    assert shown.exit_code == ExitCode.FAILED
    assert "may not" in shown.stderr
    assert key not in shown.stderr + shown.stdout
