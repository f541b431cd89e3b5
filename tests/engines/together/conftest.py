"""The sandbox in the place of Together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.direct import over_http
from tests.engines.together.service import Service, service


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Service]:
    with service(tmp_path) as one:
        yield one


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    """Real ones, which are what is tested here."""
    with over_http():
        yield
