"""The database folder of an ElizaOS agent that has no PostgreSQL: PGlite, which only its own library can read.

Where Node and the agent's copy of that library are at hand a script reads it; else the error says which command does.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import IO, Literal

from reasoning_cli.errors import DataError
from reasoning_cli.sources.files import FileSource
from reasoning_cli.sources.rows import Position, Row

SCRIPT = Path(__file__).with_name("dump_pglite.mjs")
_LIBRARY = Path("node_modules", "@electric-sql", "pglite")
_MOST_OF_A_REASON = 300
# Where an agent keeps it unless PGLITE_DATA_DIR says otherwise.
_USUAL = (Path(".eliza", ".elizadb"), Path(".elizadb"))


def database_folder(folder: Path) -> Path | None:
    """The database in or below a folder that was named, such as that of the agent's project."""
    places = (folder, *(folder / name for name in _USUAL))
    return next((place for place in places if (place / "PG_VERSION").is_file() and (place / "global").is_dir()), None)


class PgliteSource:
    """A stopped agent's folder, read by a script in Node."""

    unit: Literal["bytes", "rows"] = "rows"
    file: Path | None = None
    picks_agent = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"`{folder}`"
        self.key: str | None = None
        self.total: int | None = None
        self.done = 0
        self.went_on = False

    def position(self) -> Position | None:
        return None

    def rows(self, after: Position | None = None) -> Generator[Row, None, None]:
        node = shutil.which("node")
        if node is None or not _has_library(self._folder):
            raise DataError(f"{self.name} is a PGlite database, which only Node can read", hint=_by_hand(self._folder))
        script = subprocess.Popen(
            [node, str(SCRIPT), str(self._folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        output: IO[bytes] = script.stdout  # type: ignore[assignment]
        try:
            for row in FileSource(output, self.name).rows():  # type: ignore[arg-type]
                self.done = row.number
                yield row
            _, said = script.communicate()
        finally:
            script.kill()
            script.wait()
        if script.returncode:
            lines = said.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
            reason = next((line for line in lines if line.startswith("error: ")), lines[-1]).removeprefix("error: ")
            if versions := re.fullmatch(r"versions (\S+) (\S+)", reason):
                theirs, ours = versions.groups()
                raise DataError(
                    f"{self.name} was written by PostgreSQL {theirs}, and the `@electric-sql/pglite` found here is"
                    f" PostgreSQL {ours}",
                    hint=f"the agent's own copy can read it: {_by_hand(self._folder)}",
                )
            reason = reason.strip()[:_MOST_OF_A_REASON]
            raise DataError(
                f"cannot read the PGlite database {self.name}: {reason}",
                hint=f"one process at a time may use it: {_by_hand(self._folder)}",
            )


def _has_library(folder: Path) -> bool:
    places = {folder.resolve(), *folder.resolve().parents}
    with contextlib.suppress(OSError):  # the working folder has gone
        places |= {Path.cwd(), *Path.cwd().parents}
    return any((place / _LIBRARY).is_dir() for place in places)


def _by_hand(folder: Path) -> str:
    command = f"node {shlex.quote(str(SCRIPT))} {shlex.quote(str(folder.resolve()))} > logs.jsonl"
    if shutil.which("node") is None:
        return f"with Node, and in the agent's folder, `{command}` makes a file of it that can be imported"
    return (
        "stop the agent, and type this again in its folder, the one with `node_modules`;"
        f" or there `{command}`, and import that file"
    )
