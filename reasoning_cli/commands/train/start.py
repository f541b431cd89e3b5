"""`train start`: from the log to a model, in one command that goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.completion import complete_model_types, complete_names, complete_trainers
from reasoning_cli.commands._shared.confirm import ask_about, show_dry_run
from reasoning_cli.commands._shared.options import (
    DryRunOption,
    JsonOption,
    NewestOption,
    SinceOption,
    UntilOption,
    YesOption,
    typed,
)
from reasoning_cli.commands._shared.sample_options import (
    AgentOption,
    DecidedOption,
    LabelOption,
    RoomOption,
    SourceOption,
    filter_of,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands._shared.training_context import training_context
from reasoning_cli.commands._shared.training_options import (
    BalanceOption,
    CompactOption,
    MinConfidenceOption,
    RedactNamesOption,
    WatchTimeoutOption,
    parse_confidence,
    parse_dedupe,
    parse_trainer,
    refuse_names_alone,
)
from reasoning_cli.commands.train._run import show_end, slot_form
from reasoning_cli.errors import ExitCode, UsageError
from reasoning_cli.values import COMMAND, HEAD, TOGETHER, parse_duration, parse_model_type, parse_usd, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.train.plan import Method, TrainingPlan, TrainRequest
    from reasoning_cli.operations.train.run import Asked
    from reasoning_cli.store.samples.training_log import SampleFilter
    from reasoning_cli.store.train.runs import TrainingRun

# What says how it is done, not what is trained.
_MANNERS = (
    "model_type",
    "yes",
    "timeout_minutes",
    "dry_run",
    "json",
    "detach",
    "timeout",
    "max_cost",
    "keep_files",
    "again",
)


def start(
    ctx: typer.Context,
    model_type: Annotated[
        str,
        typer.Argument(metavar="TYPE", help="The decisions to learn.", autocompletion=complete_model_types),
    ],
    engine: Annotated[
        str,
        typer.Option(
            metavar="together|head|command",
            help="Who trains: Together, this process (a head, a classifier that may abstain), or your own --command.",
        ),
    ] = TOGETHER,
    command: Annotated[
        str | None,
        typer.Option("--command", metavar="'…'", help="Your own trainer, run by a shell; REASONING_* say its files."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model to start from; default: the last run's, else one that suits the type.",
            autocompletion=complete_names,
        ),
    ] = None,
    max_error: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Of what a head answers, at most so much against the log; default: 5."),
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="Draw what a head would answer against what of that disagrees."),
    ] = None,
    from_job: Annotated[
        str | None, typer.Option(metavar="ft-…", help="Go on from what this job made, instead of a base.")
    ] = None,
    suffix: Annotated[str | None, typer.Option(metavar="NAME", help="Part of the result's name.")] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How often to read all samples; default: by their number.")
    ] = None,
    lora: Annotated[bool, typer.Option("--lora/--full", help="Train an adapter, or the whole model.")] = True,
    learning_rate: Annotated[str, typer.Option(metavar="auto|X", help="How far each step goes.")] = "auto",
    lora_rank: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Size of the adapter; default: the base's.")
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="sft|dpo", help="Learn answers, or (dpo) corrections against what was corrected.")
    ] = "sft",
    split: Annotated[
        str, typer.Option(metavar="0.9/0.1|none", help="Shares to learn from and to check with (a third is kept out).")
    ] = "0.9/0.1",
    label: LabelOption = None,
    agent: AgentOption = None,
    room: RoomOption = None,
    source: SourceOption = None,
    decision: DecidedOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    min_confidence: MinConfidenceOption = None,
    dedupe: Annotated[str, typer.Option(metavar="HOW", help="Leave out copies: near, exact or none.")] = "near",
    redact: Annotated[bool, typer.Option(help="Placeholders for keys and personal data; on by default.")] = True,
    redact_names: RedactNamesOption = False,
    balance: BalanceOption = False,
    compact: CompactOption = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Leave out longer samples; default: TYPE.window_tokens.")
    ] = None,
    limit: NewestOption = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the split, the choice and the training.")] = 0,
    max_cost: Annotated[
        str | None, typer.Option(metavar="USD", help="Agree to a price up to this, and to no more.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Train on too few samples, one class, or a base that cannot be served.")
    ] = False,
    trainer: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TRAINER",
            help="Whose form the files of a --command have: trl (default), axolotl, openai or together.",
            autocompletion=complete_trainers,
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Train once more though nothing changed since.")] = False,
    keep_files: Annotated[bool, typer.Option("--keep-files", help="Keep the exported files when it is done.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Leave as soon as the job is made.")] = False,
    timeout: WatchTimeoutOption = None,
    timeout_minutes: Annotated[
        float | None,
        typer.Option("--timeout-minutes", metavar="N", min=0, help="Stop a --command that runs longer than that."),
    ] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Make a better model of what was collected: plan, ask, export, upload, train.

    Running it again goes on where it was, whatever broke it off; it never trains twice. Ctrl-C leaves the job running,
    and stops a --command.
    """
    from reasoning_cli.operations.data.export.render import Rules
    from reasoning_cli.operations.data.export.run import ExportRequest
    from reasoning_cli.operations.data.export.split import parse_split
    from reasoning_cli.operations.train.plan import TrainRequest

    session, name = session_of(ctx), parse_model_type(model_type)
    engine = _engine(engine, of_a_head={"--max-error": max_error, "--curve": curve})
    if engine == HEAD:
        wanted = filter_of(session, [name], agent, room, source, label, decision, since, until)
        head_wanted = replace(wanted, limit=limit)
        _start_head(ctx, session, name, head_wanted, max_error, suffix, curve, dry_run=dry_run, json=json)
        return
    deduped, how = parse_dedupe(dedupe), _method(method)
    by_command = _is_by_command(ctx, engine, command)
    reader = parse_trainer(trainer or ("trl" if by_command else "together"))
    _refuse_together(base, from_job, lora_rank, full=not lora)
    refuse_names_alone(redact=redact, redact_names=redact_names)
    label = "corrected" if how == "dpo" else label
    wanted = filter_of(session, [name], agent, room, source, label, decision, since, until)
    request = TrainRequest(
        model_type=name,
        export=ExportRequest(
            wanted=replace(wanted, limit=limit, min_confidence=parse_confidence(min_confidence, "0.8")),
            rules=Rules(
                forms={name: _form(session, name, compact)},
                max_tokens={name: max_tokens or window_of(session, name)},
                preference=how == "dpo",
                redact_names=redact_names,
                trainer=reader,
            ),
            dedupe=deduped,
            balance=balance,
            split=() if split == "none" else parse_split(split),
            seed=seed,
        ),
        redact=redact,
        base=base,
        from_job=from_job,
        suffix=suffix,
        method=how,
        full=not lora,
        epochs=epochs,
        learning_rate=_rate(learning_rate),
        lora_rank=lora_rank,
        force=force,
        max_cost_usd=None if max_cost is None else typed(parse_usd, max_cost, "--max-cost 20"),
        typed=_typed(ctx),
    )
    going = _going(session, request)
    if _is_for_a_command(going, by_command):
        from reasoning_cli.commands.train._command import start_command

        start_command(
            session,
            request,
            command,
            going,
            timeout_minutes,
            again=again,
            keep_files=keep_files,
            detach=detach,
            yes=yes,
            dry_run=dry_run,
            json=json,
        )
        return
    if dry_run:
        _show_plan(session, request, going, json=json)
        return
    run = _go_on(session, going, request) if going else _begin(session, request, again=again, yes=yes, json=json)
    if run is None:
        return
    patience = None if timeout is None else typed(parse_duration, timeout, "--timeout 2h")
    follow(session, run, yes=yes, json=json, detach=detach, timeout=patience, keep_files=keep_files)


