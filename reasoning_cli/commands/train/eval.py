"""`train eval` and `train evals`: models on decisions nobody trained them on, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_model_types, complete_names
from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.model_options import ServerOption
from reasoning_cli.commands._shared.options import (
    DryRunOption,
    FormatOption,
    JsonOption,
    NewestOption,
    QuietOption,
    SinceOption,
    UntilOption,
    YesOption,
    chosen_format,
    typed,
)
from reasoning_cli.commands._shared.sample_options import (
    AgentOption,
    DecidedOption,
    FromOption,
    LabelOption,
    RoomOption,
    SampleSeedOption,
    SourceOption,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import NotFoundError, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_model_type, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.costs.token_prices import TokenPrice
    from reasoning_cli.operations.evaluate.plan import EvaluationPlan
    from reasoning_cli.operations.evaluate.sampling import EvaluateRequest
    from reasoning_cli.store.evaluate.evaluations import EvaluationRecord

OptionalTypeArgument = Annotated[
    str | None,
    typer.Argument(metavar="[TYPE]", help="should-respond, planning or coding.", autocompletion=complete_model_types),
]


def evaluate(
    ctx: typer.Context,
    model_type: OptionalTypeArgument = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="A deployment, model or job, or a serverless model; may be repeated; default: the slot's.",
            autocompletion=complete_names,
        ),
    ] = None,
    server: ServerOption = None,
    dataset: Annotated[
        Path | None, typer.Option("--dataset", metavar="FILE", help="JSON lines as `data export` writes them.")
    ] = None,
    sources: FromOption = None,
    limit: NewestOption = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="The validation side of the first model's training run.")
    ] = False,
    since: SinceOption = None,
    until: UntilOption = None,
    agent: AgentOption = None,
    room: RoomOption = None,
    source: SourceOption = None,
    label: LabelOption = None,
    decision: DecidedOption = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="Only N of them, drawn at random.")
    ] = None,
    seed: SampleSeedOption = 0,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=64, help="Calls under way at once.")
    ] = 8,
    wrong_respond_cost: Annotated[
        str, typer.Option(metavar="X", help="What it costs to speak where silence was right.")
    ] = "1",
    wrong_ignore_cost: Annotated[
        str, typer.Option(metavar="Y", help="What it costs to be silent where an answer was due.")
    ] = "1",
    run_tests: Annotated[
        bool, typer.Option("--run-tests", help="Run tests that samples bring on code models wrote. It runs that code.")
    ] = False,
    disagreements: Annotated[
        int, typer.Option("--disagreements", metavar="N", min=0, help="List so many decisions that went wrong.")
    ] = 0,
    again: Annotated[bool, typer.Option("--again", help="Ask anew, whatever was answered before.")] = False,
    show: Annotated[
        int | None, typer.Option("--show", metavar="NUMBER", help="Show the stored evaluation of this number.")
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
) -> None:
    """Replay decisions that no model was trained on, and compare the answers with what is right. Typed again, it goes
    on, or shows the stored result."""
    from reasoning_cli.commands._shared.prices import prices_file
    from reasoning_cli.commands.train._eval_views import plan_facts, plan_record
    from reasoning_cli.operations.costs.token_prices import read_prices
    from reasoning_cli.operations.evaluate.plan import plan_evaluation
    from reasoning_cli.terminal.progress import waiting

    session = session_of(ctx)
    terminal, chosen = session.terminal, chosen_format(fmt, json)
    if show is not None:
        _show(session, _stored(session, show), chosen, disagreements)
        return
    if model_type is None:
        raise UsageError("which decisions?", "`reasoning train eval planning`, should-respond or coding")
    if sources:
        filters = (since, until, agent, room, source, label, decision)
        dataset, sample = (
            _drawn(session, sources, parse_model_type(model_type), dataset, limit, sample, seed, filters),
            None,
        )
        limit = since = until = agent = room = source = label = decision = None
    request = _request(
        session,
        parse_model_type(model_type),
        tuple(model or (model_type,)),
        server,
        dataset,
        (limit, sample, seed, holdout),
        (since, until, agent, room, source, label, decision),
        (_weight(wrong_respond_cost, "respond"), _weight(wrong_ignore_cost, "ignore")),
    )
    prices = read_prices(prices_file(session))
    with waiting(terminal, "choosing decisions"):
        plan = plan_evaluation(session.store, request, prices, again=again)
    if dry_run:
        show_dry_run(terminal, plan_facts(plan), plan_record(plan), json=chosen is Format.JSON)
        return
    if plan.finished is not None:
        terminal.note(
            f"Nothing changed since evaluation {plan.finished.number}: this is its result. --again asks anew."
        )
        _show(session, plan.finished, chosen, disagreements)
        return
    terminal.facts(plan_facts(plan), to_out=False)
    paid = [estimate for estimate in plan.estimates if not estimate.is_free]
    if paid:
        for warning in plan.warnings:
            terminal.warn(warning)
        cost = "at a price nobody here knows" if any(estimate.cents is None for estimate in paid) else _cost(plan)
        ask_about(terminal, [], f"Ask {' and '.join(estimate.candidate.name for estimate in paid)} {cost}?", yes=yes)
    _show(session, _run(session, plan, prices, concurrency, run_tests, again), chosen, disagreements)


def _drawn(
    session: Session,
    sources: list[str],
    model_type: str,
    dataset: Path | None,
    limit: int | None,
    sample: int | None,
    seed: int,
    filters: tuple[str | None, ...],
) -> Path:
    """The file of the decisions that were drawn of archives. UsageError where a file was named, too."""
    from dataclasses import replace

    from reasoning_cli import settings as s
    from reasoning_cli.commands._shared.sample_options import filter_of
    from reasoning_cli.operations.data.export.archived import PHASES
    from reasoning_cli.operations.evaluate.drawn import draw_dataset
    from reasoning_cli.terminal.progress import Phases, waiting

    if dataset is not None:
        raise UsageError("--dataset and --from contradict each other", "leave one of them out")
    since, until, agent, room, source, label, decision = filters
    wanted = filter_of(session, [model_type], agent, room, source, label, decision, since, until)
    with waiting(session.terminal, "drawing decisions") as shown:
        return draw_dataset(
            session.store,
            session.settings.paths.data_dir / "drawn",
            sources,
            replace(wanted, limit=limit),
            count=sample or 500,
            seed=seed,
            form=str(session.settings.get(s.PROMPT_FORM[model_type])),
            now=session.now(),
            on_progress=Phases(shown, PHASES),
        )


def evaluations(
    ctx: typer.Context,
    model_type: OptionalTypeArgument = None,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Evaluations that were made, newest first; `train eval --show NUMBER` shows one whole."""
    from reasoning_cli.commands.train._eval_views import evaluation_columns
    from reasoning_cli.store.evaluate.evaluations import Evaluations
    from reasoning_cli.terminal.listing import Listing

    session = session_of(ctx)
    wanted = None if model_type is None else parse_model_type(model_type)
    listing = Listing(
        evaluation_columns(), Evaluations(session.store).all(wanted), id=lambda evaluation: str(evaluation.number)
    )
    empty = "Nothing was evaluated yet: `reasoning train eval TYPE` does."
    session.terminal.show(listing, chosen_format(fmt, json), quiet=quiet, empty=empty)


