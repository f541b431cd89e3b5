"""Keys and tokens out of text: every log line and every error passes through `redact`."""

from __future__ import annotations

import re

_known: set[str] = set()

# What the keys of vendors look like, by the prefix they print. Written so that both `re` and RE2 read them: no looking
# around, one line, and nothing that takes more than linear time. `personal` looks for the same ones in decisions.
KEY_SHAPES = (
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, OpenRouter, DeepSeek
    r"\b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
    r"\b(?:whsec|hf|gsk|r8|fw|npm|ntn|lin_api|dop_v1|sk)_[A-Za-z0-9]{16,}",
    r"\btgp_v\d_[A-Za-z0-9_-]{16,}",  # Together
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\b(?:glpat|xai|pplx|tvly|GOCSPX|pypi)-[A-Za-z0-9_-]{16,}",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",  # Amazon
    r"\bxox[a-z]-[A-Za-z0-9-]{10,}",  # Slack
    r"\bxapp-\d-[A-Za-z0-9-]{10,}",
    r"\bhooks\.slack\.com/services/[A-Za-z0-9/]{16,}",
    r"\bdiscord(?:app)?\.com/api/webhooks/\d{5,}/[A-Za-z0-9_-]{16,}",
    r"\bAIza[A-Za-z0-9_-]{35}",  # Google
    r"\bya29\.[A-Za-z0-9_-]{20,}",
    r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,}",  # SendGrid
    r"\b\d{8,10}:[A-Za-z0-9_-]{35}",  # a Telegram bot
    r"\b[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}",  # a Discord bot
)

# In a log line also: the 64 hexadecimal digits of an old Together key, a bearer header, a `key=value` of a query.
_IN_LOGS = (
    r"\b[0-9a-f]{64}\b",
    r"(?i:(?<=bearer\s)[A-Za-z0-9._~+/=-]{8,})",
    r"(?i:(?<=api_key=)[^\s&\"']{4,})",
    r"(?i:(?<=x-api-key:\s)\S{4,})",
)
_SHAPES = re.compile("|".join((*KEY_SHAPES, *_IN_LOGS)), re.ASCII)


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
