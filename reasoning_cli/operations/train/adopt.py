"""A model that somebody trained by hand, registered with what it was trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from reasoning_cli.errors import DataError, ReasoningError, UsageError
from reasoning_cli.store.audit_log import Event
from reasoning_cli.store.database import Store
from reasoning_cli.store.samples.exports import exported_numbers
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns
from reasoning_cli.values import ADOPTED, MODEL_TYPES, spell_model_type

NO_BASE = "not told"


def adopt_model(
    store: Store, name: str, manifest: Path, *, model_type: str | None, base: str | None, at: datetime
) -> TrainingRun:
    """Register a model of that name as trained on the export that `manifest` describes.

    Its samples must be known here, by the hashes of the files: DataError for what is not a manifest, ReasoningError
    where nobody could say what it was trained on, or the name is taken. `model_type` is needed where the export holds
    several.
    """
    content = _read(manifest)
    facts = _facts(content, manifest)
    files = {str(file.get("side") or "train"): file for file in facts["files"]}
    train, validation = files.get("train"), files.get("validation")
    sha256 = str(train["sha256"]) if train and train.get("sha256") else None
    if sha256 is None or exported_numbers(store, sha256) is None:
        raise ReasoningError(
            f"the export of `{manifest}` is not known here, so nobody could say what `{name}` was trained on",
            "name the manifest of a `reasoning data export -o FILE` made with this database",
        )
    chosen = _type_of(train or {}, model_type)
    runs = TrainingRuns(store)
    known = runs.of_model(name)
    if known is not None:
        raise ReasoningError(
            f"`{name}` is known already: it is of training run {known.number}",
            f"`reasoning train show {known.number}`; or adopt it by another name",
        )
    validation_sha256 = str(validation["sha256"]) if validation and validation.get("sha256") else None
    digest = hashlib.sha256(content).hexdigest()
    detail = {"model": name, "base": base or NO_BASE, "manifest_sha256": digest}
    return runs.add_done(
        chosen,
        name,
        at=at,
        event=Event(at, "operator", "train_adopt", spell_model_type(chosen), detail),
        seen_at=at,
        base=base or NO_BASE,
        method="dpo" if facts.get("kind") == "preference" else "sft",
        manifest=str(manifest.resolve()),
        manifest_sha256=digest,
        train_sha256=sha256,
        validation_sha256=validation_sha256,
        plan={
            "engine": ADOPTED,
            "prompt_form": _form(facts, chosen),
            "export": {"seed": int(facts.get("seed") or 0)},
            "samples": {side: int(file.get("samples") or 0) for side, file in files.items()},
            "left_out": facts.get("left_out") or {},
            "tokens": (train or {}).get("tokens"),
            "figures": None,
            "typed": {},
        },
    )


def _read(manifest: Path) -> bytes:
    try:
        return manifest.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read `{manifest}`: {error.strerror}", "`reasoning data export` writes one beside its files"
        ) from error


def _facts(content: bytes, manifest: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(content)
        if all(isinstance(file, dict) for file in facts["files"]):
            found: Mapping[str, Any] = facts
            return found
    except (ValueError, TypeError, KeyError):
        pass
    raise DataError(
        f"`{manifest}` is not a manifest of an export", "`reasoning data export -o F` writes F.manifest.json"
    )


def _type_of(train: Mapping[str, Any], model_type: str | None) -> str:
    counts = train.get("by_type")
    held = [name for name in MODEL_TYPES if isinstance(counts, dict) and counts.get(name)]
    if model_type is not None and model_type not in held:
        raise UsageError(
            f"the export holds no {spell_model_type(model_type)} decisions", "which did the model learn? -m TYPE"
        )
    if model_type is None and len(held) != 1:
        names = ", ".join(map(spell_model_type, held)) or "no decisions"
        raise UsageError(f"the export holds {names}", "say which the model is for: -m TYPE")
    return model_type or held[0]


def _form(facts: Mapping[str, Any], model_type: str) -> str:
    forms = facts.get("prompt_form")
    return str(forms.get(model_type, "exact")) if isinstance(forms, dict) else "exact"
