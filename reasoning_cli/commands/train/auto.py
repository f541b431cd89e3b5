"""`train auto`: let a type train itself anew when enough is new, on conditions, and show how that goes."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import astuple, dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.completion import complete_model_types
from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.options import (
    DryRunOption,
    FormatOption,
    JsonOption,
    QuietOption,
    YesOption,
    chosen_format,
    typed,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import NotFoundError, ReasoningError, UsageError
from reasoning_cli.terminal.listing import Column, Format, Kind, Listing
from reasoning_cli.values import HEAD, TOGETHER, parse_model_type, parse_usd, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.train.auto.controller import Keeper, LoopContext
    from reasoning_cli.operations.train.auto.head_rounds import HeadLoopContext
    from reasoning_cli.store.train.auto_loops import Counted, Loop

_EVERY = re.compile(r"(\d{1,4})\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DEFAULTS = timedelta(days=7), 500, Decimal(20)
# Decisions a model is asked about before it may be promoted: enough for the gate, and few enough to pay for.
_EVALUATED = 400
_LEAST_HELD_BACK = 150
_BEGUN: list[subprocess.Popen[bytes]] = []  # what goes on with loops, for this process to bury


@dataclass(frozen=True)
class _Given:
    """The conditions that were typed; None for what was not."""

    engine: str | None
    max_error: str | None
    every: str | None
    min_new: int | None
    count: str | None
    max_cost: str | None
    unattended: bool | None


def auto(
    ctx: typer.Context,
    model_type: Annotated[
        str | None,
        typer.Argument(
            metavar="[TYPE]", help="should-respond, planning or coding.", autocompletion=complete_model_types
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="together|head", help="Who trains: Together, or this process a head, for nothing."),
    ] = None,
    max_error: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Of what a head answers, at most so much against the log; 5."),
    ] = None,
    every: Annotated[str | None, typer.Option(metavar="7d", help="At most once in so long: 12h, 7d or 4w; 7d.")] = None,
    min_new: Annotated[
        int | None, typer.Option("--min-new", metavar="N", min=1, help="When so many samples are new; 500.")
    ] = None,
    count: Annotated[
        str | None,
        typer.Option(
            metavar="labelled|all",
            help="New samples that count: those a person judged (default), or any (a head's).",
        ),
    ] = None,
    max_cost: Annotated[
        str | None,
        typer.Option(metavar="USD", help="What a round may cost, its job and its model's hours together; 20."),
    ] = None,
    unattended: Annotated[
        bool | None,
        typer.Option("--unattended/--ask", help="Promote what passes the gate without asking, or wait for a person."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Go on with the round as far as it can go now, and end; for cron.")
    ] = False,
    off: Annotated[bool, typer.Option("--off", help="Train this type by itself no longer.")] = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a type anew by itself when enough is new: train, evaluate, ask as a shadow, ask to be promoted.

    With --engine head it learns a head, which costs nothing and needs no account.

    The guard goes on with it, one step each time it looks. Without a TYPE: how each loop stands.
    """
    from reasoning_cli.operations.promote.plan import refuse_own_server
    from reasoning_cli.store.train.auto_loops import Loops

    session, chosen = session_of(ctx), chosen_format(fmt, json)
    given = _Given(engine, max_error, every, min_new, count, max_cost, unattended)
    conditions = any(condition is not None for condition in astuple(given))
    if model_type is None:
        if conditions or once or off:
            raise UsageError("which decisions?", "`reasoning train auto planning`, should-respond or coding")
        _list(session, Loops(session.store).all(), chosen, quiet=quiet)
        return
    name = parse_model_type(model_type)
    if off:
        if conditions or once:
            raise UsageError("--off stands alone", "leave the other options away")
        _off(session, name)
        return
    loop = Loops(session.store).get(name)
    if (conditions or loop is None or once) and _engine(given, loop) == TOGETHER:
        refuse_own_server(session.settings, name)  # before a training is paid for
    if conditions or loop is None:
        loop = _set(session, name, loop, given, yes=yes, dry_run=dry_run, json=chosen is Format.JSON)
        if loop is None:
            return
        if chosen is Format.TABLE:
            _say_set(session, loop)
            if not once:
                return
    if once:
        _once(session, loop, chosen)
    else:
        _list(session, [loop], chosen, quiet=quiet)