def _run(
    session: Session,
    plan: EvaluationPlan,
    prices: Mapping[str, TokenPrice],
    concurrency: int,
    run_tests: bool,
    again: bool,
) -> EvaluationRecord:
    from reasoning_cli.operations.evaluate.run import EvaluationContext, run_evaluation
    from reasoning_cli.terminal.progress import Pace, waiting

    total = plan.count * len(plan.candidates)
    done = 0
    try:
        with waiting(session.terminal, "evaluating") as shown:
            pace = Pace()

            def on_progress(count: int, total: int) -> None:
                nonlocal done
                done = count
                shown.show("evaluating", pace.of(count, total, "answers"))

            context = EvaluationContext(session.now, session.sleep, concurrency, run_tests, again, on_progress)
            return run_evaluation(lambda: session.client, session.store, plan, prices, context)
    except BaseException as problem:
        how = "Interrupted" if isinstance(problem, KeyboardInterrupt) else "It broke off"
        session.terminal.note(
            f"{how}. {done:,} of {total:,} answers are kept; the same command goes on with the others."
        )
        raise


def _show(session: Session, record: EvaluationRecord, fmt: Format, disagreements: int) -> None:
    from reasoning_cli.commands.train._eval_views import (
        disagreement_listing,
        figure_listing,
        report_record_of,
        say_report,
    )
    from reasoning_cli.operations.evaluate.report import read_report
    from reasoning_cli.store.evaluate.evaluations import Evaluations

    terminal = session.terminal
    assert record.report is not None
    report = read_report(record.report)
    for warning in report.warnings:
        terminal.warn(warning)
    found = Evaluations(session.store).disagreements(record.number, disagreements) if disagreements else []
    if fmt is Format.JSON:
        terminal.json(report_record_of(record, report, found))
        return
    if fmt is not Format.TABLE:
        terminal.show(figure_listing(report), fmt)
        return
    say_report(terminal, record, report)
    if found:
        terminal.print()
        terminal.table(disagreement_listing(report, found))


