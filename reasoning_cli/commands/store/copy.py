"""`store copy`: a store brought into another, of whatever engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.options import JsonOption
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import NotFoundError, UsageError
from reasoning_cli.redact import without_passwords
from reasoning_cli.values import DatabaseAddress, is_address, is_database_url, parse_database_url

if TYPE_CHECKING:
    from reasoning_cli.terminal.progress import Waiting


def copy(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file, or postgresql://….")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The same; a new one, or an empty one.")],
    json: JsonOption = False,
) -> None:
    """Copy a store into another, SQLite or PostgreSQL, and compare both row by row. Cut off, the same command goes
    on."""
    from reasoning_cli.operations.store_copy import copy_store
    from reasoning_cli.terminal.progress import waiting

    session = session_of(ctx)
    terminal = session.terminal
    places = _place(session, source), _place(session, target)
    if isinstance(places[0], Path) and not places[0].exists():
        raise NotFoundError(f"there is no file `{source}`", "name the store that is to be copied")
    with waiting(terminal, "copying") as shown:
        realm = "sandbox" if session.in_sandbox else "together"
        done = copy_store(*places, realm, session.now(), session.settings.paths.heads, _shows(shown))
    if json:
        terminal.json(asdict(done))
        return
    went_on = " It went on where an earlier one was cut off." if done.resumed else ""
    changed = f" {done.changed:,} were changed meanwhile, and brought over." if done.changed else ""
    terminal.say(
        f"{done.rows:,} rows are the same in {done.source} and {done.target}, row by row;"
        f" the ledger says ${done.spent_usd} in both.{went_on}{changed}"
    )
    if done.heads:
        folder = Path(done.heads[0]).parent
        terminal.say(f"Trained heads are files and stay in {folder}: copy them to each host that is to answer by them.")


def _place(session: Session, text: str) -> Path | DatabaseAddress:
    if is_database_url(text):
        try:
            url = parse_database_url(text)
        except ValueError as error:
            raise UsageError(
                f"`{without_passwords(text)}` {error}", "for example postgresql://user@host/database"
            ) from None
        return DatabaseAddress(url, session.settings.get(s.STORE_SCHEMA), session.settings.paths.database)
    if is_address(text):
        raise UsageError(
            f"`{without_passwords(text)}` is an address of no kind known here", "there are files and postgresql://…"
        )
    return Path(text).expanduser()


def _shows(shown: Waiting) -> Callable[[str, int, int], None]:
    from reasoning_cli.terminal.units import percent

    return lambda doing, done, total: shown.show(doing, percent(done / max(1, total)))
