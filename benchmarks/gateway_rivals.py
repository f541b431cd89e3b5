"""How each gateway is started for `gateway.py`: ours in its three cases, and others where they are installed."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from reasoning_cli.decisions.examples import EXAMPLES

_CHAT = "/v1/chat/completions"
_TALK = ("User alice: hey nova, can you tell me what happened with the deploy last night? " * 40)[:1800]
_LINE = "09:{:02d} (2 hours ago) [5a0a03a7-1111-2222-3333-444455556666] Sam: nova, what happened with the deploy {}?\n"
_NGINX = """
worker_processes 1; daemon off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .; scgi_temp_path .;
  client_body_buffer_size 1m; keepalive_requests 1000000000;
  upstream original {{ server 127.0.0.1:{up}; keepalive 512; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{
    proxy_pass http://original; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
  }} }}
}}
"""
_LITELLM = """
model_list:
  - model_name: gpt-4o
    litellm_params: {{model: openai/mock, api_base: "http://127.0.0.1:{up}/v1", api_key: none}}
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
api_base = "http://127.0.0.1:{up}/v1/"
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
class Rival:
    """A gateway to be started with `command` in `folder`. `says`: the file where it writes its URL, if it picks it."""

    name: str
    command: list[str]
    folder: Path
    port: int
    body: Path
    path: str = _CHAT
    headers: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    says: Path | None = None

    @property
    def is_ours(self) -> bool:
        return self.name.startswith("reasoning")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        number: int = one.getsockname()[1]
        return number


def rivals(work: Path, peers: Path | None, up: int) -> list[Rival]:
    """Whatever can be started here, in front of the original at port `up`."""
    talk, decision = work / "talk.json", work / "decision.json"
    talk.write_text(_body("gpt-4o", _TALK))
    said = "".join(_LINE.format(number, number) for number in range(12))
    prompt = EXAMPLES["should_respond"].replace("12:00 (just now) ", f"{said}12:00 (just now) ")
    decision.write_text(_body("gpt-4o", prompt))
    found = [
        _ours(work, "reasoning relayed", talk, up),
        _ours(work, "reasoning recorded", decision, up),
        _ours(work, "reasoning by slot", decision, up, slot=True),
    ]
    if nginx := shutil.which("nginx"):
        port, folder = free_port(), _folder(work, "nginx")
        (folder / "nginx.conf").write_text(_NGINX.format(up=up, port=port))
        found.append(Rival("nginx", [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, port, talk))
    if peers is None:
        return found
    if (program := peers / "litellm/bin/litellm").exists():
        port, folder = free_port(), _folder(work, "litellm")
        (folder / "config.yaml").write_text(_LITELLM.format(up=up))
        command = [str(program), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
        environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
        headers = ("Authorization: Bearer sk-bench",)
        found.append(Rival("LiteLLM", command, folder, port, talk, headers=headers, environ=environ))
    if (python := peers / "tensorzero/bin/python").exists():
        folder = _folder(work, "tensorzero")
        (folder / "tensorzero.toml").write_text(_TENSORZERO.format(up=up))
        (folder / "start.py").write_text(_TENSORZERO_START)
        (body := folder / "body.json").write_text(_body("tensorzero::model_name::gpt-4o", _TALK))
        says = folder / "url"
        command = [str(python), "start.py", "tensorzero.toml", str(says)]
        found.append(Rival("TensorZero", command, folder, 0, body, f"/openai{_CHAT}", says=says))
    if (script := peers / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js").exists():
        port = free_port()
        headers = (
            "x-portkey-provider: openai",
            f"x-portkey-custom-host: http://127.0.0.1:{up}/v1",
            "Authorization: Bearer none",
        )
        environ = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
        command = ["node", str(script), f"--port={port}", "--headless"]
        folder = _folder(work, "portkey")
        found.append(Rival("Portkey", command, folder, port, talk, headers=headers, environ=environ))
    return found


def _ours(work: Path, name: str, body: Path, up: int, *, slot: bool = False) -> Rival:
    folder, port = _folder(work, name.replace(" ", "-")), free_port()
    base = f"http://127.0.0.1:{up}/v1"
    lines = ["[gateway]", f'openai_upstream = "{base}"', f'anthropic_upstream = "{base}"']
    if slot:
        lines += ["[should_respond]", f'provider_url = "{base}"', 'model = "mock"']
    (folder / "config.toml").write_text("\n".join(lines) + "\n")
    (folder / "config.toml").chmod(0o600)
    command = [sys.executable, "-m", "reasoning_cli", "gateway", "serve", "--port", str(port)]
    return Rival(name, command, folder, port, body, environ={"REASONING_HOME": str(folder)})


def _folder(work: Path, name: str) -> Path:
    (folder := work / name).mkdir()
    return folder


def _body(model: str, prompt: str) -> str:
    messages = [{"role": "system", "content": "You are Nova."}, {"role": "user", "content": prompt}]
    body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 8192}
    return json.dumps(body, separators=(",", ":"))
