"""Keys and tokens out of text: every log line and every error passes through `redact`."""

from __future__ import annotations

import re

_known: set[str] = set()

# What keys look like: a prefix their vendors print (OpenAI, Anthropic, Together, Hugging Face, GitHub, AWS, Slack), a
# bearer header, a `key=value` in a query or log line, or the 64 hexadecimal digits of an old Together key.
_SHAPES = re.compile(
    r"""(?x)
    \b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,} |
    \btgp_v\d_[A-Za-z0-9_-]{16,} |
    \bhf_[A-Za-z0-9]{16,} |
    \bgh[pousr]_[A-Za-z0-9]{20,} |
    \bAKIA[0-9A-Z]{16}\b |
    \bxox[abprs]-[A-Za-z0-9-]{10,} |
    \b[0-9a-f]{64}\b |
    (?i:(?<=bearer\s)[A-Za-z0-9._~+/=-]{8,}) |
    (?i:(?<=api_key=)[^\s&"']{4,}) | (?i:(?<=x-api-key:\s)\S{4,})
    """
)


def remember(secret: str) -> None:
    """Keep `secret` out of all later output, whatever it looks like."""
    if len(secret) >= 6:
        _known.add(secret)


def mask(secret: str) -> str:
    """A key as a person may see it: its last four characters, or none of a short one."""
    return f"…{secret[-4:]}" if len(secret) >= 12 else "…"


def redact(text: str) -> str:
    """`text` with every remembered secret and everything that looks like a key masked."""
    for secret in sorted(_known, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(secret, mask(secret))
    return _SHAPES.sub(lambda found: mask(found.group()), text)
