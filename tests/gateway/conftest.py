from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.serving import Served, served


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    """A gateway whose three slots answer."""
    with served(tmp_path) as running:
        yield running
