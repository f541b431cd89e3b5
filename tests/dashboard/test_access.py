"""Who is let in: a link once, a cookie for a day's work, and nothing that comes from another page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from reasoning_cli.dashboard.access import LINK_SECONDS, SESSION_SECONDS, Access, Keys, origins_of
from tests.dashboard.conftest import PATIENCE_MS, Server, open_page, run_apart
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, StorageState

ORIGIN = "http://127.0.0.1:8010"
PAGE = b'<html><script>one()</script><script type="module">two()</script><p>&lt;script&gt;</p></html>'


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Door:
    """The door of a dashboard, and what came through it."""

    def __init__(self, names: tuple[str, ...] = ("127.0.0.1", "localhost")) -> None:
        self.clock, self.passed, self.offers, self.ended = Clock(), [], 0, []  # type: ignore[var-annotated]
        self.keys = Keys(self.clock)
        self.access = Access(
            self.app, self.keys, origins_of("http", names, 8010), "cookie_8010", self.offer, self.ended.append
        )

    def offer(self) -> None:
        self.offers += 1

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.passed.append(scope["path"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        headers = [(b"content-type", b"text/html"), (b"access-control-allow-origin", b"*")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": PAGE[:20], "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[20:]})

    def ask(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.access)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.request(method, path, headers=named)

        return run_apart(go())

    def log_in(self) -> str:
        answer = self.ask(f"/login?key={self.keys.new_link()}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        return str(answer.headers["set-cookie"])

    def said_in_socket(self, cookie: str, *events: Callable[[], None]) -> list[int]:
        """Which of these messages come through a socket: before each something happens."""
        coming, came = iter(enumerate(events)), list[int]()

        async def receive() -> Any:
            number, event = next(coming, (None, None))
            if event is None:
                return {"type": "websocket.disconnect"}
            event()
            return {"type": "websocket.receive", "text": str(number)}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while (message := await receive())["type"] == "websocket.receive":
                came.append(int(message["text"]))

        async def send(message: Any) -> None:
            raise AssertionError(message)

        self.access.app = app
        headers = [(b"host", b"127.0.0.1:8010"), (b"origin", ORIGIN.encode()), (b"cookie", cookie.encode())]
        scope = {"type": "websocket", "path": "/socket", "scheme": "ws", "headers": headers, "query_string": b""}
        run_apart(self.access(scope, receive, send))
        return came

    def socket(self, **headers: str) -> str:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "websocket", "path": "/socket", "scheme": "ws", "headers": named, "query_string": b""}
        run_apart(self.access(scope, receive, send))
        return str(sent[0]["type"])


def test_a_link_logs_in_once_and_not_after_ten_minutes() -> None:
    door = Door()
    token = door.keys.new_link()
    assert door.ask(f"/login?key={token}", "HEAD").status_code == 405, "a preview does not use it up"
    assert door.ask(f"/login?key={token}").status_code == 303
    again = door.ask(f"/login?key={token}")
    assert (again.status_code, "set-cookie" in again.headers, door.offers) == (403, False, 1)
    late = door.keys.new_link()
    door.clock.now += LINK_SECONDS + 1
    assert door.ask(f"/login?key={late}").status_code == 403
    assert door.ask("/login").status_code == 403
    assert door.offers == 1, "whoever knocks again and again does not fill the terminal"
    assert token not in str(door.keys) and late not in str(door.keys)


def test_who_knocks_with_a_made_up_key_does_not_end_the_link_on_the_terminal() -> None:
    door = Door()
    token = door.keys.new_link()
    assert door.ask("/login?key=made-up").status_code == 403
    assert door.offers == 0, "each new link ends those before it"
    assert door.ask(f"/login?key={token}").status_code == 303


def test_only_the_newest_link_works() -> None:
    door = Door()
    older, newer = door.keys.new_link(), door.keys.new_link()
    assert door.ask(f"/login?key={older}").status_code == 403
    assert door.ask(f"/login?key={newer}").status_code == 303


def test_the_cookie_is_for_this_page_alone_and_for_a_day_of_work() -> None:
    door = Door()
    cookie = door.log_in()
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert door.ask("/", cookie=cookie.split(";")[0]).status_code == 200
    assert door.ask("/", cookie="cookie_8010=other").status_code == 401
    door.clock.now += SESSION_SECONDS + 1
    assert door.ask("/", cookie=cookie.split(";")[0]).status_code == 401
    assert door.passed == ["/"]


@pytest.mark.parametrize("path", ["/", "/style.css", "/_nicegui/x.js", "/_nicegui_ws/socket.io/", "/docs"])
def test_without_a_login_nothing_is_reached(path: str) -> None:
    door = Door()
    assert (door.ask(path).status_code, door.passed) == (401, [])


@pytest.mark.parametrize("host", ["evil.example:8010", "127.0.0.1:9", "127.0.0.1.evil.example:8010", ""])
def test_another_name_is_not_answered(host: str) -> None:
    """A page elsewhere may have its own name lead here, and would read what it asks for."""
    door = Door()
    cookie = door.log_in().split(";")[0]
    assert door.ask("/", cookie=cookie, host=host).status_code == 421
    assert door.passed == []


def test_what_acts_comes_from_this_page_alone() -> None:
    door = Door()
    cookie = door.log_in().split(";")[0]
    assert door.ask("/x", "POST", cookie=cookie).status_code == 403
    assert door.ask("/x", "POST", cookie=cookie, origin="http://evil.example").status_code == 403
    assert door.ask("/x", "POST", cookie=cookie, origin="null").status_code == 403
    assert door.ask("/x", "POST", cookie=cookie, origin=ORIGIN).status_code == 200
    assert door.ask("/", cookie=cookie, sec_fetch_site="cross-site").status_code == 403
    opened = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert door.ask("/", cookie=cookie, **opened).status_code == 200, "a link from elsewhere shows the page"
    assert door.ask("/logout", cookie=cookie, **opened).status_code == 403, "and does nothing"
    host = "127.0.0.1:8010"
    assert door.socket(host=host, cookie=cookie) == "websocket.close"
    assert door.socket(host=host, cookie=cookie, origin="http://evil.example") == "websocket.close"
    assert door.socket(host=host, origin=ORIGIN) == "websocket.close"
    assert door.socket(host=host, cookie=cookie, origin=ORIGIN) == "websocket.accept"


@pytest.mark.parametrize("end", ["it is old", "it was logged out"])
def test_nothing_is_done_through_a_socket_whose_session_is_over(end: str) -> None:
    """A page is asked to go; one that was changed, or a program, stays."""
    door = Door()
    cookie = door.log_in().split(";")[0]
    [name] = door.keys.sessions

    def over() -> None:
        if end == "it is old":
            door.clock.now += SESSION_SECONDS + 1
        else:
            door.keys.log_out(name)

    assert door.said_in_socket(cookie, lambda: None, lambda: None, over, lambda: None) == [0, 1]


def test_a_page_is_kept_to_itself() -> None:
    door = Door()
    answer = door.ask("/", cookie=door.log_in().split(";")[0])
    policy = answer.headers["content-security-policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert answer.text.count(f'<script nonce="{nonce}"') == 2
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_logging_out_ends_the_session_everywhere() -> None:
    door = Door()
    cookie = door.log_in().split(";")[0]
    assert door.ask("/logout", cookie=cookie).status_code == 200
    assert len(door.ended) == 1
    assert door.ask("/", cookie=cookie).status_code == 401


# --- in the browser ---


def test_a_browser_logs_in_out_and_finds_the_link_used(browser: Browser, server: Server, state: StorageState) -> None:
    known = len(server.links)
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(server.links[0])
    assert "does not work any more" in page.inner_text("h1")
    until(lambda: len(server.links) > known, "a new link on the terminal")
    first = page
    page.goto(server.links[-1])
    page.wait_for_selector("h1[data-connected]")
    assert page.url == f"{server.base}/"
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    second = context.new_page()
    open_page(second, server, "/")
    second.get_by_role("link", name="Log out").click()
    # Where the browser was slower than the server, it was led to the page that says so already.
    second.wait_for_selector("text=/You are (logged out|not logged in)/")
    first.wait_for_selector("text=You are not logged in")  # the other tab, too
    context.close()
