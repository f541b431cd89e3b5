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
    "text_similarity": "alike in words",
    "words_count": "words",
    "similarity": "alike in tokens",
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
    for one in plan.estimates:
        candidate = one.candidate
        made = f" (training run {candidate.run})" if candidate.run is not None else ""
        if one.is_free:
            price = "it runs already: asking it costs nothing more" if one.questions else "has answered all of them"
        else:
            price = f"about {one.prompt_tokens:,} tokens in and {one.completion_tokens:,} out" + (
                f", {money(one.cents)}" if one.cents is not None else ", at a price your table does not hold"
            )
        facts.append((candidate.name, f"{candidate.model_name}{made}, asked {candidate.form}; {price}"))
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
                "name": one.candidate.name,
                "model_name": one.candidate.model_name,
                "serving_name": one.candidate.serving_name,
                "run": one.candidate.run,
                "training": one.candidate.training,
                "form": one.candidate.form,
                "questions": one.questions,
                "prompt_tokens_estimated": one.prompt_tokens,
                "completion_tokens_estimated": one.completion_tokens,
                "free": one.is_free,
                "cents_estimated": one.cents,
            }
            for one in plan.estimates
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
    for one in report.models:
        if any(truth != decided for truth, counts in one.confusion.items() for decided in counts):
            terminal.print()
            terminal.say(f"{one.name}: what was right, and what it decided")
            terminal.table(_confusion(one))
    terminal.print()
    for difference in _told(report):
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
        "disagreeing": [asdict(one) for one in disagreements],
    }


def figure_listing(report: EvaluationReport) -> Listing[tuple[str, str, Figure]]:
    """Every figure as a row: whose it is, its name, value and interval."""
    rows = [(one.name, name, figure) for one in report.models for name, figure in _figures(one)]
    rows += [(f"{one.one} - {one.other}", one.metric, one.figure) for one in report.differences]
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
        return lambda one: one.decided.get(name) or "invalid"

    columns: list[Column[Disagreement]] = [
        Column("id", lambda one: one.sample_id or f"line {one.item}", "ID"),
        Column("right", lambda one: one.truth, "RIGHT"),
    ]
    columns += [Column(one.name, decided(one.name), one.name.upper()) for one in report.models if one.name != ORIGINAL]
    return Listing(columns, found, id=lambda one: one.sample_id or str(one.item))


def evaluation_columns() -> list[Column[EvaluationRecord]]:
    """The columns of the list of evaluations."""

    def models(one: EvaluationRecord) -> list[str]:
        names = one.plan.get("models")
        return [str(name) for name in names] if isinstance(names, list) else []

    def result(one: EvaluationRecord) -> str:
        if one.report is None:
            return "not finished"
        from reasoning_cli.operations.evaluate.report import read_report

        told = _told(read_report(one.report))
        return "; ".join(map(_brief, told)) or "no difference to tell"

    return [
        Column("evaluation", lambda one: one.number, "NO", kind=Kind.NUMBER),
        Column("model_type", lambda one: one.model_type, "TYPE", lambda one: spell_model_type(one.model_type)),
        Column("started_at", lambda one: one.started_at, "AT", lambda one: moment(one.started_at), priority=4),
        Column("finished_at", lambda one: one.finished_at),
        Column("decisions", lambda one: one.plan.get("count"), "DECISIONS", kind=Kind.NUMBER, priority=3),
        Column("models", models, "MODELS", lambda one: ", ".join(models(one)), priority=5),
        Column("result", result, "RESULT", gives_way=True, prose=True),
    ]


def difference_text(one: Difference) -> str:
    """A difference in words: `B is better than A: accuracy +3.1 points (+1.0 to +5.2) on 800 decisions`."""
    figure, name = one.figure, _NAMES.get(one.metric, one.metric)
    points = f"{name} {_signed(figure.value)} points ({_signed(figure.low)} to {_signed(figure.high)})"
    on = f"on {counted(figure.count, 'decision')}"
    if one.verdict in _VERDICTS:
        return f"{one.one} is {_VERDICTS[one.verdict]} {one.other}: {points} {on}."
    more = f"; about {_rounded(one.needed):,} would tell" if one.needed else ""
    return f"Whether {one.one} is better than {one.other} is not known {on}: {points}{more}."


