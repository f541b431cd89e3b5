"""What `doctor` says about the gateway: who listens on its port, how it does, and whether the originals are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError, ExitCode, ReasoningError
from reasoning_cli.operations.agents.env import agent_caveat, is_gateway, whose_gateway, why_not_free
from reasoning_cli.operations.doctor.check import Check, ExistingStore, fail, ok, warn
from reasoning_cli.operations.gateway.presence import differing_versions, everybody
from reasoning_cli.settings import Settings
from reasoning_cli.store.serving.spool import spool_of
from reasoning_cli.values import Agent, spell_model_type


@dataclass(frozen=True)
class Probes:
    """How the gateway and others are asked: `gateway` gives the figures of one that runs, None when none of ours does;
    `look` sends a GET without a key, and gives the status or why there is none."""

    gateway: Callable[[], Mapping[str, Any] | None]
    look: Callable[[str], int | str]


def check_gateway(settings: Settings, probes: Probes, *, online: bool) -> Iterator[Check]:
    """The port and who has it, what is wrong in a gateway that runs, and (online) every address calls go to."""
    try:
        port = settings.get(s.GATEWAY_PORT)
    except ConfigurationError:
        return  # shown among the settings
    reason = why_not_free(port)
    running = probes.gateway() if reason is not None else None
    whose = None if running is None else whose_gateway(settings, running)
    if whose is not None:
        fix = f"reasoning config set gateway.port {port + 1}"
        yield warn("gateway", f"gateway port {port}: none of yours is there, but {whose}", fix)
        running = None
    elif running is not None:
        yield from _running(port, running)
    elif reason is not None:
        yield warn("gateway", f"gateway port {port}: {reason}", f"reasoning config set gateway.port {port + 1}")
    else:
        yield ok("gateway", f"gateway port {port} is free; no gateway runs")
    for setting in (s.OPENAI_UPSTREAM, s.ANTHROPIC_UPSTREAM):
        try:
            url = settings.get(setting)
        except ConfigurationError:
            continue
        if is_gateway(url, port):
            yield fail(
                "gateway",
                f"{setting.name} is the gateway itself; its calls would come back to it for ever",
                f"reasoning config set {setting.name} {setting.default}",
                ExitCode.CONFIGURATION,
            )
        elif online and (url != setting.default or (running is not None and settings.outside is None)):
            seen = probes.look(url)
            if isinstance(seen, str):
                fix = f"reasoning config set {setting.name} URL"
                yield warn("gateway", f"{setting.name} {url} cannot be reached: {seen}", fix)


def check_fleet(existing: ExistingStore) -> Iterator[Check]:
    """Who is at work on a store that several hosts share, and whether they are of one version."""
    try:
        if (store := existing.open()) is None:
            return
        with store:
            seen = everybody(store)
    except ReasoningError:
        return  # shown as the database's own problem
    for each in seen:
        who = f"{each.instance.kind} on {each.instance.host} (process {each.instance.pid}, {each.instance.version})"
        if each.is_gone:
            yield warn("fleet", f"{who} has gone: no sign of life for {each.ago.total_seconds():,.0f} s")
        else:
            acts = ", acts" if each.facts.get("acts") else ", stands by" if each.instance.kind == "guard" else ""
            yield ok("fleet", f"{who}, seen {each.ago.total_seconds():,.0f} s ago{acts}")
    if versions := differing_versions(seen):
        yield warn("fleet", f"versions differ: {', '.join(versions)}", "pip install --upgrade reasoning")


def check_spool(settings: Settings) -> Iterator[Check]:
    """What waits here for a store that could not be written to, and goes in when it can, as long as a gateway runs."""
    spool = spool_of(settings.database())
    if (why := spool.problem()) is not None:
        yield warn("gateway", f"what waits in {spool.path} for the store cannot be read: {why}", "look at that file")
        return
    waiting = spool.waiting()
    if waiting.since is not None:
        what = f"{waiting.count:,} decisions wait on this machine's disk for the store, the first since"
        yield warn("gateway", f"{what} {waiting.since:%Y-%m-%d %H:%M} UTC", "reasoning gateway serve")


def _running(port: int, record: Mapping[str, Any]) -> Iterator[Check]:
    decisions = sum(entry["decisions"] for entry in record["model_types"].values())
    own = sum(entry["by_source"].get("slot", {}).get("count", 0) for entry in record["model_types"].values())
    yield ok("gateway", f"a gateway runs on port {port}: {decisions:,} decisions, {own:,} answered by your models")
    for model_type, slot in record["slots"].items():
        name = spell_model_type(model_type)
        waking = f" ({slot['waking']})" if slot["waking"] else ""
        if slot["closed"] is not None:
            yield ok("gateway", f"{name}: the original answers, {slot['closed']}{waking}")
        elif slot["circuit"] != "closed":
            fix = f"reasoning models test {name}"
            yield warn("gateway", f"{name}: its model failed too often, the original answers for a while", fix)
    recording = record["recording"]
    if recording["dropped"]:
        why = f": {recording['last_error']}" if recording["last_error"] else ""
        yield warn("gateway", f"{recording['dropped']:,} decisions were not kept{why}", "reasoning gateway status")
    if record["problem"]:
        yield warn("gateway", f"it works with settings of before: {record['problem']}", "reasoning config")
    yield ok("gateway", f"agents: {agent_caveat(Agent.ELIZAOS, 0)}")
