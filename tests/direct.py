"""A sandbox of this process is asked without sockets: they, and what reads HTTP on both sides, took nine tenths of a
request, and requests a quarter of the suite's CPU.

The client sends what it would, through the whole of httpx but its last layer, and gets the answer the sandbox would
write. Real HTTP goes to a sandbox with a fault that a connection shows (a cut, a silence), where `over_http` is asked
for, as by the tests of the sandbox and of the client, and from every program that is started.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote

from reasoning_cli.light_httpx import httpx
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.server import SandboxServer

# What is longer goes to the server, which has its own word about length.
_MOST_BYTES = 1_000_000

_by_port: dict[int, SandboxServer] = {}
_over_http = False
_begin, _end, _usual = SandboxServer.__init__, SandboxServer.close, httpx.HTTPTransport.handle_request


def share() -> None:
    """Ask them so from now on."""
    SandboxServer.__init__ = _began  # type: ignore[method-assign]
    SandboxServer.close = _ended  # type: ignore[method-assign]
    httpx.HTTPTransport.handle_request = _handle  # type: ignore[method-assign]


@contextmanager
def over_http() -> Iterator[None]:
    """Inside, everything goes through sockets."""
    global _over_http
    before, _over_http = _over_http, True
    try:
        yield
    finally:
        _over_http = before


def _began(self: SandboxServer, *given: Any, **named: Any) -> None:
    _begin(self, *given, **named)
    _by_port[self._http.server_port] = self


def _ended(self: SandboxServer) -> None:
    _by_port.pop(self._http.server_port, None)
    _end(self)


def _handle(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
    server = _by_port.get(request.url.port or 0)
    if server is None or request.url.host != "127.0.0.1" or not _is_plain(server, request):
        return _usual(self, request)
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    queries = tuple(parse_qsl(query, keep_blank_values=True))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw}
    put = Request(
        request.method, unquote(path), dict(queries), request.read(), server.url, headers.get("range", ""), queries
    )
    answer = server.service.respond(put, headers, server._http.closing.wait, threading.Event().wait)
    body = answer.body
    if answer.payloads is not None:
        body = "".join(f"data: {payload}\n\n" for payload in answer.payloads).encode()
    written = {name.lower(): value for name, value in answer.headers.items()}
    written.setdefault("content-type", "application/json" if answer.payloads is None else "text/event-stream")
    written["date"] = formatdate(server.service.date(), usegmt=True)
    if answer.payloads is None and answer.status != 204:
        written["content-length"] = str(len(body))
    return httpx.Response(
        answer.status, headers=written, stream=httpx.ByteStream(b"" if request.method == "HEAD" else body)
    )


def _is_plain(server: SandboxServer, request: httpx.Request) -> bool:
    """Whether nothing about this request, and what the sandbox is to do with it, is a matter of its connection."""
    if _over_http or server._closed or not isinstance(request.stream, httpx.ByteStream):
        return False
    faults = server.service.faults._faults
    return len(request.read()) <= _MOST_BYTES and not any(one.cut or one.hold or one.delay_seconds for one in faults)
