"""How a command carries a training out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session
    from reasoning_cli.operations.train.run import TrainingContext


def training_context(session: Session) -> TrainingContext:
    """How this run of the program carries a training out; it tells nobody, and agrees to nothing."""
    from reasoning_cli.operations.train.run import TrainingContext

    return TrainingContext(
        folder=session.settings.paths.data_dir / "training",
        limits=session.limits,
        poll_seconds=session.poll_seconds,
        sleep=session.sleep,
        now=session.now,
    )
