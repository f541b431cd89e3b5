"""One screen for everything: models, money, the guard, what is not ours."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from reasoning_cli.commands._shared.options import (
    FormatOption,
    IntervalOption,
    JsonOption,
    QuietOption,
    WatchOption,
    chosen_format,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.models.status import money_lines, show_status
from reasoning_cli.terminal.listing import Format

app = typer.Typer(rich_markup_mode=None)


@app.command()
def status(
    ctx: typer.Context,
    watch: WatchOption = False,
    interval: IntervalOption = "5s",
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """One screen: models, money, the guard, as they are now; without key or network, as last seen."""
    session = session_of(ctx)
    show_status(session, chosen_format(fmt, json), _everything, quiet=quiet, every=interval if watch else None)


def _everything(session: Session, at: datetime, online: bool) -> list[str]:
    guard = session.terminal.as_called(_guard_line(session))
    gateway = session.terminal.as_called(_gateway_line(session))
    training = [session.terminal.as_called(line) for line in _training_lines(session, online=online)]
    foreign = _foreign_lines(session) if online else []
    return [
        *_advice_lines(session),
        *money_lines(session, at),
        *(session.terminal.as_called(line) for line in _head_lines(session)),
        guard,
        gateway,
        *_fleet_lines(session),
        _samples_line(session),
        *training,
        *foreign,
    ]


def _advice_lines(session: Session) -> list[str]:
    """Where another way to have decisions answered costs less and has proven itself: which, how much less, how."""
    from reasoning_cli.commands._shared.prices import prices_file
    from reasoning_cli.errors import ReasoningError
    from reasoning_cli.operations.advice.unasked import advice
    from reasoning_cli.operations.costs.token_prices import read_prices

    try:
        found = advice(session.store, session.settings, read_prices(prices_file(session)), session.now())
    except ReasoningError:  # a table of prices that cannot be read: `costs compare` says so
        return []
    if not found:
        return []
    from reasoning_cli.commands._shared.way_views import plain_name
    from reasoning_cli.terminal.units import money
    from reasoning_cli.values import spell_model_type

    return [
        session.terminal.as_called(
            f"ADVICE {spell_model_type(advised.model_type)}: {plain_name(advised.way)} would cost"
            f" {money(advised.saved_cents_a_month)} a month less than {plain_name(advised.now)}: `{advised.way.next}`"
        )
        for advised in found
    ]


def _head_lines(session: Session) -> list[str]:
    """The head in line, where it cannot answer: why, and what to type; else one that waits to be let in."""
    from reasoning_cli.operations.deploy.heads import head_in_line, head_status, waiting_head
    from reasoning_cli.store.train.runs import TrainingRuns
    from reasoning_cli.values import head_training

    lines = []
    if head_in_line(session.settings) is not None:
        head = head_status(session.settings, session.store)
        if head.state == "out":
            run = TrainingRuns(session.store).of_model(head.name)
            anew = head_training(run.plan.get("max_error") if run is not None else None)
            lines.append(f"HEAD   {head.name} answers nothing, {head.model_name}: `{anew}`")
    if (waiting := waiting_head(session.store)) is not None:
        name = waiting.model_name
        lines.append(
            f"HEAD   {name} is learned, and not in line: `reasoning train eval should-respond --model {name}`, then"
            f" `reasoning train promote should-respond --to {name}`"
        )
    return lines


def _guard_line(session: Session) -> str:
    from reasoning_cli.operations.guard.lock import find_guard
    from reasoning_cli.terminal.units import duration

    seen = find_guard(session.settings.database(), session.store)
    if seen is None and session.is_without_together:
        return "GUARD  none was ever seen, and nothing is rented that one would stop"
    if seen is None:
        return "GUARD  none was ever seen; Together's own idle stop is all there is: `reasoning costs guard`"
    age = duration(datetime.now(UTC) - seen.at)
    if seen.running:
        others = f"; standing by on {', '.join(seen.standing_by)}" if seen.standing_by else ""
        if seen.problem is not None:
            return f"GUARD  sees nothing, {seen.name}, last tried {age} ago: {seen.problem}{others}"
        return f"GUARD  at work, {seen.name}, last look {age} ago{others}"
    return f"GUARD  none at work; the last look was {age} ago: `reasoning costs guard`"


def _gateway_line(session: Session) -> str:
    from reasoning_cli import settings as s
    from reasoning_cli.commands.gateway.status import running_or_none
    from reasoning_cli.operations.agents.env import whose_gateway

    port = session.settings.get(s.GATEWAY_PORT)
    record = running_or_none(session)
    if record is None:
        return f"GATEWAY  none on port {port}: `reasoning gateway serve`"
    if (whose := whose_gateway(session.settings, record)) is not None:
        return f"GATEWAY  none of yours; on port {port} runs {whose}: `reasoning gateway serve --port {port + 1}`"
    decisions = sum(entry["decisions"] for entry in record["model_types"].values())
    own = sum(
        entry["by_source"].get(source, {}).get("count", 0)
        for entry in record["model_types"].values()
        for source in ("head", "slot")
    )
    return (
        f"GATEWAY  on port {port}: {decisions:,} decisions, {own:,} answered by our models: `reasoning gateway stats`"
    )


def _fleet_lines(session: Session) -> list[str]:
    """Who is at work on a store that several hosts share."""
    from reasoning_cli.commands._shared.fleet_views import at_work, fleet_lines

    return [f"FLEET  {line}" for line in fleet_lines(at_work(session))]


def _foreign_lines(session: Session) -> list[str]:
    """What runs in this account and was not made from here: the forgotten one that is found on the invoice."""
    from reasoning_cli.errors import ReasoningError
    from reasoning_cli.operations.deploy.unmanaged import foreign_statuses
    from reasoning_cli.terminal.units import money

    try:
        running = [status for status in foreign_statuses(session.client, session.store) if status.burn_cents_per_hour]
    except ReasoningError as problem:
        return [f"NOT OURS  could not be looked at: {problem.message}"]
    if not running:
        return []
    rate = sum(status.burn_cents_per_hour for status in running)
    names = ", ".join(status.name for status in running)
    see = session.terminal.as_called("`reasoning models list --all`")
    return [f"NOT OURS  {names}: {money(rate)}/h that was not deployed from here: {see}"]


def _samples_line(session: Session) -> str:
    from reasoning_cli.store.samples.training_log import SampleFilter, Samples

    count = Samples(session.store).count(SampleFilter())
    return f"DATA   {count:,} decisions kept"


def _training_lines(session: Session, *, online: bool) -> list[str]:
    """What is being trained, and what failed or was done since anybody looked."""
    from contextlib import suppress

    from reasoning_cli.commands._shared.training_context import training_context
    from reasoning_cli.errors import ReasoningError
    from reasoning_cli.operations.train.monitor import look_at_all, not_shown
    from reasoning_cli.values import spell_model_type

    lines = []
    if online:
        with suppress(ReasoningError):  # it is shown as last seen
            look_at_all(session.client, session.store, training_context(session))
    for run in not_shown(session.store):
        name, state = spell_model_type(run.model_type), run.job_status if run.stage == "training" else run.stage
        problem = f": {run.problem}" if run.problem else ""
        see = f"`reasoning train {'show' if run.over else 'status'}{f' {run.number}' if run.over else ''}`"
        lines.append(f"TRAIN  run {run.number} for {name}, {state}{problem}: {see}")
    return lines
