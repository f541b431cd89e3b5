"""Who renders the shards of a dataset: this machine's processes, or a cluster of Ray by one setting.

A shard is a task that needs nothing of another: what is to be joined and sorted was, by small columns, before. So an
engine has only to run a function of ours many times, each with what little it is told.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from importlib import import_module
from typing import Any

from reasoning_cli.errors import DataError, ReasoningError, UsageError
from reasoning_cli.operations.data.archive.place import OutOfReachError
from reasoning_cli.operations.data.export.batches import worker_count
from reasoning_cli.operations.data.export.shards import Shard, ShardJob, render_shard

LOCAL = "local"
_RAY = "ray://"
_TRIES = 3  # of a shard whose process was ended


def parse_engine(text: str) -> str:
    """UsageError for what nobody here can run."""
    if text == LOCAL or (text.startswith(_RAY) and len(text) > len(_RAY)):
        return text
    raise UsageError(f"`{text}` is not an engine", "there are `local`, and a cluster as `ray://HOST:PORT`")


def rendered(engine: str, jobs: Iterator[ShardJob], *, workers: int | None = None) -> Iterator[tuple[ShardJob, Shard]]:
    """What became of each job, in whatever order they are done. A few jobs are under way at once, so that few are made
    before their time. Errors of workers are raised here."""
    if engine != LOCAL:
        yield from _on_ray(engine, jobs)
    elif (count := worker_count() if workers is None else workers) > 1:
        yield from _by_processes(jobs, count)
    else:
        yield from ((job, render_shard(job)) for job in jobs)


def _by_processes(jobs: Iterator[ShardJob], count: int) -> Iterator[tuple[ShardJob, Shard]]:
    waiting: deque[ShardJob] = deque()
    tries = 0
    exhausted = False
    while not exhausted or waiting:
        pool = ProcessPoolExecutor(
            count, mp_context=multiprocessing.get_context("spawn"), initializer=_ignore_interrupts
        )
        running: dict[Future[Shard], ShardJob] = {}
        try:
            while True:
                while len(running) < 2 * count and (waiting or not exhausted):
                    if not waiting:
                        if (job := next(jobs, None)) is None:
                            exhausted = True
                            break
                        waiting.append(job)
                    running[pool.submit(render_shard, waiting[0])] = waiting[0]
                    waiting.popleft()  # only now: a pool that broke takes no more
                if not running:
                    break
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    shard = future.result()
                    yield running.pop(future), shard
        except BrokenProcessPool:
            # One was ended, by a want of memory for the most part; what the others had begun is begun again.
            waiting.extend(running.values())
            tries += 1
            if tries >= _TRIES:
                raise DataError(
                    "processes that write the dataset are ended again and again before their time",
                    "memory may be short; the same command goes on with the shards that are not done",
                ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C is for the process that asked; this one ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _on_ray(address: str, jobs: Iterator[ShardJob]) -> Iterator[tuple[ShardJob, Shard]]:
    try:
        ray: Any = import_module("ray")
    except ImportError:
        raise ReasoningError(
            "a cluster needs ray, which is not installed",
            "`pip install 'reasoning[ray]'`, in the version that the cluster runs; or leave `--engine` out",
        ) from None
    try:
        ray.init(address, ignore_reinit_error=True, logging_level="ERROR")
    except Exception as error:
        # What a server of the cluster says is a traceback, with the reason at its end.
        first, *rest = str(error).strip().splitlines() or ["no reason is given"]
        why = f"{first} {rest[-1].strip()}" if rest and first.endswith(":") else first
        raise OutOfReachError(
            f"the cluster at `{address}` cannot be used: {why[:300]}",
            "see that it runs (`ray status` there) with this version of Python and Ray",
        ) from None
    task = ray.remote(num_cpus=1, max_retries=_TRIES)(_shard_of)
    running: dict[Any, ShardJob] = {}
    try:
        many = max(2, 2 * int(ray.cluster_resources().get("CPU", 1)))
        exhausted = False
        while True:
            while not exhausted and len(running) < many:
                if (job := next(jobs, None)) is None:
                    exhausted = True
                else:
                    running[task.remote(job)] = job
            if not running:
                return
            [done], _ = ray.wait(list(running), num_returns=1)
            yield running[done], _taken(ray, done)
            del running[done]
    finally:
        for left in running:
            with suppress(Exception):
                ray.cancel(left, force=True)
        ray.shutdown()


def _shard_of(job: ShardJob) -> Shard | tuple[str, str | None]:
    """A job on a worker; an error of ours as its words, since where it happened says nothing to anybody."""
    try:
        return render_shard(job)
    except ReasoningError as error:
        return error.message, error.hint


def _taken(ray: Any, done: Any) -> Shard:
    try:
        found = ray.get(done)
    except ray.exceptions.RayError as error:
        why = str(error).strip().splitlines()[-1][:300]
        raise DataError(
            f"a worker of the cluster failed: {why}",
            "each needs `reasoning[datasets]` in this version; the same command goes on with the shards not done",
        ) from None
    if isinstance(found, Shard):
        return found
    message, hint = found
    raise DataError(f"a worker of the cluster said: {message}", hint)
