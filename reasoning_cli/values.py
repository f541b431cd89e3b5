"""What people type, parsed: model types, amounts, hours, addresses. The same rules for flags, variables and files.

Parsers raise ValueError with a reason that reads on after the value: "`abc` is not an amount of dollars".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TypeGuard

from reasoning_cli.errors import UsageError

MODEL_TYPES = ("should_respond", "planning", "coding")

# Who trained a model: Together, this process a head, the operator's own trainer, or somebody by hand, whose model was
# adopted.
TOGETHER, HEAD, COMMAND, ADOPTED = "together", "head", "command", "adopted"

# Fewer decisions than this give no price per 1,000: an hour's price spread over a handful says nothing.
MIN_PRICED_DECISIONS = 100


class Agent(StrEnum):
    """Whose calls are to come here, by how it builds addresses."""

    ELIZAOS = "elizaos"
    ELIZA = "eliza"
    ELIZA_PY = "eliza-py"
    CLAUDE_CODE = "claude-code"
    CODEX = "codex"
    OPENCODE = "opencode"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Period(StrEnum):
    """What a budget is for: all that was ever spent, a calendar month or a calendar day (both UTC)."""

    TOTAL = "total"
    MONTH = "month"
    DAY = "day"

    @property
    def spoken(self) -> str:
        """As it follows an amount: `$100 a month`."""
        return "in total" if self is Period.TOTAL else f"a {self}"


class Mode(StrEnum):
    """What a slot's model does: answers all it can, a share of the agent's rooms, or none, seen by the log alone."""

    LIVE = "live"
    CANARY = "canary"
    SHADOW = "shadow"


class PromptForm(StrEnum):
    """What a slot's model is trained on and asked: the agent's prompt, or what the decision depends on alone."""

    EXACT = "exact"
    COMPACT = "compact"


def parse_prompt_form(text: str) -> PromptForm:
    """`exact` or `compact`."""
    try:
        return PromptForm(text.strip().lower())
    except ValueError:
        raise ValueError("is neither exact nor compact") from None


_ENGINE = re.compile(r"[a-z][a-z0-9-]{0,31}")


def parse_engine(text: str) -> str:
    """The name of an engine; whether there is such a one is seen when it is used."""
    name = text.strip().lower()
    if _ENGINE.fullmatch(name) is None:
        raise ValueError("is not the name of an engine: letters, digits and hyphens, a letter first")
    return name


@dataclass(frozen=True)
class TokenRate:
    """Dollars for a million tokens of input and of output."""

    input_usd: Decimal
    output_usd: Decimal

    def __str__(self) -> str:
        return f"{self.input_usd}/{self.output_usd}" if self.input_usd or self.output_usd else "free"


def parse_token_rate(text: str) -> TokenRate:
    """`0.20/0.60`, dollars for a million tokens of input and of output, or `free`."""
    words = text.strip().lower()
    if words == "free":
        return TokenRate(Decimal(0), Decimal(0))
    try:
        first, second = (Decimal(part.strip().removeprefix("$")) for part in words.split("/"))
    except (ValueError, InvalidOperation):
        raise ValueError("is not a price like 0.20/0.60 (dollars a million tokens in and out), nor free") from None
    if not all(amount.is_finite() and 0 <= amount <= 100_000 for amount in (first, second)):
        raise ValueError("is not a price like 0.20/0.60 (dollars a million tokens in and out), nor free")
    return TokenRate(first, second)


class TokenLimit(StrEnum):
    """What a server calls the tokens that an answer may have."""

    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


def parse_token_limit(text: str) -> TokenLimit:
    """`max_tokens` or `max_completion_tokens`."""
    try:
        return TokenLimit(text.strip().lower())
    except ValueError:
        raise ValueError("is neither max_tokens nor max_completion_tokens") from None


def parse_mode(text: str) -> Mode:
    """`live`, `canary` or `shadow`."""
    try:
        return Mode(text.strip().lower())
    except ValueError:
        raise ValueError("is none of live, canary and shadow") from None


HEAD_PREFIX = "head/"  # of the names of heads among models
DEFAULT_MAX_ERROR = 0.05  # of what a head answers: 59 held-out rooms may prove it, where 2 % takes 149
_HEAD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def parse_line(text: str) -> tuple[str, ...]:
    """Who is asked before the original, in order, `head, together`: a head in this process, and the engine that serves
    the slot's model. A head costs nothing and answers at once: it comes first."""
    places = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not places or any(_ENGINE.fullmatch(place) is None for place in places):
        raise ValueError("is not a list of engines, such as head, together")
    if len(set(places)) < len(places) or "head" in places[1:] or len(set(places) - {"head"}) > 1:
        raise ValueError("is not head, then one engine")
    return places


