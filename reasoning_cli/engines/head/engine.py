"""The head as an engine: it answers what it has proven, and leaves the rest to whoever is asked after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reasoning_cli.engines.engine import Access
from reasoning_cli.engines.features import Feature
from reasoning_cli.errors import ConfigurationError
from reasoning_cli.values import head_training

if TYPE_CHECKING:
    from reasoning_cli.engines.clients import Deciding
    from reasoning_cli.engines.head.model import Head, Verdict


class HeadEngine:
    """A classifier in this process, read from the file of one that was trained."""

    name = "head"
    title = "a head"
    features = frozenset({Feature.ABSTAIN})

    def address(self, access: Access) -> str | None:
        return None

    def connect(self, access: Access) -> Deciding:
        """Raises NotFoundError where there is no such file, DataError where it cannot be used."""
        from reasoning_cli.engines.head.model import Head

        if access.file is None:
            raise ConfigurationError("no head is named", f"`{head_training()}`")
        return _Connected(Head.load(access.file))


@dataclass(frozen=True)
class _Connected:
    head: Head

    def close(self) -> None:
        """Nothing is open."""

    def decide(self, prompt: str, system: str | None = None) -> Verdict:
        from reasoning_cli.engines.head.model import Verdict
        from reasoning_cli.engines.head.moment import moment_of

        moment = moment_of(prompt, system)
        if moment is None:
            return Verdict(None, 0.0, "not a decision that it can read", "rule")
        return self.head.judge(moment)


HEAD = HeadEngine()
