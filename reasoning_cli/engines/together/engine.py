"""Together as an engine: serves by the hour, trains, and shows its bill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reasoning_cli.engines.engine import Access
from reasoning_cli.engines.features import CLOUD, Feature
from reasoning_cli.errors import ConfigurationError

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud


class Together:
    """The account of one key, whole."""

    name = "together"
    title = "Together"
    features: frozenset[Feature] = CLOUD

    def address(self, access: Access) -> str | None:
        return None if access.url is None else f"{access.url.rstrip('/')}/v1"

    def connect(self, access: Access) -> Cloud:
        from reasoning_cli.engines.together.client import TogetherClient

        if access.url is None or access.api_key is None:
            raise ConfigurationError("no Together API key is set", "`reasoning setup` asks for it")
        return TogetherClient(access.url, access.api_key, project_id=access.project_id, sleep=access.sleep)


TOGETHER = Together()
