"""What was typed leads to the right source, and a missing library to the command that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reasoning_cli.sources.elizaos_server import ServerSource
from reasoning_cli.sources.files import FileSource
from reasoning_cli.sources.opening import open_source
from reasoning_cli.sources.postgres import PostgresSource
from reasoning_cli.sources.rows import Wanted
from tests.conftest import Run


@pytest.mark.parametrize(
    ("text", "kind", "key"),
    [
        ("postgresql://eliza:pw@db:5432/eliza?sslmode=require", PostgresSource, "postgres:postgresql://eliza@db:5432/eliza"),
        ("postgres://db/eliza", PostgresSource, "postgres:postgres://db/eliza"),
        ("HTTP://localhost:3000/api/", ServerSource, "server:http://localhost:3000"),
        ("-", FileSource, None),
    ],
)  # fmt: skip
def test_an_address_says_what_it_is(text: str, kind: type, key: str | None) -> None:
    source = open_source(text, Wanted(), stdin=sys.stdin.buffer)
    assert isinstance(source, kind)
    assert source.key == key


def test_an_address_of_another_kind_is_refused(reasoning: Run) -> None:
    refused = reasoning("data", "import", "mysql://localhost/eliza")
    assert (refused.exit_code, refused.stderr.splitlines()[0]) == (
        2,
        "error: `mysql://localhost/eliza` is an address of no kind known here",
    )


@pytest.mark.parametrize(
    ("library", "source", "command"),
    [
        pytest.param(
            *("psycopg", "postgresql://localhost/eliza", "`pip install 'reasoning[postgres]'`"),
            marks=pytest.mark.sqlite("without psycopg no store on PostgreSQL is opened either"),
        ),
        ("zstandard", "rows.zst", "`pip install 'reasoning[zstd]'`"),
    ],
)
def test_a_library_that_is_missing_is_named(
    reasoning: Run, monkeypatch: pytest.MonkeyPatch, library: str, source: str, command: str
) -> None:
    Path("rows.zst").write_bytes(b"\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00")
    monkeypatch.setitem(sys.modules, library, None)
    refused = reasoning("data", "import", source)
    assert refused.exit_code == 4
    assert command in refused.stderr
