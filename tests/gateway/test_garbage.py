"""Nothing that a call made refers to itself when the call is over: the gateway lets the collector come by seldom."""

from __future__ import annotations

import gc
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.gateway import prompts
from tests.gateway.serving import Served, served
from tests.waiting import until

TALK = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
DECISION = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": prompts.PROMPTS["should_respond"]}]}
).encode()
OURS = ("reasoning_cli.", "httptools.", "uvloop.", "uvicorn.")
# What aiohttp leaves of a request that broke off: its error, the connection's reader, nothing of ours.
THEIRS = ("reasoning_cli.gateway.http.connections.",)


@pytest.fixture(params=[False, True], ids=["original", "slot"])
def gateway(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    with served(tmp_path, slots=request.param) as running:
        yield running


def head(body: bytes, length: int, path: str = "/v1/chat/completions") -> bytes:
    return b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (path.encode(), length, body)


def garbage() -> Counter[str]:
    """What of ours only the collector lets go of."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
    finally:
        gc.set_debug(0)
    kinds = (f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    found = Counter(kind for kind in kinds if kind.startswith(OURS) and not kind.startswith(THEIRS))
    gc.garbage.clear()
    gc.collect()
    return found


def settled(gateway: Served) -> Counter[str]:
    """What is left when the calls are over: gone at once, or in the hands of the collector."""
    until(lambda: not gateway.gateway.figures.in_flight, "the end of the calls")
    time.sleep(0.3)
    return garbage()


def test_a_call_that_is_over_is_gone(gateway: Served) -> None:
    json_headers = {"content-type": "application/json"}
    place = urlsplit(gateway.url)
    gateway.client.post("/v1/chat/completions", content=DECISION, headers=json_headers)
    gc.collect()
    gc.disable()
    try:
        for body in (TALK, DECISION, DECISION[:-1] + b', "stream": true}', b"junk"):
            gateway.client.post("/v1/chat/completions", content=body, headers=json_headers)
        assert settled(gateway) == {}
        for sent in (
            b"POST /v1/chat/comp",
            b"junk\r\n\r\n",
            head(TALK, len(TALK)),
            head(TALK, len(TALK) + 100),
            head(b"x" * 1_000_000, 3_000_000, "/v1/files"),
            head(b"x" * 1_000_000, 9_000_000),
        ):
            with socket.create_connection((place.hostname, place.port), timeout=60) as caller:
                caller.sendall(sent)
        # A caller that leaves in the very moment in which the provider's connection is made leaves uvloop's two halves
        # of that one behind; one a call would be six.
        left = settled(gateway)
        assert {kind: count for kind, count in left.items() if count > 1 or not kind.startswith("uvloop.")} == {}
    finally:
        gc.enable()
