"""A training that is killed, for real: at a request, in a process of its own, with SIGKILL; then typed again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.generate_log import Generator, fill
from reasoning_cli.store.train.fine_tunes import FineTunes
from reasoning_cli.store.train.runs import TrainingRuns
from tests.engines.together.service import Service
from tests.operations.killing import Call, copy_home, run_until_held, standing_still, type_in, world_in

TRAIN = "train start should-respond --yes --base Qwen/Qwen3-8B"


class TrainingKills:
    """A log in `folder`, and a world of its own for each kill of the training that learns from it."""

    def __init__(self, folder: Path, samples: int = 400) -> None:
        self._folder = folder
        with world_in(self._begin) as world:
            fill(world.store, Generator(samples, seed=3, prompt_bytes=300))
            world.behave(queue_seconds=5, training_seconds=20, saving_seconds=5, file_check_seconds=5)

    def calls(self) -> list[Call]:
        """What the command asks of Together when nobody kills it; it then ends as it should."""
        with self._copy("whole") as (home, world):
            code, _, err = type_in(home, world, TRAIN)
            assert code == 0, err
            made = [Call(number, one["method"], one["path"]) for number, one in enumerate(world.journal(), 1)]
            assert wrong(world) == []
            return made

    def kill(self, call: Call, moment: str) -> list[str]:
        """Kill it at that call and type it again; what is then not as it should be."""
        with self._copy(f"{call.number}-{moment}") as (home, world):
            world.fault(".", hold=moment, skip=call.number - 1, times=1)
            was_killed = run_until_held(home, world, TRAIN, 0)
            world.clear_faults()
            faults = [] if was_killed or moment == "after_answer" else ["it ended without being killed"]
            code, _, err = type_in(home, world, TRAIN)
            return [*faults, *([] if code == 0 else [f"the second run ended with {code}: {err}"]), *wrong(world)]

    @property
    def _begin(self) -> Path:
        return self._folder / "begin"

    @contextmanager
    def _copy(self, name: str) -> Iterator[tuple[Path, Service]]:
        home = self._folder / name
        copy_home(self._begin, home)
        try:
            with world_in(home) as world:
                yield home, world
        finally:
            shutil.rmtree(home)


def wrong(world: Service) -> list[str]:
    """What there is too much or too little of: one run, one job, two files (a side each), one price, in both books."""
    found: list[str] = []
    with standing_still(world):
        jobs: list[dict[str, Any]] = world.ask("GET", "/v1/fine-tunes")["data"]
        # What was registered and never got its bytes is not a file: it cannot be trained on, and nothing knows of it.
        files: list[dict[str, Any]] = [one for one in world.ask("GET", "/v1/files")["data"] if one["bytes"]]
    runs = TrainingRuns(world.store).all()
    if [one.stage for one in runs] != ["done"]:
        found.append(f"runs: {[(one.stage, one.problem) for one in runs]}")
    if len(jobs) != 1 or jobs[0]["status"] != "completed":
        found.append(f"jobs: {[(one['id'], one['status']) for one in jobs]}")
    if len(files) != 2:
        found.append(f"files: {[one['filename'] for one in files]}")
    if runs and jobs and runs[-1].job_id != jobs[0]["id"]:
        found.append(f"the run knows {runs[-1].job_id}")
    if runs and {runs[-1].training_file_id, runs[-1].validation_file_id} != {one["id"] for one in files}:
        found.append("the run knows other files")
    costs = {one.id: one.cost_nano_dollars for one in FineTunes(world.store).all()}
    if costs != {one["id"]: one["total_price"] for one in jobs}:
        found.append(f"the ledger says {costs}")
    return found
