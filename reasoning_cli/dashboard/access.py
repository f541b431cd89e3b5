"""Who may look: a link that works once, a cookie that lasts a day's work, and calls from this page alone.

Stands before all else: what is not let in reaches neither pages nor their scripts.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LINK_SECONDS = 600.0
SESSION_SECONDS = 12 * 3600.0
LOGIN, LOGOUT = "/login", "/logout"
_MOST_SESSIONS = 100
# After a link that no longer works, a new one is offered on the terminal; not more often than this.
_OFFER_SECONDS = 5.0

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]


@dataclass
class Keys:
    """The links and sessions of one run, by their hashes: who reads this memory, or a log, cannot log in with it."""

    now: Callable[[], float] = time.monotonic
    links: dict[str, float] = field(default_factory=dict)
    sessions: dict[str, float] = field(default_factory=dict)

    def new_link(self) -> str:
        """A token that logs in once, within ten minutes. Those before it no longer do."""
        token = secrets.token_urlsafe(32)
        self.links = {_hash(token): self.now() + LINK_SECONDS}
        return token

    @property
    def has_link(self) -> bool:
        """Whether there is a link that logs in."""
        return any(until >= self.now() for until in self.links.values())

    def log_in(self, token: str) -> str | None:
        """The session that a link opens; None for one that was used, is too old, or never was."""
        until = self.links.pop(_hash(token), None)
        if until is None or until < self.now():
            return None
        session = secrets.token_urlsafe(32)
        self.sessions = {known: end for known, end in self.sessions.items() if end > self.now()}
        while len(self.sessions) >= _MOST_SESSIONS:
            self.sessions.pop(next(iter(self.sessions)))
        self.sessions[_hash(session)] = self.now() + SESSION_SECONDS
        return session

    def name_of(self, session: str) -> str | None:
        """What a session is called here; None where it is over, or never was."""
        name = _hash(session)
        return name if self.is_open(name) else None

    def is_open(self, name: str) -> bool:
        return self.sessions.get(name, 0.0) > self.now()

    def log_out(self, name: str) -> None:
        self.sessions.pop(name, None)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass
class Access:
    """The door: `app` behind it, the `origins` it is called by (`http://127.0.0.1:8010`), and how a new link is
    `offered` where an old one was tried. `on_logout` is told the name of a session that ended."""

    app: App
    keys: Keys
    origins: frozenset[str]
    cookie: str
    offer: Callable[[], None]
    on_logout: Callable[[str], None]
    _offered: float = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is not None:
            await _refuse(scope, receive, send, *refused)
            return
        path = scope["path"]
        if path == LOGIN and scope["type"] == "http":
            await self._log_in(scope, send)
            return
        name = self._session(scope)
        if name is None:
            await _refuse(scope, receive, send, 401, _page("You are not logged in", _HOW))
            return
        if path == LOGOUT and scope["type"] == "http":
            self.keys.log_out(name)
            self.on_logout(name)
            await _answer(send, 200, _page("You are logged out", _HOW), [self._set_cookie("", 0)])
            return
        scope.setdefault("state", {})["session"] = name
        if scope["type"] == "http":
            await self.app(scope, receive, _guarded(scope, send))
        else:
            await self.app(scope, self._of_open_session(name, receive), send)

    def _of_open_session(self, name: str, receive: Receive) -> Receive:
        """`receive` of a socket that was opened in this session: what comes when that is over is not looked at, be it
        that the page does not go when it is asked to."""

        async def received() -> Message:
            while True:
                message = await receive()
                if message["type"] != "websocket.receive" or self.keys.is_open(name):
                    return message

        return received

    def _refusal(self, scope: Scope) -> tuple[int, bytes] | None:
        """Why a call is not looked at: it names another host, or comes from another page."""
        headers = scope["headers"]
        hosts = [value.decode("latin-1").lower() for key, value in headers if key == b"host"]
        secure = scope.get("scheme") in ("https", "wss")
        if len(hosts) != 1 or f"http{'s' if secure else ''}://{hosts[0]}" not in self.origins:
            return 421, _page("Not called so here", "Open the address that the terminal shows.")
        origins = [value.decode("latin-1").lower() for key, value in headers if key == b"origin"]
        acts = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        # Whatever page it comes from says so; what acts must say that it comes from here.
        if any(origin not in self.origins for origin in origins) or (acts and not origins):
            return 403, _page("Not from this page", "What acts must come from the page itself.")
        site = [value for key, value in headers if key == b"sec-fetch-site"]
        if site and site[0] not in (b"same-origin", b"none") and not _is_opened(scope):
            return 403, _page("Not from this page", "Another page asked for this.")
        return None

    async def _log_in(self, scope: Scope, send: Send) -> None:
        (token, *_) = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])
        if scope["method"] != "GET":  # a preview of the link must not use it up
            await _answer(send, 405, b"", [(b"allow", b"GET")])
            return
        session = self.keys.log_in(token)
        if session is None:
            if not self.keys.has_link and time.monotonic() - self._offered > _OFFER_SECONDS:
                self._offered = time.monotonic()
                self.offer()
            await _answer(send, 403, _page("This link does not work any more", _HOW))
            return
        await _answer(send, 303, b"", [(b"location", b"/"), self._set_cookie(session, int(SESSION_SECONDS))])

    def _session(self, scope: Scope) -> str | None:
        for key, value in scope["headers"]:
            if key == b"cookie":
                try:
                    found = SimpleCookie(value.decode("latin-1")).get(self.cookie)
                except CookieError:
                    continue
                if found is not None and (name := self.keys.name_of(found.value)) is not None:
                    return name
        return None

    def _set_cookie(self, value: str, seconds: int) -> tuple[bytes, bytes]:
        secure = "; Secure" if all(origin.startswith("https:") for origin in self.origins) else ""
        text = f"{self.cookie}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"
        return b"set-cookie", text.encode()


_HOW = "The terminal in which the dashboard runs shows a link that logs in once, within ten minutes."


def origins_of(scheme: str, names: Iterable[str], port: int) -> frozenset[str]:
    """The origins that a dashboard under these names has."""
    default = 443 if scheme == "https" else 80
    return frozenset(
        f"{scheme}://{f'[{name}]' if ':' in name else name}{f':{port}' if port != default else ''}".lower()
        for name in names
    )


def _is_opened(scope: Scope) -> bool:
    """Whether a person opens a page here from another one: a link, which shows and does nothing."""
    wanted = {key: value for key, value in scope["headers"] if key.startswith(b"sec-fetch-")}
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and wanted.get(b"sec-fetch-mode") == b"navigate"
        and wanted.get(b"sec-fetch-dest") == b"document"
        and scope["path"] != LOGOUT
    )


def policy(nonce: str) -> str:
    """What a page may load: from here alone. NiceGUI's own page has scripts in it, which bear the nonce; Vue compiles
    templates, which takes `unsafe-eval`; and Quasar sets styles of elements, which takes `unsafe-inline` for these."""
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )


def _guarded(scope: Scope, send: Send) -> Send:
    """`send`, with what keeps a page to itself, and a nonce for the scripts in it. A page is held until it is whole."""
    nonce = secrets.token_urlsafe(16)
    started: Message | None = None
    parts: list[bytes] = []

    async def guarded(message: Message) -> None:
        nonlocal started
        if message["type"] == "http.response.start":
            headers = [pair for pair in message["headers"] if not pair[0].lower().startswith(b"access-control-")]
            kind = next((value for key, value in headers if key.lower() == b"content-type"), b"")
            headers += [*_HEADERS, (b"content-security-policy", policy(nonce).encode())]
            if not scope["path"].startswith("/_nicegui/"):
                headers = [pair for pair in headers if pair[0].lower() != b"cache-control"]
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
            if kind.startswith(b"text/html"):
                started = message
                return
        elif started is not None:
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            body = _SCRIPT.sub(rb'<script nonce="%s"' % nonce.encode(), b"".join(parts))
            headers = [pair for pair in started["headers"] if pair[0].lower() != b"content-length"]
            await send({**started, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
            started = None
            message = {"type": "http.response.body", "body": body}
        await send(message)

    return guarded


# What others wrote comes into a page with its angle brackets spelt as entities: these are NiceGUI's own.
_SCRIPT = re.compile(rb"<script(?=[\s>])")


def _page(title: str, text: str) -> bytes:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><main><h1>{title}</h1><p>{text}</p></main></html>"
    ).encode()


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, body: bytes) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4400 + status % 100})
        return
    await _answer(send, status, body)


async def _answer(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    every = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
        *_HEADERS,
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": body})
