"""What was exported where: a row a file, with the samples in it, so that it is known where each sample went."""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from reasoning_cli.store.database import Connection, Store
from reasoning_cli.store.timestamps import from_ms, to_ms

_DIGITS = bytes.maketrans(b"\0\1", b"01")


@dataclass(frozen=True)
class ExportRecord:
    """A file that was written: where, its hash (empty for stdout), and the manifest beside it."""

    number: int
    at: datetime
    path: str
    sha256: str
    manifest: Mapping[str, object]


class NumberSet:
    """Numbers of samples as one bit each."""

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._bits = bytearray()

    def update(self, numbers: Iterable[int]) -> None:
        """Put in numbers that are not below the first."""
        bits = self._bits
        for number in numbers:
            place = number - self._first
            if place >> 3 >= len(bits):
                bits.extend(bytes((place >> 3) - len(bits) + 1024))
            bits[place >> 3] |= 1 << (place & 7)

    def mark(self, first: int, flags: bytes) -> None:
        """Put in those of the numbers from `first` on whose flag is 1, and not those whose flag is 0."""
        bits, place = self._bits, first - self._first
        begin, end = place >> 3, (place + len(flags) + 7) >> 3
        if end > len(bits):
            bits.extend(bytes(end - len(bits) + 1024))
        flagged = int(flags[::-1].translate(_DIGITS) or b"0", 2) << (place & 7)
        bits[begin:end] = (int.from_bytes(bits[begin:end], "little") | flagged).to_bytes(end - begin, "little")

    def __contains__(self, number: int) -> bool:
        place = number - self._first
        return 0 <= place >> 3 < len(self._bits) and bool(self._bits[place >> 3] >> (place & 7) & 1)

    def __iter__(self) -> Iterator[int]:
        return (
            self._first + (place << 3) + bit
            for place, byte in enumerate(self._bits)
            if byte
            for bit in range(8)
            if byte >> bit & 1
        )

    def packed(self) -> bytes:
        """As it is stored."""
        return self._first.to_bytes(8) + zlib.compress(self._bits, 1)

    @classmethod
    def unpacked(cls, stored: bytes) -> NumberSet:
        """What `packed` gave."""
        numbers = cls(int.from_bytes(stored[:8]))
        numbers._bits = bytearray(zlib.decompress(stored[8:]))
        return numbers


@dataclass(frozen=True)
class Exported:
    """A file that was written, and the samples in it."""

    path: str
    sha256: str
    manifest: Mapping[str, object]
    samples: NumberSet


def record_export(
    store: Store, *, at: datetime, path: str, sha256: str, manifest: Mapping[str, object], samples: NumberSet
) -> None:
    """Keep that a file with these samples was written."""
    with store.transaction() as connection:
        insert_export(connection, Exported(path, sha256, manifest, samples), at)


def insert_export(connection: Connection, exported: Exported, at: datetime) -> None:
    """Keep that a file was written, together with what else the transaction writes."""
    connection.execute(
        "INSERT INTO exports(at, path, sha256, manifest, samples) VALUES (?, ?, ?, ?, ?)",
        (
            to_ms(at),
            exported.path,
            exported.sha256,
            json.dumps(exported.manifest, ensure_ascii=False),
            exported.samples.packed(),
        ),
    )


def seeded_salt(store: Store, seed: int) -> str:
    """A key for placeholders: the same for one seed in one database, and nobody without the database can guess it."""
    store.write(
        "INSERT INTO about(name, value) VALUES ('placeholders', ?) ON CONFLICT DO NOTHING", (secrets.token_hex(32),)
    )
    row = store.row("SELECT value FROM about WHERE name = 'placeholders'")
    assert row is not None
    return blake2b(str(seed).encode(), key=bytes.fromhex(row[0]), digest_size=16).hexdigest()


def exported_numbers(store: Store, sha256: str) -> NumberSet | None:
    """The samples in the newest file of that hash; None when none was written here."""
    row = store.row("SELECT samples FROM exports WHERE sha256 = ? ORDER BY number DESC LIMIT 1", (sha256,))
    return NumberSet.unpacked(row["samples"]) if row is not None else None


def exports_holding(store: Store, numbers: Collection[int]) -> list[tuple[ExportRecord, list[int]]]:
    """The files that hold any of these samples, newest first, each with the numbers of those it holds."""
    found = []
    for row in store.rows("SELECT number, at, path, sha256, manifest, samples FROM exports ORDER BY number DESC"):
        held = NumberSet.unpacked(row["samples"])
        if inside := [number for number in numbers if number in held]:
            record = ExportRecord(
                row["number"], from_ms(row["at"]), row["path"], row["sha256"], json.loads(row["manifest"])
            )
            found.append((record, inside))
    return found
