"""The folder of an agent without PostgreSQL: read where Node and its library are, else the command is named.

`REASONING_TEST_PGLITE=FOLDER` names a folder with `node_modules/@electric-sql/pglite`, for the test with a real one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from reasoning_cli.gateway.log.recorded_call import read_exchange
from reasoning_cli.operations.data.ingest.pipeline import import_decisions
from reasoning_cli.sources.pglite import SCRIPT, PgliteSource, database_folder
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests.conftest import Run
from tests.gateway.node import installed

ROWS = Path(__file__).parents[1] / "data" / "elizaos-logs.jsonl"
# Asked for when the tests are collected: no test sees the developer's variables.
LIBRARY = os.environ.get("REASONING_TEST_PGLITE")

FILL = """
const library = require('module').createRequire(process.argv[2] + '/x.js')('@electric-sql/pglite');
(async () => {
  const database = await library.PGlite.create(process.argv[3]);
  await database.exec(`CREATE TABLE logs(id uuid DEFAULT gen_random_uuid(), created_at timestamptz, entity_id uuid,
    room_id uuid, type text, body jsonb)`);
  for (const row of JSON.parse(require('fs').readFileSync(0))) {
    await database.query('INSERT INTO logs(created_at, type, body) VALUES ($1, $2, $3)', [row.at, row.type, row.body]);
  }
  await database.close();
})();
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What such a folder looks like from outside, in the place where an agent keeps it."""
    database = tmp_path / "agent" / ".eliza" / ".elizadb"
    (database / "global").mkdir(parents=True)
    (database / "PG_VERSION").write_text("17\n")
    return database


def test_the_database_is_found_in_the_agents_folder(folder: Path) -> None:
    assert database_folder(folder) == folder
    assert database_folder(folder.parents[1]) == folder
    assert database_folder(folder.parent) == folder
    assert database_folder(folder / "global") is None


@pytest.mark.parametrize("has_node", [True, False])
def test_where_it_cannot_be_read_the_command_is_named(
    folder: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch, has_node: bool
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/node" if has_node else None)
    done = reasoning("data", "import", folder.parents[1])
    error, hint = done.stderr.splitlines()[-2:]  # above them it says what it waits for, where that takes long
    assert done.exit_code == 1
    assert error == f"error: `{folder}` is a PGlite database, which only Node can read"
    assert f"`node {SCRIPT} {folder} > logs.jsonl`" in hint


LIBRARY_OF_17, LIBRARY_OF_18 = "0.3.14", "0.5.17"


def test_a_folder_of_another_version_is_said_with_both(tmp_path: Path, reasoning: Run) -> None:
    older = installed("@electric-sql/pglite", LIBRARY_OF_17)
    newer = installed("@electric-sql/pglite", LIBRARY_OF_18)
    agent = tmp_path / "agent"
    database = agent / ".eliza" / ".elizadb"
    database.parent.mkdir(parents=True)
    subprocess.run(["node", "-e", FILL, "-", older, database], input=b"[]", check=True, timeout=120)
    (agent / "node_modules").symlink_to(newer / "node_modules")
    done = reasoning("data", "import", agent)
    error, hint = done.stderr.splitlines()[-2:]  # above them it says what it waits for, where that takes long
    assert done.exit_code == 1
    assert error == (
        f"error: `{database}` was written by PostgreSQL 17, and the `@electric-sql/pglite` found here is PostgreSQL 18"
    )
    assert "the agent's own copy can read it" in hint
    (agent / "node_modules").unlink()
    (agent / "node_modules").symlink_to(older / "node_modules")
    assert reasoning("data", "import", agent).exit_code == 0


def test_the_folder_one_stands_in_is_a_folder(folder: Path, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parents[1])
    monkeypatch.setattr("shutil.which", lambda name: None)
    done = reasoning("data", "import", ".")
    assert "is a PGlite database, which only Node can read" in done.stderr


def test_a_damaged_folder_is_said_in_one_short_line(tmp_path: Path, reasoning: Run) -> None:
    older = installed("@electric-sql/pglite", LIBRARY_OF_17)
    database = tmp_path / "agent" / ".elizadb"
    (database / "global").mkdir(parents=True)
    (database / "PG_VERSION").write_text("17\n")
    (tmp_path / "agent" / "node_modules").symlink_to(older / "node_modules")
    error, _ = reasoning("data", "import", tmp_path / "agent").stderr.splitlines()[-2:]
    assert error.startswith(f"error: cannot read the PGlite database `{database}`: ")
    assert len(error) < 500


@pytest.mark.skipif(LIBRARY is None or shutil.which("node") is None, reason="REASONING_TEST_PGLITE is not set")
def test_a_real_folder_gives_its_decisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LIBRARY is not None
    database = tmp_path / "database"
    rows = []
    for line in ROWS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        body = row["body"] if isinstance(row["body"], str) else json.dumps(row["body"])
        rows.append({"at": row.get("created_at", "2026-10-01T00:00:00Z"), "type": row["type"], "body": body})
    content = json.dumps(rows).encode()
    subprocess.run(["node", "-e", FILL, "-", LIBRARY, str(database)], input=content, check=True, timeout=120)
    before = sorted((one, one.stat().st_mtime_ns) for one in database.rglob("*"))
    monkeypatch.chdir(LIBRARY)
    with open_store(tmp_path / "reasoning.db") as store:
        report = import_decisions(PgliteSource(database), store, read_exchange=read_exchange)
        assert dict(report.by_type) == {"planning": 5, "should_respond": 4, "coding": 2}
        assert Samples(store).count() == 11
        again = import_decisions(PgliteSource(database), store, read_exchange=read_exchange)
        assert (again.added, again.already_there) == (0, 11)
    assert sorted((one, one.stat().st_mtime_ns) for one in database.rglob("*")) == before
