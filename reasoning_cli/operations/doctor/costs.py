"""What `doctor` says about money: how much of each budget is used, and whether anybody watches what runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path

from reasoning_cli.engines.serving import Deployment
from reasoning_cli.errors import ConfigurationError, ReasoningError
from reasoning_cli.operations.costs.budget import Limits, Standing, read_limits, spending_rate, standings
from reasoning_cli.operations.deploy.status import last_look
from reasoning_cli.operations.doctor.check import Check, ExistingStore, database_path, fail, ok, warn
from reasoning_cli.operations.guard.lock import GuardSeen, find_guard
from reasoning_cli.settings import Settings
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.values import spell_model_type

MOST_INTERVALS = 3  # of a guard, after which it counts as gone


def check_budget(settings: Settings, existing: ExistingStore, now: datetime) -> Iterator[Check]:
    """Each budget with what is used of it, as far as the ledger knows."""
    try:
        limits = read_limits(settings)
    except ConfigurationError:
        return  # shown among the settings
    used = _standings(existing, limits, now)
    cap = f", at most ${limits.hour_usd} an hour" if limits.hour_usd else ""
    if limits.budget_usd is None:
        yield warn("budget", "no budget is set", "reasoning costs set-budget 100")
    else:
        yield _budget(f"budget ${limits.budget_usd} {limits.period.spoken}", used.get(None), cap)
    whole = used.get(None)
    if whole is not None and whole.is_capped:
        rate = whole.rate_cents_per_hour / 100
        text = f"the last hour cost ${rate:.2f}, the cap is ${limits.hour_usd}: the baseline answers for paid tokens"
        yield warn("budget", text, f"reasoning costs set-cap {ceil(rate) + 1}")
    for model_type, amount in limits.by_type.items():
        name = spell_model_type(model_type)
        yield _budget(f"budget for {name} ${amount} {limits.period.spoken}", used.get(model_type), "")


def _standings(existing: ExistingStore, limits: Limits, now: datetime) -> dict[str | None, Standing]:
    """Where each budget stands, by model type; none without a ledger, or with one that is damaged."""
    try:
        store = existing.open()
        if store is None:
            return {}
        with store:
            # The sandbox's clock is ahead of ours.
            at = max(now, last_look(store) or now)
            return {standing.model_type: standing for standing in standings(store, limits, at)}
    except ReasoningError:
        return {}


def _budget(what: str, standing: Standing | None, cap: str) -> Check:
    if standing is None or standing.limit_cents is None:
        return ok("budget", f"{what}, nothing used{cap}")
    share = standing.usage.high_cents * 100 / standing.limit_cents
    text = f"{what}, ${standing.usage.high_cents / 100:.2f} used ({share:.0f} %){cap}"
    if share >= standing.limits.warn_percent:
        return warn("budget", text, "reasoning costs report")
    return ok("budget", text)


def check_guard(
    settings: Settings, existing: ExistingStore, running: Sequence[Deployment] | None, now: datetime
) -> Iterator[Check]:
    """Whether a guard watches what runs: by Together's word, or (None) as last seen.

    Without one only Together's idle stop is left, and a deployment without that costs until somebody remembers it.
    """
    database = database_path(settings)
    if database is None:
        return
    seen = _find_guard(database, existing)
    age = max(now - seen.at, timedelta()) if seen else None
    is_fresh = age is not None and seen is not None and age <= MOST_INTERVALS * timedelta(seconds=seen.interval_seconds)
    if seen is not None and age is not None and is_fresh and seen.problem is None:
        where = f" ({seen.name} acts)" if seen.host is not None else ""
        yield ok("guard", f"a guard looked {_spoken(age)} ago{where}")
        return
    watched = _as_last_seen(existing) if running is None else _as_running(running)
    if not watched:
        return
    who = "no guard was ever seen here" if seen is None or age is None else _absent(seen, age, is_fresh=is_fresh)
    fix = "reasoning costs guard --print-systemd"
    endless = [name for name, stops in watched.items() if not stops]
    if endless:
        yield fail("guard", f"nothing stops {', '.join(endless)}: no idle stop at Together, and {who}", fix)
    else:
        yield warn("guard", f"{', '.join(watched)}: only Together's idle stop watches, {who}", fix)


def _absent(seen: GuardSeen, age: timedelta, *, is_fresh: bool) -> str:
    """Why a guard that was seen does not count as one."""
    who = f"the guard ({seen.name})" if seen.running else "the last guard"
    if is_fresh:
        return f"{who} {'cannot' if seen.running else 'could not'} look: {seen.problem}"
    return f"{who} {f'has not looked for {_spoken(age)}' if seen.running else f'looked {_spoken(age)} ago'}"


def _find_guard(database: Path, existing: ExistingStore) -> GuardSeen | None:
    """The guard that acts; what keeps the store from being asked is shown as the database's own problem."""
    try:
        if (store := existing.open()) is None:
            return find_guard(database)
        with store:
            return find_guard(database, store)
    except ReasoningError:
        return find_guard(database)


def _as_running(running: Sequence[Deployment]) -> dict[str, bool]:
    """What runs, by its endpoint, and whether Together stops it when it is idle."""
    return {deployment.name.split("/")[-2:][0]: bool(deployment.inactive_timeout) for deployment in running}


def _as_last_seen(existing: ExistingStore) -> dict[str, bool]:
    """The same by our own book."""
    try:
        store = existing.open()
        if store is None:
            return {}
        with store:
            return {
                record.endpoint_name: record.idle_minutes > 0
                for record in Deployments(store).live()
                if spending_rate(record)
            }
    except ReasoningError:
        return {}  # shown as the database's own trouble


def _spoken(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
