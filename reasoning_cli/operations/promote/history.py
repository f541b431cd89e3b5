"""Which model answered when, how much, what it was trained on, how it was judged, and why it came or went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reasoning_cli.operations.evaluate.report import read_report
from reasoning_cli.operations.statistics.intervals import Figure
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.evaluate.evaluations import Evaluations
from reasoning_cli.store.promote.promotions import Promotion, Promotions
from reasoning_cli.store.serving.heads import Heads
from reasoning_cli.store.serving.online_answers import Served, served
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import is_head


@dataclass(frozen=True)
class Judged:
    """What an evaluation said of a model: the figure that counts, by name."""

    number: int
    metric: str
    figure: Figure | None


@dataclass(frozen=True)
class Tenure:
    """One model in a slot, or on its way there. `decisions` are answers of it that agents got, from `first` to `last`,
    None of both where there are none. `now`: the slot is its own, or the head's the line. `out_why` is why its audits
    took a head out of that, None where it may answer; `problem` why the one in line cannot be used."""

    model_type: str
    model: str
    deployment_key: str | None
    first: datetime | None
    last: datetime | None
    decisions: int
    now: bool
    run: TrainingRun | None = None
    evaluation: Judged | None = None
    promotion: Promotion | None = None
    out_why: str | None = None
    problem: str | None = None

    @property
    def began(self) -> datetime | None:
        """Where it stands among others."""
        return self.first or (self.promotion.started_at if self.promotion is not None else None)


def history(store: Store, model_types: Sequence[str], undeployed: Mapping[str, Sequence[str]]) -> list[Tenure]:
    """All that models of ours did in the slots of these types, the oldest first. `undeployed` are those without
    a deployment that are in a slot now: a head in line, and what the operator's own server serves."""
    every = [_of_type(store, model_type, undeployed.get(model_type, ())) for model_type in model_types]
    found = [tenure for of_type in every for tenure in of_type]
    return sorted(found, key=lambda tenure: (tenure.began is None, tenure.began))


def _of_type(store: Store, model_type: str, undeployed: Sequence[str]) -> list[Tenure]:
    deployments = [*Deployments(store).all(), *Deployments(store).riders()]
    by_key = {deployment.key: deployment for deployment in deployments}
    in_slot = Deployments(store).serving(model_type)
    tenures: dict[str, Tenure] = {}
    for row in served(store, model_type):
        key = row.deployment_key or _by_name(row, deployments)
        model = by_key[key].model_name if key in by_key else row.model
        known = tenures.get(key or model)
        if known is None or known.first is None or known.last is None:
            tenures[key or model] = Tenure(model_type, model, key, row.first, row.last, row.decisions, False)
        else:
            tenures[key or model] = replace(
                known,
                first=min(known.first, row.first),
                last=max(known.last, row.last),
                decisions=known.decisions + row.decisions,
            )
    for promotion in Promotions(store).all(model_type):
        is_undeployed = promotion.server is not None or is_head(promotion.model)
        name = promotion.model_key or (promotion.model if is_undeployed else f"promotion {promotion.number}")
        known = tenures.get(name) or Tenure(model_type, promotion.model, promotion.model_key, None, None, 0, False)
        if known.promotion is not None:  # the same deployment once more
            name = f"promotion {promotion.number}"
            known = replace(known, first=None, last=None, decisions=0)
        tenures[name] = replace(known, promotion=promotion)
    found = [replace(tenure, now=_is_now(tenure, in_slot, by_key, undeployed)) for tenure in tenures.values()]
    return [_known(store, tenure, by_key.get(tenure.deployment_key or "")) for tenure in found]


def _is_now(
    tenure: Tenure, in_slot: str | None, by_key: dict[str, DeploymentRecord], undeployed: Sequence[str]
) -> bool:
    if tenure.deployment_key is None:
        was_taken_back = tenure.promotion is not None and (
            tenure.promotion.stage == "returned" or tenure.promotion.rolled_back_at is not None
        )
        return tenure.model in undeployed and not was_taken_back
    record = by_key.get(tenure.deployment_key)
    return record is not None and record.key == in_slot and record.deleted_at is None


def _by_name(served: Served, deployments: Sequence[DeploymentRecord]) -> str | None:
    """The deployment that answered under a name before it was kept which: the last made under it by then."""
    names = [
        record.key
        for record in deployments
        if served.model in (record.serving_name, f"{record.serving_name}/{record.deployment_name}")
        and record.created_at <= served.last
    ]
    return names[-1] if names else None


def _known(store: Store, tenure: Tenure, record: DeploymentRecord | None) -> Tenure:
    """With the training it came from, and what was found of it."""
    runs = TrainingRuns(store)
    names = [tenure.model, record.model_id if record is not None else None]
    run = next((found for name in names if name and (found := runs.of_model(name)) is not None), None)
    evaluations = Evaluations(store)
    evaluation = None
    if tenure.promotion is not None and tenure.promotion.evaluation is not None:
        evaluation = evaluations.get(tenure.promotion.evaluation)
    for name in (*names, tenure.deployment_key):
        evaluation = evaluation or (evaluations.latest(tenure.model_type, name) if name else None)
    judged = None
    if evaluation is not None and evaluation.report is not None:
        report = read_report(evaluation.report)
        own = next((model for model in report.models if model.model_name in names or model.name in names), None)
        judged = Judged(evaluation.number, report.main_metric, own.metrics.get(report.main_metric) if own else None)
    head = Heads(store).get(tenure.model) if is_head(tenure.model) and tenure.now else None
    return replace(tenure, run=run, evaluation=judged, out_why=head.why if head is not None else None)
