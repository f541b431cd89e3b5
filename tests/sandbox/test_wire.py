"""HTTP itself: keys, errors, headers, staged failures."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from reasoning_cli.sandbox.server import MAX_BODY_BYTES, SandboxServer
from tests.sandbox.conftest import PROJECT, Api
from tests.waiting import until


@pytest.mark.parametrize("key", [None, "Bearer other", "sandbox-key", "Basic sandbox-key"])
def test_another_key_is_refused(server: SandboxServer, key: str | None) -> None:
    headers = {} if key is None else {"authorization": key}
    response = httpx.get(f"{server.url}/v3/whoami", headers=headers)
    assert response.status_code == 401
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_the_controls_need_no_key(server: SandboxServer) -> None:
    assert httpx.get(f"{server.url}/_sandbox").json()["sandbox"] is True


def test_every_response_has_virtual_time_and_a_request_id(api: Api) -> None:
    api.advance(400 * 86400)
    now = api.ok("GET", "/_sandbox")["now"]
    for path in ("/v3/whoami", "/nowhere", "/_sandbox"):
        headers = api.http.get(path).headers
        assert parsedate_to_datetime(headers["date"]).isoformat()[:19] == now[:19]
        assert headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/billing/usage", 404),
        ("PUT", f"{PROJECT}/endpoints", 405),
        ("OPTIONS", f"{PROJECT}/endpoints", 405),
        ("TRACE", "/v3/whoami", 405),
        ("GET", "/_sandbox/nowhere", 404),
        ("DELETE", "/_sandbox/clock", 405),
    ],
)
def test_what_does_not_exist_is_refused_in_the_vendors_shape(api: Api, method: str, path: str, status: int) -> None:
    response = api.http.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["message"]
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"x"', b"\xff", b"[" * 100_000])
def test_a_malformed_body_is_a_400(api: Api, body: bytes) -> None:
    response = api.http.post(f"{PROJECT}/endpoints", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_json"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {MAX_BODY_BYTES + 1}", 413),
        ("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: many", 400),
        ("POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked", 411),
        ("nonsense", 400),
        ("GET /" + "x" * 70_000 + " HTTP/1.1", 414),
    ],
)
def test_an_unreadable_request_is_refused_and_the_connection_closed(
    server: SandboxServer, head: str, status: int
) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"{head}\r\nHost: x\r\n\r\n".encode())
        with connection.makefile("rb") as reply:
            text = reply.read().decode()
    assert json.loads(text[text.index("{") :])["error"]["message"]
    if text.startswith("HTTP"):
        assert text.split()[1] == str(status)


def test_connections_are_kept_alive(api: Api) -> None:
    used = set()
    for _ in range(3):
        with api.http.stream("GET", "/v3/whoami") as response:
            used.add(response.extensions["network_stream"].get_extra_info("client_addr"))
            response.read()
    assert len(used) == 1


def test_a_staged_status_is_used_up(api: Api) -> None:
    fault = {"method": "GET", "path": "/v3/who", "status": 503, "headers": {"retry-after": "1"}, "times": 2}
    api.ok("POST", "/_sandbox/faults", fault)
    assert api.http.post("/v3/whoami").status_code == 405, "another method is let through"
    for _ in range(2):
        response = api.http.get("/v3/whoami")
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert api.http.get("/v3/whoami").status_code == 200


def test_a_staged_body_is_sent_as_it_is_and_faults_can_be_cleared(api: Api) -> None:
    api.ok("POST", "/_sandbox/faults", {"path": ".", "status": 429, "body": {"message": "slow down", "code": 8}})
    assert api.http.get("/v3/whoami").json() == {"message": "slow down", "code": 8}
    api.ok("DELETE", "/_sandbox/faults")
    assert api.http.get("/v3/whoami").status_code == 200


@pytest.mark.parametrize(("cut", "made"), [("before", 0), ("after_action", 1)])
def test_a_cut_connection_may_or_may_not_have_acted(api: Api, cut: str, made: int) -> None:
    api.ok("POST", "/_sandbox/faults", {"method": "POST", "path": "/endpoints$", "cut": cut, "times": 1})
    with pytest.raises(httpx.RemoteProtocolError):
        api.http.post(f"{PROJECT}/endpoints", json={"name": "lost"})
    assert len(api.ok("GET", f"{PROJECT}/endpoints")["data"]) == made


def test_a_body_cut_in_the_middle_is_noticed(api: Api) -> None:
    api.serving()
    api.ok("POST", "/_sandbox/faults", {"path": ".", "cut": "mid_body"})
    with pytest.raises(httpx.RemoteProtocolError):
        api.http.get("/v3/whoami")
    body = {"model": "sandbox/decisions", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    seen: list[str] = []
    with (
        pytest.raises(httpx.RemoteProtocolError),
        api.http.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        seen.extend(response.iter_lines())
    assert any("content" in line for line in seen)
    assert "data: [DONE]" not in seen


def test_a_delay_is_longer_than_the_clients_patience(api: Api) -> None:
    api.ok("POST", "/_sandbox/faults", {"path": "/v3/", "delay_seconds": 30})
    with pytest.raises(httpx.ReadTimeout):
        api.http.get("/v3/whoami", timeout=0.2)


@pytest.mark.parametrize(("hold", "made"), [("before", 0), ("after_action", 1), ("after_answer", 1)])
def test_a_request_is_held_until_its_client_is_gone(api: Api, hold: str, made: int) -> None:
    api.ok("POST", "/_sandbox/faults", {"path": "/endpoints$", "hold": hold, "skip": 1, "times": 1})
    assert api.ok("GET", f"{PROJECT}/endpoints")["data"] == [], "the first is let through"
    body = b'{"name": "held"}'
    lines = (f"POST {PROJECT}/endpoints HTTP/1.1", "Authorization: Bearer sandbox-key", f"Content-Length: {len(body)}")
    head = "\r\n".join((*lines, "", ""))
    with socket.create_connection((api.http.base_url.host, api.http.base_url.port or 0), 60) as client:
        client.sendall(head.encode() + body)
        until(lambda: api.ok("GET", "/_sandbox/faults")["held"], "the request")
        assert api.ok("GET", "/_sandbox/faults")["held"] == [{"method": "POST", "path": f"{PROJECT}/endpoints"}]
        client.setblocking(False)
        if hold == "after_answer":
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        else:
            with pytest.raises(BlockingIOError):
                client.recv(100)
    until(lambda: not api.ok("GET", "/_sandbox/faults")["held"], "its end")
    assert len(api.ok("GET", f"{PROJECT}/endpoints")["data"]) == made


def test_each_request_takes_a_step_of_the_clock(api: Api) -> None:
    began = api.ok("POST", "/_sandbox/clock", {"speed": 0, "step_seconds": 3})["now"]
    for _ in range(4):
        api.ok("GET", "/v3/whoami")
    now = api.ok("GET", "/_sandbox")["now"]
    assert datetime.fromisoformat(now) - datetime.fromisoformat(began) == timedelta(seconds=12)


@pytest.mark.parametrize(
    "fault",
    [
        {"path": ".", "headers": {"a": "b\r\nc: d"}},
        {},
        {"path": "("},
        {"path": ".", "cut": "later"},
        {"path": ".", "hold": "later"},
        {"path": ".", "stat": 1},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(api: Api, fault: dict[str, object]) -> None:
    assert api.error("POST", "/_sandbox/faults", fault)[0] == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {"advance_seconds": -1}),
        ("clock", {"speed": 1e9}),
        ("clock", {"step_seconds": 1e12}),
        ("behaviour", {"never_ready": 1}),
        ("behaviour", {"mood": "bad"}),
    ],
)
def test_controls_that_make_no_sense_are_refused(api: Api, path: str, body: dict[str, object]) -> None:
    assert api.error("POST", f"/_sandbox/{path}", body)[0] == 400


def test_the_journal_has_what_was_sent(api: Api) -> None:
    api.ok("DELETE", "/_sandbox/requests")
    api.request("POST", f"{PROJECT}/endpoints", {"name": "a"}, colour="red")
    api.request("GET", "/nowhere")
    assert api.ok("GET", "/_sandbox/requests") == [
        {
            "method": "POST",
            "path": f"{PROJECT}/endpoints",
            "query": {"colour": "red"},
            "status": 200,
            "body": {"name": "a"},
        },
        {"method": "GET", "path": "/nowhere", "query": {}, "status": 404},
    ]


def test_a_reset_forgets_everything(api: Api) -> None:
    api.serving()
    api.ok("POST", "/_sandbox/behaviour", {"quota_replicas": 1})
    api.ok("POST", "/_sandbox/reset")
    assert api.ok("GET", f"{PROJECT}/endpoints")["data"] == []
    nothing = {"deployments": [], "v1Endpoints": [], "fineTunes": [], "fineTuneNanoDollars": "0", "totalCents": "0"}
    assert api.meter() == nothing
    assert api.ok("GET", "/_sandbox/behaviour")["quota_replicas"] == 8


def test_of_many_creates_at_once_one_wins(server: SandboxServer) -> None:
    def create(_: int) -> int:
        headers = {"authorization": "Bearer sandbox-key"}
        return httpx.post(f"{server.url}{PROJECT}/endpoints", json={"name": "same"}, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(create, range(16)))
    assert statuses == [200] + [409] * 15
