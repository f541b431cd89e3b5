"""httpx without what no command needs: its command line, which loads Rich, Click and Pygments and is a third of its
import, and the certificates of the world read anew for each client, which takes longer than most requests."""

from __future__ import annotations

import os
import ssl
import sys
from functools import cache

if "httpx" not in sys.modules:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # "not there", and httpx does without
    try:
        import httpx as httpx
    finally:
        del sys.modules["httpx._main"]
else:
    import httpx as httpx


def trusted(*, trust_env: bool = True) -> ssl.SSLContext:
    """Whom a client trusts by default, for its `verify`: the same for all clients of this process."""
    return _trusted(trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trusted(trust_env: bool, file: str | None, folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=trust_env)
