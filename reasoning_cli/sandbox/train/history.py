"""What a fine-tuning job has done so far: events, measurements, checkpoints. All of it follows from how far it is."""

from __future__ import annotations

import math

from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.http.problems import bad_request
from reasoning_cli.sandbox.http.requests import Request
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.train.fine_tunes import find
from reasoning_cli.sandbox.train.job_life import progress
from reasoning_cli.sandbox.world.records import FineTune
from reasoning_cli.sandbox.world.world import World

_MAX_POINTS = 200
_FIRST_LOSS, _LAST_LOSS, _STEEPNESS = 2.2, 0.35, 3.0


def list_events(world: World, request: Request, job_id: str) -> Json:
    """Oldest first, all at once."""
    job = find(world, job_id)
    events: list[tuple[int, str, str, str, int | None]] = [
        (at, kind, level, message, None) for at, kind, level, message in job.events
    ]
    done = steps_done(world, job)
    for name, count in (("epoch_complete", _asked(job, "n_epochs", 1)), ("checkpoint_save", _checkpoints(job))):
        for number in range(1, count + 1):
            step = max(1, job.total_steps * number // count)
            if step <= done:
                events.append((_at(job, step), name, "info", f"{name.replace('_', ' ')}, {number} of {count}", step))
    capital = world.behaviour.capital_events
    return {
        "data": [
            _event(job, *event, capital=capital)
            for event in sorted(events, key=lambda event: (event[0], event[4] is None))
        ]
    }


def list_metrics(world: World, request: Request, job_id: str) -> Json:
    """Measurements by step: the training loss falls, and so does that of the validation file, above it."""
    job = find(world, job_id)
    first, last = _step(request, "global_step_from", 0), _step(request, "global_step_to", 10**9)
    begin, end = request.moment("logged_at_from", 0), request.moment("logged_at_to", 10**15)
    points = min(_MAX_POINTS, _step(request, "resolution", _MAX_POINTS))
    done = steps_done(world, job)
    shown = [step for step in range(1, done + 1) if first <= step <= last and begin <= _at(job, step) <= end]
    drawn = set(shown[:: max(1, -(-len(shown) // max(1, points)))]) | set(shown[-1:])
    evals = _asked(job, "n_evals", 0)
    measured = {max(1, job.total_steps * number // evals) for number in range(1, evals + 1)}
    return {"metrics": [_metric(job, step, step in measured) for step in shown if step in drawn | measured]}


def list_checkpoints(world: World, request: Request, job_id: str) -> Json:
    """Of a job that is over: those on the way first, then what it shipped."""
    job = find(world, job_id)
    if job.status != "completed":
        return {"data": []}
    kind = "adapter" if job.kind == "Lora" else "model"
    rows = [(step, model_id, kind, f"Intermediate checkpoint, step {step}") for step, model_id in job.checkpoints]
    for what, model_id in (("model", job.model_id), ("adapter", job.adapter_id)):
        if model_id is not None:
            rows.append((job.total_steps, model_id, what, f"Final {what}, step {job.total_steps}"))
    return {"data": [_checkpoint(world, job, *row) for row in rows]}


def steps_done(world: World, job: FineTune) -> int:
    return int(job.total_steps * progress(world, job))


def _at(job: FineTune, step: int) -> int:
    return (job.running_at or 0) + job.running_ms * step // max(1, job.total_steps)


def _event(job: FineTune, at: int, kind: str, level: str, message: str, step: int | None, *, capital: bool) -> Json:
    result: Json = {
        "object": "fine-tune-event",
        "created_at": stamp(at),
        "type": kind.upper() if capital else kind,
        "level": level,
        "message": message,
    }
    if step is not None:
        result |= {"step": step, "total_steps": job.total_steps}
    if kind == "checkpoint_save":
        result["checkpoint_path"] = _path(job, step or 0)
    return result


def _metric(job: FineTune, step: int, is_measured: bool) -> Json:
    done = step / max(1, job.total_steps)
    loss = _LAST_LOSS + (_FIRST_LOSS - _LAST_LOSS) * math.exp(-_STEEPNESS * done)
    rate = job.asked.get("learning_rate", 1e-5)
    rate = rate if isinstance(rate, int | float) else 1e-5
    result: Json = {
        "train/global_step": float(step),
        "train/epoch": round(done * _asked(job, "n_epochs", 1), 4),
        "train/loss": round(loss, 6),
        "train/learning_rate": rate * (1 + math.cos(math.pi * done)) / 2,
        "train/grad_norm": round(loss / 2, 6),
    }
    if is_measured:
        result["eval/loss"] = round(loss * 1.1 + 0.05, 6)
    return result


def _checkpoint(world: World, job: FineTune, step: int, model_id: str, kind: str, label: str) -> Json:
    result: Json = {
        "checkpoint_type": label,
        "created_at": stamp(_at(job, step)),
        "path": _path(job, step),
        "step": step,
        "checkpoint": kind,
        "object_id": model_id,
    }
    if model_id in world.models:
        result["object_name"] = world.models[model_id].name
        result["object_revision_id"] = world.models[model_id].revisions[0].id
    return result


def _path(job: FineTune, step: int) -> str:
    return f"s3://sandbox-checkpoints/{job.id}/step-{step}"


def _checkpoints(job: FineTune) -> int:
    return _asked(job, "n_checkpoints", 1)


def _asked(job: FineTune, name: str, default: int) -> int:
    value = job.asked.get(name, default)
    return value if isinstance(value, int) else default


def _step(request: Request, name: str, default: int) -> int:
    given = request.query.get(name, str(default))
    if not given.isascii() or not given.isdecimal():
        raise bad_request(f"invalid {name}: must be an integer", param=name)
    return int(given)
