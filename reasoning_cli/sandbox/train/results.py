"""What a fine-tuning job left, as a packed archive; and a look at how samples would be cut into tokens."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from functools import lru_cache
from http import HTTPStatus
from typing import cast
from zlib import crc32

from reasoning_cli.sandbox.clock import stamp
from reasoning_cli.sandbox.http.paths import FILE_STORAGE
from reasoning_cli.sandbox.http.problems import ApiError, bad_request
from reasoning_cli.sandbox.http.requests import Raw, Request, ranged
from reasoning_cli.sandbox.http.shapes import Json
from reasoning_cli.sandbox.train.files import find as find_file
from reasoning_cli.sandbox.train.fine_tunes import find
from reasoning_cli.sandbox.training_files import CHARACTERS_PER_TOKEN, samples
from reasoning_cli.sandbox.world.records import FineTune
from reasoning_cli.sandbox.world.world import World

_WEIGHT_BYTES = 64 * 1024
_BLOCK_BYTES = 128 * 1024
_HOUR_MS = 3_600_000
_MASKED = -100
_MAX_LENGTH = 32_768


def download(world: World, request: Request) -> Raw:
    """A tar packed with zstd: configuration, and weights that are noise."""
    job = find(world, request.query.get("ft_id", ""))
    kind = request.query.get("checkpoint", "adapter" if job.kind == "Lora" else "merged")
    if kind not in ("merged", "adapter", "model_output_path"):
        raise bad_request("checkpoint must be merged, adapter or model_output_path", param="checkpoint")
    if kind == "adapter" and job.kind != "Lora":
        raise bad_request("the job made no adapter", param="checkpoint")
    if job.status != "completed":
        raise bad_request(f"the job is {job.status}: there is nothing to download yet")
    headers = {"Content-Disposition": f'attachment; filename="{job.suffix}-{kind}.tar.zst"'}
    return ranged(request, zstd_frame(_archive(job, kind)), headers)


def preview(world: World, request: Request) -> Json:
    """The first samples of a file in tokens, which here are four characters each, and what of them is trained on."""
    body = request.body()
    file = find_file(world, str(body.get("training_file", "")))
    if not body.get("model"):
        raise bad_request("model is required", param="model")
    if file.status != "COMPLETED":
        raise bad_request(f"training_file is {file.status}, not validated", param="training_file")
    form = (file.report or {}).get("dataset_format")
    if form not in ("conversation", "instruction", "general"):
        raise bad_request("only samples for supervised training can be previewed", param="training_file")
    count, on_inputs = body.get("top_k", 5), body.get("train_on_inputs", False)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 100:
        raise bad_request("top_k must be an integer from 1 to 100", param="top_k")
    found = samples(world.blobs.get(file.checksum))
    whole = [
        _row(sample.prompt, sample.answer, bool(on_inputs)) for sample, _ in zip(found, range(count), strict=False)
    ]
    rows = [row for other_row in whole for row in _fitted(other_row, world.behaviour.long_samples)][:count]
    return {
        "dataset_format": form,
        "max_seq_length": _MAX_LENGTH,
        "model": body["model"],
        "rows": rows,
        "train_on_inputs": bool(on_inputs),
    }


def locate_tokens(world: World, request: Request, job_id: str) -> Json:
    """Where the samples of a job are as tokens: a signed address, good for an hour."""
    job = find(world, job_id)
    if job.running_at is None or not job.checksums:
        raise bad_request("the samples of this job were not cut into tokens yet")
    return {
        "url": f"{request.origin}{FILE_STORAGE}{job.id}?signature={_signature(job)}",
        "expires_at": stamp(world.now + _HOUR_MS),
        "filename": f"{job.id}-tokens.jsonl.zst",
        "size": len(_tokens(world, job)),
        "content_type": "application/zstd",
    }


def tokens(world: World, request: Request) -> Raw:
    """The samples of a job as rows of tokens, from the storage host. Raises ApiError (403)."""
    job = world.fine_tunes.get(request.path.removeprefix(FILE_STORAGE))
    if job is None or request.query.get("signature") != _signature(job):
        raise ApiError(HTTPStatus.FORBIDDEN, "the address is not signed for this")
    return ranged(request, _tokens(world, job), {"Content-Type": "application/zstd"})


def zstd_frame(content: bytes) -> bytes:
    """A frame of blocks that are not compressed (RFC 8878): any reader takes it, and no library is needed for it."""
    frame = [b"\x28\xb5\x2f\xfd", b"\xe0", len(content).to_bytes(8, "little")]
    starts = range(0, max(1, len(content)), _BLOCK_BYTES)
    for start in starts:
        block = content[start : start + _BLOCK_BYTES]
        head = (len(block) << 3) | (start == starts[-1])
        frame += [head.to_bytes(3, "little"), block]
    return b"".join(frame)


def _archive(job: FineTune, kind: str) -> bytes:
    prefix = "adapter_" if kind == "adapter" else ""
    weights = b"".join(hashlib.sha256(f"{job.id} {number}".encode()).digest() for number in range(_WEIGHT_BYTES // 32))
    config = json.dumps({"base_model_name_or_path": job.model, "sandbox": True}).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in ((f"{prefix}config.json", config), (f"{prefix}model.safetensors", weights)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), job.created_at // 1000
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _tokens(world: World, job: FineTune) -> bytes:
    found = samples(world.blobs.get(job.checksums[-1]))
    rows = (json.dumps(_row(sample.prompt, sample.answer, False)) for sample in found)
    return zstd_frame("".join(f"{row}\n" for row in rows).encode())


def _signature(job: FineTune) -> str:
    return hashlib.sha256(f"{job.id} {job.created_at} {job.sequence}".encode()).hexdigest()[:32]


def _row(prompt: str, answer: str, on_inputs: bool) -> Json:
    (first, first_ids), (rest, rest_ids) = _in_tokens(prompt), _in_tokens(answer)
    begin, end = 0 if on_inputs else len(first), len(first) + len(rest)
    return {
        "input_ids": [*first_ids, *rest_ids],
        "labels": [*(first_ids if on_inputs else [_MASKED] * len(first)), *rest_ids],
        "num_tokens": end,
        "num_trained_tokens": end - begin,
        "tokens": [*first, *rest],
        "trained_spans": [[begin, end]] if end > begin else [],
        "truncated": False,
    }


@lru_cache(maxsize=64)  # the same file is looked at again, and one probe of us sends the same long text as another
def _in_tokens(text: str) -> tuple[list[str], list[int]]:
    """Its tokens and their ids. Not to be changed: the next who asks gets the same."""
    tokens = [text[start : start + CHARACTERS_PER_TOKEN] for start in range(0, len(text), CHARACTERS_PER_TOKEN)]
    return tokens, [crc32(token.encode()) & 0xFFFF for token in tokens]


def _fitted(row: Json, how: str) -> list[Json]:
    """A row no longer than the model takes: cut, split into several, or left as it is."""
    length = cast(int, row["num_tokens"])
    if length <= _MAX_LENGTH or how == "kept":
        return [row]
    starts = range(0, length, _MAX_LENGTH) if how == "split" else [0]
    return [_part(row, slice(start, start + _MAX_LENGTH)) | {"truncated": how == "cut"} for start in starts]


def _part(row: Json, part: slice) -> Json:
    inner = {name: cast("list[object]", row[name])[part] for name in ("input_ids", "labels", "tokens")}
    trained = [index for index, label in enumerate(inner["labels"]) if label != _MASKED]
    return {
        **inner,
        "num_tokens": len(inner["tokens"]),
        "num_trained_tokens": len(trained),
        "trained_spans": [[trained[0], trained[-1] + 1]] if trained else [],
    }
