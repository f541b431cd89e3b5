"""Which source a person means: an address, a folder, a file, or `-` for what is piped in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from reasoning_cli.errors import UsageError
from reasoning_cli.sources import elizaos_server, postgres
from reasoning_cli.sources.files import FileSource
from reasoning_cli.sources.pglite import PgliteSource, database_folder
from reasoning_cli.sources.rows import Source, Wanted

STDIN = "-"


def open_source(
    text: str,
    wanted: Wanted,
    *,
    stdin: BinaryIO | None = None,
    token: str | None = None,
    ask_token: Callable[[], str] | None = None,
    plain_http: bool = False,
) -> Source:
    """The source called `text`; nothing is connected to before its rows are asked for.

    `token` is for an ElizaOS server, which with `plain_http` gets it without encryption too. Raises NotFoundError or
    DataError for a file that cannot be read at all.
    """
    if text == STDIN and stdin is not None:
        return FileSource(stdin)
    lowered = text.lower()
    if lowered.startswith(postgres.PREFIXES):
        return postgres.PostgresSource(text, wanted)
    if lowered.startswith(elizaos_server.PREFIXES):
        return elizaos_server.ServerSource(text, wanted, token, ask_token, plain_http=plain_http)
    if "://" in text:
        raise UsageError(f"`{text}` is an address of no kind known here", "there are postgresql://… and http://…")
    path = Path(text).expanduser()
    if path.is_dir() and (database := database_folder(path)) is not None:
        return PgliteSource(database)
    return FileSource(path)
