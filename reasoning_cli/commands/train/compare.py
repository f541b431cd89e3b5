"""`train compare`: better, worse or not yet known, by live traffic."""

from __future__ import annotations

import textwrap
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_names
from reasoning_cli.commands._shared.model_options import TypeArgument
from reasoning_cli.commands._shared.options import IntervalOption, JsonOption, SinceOption, UntilOption, typed
from reasoning_cli.commands._shared.sample_options import filter_of
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.train.promote import GateOption
from reasoning_cli.errors import NotFoundError
from reasoning_cli.values import is_head, parse_duration, parse_model_type, spell_model_type

if TYPE_CHECKING:
    from datetime import datetime

    from reasoning_cli.operations.evaluate.gate_rules import Gate
    from reasoning_cli.operations.evaluate.online import CompareRequest, Figures, LiveComparison, Question, Side
    from reasoning_cli.terminal.console import Terminal


def compare(
    ctx: typer.Context,
    model_type: TypeArgument,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="The model; default: the canary, else the slot's, else the head in line.",
            autocompletion=complete_names,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="original|MODEL",
            help="What it is held against; default: the model it is to replace, else the original.",
            autocompletion=complete_names,
        ),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    alpha: Annotated[
        float, typer.Option(metavar="PERCENT", min=0.01, max=49, help="How often a verdict may be wrong.")
    ] = 5.0,
    gate: GateOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again and again until there is a verdict.")
    ] = False,
    interval: IntervalOption = "5s",
    json: JsonOption = False,
) -> None:
    """By live traffic in shadow or canary: is a model better, worse, or not yet known? Look as often as you like."""
    from reasoning_cli.operations.deploy.own_server import own_server
    from reasoning_cli.operations.evaluate.gate_rules import read_gate
    from reasoning_cli.operations.evaluate.online import ORIGINAL, CompareRequest
    from reasoning_cli.operations.statistics.sequential import Verdict
    from reasoning_cli.terminal.progress import watching

    session, chosen = session_of(ctx), parse_model_type(model_type)
    span = filter_of(session, None, None, None, None, None, None, since, until)
    server = own_server(session.settings, chosen)
    own = _model_of_server(session, chosen, server.model, model) if server is not None else None
    if model is None and own is None:
        model = _head_alone(session, chosen)
    if is_head(model):
        own, against = model, against or ORIGINAL  # it has no deployment: it is known by its name
    request = CompareRequest(chosen, model, against, span.since, span.until, alpha / 100, own)
    rules = read_gate(gate, chosen)
    if not watch:
        _show(session, _compared(session, request, rules), json=json)
        return
    pause = typed(parse_duration, interval, "--interval 5s").total_seconds()
    with watching(session.terminal) as show:
        while True:
            found = _compared(session, request, rules)
            if json:
                session.terminal.json_lines([_record(found)])
            else:
                show(_lines(session.terminal, found, session.now()))
            if found.verdict is not Verdict.UNDECIDED:
                return
            session.sleep(pause)


def _model_of_server(session: Session, model_type: str, in_slot: str, typed: str | None) -> str:
    """Which model of the operator's own server is meant: what was typed where it was ever on its way into the slot,
    else the one on its way now, else the slot's."""
    from reasoning_cli.store.promote.promotions import Promotions

    came = [promotion for promotion in Promotions(session.store).all(model_type) if promotion.server is not None]
    known = {str(name) for promotion in came for name in (promotion.model, promotion.plan.get("old_model")) if name}
    if typed in known:
        return str(typed)
    return next((promotion.model for promotion in came if promotion.finished_at is None), in_slot)


def _head_alone(session: Session, model_type: str) -> str | None:
    """The head in line of a slot that no model was deployed for: what is meant where none is named. Raises
    NotFoundError where one is learned and was never let in."""
    from reasoning_cli.operations.deploy.heads import head_in_line, waiting_head
    from reasoning_cli.operations.deploy.slots import HEAD_TYPE
    from reasoning_cli.store.deploy.deployments import Deployments

    if model_type != HEAD_TYPE or Deployments(session.store).serving(model_type) is not None:
        return None
    head = head_in_line(session.settings)
    if head is None and (waiting := waiting_head(session.store)) is not None:
        raise NotFoundError(
            f"`{waiting.model_name}` is learned, and not in line: nothing was asked of it",
            f"`reasoning models enable {waiting.model_name} --mode shadow` puts it beside the baseline",
        )
    return head


def _compared(session: Session, request: CompareRequest, rules: Gate) -> LiveComparison:
    from reasoning_cli.commands._shared.prices import prices_file
    from reasoning_cli.operations.costs.breakeven import compare as costs
    from reasoning_cli.operations.costs.token_prices import read_prices
    from reasoning_cli.operations.evaluate.online import compare_live

    prices = costs(session.store, read_prices(prices_file(session)), session.now())
    original = next((price.original for price in prices if price.model_type == request.model_type), None)
    each = original.cents_per_decision if original is not None else None
    return compare_live(session.store, request, rules, session.now(), None if each is None else each * 1000)


def _show(session: Session, found: LiveComparison, *, json: bool) -> None:
    if json:
        session.terminal.json(_record(found))
        return
    for line in _lines(session.terminal, found, session.now()):
        session.terminal.print(line)
    name = spell_model_type(found.model_type)
    if not any(question.asks == "right" and question.finding.trials for question in found.questions):
        session.terminal.hint(f"labels show who is right: `reasoning data review -m {name}`")


