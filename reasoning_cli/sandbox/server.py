"""The sockets: an HTTP/1.1 server on loopback around the service, in a thread or as a process of its own."""

from __future__ import annotations

import contextlib
import errno
import json
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from reasoning_cli.errors import ReasoningError
from reasoning_cli.sandbox.http.paths import FILE_STORAGE
from reasoning_cli.sandbox.http.problems import ApiError, error_body
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.service import Response, Service, new_request_id
from reasoning_cli.sandbox.state import StateFile

HOST = "127.0.0.1"
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_FILE_BYTES = 512 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_WATCH_SECONDS = 0.5
_Socket = socket.socket | tuple[bytes, socket.socket]  # as typed for all socket servers; TCP has the first


class SandboxServer:
    """A sandbox serving from threads of this process, until `close`.

    Without `state` everything is forgotten at the end. `speed` is virtual seconds per real second, 0 stands still. A
    fresh clock begins at `start`, or now.
    Raises ReasoningError when the port is taken or another server has the state.
    """

    def __init__(
        self,
        state: Path | None = None,
        port: int = 0,
        speed: Decimal | float | int = 60,
        start: datetime | None = None,
    ) -> None:
        self._state = StateFile(state) if state else None
        try:
            self.service = Service(self._state, Decimal(str(speed)), round(start.timestamp() * 1000) if start else None)
            self._http = _bind(port, self.service)
        except BaseException:
            if self._state:
                self._state.close()
            raise
        self._closed = False
        self.url = self._http.origin
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="sandbox", daemon=True)
        self._thread.start()
        if self._state:
            self._state.announce({"url": self.url, **self.service.description()})

    def close(self) -> None:
        """Stop listening, drop open connections, save. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._http.shutdown()
        self._http.drop_connections()
        self._http.server_close()
        self._thread.join()
        try:
            self.service.save()
        finally:
            if self._state:
                self._state.close()

    def __enter__(self) -> SandboxServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(
    *,
    port: int,
    speed: float,
    state: Path | None,
    exit_when_idle_minutes: float | None,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT, or until no request came for `exit_when_idle_minutes` real minutes.

    Calls `announce(url)` once it listens. Must run in the main thread, for the signals.
    """
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with SandboxServer(state, port, speed) as server:
            announce(server.url)
            while not stop.wait(_WATCH_SECONDS):
                server.service.save()  # a kill -9 then loses half a second of the clock at most
                idle_seconds = time.monotonic() - server.service.last_request_at
                if exit_when_idle_minutes is not None and idle_seconds >= exit_when_idle_minutes * 60:
                    break
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them
    request_queue_size = 128

    def __init__(self, port: int, service: Service) -> None:
        self.service = service
        self.closing = threading.Event()
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer asks DNS for the name of the host here, which can take seconds and is never used.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.origin = f"http://{HOST}:{self.server_port}"

    def process_request(self, request: _Socket, client_address: Any) -> None:
        assert isinstance(request, socket.socket)
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Socket) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        """End the reads that wait for a next request on kept-alive connections."""
        self.closing.set()
        with self._connections_lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was first

    def handle_error(self, request: _Socket, client_address: Any) -> None:
        """A client that hangs up in the middle is not an event."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet

    def log_message(self, format: str, *args: object) -> None:
        """The journal is the log."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.server.service.date() if timestamp is None else timestamp, usegmt=True)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses by itself (an unreadable request, an unknown method), in the vendor's shape."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            code = HTTPStatus.METHOD_NOT_ALLOWED
        self.close_connection = True
        self._refuse(ApiError(code, message or HTTPStatus(code).phrase))

    def _dispatch(self) -> None:
        body = self._read_body()
        if body is None:
            return
        url = urlsplit(self.path)
        queries = tuple(parse_qsl(url.query, keep_blank_values=True))
        asked_range = self.headers.get("range", "")
        request = Request(
            self.command, unquote(url.path), dict(queries), body, self.server.origin, asked_range, queries
        )
        headers = {name.lower(): value for name, value in self.headers.items()}
        service = self.server.service
        response = service.respond(request, headers, self.server.closing.wait, self._until_gone)
        self._send(response)
        if response.hold:
            with service.faults.holding(request):
                self._until_gone()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = _dispatch

    def _until_gone(self) -> None:
        """Read what the client still sends, and take no notice of it, until it hangs up or the server closes."""
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            while self.connection.recv(_CHUNK_BYTES):
                pass

    def _read_body(self) -> bytes | None:
        """The body, or None when it was refused; then the connection cannot be used again."""
        given = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers:
            refusal = ApiError(HTTPStatus.LENGTH_REQUIRED, "send the body with a content-length")
        elif not given.isascii() or not given.isdecimal():
            refusal = ApiError(HTTPStatus.BAD_REQUEST, "invalid content-length")
        elif int(given) > (limit := MAX_FILE_BYTES if self.path.startswith(FILE_STORAGE) else MAX_BODY_BYTES):
            refusal = ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is over {limit} bytes")
        else:
            return self.rfile.read(int(given))
        self.close_connection = True
        self._refuse(refusal)
        return None

    def _refuse(self, error: ApiError) -> None:
        request_id = new_request_id()
        body = json.dumps(error_body(error, request_id)).encode()
        self._send(Response(error.status, body, headers={"x-request-id": request_id, "Connection": "close"}))

    def _send(self, response: Response) -> None:
        if response.cut in {"before", "after_action"}:
            self.close_connection = True
            return
        if response.payloads is not None:
            self._send_stream(response)
            return
        body = b"" if self.command == "HEAD" else response.body
        self.send_response(response.status)
        self._send_headers(response, "application/json")
        if response.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if response.cut == "mid_body":
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)
        self.wfile.flush()

    def _send_stream(self, response: Response) -> None:
        payloads = list(response.payloads or ())
        if response.cut == "mid_body":
            payloads = payloads[: len(payloads) // 2]
        self.send_response(response.status)
        self._send_headers(response, "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for payload in payloads:
            event = f"data: {payload}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        if response.cut == "mid_body":
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _send_headers(self, response: Response, content_type: str) -> None:
        given = {name.lower() for name in response.headers}
        if "content-type" not in given:
            self.send_header("Content-Type", content_type)
        for name, value in response.headers.items():
            self.send_header(name, value)


def _bind(port: int, service: Service) -> _HttpServer:
    try:
        return _HttpServer(port, service)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise ReasoningError(
                f"port `{port}` on {HOST} is already taken",
                hint="let the system choose one with `reasoning sandbox serve --port 0`",
            ) from error
        raise ReasoningError(f"cannot listen on port `{port}` of {HOST}: {error}") from error
