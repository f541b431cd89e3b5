"""What each process of the suite makes once, because it comes out the same every time: half of the CPU it used to take.

Nothing here changes what is tested. Whoever asks for something else than usual gets it made for him.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import ssl
import sys
from pathlib import Path
from typing import Any

import certifi
import typer.main

from reasoning_cli.light_httpx import httpx
from reasoning_cli.store import migrations
from reasoning_cli.store import open as opening
from reasoning_cli.store.database import Store
from reasoning_cli.store.postgres import PostgresStore
from reasoning_cli.values import DatabaseAddress

_CERTIFICATES = "SSL_CERT_FILE", "SSL_CERT_DIR"


def share() -> None:
    """Make them once from now on."""
    _compiled_modules()
    _trusted_certificates()
    _addresses()
    _cookies()
    _parameters_of_commands()
    _empty_databases()


def _compiled_modules() -> None:
    """Programs that are started read what is compiled already, also where nobody wants that of Python at large."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def _trusted_certificates() -> None:
    """They take 20 ms to read, and each HTTP client, of which there are thousands here, reads them for itself. A test
    that brings others, as a file or in the environment, gets those."""
    read = ssl.create_default_context
    kept: dict[tuple[ssl.Purpose, str | None], ssl.SSLContext] = {}
    at_first = [os.environ.get(name) for name in _CERTIFICATES]
    usual = (None, certifi.where(), at_first[0])

    def create_default_context(
        purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH,
        *,
        cafile: str | None = None,
        capath: str | None = None,
        cadata: str | bytes | None = None,
    ) -> ssl.SSLContext:
        now = [os.environ.get(name) for name in _CERTIFICATES]
        if now != at_first or cafile not in usual or capath or cadata:
            return read(purpose, cafile=cafile, capath=capath, cadata=cadata)
        if (purpose, cafile) not in kept:
            kept[purpose, cafile] = read(purpose, cafile=cafile)
        return kept[purpose, cafile]

    ssl.create_default_context = create_default_context  # type: ignore[assignment]


def _addresses() -> None:
    """httpx reads an address character by character, three times for each request: a fifth of it."""
    read = functools.lru_cache(maxsize=4096)(httpx._urlparse.urlparse)
    httpx._urlparse.urlparse = httpx._urls.urlparse = read  # type: ignore[assignment]


def _cookies() -> None:
    """httpx makes two requests of urllib's of each of its own to see whether a cookie is set: a fifth of it."""
    extract = httpx.Cookies.extract_cookies

    def extract_cookies(self: httpx.Cookies, response: httpx.Response) -> None:
        if "set-cookie" in response.headers:
            extract(self, response)

    httpx.Cookies.extract_cookies = extract_cookies  # type: ignore[method-assign]


def _parameters_of_commands() -> None:
    """Typer reads the signatures of all commands of a group whenever one is typed: most of what a command takes."""
    read = functools.cache(typer.main.get_params_from_function)  # type: ignore[attr-defined]
    typer.main.get_params_from_function = lambda func: dict(read(func))  # type: ignore[attr-defined]


fill = opening._fill


def _empty_databases() -> None:
    """A database is made in many steps, on a disk; the file that came of the same ones holds the same."""
    kept: dict[object, bytes] = {}

    def filled(draft: Path, realm: str) -> None:
        key = migrations.STEPS, realm
        if key in kept:
            draft.write_bytes(kept[key])
        else:
            fill(draft, realm)
            kept[key] = draft.read_bytes()

    opening._fill = filled


_logs: dict[object, sqlite3.Connection] = {}


def fill_log(store: Store, count: int, **members: Any) -> None:
    """Fill a log that is empty with so many made-up samples, the same each time: `members` are those of Generator."""
    from benchmarks.generate_log import Generator, fill

    key = store.realm, count, *sorted(members.items())
    if isinstance(store.place, DatabaseAddress):
        from tests import stores

        assert isinstance(store, PostgresStore)
        if not stores.fill_log(store, key):
            fill(store, Generator(count, **members))
            stores.keep_log(store, key)
        return
    if made := _logs.get(key):
        made.backup(store.connection)
        return
    fill(store, Generator(count, **members))
    _logs[key] = sqlite3.connect(":memory:", check_same_thread=False)
    store.connection.backup(_logs[key])
