"""Run a case against a peer, and say in one normalised line what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable

from tests.gateway.differential.answers import Answer
from tests.gateway.differential.peers import Peer
from tests.gateway.differential.requests import KEPT, PIPELINED, TALK, Request
from tests.gateway.differential.wire import PATIENCE_SECONDS, Caller, Got, Origin, Seen, Where, Wire, own, shown
from tests.gateway.differential.wire import well_behaved as asked

# What came of a case, by what was asked and how.
Verdict = dict[str, str]
# Told the name of a case when it is over, and how many seconds it took.
Tell = Callable[[str, float], None]
# How long a caller waits where nothing is to come; how long one gives a peer to notice what happened before, and a
# provider to hear of a request that may not be for it.
_HANGS_SECONDS, _NOTICES_SECONDS, _HEARS_SECONDS = 1.0, 0.02, 0.6
# What the provider is called by us, and by nginx.
_OWN_HOST = re.compile(r"127\.0\.0\.1:[0-9]+\Z|provider\Z")


def silent(name: str, seconds: float) -> None:
    """Tell nobody."""


def told(verdict: Verdict) -> str:
    """A verdict in one line: what is the same for all is said once."""
    ways: dict[str, list[str]] = {}
    for way, text in verdict.items():
        ways.setdefault(text, []).append(way)
    if len(ways) == 1:
        return next(iter(ways))
    return " | ".join(f"{', '.join(names)}: {text}" for text, names in ways.items())


def answers(peer: Peer, cases: Iterable[Answer], tell: Tell) -> dict[str, Verdict]:
    """The verdicts of a peer on what a provider answers."""

    async def judged(case: Answer) -> Verdict:
        return {
            f"{method} {path.rpartition('/')[2]} {'kept' if kept else 'fresh'}": await _answer(
                peer, case, method, path, kept=kept
            )
            for method, path in case.calls
            for kept in (False, True)
        }

    return _each(peer, [(case.name, judged(case)) for case in cases], tell)


def _each(peer: Peer, judged: list[tuple[str, Coroutine[None, None, Verdict]]], tell: Tell) -> dict[str, Verdict]:
    """The verdicts by name, as many cases at once as the peer can have."""

    async def run() -> dict[str, Verdict]:
        some = asyncio.Semaphore(peer.at_once)

        async def one(name: str, judging: Coroutine[None, None, Verdict]) -> tuple[str, Verdict]:
            async with some:
                began = time.monotonic()
                verdict = await judging
                tell(name, time.monotonic() - began)
                return name, verdict

        return dict(await asyncio.gather(*(one(*each) for each in judged)))

    return asyncio.run(run())


async def _answer(peer: Peer, case: Answer, method: str, path: str, *, kept: bool) -> str:
    said = await _answer_once(peer, case, method, path, kept=kept)
    if "silent" in said and not case.hangs:  # so is a busy machine
        said = await _answer_once(peer, case, method, path, kept=kept)
    return said


async def _answer_once(peer: Peer, case: Answer, method: str, path: str, *, kept: bool) -> str:
    had, closed = asyncio.Event(), asyncio.Event()

    async def answerer(wire: Wire, seen: Seen) -> bool:
        try:
            return await _play(wire, seen, case, had)
        finally:
            closed.set()

    async with Origin(answerer) as origin, peer.toward(origin.port) as where:
        body = TALK if method == "POST" else b""
        async with await connected(where, peer.patience) as caller:
            if kept and (said := await caller.ask("good-before")) != "own":
                return f"the call before got {said}"
            await caller.send(asked("odd", method, body, path))
            got = await caller.read(method, _HANGS_SECONDS if case.hangs else None)
            if got.end == "silent":
                caller.close()
            had.set()
            if case.then != "keep" or case.later:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await closed.wait()
                await asyncio.sleep(_NOTICES_SECONDS)
            parts = [_got(got, case.shows)]
            wrong = []
            if got.end == "whole":
                said = await caller.ask("good-next")
                parts.append("caller " + ("kept" if said == "own" else "closed"))
                if said not in ("own", "closed"):
                    wrong.append(f"the next call got {said}")
            wrong += await calls_beside(where, peer.patience, origin)
    victims = [seen for seen in origin.seen if seen.id == "odd"]
    after = {seen.connection for seen in origin.seen if seen.id in ("good-next", "good-1", "good-2")}
    parts.append("upstream " + ("reused" if after & {seen.connection for seen in victims} else "new"))
    if len(victims) != 1:
        parts.append(f"asked {len(victims)} times")
    wrong += [f"the provider got {what}" for what in origin.garbled]
    return "; ".join(parts + [f"WRONG: {what}" for what in wrong])


def requests(peer: Peer, cases: Iterable[Request], tell: Tell) -> dict[str, Verdict]:
    """The verdicts of a peer on what a caller sends."""

    async def judged(case: Request) -> Verdict:
        return {
            f"{path.decode().rpartition('/')[2]} {way}": await _request(peer, case, path, way)
            for path in case.paths
            for way in case.ways
        }

    return _each(peer, [(case.name, judged(case)) for case in cases], tell)


async def _request(peer: Peer, case: Request, path: bytes, way: str) -> str:
    pieces = [piece.replace(b"PATH", path) for piece in case.pieces]
    async with Origin() as origin, peer.toward(origin.port) as where:
        async with await connected(where, peer.patience) as caller:
            if way == KEPT and (said := await caller.ask("good-before")) != "own":
                return f"the call before got {said}"
            if way == PIPELINED:
                pieces[-1] += asked("good-next")
            parts = await _send(caller, case, pieces)
            if case.leaves:
                with contextlib.suppress(AssertionError):
                    await _until(lambda: any(_is_odd(seen) for seen in origin.seen), _HEARS_SECONDS)
                caller.close()
            else:
                parts += await _read_all(caller, case, said_next=way == PIPELINED)
        wrong = await calls_beside(where, peer.patience, origin)
        odd = [seen for seen in origin.seen if _is_odd(seen)]
        if case.leaves:
            await _until(lambda: all(seen.over for seen in odd), PATIENCE_SECONDS)
    wrong += [f"the provider got {what}" for what in origin.garbled]
    wrong += ["a body became a request" for seen in odd if "stolen" in seen.target]
    got = ["provider " + (" and ".join(_seen(seen, case.shows) for seen in odd) or "not asked")]
    return "; ".join(got + parts + [f"WRONG: {what}" for what in wrong])


def _is_odd(seen: Seen) -> bool:
    return not seen.id.startswith("good")


async def _send(caller: Caller, case: Request, pieces: list[bytes]) -> list[str]:
    """Send the pieces; what came before the last one."""
    for number, piece in enumerate(pieces):
        if number and case.awaits:
            got = await caller.read(case.method, stop_at_100=True)
            if not got.interim:
                return [f"no 100 but {_brief(got)}"]
        elif number:
            await asyncio.sleep(0.001)
        await caller.send(piece)
    return ["100"] if case.awaits else []


async def _read_all(caller: Caller, case: Request, *, said_next: bool) -> list[str]:
    """The answers up to that of the next call over this connection, or to its end."""
    parts: list[str] = []
    for number in range(6):
        got = await caller.read("GET" if number else case.method)
        if own(got, "good-next") == "own":
            return [*parts, "caller kept"]
        if got.end == "nothing":
            return [*parts, "closed"]
        parts.append(_brief(got))
        if got.end != "whole":
            break
        if not said_next:
            said_next = True
            await caller.send(asked("good-next"))
    return parts


def _brief(got: Got) -> str:
    """What a caller got, without the body: each request has an answer of its own."""
    interim = "".join(f"{one}, " for one in got.interim)
    if got.end == "whole":
        return f"{interim}{got.status}"
    return f"{interim}{got.status or ''} {got.end} {got.why}".strip()


def _seen(seen: Seen, shows: tuple[str, ...]) -> str:
    """A request as the provider got it."""
    target = seen.target if len(seen.target) < 60 else f"{len(seen.target)} characters"
    # One sound framing is as good as another, and how much of a body that was cut got through is a matter of timing.
    body = "cut" if not seen.whole else shown(seen.body) if seen.body else "no body"
    text = f"{seen.method} {shown(target.encode('latin-1'))[1:-1]} {body}"
    for name in shows:
        values = [_OWN_HOST.sub("its own", value) if name == "host" else value for value in seen.header(name)]
        text += f", {name}: {', '.join(shown(one.encode('latin-1')) for one in values) if values else 'none'}"
    return text


async def _until(happened: Callable[[], bool], seconds: float) -> None:
    """Wait for it. Raises AssertionError when it does not come."""
    give_up_at = time.monotonic() + seconds
    while not happened():
        if time.monotonic() >= give_up_at:
            raise AssertionError(f"waited {seconds} seconds in vain")
        await asyncio.sleep(0.005)


async def _play(wire: Wire, seen: Seen, case: Answer, had: asyncio.Event) -> bool:
    """The provider's part. A caller that gave up, or a peer that heard enough, ends it."""
    if not case.early:
        await wire.read_body(seen)
    for number, piece in enumerate(case.pieces):
        if number and len(piece) < 1000:
            await asyncio.sleep(0.003)  # that it does not come together with the one before
        wire.writer.write(piece)
        await wire.writer.drain()
    if case.then == "reset":
        await asyncio.sleep(0.2)  # a reset takes what was not read yet
        wire.reset()
    if case.then != "keep":
        return False
    if case.later:
        await had.wait()
        await asyncio.sleep(_NOTICES_SECONDS)
        wire.writer.write(case.later)
        await wire.writer.drain()
        # The next call comes when the peer has closed this connection, or does not seem to.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                return await wire.reader.read(1) != b""
    if case.early:
        await wire.read_body(seen)
    return True


