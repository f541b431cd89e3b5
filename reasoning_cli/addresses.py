"""Where an address leads: to this machine or away, and whether others on the way can read what is sent there."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`.

    Of a name nobody knows where it leads, and an address in another spelling (`0x7f.1`) counts as one.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    # Python says so of IPv4 in IPv6 only from 3.13 on.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def is_plain(url: str) -> bool:
    """Whether what is sent to `url` crosses a network without encryption, as far as anybody can tell."""
    try:
        parts = urlsplit(url)
        return parts.scheme != "https" and not is_loopback(parts.hostname or "")
    except ValueError:  # half an IPv6 address
        return True
