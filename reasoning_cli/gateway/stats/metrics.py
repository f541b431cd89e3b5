"""The gateway's figures in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from reasoning_cli.gateway.stats.figures import BOUNDS


def metrics_text(record: Mapping[str, Any]) -> bytes:
    """What `/metrics` answers, made from what `/stats` does."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

    class Collector:
        def collect(self) -> Iterator[Metric]:
            about = GaugeMetricFamily(
                "reasoning_gateway_info",
                "1; which gateway this is, on which host, of which version.",
                labels=["instance_id", "host", "version"],
            )
            about.add_metric([record["instance"], record["host"], record["version"]], 1)
            yield about
            requests = CounterMetricFamily("reasoning_gateway_requests", "Calls received.")
            requests.add_metric([], record["requests"])
            yield requests
            relayed = CounterMetricFamily("reasoning_gateway_relayed", "Calls that are no decision, handed through.")
            relayed.add_metric([], record["relayed"])
            yield relayed
            decisions = CounterMetricFamily(
                "reasoning_gateway_decisions", "Decisions answered.", labels=["model_type", "source", "reason"]
            )
            latency = HistogramMetricFamily(
                "reasoning_gateway_latency_seconds",
                "How long answers to decisions took.",
                labels=["model_type", "source"],
            )
            for model_type, entry in record["model_types"].items():
                for source, part in entry["by_source"].items():
                    for reason, count in part["reasons"].items():
                        decisions.add_metric([model_type, source, reason], count)
                    counts, bounds = part["durations"]["counts"], [*map(str, BOUNDS), "+Inf"]
                    buckets = list(zip(bounds, accumulate(counts), strict=True))
                    latency.add_metric([model_type, source], buckets, part["durations"]["sum_ms"] / 1000)
            yield decisions
            yield latency
            heads = CounterMetricFamily(
                "reasoning_gateway_head_decisions",
                "Decisions the head in line was asked for, by what came of it.",
                labels=["model_type", "outcome"],
            )
            compared = CounterMetricFamily(
                "reasoning_gateway_head_compared",
                "Decisions of the head in line that the original was asked for as well.",
                labels=["model_type", "agrees"],
            )
            for model_type, entry in record["model_types"].items():
                if (head := entry["head"]) is None:
                    continue
                for outcome, count in head["outcomes"].items():
                    heads.add_metric([model_type, outcome], count)
                compared.add_metric([model_type, "false"], head["disagreed"])
                compared.add_metric([model_type, "true"], head["compared"] - head["disagreed"])
            yield heads
            yield compared
            models = CounterMetricFamily(
                "reasoning_gateway_model_answers",
                "Answers of each model: the agent's, good ones beside it, failures.",
                labels=["model_type", "model", "deployment", "fate"],
            )
            for model_type, entry in record["model_types"].items():
                for model in entry["models"]:
                    for outcome in ("answered", "beside", "failed"):
                        models.add_metric(
                            [model_type, model["model"], model["deployment"] or "", outcome], model[outcome]
                        )
            yield models
            circuits = GaugeMetricFamily(
                "reasoning_gateway_circuit_open", "1 while a slot's circuit is not closed.", labels=["model_type"]
            )
            for model_type, slot in record["slots"].items():
                circuits.add_metric([model_type], float(slot["circuit"] != "closed"))
            yield circuits
            recorded = CounterMetricFamily(
                "reasoning_gateway_recorded", "Decisions by what became of them.", labels=["fate"]
            )
            for outcome in ("stored", "unreadable", "dropped"):
                recorded.add_metric([outcome], record["recording"][outcome])
            yield recorded
            yield GaugeMetricFamily(
                "reasoning_gateway_spooled",
                "Decisions that wait on this machine's disk until the store can be written to.",
                record["recording"]["spooled"],
            )

    registry = CollectorRegistry()
    registry.register(Collector())
    return generate_latest(registry)
