"""How each gateway is started for `gateway.py`: ours in its three cases, and others where they are installed."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from reasoning_cli.decisions.examples import EXAMPLES

CHAT = "/v1/chat/completions"
_MESSAGES = "/v1/messages"
CASES = {"passing": "passing", "recorded": "recorded", "slot": "by slot"}
_TALK = ("User alice: hey nova, can you tell me what happened with the deploy last night? " * 40)[:1800]
_LINE = "09:{:02d} (2 hours ago) [5a0a03a7-1111-2222-3333-444455556666] Sam: nova, what happened with the deploy {}?\n"
_NGINX = """
worker_processes 1; daemon off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .; scgi_temp_path .;
  client_body_buffer_size 1m; keepalive_requests 1000000000;
  upstream original {{ server {host}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 1h; }}
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass {scheme}://original; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; {tls}
  }} }}
}}
"""
# nginx looks for names only, not for addresses, in a certificate.
_NGINX_TLS = """
    proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca}; proxy_ssl_name localhost; proxy_ssl_server_name on;
    proxy_ssl_session_reuse on; proxy_ssl_protocols TLSv1.3;
"""
# `rust: true` is how a model was given to the core in Rust until 1.106; 1.108 asks for LITELLM_RUST, and has it for
# Anthropic's messages only.
_LITELLM = """
model_list:
  - model_name: gpt-4o
    litellm_params: {{model: openai/mock, api_base: "{base}/v1", api_key: none}}
  - model_name: claude
    litellm_params: {{model: anthropic/mock, api_base: "{base}", api_key: none, rust: true}}