def _engine(text: str, *, of_a_head: Mapping[str, object]) -> str:
    """Who trains. UsageError for an engine there is not, and for options of a head where none is trained."""
    engine = text.strip().lower()
    if engine not in (TOGETHER, HEAD, COMMAND):
        raise UsageError(f"`{text}` is not an engine that trains", "there are together, head and command")
    foreign = next((option for option, value in of_a_head.items() if value is not None), None)
    if foreign is not None and engine != HEAD:
        raise UsageError(f"{foreign} is of a head", "add --engine head")
    return engine


def _refuse_together(base: str | None, from_job: str | None, lora_rank: int | None, *, full: bool) -> None:
    """UsageError for options that contradict each other."""
    if base is not None and from_job is not None:
        raise UsageError("--base and --from-job contradict each other", "leave one of them out")
    if full and lora_rank is not None:
        raise UsageError("--full has no --lora-rank", "leave one of them out")


def _is_for_a_command(going: TrainingRun | None, by_command: bool) -> bool:
    """Whether the run that goes on, else the one that is asked for, is of the operator's own trainer."""
    return by_command if going is None else going.engine == COMMAND


def _start_head(
    ctx: typer.Context,
    session: Session,
    model_type: str,
    wanted: SampleFilter,
    max_error: str | None,
    suffix: str | None,
    curve: Path | None,
    *,
    dry_run: bool,
    json: bool,
) -> None:
    """Learn a head. UsageError for what goes with none."""
    from reasoning_cli.commands.train._head import parse_max_error, refuse_others, start_head

    refuse_others(_all_typed(ctx))
    bound = parse_max_error(max_error)
    start_head(session, model_type, wanted, max_error=bound, suffix=suffix, curve=curve, rehearsed=dry_run, json=json)


