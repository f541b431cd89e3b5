"""Mutated answers and mutated requests, while callers that behave well go on beside them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.gateway.differential.answers import ANSWERS
from tests.gateway.differential.judging import connected
from tests.gateway.differential.peers import Peer
from tests.gateway.differential.requests import AS_IT_COMES, READ_WHOLE, REQUESTS
from tests.gateway.differential.wire import Origin, Seen, Where, Wire, digest, own, well_behaved

COUNT = 300
_AT_ONCE, _GOOD_CALLERS = 8, 4
# A mutated call may hang for good: its caller gives up.
_GIVES_UP_SECONDS = 0.15
_MOST_UNLUCKY = 3
# A longer one would come in more than one packet, and what is behind an answer could be late.
_LONGEST_BYTES = 4000
_INSERTED = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b",",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"\xff",
    b"-",
    b"99999999999999999999",
)
_KEY = "key-of-"


@dataclass
class Found:
    """What went wrong; how many calls there were, of which kind and with what end; and the names of POSTs that met the
    end of a kept connection."""

    wrong: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    unlucky: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        if len(self.wrong) < 20:
            self.wrong.append(what)


def mutated(chance: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One of them, changed in one to three places."""
    made = bytearray(chance.choice(corpus))
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(made) + 1)
        end = min(len(made), start + chance.choice((1, 1, 2, 8, 40)))
        match chance.randrange(6):
            case 0 if start < len(made):
                made[start] ^= 1 << chance.randrange(8)
            case 1:
                del made[start:end]
            case 2:
                made[start:start] = made[start:end]
            case 3:
                other = chance.choice(corpus)
                made[start:] = other[chance.randrange(len(other) + 1) :]
            case 4:
                made[start:start] = chance.choice(_INSERTED)
            case 5:
                del made[chance.randrange(start, len(made) + 1) :]
    return bytes(made[:_LONGEST_BYTES])


def answers_corpus() -> list[bytes]:
    whole = [b"".join(case.pieces) for case in ANSWERS]
    return [one for one in whole if 0 < len(one) < _LONGEST_BYTES]


def requests_corpus() -> list[bytes]:
    whole = [b"".join(case.pieces).replace(b"PATH", path) for case in REQUESTS for path in (AS_IT_COMES, READ_WHOLE)]
    return [one for one in whole if len(one) < _LONGEST_BYTES]


async def fuzz_answers(peer: Peer, seed: int) -> Found:
    """The provider answers each odd call with a mutated answer, and closes the connection or keeps it."""
    chance, corpus, found = random.Random(seed), answers_corpus(), Found()
    made = [(mutated(chance, corpus), chance.random() < 0.6) for _ in range(COUNT)]

    async def answerer(wire: Wire, seen: Seen) -> bool:
        await wire.read_body(seen)
        content, closes = made[int(seen.id.removeprefix("odd-"))]
        wire.writer.write(content)
        await wire.writer.drain()
        return not closes

    async def odd(where: Where, number: int) -> None:
        name, path = f"odd-{number}", AS_IT_COMES if number % 2 else READ_WHOLE
        method, body = ("GET", b"") if number % 4 == 1 else ("POST", b'{"a": 1}')
        got = await _said(where, peer.patience, well_behaved(name, method, body, path.decode()))
        found.calls[_status(got)] += 1
        if b"good-" in got or b"the gateway failed" in got:
            found.note(f"the caller of {made[number][0]!r} got {got!r}")

    await _run(peer, Origin(answerer), odd, found)
    return found


async def fuzz_requests(peer: Peer, seed: int) -> Found:
    """Callers send mutated requests."""
    chance, corpus, found = random.Random(seed), requests_corpus(), Found()
    made = [mutated(chance, corpus) for _ in range(COUNT)]

    async def odd(where: Where, number: int) -> None:
        if number >= len(made):
            return
        got = await _said(where, peer.patience, made[number])
        found.calls[_status(got)] += 1
        if b"good-" in got or b"HTTP/1.1 500" in got:
            found.note(f"the caller of {made[number]!r} got {got!r}")

    await _run(peer, Origin(), odd, found)
    return found


