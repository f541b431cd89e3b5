"""The table of settings: name, meaning, default and variables of each. What one is now, `settings` says.

A setting `group.name` is `REASONING_GROUP_NAME` in the environment; the variables of the original plugin are read
after it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Generic, TypeVar

from reasoning_cli.errors import ConfigurationError, UsageError
from reasoning_cli.redact import mask, without_passwords
from reasoning_cli.values import (
    MODEL_TYPES,
    Hours,
    Mode,
    Period,
    PromptForm,
    TokenLimit,
    TokenRate,
    parse_boolean,
    parse_daily_hours,
    parse_database_file,
    parse_database_url,
    parse_engine,
    parse_head,
    parse_host_names,
    parse_hours,
    parse_idle_minutes,
    parse_key,
    parse_line,
    parse_mode,
    parse_path,
    parse_period,
    parse_prompt_form,
    parse_schema,
    parse_seconds,
    parse_share,
    parse_speed,
    parse_text,
    parse_together_url,
    parse_token_limit,
    parse_token_rate,
    parse_url,
    parse_usd,
    parse_usd_or_none,
    parse_whole,
    spell_model_type,
)

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Setting(Generic[T_co]):
    """One thing the operator can choose. `parse` raises ValueError with a reason that follows the value.

    One `of_account` says whose account or ledger is worked on: in a profile its file or a flag says so, no variable.
    One `of_operator` is never read from the working folder. One that is an address `carries` what is sent there: a key,
    by its setting, or in words what no working folder may send anywhere.
    """

    name: str
    parse: Callable[[str], T_co]
    default: T_co
    help: str
    other_variables: tuple[str, ...] = ()
    secret: bool = False
    of_account: bool = False
    of_operator: bool = False
    carries: Setting[str | None] | str | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment names, the one that wins first."""
        return (f"REASONING_{self.name.upper().replace('.', '_')}", *self.other_variables)

    def read(self, text: str, where: str) -> T_co:
        """Parse `text`, or say which value from which place is wrong."""
        try:
            return self.parse(text)
        except ValueError as error:
            shown = mask(text) if self.secret else without_passwords(text)
            raise ConfigurationError(f"{where}: `{shown}` {error}", f"{self.name}: {self.help}") from None


def _original(*names: str) -> tuple[str, ...]:
    """Both variable families of the original plugin."""
    return tuple(f"{family}_{name}" for name in names for family in ("CUSTOM_REASONING", "REASONING_SERVICE"))