def _is_by_command(ctx: typer.Context, engine: str, command: str | None) -> bool:
    """Whether the operator's own trainer is meant. UsageError for what does not go together."""
    if (engine == COMMAND) != (command is not None):
        raise UsageError("--engine command and --command go together", "--engine command --command './train.sh'")
    typed_here = _typed(ctx)
    for option in ("from_job", "epochs", "lora", "learning_rate", "lora_rank", "max_cost") if command else ():
        if option in typed_here or (option == "max_cost" and ctx.params.get("max_cost") is not None):
            spelled = "full" if option == "lora" else option.replace("_", "-")
            raise UsageError(f"--{spelled} is Together's", "what your trainer is to do stands in its --command")
    if command is None and ctx.params.get("trainer") is not None:
        raise UsageError("--for says in whose form a --command gets its files", "leave it away")
    if command is None and ctx.params.get("timeout_minutes") is not None:
        raise UsageError("--timeout-minutes stops a --command", "--timeout 2h is how long to watch a job")
    return command is not None


def _method(text: str) -> Method:
    from reasoning_cli.operations.train.plan import METHODS

    found = next((method for method in METHODS if method == text), None)
    if found is None:
        raise UsageError(f"`{text}` is not a method", f"there are {' and '.join(METHODS)}")
    return found


def follow(
    session: Session,
    run: TrainingRun,
    *,
    yes: bool,
    json: bool,
    detach: bool = False,
    timeout: timedelta | None = None,
    keep_files: bool = False,
    only_watch: bool = False,
) -> None:
    """Bring a run to its end, or (detached) to its job; show what goes on, and how it ended by exit code too."""
    from reasoning_cli.commands.train._views import next_commands, price_question, progress_texts
    from reasoning_cli.operations.train.monitor import run_training, watch_training
    from reasoning_cli.operations.train.run import advance
    from reasoning_cli.store.train.runs import TrainingRuns
    from reasoning_cli.terminal.progress import waiting

    terminal = session.terminal
    try:
        with waiting(terminal, f"run {run.number}") as shown:

            def agree(asked: Asked) -> bool:
                if yes or not terminal.can_ask:
                    return False
                with shown.paused():
                    return terminal.confirm(price_question(asked), yes=False)

            context = replace(
                training_context(session),
                notify=lambda progress: shown.show(*progress_texts(progress)),
                agree=agree,
                timeout=timeout,
                keep_files=keep_files,
            )
            if detach:
                run = advance(session.client, session.store, run, context)
            elif only_watch:
                run = watch_training(session.client, session.store, run, context)
            else:
                run = run_training(session.client, session.store, run, context)
    except KeyboardInterrupt:
        now = TrainingRuns(session.store).get(run.number) or run
        name = spell_model_type(now.model_type)
        if now.job_id is not None:
            terminal.note(
                f"Stopped watching. Run {now.number} ({name}) goes on at Together, and is billed as it trains."
            )
        elif now.job_status is not None:
            terminal.note(f"Interrupted. Nobody knows whether the job of run {now.number} ({name}) was made.")
        else:
            terminal.note(f"Interrupted. Run {now.number} ({name}) is {now.stage}; there is no job, nothing is billed.")
        for hint in next_commands(now):
            terminal.hint(hint)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    show_end(session, run, json=json, hints=next_commands(run))


def window_of(session: Session, model_type: str) -> int:
    """The tokens that the model of a slot reads."""
    from reasoning_cli import settings as s

    return session.settings.get(s.WINDOW_TOKENS[model_type])


def _going(session: Session, request: TrainRequest) -> TrainingRun | None:
    """The run of this type that goes on. UsageError when what was typed is another wish than the one that began it."""
    from reasoning_cli.store.train.runs import TrainingRuns

    run = TrainingRuns(session.store).going(request.model_type)
    if run is None or not request.typed or dict(request.typed) == run.plan["typed"]:
        return run
    name = spell_model_type(request.model_type)
    raise UsageError(
        f"run {run.number} of {name} goes on, begun with other options",
        f"go on with it: `reasoning train start {name}`; or give it up first: `reasoning train cancel {run.number}`",
    )


