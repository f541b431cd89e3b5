"""HTTP is read, framed and pooled by uvicorn and aiohttp: what comes near to it stands here, each with its reason."""

from __future__ import annotations

import re
from pathlib import Path

GATEWAY = Path(__file__).parents[2] / "reasoning_cli" / "gateway"

# What code that carries HTTP itself cannot do without: a parser, sockets, a stream or protocol of its own, line ends
# of a head, the size of a chunk.
SIGNS = re.compile(
    r"httptools|h11|\bhttp\.client|\bsocket\b|open_connection|start_server|create_connection|create_server"
    r"|asyncio\.(?:Protocol|BufferedProtocol)|data_received|transport\.write|feed_data"
    r"|\\r\\n|int\([^)]*, 16\)|[Tt]ransfer-[Ee]ncoding|wrap_socket|SSLContext"
)
JUSTIFIED = {
    ("http/limits.py", "httptools"): "a subclass of uvicorn's own protocol, which reads with it; its errors are caught",
    ("http/limits.py", "data_received"): "counts what comes, then hands it to uvicorn's parser",
    (
        "http/limits.py",
        "feed_data",
    ): "as uvicorn does; and goes on behind an upgrade nobody grants, whose body it drops",
    (
        "http/limits.py",
        r"\r\n",
    ): "the two heads of that: for the parser behind an upgrade, and of a refusal without body",
    ("http/limits.py", "transport.write"): "that refusal, 400, 408 or 431, which closes the connection",
    ("http/limits.py", "transfer-encoding"): "is refused beside HTTP/1.0, and told to the parser behind an upgrade",
    ("http/connections.py", "data_received"): "closes a kept connection of aiohttp's that speaks unasked",
    ("http/headers.py", "transfer-encoding"): "belongs to one connection, is not handed on",
    ("http/admission.py", "transfer-encoding"): "any but chunked is refused with 501",
    ("http/upstream.py", "Transfer-Encoding"): "any but chunked is an answer that no caller could read",
    ("http/upstream.py", "transfer-encoding"): "the words for that",
    ("http/certificate.py", "SSLContext"): "the certificate that uvicorn serves with, read anew when it changes",
    ("calls.py", "transfer-encoding"): "whether a body was announced",
    ("serving.py", "socket"): "the door is opened before workers are forked, and handed to uvicorn",
    ("dialects/events.py", r"\r\n"): "line ends inside server-sent events, not of HTTP",
}


def test_no_framing_parsing_or_sockets_of_our_own() -> None:
    found = {
        (str(path.relative_to(GATEWAY)), sign)
        for path in GATEWAY.rglob("*.py")
        for sign in SIGNS.findall(path.read_text())
    }
    assert found == set(JUSTIFIED)
