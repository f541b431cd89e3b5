"""The guard on the command line: the loop, its sign of life, and how to keep it running."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.options import PrintSystemdOption, typed
from reasoning_cli.commands._shared.services import LINGER, cron_line, unit_lines
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import ConfigurationError, DataError, ReasoningError, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_daily_hours, parse_duration, parse_model_type, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud
    from reasoning_cli.operations.guard.lock import GuardLock
    from reasoning_cli.operations.guard.loop import Round
    from reasoning_cli.operations.guard.policy import Rules
    from reasoning_cli.operations.train.auto.controller import Keeper
    from reasoning_cli.settings import Settings

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 5.0  # while something is being stopped


def guard(
    ctx: typer.Context,
    interval: Annotated[str | None, typer.Option(metavar="60s", help="How often to look.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, act, and end; for cron.")] = False,
    fmt: Annotated[Format, typer.Option("--format", "-f", help="table for a person, jsonl for a log.")] = Format.TABLE,
    print_systemd: PrintSystemdOption = False,
    print_cron: Annotated[bool, typer.Option("--print-cron", help="Print a line for crontab.")] = False,
) -> None:
    """Look every minute, and stop what is idle, over budget, over the cap or out of its hours.

    One guard acts at a time. Without one, Together's own idle stop still works.
    """
    session = session_of(ctx)
    if print_systemd or print_cron:
        often = ["--interval", interval] if interval is not None else []
        if print_systemd:
            session.terminal.print(_systemd_unit(session, often))
        else:
            session.terminal.print(cron_line(session, "costs", "guard", "--once", "--format", "jsonl"))
        warn_about_key(session)
        return
    if fmt not in (Format.TABLE, Format.JSONL):
        raise UsageError(f"the guard cannot write {fmt}", "use --format table or --format jsonl")
    seconds = session.settings.get(s.GUARD_INTERVAL)
    pause = (
        typed(parse_duration, interval, "--interval 60s") if interval is not None else timedelta(seconds=float(seconds))
    )
    _run(session, pause, once=once, fmt=fmt)


def schedule(
    ctx: typer.Context,
    model_type: Annotated[str, typer.Argument(metavar="TYPE", help="should-respond, planning or coding.")],
    hours: Annotated[str, typer.Argument(metavar="HH:MM-HH:MM|none", help="When it may run, each day, in your zone.")],
) -> None:
    """Let the guard stop a model outside its hours and start it again inside them."""
    from reasoning_cli.commands._shared.settings import change_settings

    session = session_of(ctx)
    chosen = parse_model_type(model_type)
    wanted = None if hours.strip().lower() == "none" else str(typed(parse_daily_hours, hours, "18:00-23:00"))
    change_settings(session, "schedule", [(s.TYPE_HOURS[chosen], wanted)], chosen)
    name = spell_model_type(chosen)
    session.terminal.say(f"{name} runs {f'from {wanted}' if wanted else 'at any hour'}.")
    if wanted:
        session.terminal.hint("the guard keeps to it: `reasoning costs guard`")


class _Ended(Exception):
    """The guard was told to end while it waited."""


@contextlib.contextmanager
def guard_beside(session: Session) -> Iterator[None]:
    """The guard in a thread of its own until the block ends; while another one is at work, ready to follow it."""
    ended = threading.Event()

    def pause(seconds: float) -> None:
        if ended.wait(seconds):
            raise _Ended

    # Its own connections: what it opens belongs to its thread.
    own = Session(session.terminal, dict(session.flags), session.profile, now=session.now, sleep=pause)

    def run() -> None:
        said = ""
        while not ended.is_set():
            wait = 60.0
            try:
                wait = float(own.settings.get(s.GUARD_INTERVAL))
                _run(own, timedelta(seconds=wait), once=False, fmt=Format.TABLE)
            except _Ended:
                break
            except ReasoningError as problem:
                if problem.message != said:
                    session.terminal.note(f"The guard inside does not look: {problem.message}")
                said = problem.message
                own.read_settings_again()
                ended.wait(wait)
        own.close()

    thread = threading.Thread(target=run, name="guard", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)


def _run(session: Session, interval: timedelta, *, once: bool, fmt: Format) -> None:
    from reasoning_cli.operations.guard.lock import hold_guard

    session.terminal.goes_on = True  # whoever reads what it says
    session.store.require_writable()
    if session.store.is_shared:
        _run_among_others(session, interval, once=once, fmt=fmt)
        return
    with hold_guard(session.settings.database()) as lock:
        _act(session, lock, interval, once=once, fmt=fmt)


def _run_among_others(session: Session, interval: timedelta, *, once: bool, fmt: Format) -> None:
    """Of the guards of all hosts that share the store one acts; the others stand by, and take over when it is gone."""
    from reasoning_cli.operations.gateway.presence import BEAT, Presence, instance, present
    from reasoning_cli.operations.guard.lock import (
        GUARD,
        SharedLock,
        TakenOverError,
        cut_off_who_stands_still,
        find_guard,
    )
    from reasoning_cli.store.open import open_store
    from reasoning_cli.values import IMPATIENT, with_patience

    lock = SharedLock(interval)
    place = with_patience(session.settings.place(), IMPATIENT)
    realm = session.store.realm
    me = Presence(instance("guard", every=min(BEAT, interval / 4)), lambda: open_store(place, realm), lock.facts)
    lock.presence = me
    said, missed = "", 0
    with present(me):
        while True:
            try:
                session.store.require_writable()
                with session.store.alone(GUARD) as hold:
                    if hold is not None:
                        with lock.held_by(hold, session.store) as held:
                            _act(session, held, interval, once=once, fmt=fmt)
                        return
                missed += 1
                seen = find_guard(session.settings.database(), session.store)
                who = f" ({seen.name})" if seen is not None and seen.running else ""
                if once:
                    raise ReasoningError(
                        f"a guard is at work already{who}; two would get in each other's way",
                        "`reasoning doctor` shows it",
                    )
                message = f"Standing by: another guard acts{who}."
                if cut_off_who_stands_still(session.store, missed):
                    message, missed = "The guard that acted stands still: taking over.", 0
            except TakenOverError:
                message = "Standing by: another guard took over, or the store does not answer."
            except DataError as problem:
                if once:
                    raise
                message = f"Standing by: {problem.message}"
                session.reopen_store()
            if message != said:
                session.terminal.note(message)
            said = message
            session.sleep(interval.total_seconds() / 2)


def _act(session: Session, lock: GuardLock, interval: timedelta, *, once: bool, fmt: Format) -> None:
    from reasoning_cli.engines.errors import KeyRefusedError
    from reasoning_cli.operations.guard.loop import Guard, run_guard
    from reasoning_cli.operations.train.auto.controller import Keeper

    terminal = session.terminal
    at_work = Guard(session.store, session.now, lambda: session.is_without_together, lock.check)
    keeper = Keeper(session.store)
    hurried = [False]  # a promotion is under way that nobody else watches
    if not once and fmt is Format.TABLE:
        terminal.note(f"The guard looks every {interval.total_seconds():g} s. Ctrl-C ends it.")

    def connect() -> Cloud:
        lock.check()
        return session.client

    def notify(seen: Round) -> None:
        lock.sign(interval.total_seconds())
        _notify(session, seen, fmt, always=once)
        lock.check()
        hurried[0] = _look_at_promotions(session, fmt)
        _tend(session, keeper, fmt)

    def on_error(problem: ReasoningError) -> None:
        lock.sign(interval.total_seconds(), problem.message)
        terminal.error(problem)
        _post(session, {"problem": problem.message, "hint": problem.hint})
        lock.check()
        hurried[0] = _look_at_promotions(session, fmt)
        if isinstance(problem, KeyRefusedError | ConfigurationError):
            session.disconnect()  # a new key may be set meanwhile

    def pause(seen: Round | None) -> None:
        session.read_settings_again()
        wait = interval.total_seconds()
        soon = hurried[0] or (seen is not None and seen.stopping)
        session.sleep(min(wait, LOOK_AGAIN_SECONDS) if soon else wait)

    run_guard(
        at_work,
        connect,
        lambda: rules_of(session, interval),
        pause=None if once else pause,
        notify=notify,
        on_error=on_error,
    )


def _look_at_promotions(session: Session, fmt: Format) -> bool:
    """Go on with promotions whose command is gone, and tell what came of it; whether there are any under way."""
    from reasoning_cli.operations.deploy.wait import Waiting
    from reasoning_cli.operations.promote.context import GUARD, PromotionContext
    from reasoning_cli.operations.promote.controller import watch_promotions

    def settings_now() -> Settings:
        session.read_settings_again()
        return session.settings

    # Nothing is waited for: what is told to stop is looked at again in the next round.
    wait = Waiting(0, timedelta(), session.sleep)
    try:
        context = PromotionContext(session.client, session.store, settings_now, session.now, wait, GUARD)
        looks = watch_promotions(context)
    except ReasoningError as problem:
        session.terminal.error(problem)
        return True
    for look in looks:
        if look.message is None:
            continue
        record: dict[str, object] = {
            "promotion": look.promotion.number,
            "model_type": look.promotion.model_type,
            "model": look.promotion.model,
            "stage": look.promotion.stage,
            "text": look.message,
        }
        if fmt is Format.JSONL:
            session.terminal.json_lines([record])
        else:
            session.terminal.say(f"{spell_model_type(look.promotion.model_type)}: {look.message}")
        _post(session, record)
    return any(look.promotion.finished_at is None for look in looks)


def rules_of(session: Session, interval: timedelta) -> Rules:
    """The rules as they are set now."""
    from reasoning_cli.commands.data.cleanup import retention_of
    from reasoning_cli.operations.guard.policy import Rules

    get = session.settings.get
    speed = float(get(s.SANDBOX_SPEED)) if session.in_sandbox else 1.0
    return Rules(
        limits=session.limits,
        idle_minutes=session.idle_by_type,
        default_idle_minutes=get(s.IDLE_MINUTES),
        hours={
            model_type: hours for model_type, setting in s.TYPE_HOURS.items() if (hours := get(setting)) is not None
        },
        interval=interval * max(speed, 1.0),
        retention=retention_of(session) if get(s.GUARD_CLEANUP) else None,
    )


def _notify(session: Session, seen: Round, fmt: Format, *, always: bool) -> None:
    """What a round saw and did: each action once, and a line a round where somebody wants it."""
    terminal = session.terminal
    record = _record(seen)
    if fmt is Format.JSONL:
        terminal.json_lines([record])
    else:
        for line in _lines(seen):
            terminal.say(line)
        if always and not seen.done:
            terminal.say(_summary(seen))
    log.info(_summary(seen))
    for warning in seen.warnings:
        terminal.warn(warning)
    for problem in seen.problems:
        terminal.error(problem)
    if seen.done or seen.stopped or seen.warnings or seen.problems:
        _post(session, record)


def _tend(session: Session, keeper: Keeper, fmt: Format) -> None:
    """Let the types that train themselves go on, and say how far they came."""
    from reasoning_cli.commands.train.auto import loop_line, loop_record, tend_loops
    from reasoning_cli.terminal.units import iso, moment

    for loop in tend_loops(session, keeper):
        record: dict[str, object] = {"at": iso(loop.line_at), "training": loop_record(loop)}
        if fmt is Format.JSONL:
            session.terminal.json_lines([record])
        else:
            session.terminal.say(f"{moment(loop.line_at)}  {loop_line(loop)}")
        _post(session, record)


def _lines(seen: Round) -> list[str]:
    from reasoning_cli.terminal.units import counted, moment

    at = moment(seen.at)
    done = [
        f"{at}  {'starting' if verdict.start else 'stopping'} {verdict.record.endpoint_name}: {verdict.text}"
        for verdict in seen.done
    ]
    stopped = [f"{at}  {record.endpoint_name} is {record.state}" for record in seen.stopped]
    deleted = (
        [f"{at}  {counted(seen.samples_deleted, 'sample')} deleted: kept no longer"] if seen.samples_deleted else []
    )
    return [*done, *stopped, *deleted]


def _summary(seen: Round) -> str:
    from reasoning_cli.commands._shared.cost_views import spent_line
    from reasoning_cli.terminal.units import moment

    running = sum(1 for deployment in seen.watched if deployment.record.ready_replicas)
    return f"{moment(seen.at)}  {running} running, {len(seen.watched)} deployed.  {spent_line(seen.standing)}"


def _record(seen: Round) -> dict[str, object]:
    """A round for machines and webhooks."""
    from reasoning_cli.terminal.units import iso, whole_cents

    return {
        "at": iso(seen.at),
        "deployed": [deployment.record.endpoint_name for deployment in seen.watched],
        "running": [deployment.record.endpoint_name for deployment in seen.watched if deployment.record.ready_replicas],
        "spent_cents": whole_cents(seen.standing.usage.high_cents),
        "burn_cents_per_hour": seen.standing.burn_cents_per_hour,
        "actions": [
            {
                "action": "start" if verdict.start else "stop",
                "name": verdict.record.endpoint_name,
                "why": str(verdict.why),
                "text": verdict.text,
            }
            for verdict in seen.done
        ],
        "stopped": [record.endpoint_name for record in seen.stopped],
        "samples_deleted": seen.samples_deleted,
        "warnings": list(seen.warnings),
        "problems": [problem.message for problem in seen.problems],
    }


def _post(session: Session, record: dict[str, object]) -> None:
    """Notify the webhook, if one is set; that it cannot be notified never keeps the guard from its work."""
    from reasoning_cli.webhook import post_json

    try:
        url = session.settings.get(s.WEBHOOK)
        problem = post_json(url, record) if url is not None else None
    except ConfigurationError as error:
        problem = error.message
    if problem:
        session.terminal.warn(f"the webhook was not notified: {problem}")


def _systemd_unit(session: Session, often: list[str]) -> str:
    """A user unit, one for each profile: `systemctl --user enable --now reasoning-guard`."""
    profile = session.settings.paths.profile
    unit = f"reasoning-guard-{profile}" if profile else "reasoning-guard"
    return f"""\
# ~/.config/systemd/user/{unit}.service
# then: systemctl --user enable --now {unit}
{LINGER}
[Unit]
Description=reasoning: stop models that are idle, over budget or out of hours
After=network-online.target

[Service]
{unit_lines(session, "costs", "guard", "--format", "jsonl", *often)}
Restart=always
RestartSec=10

[Install]
WantedBy=default.target"""


def warn_about_key(session: Session) -> None:
    """A service starts without the variables of this shell."""
    where = session.settings.resolve(s.API_KEY)
    if where.source not in (s.Source.FILE, s.Source.FLAG):
        session.terminal.warn("it will not know the API key: a service does not see the variables of this shell")
        session.terminal.hint("keep the key in the settings file: `reasoning config set together.api_key`")
