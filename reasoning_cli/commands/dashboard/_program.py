"""Commands as the dashboard reads them and acts by them: the same functions and JSON as when they are typed."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from reasoning_cli import __version__
from reasoning_cli import settings as s
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.dashboard.program import Answer, Facts, Outcome, Table
from reasoning_cli.errors import ExitCode, ReasoningError
from reasoning_cli.redact import mask, redact, without_passwords, without_passwords_in
from reasoning_cli.terminal.console import Fact, Terminal
from reasoning_cli.terminal.listing import Format, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reasoning_cli.terminal.listing import Listing

Row = TypeVar("Row")


@dataclass
class Recording(Terminal):
    """A terminal that nobody sits at: it remembers what a command shows."""

    listing: Listing[Any] | None = None
    document: Any = None
    notes: list[str] = field(default_factory=list)

    def show(self, listing: Listing[Row], fmt: Format, *, quiet: bool = False, empty: str = "") -> None:
        self.listing = listing
        self.json(listing.records(), exact=listing.exact)

    def json(self, value: object, *, exact: bool = False) -> None:
        found = plain(value)
        self.document = found if exact else without_passwords_in(found)

    def facts(self, facts: Sequence[Fact], *, to_out: bool = True) -> None:
        self.notes += [f"{label}: {text}" if label else text for label, text, *_ in facts]

    def say(self, text: str) -> None:
        self.note(text)

    def note(self, text: str) -> None:
        self.notes.append(redact(self.as_called(text)))

    def warn(self, text: str) -> None:
        self.note(text)

    def hint(self, text: str) -> None:
        self.note(text)


class InProcess:
    """Runs commands of the tree below `root` in this process, with a session that stays: settings are read anew each
    time."""

    def __init__(self, session: Session, root: Any) -> None:
        self._like, self._root = session, root
        self._own: Session | None = None

    @property
    def facts(self) -> Facts:
        session = self._like
        return Facts(session.in_sandbox, session.settings.paths.profile, session.terminal.command, __version__)

    def read(self, *words: str) -> Answer:
        answer, is_lost = self._answer([*words, "--json"])
        # A sandbox that was stopped is started by whoever needs it next, which is this same question.
        return self._answer([*words, "--json"])[0] if is_lost else answer

    def describe(self, *words: str) -> Answer:
        answer, is_lost = self._answer(list(words))
        return self._answer(list(words))[0] if is_lost else answer

    def _answer(self, words: list[str]) -> tuple[Answer, bool]:
        """What a command said, and whether the sandbox it spoke to is gone."""
        session, terminal = self._session()
        problem: ReasoningError | None = None
        is_lost = False
        try:
            self._run(session, words)
        except ReasoningError as error:
            problem = error
            if words[0] != "gateway" and error.exit_code in (ExitCode.CONFIGURATION, ExitCode.REMOTE):
                session.disconnect()  # a key may be set meanwhile, and a sandbox started on another port
                is_lost = session.in_sandbox and error.exit_code is ExitCode.REMOTE
        except typer.TyperException as error:
            problem = ReasoningError(error.format_message())
        except OSError as error:
            problem = ReasoningError(f"{error.strerror or error}")
        hint = None if problem is None or problem.hint is None else terminal.as_called(problem.hint)
        answer = Answer(
            at=datetime.now(UTC),
            document=terminal.document,
            table=_table(terminal.listing),
            notes=tuple(terminal.notes),
            problem=None if problem is None else redact(terminal.as_called(problem.message)),
            hint=None if hint is None else redact(hint),
        )
        return answer, is_lost

    def change_setting(self, name: str, text: str | None) -> Outcome:
        from reasoning_cli.store.audit_log import Event, Events

        session, _ = self._session()
        try:
            setting = s.find_setting(name)
            settings = session.settings_as_found
            outside = settings.outside if setting.name.startswith("sandbox.") else None
            s.write_setting((outside or settings).paths, setting, text)
            shown = None if text is None else mask(text.strip()) if setting.secret else text.strip()
            event = Event(session.ledger_now, "operator", "set" if text is not None else "unset", setting.name)
            Events(session.store).add(replace(event, detail={"value": shown, "by way of": "dashboard"}))
            session.read_settings_again()
            hiding = s.overrides(session.settings_as_found, setting)
        except ReasoningError as error:
            return Outcome(False, ". ".join(filter(None, (error.message, error.hint))))
        said = f"{setting.name} is {shown} now." if text is not None else f"{setting.name} is no longer set."
        return Outcome(True, f"{said} {hiding} says otherwise, and wins." if hiding else said)

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    def _run(self, session: Session, words: list[str]) -> None:
        """A command with its options, as it would run when typed."""
        name, *rest = words
        self._root.load(name)
        self._root.commands[name].main(args=rest, prog_name=f"reasoning {name}", standalone_mode=False, obj=session)

    def _session(self) -> tuple[Session, Recording]:
        terminal = Recording(io.StringIO(), io.StringIO(), io.StringIO(), command=self._like.terminal.command)
        if self._own is None:
            like = self._like
            self._own = Session(terminal, dict(like.flags), like.profile, now=like.now, sleep=like.sleep)
        self._own.terminal = terminal
        self._own.read_settings_again()
        return self._own, terminal


def run_words(session: Session) -> Callable[..., Outcome]:
    """How the dashboard acts: the program itself, as it would be typed with the account and data of this session."""
    begin = [sys.executable, "-m", "reasoning_cli", *session.global_options, *session.database_option]

    def run(*words: str, stdin: str | None = None) -> Outcome:
        # In a session of its own: Ctrl-C at the dashboard does not break off what somebody said yes to.
        done = subprocess.run(
            [*begin, *words],
            input=stdin or "",
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
        said = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        lines = [line for line in said if not line.startswith("sandbox:")]
        return Outcome(done.returncode == 0, redact("\n".join(lines[-12:])))

    return run


def _table(listing: Listing[Any] | None) -> Table:
    if listing is None:
        return Table()
    columns = [column for column in listing.columns if column.header is not None]
    records = listing.records()

    def clean(text: str) -> str:
        return text if listing.exact else without_passwords(text)

    return Table(
        keys=[column.key for column in columns],
        headers=[column.header or "" for column in columns],
        numbers=[column.kind.right for column in columns],
        records=records if listing.exact else without_passwords_in(records),
        cells=[[clean(column.cell(row)) for column in columns] for row in listing.rows],
        styles=[[column.style(row) if column.style else "" for column in columns] for row in listing.rows],
    )
