"""What becomes of the variables in the `.env` of an ElizaOS agent that ran the original plugin.

The plan is a value: shown by `--dry-run`, written by the real run. No secret is in it but in `Plan.changes`.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.operations.agents.env import is_gateway
from reasoning_cli.paths import HOME_VARIABLE, PROFILE_VARIABLE
from reasoning_cli.redact import mask, redact, remember


class Outcome(StrEnum):
    """What becomes of a variable."""

    SET = "set"
    SAME = "same"
    NO_EFFECT = "no_effect"
    WRONG = "wrong"
    IGNORED = "ignored"


@dataclass(frozen=True)
class Variable:
    """A variable and its outcome. `value` and `before` are what `setting` becomes and was, secrets masked; `why`
    follows where it becomes nothing."""

    name: str
    outcome: Outcome
    setting: str | None = None
    value: str | None = None
    before: str | None = None
    why: str | None = None


@dataclass(frozen=True)
class Plan:
    """Every variable of the file, in its order, and the texts to write by name of the setting."""

    variables: tuple[Variable, ...]
    changes: Mapping[str, str]

    @property
    def wrong(self) -> tuple[Variable, ...]:
        return tuple(variable for variable in self.variables if variable.outcome is Outcome.WRONG)


_OF_PROXY = "it belonged to the original's proxy"
_NO_EFFECT = (
    (r"(CUSTOM_REASONING|REASONING_SERVICE)_ENABLED", "each model type has a switch of its own"),
    (r"REASONING_SERVICE_MODELS", "each model type has its own: planning.model and so on"),
    (r"ANTHROPIC_(REQUEST_SIZE_LIMIT|CONTEXT_WINDOW|TOKEN_RATIO)", _OF_PROXY),
    (r"REASONING_(PROXY_ENABLED|TEMPERATURE|MAX_TOKENS|TIMEOUT)|ELIZAOS_FINETUNED_MODEL|FALLBACK_MODEL", _OF_PROXY),
    (
        r"TOGETHER_AI_(TIMEOUT|MAX_RETRIES|DEFAULT_MAX_TOKENS|RATE_LIMIT|DELAY)",
        "how long to wait and when to try again follows from what Together answers",
    ),
    (r"MODEL_PRICING_OVERRIDES|DEEPSEEK_\w+_PRICE", "prices are asked of Together"),
    (r"COST_BUDGET_ALERT", "the guard warns at budget.warn_percent"),
    (r"COST_AUTO_SHUTDOWN_THRESHOLD", "the guard stops what would break budget.limit_usd"),
    (r"QUALITY_THRESHOLD_(HIGH|MEDIUM|LOW)|MIN_QUALITY_SCORE", "samples have no score"),
    (r"DATA_SPLIT_(TRAIN|VALIDATION|TEST)|MODEL_TRAINING_\w+", "this version does not train"),
    (r"TRAINING_RECORDINGS_DIR", "samples are kept in the database: store.path"),
    (rf"{HOME_VARIABLE}|{PROFILE_VARIABLE}", "it chooses where settings are: export it"),
    (r"REASONING_SANDBOX\w*", "the sandbox is chosen for a run: `reasoning --sandbox`"),
)
_FAMILIES = ("REASONING_", "CUSTOM_REASONING_", "TOGETHER_AI_", "ANTHROPIC_PROXY_")

# How names of variables are written. What else stands before a `=` may be the last line of somebody's private key.
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")

_OLD_TOGETHER = re.compile(r"https://api\.together\.xyz(/v1)?/?")

# Where the agent's provider is, in variables of its own plugins.
_UPSTREAMS: dict[str, s.Setting[object]] = {
    "OPENAI_BASE_URL": s.OPENAI_UPSTREAM,
    "ANTHROPIC_BASE_URL": s.ANTHROPIC_UPSTREAM,
}

# Which setting is read from a variable; of several for one setting the first one wins.
_READERS: dict[str, s.Setting[object]] = {name: setting for setting in s.ALL for name in setting.variables} | _UPSTREAMS


def plan_taking_over(variables: Mapping[str, str], settings: s.Settings) -> Plan:
    """Decide what becomes of each variable. `settings` are those of the run; only what their file says counts."""
    present = {name: value.strip() for name, value in variables.items() if _NAME.fullmatch(name)}
    of_file = s.Settings(settings.paths, file=settings.file)
    own = replace(settings, dotenv={})  # it may be the very file
    judge = _Judge(present, of_file, own, rehearsing=settings.outside is not None)
    outcomes = [judge.outcome(name) for name in present]
    changes = {
        outcome.setting: judge.text(outcome.name)
        for outcome in outcomes
        if outcome.outcome is Outcome.SET and outcome.setting is not None
    }
    return Plan(tuple(outcomes), changes)


@dataclass(frozen=True)
class _Judge:
    """The variables of a file and the settings they would change."""

    present: Mapping[str, str]
    of_file: s.Settings
    own: s.Settings
    rehearsing: bool

    def text(self, name: str) -> str:
        """A value as the setting takes it: the original's base address of Anthropic had no `/v1`, ours has."""
        text = self.present[name]
        if name == "ANTHROPIC_BASE_URL" and not text.rstrip("/").endswith("/v1"):
            return f"{text.rstrip('/')}/v1"
        return text

    def outcome(self, name: str) -> Variable:
        setting = _READERS.get(name)
        if (why := self._why_not(name)) is not None:
            return Variable(name, Outcome.NO_EFFECT, why=why)
        if setting is not None:
            return self._take_over(name, setting)
        if not name.startswith(_FAMILIES):
            return Variable(name, Outcome.IGNORED)
        near = difflib.get_close_matches(name, _READERS, n=1, cutoff=0.9)
        why = f"no setting is read from it{f'; {near[0]} is meant, perhaps' if near else ''}"
        return Variable(name, Outcome.NO_EFFECT, why=why)

    def _why_not(self, name: str) -> str | None:
        """Why a variable that this program or the original knows becomes nothing; None when it does, or is unknown."""
        for pattern, why in _NO_EFFECT:
            if re.fullmatch(pattern, name):
                return why
        setting, text = _READERS.get(name), self.present[name]
        if setting is None:
            return None
        if setting.of_operator:  # an agent's file must not say where decisions and keys go
            return f"you alone can say it: `reasoning config set {setting.name}`"
        if not text:
            return "it is empty"
        if (winner := self._winner(setting)) != name:
            return f"{winner} wins"
        if self.rehearsing and setting.name.startswith("together."):
            return "the sandbox has its own key and address"
        if self.rehearsing and name in _UPSTREAMS:
            return "the sandbox has a stand-in for the provider; to call it for real, name it with `config set`"
        if setting is s.BASE_URL and _OLD_TOGETHER.fullmatch(text):
            return f"it was the original's default; Together is at {s.BASE_URL.default}"
        if name in _UPSTREAMS and is_gateway(text, self._port()):
            return "it leads to the gateway, as it should; whom the agent called before, `reasoning setup` asks"
        if setting is s.BUDGET_LIMIT and re.fullmatch(r"\$?0+(\.0*)?", text):
            return "0 meant no limit; `reasoning costs clear-budget` takes one away"
        return None

    def _winner(self, setting: s.Setting[object]) -> str | None:
        """Of the variables that `setting` is read from the first that is not empty."""
        return next((name for name, reader in _READERS.items() if reader is setting and self.present.get(name)), None)

    def _port(self) -> int:
        """Where the gateway will listen, as far as that makes sense."""
        for text in (self.present.get(self._winner(s.GATEWAY_PORT) or ""), self.of_file.find(s.GATEWAY_PORT)[0]):
            with contextlib.suppress(ValueError):
                return s.GATEWAY_PORT.parse(text or "")
        return s.GATEWAY_PORT.default

    def _take_over(self, name: str, setting: s.Setting[object]) -> Variable:
        text = self.text(name)
        if setting.secret:
            remember(text)
        shown = mask(text) if setting.secret else redact(text)
        try:
            value = setting.parse(text)
        except ValueError as error:
            return Variable(name, Outcome.WRONG, setting.name, why=f"`{shown}` {error}")
        if setting in _UPSTREAMS.values() and is_gateway(str(value), self._port()):
            return Variable(
                name, Outcome.WRONG, setting.name, why=f"`{shown}` is where the gateway itself is to listen"
            )
        try:
            now = self.of_file.get(setting)
        except ConfigurationError:
            now = None  # what makes no sense is replaced
        before = None if now is None else mask(str(now)) if setting.secret else redact(s.spell(now))
        if value == now:
            return Variable(name, Outcome.SAME, setting.name, before, before)
        if setting is s.API_KEY and now is not None:
            why = f"another, {before}, is set; `reasoning config set-key` tries a new one before it takes its place"
            return Variable(name, Outcome.NO_EFFECT, setting.name, before=before, why=why)
        if (key := self._key_from_elsewhere(setting)) is not None:
            why = f"{key} is not from this file, and would go there; `reasoning config set {setting.name}` if it may"
            return Variable(name, Outcome.NO_EFFECT, setting.name, before=before, why=why)
        return Variable(name, Outcome.SET, setting.name, shown, before)

    def _key_from_elsewhere(self, setting: s.Setting[object]) -> str | None:
        """A key, if there is one, that would go to the address that `setting` becomes, and is not in the same file."""
        if not isinstance(setting.carries, s.Setting):
            return None  # where the agent's own key goes, its file may say
        beside = self.present.get(self._winner(setting.carries) or "")
        known = {
            (environment.find(setting.carries)[0] or beside or "").strip() for environment in (self.of_file, self.own)
        }
        return setting.carries.name if known - {beside or ""} else None