def head_training(max_error: object = None) -> str:
    """The command that learns a head: with this bound (a share, as a run's plan has it), else with the default's."""
    command = f"reasoning train start should-respond --engine {HEAD}"
    if not isinstance(max_error, float) or max_error == DEFAULT_MAX_ERROR:
        return command
    return f"{command} --max-error {max_error * 100:g}"


def is_head(model: str | None) -> TypeGuard[str]:
    """Whether a model's name is that of a head."""
    return model is not None and model.startswith(HEAD_PREFIX)


def parse_head(text: str) -> str:
    """The name of a head, with or without `head/` before it."""
    name = text.strip().removeprefix(HEAD_PREFIX)
    if _HEAD_NAME.fullmatch(name) is None:
        raise ValueError("is not the name of a head: letters, digits, and - . _ after the first")
    return name


def parse_share(text: str) -> Decimal:
    """A share from 0 to 1, such as a confidence."""
    try:
        share = Decimal(text.strip())
    except InvalidOperation:
        share = Decimal(-1)
    if not (share.is_finite() and 0 <= share <= 1):
        raise ValueError("is not a number from 0 to 1")
    return share


def parse_period(text: str) -> Period:
    """`total`, `month` or `day`."""
    try:
        return Period(text.strip().lower())
    except ValueError:
        raise ValueError("is none of total, month and day") from None


def parse_model_type(text: str) -> str:
    """`should-respond` or `should_respond`, in any case, as it is written inside. Raises UsageError."""
    name = text.strip().lower().replace("-", "_")
    if name in MODEL_TYPES:
        return name
    typed = [spell_model_type(known) for known in MODEL_TYPES]
    near = difflib.get_close_matches(name.replace("_", "-"), typed, n=1)
    meant = f"did you mean `{near[0]}`? There are" if near else "there are"
    raise UsageError(f"`{text}` is not a model type", f"{meant} {', '.join(typed[:-1])} and {typed[-1]}")


def spell_model_type(model_type: str) -> str:
    """A model type as people read and type it."""
    return model_type.replace("_", "-")


def parse_text(value: str) -> str:
    text = value.strip()
    if not text:
        raise ValueError("is empty")
    if any("\ud800" <= character <= "\udfff" for character in text):  # bytes of a terminal that are no UTF-8
        raise ValueError("is not valid text")
    return text


def parse_key(value: str) -> str:
    """An API key as it can stand in a header; what is copied with it (quotes, dots, line ends) is noticed here."""
    key = parse_text(value)
    if not (key.isascii() and key.isprintable()) or any(sign in key for sign in " '\""):
        raise ValueError("is not an API key: it holds a space, a quote or a sign that keys do not have")
    return key


def parse_boolean(value: str) -> bool:
    match value.strip().lower():
        case "true" | "1" | "yes" | "on" | "y":
            return True
        case "false" | "0" | "no" | "off" | "n":
            return False
    raise ValueError("is neither true nor false")


def parse_whole(lowest: int, highest: int) -> Callable[[str], int]:
    """A parser of whole numbers within bounds."""

    def parse(value: str) -> int:
        try:
            number = int(value.strip())
        except ValueError:
            raise ValueError("is not a whole number") from None
        if not lowest <= number <= highest:
            raise ValueError(f"is not between {lowest} and {highest}")
        return number

    return parse


TOGETHER_IDLE_FLOOR = 30


def parse_idle_minutes(value: str) -> int:
    """Idle minutes before a stop: 0 (never) to 1440. Together stops after 30 at the earliest, the guard sooner."""
    return parse_whole(0, 1440)(value)


