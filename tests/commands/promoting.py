"""A promotion's whole world: the sandbox in Together's place, a gateway that reads the real slots, an original, and
models whose answers a test controls by their names; agents ask each time the program would sleep."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import uvicorn

from reasoning_cli.gateway.app import Gateway
from reasoning_cli.gateway.http.limits import Protocol
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.gateway.slot_cache import Book, View
from reasoning_cli.operations.deploy.slots import read_slots
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import environment, load_settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.open import open_store
from reasoning_cli.store.promote.promotions import Promotions
from tests.engines.together.service import Service
from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Provider, Received
from tests.servers import Server
from tests.waiting import until

PROMPT = PROMPTS["planning"].replace("12:00 (just now) Sam:", "12:00 (just now) [{}] Sam:")
GOOD = canned.ORIGINAL_SAYS["planning"]
JUNK = "Sure! I would say hello to them."
HANGS = "hangs"
CONTRARY = GOOD.replace("<actions>REPLY</actions>", "<actions>IGNORE</actions>")


@dataclass(kw_only=True)
class Agents:
    """Who asks a gateway at `url`. `statuses` and `texts` are what they got, `sources` who answered."""

    gateway: Gateway
    url: str
    statuses: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    people: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(97)))

    def ask(self, count: int) -> None:
        """So many decisions of as many people, all of them written down when this returns."""
        with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as agent:
            for _ in range(count):
                body = request("chat", PROMPT.format(f"person-{next(self.people)}"))
                answer = agent.post(PATHS["chat"], json=body)
                self.statuses.append(answer.status_code)
                self.texts.append(answer.text)
                self.sources.append(answer.headers.get("x-reasoning-source", "original"))
        until(lambda: not self.gateway.shadows, "the end of what goes on beside")
        figures = self.gateway.recorder.figures
        until(lambda: figures.stored + figures.dropped + figures.unreadable == len(self.statuses), "the log")


@dataclass(kw_only=True)
class World(Agents):
    """`says` is what each model says, by the name of its model: a text, or a status as a number."""

    service: Service
    original: Provider
    model: Provider
    says: dict[str, str]
    on_pause: Callable[[], None] = lambda: None
    decisions_a_pause: int = 10

    def pause(self, seconds: float) -> None:
        """What happens while the program sleeps: Together's clock goes on, and agents decide, seldom where no decision
        brings a promotion further."""
        self.service.advance(30)
        self.on_pause()
        self.gateway.book.look()
        self.ask(self.decisions_a_pause if is_watched(self.service.store) else min(1, self.decisions_a_pause))

    def asked_of(self, model: str) -> int:
        """How often a model was asked under a name of its deployment alone."""
        made = [one for one in Deployments(self.service.store).all() if one.model_name == model]
        names = {f"{one.serving_name}/{one.deployment_name}" for one in made}
        return sum(one.json.get("model") in names for one in self.model.received)


def is_watched(store: Store) -> bool:
    """Whether a promotion goes on by what agents decide now."""
    return any(one.stage == "watching" for one in Promotions(store).all())


@contextlib.contextmanager
def world(service: Service, home: Path, upstream: str | None = None) -> Iterator[World]:
    """Agents, gateway, original (unless there is another at `upstream`) and models around a service that stands
    still."""
    says: dict[str, str] = {}
    stores: list[Store] = []

    async def handler(received: Received, answering: Answering) -> None:
        if not stores:
            stores.append(open_store(home / "reasoning.db"))
        name = str(received.json.get("model"))
        said = says.get(_model_of(stores[0], name), GOOD)
        if said == HANGS:
            await answering.until_caller_leaves()
        elif said.isdigit():
            await answering.whole(int(said), {"error": {"message": "broken"}})
        else:
            await answering.whole(200, canned.chat_answer(said))

    original, model = Provider(canned.original), Provider(handler)
    try:
        with gateway_at(home, f"{upstream or original.url}/v1", model.url) as (gateway, url):
            yield World(gateway=gateway, url=url, service=service, original=original, model=model, says=says)
    finally:
        original.close()
        model.close()
        for store in stores:
            store.close()


@contextlib.contextmanager
def gateway_at(home: Path, above: str, together_url: str) -> Iterator[tuple[Gateway, str]]:
    """A gateway that reads the real settings and slots of `home` whenever its book looks, and its address."""
    database = home / "reasoning.db"

    def read() -> View:
        environ = environment()
        settings = load_settings(find_paths(environ), environ)
        with open_store(database) as store:
            # The service's clock is ahead of ours.
            at = max([*(one.state_at for one in Deployments(store).live()), datetime.now(UTC)])
            slots = read_slots(settings, store, at, together_url=together_url, together_key="key")
        return View(slots, above, above)

    book = Book(read)
    book.start = lambda: None  # type: ignore[method-assign]  # looked at when the test says so
    gateway = Gateway(book, Recorder(lambda: open_store(database)))
    config = uvicorn.Config(
        gateway, host="127.0.0.1", port=0, http=Protocol, log_level="critical", access_log=False, lifespan="on"
    )
    server = Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, "the gateway")
    try:
        yield gateway, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


def _model_of(store: Store, name: str) -> str:
    """The model that a name leads to: of one deployment, or of an endpoint with one."""
    live = [*Deployments(store).live()]
    for one in reversed(live):
        if name == f"{one.serving_name}/{one.deployment_name}":
            return one.model_name
    for one in live:
        if name == one.serving_name:
            return one.model_name
    return name
