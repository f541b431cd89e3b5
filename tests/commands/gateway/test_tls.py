"""`reasoning gateway serve` over TLS, and what of this program asks it."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from reasoning_cli.gateway.http.certificate import LOOK_SECONDS
from tests.commands.gateway.test_gateway import Running, original, serving
from tests.conftest import Run
from tests.engines.together.service import Service
from tests.gateway.certificates import self_signed
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Provider
from tests.waiting import until

__all__ = ["original"]


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A folder with `certificate.pem` and `key.pem`."""
    self_signed(tmp_path)
    return tmp_path


def tls(pem: Path) -> tuple[str, ...]:
    return "--tls-cert", str(pem / "certificate.pem"), "--tls-key", str(pem / "key.pem")


def presented(gateway: Running) -> str:
    """The certificate that a new connection gets to see."""
    return ssl.get_server_certificate(("127.0.0.1", gateway.port))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_calls_are_answered_over_tls(still: Service, original: Provider, pem: Path, workers: str) -> None:
    with serving(*tls(pem), "--workers", workers, trusted=pem / "certificate.pem") as gateway:
        for _ in range(4):
            assert gateway.ask().status_code == 200
        body = request("chat", PROMPTS["other"], stream=True)
        with gateway.client.stream("POST", PATHS["chat"], json=body) as answer:
            assert b"data: [DONE]" in b"".join(answer.iter_raw())
        assert gateway.client.post("/v1/files", content=b"x" * 3_000_000).status_code == 200
        assert len(original.received[-1].body) == 3_000_000
        # Whoever does not trust it, or speaks none, gets nothing.
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{gateway.url}/v1/models", trust_env=False)
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{gateway.port}/v1/models", trust_env=False)
        assert gateway.end() == (0, "")


@pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")
def test_only_tls_that_is_still_sound(still: Service, original: Provider, pem: Path) -> None:
    def agreed(highest: ssl.TLSVersion) -> str | None:
        context = ssl.create_default_context(cafile=str(pem / "certificate.pem"))
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, highest
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", gateway.port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            assert connection.selected_alpn_protocol() == "http/1.1"
            return connection.version()

    with serving(*tls(pem), trusted=pem / "certificate.pem") as gateway:
        assert agreed(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
        assert agreed(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        with pytest.raises(OSError, match=r"SSL|reset"):
            agreed(ssl.TLSVersion.TLSv1_1)


def test_its_own_commands_find_it(
    still: Service, original: Provider, pem: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known by its certificate alone, whatever name stands in it."""
    with serving(*tls(pem), trusted=pem / "certificate.pem") as gateway:
        gateway.ask()
        monkeypatch.setenv("REASONING_GATEWAY_PORT", str(gateway.port))
        assert reasoning("gateway", "status").exit_code == 7  # nobody told where the certificate is
        monkeypatch.setenv("REASONING_GATEWAY_TLS_CERT", str(pem / "certificate.pem"))
        monkeypatch.setenv("REASONING_GATEWAY_TLS_KEY", str(pem / "key.pem"))
        assert "1 call: 1 decision" in reasoning("gateway", "status").stdout
        until(lambda: json.loads(reasoning("gateway", "stats", "--json").stdout)["requests"] == 1, "its answer")
        assert f"a gateway runs on port {gateway.port}: 1 decisions" in reasoning("doctor").stdout
        assert "GATEWAY  on port" in reasoning("status").stdout
        env = reasoning("gateway", "env")
        assert f"OPENAI_BASE_URL=https://127.0.0.1:{gateway.port}/v1\n" in env.stdout
        assert "certificate.pem" in env.stderr
        assert f"export OPENAI_BASE_URL=https://127.0.0.1:{gateway.port}/v1\n" in reasoning("setup", "env").stdout
        other = pem / "other"
        other.mkdir()
        self_signed(other)  # of the same name, and another
        monkeypatch.setenv("REASONING_GATEWAY_TLS_CERT", str(other / "certificate.pem"))
        gone = reasoning("gateway", "status")
        assert (gone.exit_code, "over TLS" in gone.stderr) == (7, True)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_certificate_that_is_renewed_serves_what_comes_after(
    still: Service, original: Provider, pem: Path, workers: str
) -> None:
    before = (pem / "certificate.pem").read_text()
    with serving(*tls(pem), "--workers", workers, trusted=pem / "certificate.pem") as gateway:
        assert presented(gateway) == before
        renewed = pem / "renewed"
        renewed.mkdir()
        self_signed(renewed)
        # Half of it is there: what was before serves on.
        shutil.move(renewed / "certificate.pem", pem / "certificate.pem")
        time.sleep(LOOK_SECONDS + 2)
        assert {presented(gateway) for _ in range(8)} == {before}
        shutil.move(renewed / "key.pem", pem / "key.pem")
        after = (pem / "certificate.pem").read_text()
        until(lambda: {presented(gateway) for _ in range(8)} == {after}, "the new certificate in all workers")
        code, said = gateway.end()
    assert (code, said.count("the certificate stays as it was")) == (0, int(workers))


def test_what_makes_no_tls_does_not_start(still: Service, reasoning: Run, pem: Path) -> None:
    def said(*arguments: str) -> str:
        done = reasoning("gateway", "serve", "--port", "0", *arguments)
        assert (done.exit_code, done.stdout) == (4, "")
        lines = done.stderr.splitlines()
        assert [one.partition(":")[0] for one in lines] == ["error", "hint"]
        return lines[0]

    certificate, key = str(pem / "certificate.pem"), str(pem / "key.pem")
    assert "and no key" in said("--tls-cert", certificate)
    assert "and no certificate" in said("--tls-key", key)
    assert "no such file" in said("--tls-cert", certificate, "--tls-key", str(pem / "none.pem"))
    assert "is a directory" in said("--tls-cert", str(pem), "--tls-key", key)
    assert "are no certificate" in said("--tls-cert", key, "--tls-key", key)
    (pem / "other").mkdir()
    self_signed(pem / "other")
    assert "is the key of another" in said("--tls-cert", certificate, "--tls-key", str(pem / "other" / "key.pem"))
    Path(key).chmod(0o644)
    assert "others may read" in said("--tls-cert", certificate, "--tls-key", key)
    locked = pem / "locked.pem"
    lock = ["openssl", "pkcs8", "-topk8", "-in", key, "-out", str(locked), "-passout", "pass:secret"]
    subprocess.run(lock, check=True, capture_output=True)
    locked.chmod(0o600)
    assert "without a password" in said("--tls-cert", certificate, "--tls-key", str(locked))


def test_beyond_this_machine_without_tls_it_says_what_travels_in_clear(
    still: Service, original: Provider, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REASONING_GATEWAY_TOKEN", "the-token-of-tests")
    with serving(host="0.0.0.0") as gateway:
        assert gateway.end() == (
            0,
            "warning: without TLS the token and every prompt come from other machines in clear\n"
            "hint: `--tls-cert FILE --tls-key FILE`, or a proxy in front that speaks TLS\n",
        )
    with serving(*tls(pem), host="0.0.0.0", trusted=pem / "certificate.pem") as gateway:
        assert gateway.client.get("/stats").status_code == 401
        assert gateway.end() == (0, "")


@pytest.mark.sqlite("with an address from the environment it is refused: a password would be printed")
def test_a_unit_names_the_files_wherever_it_starts(reasoning: Run, pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pem)
    shown = reasoning(
        *("gateway", "serve", "--print-systemd", "--tls-cert", "certificate.pem", "--tls-key", "key.pem"),
        *("--allow-host", "gateway"),
    )
    command = f"{sys.executable} -m reasoning_cli gateway serve --allow-host gateway --tls-cert {pem}/certificate.pem"
    assert f"ExecStart={command} --tls-key {pem}/key.pem\n" in shown.stdout
