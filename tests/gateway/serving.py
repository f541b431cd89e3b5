"""A gateway on a real port, in this process, between a provider and a slot's model that tests control."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from reasoning_cli.gateway.app import Gateway
from reasoning_cli.gateway.http.limits import Protocol
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.gateway.slot_cache import Book, View
from reasoning_cli.operations.deploy.slots import SlotNow
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.serving.attempts import AttemptRecord, Attempts
from reasoning_cli.values import MODEL_TYPES, Mode
from tests.gateway import canned
from tests.gateway.provider import Provider
from tests.servers import Server
from tests.waiting import until


def open_slot(model_type: str, url: str, **changes: Any) -> SlotNow:
    """A slot that answers, at a model served under `url`."""
    slot = SlotNow(
        model_type=model_type,
        url=f"{url}/v1",
        api_key="model-key",
        model="acme/model",
        mode=Mode.LIVE,
        share_percent=10,
        deadline_seconds=20.0,  # a slow machine is not a slow model
        max_tokens=1000,
        window_tokens=100_000,
        confidence=None,
        tools=False,
        collect=True,
        closed=None,
        deployment_key="key-1",
    )
    return replace(slot, **changes)


@dataclass
class Served:
    """A running gateway and what stands around it."""

    url: str
    gateway: Gateway
    original: Provider
    model: Provider
    database: Path
    client: httpx.Client

    def change(self, model_type: str, **changes: Any) -> None:
        """Change a slot while the gateway runs."""
        view = self.gateway.book.view
        slots = {**view.slots, model_type: replace(view.slots[model_type], **changes)}
        self.gateway.book.view = replace(view, slots=slots)

    def samples(self, count: int) -> list[Sample]:
        """The samples in the log, once there are so many."""
        found: list[Sample] = []
        until(lambda: len(self._into(found)) >= count, f"{count} samples")
        return found

    def attempts(self, sample: Sample, count: int = 1) -> list[AttemptRecord]:
        """What stands beside a sample, once there is so much."""
        found: list[AttemptRecord] = []

        def enough() -> bool:
            with open_store(self.database) as store:
                found[:] = Attempts(store).of_sample(sample.id)
            return len(found) >= count

        until(enough, f"{count} attempts")
        return found

    def _into(self, found: list[Sample]) -> list[Sample]:
        with open_store(self.database) as store:
            found[:] = list(Samples(store).iterate())
        return found


@contextlib.contextmanager
def served(folder: Path, *, slots: bool = True, token: str | None = None, **changes: Any) -> Iterator[Served]:
    """A gateway with all three slots open (or closed), each at the same model."""
    database = folder / "log.db"
    open_store(database).close()
    original, model = Provider(canned.original), Provider(canned.model)
    closed = {} if slots else {"closed": "no model is deployed"}
    view = View(
        {one: open_slot(one, model.url, **closed, **changes) for one in MODEL_TYPES},
        f"{original.url}/v1",
        f"{original.url}/v1",
        token,
        hosts=frozenset() if token is None else None,
    )
    book = Book(lambda: view)
    book.start = lambda: None  # type: ignore[method-assign]  # the test changes the view itself
    gateway = Gateway(book, Recorder(lambda: open_store(database)))
    server = Server(
        uvicorn.Config(
            gateway,
            host="127.0.0.1",
            port=0,
            http=Protocol,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            lifespan="on",
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive(), "the gateway")
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield Served(url, gateway, original, model, database, client)
    finally:
        server.should_exit = True
        thread.join(60)
        original.close()
        model.close()