def _stored(session: Session, number: int) -> EvaluationRecord:
    from reasoning_cli.store.evaluate.evaluations import Evaluations

    record = Evaluations(session.store).get(number)
    if record is None:
        raise NotFoundError(f"there is no evaluation {number}", "`reasoning train evals` lists them")
    if record.report is None:
        raise NotFoundError(
            f"evaluation {number} is not finished", "the command that began it goes on with it when it is typed again"
        )
    return record


def _request(
    session: Session,
    model_type: str,
    models: tuple[str, ...],
    server: str | None,
    dataset: Path | None,
    which: tuple[int | None, int | None, int, bool],
    filters: tuple[str | None, ...],
    weights: tuple[Decimal, Decimal],
) -> EvaluateRequest:
    """What was typed as a request. UsageError for what makes no sense together."""
    from dataclasses import replace

    from reasoning_cli import settings as s
    from reasoning_cli.commands._shared.sample_options import filter_of
    from reasoning_cli.decisions.scoring import Weights
    from reasoning_cli.operations.deploy.own_server import own_servers, server_at
    from reasoning_cli.operations.evaluate.sampling import EvaluateRequest

    limit, sample, seed, holdout = which
    since, until, agent, room, source, label, decision = filters
    if dataset is not None and (limit is not None or any(filters)):
        raise UsageError("--dataset names the decisions; filters are for those of the log", "leave one of them out")
    wanted = filter_of(session, [model_type], agent, room, source, label, decision, since, until)
    get, servers = session.settings.get, own_servers(session.settings)
    if server is not None:
        others = (other for other in servers if other.model_type != model_type)
        servers = (server_at(session.settings, model_type, server), *others)
    return EvaluateRequest(
        model_type=model_type,
        models=models,
        form=str(get(s.PROMPT_FORM[model_type])),
        max_tokens=get(s.MAX_TOKENS[model_type]),
        window_tokens=get(s.WINDOW_TOKENS[model_type]),
        wanted=replace(wanted, limit=limit),
        dataset=dataset,
        holdout=holdout,
        sample=sample,
        seed=seed,
        weights=Weights(*weights),
        servers=servers,
        heads=session.settings.paths.heads,
        # In the form of when there were no others, so that an evaluation made then is still known.
        typed=repr(filters if room or source or decision else (since, until, agent, label)),
    )


def _weight(text: str, what: str) -> Decimal:
    def parse(text: str) -> Decimal:
        from decimal import InvalidOperation

        try:
            value = Decimal(text)
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite() or not 0 <= value <= 1_000_000:
            raise ValueError("is not a number from 0 on")
        return value

    return typed(parse, text, f"--wrong-{what}-cost 5")


def _cost(plan: EvaluationPlan) -> str:
    from reasoning_cli.terminal.units import money

    cents = sum((estimate.cents for estimate in plan.estimates if estimate.cents is not None), Decimal(0))
    return f"about {plan.questions:,} {spell_model_type(plan.model_type)} decisions, for about {money(cents)}"
