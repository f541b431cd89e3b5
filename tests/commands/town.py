"""Agents in a town: the made-up ones of the tour, a gateway that reads the real slots, their original provider, and the
sandbox's own models behind it. They ask each time the program would sleep."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import uvicorn

from reasoning_cli.commands.demo.provider import Agent, original_provider
from reasoning_cli.commands.demo.synthetic_agent import Answers, Made, agent_log, make_decisions
from reasoning_cli.gateway.app import Gateway
from reasoning_cli.gateway.http.limits import Protocol
from reasoning_cli.gateway.log.recorder import Recorder
from reasoning_cli.gateway.slot_cache import Book, View
from reasoning_cli.operations.deploy.slots import read_slots
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import environment, load_settings
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.open import open_store
from tests.commands.promoting import is_watched
from tests.engines.together.service import KEY, Service
from tests.servers import Server
from tests.waiting import until

NOISE = 0.02
LIVE = 2000


@dataclass
class Town:
    """`agent` counts what it asked and what failed."""

    service: Service
    gateway: Gateway
    agent: Agent
    decisions_a_pause: int = 10
    on_pause: Callable[[], None] = lambda: None

    def ask(self, count: int) -> None:
        """So many decisions, all of them written down when this returns."""
        self.gateway.book.look()
        for _ in range(count):  # however slow the machine is, no model is asked faster than it answers
            self.agent.ask(1)
            until(lambda: not self.gateway.shadows, "the end of what goes on beside")
        figures = self.gateway.recorder.figures
        until(lambda: figures.stored + figures.dropped + figures.unreadable == self.agent.asked, "the log")

    def pause(self, seconds: float) -> None:
        """What happens while the program sleeps: Together's clock goes on, and the agent decides, seldom where no
        decision brings a promotion further."""
        self.service.advance(30)
        self.on_pause()
        if self.decisions_a_pause:
            self.ask(self.decisions_a_pause if is_watched(self.service.store) else 1)


def log_file(folder: Path, messages: int, *, seed: int, answers: Answers = "right", days_ago: float = 0) -> Path:
    """The log of an agent, should-respond alone, the newest decision so many days ago."""
    path = folder / f"log-{seed}.jsonl"
    until = datetime.now(UTC) - timedelta(days=days_ago)
    noise = NOISE if answers == "right" else 0.0
    made: Iterator[Made] = make_decisions(
        messages, seed=seed, answers=answers, noise=noise, until=until, planning=False
    )
    path.write_text(agent_log(made), encoding="utf-8")
    return path


@cache
def _live() -> list[Made]:
    """What the agent is asked in any town; when that was counts for nothing."""
    return list(make_decisions(LIVE, seed=1000, noise=NOISE, planning=False))


@contextlib.contextmanager
def town(service: Service, home: Path) -> Iterator[Town]:
    """An agent that decides through a gateway, around a service that stands still."""
    database = home / "reasoning.db"
    live = _live()

    def read() -> View:
        environ = environment()
        settings = load_settings(find_paths(environ), environ)
        with open_store(database) as store:
            seen = [one.state_at for one in Deployments(store).live()]  # the service's clock is ahead of ours
            at = max([*seen, datetime.now(UTC)])
            slots = read_slots(settings, store, at, together_url=service.url, together_key=KEY)
        return View(slots, original, original)

    with original_provider(live) as original:
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
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield Town(service, gateway, Agent(url, iter(live)))
        finally:
            server.should_exit = True
            thread.join(20)