def together_idle_minutes(idle_minutes: int) -> int:
    """What Together is told for a rule of ours: 0 (never), or no less than its floor."""
    return max(TOGETHER_IDLE_FLOOR, idle_minutes) if idle_minutes else 0


@dataclass(frozen=True)
class Hours:
    """A span of each day in the operator's zone, `18:00-23:00`; one that ends before it begins runs over midnight."""

    begin: time
    end: time

    def contain(self, at: datetime) -> bool:
        now = at.astimezone().time()
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end

    def end_from(self, at: datetime) -> datetime:
        """When the span that holds `at` ends; outside the hours, `at` itself."""
        if not self.contain(at):
            return at
        here = at.astimezone()
        ends = (datetime.combine(here.date() + timedelta(days=days), self.end) for days in (0, 1))
        return next(end.astimezone() for end in ends if end > here.replace(tzinfo=None))

    def begin_from(self, at: datetime) -> datetime:
        """When the span begins next; within the hours, `at` itself."""
        if self.contain(at):
            return at
        here = at.astimezone()
        begins = (datetime.combine(here.date() + timedelta(days=days), self.begin) for days in (0, 1))
        return next(begin.astimezone() for begin in begins if begin > here.replace(tzinfo=None))

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"


def parse_daily_hours(value: str) -> Hours:
    """`18:00-23:00`."""
    found = re.fullmatch(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})", value.strip())
    try:
        if found is None:
            raise ValueError
        begin, end = time(int(found[1]), int(found[2])), time(int(found[3]) % 24, int(found[4]))
    except ValueError:
        raise ValueError("is not a span of a day like 18:00-23:00") from None
    if begin == end:
        raise ValueError("is not a span of a day: it ends where it begins")
    return Hours(begin, end)


def parse_usd_or_none(value: str) -> Decimal | None:
    """The same, or `none`: no limit at all."""
    return None if value.strip().lower() == "none" else parse_usd(value)


def parse_usd(value: str) -> Decimal:
    """An amount of dollars, `100`, `12.50` or `$5`: positive, at most ten million, at most two decimals."""
    text = value.strip().removeprefix("$").strip()
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d*)?", text):  # thousands; a comma anywhere else may mean a decimal point
        text = text.replace(",", "")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError("is not an amount of dollars") from None
    if "_" in text:  # Python's own spelling, not money
        raise ValueError("is not an amount of dollars")
    if not amount.is_finite() or amount > 10_000_000:
        raise ValueError("is not an amount between $0.01 and $10,000,000")
    if amount <= 0:
        raise ValueError("is not more than zero")
    if amount != amount.quantize(Decimal("0.01")):
        raise ValueError("has more than two decimals")
    return amount.quantize(Decimal("0.01"))


def parse_hours(value: str) -> Decimal:
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        raise ValueError("is not a number of hours") from None
    if not number.is_finite() or not 0 <= number <= 720:
        raise ValueError("is not between 0 and 720 hours")
    return number


def parse_seconds(value: str) -> Decimal:
    try:
        number = Decimal(value.strip())
    except InvalidOperation:
        raise ValueError("is not a number of seconds") from None
    if not number.is_finite() or not Decimal("0.01") <= number <= 3600:
        raise ValueError("is not between 0.01 and 3600 seconds")
    return number