litellm_settings: {{telemetry: false, num_retries: 0}}
general_settings: {{master_key: sk-bench}}
"""
_TENSORZERO = """
[gateway]
observability.enabled = false
disable_pseudonymous_usage_analytics = true
[models."gpt-4o"]
routing = ["mock"]
[models."gpt-4o".providers.mock]
type = "openai"
model_name = "mock"
api_base = "{base}/v1/"
api_key_location = "none"
"""
_TENSORZERO_START = """
import sys, time, tensorzero
made = tensorzero._start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
open(sys.argv[2], "w").write(made.base_url)
time.sleep(1e6)
"""


@dataclass(frozen=True)
class Original:
    """The original as gateways know it (`base`), as the load generator asks it, and who vouches for it with TLS."""

    base: str
    plain: str
    ca: Path | None = None


@dataclass(frozen=True)
class Rival:
    """A gateway to be started with `command` in `folder`. `says`: the file where it writes its URL, if it picks it.

    `asks` is the path at the original that the gateway is held against, `events` how many a stream of it has.
    """

    name: str
    command: list[str]
    folder: Path
    port: int
    body: Path
    path: str = CHAT
    headers: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    says: Path | None = None
    asks: str = CHAT
    events: int = 52
    version: str = ""

    @property
    def is_ours(self) -> bool:
        return self.name.startswith("reasoning")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def rivals(
    work: Path, peers: Path | None, original: Original, before: Path | None = None, cases: Sequence[str] = tuple(CASES)
) -> list[Rival]:
    """Whatever can be started here, in front of the original. `before`: the environment of an older build of ours."""
    work.mkdir(exist_ok=True)
    talk, decision = work / "talk.json", work / "decision.json"
    talk.write_text(_body("gpt-4o", _TALK))
    said = "".join(_LINE.format(number, number) for number in range(12))
    prompt = EXAMPLES["should_respond"].replace("12:00 (just now) ", f"{said}12:00 (just now) ")
    decision.write_text(_body("gpt-4o", prompt))
    found = []
    for case in cases:  # the older build right beside the present one, so that neighbours hit both alike
        body = talk if case == "passing" else decision
        found.append(_ours(work, f"reasoning {CASES[case]}", sys.executable, body, original))
        if before is not None:
            found.append(_ours(work, f"before {CASES[case]}", str(before / "bin/python"), body, original))
    trusted = {} if original.ca is None else {"SSL_CERT_FILE": str(original.ca)}
    if nginx := shutil.which("nginx"):
        port, folder = free_port(), _folder(work, "nginx")
        place = urlsplit(original.base)
        tls = "" if original.ca is None else _NGINX_TLS.format(ca=original.ca)
        (folder / "nginx.conf").write_text(_NGINX.format(scheme=place.scheme, host=place.netloc, tls=tls, port=port))
        found.append(Rival("nginx", [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, port, talk))
    if peers is None:
        return found
    if (program := peers / "litellm/bin/litellm").exists():
        environ = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            **trusted,
        }
        (chat := work / "claude.json").write_text(_body("claude", _TALK))
        for name, body, path, events, more in (
            ("LiteLLM", talk, CHAT, 52, {}),
            ("LiteLLM Rust", chat, _MESSAGES, 55, {"LITELLM_RUST": "true"}),
        ):
            port, folder = free_port(), _folder(work, name.replace(" ", "-"))
            (folder / "config.yaml").write_text(_LITELLM.format(base=original.base))
            command = [str(program), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
            rival = Rival(name, command, folder, port, body, path, ("Authorization: Bearer sk-bench",), environ | more)
            found.append(replace(rival, asks=path, events=events, version=_version(program.parent.parent, "litellm")))
    if (python := peers / "tensorzero/bin/python").exists():
        folder = _folder(work, "tensorzero")
        (folder / "tensorzero.toml").write_text(_TENSORZERO.format(base=original.base))
        (folder / "start.py").write_text(_TENSORZERO_START)
        (body := folder / "body.json").write_text(_body("tensorzero::model_name::gpt-4o", _TALK))
        says = folder / "url"
        command = [str(python), "start.py", "tensorzero.toml", str(says)]
        rival = Rival("TensorZero", command, folder, 0, body, f"/openai{CHAT}", environ=trusted, says=says)
        found.append(replace(rival, version=_version(peers / "tensorzero", "tensorzero")))
    if (script := peers / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js").exists():
        port = free_port()
        headers = (
            "x-portkey-provider: openai",
            f"x-portkey-custom-host: {original.base}/v1",
            "Authorization: Bearer none",
        )
        environ = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
        if original.ca is not None:
            environ["NODE_EXTRA_CA_CERTS"] = str(original.ca)
        command = ["node", str(script), f"--port={port}", "--headless"]
        folder = _folder(work, "portkey")
        version = json.loads((script.parent.parent / "package.json").read_text())["version"]
        rival = Rival("Portkey", command, folder, port, talk, headers=headers, environ=environ)
        found.append(replace(rival, version=version))
    return found


def _ours(work: Path, name: str, python: str, body: Path, original: Original) -> Rival:
    folder, port = _folder(work, name.replace(" ", "-")), free_port()
    base = f"{original.base}/v1"
    lines = ["[gateway]", f'openai_upstream = "{base}"', f'anthropic_upstream = "{base}"']
    if name.endswith("slot"):
        lines += ["[should_respond]", f'provider_url = "{base}"', 'model = "mock"']
    (folder / "config.toml").write_text("\n".join(lines) + "\n")
    (folder / "config.toml").chmod(0o600)
    command = [python, "-m", "reasoning_cli", "gateway", "serve", "--port", str(port)]
    environ = {"REASONING_HOME": str(folder), "PYTHONPATH": ""}  # the environment's own build, whatever is worked on
    if original.ca is not None:
        environ["SSL_CERT_FILE"] = str(original.ca)
    return Rival(name, command, folder, port, body, environ=environ)


def _version(environment: Path, package: str) -> str:
    found = environment.glob(f"lib/*/site-packages/{package}-*.dist-info")
    return next((path.name.split("-")[1].removesuffix(".dist") for path in found), "")


def _folder(work: Path, name: str) -> Path:
    (folder := work / name).mkdir()
    return folder


def _body(model: str, prompt: str) -> str:
    messages = [{"role": "system", "content": "You are Nova."}, {"role": "user", "content": prompt}]
    body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 8192}
    return json.dumps(body, separators=(",", ":"))
