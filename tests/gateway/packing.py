"""Bodies packed in every way that is read."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def _raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


# By what the header calls them; one name is spelled otherwise, as no name says which of two it is.
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "X-GZip": lambda content: gzip.compress(content, mtime=0),
    "deflate": zlib.compress,
    "Deflate": _raw_deflate,
    "br": lambda content: brotli.compress(content, quality=4),
    "zstd": zstd.compress,
}
LAYERED = ["gzip, br", "br, zstd", "gzip,gzip", "identity, deflate", "zstd, gzip, br, deflate"]


def packed(content: bytes, encodings: str) -> bytes:
    """The content in each of the encodings, in the order they are named."""
    for one in encodings.split(","):
        content = PACKERS.get(one.strip(), bytes)(content)
    return content


def flushed(events: list[bytes], encoding: str) -> list[bytes]:
    """A stream packed event by event, each to be read as soon as it comes; what ends it comes last."""
    if encoding == "br":
        br = brotli.Compressor()
        return [*(br.process(one) + br.flush() for one in events), br.finish()]
    if encoding == "zstd":
        one_by_one = zstd.ZstdCompressor()
        return [*(one_by_one.compress(one, one_by_one.FLUSH_BLOCK) for one in events), one_by_one.flush()]
    packer = zlib.compressobj(wbits={"gzip": 31, "deflate": 15}[encoding])
    return [*(packer.compress(one) + packer.flush(zlib.Z_SYNC_FLUSH) for one in events), packer.flush()]
