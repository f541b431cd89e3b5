from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.provider import Provider
from tests.library import own


@pytest.fixture(scope="module")
def server() -> Iterator[Provider]:
    """One server of a model for all tests of a file."""
    provider = Provider(own.model)
    yield provider
    provider.close()


@pytest.fixture
def model(server: Provider, home: object) -> Provider:
    """The model behind all three slots of this test's home."""
    server.handler = own.model
    server.received.clear()
    own.serve_by(server.url)
    return server
