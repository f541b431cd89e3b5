"""An ElizaOS server over real HTTP, as far as the import asks it: agents, and their logs newest first in pages."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEFAULT_COUNT = 10


@dataclass
class Eliza:
    """What the server holds. `rows` are those of the table, camel case as the server writes them."""

    agents: list[dict[str, Any]]
    rows: list[dict[str, Any]] = field(default_factory=list)
    token: str | None = None
    url: str = ""
    asked: list[str] = field(default_factory=list)
    fails_after: int | None = None

    def answer(self, target: str, token: str | None) -> tuple[int, Any]:
        self.asked.append(target)
        if self.token is not None and token != self.token:
            return 401, "Unauthorized: Invalid or missing X-API-KEY"
        if self.fails_after is not None and len(self.asked) > self.fails_after:
            return 500, {"success": False, "error": {"code": "LOG_ERROR", "message": "Error retrieving agent logs"}}
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/api/agents":
            return 200, {"success": True, "data": {"agents": self.agents}}
        agent = parts.path.removeprefix("/api/agents/").removesuffix("/logs")
        if agent not in [one["id"] for one in self.agents if one["status"] == "active"]:
            return 404, {"success": False, "error": {"code": "NOT_FOUND", "message": "Agent not found"}}
        # As 1.7 does: the rows of every agent, whichever is asked for.
        found = [row for row in self.rows if row["type"] == query.get("type", row["type"])]
        found.sort(key=lambda row: row["createdAt"], reverse=True)
        offset = int(query.get("offset", 0))
        return 200, {"success": True, "data": found[offset : offset + int(query.get("count", DEFAULT_COUNT))]}


@contextlib.contextmanager
def eliza_server(eliza: Eliza) -> Iterator[Eliza]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = eliza.answer(self.path, self.headers.get("X-API-KEY"))
            body = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        eliza.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield eliza
        finally:
            server.shutdown()
            thread.join()
