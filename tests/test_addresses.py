"""Which addresses are this machine, and which can be read on the way, also where they are made to look otherwise."""

from __future__ import annotations

import pytest

from reasoning_cli.addresses import is_loopback, is_plain
from reasoning_cli.values import parse_url


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "::1",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
        "localhost",
        "LocalHost",
    ],
)
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "::ffff:10.0.0.1", "128.0.0.1", "fe80::1"),
        *("127.0.0.1.evil.com", "localhost.evil.com", "evil.com", "127.0.0.1%2eevil.com"),
        # This machine for some that look up names; not for all, and nobody needs to write it so.
        *("0x7f.1", "127.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "①27.0.0.1"),
    ],
)
def test_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://evil.com", False),
        ("HTTPS://evil.com", False),
        ("http://evil.com", True),
        ("HTTP://evil.com", True),
        ("http://127.0.0.1:8000/v1", False),
        ("http://LOCALHOST:8000", False),
        ("http://[::1]:8000/v1", False),
        ("http://[::ffff:127.0.0.1]/v1", False),
        ("http://[::ffff:8.8.8.8]/v1", True),
        ("http://127.0.0.1@evil.com/v1", True),
        ("http://localhost:8000@evil.com/v1", True),
        ("http://evil.com@127.0.0.1/v1", False),
        ("http://evil.com/@127.0.0.1", True),
        ("http://evil.com#@127.0.0.1", True),
        ("http://evil.com?@127.0.0.1", True),
        ("http://127.0.0.1.evil.com", True),
        ("http://0x7f.1/", True),
        ("http://[::1", True),
        ("http:///path", True),
    ],
)
def test_what_others_can_read(url: str, plain: bool) -> None:
    assert is_plain(url) == plain


def test_a_scheme_may_be_written_large() -> None:
    assert parse_url(" HTTPS://Example.com/V1/ ") == "https://Example.com/V1"


@pytest.mark.parametrize(
    "url",
    [
        *("", "evil.com", "http:evil.com", "http://", "http:///x", "https://:8000", "ftp://evil.com"),
        *("http://127.0.0.1\\@evil.com", "http://127.0.0.1 @evil.com", "http://127.0.0.1\t.evil.com"),
        *("http://[::1", "http://127.0.0.1:80a", "http://127.0.0.1:99999", "http://a\u202eb.com"),
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="is not an http:// or https:// address"):
        parse_url(url)
