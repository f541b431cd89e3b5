"""What stands between callers and the provider: our gateway, or nginx as a reverse proxy."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from tests.gateway.differential.wire import PATIENCE_SECONDS, Where
from tests.gateway.serving import Served, served


class Peer(Protocol):
    """`toward` puts it before a provider's port, and says where callers find it. `patience`: for how many seconds they
    wait for an answer. `at_once`: how many providers it can be put before."""

    patience: float
    at_once: int

    def toward(self, port: int) -> AbstractAsyncContextManager[Where]: ...


class Ours:
    """Gateways, as one goes to one provider at a time. Each provider is one that it never asked before: nothing of an
    earlier case is left."""

    patience = PATIENCE_SECONDS

    def __init__(self, running: list[Served]) -> None:
        self.at_once = len(running)
        self.free = running

    @contextlib.asynccontextmanager
    async def toward(self, port: int) -> AsyncIterator[Where]:
        running = self.free.pop(0)
        try:
            base, book = f"http://127.0.0.1:{port}/v1", running.gateway.book
            book.view = replace(book.view, openai_upstream=base, anthropic_upstream=base)
            yield int(running.url.rpartition(":")[2])
        finally:
            self.free.append(running)


@contextlib.contextmanager
def ours(count: int = 4) -> Iterator[Ours]:
    """So many gateways: most of the time is spent waiting."""
    with contextlib.ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(count)]
        yield Ours([stack.enter_context(served(folder, slots=False)) for folder in folders])


# What is said here and not nginx's own default: pass as it comes, keep connections to the provider, and take as much of
# a head and of a body as we do.
_CONFIG = """
user root;
worker_processes 1;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    large_client_header_buffers 4 64k;
    proxy_buffer_size 128k;
    proxy_buffers 8 128k;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    upstream provider {{
        server 127.0.0.1:{port};
        keepalive 16;
    }}
    server {{
        listen unix:{folder}/nginx.sock;
        location / {{ proxy_pass http://provider; }}
    }}
}}
"""


class Nginx:
    """An nginx. It is told by its configuration whom to ask, so that each provider has an nginx of its own."""

    patience, at_once = 2.0, 8  # it leaves some callers without an answer

    @contextlib.asynccontextmanager
    async def toward(self, port: int) -> AsyncIterator[Where]:
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "nginx.conf"
            config.write_text(_CONFIG.format(folder=folder, port=port))
            process = await asyncio.create_subprocess_exec(
                "nginx", "-p", folder, "-c", config, stderr=asyncio.subprocess.DEVNULL
            )
            try:
                yield f"{folder}/nginx.sock"
            finally:
                process.terminate()
                await process.wait()


def nginx_version() -> str | None:
    """The version of the nginx that is installed here."""
    if shutil.which("nginx") is None:
        return None
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr
    found = re.search(r"nginx/(\S+)", said)
    return found[1] if found else None