def parse_duration(value: str) -> timedelta:
    """`90s`, `15m`, `2h`: from a tenth of a second to a week."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smh])", value.strip().lower())
    if found is None:
        raise ValueError("is not a length of time like 90s, 15m or 2h")
    unit = {"s": "seconds", "m": "minutes", "h": "hours"}[found[2]]
    time = timedelta(**{unit: float(found[1])})
    if not timedelta(seconds=0.1) <= time <= timedelta(days=7):
        raise ValueError("is not between 0.1s and 168h")
    return time


def parse_speed(value: str) -> Decimal:
    try:
        number = Decimal(value.strip().lower().removesuffix("x"))
    except InvalidOperation:
        raise ValueError("is not a speed like 60x") from None
    if not number.is_finite() or not 0 <= number <= 1_000_000:
        raise ValueError("is not between 0x and 1000000x")
    return number


def parse_url(value: str) -> str:
    """An address of HTTP, its scheme in small letters. Signs that one reader of addresses takes for the end of the host
    and another does not are refused: what is judged must be what is called."""
    from urllib.parse import urlsplit

    url = value.strip().rstrip("/")
    scheme, colon, rest = url.partition(":")
    url = f"{scheme.lower()}{colon}{rest}"
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or no port number
        named = False
    if not named or not url.startswith(("http://", "https://")) or not url.isprintable() or set(url) & set(" \\"):
        raise ValueError("is not an http:// or https:// address")
    return url


def parse_host_names(value: str) -> str:
    """`host.docker.internal, gateway`: names or addresses, without scheme and port, as `a,b`."""
    names = [part.strip().lower() for part in value.split(",")]
    if not all(re.fullmatch(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*", name) for name in names):
        raise ValueError("is not a list of names such as host.docker.internal,gateway, without http:// and port")
    return ",".join(names)


def parse_together_url(value: str) -> str:
    # The original and OpenAI clients write the base with /v1; paths here carry their own version.
    return parse_url(value).removesuffix("/v1")


def parse_path(value: str) -> Path:
    return Path(parse_text(value)).expanduser()


def is_address(value: str) -> bool:
    """Whether a text is an address with a scheme, such as `postgresql://…`, and not the path of a file."""
    return re.match(r"\s*[A-Za-z][A-Za-z0-9+.-]*://", value) is not None


def parse_database_file(value: str) -> Path:
    """The path of a database. An address is refused: taken for a path it would become a file of that name."""
    if is_database_url(value):
        raise ValueError("is an address, and belongs into store.url")
    if is_address(value):
        raise ValueError("is an address of no kind known here: a store is a file, or postgresql://…")
    return parse_path(value)


@dataclass(frozen=True)
class Patience:
    """How many seconds a server is waited for: until it lets somebody in, and until it answers a statement. It is then
    given up, unless it `may_be_busy` and still lets others in."""

    connect_seconds: int = 10
    answer_seconds: float = 10.0
    may_be_busy: bool = True


# For what has to get on, whatever the server does.
IMPATIENT = Patience(connect_seconds=2, answer_seconds=3.0, may_be_busy=False)


@dataclass(frozen=True)
class DatabaseAddress:
    """A store on PostgreSQL: which database, which schema in it, and beside which path its files of this machine lie,
    such as locks. Its password is not shown."""

    url: str = field(repr=False)
    schema: str
    beside: Path
    patience: Patience = Patience()


def with_patience(place: Path | DatabaseAddress, patience: Patience) -> Path | DatabaseAddress:
    """The place of a store, to be waited for so long; a file is not waited for."""
    return replace(place, patience=patience) if isinstance(place, DatabaseAddress) else place


def is_database_url(value: str) -> bool:
    """Whether a text is the address of a PostgreSQL database."""
    return re.match(r"\s*postgres(?:ql)?://", value, re.IGNORECASE) is not None


def parse_database_url(value: str) -> str:
    """`postgresql://user@host:port/database?parameters`, as PostgreSQL's own programs take it."""
    from urllib.parse import urlsplit

    from reasoning_cli.redact import hide

    hide(value)  # before anything can say it
    if not is_database_url(value):
        raise ValueError("is not a postgresql:// address")
    url = value.strip()
    scheme, _, rest = url.partition("://")
    try:
        sound = url.isprintable() and " " not in url and urlsplit(f"{scheme.lower()}://{rest}").port != 0
    except ValueError:  # several hosts have a port each, which nobody but the library reads
        sound = "," in rest
    if not sound:
        raise ValueError("is not a postgresql:// address; signs such as @ or / in a password are written as %40, %2F")
    return f"postgresql://{rest}"


def parse_schema(value: str) -> str:
    """The name of a schema, as nobody has to quote it."""
    name = value.strip()
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) or name.startswith("pg_"):
        raise ValueError("is not a name of small letters, digits and _ (and not pg_…)")
    return name
