"""Who renders the shards of a dataset: this machine's processes, or a cluster of Ray by one setting.

A shard is a task that needs nothing of another: what is to be joined and sorted was, by small columns, before. So an
engine has only to run a function of ours many times, each with what little it is told.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from reasoning_cli.errors import DataError, ReasoningError, UsageError
from reasoning_cli.operations.data.archive.place import OutOfReachError
from reasoning_cli.operations.data.export.batches import worker_count
from reasoning_cli.operations.data.export.shards import Shard, ShardJob, render_shard

LOCAL = "local"
_RAY = "ray://"
_TRIES = 3  # of a shard whose process was ended
_STARTS_WITHIN = 120.0  # seconds that a cluster may take from its start until it serves
_ANSWERS_WITHIN = 10.0
_ASK_AGAIN = 1.0


def parse_engine(text: str) -> str:
    """UsageError for what nobody here can run."""
    if text == LOCAL or (text.startswith(_RAY) and len(text) > len(_RAY)):
        return text
    raise UsageError(f"`{text}` is not an engine", "there are `local`, and a cluster as `ray://HOST:PORT`")


@contextmanager
def connected(engine: str, on_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """The engine ready to render, for the time of a `with`. A cluster that is just starting is waited for; where none
    comes up an OutOfReachError says why."""
    if engine == LOCAL:
        yield
        return
    ray = _ray()
    _reach(ray, engine, on_waiting)
    try:
        yield
    finally:
        ray.shutdown()


def rendered(engine: str, jobs: Iterator[ShardJob], *, workers: int | None = None) -> Iterator[tuple[ShardJob, Shard]]:
    """What became of each job, in whatever order they are done, by an engine that is connected. A few jobs are under
    way at once, so that few are made before their time. Errors of workers are raised here."""
    if engine != LOCAL:
        yield from _on_ray(engine, jobs)
    elif (count := worker_count() if workers is None else workers) > 1:
        yield from _by_processes(jobs, count)
    else:
        yield from ((job, render_shard(job)) for job in jobs)


def _by_processes(jobs: Iterator[ShardJob], count: int) -> Iterator[tuple[ShardJob, Shard]]:
    context = multiprocessing.get_context("spawn")
    waiting: deque[ShardJob] = deque()
    tries = 0
    exhausted = False
    while not exhausted or waiting:
        listening, alive = context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent, initargs=(listening,))
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
            if running:
                alive.close()  # nobody wants what is under way
            pool.shutdown(cancel_futures=True)
            alive.close()
            listening.close()


def _end_with_parent(alive: Connection) -> None:
    """Ctrl-C is for the process that asked; this one ends with it, at once, whatever it is at."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(alive,), daemon=True).start()


def _end_after(alive: Connection) -> None:
    with suppress(EOFError, OSError):
        alive.recv()
    os._exit(1)


def _ray() -> Any:
    try:
        return import_module("ray")
    except ImportError:
        raise ReasoningError(
            "a cluster needs ray, which is not installed",
            "`pip install 'reasoning[ray]'`, in the version that the cluster runs; or leave `--engine` out",
        ) from None


def _reach(ray: Any, address: str, on_waiting: Callable[[], None]) -> None:
    """Connect to a cluster. One that was just started listens long before it can serve, and gives up in between."""
    until = time.monotonic() + _STARTS_WITHIN
    while True:
        on_waiting()
        try:
            _listens(address)
            ray.init(address, logging_level="ERROR")
            return
        except Exception as error:
            # Waiting helps against these alone, and neither against another version nor against a name nobody knows.
            if isinstance(error, ConnectionError | TimeoutError) and time.monotonic() < until:
                time.sleep(_ASK_AGAIN)
                continue
            hint = "see that it runs (`ray status` there) with this version of Python and Ray"
            if isinstance(error, ConnectionRefusedError):
                hint = f"`ray start --head` there lets clients in, and `{address}` is to name that port (10001)"
            raise OutOfReachError(f"the cluster at `{address}` cannot be used: {_reason(error)}", hint) from None


def _listens(address: str) -> None:
    """OSError where nobody listens: Ray itself would try that for half a minute and not say it."""
    host, _, port = address.removeprefix(_RAY).partition("/")[0].rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_WITHIN).close()


def _reason(error: Exception) -> str:
    """In a line: what a server of the cluster says is a traceback, with the reason at its end."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    first, *rest = str(error).strip().splitlines() or ["no reason is given"]
    return (f"{first} {rest[-1].strip()}" if rest and first.endswith(":") else first)[:300]


def _on_ray(address: str, jobs: Iterator[ShardJob]) -> Iterator[tuple[ShardJob, Shard]]:
    ray = _ray()
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
    except ConnectionError as error:
        running.clear()
        raise OutOfReachError(
            f"the cluster at `{address}` went away: {_reason(error)}",
            "when it runs again, the same command goes on with the shards not done",
        ) from None
    finally:
        for left in running:
            with suppress(Exception):
                ray.cancel(left, force=True)


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