async def connected(where: Where, patience: float) -> Caller:
    """A connection, once somebody listens."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                caller = await Caller.connect(where)
                caller.patience = patience
                return caller
            except (ConnectionRefusedError, FileNotFoundError):
                await asyncio.sleep(0.005)


async def calls_beside(where: Where, patience: float, origin: Origin) -> list[str]:
    """Two calls at once, each held by the provider until it has both: they take the two connections used last. What is
    wrong with their answers."""
    barrier = asyncio.Barrier(2)
    origin.together = {"good-1": barrier, "good-2": barrier}

    async def call(name: str, method: str, body: bytes) -> str | None:
        async with await connected(where, patience) as caller:
            said = await caller.ask(name, method, body)
        return None if said == "own" else f"{name} got {said}"

    found = await asyncio.gather(call("good-1", "GET", b""), call("good-2", "POST", b"my own body"))
    return [what for what in found if what is not None]


def _got(got: Got, shows: tuple[str, ...]) -> str:
    """What a caller got. The text of a gateway's own error is its own matter."""
    parts = [f"{status} x{times}" if times > 1 else f"{status}" for status, times in Counter(got.interim).items()]
    if got.end == "nothing":
        return ", ".join([*parts, "closed without an answer"])
    if got.end in ("garbled", "silent") and not got.status:
        return ", ".join([*parts, f"{got.end} {got.why}".strip()])
    own_error = got.status in (400, 408, 411, 414, 421, 431, 500, 501, 502, 504, 505, 508)
    parts.append(f"{got.status}" if own_error and got.end == "whole" else f"{got.status} {got.end} {shown(got.body)}")
    for name in shows:
        values = got.header(name)
        parts.append(f"{name}: {', '.join(shown(one.encode('latin-1')) for one in values) if values else 'none'}")
    return ", ".join(parts)
