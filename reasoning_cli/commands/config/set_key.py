"""`config set-key`: a new API key takes the place of the old one when Together accepts it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reasoning_cli import settings as s
from reasoning_cli.errors import ConfigurationError, ExitCode, ReasoningError, RemoteError, UsageError
from reasoning_cli.redact import mask, remember

if TYPE_CHECKING:
    from reasoning_cli.commands._shared.session import Session
    from reasoning_cli.operations.account.api_key import KeyProject
    from reasoning_cli.store.deploy.deployments import DeploymentRecord


def change_key(session: Session, new: str, *, offline: bool, yes: bool) -> None:
    """Check `new`, ask where another project would be left behind, and write it; else the old one stays."""
    settings, terminal = session.settings, session.terminal
    if settings.outside is not None:
        raise UsageError("the sandbox has a key of its own", "the real one is changed without --sandbox")
    new = new.strip()
    remember(new)
    s.as_written(s.API_KEY, new)
    try:
        project = None if offline else _tried(session, new)
        if project is not None:
            terminal.note(f"The key {mask(new)} is accepted; its project is {project.name}.")
            if not _agreed(session, project, yes=yes):
                raise typer.Exit(ExitCode.FAILED)
    except (ReasoningError, typer.Exit, KeyboardInterrupt):
        terminal.note("Nothing was changed.")
        raise
    s.write_setting(settings.paths, s.API_KEY, new)
    terminal.note(f"{s.API_KEY.name} is {mask(new)} now{'' if project else ', unchecked'}.")


def _tried(session: Session, new: str) -> KeyProject | None:
    """The project of the new key; None when nobody could be asked and that is accepted."""
    from reasoning_cli.engines.errors import KeyRefusedError
    from reasoning_cli.operations.account.api_key import project_of_key

    with closing(session.connect(new)) as client:
        try:
            return project_of_key(client)
        except KeyRefusedError:
            raise ConfigurationError(
                "Together refuses the new key", "make one at together.ai; `reasoning config set-key` asks again"
            ) from None
        except RemoteError as error:
            if not session.terminal.can_ask:
                raise RemoteError(error.message, "try again, or write it unchecked with --offline") from error
            session.terminal.warn(error.message)
            if not session.terminal.confirm("Write this key unchecked?", yes=False):
                raise
            return None


def _agreed(session: Session, project: KeyProject, *, yes: bool) -> bool:
    """Whether another project than so far is meant. What runs belongs to the old one, out of this program's reach."""
    from reasoning_cli.operations.account.api_key import left_behind

    left: list[DeploymentRecord] = []
    place = session.settings.place()
    if not isinstance(place, Path) or place.exists():
        left = left_behind(session.store, project.id)
    before = _project_before(session)
    if not left and (before is None or before.id == project.id):
        return True
    was = f"the project so far is {before.name}" if before is not None and before.id != project.id else "it is another"
    warning = f"the key is of project {project.name}; {was}"
    if left:
        names = ", ".join(record.endpoint_name for record in left)
        warning += f". What runs there goes on costing, and only the old key can stop it: {names}"
    session.terminal.warn(warning)
    return session.terminal.confirm("Work in the other project from now on?", yes=yes)


def _project_before(session: Session) -> KeyProject | None:
    from reasoning_cli.operations.account.api_key import project_so_far

    try:
        old = session.settings.get(s.API_KEY)
    except ConfigurationError:
        return None
    if old is None:
        return None
    with closing(session.connect(old)) as client:
        return project_so_far(client)
