"""What a promotion is carried out with: the client, the store, the settings, the clock, and whose hand it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reasoning_cli.operations.deploy.wait import Waiting
from reasoning_cli.settings import Settings
from reasoning_cli.store.database import Store

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Cloud

COMMAND, GUARD = "operator", "guard"


@dataclass(frozen=True)
class PromotionContext:
    """What a promotion is carried out with. `settings` reads them anew; `now` is the clock that decisions are dated by,
    which in the sandbox is another than the client's; `actor` is who does it, for the events."""

    client: Cloud
    store: Store
    settings: Callable[[], Settings]
    now: Callable[[], datetime]
    wait: Waiting
    actor: str = COMMAND
