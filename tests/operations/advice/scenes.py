"""What a store holds of heads, deployments, evaluations and decisions, written by hand for comparing ways."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal

from reasoning_cli.decisions.scoring import Weights
from reasoning_cli.operations.evaluate.report import EvaluationReport, ModelReport, report_record
from reasoning_cli.operations.statistics.intervals import Figure, proportion
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import DeploymentRecord, Deployments
from reasoning_cli.store.evaluate.evaluations import Evaluations
from reasoning_cli.store.samples.exports import NumberSet
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.store.train.runs import TrainingRuns

TYPE = "should_respond"
HEAD = "head/should-respond-1a2b3c4d"
MODEL = "acme/should-respond"


def head_run(store: Store, at: datetime, *, share: float = 0.31, at_most: float = 0.019, model: str = HEAD) -> None:
    """A head that was trained, with what it has proven."""
    plan = {"typed": {}, "export": {"seed": 0}, "share": share, "max_error": 0.02, "at_most": at_most}
    run = TrainingRuns(store).begin(TYPE, base="head", method="head", plan=plan, at=at)
    TrainingRuns(store).update(run.number, at=at, stage="done", finished_at=at, model_name=model)


def deployed(store: Store, at: datetime, *, ready: int = 1, cents: int = 549, model: str = MODEL) -> None:
    """A GPU that serves the type, `ready` replicas of it."""
    Deployments(store).record_intent(
        DeploymentRecord(
            key="k1",
            model_type=TYPE,
            model_name=model,
            model_id=None,
            endpoint_name="should-respond",
            endpoint_id="ep_1",
            deployment_name="should-respond",
            deployment_id="dep_1",
            serving_name=model,
            project_id=None,
            hardware="1xnvidia-h100-80gb",
            price_cents_per_hour=cents,
            config=None,
            idle_minutes=30,
            min_replicas=1,
            max_replicas=1,
            state="READY" if ready else "STOPPED",
            ready_replicas=ready,
            created_at=at - timedelta(days=2),
            state_at=at,
        )
    )


def evaluated(
    store: Store, at: datetime, *, agreed: int = 970, of: int = 1000, model: str = MODEL, server: str = ""
) -> None:
    """An evaluation in which a model, of a server where one is named, decided as the original so often."""
    latency = Figure(90.0, 80.0, 100.0, of)
    own = ModelReport(
        name=model,
        model_name=model,
        serving_name=model,
        training="",
        run=None,
        form="",
        answers=of,
        valid=proportion(of, of),
        metrics={"accuracy": proportion(agreed, of) or latency},
        confusion={"IGNORE": {"IGNORE": of - 1, "RESPOND": 1}},
        latency_p95_ms=latency,
    )
    report = EvaluationReport(TYPE, of, 0, {}, {}, 0, "accuracy", (own,), (), of - agreed, Weights(), 1)
    evaluations = Evaluations(store)
    models = [("o", "[]"), (model, json.dumps([server] if server else []))]
    begun = evaluations.begin(
        TYPE, arguments=f"{model} {server}", fingerprint="f", plan={}, items=NumberSet(), models=models, at=at
    )
    evaluations.finish(begun.number, report_record(report), at=at)


def decisions(store: Store, at: datetime, count: int, **changes: object) -> None:
    """So many decisions of the hour from `at` on, answered by gpt-4o in 400 to 499 ms."""
    made = [
        Sample(
            f"{at:%d%H}-{changes.get('source', '')}-{number}",
            at + timedelta(seconds=number * 3600 / count),
            TYPE,
            str(changes.get("model", "gpt-4o")),
            str(changes.get("source", "original")),
            "gateway",
            "prompt",
            "IGNORE",
            decision="IGNORE",
            prompt_tokens=1500,
            completion_tokens=20,
            latency_ms=400 + number % 100,
        )
        for number in range(count)
    ]
    Samples(store).insert_many(made)


GPT_4O_CENTS = Decimal("0.395")  # 1,500 tokens at $2.50 and 20 at $10.00 for a million
