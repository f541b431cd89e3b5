"""Who is let in: by which name the gateway is called, with which token, and over which protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from reasoning_cli.gateway.log.access_log import AccessLog
from tests.gateway.serving import Served, served
from tests.gateway.test_callers import DECISION, post, sent
from tests.waiting import until

TOKEN = "the_token/of-tests+%41"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Served]:
    """A gateway that asks for a token."""
    with served(tmp_path, token=TOKEN) as running:
        yield running


def get(path: str, *headers: str, version: str = "1.1") -> bytes:
    lines = "".join(f"{one}\r\n" for one in ("connection: close", *headers))
    return f"GET {path} HTTP/{version}\r\n{lines}\r\n".encode()


PATHS = ("/stats", "/metrics", "/v1/models", "/v1/chat/completions", "/t/x/stats", "/", "//stats")
OURS = (
    *("localhost", "LocalHost:8001", "localhost.:1", "agent.localhost", "127.0.0.1:8001", "127.9.9.9", "[::1]:8001"),
    "0.0.0.0:8001",
)
FOREIGN = (
    *("evil.example", "evil.example:8001", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost"),
    *("127.evil.example", "192.168.1.1", "[2001:db8::1]", "", "localhost@evil.example", "evil.example#localhost"),
    *("localhost:x", "localhost evil.example", "host.docker.internal:8001", "[::1].evil.example", "..localhost/evil"),
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", FOREIGN)
def test_a_page_that_has_its_name_lead_here_reads_and_spends_nothing(gateway: Served, host: str, path: str) -> None:
    found = sent(gateway, get(path, f"host: {host}"))
    assert found.startswith(b"HTTP/1.1 421 ")
    assert b"model_types" not in found
    assert gateway.original.received == []


@pytest.mark.parametrize("host", OURS)
def test_this_machine_has_names_of_its_own(gateway: Served, host: str) -> None:
    assert b"model_types" in sent(gateway, get("/stats", f"host: {host}"))
    assert b" 200 " in sent(gateway, get("/v1/models", f"host: {host}"))


def test_a_decision_by_a_foreign_name_is_none(gateway: Served) -> None:
    found = sent(gateway, post(DECISION).replace(b"host: localhost", b"host: evil.example"))
    assert found.startswith(b"HTTP/1.1 421 ")
    assert (gateway.original.received, gateway.model.received) == ([], [])


def test_other_names_can_be_given(gateway: Served) -> None:
    view = gateway.gateway.book.view
    gateway.gateway.book.view = replace(view, hosts=frozenset({"host.docker.internal"}))
    assert b" 200 " in sent(gateway, get("/stats", "host: Host.Docker.Internal:8001"))
    assert b" 421 " in sent(gateway, get("/stats", "host: docker.internal"))


def test_where_a_token_is_asked_for_any_name_will_do(guarded: Served) -> None:
    for host in ("gateway:8001", "192.168.1.1:8001", "evil.example"):
        assert b" 200 " in sent(guarded, get("/stats", f"host: {host}", f"x-reasoning-token: {TOKEN}"))
        assert b" 401 " in sent(guarded, get("/stats", f"host: {host}"))


def test_a_request_names_one_host(gateway: Served) -> None:
    for hosts in ((), ("host: localhost", "host: localhost"), ("host: localhost", "host: evil.example")):
        assert sent(gateway, get("/v1/models", *hosts)).startswith(b"HTTP/1.1 400 ")
    assert gateway.original.received == []
    # What asks whether it lives, and what is older than the rule.
    assert b" 200 " in sent(gateway, get("/health", "host: 10.0.0.7"))
    assert b" 200 " in sent(gateway, get("/v1/models", version="1.0"))


def encoded(text: str) -> str:
    return "".join(f"%{one:02x}" for one in text.encode())


QUOTED = quote(TOKEN, safe="")
MISTYPED = {
    "two slashes": f"//t/{QUOTED}/v1/models",
    "three slashes": f"///t//{QUOTED}/v1/models",
    "a dot": f"/./t/{QUOTED}/v1/models",
    "two dots": f"/x/../t/{QUOTED}/v1/models",
    "dots encoded": f"/x/%2e%2e/t/{QUOTED}/v1/models",
    "a capital": f"/T/{QUOTED}/v1/models",
    "slashes encoded": f"/%2Ft%2f{QUOTED}/v1/models",
    "encoded twice": f"/%252Ft%252f{QUOTED}/v1/models",
    "the letter encoded": f"/%74/{QUOTED}/v1/models",
    "backslashes": f"/\\t\\{QUOTED}/v1/models",
    "behind the version": f"/v1/t/{QUOTED}/models",
    "twice": f"/t/{QUOTED}/t/{QUOTED}/v1/models",
    "without its letter": f"/{QUOTED}/v1/models",
    "at the end": f"/v1/models/{QUOTED}",
    "whole encoded": f"/v1/models/{encoded(TOKEN)}",
    "in a query": f"/v1/models?token={QUOTED}",
    "in a query, encoded": f"/v1/models?token={encoded(TOKEN)}&a=b",
    "in a query, as it is": f"/v1/models?{TOKEN}",
}


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("how", MISTYPED)
def test_a_token_in_the_wrong_place_is_neither_logged_nor_sent_on(guarded: Served, how: str, shown: bool) -> None:
    lines: list[str] = []
    guarded.gateway.access_log = log = AccessLog(lines.append)
    found = sent(guarded, get(MISTYPED[how], "host: localhost", *([f"x-reasoning-token: {TOKEN}"] if shown else [])))
    assert found.startswith(b"HTTP/1.1 404 ")
    assert guarded.original.received == []
    until(lambda: lines, "the line of the call")
    log.close()
    (line,) = map(json.loads, lines)
    assert (line["status"], line["path"]) == (404, "(withheld)")
    assert not any(one in (found + lines[0].encode()).decode() for one in (TOKEN, QUOTED, encoded(TOKEN)))


def test_where_no_token_is_asked_for_a_mistyped_one_goes_nowhere_either(gateway: Served) -> None:
    assert b" 200 " in sent(gateway, get("/t/whatever/v1/models", "host: localhost"))
    for path in ("//t/whatever/v1/models", "/T/whatever/v1/models", "/v1/t/whatever/models"):
        assert b" 404 " in sent(gateway, get(path, "host: localhost"))
    assert [one.target for one in gateway.original.received] == ["/v1/models"]


def test_paths_that_only_look_like_it_pass(gateway: Served) -> None:
    for path in ("/v1/t", "/v1/threads/t/x", "/v1/models/t/x", "/v1/tt/x", "/v1/models?a=/t/x"):
        assert b" 200 " in sent(gateway, get(path, "host: localhost"))
    assert len(gateway.original.received) == 5


@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/v1/chat/completions", "/anything"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_asks_for_a_websocket_is_told_at_once_that_there_is_none(guarded: Served, path: str, method: str) -> None:
    """Codex asks so first, and falls back to HTTP at a 426; anything else it tries seven times."""
    asks = ("host: localhost", "connection: keep-alive, Upgrade", "upgrade: WebSocket", "sec-websocket-version: 13")
    head = get(path, *asks, "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==").replace(b"GET", method.encode())
    found = sent(guarded, head.replace(b"connection: close\r\n", b"") + b"\x81\x85not http")
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"\r\nupgrade: HTTP/1.1" in head
    assert json.loads(body)["error"]["message"]
    assert guarded.original.received == []
