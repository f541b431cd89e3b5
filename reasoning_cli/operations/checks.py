"""What `doctor` asks: is everything in place to run models and to know what they cost. Nothing is changed here."""

from __future__ import annotations

import difflib
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from reasoning_cli import __version__
from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError, ExitCode, ReasoningError
from reasoning_cli.operations.agent_env import is_gateway, why_not_free
from reasoning_cli.operations.budget import AT_REST
from reasoning_cli.paths import HOME_VARIABLE, PROFILE_VARIABLE, is_private
from reasoning_cli.redact import mask
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import open_store
from reasoning_cli.store.deployments import Deployments
from reasoning_cli.together.client import TogetherClient

MOST_SKEW_SECONDS = 30


class Status(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, what to type about it, and the exit code if it failed."""

    name: str
    status: Status
    detail: str
    fix: str | None = None
    exit_code: ExitCode = ExitCode.OK


def run_checks(
    settings: Settings, connect: Callable[[], TogetherClient] | None, now: Callable[[], datetime]
) -> Iterator[Check]:
    """Every check in turn, quick ones first. Without `connect` the network is left alone."""
    yield _ok("program", f"python {platform.python_version()}, reasoning {__version__}")
    if settings.paths.profile:
        yield _ok("profile", f"profile {settings.paths.profile}: account and database are its own")
    yield from _folders(settings)
    yield from _settings(settings)
    yield from _variables(settings)
    yield from _database(settings)
    yield from _budget(settings)
    yield from _gateway(settings)
    if connect is None:
        return
    if settings.problems:
        yield _warn("account", "Together was not asked: the settings come first")
    else:
        yield from _account(settings, connect, now)


def exit_code(checks: list[Check]) -> ExitCode:
    """That of the first failure; warnings are no failure."""
    return next((check.exit_code for check in checks if check.status is Status.FAIL), ExitCode.OK)


# --- this machine ---


def _folders(settings: Settings) -> Iterator[Check]:
    database = _database_path(settings)
    files = [settings.paths.config_file, *([database] if database else [])]
    for folder in dict.fromkeys([*(file.parent for file in files), settings.paths.cache_dir]):
        # What does not exist yet is made in the nearest folder that does.
        existing = next((one for one in (folder, *folder.parents) if one.exists()), folder)
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            yield Check(
                "folders",
                Status.FAIL,
                f"nothing can be written in {folder}",
                f"export {HOME_VARIABLE}=FOLDER",
                ExitCode.FAILED,
            )
    for file in files:
        if file.is_file() and not is_private(file):
            yield _warn("modes", f"{file.name} can be read by others", f"chmod 600 {file}")


def _database_path(settings: Settings) -> Path | None:
    try:
        return settings.database()
    except ConfigurationError:
        return None  # shown among the settings


def _database(settings: Settings) -> Iterator[Check]:
    path = _database_path(settings)
    if path is None:
        return
    if not path.exists():
        yield _ok("database", "no database yet; it is made when first needed")
        return
    try:
        with open_store(path, _realm(settings), create=False) as store:
            found = store.check()
    except ReasoningError as error:
        yield _failed("database", error)
        return
    if found.problems:
        yield Check(
            "database",
            Status.FAIL,
            f"{path} is damaged: {found.problems[0]}",
            f"mv {path} {path}.bad",
            ExitCode.FAILED,
        )
    else:
        megabytes = found.size_bytes / 1_000_000
        yield _ok("database", f"database {megabytes:.1f} MB, schema {found.schema_version}, intact")


def _realm(settings: Settings) -> str:
    return "together" if settings.outside is None else "sandbox"


# --- settings ---


def _settings(settings: Settings) -> Iterator[Check]:
    good = not settings.problems
    yield from (_failed("settings", problem) for problem in settings.problems)
    for setting in s.ALL:
        try:
            settings.get(setting)
        except ConfigurationError as error:
            good = False
            _, source, where = settings.find(setting)
            fix = f"reasoning config unset {setting.name}" if source is s.Source.FILE else f"change or unset {where}"
            yield Check("settings", Status.FAIL, error.message, fix, error.exit_code)
    if good:
        yield _ok("settings", f"settings make sense, file {settings.paths.config_file}")


def _variables(settings: Settings) -> Iterator[Check]:
    """Variables that look like settings and do nothing: mistyped, of the original plugin, or overruled by another."""
    known = {name: setting for setting in s.ALL for name in setting.variables}
    families = ("REASONING_", "CUSTOM_REASONING_", "TOGETHER_AI_", "ANTHROPIC_PROXY_")
    for variables, place in ((settings.environ, "environment"), (settings.dotenv, ".env")):
        present = {name: value.strip() for name, value in variables.items() if value.strip()}
        for name in sorted(present):
            if variables is settings.environ and name in (HOME_VARIABLE, PROFILE_VARIABLE):
                continue
            if name.startswith(families) and name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
                fix = f"rename it to {near[0]}, or unset it" if near else f"unset {name}"
                yield _warn("variables", f"{name} ({place}) has no effect", fix)
        for setting in s.ALL:
            if settings.ignores_variables(setting):
                continue
            first, *others = [name for name in setting.variables if name in present] or [""]
            for name in others:
                if present[name] != present[first]:
                    yield _warn("variables", f"{name} ({place}) has no effect: {first} wins", f"unset {name}")


def _budget(settings: Settings) -> Iterator[Check]:
    try:
        limit = settings.get(s.BUDGET_LIMIT)
        cap = settings.get(s.MAX_COST_PER_HOUR)
        period = settings.get(s.BUDGET_PERIOD)
    except ConfigurationError:
        return  # shown among the settings
    if limit is None:
        yield _warn("budget", "no budget is set", "reasoning costs set-budget 100")
    else:
        yield _ok("budget", f"budget ${limit} {period.spoken}" + (f", at most ${cap} an hour" if cap else ""))


def _gateway(settings: Settings) -> Iterator[Check]:
    try:
        port = settings.get(s.GATEWAY_PORT)
    except ConfigurationError:
        return  # shown among the settings
    reason = why_not_free(port)
    if reason is None:
        yield _ok("gateway", f"gateway port {port} is free")
    else:
        yield _warn("gateway", f"gateway port {port}: {reason}", f"reasoning config set gateway.port {port + 1}")
    for setting in (s.OPENAI_UPSTREAM, s.ANTHROPIC_UPSTREAM):
        try:
            circle = is_gateway(settings.get(setting), port)
        except ConfigurationError:
            continue
        if circle:
            yield Check(
                "gateway",
                Status.FAIL,
                f"{setting.name} is the gateway itself; its calls would come back to it for ever",
                f"reasoning config set {setting.name} {setting.default}",
                ExitCode.CONFIGURATION,
            )


# --- Together ---


def _account(settings: Settings, connect: Callable[[], TogetherClient], now: Callable[[], datetime]) -> Iterator[Check]:
    try:
        client = connect()
        client.whoami()
        project = client.project
    except ReasoningError as error:
        yield _failed("account", error)
        return
    key = settings.resolve(s.API_KEY)
    yield _ok("account", f"key {mask(key.value or '')} accepted, project {project.name or project.slug or project.id}")
    if settings.outside is None:  # the sandbox's clock runs ahead on purpose
        yield _clock((now() - client.now()).total_seconds())
    try:
        yield _running(settings, client)
    except ReasoningError as error:
        yield _failed("running", error)


def _clock(ahead: float) -> Check:
    if abs(ahead) <= MOST_SKEW_SECONDS:
        return _ok("clock", "the clock agrees with Together's")
    side = "ahead of" if ahead > 0 else "behind"
    return _warn("clock", f"this clock is {abs(ahead):.0f} s {side} Together's", "sudo timedatectl set-ntp true")


def _running(settings: Settings, client: TogetherClient) -> Check:
    """What may cost money now, ours and not ours; at most, if all of it scales up."""
    path = _database_path(settings)
    known: set[str | None] = set()
    if path is not None and path.exists():
        with open_store(path, _realm(settings), create=False) as store:
            known = {record.deployment_id for record in Deployments(store).live()}
    prices = {one.name: one.price_cents_per_hour for one in client.instance_types()}
    ours = strange = cents = 0
    names = []
    for endpoint in client.endpoints():
        for deployment in client.deployments(endpoint.id):
            if deployment.state in AT_REST:
                continue
            replicas = max(deployment.status.ready_replicas, deployment.autoscaling.max_replicas)
            cents += prices.get(deployment.hardware or "", 0) * replicas
            if deployment.id in known:
                ours += 1
            else:
                strange += 1
                names.append(deployment.name)
    if not ours and not strange:
        return _ok("running", "nothing runs at Together")
    at_most = f"up to ${cents / 100:.2f} an hour"
    if not strange:
        return _ok("running", f"{_count(ours)} of ours, {at_most}")
    return _warn(
        "running",
        f"{_count(ours + strange)}, {at_most}, not from here: {', '.join(names)}",
        "stop those at together.ai",
    )


def _count(number: int) -> str:
    return "1 deployment runs" if number == 1 else f"{number} deployments run"


# --- how ---


def _ok(name: str, detail: str) -> Check:
    return Check(name, Status.OK, detail)


def _warn(name: str, detail: str, fix: str | None = None) -> Check:
    return Check(name, Status.WARN, detail, fix)


def _failed(name: str, error: ReasoningError) -> Check:
    return Check(name, Status.FAIL, error.message, error.hint, error.exit_code)
