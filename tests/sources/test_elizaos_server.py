"""The logs of a running ElizaOS server, page by page, each row once however often and however interrupted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.errors import ConfigurationError, NotFoundError, RemoteError
from reasoning_cli.gateway.log.recorded_call import read_exchange
from reasoning_cli.operations.data.ingest.pipeline import ImportOptions, ImportReport, import_decisions
from reasoning_cli.sources import elizaos_server
from reasoning_cli.sources.elizaos_server import PAGE_ROWS, ServerSource
from reasoning_cli.sources.rows import Wanted
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests.conftest import Run
from tests.sources.eliza_server import Eliza, eliza_server

NOVA, ZOE = "c56d45fc-7b87-0ea1-80d2-3df962ccce5a", "d56d45fc-7b87-0ea1-80d2-3df962ccce5b"
ROWS = Path(__file__).parents[1] / "data" / "elizaos-logs.jsonl"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


@pytest.fixture
def eliza() -> Iterator[Eliza]:
    agents = [
        {"id": NOVA, "name": "Nova", "characterName": "Nova", "bio": "", "status": "active"},
        {"id": ZOE, "name": "Zoe", "characterName": "Zoe", "bio": "", "status": "inactive"},
    ]
    with eliza_server(Eliza(agents)) as eliza:
        yield eliza


def rows(count: int, start: int = 0, agent: str = NOVA) -> list[dict[str, Any]]:
    """Decisions a minute apart, small and large models in turn, as the server writes them."""
    plain = json.loads(ROWS.read_text(encoding="utf-8").splitlines()[0])
    at = datetime(2026, 10, 1, tzinfo=UTC)
    return [
        {
            "id": f"{agent[:8]}-{n}",
            "createdAt": (at + timedelta(minutes=n)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "entityId": agent,
            "roomId": "813bfd22-f2dd-01bc-a2d6-177756f5ddd0",
            "type": ("useModel:TEXT_SMALL", "useModel:TEXT_LARGE")[n % 2],
            "body": {**plain["body"], "runId": f"run-{n}"},
        }
        for n in range(start, start + count)
    ]


def take(eliza: Eliza, store: Store, token: str | None = None, **options: Any) -> ImportReport:
    chosen = ImportOptions(**options)
    source = ServerSource(eliza.url, Wanted(chosen.agent, chosen.since), token)
    return import_decisions(source, store, chosen, read_exchange=read_exchange)


def test_all_pages_of_both_models_are_read(eliza: Eliza, store: Store) -> None:
    eliza.rows = [*rows(2 * PAGE_ROWS + 7), {**rows(1)[0], "id": "other", "type": "useModel:TEXT_EMBEDDING"}]
    report = take(eliza, store)
    assert (report.read, report.added) == (2 * PAGE_ROWS + 7, 2 * PAGE_ROWS + 7)
    assert not any("EMBEDDING" in asked for asked in eliza.asked)
    [sample] = [one for one in Samples(store).iterate() if one.id.endswith("-7")]
    assert (sample.agent_id, sample.created_at) == (NOVA, datetime(2026, 10, 1, 0, 7, tzinfo=UTC))


def test_only_what_is_new_is_asked_for_the_next_time(eliza: Eliza, store: Store) -> None:
    eliza.rows = rows(6 * PAGE_ROWS)
    take(eliza, store)
    eliza.asked.clear()
    eliza.rows += rows(3, start=6 * PAGE_ROWS)
    report = take(eliza, store)
    assert (report.added, report.went_on) == (3, True)
    assert len(eliza.asked) == 3  # the agents, and a page of each model
    assert report.already_there <= 12
    assert take(eliza, store, again=True).already_there == 6 * PAGE_ROWS + 3


def test_an_import_that_failed_goes_on_though_rows_were_added(
    eliza: Eliza, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reasoning_cli.operations.data.ingest.pipeline.BATCH_ROWS", 50)
    eliza.rows = rows(16 * PAGE_ROWS)
    eliza.fails_after = 6
    with pytest.raises(RemoteError, match="answered 500"):
        take(eliza, store)
    kept = Samples(store).count()
    assert 4 * PAGE_ROWS <= kept <= 5 * PAGE_ROWS
    eliza.asked.clear()
    eliza.fails_after = None
    eliza.rows += rows(8, start=16 * PAGE_ROWS)
    report = take(eliza, store)
    assert Samples(store).count() == 16 * PAGE_ROWS + 8
    # The pages that were read before are passed over but for the first and the last of them.
    assert report.already_there <= 3 * PAGE_ROWS
    eliza.asked.clear()
    assert take(eliza, store).added == 0
    assert len(eliza.asked) == 3


def test_a_limit_is_gone_on_behind(eliza: Eliza, store: Store) -> None:
    eliza.rows = rows(3 * PAGE_ROWS)
    reports = [take(eliza, store, limit=PAGE_ROWS) for _ in range(4)]
    assert [(report.added, report.is_whole) for report in reports] == [
        (PAGE_ROWS, False),
        (PAGE_ROWS, False),
        (PAGE_ROWS, False),
        (0, True),
    ]
    assert Samples(store).count() == 3 * PAGE_ROWS


def test_since_ends_the_reading_at_that_time(eliza: Eliza, store: Store) -> None:
    eliza.rows = rows(6 * PAGE_ROWS)
    report = take(eliza, store, since=datetime(2026, 10, 1, tzinfo=UTC) + timedelta(minutes=6 * PAGE_ROWS - 20))
    assert (report.read, report.added) == (20, 20)
    assert len(eliza.asked) == 3


def test_agents_are_told_apart_by_id_and_name(eliza: Eliza, store: Store) -> None:
    eliza.agents[1]["status"] = "active"
    eliza.rows = [*rows(4), *rows(6, agent=ZOE)]
    assert take(eliza, store, agent="Zoe").read == 6
    assert take(eliza, store).added == 4
    with pytest.raises(NotFoundError, match="knows no agent `Max`"):
        take(eliza, store, agent="Max")


def test_a_stopped_agent_has_no_logs_to_give(eliza: Eliza, store: Store) -> None:
    with pytest.raises(NotFoundError, match="no agent runs"):
        take(eliza, store, agent=ZOE)


def test_a_token_is_taken_from_the_environment_or_asked_for(
    eliza: Eliza, store: Store, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    eliza.token, eliza.rows = "s3cret", rows(2)
    with pytest.raises(ConfigurationError, match="wants a token"):
        take(eliza, store)
    with pytest.raises(ConfigurationError, match="wants another token"):
        take(eliza, store, token="wrong")
    source = ServerSource(eliza.url, Wanted(), None, lambda: "s3cret")
    assert import_decisions(source, store, read_exchange=read_exchange).added == 2

    refused = reasoning("data", "import", eliza.url)
    assert refused.exit_code == 4
    assert refused.stderr.splitlines() == [
        f"error: `{eliza.url}` wants a token",
        "hint: export ELIZA_SERVER_AUTH_TOKEN=…",
    ]
    monkeypatch.setenv("ELIZA_SERVER_AUTH_TOKEN", "s3cret")
    done = reasoning("data", "import", eliza.url)
    assert (done.exit_code, done.stdout.splitlines()[1]) == (0, "2 added, 0 there already")
    assert "s3cret" not in json.dumps([list(row) for row in store.rows("SELECT * FROM imports")])


def test_what_is_no_eliza_server_is_said(eliza: Eliza, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eliza, "answer", lambda target, token: (200, "<html>hello</html>"))
    with pytest.raises(RemoteError, match="did not answer `/api/agents` as an ElizaOS server does"):
        take(eliza, store)
    monkeypatch.setattr(elizaos_server, "_SECONDS", 2.0)
    with pytest.raises(RemoteError, match="cannot reach"):
        import_decisions(ServerSource("http://127.0.0.1:1", Wanted()), store, read_exchange=read_exchange)


def test_a_server_that_turns_no_page_is_noticed(eliza: Eliza, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    eliza.rows = rows(PAGE_ROWS)
    answer = eliza.answer
    monkeypatch.setattr(eliza, "answer", lambda target, token: answer(target.partition("&offset")[0], token))
    with pytest.raises(RemoteError, match="the same page again and again"):
        take(eliza, store)
