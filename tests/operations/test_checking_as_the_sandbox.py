"""`data check` and the sandbox say the same of the same file."""

from __future__ import annotations

from pathlib import Path

import pytest

from reasoning_cli.operations.data.validate.file import check_file
from reasoning_cli.sandbox.training_files import inspect
from tests.conftest import Run
from tests.training_files import FILES, File


@pytest.mark.parametrize("file", FILES, ids=[file.what for file in FILES])
def test_both_say_what_is_right(file: File, tmp_path: Path) -> None:
    path = tmp_path / file.name
    path.write_bytes(file.content)
    checked = check_file(path)
    report = inspect("file-1", path.suffix[1:], file.content).report
    assert (checked.accepted, report["valid"]) == (file.taken, file.taken), (checked.refusals, report)
    if file.taken:
        assert report["dataset_has_tools"] is file.has_tools


def test_a_table_is_refused_with_exit_code_1(reasoning: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,completion\na,b\n")
    assert reasoning("data", "check", path).exit_code == 1
