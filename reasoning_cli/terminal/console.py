"""The terminal: data on stdout, everything else on stderr, colour and width decided here.

One object prints; commands hand it what to show. Rich is loaded only when something needs it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO, TypeVar

from reasoning_cli.errors import ReasoningError
from reasoning_cli.redact import redact, without_passwords, without_passwords_in
from reasoning_cli.terminal.cleaning import drawn, visible, visible_json
from reasoning_cli.terminal.listing import (
    Column,
    Format,
    Listing,
    json_escaped,
    plain,
    to_json,
    to_json_lines,
    to_separated,
)
from reasoning_cli.terminal.styles import STYLES, marked
from reasoning_cli.terminal.wrapping import wrap, wrap_lines

if TYPE_CHECKING:
    from rich.console import Console

Row = TypeVar("Row")
Fact = tuple[str, str] | tuple[str, str, str]  # label, text and, where it is a state, its style

_FACT_INDENT, _FACT_GAP = 2, 3


class NobodyReads(BrokenPipeError):
    """Whoever read what is said has gone, as `head` does when it has enough."""


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass
class Terminal:
    """Where a person (or a pipe) reads and types. Streams and environment are handed in.

    A command that only shows something ends where nobody reads on. One that `goes_on` has begun what must not be left
    half done, because of a yes or because it guards money: what it says is then lost, and it ends as it would have.
    """

    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    input: TextIO = field(default_factory=lambda: sys.stdin)
    environ: Mapping[str, str] = field(default_factory=dict)
    color: Color = Color.AUTO
    command: str = "reasoning"  # how the program is called in this run, for the commands that hints tell to type
    goes_on: bool = False
    # Takes away, for as long as a line is written, what moves on the terminal.
    aside: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def out_is_terminal(self) -> bool:
        return _is_terminal(self.out)

    @property
    def err_is_terminal(self) -> bool:
        return _is_terminal(self.err)

    @property
    def out_is_closed(self) -> bool:
        """Whether there was no stdout when the program started: what is in its place is called by a number."""
        return isinstance(getattr(self.out, "name", None), int)

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer."""
        return _is_terminal(self.input) and self.err_is_terminal

    @property
    def width(self) -> int:
        """Columns of stdout."""
        return self.width_of(self.out)

    def width_of(self, stream: TextIO) -> int:
        """Columns a person sees: COLUMNS, else what the terminal says; a pipe is not cut."""
        columns = self.environ.get("COLUMNS", "")
        if columns.isdecimal() and int(columns) > 0:
            return int(columns)
        if not _is_terminal(stream):
            return 10_000
        try:
            return os.get_terminal_size(stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    @property
    def height(self) -> int:
        """Lines of stdout: LINES, else what the terminal says."""
        lines = self.environ.get("LINES", "")
        if lines.isdecimal() and int(lines) > 0:
            return int(lines)
        try:
            return os.get_terminal_size(self.out.fileno()).lines or 24
        except (OSError, ValueError):
            return 24

    def use_color(self, stream: TextIO) -> bool:
        """`--color`, then NO_COLOR (any non-empty value), FORCE_COLOR, TERM=dumb, then what `stream` is."""
        if self.color is not Color.AUTO:
            return self.color is Color.ALWAYS
        if self.environ.get("NO_COLOR"):
            return False
        if self.environ.get("FORCE_COLOR", "0") not in ("", "0"):
            return True
        return _is_terminal(stream) and self.environ.get("TERM") != "dumb"

    def console(self, stream: TextIO, width: int | None = None) -> Console:
        """A Rich console on `stream` that colours by our rules only, and follows the terminal's width unless told."""
        from rich.console import Console

        color = self.use_color(stream)
        return Console(
            file=stream,
            width=width or (int(columns) if (columns := self.environ.get("COLUMNS", "")).isdecimal() else None),
            # A width alone counts for nothing on a dumb terminal.
            height=self.height if width or "LINES" in self.environ else None,
            force_terminal=True if color else None,
            color_system="standard" if color else None,
            no_color=not color,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=False,
            legacy_windows=False,
            _environ={},
        )

    # --- stdout ---

    def print(self, text: str = "") -> None:
        """A line of data, as it is."""
        self._write(self.out, text)

    def say(self, text: str) -> None:
        """A sentence that is the result, for a person: wrapped where a terminal is narrow."""
        self._write(self.out, self._wrapped(visible(without_passwords(self.as_called(text)), but="\n"), self.out))

    def json(self, value: object, *, exact: bool = False) -> None:
        """One JSON document. Passwords in addresses are left out, unless it is `exact`: what agents said stays."""
        found = plain(value)
        self._write_json(to_json(found if exact else without_passwords_in(found)))

    def json_lines(self, records: Iterable[dict[str, object]], *, exact: bool = False) -> None:
        """One JSON object a line; `exact` as for `json`."""
        self._write_json(to_json_lines(records if exact else map(without_passwords_in, records)))

    def _write_json(self, text: str) -> None:
        self._write(self.out, visible_json(text) if self.out_is_terminal else text, json_escaped)

    def show(self, listing: Listing[Row], fmt: Format, *, quiet: bool = False, empty: str = "") -> None:
        """A listing in the format asked for; `empty` is said on stderr when a person would see nothing."""
        if quiet:
            for row in listing.rows:
                shown = listing.id(row)
                self.print(visible(shown) if self.out_is_terminal else shown)
            return
        exact = listing.exact
        match fmt:
            case Format.JSON:
                self.json(listing.records(), exact=exact)
            case Format.JSONL:
                if listing.rows:
                    self.json_lines(listing.records(), exact=exact)
            case Format.CSV | Format.TSV:
                records = listing.records() if exact else map(without_passwords_in, listing.records())
                clean = visible if self.out_is_terminal else None
                self.print(to_separated([column.key for column in listing.columns], records, fmt, clean))
            case Format.TABLE:
                if listing.rows:
                    self.table(listing)
                elif empty:
                    self.note(empty)

    def table(self, listing: Listing[Row]) -> None:
        """The listing as a table."""
        for line in self.table_lines(listing):
            self.print(line)

    def table_lines(self, listing: Listing[Row]) -> list[str]:
        """A table: on a terminal by Rich, in a pipe unbordered and without it."""

        def cell(column: Column[Row], row: Row) -> str:
            text = column.cell(row)
            return visible(text if listing.exact else without_passwords(text))

        columns = [column for column in listing.columns if column.header is not None]
        cells = [
            [(cell(column, row), column.style(row) if column.style else "") for column in columns]
            for row in listing.rows
        ]
        if self.out_is_terminal:
            from reasoning_cli.terminal.rich_table import draw

            return draw(self.console(self.out, self.width), columns, cells, listing.rows)
        from reasoning_cli.terminal.table import lay_out

        return lay_out(columns, cells, width=self.width, paint=lambda text, style: self.paint(text, style, self.out))

    def paint(self, text: str, style: str, stream: TextIO) -> str:
        """`text` in a style of `STYLES`, where colour is wanted."""
        code = STYLES.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if code and text and self.use_color(stream) else text

    def facts(self, facts: Sequence[Fact], *, to_out: bool = True) -> None:
        """`label   text` lines, wrapped with a hanging indent where the terminal is narrow."""
        stream = self.out if to_out else self.err
        for line in self.fact_lines(facts, stream):
            self._write(stream, line)

    def fact_lines(self, facts: Sequence[Fact], stream: TextIO | None = None) -> list[str]:
        """The same as lines, to be drawn elsewhere, for stdout unless told."""
        stream = stream or self.out
        on_terminal, width = _is_terminal(stream), max(20, self.width_of(stream))
        indent = " " * (max((len(fact[0]) for fact in facts), default=0) + _FACT_INDENT + _FACT_GAP)
        lines: list[str] = []
        drawn_facts = []
        for label, text, *styles in facts:
            style = styles[0] if styles else ""
            shown = visible(redact(self.as_called(text)))
            if not on_terminal:
                lines += wrap(shown, width, first=f"{' ' * _FACT_INDENT}{label}".ljust(len(indent)), rest=indent)
                continue
            wrapped = wrap(marked(shown, style) if style else shown, width, first=indent, rest=indent)
            drawn_facts.append(((visible(label), "header"), [line.removeprefix(indent) for line in wrapped], style))
        if not drawn_facts:
            return lines
        from reasoning_cli.terminal.rich_table import draw_beside

        return draw_beside(self.console(stream, width), drawn_facts, indent=_FACT_INDENT, gap=_FACT_GAP)

    # --- stderr ---

    def note(self, text: str) -> None:
        """What happened, for a person; never on stdout."""
        self._write(self.err, self._wrapped(visible(redact(self.as_called(text)), but="\n\t"), self.err))

    def hint(self, text: str) -> None:
        """The next command to type."""
        self._labelled("hint", self.as_called(text))

    def warn(self, text: str) -> None:
        """Something the operator should know though the command goes on."""
        self._labelled("warning", self.as_called(text))

    def error(self, error: ReasoningError) -> None:
        """Two lines: what is wrong, and what to type."""
        self._labelled("error", self.as_called(error.message))
        if error.hint:
            self.hint(error.hint)

    def _labelled(self, label: str, text: str) -> None:
        shown = self._wrapped(f"{label}: {visible(redact(text), but=chr(10))}", self.err)
        self._write(self.err, self.paint(f"{label}:", label, self.err) + shown.removeprefix(f"{label}:"))

    def as_called(self, text: str) -> str:
        """Commands to type, with the global options of this run."""
        tried = "" if " --sandbox" in self.command else r"\2"
        return _OURS.sub(rf"\1{self.command} {tried}", text)

    def _wrapped(self, text: str, stream: TextIO) -> str:
        """What goes to a terminal is broken between words; what goes elsewhere stays one line."""
        return wrap_lines(text, self.width_of(stream)) if _is_terminal(stream) else text

    # --- asking ---

    def confirm(self, question: str, *, yes: bool, needs: str = "--yes") -> bool:
        """Ask on stderr; the default is no. Without a terminal and without `yes`: refuse, never guess."""
        if yes:
            self.goes_on = True
            return True
        if not self.can_ask:
            raise ReasoningError("this needs a yes, and nobody is there to give it", f"add {needs}")
        self.err.write(f"{self._wrapped(f'{visible(redact(question))} [y/N]', self.err)} ")
        self.err.flush()
        answer = ""
        try:
            answer = self.input.readline()
        finally:
            if not answer:
                self.note("")  # Ctrl-C and Ctrl-D leave the cursor behind the question
        self.goes_on |= (agreed := answer.strip().lower() in ("y", "yes"))
        return agreed

    def _write(self, stream: TextIO, text: str, spelt: Callable[[str], str] | None = None) -> None:
        """`spelt` says the same in characters that every stream can show; without it something is lost there."""
        text = drawn(text) if _is_terminal(stream) else text
        try:
            with self.aside() if _is_terminal(stream) else nullcontext():
                stream.write(f"{self.writable(stream, text, spelt)}\n")
                stream.flush()
        except BrokenPipeError:
            lead_nowhere(stream)
            if not self.goes_on:
                raise NobodyReads from None

    def writable(self, stream: TextIO, text: str, spelt: Callable[[str], str] | None = None) -> str:
        """`text` in signs that `stream` can show; `spelt` as for what is written."""
        encoding = stream.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return spelt(text) if spelt else text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
        return text.translate(_ASCII) if not spelt and _is_terminal(stream) and _is_plain(self.environ) else text


# What stands in for our own signs on a terminal that cannot show them.
_ASCII = str.maketrans(
    dict(zip("▁▂▃▄▅▆▇✓✗◦▸─", "__--==#+xo>-", strict=True))
    | {"█": "#", "░": ".", "–": "-", "…": "~", "×": "x", "→": ">", "·": ".", "¢": "c"}
)

# One of our commands, at the start of a text or of what stands in backticks.
_OURS = re.compile(r"(^|`)reasoning (?!--profile )(--sandbox )?")


def _is_plain(environ: Mapping[str, str]) -> bool:
    """Whether somebody set the locale C. Python then speaks UTF-8 all the same, which the terminal need not show: what
    others wrote is left to it, our own signs are others."""
    if environ.get("PYTHONIOENCODING") or environ.get("PYTHONUTF8"):
        return False
    # Python sets this one itself, where the locale is C.
    ctype = "" if sys.flags.utf8_mode and environ.get("LC_CTYPE") == "C.UTF-8" else environ.get("LC_CTYPE")
    return (environ.get("LC_ALL") or ctype or environ.get("LANG")) in ("C", "POSIX")


def lead_nowhere(stream: TextIO) -> None:
    """Let a stream that nobody reads take what still waits in it, or Python would complain when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
