"""How evaluations look: a plan, a report with its intervals and verdicts, and the list of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

from reasoning_cli.commands._shared.sample_views import Fact, reasons
from reasoning_cli.operations.evaluate.candidates import ORIGINAL
from reasoning_cli.operations.evaluate.plan import EvaluationPlan
from reasoning_cli.operations.evaluate.report import Difference, EvaluationReport, ModelReport, report_record
from reasoning_cli.operations.statistics.intervals import Figure
from reasoning_cli.store.evaluate.evaluations import Disagreement, EvaluationRecord
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.listing import Column, Kind, Listing
from reasoning_cli.terminal.units import counted, moment, money
from reasoning_cli.values import spell_model_type

# What figures are called, in the order they are shown. Those of single actions come as they are.
_NAMES = {
    "accuracy": "accuracy",
    "wrong_respond": "wrong RESPOND",
    "wrong_ignore": "wrong silence",
    "mistake_cost": "cost of mistakes",
    "actions_f1": "actions F1",
    "actions_same": "same actions",
    "order_same": "same order",
    "providers_same": "same providers",
    "text_similarity": "similar in words",
    "words_count": "words",
    "similarity": "similar in tokens",
    "same": "same code",
    "parses": "parses",
    "tests_pass": "passes tests",
    "repeats": "repeats mistakes",
}
_BASES = {
    "corrected": "corrected by a person",
    "good": "labelled good",
    "bad": "labelled bad",
    "original": "the original's answer",
    "file": "the file's answer",
    "none": "no answer anybody can read",
}
_VERDICTS = {"better": "better than", "worse": "worse than"}


def plan_facts(plan: EvaluationPlan) -> list[Fact]:
    """What will be asked, of whom, and what that costs."""
    judged = f", {plan.labelled:,} judged by a person" if plan.labelled and plan.request.dataset is None else ""
    name = spell_model_type(plan.model_type)
    facts = [("decisions", f"{plan.count:,} of {name}{judged}")]
    if plan.left_out:
        facts.append(("left out", "; ".join(f"{count:,} {reason}" for reason, count in plan.left_out.items())))
    for estimate in plan.estimates:
        candidate = estimate.candidate
        made = f" (training run {candidate.run})" if candidate.run is not None else ""
        if estimate.is_free:
            price = (
                "it runs already: asking it costs nothing more" if estimate.questions else "has answered all of them"
            )
        else:
            price = f"about {estimate.prompt_tokens:,} tokens in and {estimate.completion_tokens:,} out" + (
                f", {money(estimate.cents)}" if estimate.cents is not None else ", at a price your table does not hold"
            )
        at = f" at {candidate.server.place}" if candidate.server is not None else ""
        facts.append((candidate.name, f"{candidate.model_name}{at}{made}, asked {candidate.form}; {price}"))
    if plan.answered:
        facts.append(("known", f"{counted(plan.answered, 'answer')} from before"))
    return facts


def plan_record(plan: EvaluationPlan) -> dict[str, object]:
    """A plan for machines."""
    return {
        "model_type": plan.model_type,
        "decisions": plan.count,
        "labelled": plan.labelled,
        "left_out": dict(plan.left_out),
        "leaked": plan.leaked,
        "answers_known": plan.answered,
        "models": [
            {
                "name": estimate.candidate.name,
                "model_name": estimate.candidate.model_name,
                "serving_name": estimate.candidate.serving_name,
                "run": estimate.candidate.run,
                "training": estimate.candidate.training,
                "form": estimate.candidate.form,
                "questions": estimate.questions,
                "prompt_tokens_estimated": estimate.prompt_tokens,
                "completion_tokens_estimated": estimate.completion_tokens,
                "free": estimate.is_free,
                "cents_estimated": estimate.cents,
            }
            for estimate in plan.estimates
        ],
        "warnings": list(plan.warnings),
        "evaluation": plan.finished.number if plan.finished else None,
    }


def say_report(terminal: Terminal, record: EvaluationRecord, report: EvaluationReport) -> None:
    """The report as a person reads it: what it is of, the figures, the verdicts, what went wrong."""
    name = spell_model_type(report.model_type)
    when = f", {moment(record.finished_at)}" if record.finished_at else ""
    terminal.say(f"Evaluation {record.number}: {counted(report.count, 'decision')} of {name}{when}")
    bases = ", ".join(f"{count:,} {_BASES.get(basis, basis)}" for basis, count in report.bases.items())
    terminal.say(f"Right is: {bases}. Each figure with the interval that holds it 19 times of 20.")
    terminal.print()
    for line in _table(terminal, report):
        terminal.print(line)
    for model in report.models:
        if any(truth != decided for truth, counts in model.confusion.items() for decided in counts):
            terminal.print()
            terminal.say(f"{model.name}: what was right, and what it decided")
            terminal.table(_confusion(model))
    terminal.print()
    for difference in _notable(report):
        terminal.say(difference_text(difference))
    for sentence in _remarks(report):
        terminal.say(sentence)
    if report.left_out:
        terminal.say(f"{sum(report.left_out.values()):,} left out:")
        terminal.facts(reasons(report.left_out))
    if report.disagreements:
        many = counted(report.disagreements, "decision")
        opened = "" if "file" in report.bases else f": `reasoning data review --evaluation {record.number}`"
        terminal.say(f"{many} on which a model differs from what is right{opened}")


def report_record_of(
    record: EvaluationRecord, report: EvaluationReport, disagreements: Sequence[Disagreement]
) -> dict[str, object]:
    """An evaluation for machines."""
    return {
        "evaluation": record.number,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        **report_record(report),
        "disagreeing": [asdict(disagreement) for disagreement in disagreements],
    }


def figure_listing(report: EvaluationReport) -> Listing[tuple[str, str, Figure]]:
    """Every figure as a row: whose it is, its name, value and interval."""
    rows = [(model.name, name, figure) for model in report.models for name, figure in _figures(model)]
    rows += [
        (f"{difference.one} - {difference.other}", difference.metric, difference.figure)
        for difference in report.differences
    ]
    return Listing(
        [
            Column("model", lambda row: row[0]),
            Column("metric", lambda row: row[1]),
            Column("value", lambda row: row[2].value),
            Column("low", lambda row: row[2].low if math.isfinite(row[2].low) else None),
            Column("high", lambda row: row[2].high if math.isfinite(row[2].high) else None),
            Column("count", lambda row: row[2].count),
        ],
        rows,
        id=lambda row: row[0],
    )


def disagreement_listing(report: EvaluationReport, found: Sequence[Disagreement]) -> Listing[Disagreement]:
    """Decisions that went wrong: the sample (of a file the line), what is right, what each decided."""

    def decided(name: str) -> Callable[[Disagreement], str]:
        return lambda disagreement: disagreement.decided.get(name) or "invalid"

    columns: list[Column[Disagreement]] = [
        Column("id", lambda disagreement: disagreement.sample_id or f"line {disagreement.item}", "ID"),
        Column("right", lambda disagreement: disagreement.truth, "RIGHT"),
    ]
    columns += [
        Column(model.name, decided(model.name), model.name.upper()) for model in report.models if model.name != ORIGINAL
    ]
    return Listing(columns, found, id=lambda disagreement: disagreement.sample_id or str(disagreement.item))


def evaluation_columns() -> list[Column[EvaluationRecord]]:
    """The columns of the list of evaluations."""

    def models(evaluation: EvaluationRecord) -> list[str]:
        names = evaluation.plan.get("models")
        return [str(name) for name in names] if isinstance(names, list) else []

    def result(evaluation: EvaluationRecord) -> str:
        if evaluation.report is None:
            return "not finished"
        from reasoning_cli.operations.evaluate.report import read_report

        notable = _notable(read_report(evaluation.report))
        return "; ".join(map(_brief, notable)) or "no difference found"

    return [
        Column("evaluation", lambda evaluation: evaluation.number, "NO", kind=Kind.NUMBER),
        Column(
            "model_type",
            lambda evaluation: evaluation.model_type,
            "TYPE",
            lambda evaluation: spell_model_type(evaluation.model_type),
        ),
        Column(
            "started_at",
            lambda evaluation: evaluation.started_at,
            "AT",
            lambda evaluation: moment(evaluation.started_at),
            priority=4,
        ),
        Column("finished_at", lambda evaluation: evaluation.finished_at),
        Column("decisions", lambda evaluation: evaluation.plan.get("count"), "DECISIONS", kind=Kind.NUMBER, priority=3),
        Column("models", models, "MODELS", lambda evaluation: ", ".join(models(evaluation)), priority=5),
        Column("result", result, "RESULT", gives_way=True, prose=True),
    ]


def difference_text(difference: Difference) -> str:
    """A difference in words: `B is better than A: accuracy +3.1 points (+1.0 to +5.2) on 800 decisions`."""
    figure, name = difference.figure, _NAMES.get(difference.metric, difference.metric)
    points = f"{name} {_signed(figure.value)} points ({_signed(figure.low)} to {_signed(figure.high)})"
    on = f"on {counted(figure.count, 'decision')}"
    if difference.verdict in _VERDICTS:
        return f"{difference.one} is {_VERDICTS[difference.verdict]} {difference.other}: {points} {on}."
    more = f"; about {_rounded(difference.needed):,} would decide it" if difference.needed else ""
    return f"Whether {difference.one} is better than {difference.other} is not known {on}: {points}{more}."


def figure_text(name: str, figure: Figure) -> str:
    """`96.2 % (94.1–97.6)`, in the unit of what it measures."""
    if name in ("latency_p50_ms", "latency_p95_ms"):
        scale, digits, unit = (1000, 2, "s") if figure.value >= 1000 else (1, 0, "ms")
        value, low, high = (f"{number / scale:.{digits}f}" for number in (figure.value, figure.low, figure.high))
        return f"{value} {unit} ({low}–{high})"
    if name == "cost_cents_per_1000":
        digits = 2 if figure.value >= 100 else 4
        value, low, high = (
            f"{number / 100:,.{digits}f}" for number in (figure.value, max(0.0, figure.low), figure.high)
        )
        return f"${value} ({low}–{high})" if math.isfinite(figure.high) else f"${value}"
    if name in ("words_count", "mistake_cost"):
        if not math.isfinite(figure.low):
            return f"{figure.value:.1f}"
        scale = 1000 if name == "mistake_cost" else 1
        return f"{figure.value * scale:.1f} ({figure.low * scale:.1f}–{figure.high * scale:.1f})"
    return f"{figure.value * 100:.1f} % ({figure.low * 100:.1f}–{figure.high * 100:.1f})"


def _table(terminal: Terminal, report: EvaluationReport) -> list[str]:
    """Figures down, models across; where that is too wide one model after the other."""
    figures = [dict(_figures(model)) for model in report.models]
    rows = [name for name in _order(report) if any(name in figure for figure in figures)]

    def cell(place: int) -> Callable[[str], str]:
        return lambda name: figure_text(name, figures[place][name]) if name in figures[place] else "–"

    columns: list[Column[str]] = [Column("figure", lambda name: name, "", lambda name: _spoken(name, report))]
    for place, model in enumerate(report.models):
        columns.append(Column(model.name, cell(place), model.name.upper()))
    lines = terminal.table_lines(Listing(columns, rows, id=str))
    if max(len(line) for line in lines) <= terminal.width:
        return lines
    lines = []
    for place, model in enumerate(report.models):
        lines += ["", model.name] if place else [model.name]
        lines += terminal.fact_lines([(_spoken(name, report), cell(place)(name)) for name in rows])
    return lines


def _confusion(model: ModelReport) -> Listing[tuple[str, dict[str, int]]]:
    decided = sorted({name for counts in model.confusion.values() for name in counts})

    def count(name: str) -> Callable[[tuple[str, dict[str, int]]], object]:
        return lambda row: row[1].get(name, 0)

    columns: list[Column[tuple[str, dict[str, int]]]] = [Column("right", lambda row: row[0], "")]
    columns += [Column(name, count(name), name, kind=Kind.NUMBER) for name in decided]
    return Listing(columns, [(truth, dict(counts)) for truth, counts in model.confusion.items()], id=lambda row: row[0])


def _figures(model: ModelReport) -> list[tuple[str, Figure]]:
    ends = (
        ("latency_p50_ms", model.latency_p50_ms),
        ("latency_p95_ms", model.latency_p95_ms),
        ("cost_cents_per_1000", model.cost_cents_per_1000),
    )
    found = [("valid", model.valid), *model.metrics.items(), *ends]
    return [(name, figure) for name, figure in found if figure is not None]


def _order(report: EvaluationReport) -> list[str]:
    names = {name for model in report.models for name in model.metrics}
    singles = sorted((name for name in names if name not in _NAMES), key=lambda name: name.rpartition("_")[::-2])
    known = [name for name in _NAMES if name in names]
    return ["valid", *known[:1], *singles, *known[1:], "latency_p50_ms", "latency_p95_ms", "cost_cents_per_1000"]


def _spoken(name: str, report: EvaluationReport) -> str:
    match name:
        case "latency_p50_ms":
            return "half within"
        case "latency_p95_ms":
            return "95 % within"
        case "cost_cents_per_1000":
            return "cost of 1,000"
        case "mistake_cost":
            return "mistakes, per 1,000"
        case "valid":
            return "valid"
    return _NAMES.get(name, name.replace("_", " "))


def _notable(report: EvaluationReport) -> list[Difference]:
    """The differences worth a sentence: the figure models are compared by, and validity where it tells them apart."""
    return [
        difference
        for difference in report.differences
        if difference.metric == report.main_metric or difference.verdict != "not known"
    ]


def _remarks(report: EvaluationReport) -> list[str]:
    """What must be known to read the figures."""
    found = []
    name = spell_model_type(report.model_type)
    if not report.labelled:
        found.append(
            "Nobody judged these decisions, so the original's answers are what is right, and it has no figure of its"
            f" own: `reasoning data review -m {name} --sample 50` gives it one."
        )
    if "mistake_cost" in {each for model in report.models for each in model.metrics}:
        weights = report.weights
        found.append(
            f"Mistakes are weighed {weights.wrong_respond} for speaking where silence was right and"
            f" {weights.wrong_ignore} for silence where an answer was due."
        )
    for model in report.models:
        if model.failures:
            why = ", ".join(f"{reason} ({count:,})" for reason, count in list(model.failures.items())[:5])
            found.append(f"Not valid of {model.name}: {why}.")
        if model.checked.get("brackets"):
            found.append(
                f"Of {model.name}, code in {counted(model.checked['brackets'], 'answer')} was looked at for brackets"
                f" alone,"
                " which is weaker than a parser."
            )
        if model.cost_cents_per_1000 is None and model.cost_basis:
            found.append(f"What {model.name} costs is not known: {model.cost_basis}.")
        elif model.serving_name is not None:
            found.append(f"Cost of {model.name}: {model.cost_basis}.")
    found.append(
        f"Times are of {report.concurrency} calls at once, as measured here; the original's are as the log has them."
    )
    return found


def _signed(share: float) -> str:
    return f"{share * 100:+.1f}".replace("-", "−")


def _rounded(count: int) -> int:
    """A rough number as such: two digits that count."""
    step = int("1".ljust(len(str(count)) - 1, "0"))
    return math.ceil(count / step) * step


def _brief(difference: Difference) -> str:
    """`B better than A`."""
    return f"{difference.one} {_VERDICTS.get(difference.verdict, 'not known beside')} {difference.other}"