def tend_loops(session: Session, keeper: Keeper) -> list[Loop]:
    """What the guard does about the loops in a round: begin with what is due, in processes of their own, which may take
    hours; the loops whose state is to be reported."""

    def begin(model_type: str) -> None:
        options = [*session.global_options, *session.database_option]
        words = [*options, "train", "auto", spell_model_type(model_type), "--once"]
        # It outlives a guard that looks once. What goes wrong in it is in the loop's state, not in its output.
        begun = subprocess.Popen(
            [sys.executable, "-m", "reasoning_cli", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _BEGUN.append(begun)

    _BEGUN[:] = [process for process in _BEGUN if process.poll() is None]
    return keeper.tend(session.now(), begin)


def loop_line(loop: Loop) -> str:
    """How a loop stands."""
    return f"{spell_model_type(loop.model_type)}: {loop.line}"


def loop_record(loop: Loop) -> dict[str, object]:
    """A loop for webhooks."""
    return {"type": loop.model_type, "step": loop.step, "line": loop.line}


def _set(
    session: Session,
    model_type: str,
    loop: Loop | None,
    given: _Given,
    *,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> Loop | None:
    """Set a loop up, or its conditions anew; None where that was a dry run."""
    from reasoning_cli.operations.train.auto.controller import rest
    from reasoning_cli.store.audit_log import Event, Events, current_user
    from reasoning_cli.store.train.auto_loops import Loops

    terminal, name = session.terminal, spell_model_type(model_type)
    engine, max_error = _engine(given, loop), _bound(given, model_type, loop)
    every, least, most = (loop.every, loop.min_new, _dollars(loop)) if loop is not None else _DEFAULTS
    if given.every is not None:
        every = typed(_parse_every, given.every, "--every 7d")
    if given.max_cost is not None:
        most = typed(parse_usd, given.max_cost, "--max-cost 20")
    elif most == 0:  # it learned heads before
        most = _DEFAULTS[2]
    if engine == HEAD:
        most = Decimal(0)
    counted = _counted(given.count, engine, loop)
    least = least if given.min_new is None else given.min_new
    alone = given.unattended if given.unattended is not None else loop is not None and loop.unattended
    free = "nothing: a head is learned and answers here"
    facts = [
        ("train", f"{f'a head of {name}' if engine == HEAD else name} anew, at most every {_spell(every)}"),
        ("when", f"{least:,} {'samples are new' if counted == 'all' else 'samples are newly labelled or corrected'}"),
        ("cost", free if engine == HEAD else f"${most:.2f} a round at most: its job, and the hours of its model"),
        ("then", "what passes the gate is promoted" if alone else "what passes the gate waits for your promotion"),
    ]
    if max_error is not None:
        facts.insert(1, ("bound", f"at most {max_error * 100:g} % of what it answers may disagree with the log"))
    if dry_run:
        record: dict[str, object] = {"type": model_type, "engine": engine, "max_error": max_error}
        record |= {"every_seconds": int(every.total_seconds())}
        record |= {"min_new": least, "counted": counted, "max_cost_usd": str(most), "unattended": alone}
        show_dry_run(terminal, facts, record, json=json)
        return None
    spend = "" if engine == HEAD else ", and spend that without asking"
    ask_about(terminal, facts, f"Let it train itself{spend}?", yes=yes)
    now = session.now()
    loop = Loops(session.store).set(
        model_type,
        every=every,
        min_new=least,
        counted=counted,
        max_cost_cents=int(most * 100),
        unattended=alone,
        max_error=max_error,
        by=current_user(),
        at=now,
    )
    detail: dict[str, object] = dict(facts)
    Events(session.store).add(Event(session.ledger_now, "operator", "auto_on", name, detail))
    return (rest(session.store, loop, now)[0] or loop) if loop.step == "resting" else loop


def _engine(given: _Given, loop: Loop | None) -> str:
    """Who trains. UsageError for an engine there is not, and where a round of the other goes on."""
    if given.engine is None:
        return loop.engine if loop is not None else TOGETHER
    engine = given.engine.strip().lower()
    if engine not in (TOGETHER, HEAD):
        raise UsageError(f"`{given.engine}` is not an engine that trains by itself", "there are together and head")
    if loop is not None and loop.step != "resting" and engine != loop.engine:
        name = spell_model_type(loop.model_type)
        raise UsageError(f"a round of {loop.engine} goes on", f"end it first: `reasoning train auto {name} --off`")
    return engine


def _bound(given: _Given, model_type: str, loop: Loop | None) -> float | None:
    """The bound of a head, None where none is learned. UsageError for what does not go together."""
    from reasoning_cli.commands.train._head import parse_max_error
    from reasoning_cli.operations.train.head import check_type

    if _engine(given, loop) != HEAD:
        if given.max_error is not None:
            raise UsageError("--max-error is of a head", "add --engine head")
        return None
    check_type(model_type)
    if given.max_cost is not None:
        raise UsageError("a head costs nothing", "leave --max-cost away")
    if given.max_error is None and loop is not None and loop.max_error is not None:
        return loop.max_error
    return parse_max_error(given.max_error)


def _counted(text: str | None, engine: str, loop: Loop | None) -> Counted:
    """Which new samples count; of a head all, unless somebody wants it otherwise: it learns from what was decided."""
    if text is None:
        if loop is not None and loop.engine == engine:
            return loop.counted
        return "all" if engine == HEAD else "labelled"
    if text not in ("labelled", "all"):
        raise UsageError(f"`{text}` is not a way to count", "--count labelled, or --count all")
    return "all" if text == "all" else "labelled"


def _say_set(session: Session, loop: Loop) -> None:
    terminal, name = session.terminal, spell_model_type(loop.model_type)
    if loop.engine == HEAD:
        terminal.say(f"{name} learns a head by itself, at most every {_spell(loop.every)}, for nothing.")
    else:
        most = f"${_dollars(loop):.2f}"
        terminal.say(f"{name} trains itself, at most every {_spell(loop.every)}, for {most} a round at most.")
    terminal.say(loop_line(loop))
    terminal.hint("the guard goes on with it: `reasoning costs guard`, or `reasoning gateway serve --guard`")


def _off(session: Session, model_type: str) -> None:
    from reasoning_cli.store.audit_log import Event, Events
    from reasoning_cli.store.deploy.deployments import Deployments
    from reasoning_cli.store.train.auto_loops import Loops

    terminal, name = session.terminal, spell_model_type(model_type)
    loop = Loops(session.store).get(model_type)
    if loop is None or not Loops(session.store).remove(model_type):
        raise NotFoundError(f"{name} does not train itself", f"`reasoning train auto {name}` lets it")
    Events(session.store).add(Event(session.ledger_now, "operator", "auto_off", name, {"step": loop.step}))
    terminal.say(f"{name} trains itself no longer.")
    if loop.step == "training" and loop.engine == TOGETHER:
        terminal.hint(f"run {loop.run} goes on at Together; end it: `reasoning train cancel {loop.run}`")
    record = Deployments(session.store).get(loop.candidate_key) if loop.candidate_key else None
    if loop.step != "resting" and record is not None and record.deleted_at is None:
        terminal.hint(f"its model runs on; stop it: `reasoning models undeploy {record.deployment_name}`")


def _once(session: Session, loop: Loop, fmt: Format) -> None:
    """Take the steps that can be taken now, each shown with its line."""
    from reasoning_cli.operations.train.auto.controller import loop_in_hand, take_steps
    from reasoning_cli.operations.train.auto.head_rounds import take_head_steps

    terminal = session.terminal
    with loop_in_hand(session.store, loop.model_type) as mine:
        if not mine:
            raise ReasoningError(
                f"another process goes on with {spell_model_type(loop.model_type)}", "`reasoning train auto` shows how"
            )
        if loop.engine == HEAD:
            after = take_head_steps(_head_context(session, loop), loop.model_type)
        else:
            after = take_steps(_loop_context(session, loop), loop.model_type)
    if after is None:
        return
    if fmt is Format.TABLE:
        terminal.say(loop_line(after))
    else:
        _list(session, [after], fmt)


def _head_context(session: Session, loop: Loop) -> HeadLoopContext:
    from reasoning_cli.commands._shared.prices import prices_file
    from reasoning_cli.operations.costs.token_prices import read_prices
    from reasoning_cli.operations.evaluate.run import EvaluationContext
    from reasoning_cli.operations.evaluate.sampling import EvaluateRequest
    from reasoning_cli.operations.promote.stepping import LocalContext
    from reasoning_cli.operations.train.auto.controller import ACTOR, TYPED
    from reasoning_cli.operations.train.auto.head_rounds import HeadLoopContext
    from reasoning_cli.operations.train.head import HeadRequest
    from reasoning_cli.settings import Settings
    from reasoning_cli.store.samples.training_log import SampleFilter

    def settings_now() -> Settings:
        session.read_settings_again()
        return session.settings

    model_type, get = loop.model_type, session.settings.get
    wanted, folder = SampleFilter(model_types=(model_type,)), session.settings.paths.heads
    assert loop.max_error is not None
    return HeadLoopContext(
        local=LocalContext(session.store, settings_now, session.now, ACTOR),
        request=HeadRequest(wanted, loop.max_error, typed=TYPED),
        folder=folder,
        evaluation=EvaluateRequest(
            model_type=model_type,
            models=(),
            form="exact",
            max_tokens=get(s.MAX_TOKENS[model_type]),
            window_tokens=get(s.WINDOW_TOKENS[model_type]),
            wanted=wanted,
            sample=_EVALUATED,
            heads=folder,
        ),
        evaluating=EvaluationContext(session.now, session.sleep),
        prices=read_prices(prices_file(session)),
        notify=lambda loop: session.terminal.note(loop_line(loop)),
    )


def _loop_context(session: Session, loop: Loop) -> LoopContext:
    from reasoning_cli.commands._shared.model_options import read_timeout, wait_options
    from reasoning_cli.commands._shared.prices import prices_file
    from reasoning_cli.commands._shared.training_context import training_context
    from reasoning_cli.commands.train._run import slot_form
    from reasoning_cli.commands.train.start import window_of
    from reasoning_cli.operations.costs.token_prices import read_prices
    from reasoning_cli.operations.data.export.render import Rules
    from reasoning_cli.operations.data.export.run import ExportRequest
    from reasoning_cli.operations.evaluate.run import EvaluationContext
    from reasoning_cli.operations.evaluate.sampling import EvaluateRequest
    from reasoning_cli.operations.promote.context import PromotionContext
    from reasoning_cli.operations.train.auto.candidate import CandidateContext
    from reasoning_cli.operations.train.auto.controller import ACTOR, TYPED, LoopContext
    from reasoning_cli.operations.train.plan import TrainRequest
    from reasoning_cli.settings import Settings
    from reasoning_cli.store.samples.training_log import SampleFilter, Samples

    model_type, get = loop.model_type, session.settings.get
    wanted = SampleFilter(model_types=(model_type,))
    form = slot_form(session, model_type)
    back = min(0.3, max(0.1, _LEAST_HELD_BACK / max(1, Samples(session.store).count(wanted))))
    rules = Rules(forms={model_type: form}, max_tokens={model_type: window_of(session, model_type)})

    def settings_now() -> Settings:
        session.read_settings_again()
        return session.settings

    wait = wait_options(session, read_timeout(session, None), lambda progress: None)
    return LoopContext(
        candidate=CandidateContext(
            promotion=PromotionContext(session.client, session.store, settings_now, session.now, wait, actor=ACTOR),
            limits=session.limits,
            models=session.models,
            idle_minutes=session.idle_by_type.get(model_type, get(s.IDLE_MINUTES)),
            evaluation=EvaluateRequest(
                model_type=model_type,
                models=(),
                form=form,
                max_tokens=get(s.MAX_TOKENS[model_type]),
                window_tokens=get(s.WINDOW_TOKENS[model_type]),
                wanted=wanted,
                sample=_EVALUATED,
            ),
            evaluating=EvaluationContext(session.now, session.sleep),
            prices=read_prices(prices_file(session)),
        ),
        training=training_context(session),
        request=TrainRequest(
            model_type=model_type,
            export=ExportRequest(wanted=wanted, rules=rules, dedupe="near", split=(1 - back, back)),
            max_cost_usd=_dollars(loop),
            typed=TYPED,
        ),
        slot_form=form,
        notify=lambda loop: session.terminal.note(loop_line(loop)),
    )


def _list(session: Session, loops: list[Loop], fmt: Format, *, quiet: bool = False) -> None:
    from reasoning_cli.terminal.units import moment, money

    columns = [
        Column["Loop"]("type", lambda loop: loop.model_type, "TYPE", lambda loop: spell_model_type(loop.model_type)),
        Column["Loop"]("engine", lambda loop: loop.engine, "BY", priority=5),
        Column["Loop"]("max_error", lambda loop: loop.max_error),
        Column["Loop"]("step", lambda loop: loop.step, "STEP"),
        Column["Loop"]("every", lambda loop: loop.every, "EVERY", lambda loop: _spell(loop.every), priority=4),
        Column["Loop"]("min_new", lambda loop: loop.min_new, "NEW", kind=Kind.NUMBER, priority=4),
        Column["Loop"]("counted", lambda loop: loop.counted),
        Column["Loop"](
            "max_cost_cents",
            lambda loop: loop.max_cost_cents,
            "AT MOST",
            lambda loop: "–" if loop.engine == HEAD else money(loop.max_cost_cents),
            kind=Kind.NUMBER,
            priority=4,
        ),
        Column["Loop"](
            "unattended",
            lambda loop: loop.unattended,
            "PROMOTION",
            lambda loop: "by itself" if loop.unattended else "asks",
            priority=5,
        ),
        Column["Loop"]("by", lambda loop: loop.by),
        Column["Loop"]("begun_at", lambda loop: loop.begun_at),
        Column["Loop"]("ended_at", lambda loop: loop.ended_at),
        Column["Loop"]("run", lambda loop: loop.run),
        Column["Loop"]("evaluation", lambda loop: loop.evaluation),
        Column["Loop"]("line_at", lambda loop: loop.line_at, "SINCE", lambda loop: moment(loop.line_at), priority=5),
        Column["Loop"]("line", lambda loop: loop.line),
    ]
    listing = Listing(columns, loops, id=lambda loop: loop.model_type)
    empty = "Nothing trains itself: `reasoning train auto TYPE` sets that up."
    session.terminal.show(listing, fmt, quiet=quiet, empty=empty)
    if fmt is Format.TABLE and not quiet:
        for loop in loops:
            session.terminal.say(loop_line(loop))


def _dollars(loop: Loop) -> Decimal:
    return Decimal(loop.max_cost_cents) / 100


def _parse_every(text: str) -> timedelta:
    found = _EVERY.fullmatch(text.strip().lower())
    if found is None or not int(found[1]):
        raise ValueError("is not a length of time like 12h, 7d or 4w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _spell(time: timedelta) -> str:
    for unit in ("days", "hours", "minutes"):
        number, rest = divmod(time, timedelta(**{unit: 1}))
        if not rest:
            return f"{number} {unit if number != 1 else unit[:-1]}"
    return str(time)
