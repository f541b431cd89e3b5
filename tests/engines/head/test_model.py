"""A trained head: what it answers, and the file it is in."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zlib
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from reasoning_cli.engines.head.fitting import model_scores
from reasoning_cli.engines.head.model import Head, Linear
from reasoning_cli.engines.head.training import Sample, Trained
from reasoning_cli.errors import DataError, NotFoundError


def test_a_head_answers_what_it_has_proven_and_abstains_else(trained: Trained, samples: list[Sample]) -> None:
    verdicts = [(trained.head.judge(sample.moment), sample) for sample in samples]
    answered = [(verdict, sample) for verdict, sample in verdicts if verdict.label is not None]
    assert len(answered) > 0.4 * len(verdicts)
    assert sum(verdict.label != sample.decision for verdict, sample in answered) <= 0.05 * len(answered)
    assert any(verdict.label is None for verdict, _ in verdicts)
    assert all(verdict.reason for verdict, _ in verdicts)


def test_a_head_leaves_an_agent_of_another_name_to_the_baseline(trained: Trained, samples: list[Sample]) -> None:
    verdict = trained.head.judge(replace(samples[0].moment, agent="Eva"))
    assert verdict.label is None
    assert verdict.reason == "trained for Ada, not for Eva"


def test_a_head_is_the_same_after_it_was_stored(trained: Trained, samples: list[Sample], tmp_path: Path) -> None:
    path = tmp_path / "heads" / "ada.head"
    trained.head.save(path)
    again = Head.load(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_size < 300_000
    assert [again.judge(sample.moment) for sample in samples[:200]] == [
        trained.head.judge(sample.moment) for sample in samples[:200]
    ]
    assert again == replace(trained.head, linear=again.linear)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.replace(b"reasoning head 1 ", b"reasoning head 9 "), "is of version 9"),
        (lambda content: content[:-7], "is damaged"),
        (lambda content: content[: len(content) // 2], "is damaged"),
        (lambda content: b"", "is not a head"),
        (lambda content: b"PK\3\4 something else", "is not a head"),
        (lambda content: _resealed(content.replace(b'"schema": 1', b'"schema": 7')), "signs of version 7"),
        (lambda content: _resealed(content.replace(b'"schema": 1', b'"scheme": 1')), "not as this program writes"),
        (lambda content: _resealed(content[:-7]), "not as this program writes"),
        (lambda content: _with_weights(content, 4), "not as this program writes"),
        (lambda content: _with_weights(content, -4), "not as this program writes"),
        (lambda content: _resealed(content.replace(b'"facts": ', b'"facts": ' + b"[" * 100_000)), "not as this"),
    ],
    ids=[
        *("version", "cut", "half", "empty", "other file", "schema", "without a schema", "cut, and sealed"),
        *("a weight too many", "a weight too few", "nested"),
    ],
)
def test_a_file_that_is_not_a_whole_head_of_this_version_is_refused(
    trained: Trained, tmp_path: Path, change: object, message: str
) -> None:
    path = tmp_path / "ada.head"
    assert callable(change)
    path.write_bytes(change(trained.head.packed()))
    with pytest.raises(DataError, match=message) as error:
        Head.load(path)
    assert error.value.hint is not None


def test_no_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Head.load(tmp_path / "none.head")


def test_serving_a_head_imports_nothing_heavy() -> None:
    code = (
        "import sys; from reasoning_cli.engines.head import model, moment;"
        "print({'numpy', 'scipy', 'sklearn', 'httpx', 'sqlite3', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def _with_weights(content: bytes, more: int) -> bytes:
    """The file with so many bytes of weights more or fewer."""
    opening, header, packed = content.split(b"\n", 2)
    weights = zlib.decompress(packed)
    return _resealed(b"\n".join((opening, header, zlib.compress((weights + bytes(4))[: len(weights) + more]))))


def _resealed(content: bytes) -> bytes:
    body = content.partition(b"\n")[2]
    return b"reasoning head 1 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def test_of_what_is_far_from_a_doubt_the_probability_is_told_without_a_warning() -> None:
    np = pytest.importorskip("numpy")
    linear = {"IGNORE": Linear(array("f"), 0.0, 50.0, 0.0)}
    labels, scores = model_scores(linear, {"IGNORE": np.array([-30, 0, 30], np.float32)})
    assert (labels.tolist(), scores.tolist()) == (["RESPOND", "IGNORE", "IGNORE"], [1, 0.5, 1])
