"""Bodies without their content encodings, never longer than asked for: a kilobyte of others may unpack to gigabytes."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

# Nobody packs a body more often; each time costs as much as the last one allowed to come out of it.
_MOST_ENCODINGS = 4
# Each member of a body costs a copy of all that follows it.
MOST_MEMBERS = 100
# What any client has to manage (RFC 9659), and more than most want to: 8 MiB.
_ZSTD_WINDOW_LOG = 23


class Packed(ValueError):
    """A body that could not be unpacked, and why in few words."""


class _Unpacker(Protocol):
    """What Python's own decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def unpack(content: bytes, encodings: str, limit: int, *, members: int = 1, cut: bool = False) -> bytes:
    """A body without the encodings that its header names, the last one first. Raises Packed.

    gzip and zstd may come in several members, one after another; who must not be understood otherwise than by others
    takes one. `cut`: it may end in the middle, and what there is of it is wanted.
    """
    layers = [name for coding in encodings.lower().split(",") if (name := coding.strip()) not in ("", "identity")]
    if len(layers) > _MOST_ENCODINGS:
        raise Packed("too many encodings")
    for layer in reversed(layers):
        content = _without(layer, content, limit, members, cut)
    return content


def _without(encoding: str, content: bytes, limit: int, members: int, cut: bool) -> bytes:
    ways, broken = _ways(encoding)
    for way in ways:
        try:
            return _unpacked(way, content, limit, members, cut)
        except broken:
            continue
    raise Packed(f"broken {encoding}")


def _ways(encoding: str) -> tuple[list[Callable[[], _Unpacker]], type[Exception]]:
    """How an encoding is read, and what is raised for what is none. Libraries are loaded when they are first needed."""
    match encoding:
        case "gzip" | "x-gzip":
            return [partial(zlib.decompressobj, 16 + zlib.MAX_WBITS)], zlib.error
        case "deflate":
            # That of zlib by the book (RFC 9110 8.4.1.2), and as some send it, without what zlib puts around it.
            return [zlib.decompressobj, partial(zlib.decompressobj, -zlib.MAX_WBITS)], zlib.error
        case "br":
            import brotli

            return [partial(_Brotli, brotli.Decompressor)], brotli.error
        case "zstd":
            if sys.version_info >= (3, 14):
                from compression import zstd
            else:
                from backports import zstd
            options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
            return [partial(zstd.ZstdDecompressor, options=options)], zstd.ZstdError
    raise Packed(f"encoding {encoding[:20]} is not known")


def _unpacked(way: Callable[[], _Unpacker], content: bytes, limit: int, members: int, cut: bool) -> bytes:
    made, room = [], limit + 1
    for _ in range(members):
        unpacker = way()
        made.append(unpacker.decompress(content, room))
        room -= len(made[-1])
        if room <= 0:
            raise Packed("unpacked too long")
        content = unpacker.unused_data
        if not (content and unpacker.eof):
            if unpacker.eof or cut:
                return b"".join(made)
            raise Packed("packed and cut")
    raise Packed("more after its end")


class _Brotli:
    """Brotli as the others are called. It takes its limit for a hint: as much again may come."""

    unused_data = b""  # what follows the end is an error to it

    def __init__(self, new: Callable[[], Any]) -> None:
        self._it, self.eof = new(), False

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        made: bytes = self._it.process(data, output_buffer_limit=max_length)
        self.eof = self._it.is_finished()
        return made
