"""Where samples of this log were archived, so that what is to be forgotten is looked for there as well."""

from __future__ import annotations

import json

from reasoning_cli.store.database import Store

_NAME = "archives"


def known_archives(store: Store) -> list[str]:
    """The addresses of all archives that were written from this log, the first one first."""
    row = store.row("SELECT value FROM about WHERE name = ?", (_NAME,))
    return [] if row is None else [str(address) for address in json.loads(row[0])]


def note_archive(store: Store, address: str) -> None:
    """Keep that there is an archive at an address."""
    if address not in (known := known_archives(store)):
        _keep(store, [*known, address])


def drop_archive(store: Store, address: str) -> bool:
    """Keep no longer that there is one there; whether it was known."""
    known = known_archives(store)
    _keep(store, [other for other in known if other != address])
    return address in known


def _keep(store: Store, addresses: list[str]) -> None:
    store.write(
        "INSERT INTO about(name, value) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
        (_NAME, json.dumps(addresses)),
    )