async def _run(peer: Peer, provider: Origin, odd: Callable[[Where, int], Awaitable[None]], found: Found) -> None:
    """All odd calls, a few at once, and those of the others until these are over."""
    over, sent = asyncio.Event(), dict[str, bytes]()
    async with provider as origin, peer.toward(origin.port) as where:
        good = [
            asyncio.create_task(_behave(where, peer.patience, number, over, sent, found))
            for number in range(_GOOD_CALLERS)
        ]
        numbers = iter(range(COUNT))

        async def some() -> None:
            for number in numbers:
                await odd(where, number)

        try:
            await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
        finally:
            over.set()
            await asyncio.gather(*good)
    for what in origin.garbled:
        found.note(f"the provider got {what}")
    asked = Counter[str]()
    for seen in origin.seen:
        asked[seen.id] += 1
        _check(seen, sent, found)
    # A provider that closes a kept connection, unsaid, as a POST is sent on it may have read it: it is not sent again,
    # neither here nor by nginx. That is seldom, and never where a provider closes none.
    for place, name in enumerate(found.unlucky):
        if asked[name] or provider.answerer is None or place >= _MOST_UNLUCKY:
            found.note(f"{name} got 502")
    for name in sent:
        if not asked[name] and name not in found.unlucky:
            found.note(f"{name} was answered, and the provider never asked")


async def _behave(
    where: Where, patience: float, number: int, over: asyncio.Event, sent: dict[str, bytes], found: Found
) -> None:
    """One caller, over one connection as long as it is kept, each call with its own key and body."""
    caller = await connected(where, patience)
    count = 0
    while not over.is_set() or count < 20:
        count += 1
        name = f"good-{number}-{count}"
        method, path = (("GET", "/v1/other"), ("POST", "/v1/chat/completions"), ("POST", "/v1/other"))[count % 3]
        body = f'{{"mine": "{name}", "long": "{"a" * (count % 7 * 100)}"}}'.encode() if method == "POST" else b""
        sent[name] = body
        head, _, rest = well_behaved(name, method, body, path).partition(b"\r\n\r\n")
        await caller.send(b"%b\r\nauthorization: Bearer %b%d-\r\n\r\n%b" % (head, _KEY.encode(), number, rest))
        said = own(await caller.read(method), name, method, body)
        found.calls[f"well-behaved: {said[:3]}"] += 1
        if said.startswith("502") and method == "POST":
            found.unlucky.append(name)
        elif said != "own":
            found.note(f"{name} got {said}")
            caller.close()
            caller = await connected(where, patience)
        await asyncio.sleep(0.01)
    caller.close()


def _check(seen: Seen, sent: dict[str, bytes], found: Found) -> None:
    """A request as the provider got it: a well-behaved one is whole, and no other holds anything of theirs."""
    if not seen.id.startswith("good"):
        text = f"{seen.target} {seen.headers} {seen.body!r}"
        if _KEY in text or "good-" in text:
            found.note(f"another's request holds what is not its own: {text}")
        return
    number = seen.id.split("-")[1]
    if seen.header("authorization") != [f"Bearer {_KEY}{number}-"]:
        found.note(f"{seen.id} came with {seen.header('authorization')}")
    if seen.id not in sent or digest(seen.body) != digest(sent[seen.id]):
        found.note(f"{seen.id} came with the body {seen.body!r}")
    wanted = (("GET", "/v1/other"), ("POST", "/v1/chat/completions"), ("POST", "/v1/other"))[
        int(seen.id.split("-")[2]) % 3
    ]
    if (seen.method, seen.target) != (wanted[0], f"{wanted[1]}?id={seen.id}"):
        found.note(f"{seen.id} came as {seen.method} {seen.target}")


async def _said(where: Where, patience: float, content: bytes) -> bytes:
    """All that comes back until the connection is closed, or nothing more comes."""
    got = b""
    async with await connected(where, patience) as caller:
        await caller.send(content)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                async with asyncio.timeout(_GIVES_UP_SECONDS):
                    piece = await caller.reader.read(65536)
                if not piece:
                    break
                got += piece
    return got


def _status(got: bytes) -> str:
    return got[9:12].decode("latin-1") if got else "nothing"
