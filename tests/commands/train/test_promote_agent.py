"""A real ElizaOS agent lives through a promotion that turns bad, and does what it does without us."""

from __future__ import annotations

from pathlib import Path

from reasoning_cli.store.promote.promotions import Promotions
from reasoning_cli.store.samples.training_log import SampleFilter, Samples
from tests.commands.promoting import JUNK, world
from tests.conftest import Run
from tests.engines.together.service import Service
from tests.gateway.eliza import provider, run_agent
from tests.gateway.node import node_folder
from tests.waiting import until

MODEL = "Qwen/Qwen3-8B"


def test_an_agent_does_not_notice(
    still: Service, home: Path, tmp_path: Path, reasoning: Run, session_facts: dict[str, object]
) -> None:
    folder = node_folder("@elizaos/core")
    with provider(folder) as original:
        alone = run_agent(folder, tmp_path / "alone", original.url, "openai")
        with world(still, home, original.url) as agents:
            runs = []

            def pause(seconds: float) -> None:
                still.advance(30)
                agents.gateway.book.look()
                if Promotions(still.store).going("planning").stage == "watching":  # type: ignore[union-attr]
                    agents.says[MODEL] = JUNK
                    runs.append(run_agent(folder, tmp_path / f"run-{len(runs)}", agents.url, "openai"))
                    until(lambda: not agents.gateway.recorder.figures.waiting_bytes, "the log")

            session_facts["sleep"] = pause
            done = reasoning(*("train", "promote", "planning", "--to", MODEL, "--mode", "live", "--force", "--yes"))
            assert (done.exit_code, "answers were no good" in done.stderr) == (1, True), done.stderr
            agents.gateway.book.look()
            runs.append(run_agent(folder, tmp_path / "after", agents.url, "openai"))
            assert all(one == alone for one in runs)
            promotion = Promotions(still.store).latest("planning")
            assert promotion is not None
            assert promotion.stage == "returned"
            assert Samples(still.store).count(SampleFilter(model_types=("planning",), source="fallback")) >= 3
            assert still.deployments() == []
