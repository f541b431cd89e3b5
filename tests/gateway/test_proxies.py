"""Through the proxies that the environment names, and with TLS verified, always."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from reasoning_cli.gateway.http.upstream import place_of, proxy_for
from tests.gateway import canned
from tests.gateway.certificates import self_signed
from tests.gateway.program import Program
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Provider, Received
from tests.library import own


class Proxy(Provider):
    """A forward proxy: answers what it is asked for itself, and joins what wants a tunnel."""

    def __init__(self) -> None:
        super().__init__(self._forward)

    async def _forward(self, received: Received, answering: Answering) -> None:
        if received.method != "CONNECT":
            answer = own.model if "//model.invalid/" in received.target else canned.original
            await answer(received, answering)
            return
        host, _, port = received.target.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await answering.raw(b"HTTP/1.1 200 Joined\r\n\r\n")
        answering.closes = True
        await asyncio.wait(
            [
                asyncio.ensure_future(_pour(answering._reader, writer)),
                asyncio.ensure_future(_pour(reader, answering._writer)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.close()


def ask(program: Program, prompt: str = "planning") -> httpx.Response:
    body: Any = request("chat", PROMPTS[prompt])
    return httpx.post(f"{program.url}{PATHS['chat']}", json=body, trust_env=False, timeout=60)


def test_a_forward_proxy_gets_what_goes_to_the_original_and_to_a_model(proxy: Proxy, tmp_path: Path) -> None:
    named = {"HTTP_PROXY": f"http://me:secret@127.0.0.1:{proxy.port}", "NO_PROXY": "direct.invalid"}
    plain = {"REASONING_ALLOW_PLAIN_HTTP": "true"}
    program = Program(tmp_path, "http://original.invalid", "http://model.invalid", {**named, **plain})
    try:
        assert [ask(program, prompt).status_code for prompt in ("planning", "other")] == [200, 200]
        asked = [one.target for one in proxy.received]
        assert asked == [f"http://{one}.invalid/v1/chat/completions" for one in ("model", "original")]
        assert proxy.received[1].header("proxy-authorization") == "Basic bWU6c2VjcmV0"
        assert proxy.received[1].header("host") == "original.invalid"
    finally:
        program.stop()


def test_a_tunnel_and_the_certificate_at_its_end(proxy: Proxy, tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    original = Provider(canned.original, context)
    through = {"https_proxy": f"127.0.0.1:{proxy.port}", "SSL_CERT_FILE": str(certificate)}
    program = Program(tmp_path, original.url, None, through)
    try:
        assert "The original thought" in ask(program).text
        assert [one.method for one in proxy.received] == ["CONNECT"]
        assert original.received[0].header("proxy-authorization") is None
    finally:
        program.stop()
    program = Program(tmp_path, original.url, None, {"SSL_CERT_FILE": "/dev/null", "https_proxy": ""})
    try:
        refused = ask(program)
        assert (refused.status_code, len(original.received)) == (502, 1)
        assert "CertificateError" in refused.json()["error"]["message"]
        assert json.loads(httpx.get(f"{program.url}/stats", trust_env=False).text)["upstream_errors"]
    finally:
        program.stop()
        original.close()


@pytest.mark.parametrize(
    ("environ", "host", "wanted"),
    [
        ({}, "a.example", None),
        ({"http_proxy": "http://p:1"}, "a.example", "http://p:1"),
        ({"http_proxy": "p:1"}, "a.example", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "a.example", None),
        ({"http_proxy": "http://p:1", "no_proxy": "b.example,.example"}, "a.example", None),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, "a.example", None),
        ({"http_proxy": "http://p:1", "no_proxy": "127.0.0.1"}, "127.0.0.1", None),
    ],
)
def test_which_proxy(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], host: str, wanted: str | None) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    proxy_for.cache_clear()
    assert proxy_for(place_of(f"http://{host}")) == (place_of(wanted) if wanted else None)
    proxy_for.cache_clear()


def test_no_password_of_netrc_is_sent(tmp_path: Path) -> None:
    original = Provider(canned.original)
    (tmp_path / ".netrc").write_text(f"machine {urlsplit(original.url).hostname} login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    program = Program(tmp_path, original.url, None, {"HOME": str(tmp_path)})
    try:
        assert ask(program).status_code == 200
        assert original.received[0].header("authorization") is None
    finally:
        program.stop()
        original.close()
