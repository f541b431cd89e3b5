"""What is known of a model that is to be promoted: its latest evaluation, and what live traffic says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from reasoning_cli.operations.deploy.slots import HEAD_TYPE
from reasoning_cli.operations.evaluate.candidates import ORIGINAL
from reasoning_cli.operations.evaluate.gate_rules import Gate
from reasoning_cli.operations.evaluate.online import CompareRequest, compare_live
from reasoning_cli.operations.evaluate.report import EvaluationReport, ModelReport, read_report
from reasoning_cli.operations.promote.gate import Bounds, Evidence
from reasoning_cli.operations.promote.plan import Candidate
from reasoning_cli.operations.statistics.intervals import Figure, proportion
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord
from reasoning_cli.store.evaluate.evaluations import EvaluationRecord, Evaluations

_STAY_OUT = ("IGNORE", "STOP")


def find_evidence(
    store: Store, model_type: str, candidate: Candidate, old: DeploymentRecord | None, gate: Gate, now: datetime
) -> Evidence:
    """All that is known. `old` is the model that answers now, None where the original does."""
    evidence = Evidence(baseline=old.model_name if old is not None else None)
    if (record := _latest(store, model_type, candidate)) is not None and record.report is not None:
        evidence = _of_evaluation(store, evidence, record, candidate, evidence.baseline)
    return _with_live(evidence, store, model_type, candidate, old, gate, now)


def of_head(store: Store, model: str, gate: Gate, now: datetime) -> Evidence:
    """What is known of a head, which has no deployment: it is held against the original."""
    return of_undeployed(store, HEAD_TYPE, model, None, None, gate, now)


def of_undeployed(
    store: Store, model_type: str, model: str, server: str | None, old: str | None, gate: Gate, now: datetime
) -> Evidence:
    """What is known of a model without a deployment: a head, or what the operator's own `server` serves, where it was
    asked there. `old` is the model that answers now, None where the original does."""
    candidate, evidence = Candidate(model, None, None, model), Evidence(baseline=old)
    record = Evaluations(store).latest(model_type, model, server)
    if record is not None and record.report is not None:
        evidence = _of_evaluation(store, evidence, record, candidate, old)
    request = CompareRequest(model_type, against=ORIGINAL, alpha=gate.alpha_percent / 100, own_model=model)
    first = compare_live(store, request, gate, now).questions[0].finding
    return replace(evidence, live=first.verdict, live_decisions=first.trials) if first.trials else evidence


def _latest(store: Store, model_type: str, candidate: Candidate) -> EvaluationRecord | None:
    """The newest evaluation it took part in, under any of its names."""
    record, run = candidate.record, candidate.run
    names = [candidate.name, candidate.target]
    if record is not None:
        names += [name for name in (record.key, record.model_id, record.model_name) if name]
    if run is not None:
        names += [name for name in (run.model_id, run.model_name, run.job_id, run.adapter_name) if name]
    found = [
        latest for name in dict.fromkeys(names) if (latest := Evaluations(store).latest(model_type, name)) is not None
    ]
    return max(
        found, key=lambda evaluation: (evaluation.finished_at or evaluation.started_at, evaluation.number), default=None
    )


def _of_evaluation(
    store: Store, evidence: Evidence, record: EvaluationRecord, candidate: Candidate, old: str | None
) -> Evidence:
    assert record.report is not None
    report = read_report(record.report)
    own = _own(report, candidate)
    if own is None:
        return evidence
    other = old or ORIGINAL
    baseline = next((model.name for model in report.models if model.name == other or model.model_name == other), None)
    names = [ORIGINAL, *(model.name for model in report.models if model.name != ORIGINAL)]
    return replace(
        evidence,
        baseline_agreement=None
        if old is None or baseline is None
        else _baseline_agreement(store, record, names.index(own.name), names.index(baseline)),
        evaluation=record.number,
        at=record.finished_at,
        decisions=own.answers,
        labelled=report.labelled,
        valid=_bounds(own.valid),
        agreement=_bounds(own.metrics.get(report.main_metric)),
        difference=None if baseline is None else _difference(report, own.name, baseline),
        wrong_respond=_wrong_respond(own.confusion),
        p95_ms=None if own.latency_p95_ms is None else round(own.latency_p95_ms.value),
        leaked=report.leaked,
    )


def _own(report: EvaluationReport, candidate: Candidate) -> ModelReport | None:
    names = {candidate.name, candidate.target}
    if candidate.record is not None:
        names |= {candidate.record.model_name, candidate.record.model_id or ""}
    if candidate.run is not None:
        names |= {candidate.run.model_name or "", candidate.run.job_id or ""}
    models = [model for model in report.models if model.name != ORIGINAL]
    return next((model for model in models if names & {model.name, model.model_name}), None)


def _difference(report: EvaluationReport, own: str, baseline: str) -> Bounds | None:
    for difference in report.differences:
        if (
            difference.metric != report.main_metric
            or {difference.one, difference.other} != {own, baseline}
            or not difference.figure.count
        ):
            continue
        figure = difference.figure
        if difference.one == own:
            return Bounds(figure.value, figure.low, figure.high)
        return Bounds(-figure.value, -figure.high, -figure.low)
    return None


def _baseline_agreement(store: Store, record: EvaluationRecord, own_place: int, other: int) -> Bounds | None:
    """How often two of the models asked (by their places) decided the same, of the decisions both decided."""
    same = both = 0
    for group in Evaluations(store).answers(record.number):
        decided = {answer.place: answer.scores.get("decided") for answer in group}
        if decided.get(own_place) is not None and decided.get(other) is not None:
            both += 1
            same += decided[own_place] == decided[other]
    return _bounds(proportion(same, both))


def _bounds(figure: Figure | None) -> Bounds | None:
    return None if figure is None else Bounds(figure.value, figure.low, figure.high)


def _wrong_respond(confusion: Mapping[str, Mapping[str, int]]) -> float | None:
    """Of the decisions it should have kept out of, the share it answered."""
    rows = [confusion.get(decision, {}) for decision in _STAY_OUT]
    whole = sum(sum(row.values()) for row in rows)
    return sum(row.get("RESPOND", 0) for row in rows) / whole if whole else None


def _with_live(
    evidence: Evidence,
    store: Store,
    model_type: str,
    candidate: Candidate,
    old: DeploymentRecord | None,
    gate: Gate,
    now: datetime,
) -> Evidence:
    if candidate.record is None:
        return evidence
    against = old.model_name if old is not None and old.model_name != candidate.record.model_name else ORIGINAL
    request = CompareRequest(model_type, candidate.record.key, against, alpha=gate.alpha_percent / 100)
    compared = compare_live(store, request, gate, now)
    first = compared.questions[0].finding
    return replace(evidence, live=first.verdict, live_decisions=first.trials) if first.trials else evidence
