"""TLS for `gateway.py`: nginx in front of the original, with a certificate of an authority made for the run."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from benchmarks.gateway_rivals import Original, free_port

# Signed by an authority, not by itself: rustls (TensorZero) takes no authority's certificate for a server's.
_LEAF = """
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
# A line is written for the first call of a connection, so that connections are counted at no cost to other calls.
_NGINX = """
worker_processes 1; daemon off; pid nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .; scgi_temp_path .;
  client_body_buffer_size 1m; keepalive_requests 1000000000; keepalive_timeout 1h; keepalive_time 24h;
  log_format opened '$ssl_protocol $ssl_session_reused $http_user_agent';
  map $connection_requests $first {{ 1 1; default 0; }}
  upstream original {{ server 127.0.0.1:{up}; keepalive 512; keepalive_requests 1000000000; }}
  ssl_protocols TLSv1.3; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
  server {{
    listen 127.0.0.1:{trusted} ssl; ssl_certificate trusted.pem; ssl_certificate_key trusted-key.pem;
    access_log opened.log opened if=$first; location / {{ proxy_pass http://original; }}
  }}
  server {{
    listen 127.0.0.1:{stranger} ssl; ssl_certificate stranger.pem; ssl_certificate_key stranger-key.pem;
    access_log fooled.log opened; location / {{ proxy_pass http://original; }}
  }}
  server {{ listen 127.0.0.1:{plain}; access_log off; location / {{ proxy_pass http://original; }} }}
}}
"""


class Front:
    """The original behind TLS 1.3: `trusted`, and a `stranger` whom no gateway may believe. Both have a plain door."""

    def __init__(self, folder: Path, up: int, cpu: str) -> None:
        self.folder, self.cpu = folder, cpu
        folder.mkdir()
        ports = {name: free_port() for name in ("trusted", "stranger", "plain")}
        (folder / "nginx.conf").write_text(_NGINX.format(up=up, **ports))
        for name, by in (("trusted", "ca"), ("stranger", "nobody")):
            _authority(folder, by)
            _certificate(folder, name, by)
        plain, ca = f"http://127.0.0.1:{ports['plain']}", folder / "ca.pem"
        self.trusted = Original(f"https://127.0.0.1:{ports['trusted']}", plain, ca)
        self.stranger = Original(f"https://127.0.0.1:{ports['stranger']}", plain, ca)

    def __enter__(self) -> Self:
        if (nginx := shutil.which("nginx")) is None:
            raise SystemExit("--tls needs nginx")
        command = ["taskset", "-c", self.cpu, nginx, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        self.process = subprocess.Popen(command)
        place = urlsplit(self.trusted.base)
        while self.process.poll() is None:  # who finds nobody here would pass for one that believes no stranger
            with suppress(OSError), socket.create_connection((place.hostname, place.port), 1):
                return self
            time.sleep(0.01)
        raise SystemExit("nginx does not start")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait()

    def opened(self) -> list[str]:
        """A line for every connection that made a call: the protocol, `r` where a session was resumed, who asked."""
        return (self.folder / "opened.log").read_text().splitlines()

    def fooled(self) -> list[str]:
        """A line for every call that somebody made to the stranger."""
        return (self.folder / "fooled.log").read_text().splitlines()


def _authority(folder: Path, name: str) -> None:
    says = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    made = ["-keyout", f"{name}-key.pem", "-out", f"{name}.pem"]
    _openssl(folder, "req", "-x509", "-days", "2", *_KEY, "-subj", f"/CN=benchmark {name}", *says, *made)


def _certificate(folder: Path, name: str, by: str) -> None:
    (folder / "leaf.ext").write_text(_LEAF)
    _openssl(folder, "req", "-new", *_KEY, "-subj", "/CN=localhost", "-keyout", f"{name}-key.pem", "-out", "request")
    signed = ["-CA", f"{by}.pem", "-CAkey", f"{by}-key.pem", "-CAcreateserial", "-extfile", "leaf.ext"]
    _openssl(folder, "x509", "-req", "-days", "2", "-in", "request", *signed, "-out", f"{name}.pem")


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
