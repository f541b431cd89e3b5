"""Whatever passes, however slowly it is read or written, the gateway holds little of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.gateway.program import Program
from tests.waiting import until

MB = 1024 * 1024
BLOCK = b"x" * MB


class Original:
    """A server that counts what it reads and writes, and stands still while `goes` is not set."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self.goes = threading.Event()
        self.goes.set()
        self.read_bytes = self.written_bytes = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            left = int(lines.get(b"content-length", 0))
            if head.startswith(b"GET "):
                self._write(connection, int(head.split(b" ")[1].rpartition(b"/")[2]))
                return
            chunked, last = b"transfer-encoding" in lines, body[-5:]
            self.read_bytes += len(body)
            while not last.endswith(b"0\r\n\r\n") if chunked else self.read_bytes < left:
                self.goes.wait()
                piece = connection.recv(MB)
                if not piece:
                    return
                self.read_bytes += len(piece)
                last = (last + piece[-5:])[-5:]
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    def _write(self, connection: socket.socket, mb: int) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % (mb * MB)
        )
        for _ in range(mb):
            connection.sendall(BLOCK)
            self.written_bytes += MB

    def close(self) -> None:
        self._door.close()


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    running = Original()
    yield running
    running.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, original: Original) -> Iterator[Program]:
    running = Program(tmp_path_factory.mktemp("home"), original.url, None)
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def anew(original: Original) -> None:
    original.read_bytes = original.written_bytes = 0


def connect(program: Program) -> socket.socket:
    place = urlsplit(program.url)
    return socket.create_connection((place.hostname, place.port), timeout=60)


def still(value: Callable[[], int]) -> int:
    """What a number comes to when it moves no more."""
    until(value, "the first of it")
    before, alike = 0, 0
    while alike < 10:
        time.sleep(0.1)
        now = value()
        before, alike = now, alike + 1 if now == before else 0
    return before


def upload(connection: socket.socket, path: str, mb: int, *, chunked: bool = False) -> None:
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % (mb * MB)
    connection.sendall(b"POST %s HTTP/1.1\r\nhost: localhost\r\n%s\r\n\r\n" % (path.encode(), framing))
    block = b"%x\r\n%s\r\n" % (MB, BLOCK) if chunked else BLOCK
    for _ in range(mb):
        connection.sendall(block)
    if chunked:
        connection.sendall(b"0\r\n\r\n")


@pytest.mark.parametrize("path", ["/v1/files", "/v1/chat/completions"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_a_gigabyte(program: Program, original: Original, path: str, chunked: bool) -> None:
    mb = 1024 if path == "/v1/files" and not chunked else 128
    before = program.memory_mb("VmHWM")
    with connect(program) as connection:
        upload(connection, path, mb, chunked=chunked)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert original.read_bytes >= mb * MB
    assert program.memory_mb("VmHWM") - before < 40


def test_an_original_that_reads_slowly_makes_the_caller_wait(program: Program, original: Original) -> None:
    sent = [0]
    before = program.memory_mb()
    original.goes.clear()

    def send(connection: socket.socket) -> None:
        connection.sendall(b"POST /v1/files HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (200 * MB))
        for _ in range(200):
            connection.sendall(BLOCK)
            sent[0] += MB

    with connect(program) as connection:
        sender = threading.Thread(target=send, args=(connection,), daemon=True)
        sender.start()
        assert still(lambda: sent[0]) < 60 * MB
        assert program.memory_mb() - before < 20
        original.goes.set()
        sender.join(60)
        assert not sender.is_alive()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert original.read_bytes == 200 * MB


def test_a_caller_that_reads_slowly_makes_the_original_wait(program: Program, original: Original) -> None:
    before = program.memory_mb()
    with connect(program) as connection:
        connection.sendall(b"GET /v1/files/300 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert still(lambda: original.written_bytes) < 60 * MB
        assert program.memory_mb() - before < 20
        read = 0
        while read < 300 * MB:
            piece = connection.recv(MB)
            assert piece
            read += len(piece)
    assert original.written_bytes == 300 * MB


def test_many_long_bodies_at_once_are_not_all_held(program: Program, original: Original) -> None:
    """None of them is whole, so that each would be held until its caller goes on: 360 MB. The heap may keep as much
    again as is held in it (64 MB), where pieces came and went between."""
    before = program.memory_mb()
    with ExitStack() as stack:
        for _ in range(60):
            connection = stack.enter_context(connect(program))
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (7 * MB)
            connection.sendall(head + BLOCK * 6)
        time.sleep(0.5)
        assert program.memory_mb() - before < 2 * 64 + 50