def figure_text(name: str, figure: Figure) -> str:
    """`96.2 % (94.1–97.6)`, in the unit of what it measures."""
    if name in ("latency_p50_ms", "latency_p95_ms"):
        scale, digits, unit = (1000, 2, "s") if figure.value >= 1000 else (1, 0, "ms")
        value, low, high = (f"{one / scale:.{digits}f}" for one in (figure.value, figure.low, figure.high))
        return f"{value} {unit} ({low}–{high})"
    if name == "cost_cents_per_1000":
        digits = 2 if figure.value >= 100 else 4
        value, low, high = (f"{one / 100:,.{digits}f}" for one in (figure.value, max(0.0, figure.low), figure.high))
        return f"${value} ({low}–{high})" if math.isfinite(figure.high) else f"${value}"
    if name in ("words_count", "mistake_cost"):
        if not math.isfinite(figure.low):
            return f"{figure.value:.1f}"
        scale = 1000 if name == "mistake_cost" else 1
        return f"{figure.value * scale:.1f} ({figure.low * scale:.1f}–{figure.high * scale:.1f})"
    return f"{figure.value * 100:.1f} % ({figure.low * 100:.1f}–{figure.high * 100:.1f})"


def _table(terminal: Terminal, report: EvaluationReport) -> list[str]:
    """Figures down, models across; where that is too wide one model after the other."""
    figures = [dict(_figures(one)) for one in report.models]
    rows = [name for name in _order(report) if any(name in one for one in figures)]

    def cell(place: int) -> Callable[[str], str]:
        return lambda name: figure_text(name, figures[place][name]) if name in figures[place] else "–"

    columns: list[Column[str]] = [Column("figure", lambda name: name, "", lambda name: _spoken(name, report))]
    for place, one in enumerate(report.models):
        columns.append(Column(one.name, cell(place), one.name.upper()))
    lines = terminal.table_lines(Listing(columns, rows, id=str))
    if max(len(line) for line in lines) <= terminal.width:
        return lines
    lines = []
    for place, one in enumerate(report.models):
        lines += ["", one.name] if place else [one.name]
        lines += terminal.fact_lines([(_spoken(name, report), cell(place)(name)) for name in rows])
    return lines


def _confusion(one: ModelReport) -> Listing[tuple[str, dict[str, int]]]:
    decided = sorted({name for counts in one.confusion.values() for name in counts})

    def count(name: str) -> Callable[[tuple[str, dict[str, int]]], object]:
        return lambda row: row[1].get(name, 0)

    columns: list[Column[tuple[str, dict[str, int]]]] = [Column("right", lambda row: row[0], "")]
    columns += [Column(name, count(name), name, kind=Kind.NUMBER) for name in decided]
    return Listing(columns, [(truth, dict(counts)) for truth, counts in one.confusion.items()], id=lambda row: row[0])


def _figures(one: ModelReport) -> list[tuple[str, Figure]]:
    ends = (
        ("latency_p50_ms", one.latency_p50_ms),
        ("latency_p95_ms", one.latency_p95_ms),
        ("cost_cents_per_1000", one.cost_cents_per_1000),
    )
    found = [("valid", one.valid), *one.metrics.items(), *ends]
    return [(name, figure) for name, figure in found if figure is not None]


def _order(report: EvaluationReport) -> list[str]:
    names = {name for one in report.models for name in one.metrics}
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


def _told(report: EvaluationReport) -> list[Difference]:
    """The differences worth a sentence: the figure models are compared by, and validity where it tells them apart."""
    return [one for one in report.differences if one.metric == report.main_metric or one.verdict != "not known"]


def _remarks(report: EvaluationReport) -> list[str]:
    """What must be known to read the figures."""
    found = []
    name = spell_model_type(report.model_type)
    if not report.labelled:
        found.append(
            "Nobody judged these decisions, so the original's answers are what is right, and it has no figure of its"
            f" own: `reasoning data review -m {name} --sample 50` gives it one."
        )
    if "mistake_cost" in {each for one in report.models for each in one.metrics}:
        weights = report.weights
        found.append(
            f"Mistakes are weighed {weights.wrong_respond} for speaking where silence was right and"
            f" {weights.wrong_ignore} for silence where an answer was due."
        )
    for one in report.models:
        if one.failures:
            why = ", ".join(f"{reason} ({count:,})" for reason, count in list(one.failures.items())[:5])
            found.append(f"Not valid of {one.name}: {why}.")
        if one.checked.get("brackets"):
            found.append(
                f"Of {one.name}, code in {counted(one.checked['brackets'], 'answer')} was looked at for brackets alone,"
                " which is weaker than a parser."
            )
        if one.cost_cents_per_1000 is None and one.cost_basis:
            found.append(f"What {one.name} costs is not known: {one.cost_basis}.")
        elif one.serving_name is not None:
            found.append(f"Cost of {one.name}: {one.cost_basis}.")
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


def _brief(one: Difference) -> str:
    """`B better than A`."""
    return f"{one.one} {_VERDICTS.get(one.verdict, 'not known beside')} {one.other}"