API_KEY: Setting[str | None] = Setting(
    "together.api_key",
    parse_key,
    None,
    "Together API key",
    ("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
    secret=True,
    of_account=True,
)
BASE_URL = Setting(
    "together.base_url",
    parse_together_url,
    "https://api.together.ai",
    "address of Together's API",
    ("TOGETHER_BASE_URL", "TOGETHER_AI_BASE_URL"),
    of_account=True,
    carries=API_KEY,
)
PROJECT_ID: Setting[str | None] = Setting(
    "together.project_id",
    parse_text,
    None,
    "project to work in; default: the key's own",
    ("TOGETHER_PROJECT_ID",),
    of_account=True,
)
MODEL: dict[str, Setting[str]] = {
    model_type: Setting(
        f"{model_type}.model",
        parse_text,
        default,
        f"model that `models deploy {spell_model_type(model_type)}` deploys",
        _original(f"{model_type.upper()}_MODEL"),
    )
    for model_type, default in zip(
        MODEL_TYPES,
        (
            "moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond",
            "moonmakesmagic/DeepSeek-Qwen-14B-planning",
            "moonmakesmagic/DeepSeek-Llama-67B-coding",
        ),
        strict=True,
    )
}
ENABLED: dict[str, Setting[bool]] = {
    model_type: Setting(
        f"{model_type}.enabled",
        parse_boolean,
        True,
        f"whether {spell_model_type(model_type)} decisions may go to the deployed model",
        _original(f"{model_type.upper()}_ENABLED"),
    )
    for model_type in MODEL_TYPES
}
BUDGET_LIMIT: Setting[Decimal | None] = Setting(
    "budget.limit_usd", parse_usd, None, "dollars a period; unset: no limit", _original("BUDGET_LIMIT")
)
BUDGET_PERIOD = Setting(
    "budget.period", parse_period, Period.MONTH, "what budgets are for: a calendar month or day (UTC), or the total"
)
WARN_PERCENT = Setting("budget.warn_percent", parse_whole(1, 100), 80, "share of a budget at which the guard warns")
TYPE_IDLE: dict[str, Setting[int | None]] = {
    model_type: Setting(
        f"{model_type}.idle_minutes",
        parse_idle_minutes,
        None,
        f"the same as deploy.idle_minutes for {spell_model_type(model_type)} alone",
    )
    for model_type in MODEL_TYPES
}
TYPE_HOURS: dict[str, Setting[Hours | None]] = {
    model_type: Setting(
        f"{model_type}.hours",
        parse_daily_hours,
        None,
        f"hours of the day, like 18:00-23:00, outside which the guard stops {spell_model_type(model_type)}",
    )
    for model_type in MODEL_TYPES
}
GUARD_INTERVAL = Setting("guard.interval_seconds", parse_seconds, Decimal(60), "seconds between two looks of the guard")
WEBHOOK: Setting[str | None] = Setting(
    "guard.webhook_url",
    parse_url,
    None,
    "where the guard posts what it did, as JSON",
    secret=True,
    carries="word of what runs and what it costs",
)
TYPE_BUDGET: dict[str, Setting[Decimal | None]] = {
    model_type: Setting(
        f"{model_type}.budget_usd", parse_usd, None, f"dollars a period for {spell_model_type(model_type)} alone"
    )
    for model_type in MODEL_TYPES
}
MAX_COST_PER_HOUR: Setting[Decimal | None] = Setting(
    "budget.max_cost_per_hour_usd",
    parse_usd_or_none,
    Decimal("40.00"),
    "dollars an hour that all running models and tokens together may cost, or none",
    _original("MAX_COST_PER_HOUR"),
)
RESERVE_HOURS = Setting(
    "budget.reserve_hours",
    parse_hours,
    Decimal(1),
    "hours of everything running that must be left in the budget for a deploy to start",
)
IDLE_MINUTES = Setting(
    "deploy.idle_minutes",
    parse_idle_minutes,
    30,
    "minutes without a request after which a model is stopped; 0 = never. Together does from 30 on, the guard sooner",
    (*_original("AUTO_SHUTDOWN_MINUTES"), "AUTO_SHUTDOWN_IDLE_MINUTES"),
)
POLL_SECONDS = Setting(
    "deploy.poll_seconds",
    parse_seconds,
    Decimal(5),
    "seconds between two looks at a model that is starting or stopping",
)
READY_TIMEOUT = Setting(
    "deploy.timeout_minutes", parse_whole(1, 360), 30, "minutes to wait for a model to become READY"
)
STORE_PATH: Setting[Path | None] = Setting(
    "store.path",
    parse_database_file,
    None,
    "database of samples and costs; default: reasoning.db in the data folder",
    of_account=True,
)
STORE_URL: Setting[str | None] = Setting(
    "store.url",
    parse_database_url,
    None,
    "PostgreSQL database of samples and costs in the place of that file: postgresql://…",
    of_account=True,
    of_operator=True,
)
STORE_SCHEMA = Setting(
    "store.schema",
    parse_schema,
    "reasoning",
    "schema of the PostgreSQL database that the tables are in",
    of_account=True,
    of_operator=True,
)
SPOOL_MB = Setting(
    "store.spool_mb",
    parse_whole(0, 1_000_000),
    256,
    "megabytes of decisions that wait on this machine's disk while PostgreSQL cannot be written to; 0: none",
    of_account=True,
)
COLLECT = Setting(
    "data.collect",
    parse_boolean,
    True,
    "whether decisions that pass through are kept as training samples",
    (*_original("COLLECT_TRAINING_DATA"), "TRAINING_DATA_COLLECTION"),
)
RETENTION_DAYS = Setting(
    "data.retention_days",
    parse_whole(1, 36500),
    30,
    "days that `data cleanup` keeps when it is told nothing else",
    _original("RETENTION_DAYS"),
)
MAX_SAMPLES: Setting[int | None] = Setting(
    "data.max_samples_per_type",
    parse_whole(1, 1_000_000_000),
    None,
    "samples of each type that `data cleanup` keeps when it is told nothing else; unset: no limit",
    _original("MAX_SAMPLES_PER_MODEL"),
)
GUARD_CLEANUP = Setting(
    "data.guard_cleanup", parse_boolean, False, "whether the guard does once an hour what `data cleanup` does"
)
REDACT_ON_WRITE = Setting(
    "data.redact_on_write",
    parse_boolean,
    False,
    "whether `data import` and the gateway take keys and personal data out of decisions before they store them",
)
MODE: dict[str, Setting[Mode]] = {
    model_type: Setting(
        f"{model_type}.mode",
        parse_mode,
        Mode.LIVE,
        f"what the model does for {spell_model_type(model_type)}: live answers, canary a share, shadow none",
    )
    for model_type in MODEL_TYPES
}
SHARE: dict[str, Setting[int]] = {
    model_type: Setting(
        f"{model_type}.share_percent", parse_whole(0, 100), 10, "share of rooms the model answers as a canary"
    )
    for model_type in MODEL_TYPES
}
WAKE: dict[str, Setting[bool]] = {
    model_type: Setting(
        f"{model_type}.wake",
        parse_boolean,
        False,
        "whether a decision starts its stopped model, budget and hours allowing; the original answers meanwhile",
    )
    for model_type in MODEL_TYPES
}
DEADLINE_MS: dict[str, Setting[int]] = {
    model_type: Setting(
        f"{model_type}.deadline_ms",
        parse_whole(50, 600_000),
        milliseconds,
        "milliseconds the model has for an answer before the original provider is asked",
    )
    for model_type, milliseconds in zip(MODEL_TYPES, (4_000, 20_000, 60_000), strict=True)
}
MAX_TOKENS: dict[str, Setting[int]] = {
    model_type: Setting(f"{model_type}.max_tokens", parse_whole(1, 131_072), tokens, "tokens an answer may have")
    for model_type, tokens in zip(MODEL_TYPES, (512, 2048, 4096), strict=True)
}
WINDOW_TOKENS: dict[str, Setting[int]] = {
    model_type: Setting(
        f"{model_type}.window_tokens",
        parse_whole(256, 10_000_000),
        32_768,
        "tokens of the model's context window, prompt and answer together; a longer one goes to the original",
    )
    for model_type in MODEL_TYPES
}
CONFIDENCE: dict[str, Setting[Decimal | None]] = {
    model_type: Setting(
        f"{model_type}.confidence",
        parse_share,
        None,
        "confidence (0 to 1, from the tokens' probabilities) below which the original provider is asked",
    )
    for model_type in MODEL_TYPES
}
TOOLS: dict[str, Setting[bool]] = {
    model_type: Setting(f"{model_type}.tools", parse_boolean, False, "whether the model can call functions")
    for model_type in MODEL_TYPES
}
TYPE_COLLECT: dict[str, Setting[bool]] = {
    model_type: Setting(
        f"{model_type}.collect", parse_boolean, True, "whether data.collect counts for decisions of this type"
    )
    for model_type in MODEL_TYPES
}
PROMPT_FORM: dict[str, Setting[PromptForm]] = {
    model_type: Setting(
        f"{model_type}.prompt_form",
        parse_prompt_form,
        PromptForm.EXACT,
        "what the model was trained on and is asked: exact, the agent's prompt, or compact, without the template",
    )
    for model_type in MODEL_TYPES
}
PROVIDER_KEY: dict[str, Setting[str | None]] = {
    model_type: Setting(f"{model_type}.provider_key", parse_key, None, "key for that address", secret=True)
    for model_type in MODEL_TYPES
}
PROVIDER_URL: dict[str, Setting[str | None]] = {
    model_type: Setting(
        f"{model_type}.provider_url",
        parse_url,
        None,
        "OpenAI-compatible address with /v1 (vLLM, Ollama, llama.cpp) that serves the model in Together's place",
        carries=key,
    )
    for model_type, key in PROVIDER_KEY.items()
}
# Of the operator's alone: it says to whom the slot's key goes, and its prompts.
ENGINE: dict[str, Setting[str | None]] = {
    model_type: Setting(
        f"{model_type}.engine",
        parse_engine,
        None,
        "engine that answers: together, openai (a server of your own), or one of another package; unset: openai where"
        " provider_url is set, else together",
        of_operator=True,
    )
    for model_type in MODEL_TYPES
}
PARALLEL: dict[str, Setting[int | None]] = {
    model_type: Setting(
        f"{model_type}.parallel",
        parse_whole(1, 256),
        None,
        "questions that server takes at once (llama.cpp's Python server: 1); the original answers the others",
    )
    for model_type in MODEL_TYPES
}
# A head decides whether to respond, and nothing else.
LINE: Setting[tuple[str, ...] | None] = Setting(
    "should_respond.line",
    parse_line,
    None,
    "who is asked, in order, before the original provider: head, together (or another engine); unset: the slot's"
    " engine alone",
    of_operator=True,
)
HEAD: Setting[str | None] = Setting(
    "should_respond.head", parse_head, None, "head in line, by the name it was trained by"
)
HEAD_MODE = Setting(
    "should_respond.head_mode",
    parse_mode,
    Mode.SHADOW,
    "what the head does: live answers what it is sure of, canary for a share of people, shadow none",
)
HEAD_SHARE = Setting(
    "should_respond.head_percent", parse_whole(0, 100), 10, "share of people the head answers as a canary"
)
AUDIT_PERCENT = Setting(
    "should_respond.audit_percent",
    parse_whole(1, 100),
    5,
    "share of what the head would answer that the original provider is asked all the same, to compare",
)
MAX_TOKENS_NAME: dict[str, Setting[TokenLimit]] = {
    model_type: Setting(
        f"{model_type}.max_tokens_name",
        parse_token_limit,
        TokenLimit.MAX_TOKENS,
        "what that server calls the limit of an answer: max_tokens or max_completion_tokens; `doctor` finds out",
    )
    for model_type in MODEL_TYPES
}
TOKEN_PRICE: dict[str, Setting[TokenRate | None]] = {
    model_type: Setting(
        f"{model_type}.token_price",
        parse_token_rate,
        None,
        "what that server charges, 0.20/0.60: dollars a million tokens in and out, or free; unset: by `costs prices`",
    )
    for model_type in MODEL_TYPES
}
# They stand with the others of their type: a settings file has each group once.
HEAD_TYPE = "should_respond"
OF_HEAD: tuple[Setting[object], ...] = (LINE, HEAD, HEAD_MODE, HEAD_SHARE, AUDIT_PERCENT)
# What there is of each setting that a model type has of its own, in the order they are shown.
OF_TYPE: tuple[dict[str, Setting[object]], ...] = (
    MODEL,
    ENABLED,
    MODE,
    SHARE,
    WAKE,
    TYPE_BUDGET,
    TYPE_IDLE,
    TYPE_HOURS,
    DEADLINE_MS,
    MAX_TOKENS,
    WINDOW_TOKENS,
    PROMPT_FORM,
    CONFIDENCE,
    TOOLS,
    TYPE_COLLECT,
    ENGINE,
    PROVIDER_URL,
    PROVIDER_KEY,
    PARALLEL,
    MAX_TOKENS_NAME,
    TOKEN_PRICE,
)  # type: ignore[assignment]  # a dict of one kind of setting is none of any kind
GATEWAY_ENABLED = Setting(
    "gateway.enabled",
    parse_boolean,
    True,
    "whether the gateway lets models answer at all; false: it only hands calls through",
    ("ANTHROPIC_PROXY_ENABLED",),
)
GATEWAY_TOKEN: Setting[str | None] = Setting(
    "gateway.token", parse_key, None, "what a caller must show when the gateway listens beyond this host", secret=True
)
GATEWAY_HOST = Setting(
    "gateway.host", parse_text, "127.0.0.1", "address the agent's calls arrive at", carries=GATEWAY_TOKEN
)
GATEWAY_HOSTS: Setting[str | None] = Setting(
    "gateway.hosts",
    parse_host_names,
    None,
    "names it may be called by where no token is asked for, beside localhost: host.docker.internal,gateway",
)
GATEWAY_TLS_CERT: Setting[Path | None] = Setting(
    "gateway.tls_cert",
    parse_path,
    None,
    "certificate (PEM) to answer callers with over TLS; without it there is no TLS",
)
GATEWAY_TLS_KEY: Setting[Path | None] = Setting(
    "gateway.tls_key", parse_path, None, "its key (PEM, without a password)"
)
GATEWAY_PORT = Setting(
    "gateway.port", parse_whole(1, 65535), 8001, "port the agent's calls arrive at", ("ANTHROPIC_PROXY_PORT",)
)
OPENAI_UPSTREAM = Setting(
    "gateway.openai_upstream",
    parse_url,
    "https://api.openai.com/v1",
    "where the agent's OpenAI calls were going, with /v1",
    carries="the agent's own key",
)
ANTHROPIC_UPSTREAM = Setting(
    "gateway.anthropic_upstream",
    parse_url,
    "https://api.anthropic.com/v1",
    "where the agent's Anthropic calls were going, with /v1",
    carries="the agent's own key",
)
PLAIN_HTTP = Setting(
    "network.allow_plain_http",
    parse_boolean,
    False,
    "whether keys and prompts may go to other machines by http://, where anybody on the way can read them",
    ("REASONING_ALLOW_PLAIN_HTTP",),
    of_operator=True,
)
SANDBOX = Setting("sandbox.enabled", parse_boolean, False, "work on the embedded sandbox, free", ("REASONING_SANDBOX",))
SANDBOX_SPEED = Setting("sandbox.speed", parse_speed, Decimal(60), "how much faster than real the sandbox's clock runs")

ALL: tuple[Setting[object], ...] = (
    API_KEY,
    BASE_URL,
    PROJECT_ID,
    *(
        setting
        for model_type in MODEL_TYPES
        for setting in (*(of_type[model_type] for of_type in OF_TYPE), *(OF_HEAD if model_type == HEAD_TYPE else ()))
    ),
    BUDGET_LIMIT,
    BUDGET_PERIOD,
    WARN_PERCENT,
    MAX_COST_PER_HOUR,
    RESERVE_HOURS,
    IDLE_MINUTES,
    READY_TIMEOUT,
    POLL_SECONDS,
    STORE_PATH,
    STORE_URL,
    STORE_SCHEMA,
    SPOOL_MB,
    COLLECT,
    RETENTION_DAYS,
    MAX_SAMPLES,
    GUARD_CLEANUP,
    REDACT_ON_WRITE,
    GUARD_INTERVAL,
    WEBHOOK,
    GATEWAY_ENABLED,
    GATEWAY_HOST,
    GATEWAY_PORT,
    GATEWAY_TOKEN,
    GATEWAY_HOSTS,
    GATEWAY_TLS_CERT,
    GATEWAY_TLS_KEY,
    OPENAI_UPSTREAM,
    ANTHROPIC_UPSTREAM,
    PLAIN_HTTP,
    SANDBOX,
    SANDBOX_SPEED,
)
BY_NAME = {setting.name: setting for setting in ALL}

_MOST_NAMED = 3


def find_setting(name: str) -> Setting[object]:
    """The setting called `name`. Raises UsageError with the nearest name."""
    wanted = name.strip().lower().replace("-", "_")
    if wanted in BY_NAME:
        return BY_NAME[wanted]
    # A word that settings begin with is none of them: which is meant, its spelling does not tell.
    within = [f"`{other}`" for other in BY_NAME if other.startswith(f"{wanted}.")]
    near = difflib.get_close_matches(wanted, BY_NAME, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "`reasoning config` lists them"
    if within:
        more = "; `reasoning config` lists all" if len(within) > _MOST_NAMED else ""
        hint = f"there are {', '.join(within[:_MOST_NAMED])}{more}"
    raise UsageError(f"`{name}` is not a setting", hint)
