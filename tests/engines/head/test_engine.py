"""The head as an engine among others."""

from __future__ import annotations

from pathlib import Path

import pytest

from reasoning_cli.engines import registry
from reasoning_cli.engines.engine import Access
from reasoning_cli.engines.head.training import Trained
from reasoning_cli.errors import ConfigurationError, DataError, NotFoundError
from reasoning_cli.testing import check_engine


def test_a_head_conforms(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "ada.head"
    trained.head.save(path)
    check_engine(registry.engine("head"), Access(file=path))


def test_a_head_that_is_not_there_or_damaged_is_not_connected_to(tmp_path: Path) -> None:
    engine = registry.engine("head")
    with pytest.raises(ConfigurationError):
        engine.connect(Access())
    with pytest.raises(NotFoundError):
        engine.connect(Access(file=tmp_path / "none.head"))
    (tmp_path / "cut.head").write_bytes(b"reasoning head 1 0")
    with pytest.raises(DataError):
        engine.connect(Access(file=tmp_path / "cut.head"))