def _go_on(session: Session, run: TrainingRun, request: TrainRequest) -> TrainingRun:
    """The run that goes on; a --max-cost that is typed later is agreed to from now on."""
    from reasoning_cli.store.train.runs import TrainingRuns

    if request.max_cost_usd is not None:
        plan = {**run.plan, "agreed_cents": int(request.max_cost_usd * 100)}
        run = TrainingRuns(session.store).update(run.number, at=session.now(), plan=plan)
    session.terminal.note(f"Run {run.number} goes on ({run.stage}).")
    return run


def _show_plan(session: Session, request: TrainRequest, going: TrainingRun | None, *, json: bool) -> None:
    """What a run would do, or do next."""
    from reasoning_cli.commands.train._views import going_facts, plan_facts, plan_record, trained_record
    from reasoning_cli.operations.train.plan import why_refused
    from reasoning_cli.operations.train.trained import find_trained

    if going is not None:
        record = trained_record(find_trained(session.store, str(going.number)))
        show_dry_run(session.terminal, going_facts(going), record, json=json)
        return
    plan = _plan(session, request, rehearsed=True)
    for warning in plan.warnings:
        session.terminal.warn(warning)
    refusal = why_refused(plan, request)
    record = {**plan_record(plan), "refused": refusal.message if refusal else None}
    show_dry_run(session.terminal, plan_facts(plan), record, json=json)
    if refusal is not None:
        raise refusal


def _plan(session: Session, request: TrainRequest, *, rehearsed: bool = False) -> TrainingPlan:
    """The plan; one that is only shown is not refused for the money."""
    from reasoning_cli.operations.train.plan import plan_training
    from reasoning_cli.terminal.progress import Pace, waiting

    with waiting(session.terminal, "looking at the log") as shown:
        pace = Pace()
        return plan_training(
            session.client,
            session.store,
            session.limits,
            request,
            now=session.now(),
            slot_form=slot_form(session, request.model_type),
            check_budget=not rehearsed,
            on_progress=lambda count, total: shown.show("looking at the log", pace.of(count, total, "samples")),
        )


def _begin(session: Session, request: TrainRequest, *, again: bool, yes: bool, json: bool) -> TrainingRun | None:
    """A new run, once it is agreed to; None when there is nothing new to train on."""
    from reasoning_cli.commands.train._views import next_commands, plan_facts
    from reasoning_cli.operations.train.plan_record import is_same_again
    from reasoning_cli.operations.train.run import begin_training
    from reasoning_cli.store.train.runs import TrainingRuns

    terminal, plan = session.terminal, _plan(session, request)
    last = TrainingRuns(session.store).latest(request.model_type)
    done = last if last is not None and last.stage == "done" and last.engine == TOGETHER else None
    if done is not None and not again and is_same_again(done, plan):
        terminal.note(f"Run {done.number} was trained on the same samples with the same figures; nothing is new since.")
        show_end(session, done, json=json, hints=[*next_commands(done), "train all the same: `--again`"])
        return None
    if yes and plan.agreed_cents is None:
        raise UsageError(f"no price can be foretold for `{plan.base}`: --yes would agree to any", "add --max-cost USD")
    for warning in plan.warnings:
        terminal.warn(warning)
    ask_about(terminal, plan_facts(plan), "Train it?", yes=yes)
    return begin_training(session.store, plan, session.now())


def _form(session: Session, model_type: str, compact: bool | None) -> str:
    """The form of the prompts: what was typed, else what the slot's model is asked."""
    return slot_form(session, model_type) if compact is None else "compact" if compact else "exact"


def _rate(text: str) -> float | None:
    if text.strip().lower() == "auto":
        return None
    try:
        rate = float(text)
        if not 0 < rate < 1:
            raise ValueError
    except ValueError:
        raise UsageError(f"`{text}` is not a learning rate", "auto, or a number such as 0.0002") from None
    return rate


def _typed(ctx: typer.Context) -> dict[str, object]:
    """The options that were typed and say what is trained: with the same ones a run is gone on with."""
    return {name: value for name, value in _all_typed(ctx).items() if name not in _MANNERS}


def _all_typed(ctx: typer.Context) -> dict[str, object]:
    """The options that were typed."""
    return {
        name: value
        for name, value in ctx.params.items()
        if (source := ctx.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }
