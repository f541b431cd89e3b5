"""Keys, tokens and passwords out of text: every log line and every error passes through `redact`, every address that
is shown through `without_passwords`."""

from __future__ import annotations

import re
from typing import TypeVar, cast
from urllib.parse import unquote

_T = TypeVar("_T")

_SHORTEST = 3  # of what is looked for in a sentence: of a shorter one nothing would be left of the sentence

_known: set[str] = set()
_hidden: set[str] = set()  # passwords, of which not even the end is shown

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


# An address up to what ends it in a sentence, in JSON or in a table; and what of its parameters is nobody's business.
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{1,30}://)([^\s\"'`<>|]+)")
_SECRET_NAMES = (
    r"(?:ssl)?pass(?:word|wd|phrase)?|pwd|secret|(?:client|app)[_-]?secret|credentials?|sig|signature|auth|authorization"
    r"|(?:access|refresh|id|auth|bearer|api|session|sas)?[_-]?token|(?:(?:api|access|account|secret|private|auth)[_-]?)?key"
    r"|x-(?:amz|goog)-(?:signature|credential|security-token)|AWSAccessKeyId|code"
)
_PARAMETER = re.compile(rf"(?i)([?&;#](?:{_SECRET_NAMES})=)[^&;#\s]+")
# What libraries for PostgreSQL quote of their own strings: `host=h password=p`.
_CONNECTION = re.compile(r"(?i)\b((?:ssl)?password\s?=\s?)('(?:[^'\\]|\\.)*'|[^\s&;'\"`,)]+)")


def without_passwords(text: str) -> str:
    """`text` with the password of every address in it left out: `scheme://user:…@host/?password=…`."""
    return _URL.sub(_address, text) if "://" in text else text


def without_passwords_in(value: _T) -> _T:
    """The same of all that is in a value such as JSON holds."""
    found: object = value
    if isinstance(value, str):
        found = without_passwords(value)
    elif isinstance(value, dict):
        found = {key: without_passwords_in(item) for key, item in value.items()}
    elif isinstance(value, list):
        found = [without_passwords_in(item) for item in value]
    return cast(_T, found)


def bare_address(url: str) -> str:
    """An address as it may be kept to know it again: without password, and without parameters, which may hold one."""
    scheme, _, rest = url.partition("://")
    authority, path = _split(rest)
    user, at, host = authority.rpartition("@")
    return f"{scheme.lower()}://{user.partition(':')[0]}{at}{host}{re.split('[?#]', path)[0]}"


def secrets_of(url: str) -> list[str]:
    """What of an address must not be told, as it stands there and as it is meant, and the parts a library may take it
    for when it was written with `@`, `:` or `/` in it; the longest first."""
    authority, path = _split(url.partition("://")[2])
    found = {authority.rpartition("@")[0].partition(":")[2]}
    found |= {parameter[0].removeprefix(parameter[1]) for parameter in _PARAMETER.finditer(path)}
    found |= {part for secret in found for part in re.split(r"[@:/?#\[\]]", secret)}
    found |= {unquote(secret) for secret in found}
    return sorted((secret for secret in found if len(secret) >= _SHORTEST), key=len, reverse=True)


def _address(found: re.Match[str]) -> str:
    scheme, rest = found[1], found[2]
    authority, path = _split(rest)
    user, at, host = authority.rpartition("@")
    name, colon, _ = user.partition(":")
    if colon:
        user = f"{name}:…"
    elif user and scheme.lower().startswith("http"):
        user = "…"  # nobody has a name alone there: it is a token
    return scheme + user + at + host + _PARAMETER.sub(r"\1…", path)


def _split(rest: str) -> tuple[str, str]:
    """Who and where, and what follows. A password may have been written as it is, with `/`, `?` or `#` in it: then what
    stands before those has a colon with no port behind it."""
    end = re.search(r"[/?#]", rest)
    authority = rest[: end.start()] if end else rest
    port = authority.rpartition(":")[2]
    if "@" not in authority and ":" in authority and port and not port.isdigit() and not authority.startswith("["):
        name, at, after = rest.rpartition("@")
        if at:
            host, path = _split(after)
            return f"{name}@{host}", path
    return authority, rest[len(authority) :]


def remember(secret: str) -> None:
    """Keep `secret` out of all later output, whatever it looks like."""
    if len(secret) >= 6:
        _known.add(secret)


def hide(url: str) -> None:
    """Keep the secrets of an address out of all later output, and not only where the address itself is shown."""
    _hidden.update(secret for secret in secrets_of(url) if len(secret) >= 6)


def mask(secret: str) -> str:
    """A key as a person may see it: its last four characters, or none of a short one."""
    return f"…{secret[-4:]}" if len(secret) >= 12 else "…"


def redact(text: str) -> str:
    """`text` with every remembered secret and everything that looks like a key masked."""
    for secret in sorted(_known, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(secret, mask(secret))
    text = _CONNECTION.sub(r"\1…", without_passwords(text))
    for secret in sorted(_hidden, key=len, reverse=True):
        text = text.replace(secret, "…")
    return _SHAPES.sub(lambda found: mask(found.group()), text)