def _lines(terminal: Terminal, found: LiveComparison, now: datetime) -> list[str]:
    """The answer first, then what it rests on."""
    from reasoning_cli.terminal.listing import Column, Kind, Listing

    width = terminal.width
    name = spell_model_type(found.model_type)
    lines = [f"{name}: {found.candidate.name} against {found.other.name}"]
    for number, question in enumerate(found.questions):
        lines.append("")
        lines += textwrap.wrap(question.text, width)
        lines += textwrap.wrap(_answer(question, now), max(20, width), initial_indent="  ", subsequent_indent="  ")
        if number == 0 and not question.finding.trials:
            break
    rows = [_row(found.candidate, found.figures), _row(found.other, found.figures_of_other)]
    columns: list[Column[list[str]]] = [Column("name", lambda row: row[0], "", gives_way=True)]
    for place, header in enumerate(("ASKED", "VALID", "AGREED", "GOOD", "P50", "P95", "PER 1,000"), start=1):
        columns.append(Column(header, itemgetter(place), header, kind=Kind.NUMBER, priority=1 if place < 4 else 4))
    table = terminal.table_lines(Listing(columns, rows, id=itemgetter(0)))
    beside = f" Asked the same, both agreed in {found.same:,} of {found.both:,}." if found.both else ""
    left = "".join(
        f" {side.name} left {figures.unsure:,} more to who is asked after it, not confident enough."
        for side, figures in ((found.candidate, found.figures), (found.other, found.figures_of_other))
        if figures.unsure
    )
    percent = f"{found.alpha * 100:g}"
    foot = (
        f"Each answer is wrong in {percent} % of such comparisons at the most, however often one looks."
        f" {found.decisions_per_day:,} decisions came in the last day.{left}{beside}"
    )
    return [*lines, "", *table, "", *textwrap.wrap(foot, width)]


def _row(side: Side, figures: Figures) -> list[str]:
    from reasoning_cli.terminal.units import money

    def share(part: int, whole: int) -> str:
        return f"{part / whole * 100:.1f} %" if whole else "–"

    p50, p95 = figures.percentile(0.5), figures.percentile(0.95)
    return [
        side.name,
        f"{figures.asked:,}",
        share(figures.valid, figures.asked),
        share(figures.agreed, figures.compared),
        share(figures.good, figures.labelled),
        "–" if p50 is None else f"{p50:,} ms",
        "–" if p95 is None else f"{p95:,} ms",
        "–" if side.cents_per_1000 is None else money(side.cents_per_1000),
    ]


def _answer(question: Question, now: datetime) -> str:
    """The verdict with its interval, and how much more it takes."""
    from reasoning_cli.terminal.units import moment

    finding = question.finding
    if not finding.trials:
        return "Not yet known: no decision shows it."
    seen = f"{finding.estimate * 100:+.1f}" if question.floor is None else f"{finding.estimate * 100:.1f}"
    low, high = (f"{end * 100:.1f}" for end in (finding.interval.low, finding.interval.high))
    unit = "points" if question.floor is None else "%"
    basis = f"{seen} {unit}, between {low} and {high}, of {finding.trials:,} decisions"
    if finding.verdict == "undecided":
        if finding.more is None:
            return f"Not yet known: {basis}; at what was seen so far no number of decisions would decide it."
        until = f", at today's rate until {moment(question.until)}" if question.until is not None else ""
        return f"Not yet known: {basis}; about {finding.more:,} more decisions{until}."
    if question.floor is not None:
        return f"{'Yes' if finding.verdict == 'better' else 'No'}: {basis}."
    return f"{'Better' if finding.verdict == 'better' else 'Worse'}: {basis}."


def _record(found: LiveComparison) -> dict[str, object]:
    """The same for machines."""
    return {
        "model_type": found.model_type,
        "model": found.candidate.name,
        "against": found.other.name,
        "since": found.since,
        "until": found.until,
        "alpha": found.alpha,
        "verdict": str(found.verdict),
        "question": str(found.questions[0].asks),
        "questions": [
            {
                "question": str(question.asks),
                "text": question.text,
                "verdict": str(question.finding.verdict),
                "estimate": question.finding.estimate,
                "low": question.finding.interval.low,
                "high": question.finding.interval.high,
                "decisions": question.finding.trials,
                "floor": question.floor,
                "more_decisions": question.finding.more,
                "until": question.until,
            }
            for question in found.questions
        ],
        "models": [_figures(found.candidate, found.figures), _figures(found.other, found.figures_of_other)],
        "beside": {"decisions": found.both, "alike": found.same},
        "decisions_last_day": found.decisions_per_day,
    }


def _figures(side: Side, figures: Figures) -> dict[str, object]:
    return {
        "name": side.name,
        "asked": figures.asked,
        "unsure": figures.unsure,
        "valid": figures.valid,
        "compared_with_original": figures.compared,
        "alike": figures.agreed,
        "labelled": figures.labelled,
        "good": figures.good,
        "p50_ms": figures.percentile(0.5),
        "p95_ms": figures.percentile(0.95),
        "cents_per_1000": None if side.cents_per_1000 is None else round(side.cents_per_1000, 2),
    }
