"""Importing what an ElizaOS agent logged: every decision once, whatever else and whatever broken is between them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError, ExitCode, NotFoundError, ReasoningError
from reasoning_cli.operations.data.ingest import pipeline
from reasoning_cli.operations.data.ingest.pipeline import BadLine, ImportReport
from reasoning_cli.sources import files
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.stats import sample_figures
from reasoning_cli.store.samples.training_log import Samples
from tests.operations.taking_in import import_file
from tests.stores import spelt

ROWS = Path(__file__).parents[3] / "data" / "elizaos-logs.jsonl"
DUMP = Path(__file__).parents[4].parent / "shared" / "traffic" / "elizaos-logs.jsonl"

IMPORT = """
import pickle, sys
from pathlib import Path
from tests.operations.taking_in import import_file
from tests.stores import spelt
from reasoning_cli.operations.data.ingest import pipeline
from reasoning_cli.store.open import open_store
pipeline.BATCH_ROWS = int(sys.argv[3])
def told(report):
    print(report.added, flush=True)
    if report.added >= int(sys.argv[4]):
        sys.stdin.read()
with open_store(pickle.loads(bytes.fromhex(sys.argv[1]))) as store:
    import_file(Path(sys.argv[2]), store, on_progress=told)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def row(number: int) -> dict[str, object]:
    """One of the fixture's rows, by its line number."""
    loaded: dict[str, object] = json.loads(ROWS.read_text(encoding="utf-8").splitlines()[number - 1])
    return loaded


def import_lines(store: Store, *lines: object) -> ImportReport:
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return import_file(io.BytesIO(b"\n".join(encoded)), store)


def test_every_decision_of_the_real_dump_is_found_and_everything_else_is_counted_by_why(store: Store) -> None:
    if not DUMP.exists():
        pytest.skip("the recorded traffic is not here")
    report = import_file(DUMP, store)
    assert report.read == 50
    assert dict(report.by_type) == {"planning": 14, "should_respond": 6}
    assert dict(report.skipped) == {
        "embedding": 17,
        "reflection": 5,
        "reply action": 2,
        "multi-step decision": 2,
        "multi-step summary": 1,
        "room action": 1,
        "post": 1,
        "image": 1,
    }
    assert (report.added, report.already_there, report.bad) == (20, 0, 0)
    figures = sample_figures(store, day_ago=datetime(2026, 11, 21, tzinfo=UTC))
    assert dict(figures.by_type["should_respond"].decisions) == {"RESPOND": 3, "IGNORE": 2, "STOP": 1}
    assert dict(figures.by_type["planning"].decisions) == {"REPLY": 11, "IGNORE": 2, "REPLY,FOLLOW_ROOM": 1}
    assert [figures.by_type[name].unparsed for name in ("planning", "should_respond")] == [0, 0]
    for number, line in enumerate(DUMP.read_text(encoding="utf-8").splitlines()):
        logged = json.loads(line)
        stored = Samples(store).get(logged["id"])
        if stored is not None:
            assert stored.prompt == logged["body"]["prompt"], number
            assert stored.output == logged["body"]["response"], number
            assert (stored.room_id, stored.agent_id) == (logged["room_id"], logged["entity_id"])
            assert (stored.agent_name, stored.provider) == ("Nova", "openai")
            assert stored.run_id == logged["body"]["runId"]
            assert stored.system == logged["body"]["systemPrompt"]
            assert stored.latency_ms == round(logged["body"]["executionTime"])


def test_rows_of_every_version_are_read_and_importing_twice_adds_nothing(store: Store) -> None:
    report = import_file(ROWS, store)
    assert (report.read, report.added, report.already_there, report.bad, report.bad_lines) == (21, 11, 0, 0, ())
    assert report.by_type == {"planning": 5, "should_respond": 4, "coding": 2}
    assert report.skipped == {
        "no response": 2,
        "embedding": 1,
        "image": 1,
        "reflection": 1,
        "reply action": 1,
        "room action": 1,
        "continuation of a cut answer": 1,
        "not a model call": 1,
        "answer in TOON, which is not supported": 1,
    }
    before = list(Samples(store).iterate())
    again = import_file(ROWS, store, again=True)
    assert (again.added, again.already_there, again.by_type) == (0, 11, report.by_type)
    assert list(Samples(store).iterate()) == before


def test_a_row_becomes_a_sample_with_all_that_was_logged(store: Store) -> None:
    import_lines(store, row(1))
    [sample] = Samples(store).iterate()
    assert sample.created_at == datetime(2026, 10, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    assert (sample.model_type, sample.model, sample.decision) == ("should_respond", "TEXT_SMALL", "RESPOND")
    assert (sample.source, sample.origin, sample.provider) == ("original", "elizaos-logs", "openai")
    assert (sample.agent_id, sample.agent_name, sample.room_id, sample.run_id) == ("agent-1", "Nova", "room-1", "run-1")
    assert (sample.latency_ms, sample.system) == (82, "You are Nova.")


def test_old_shapes_are_read_too(store: Store) -> None:
    import_lines(store, row(6), row(7))
    as_string, oldest = Samples(store).iterate()
    assert (as_string.system, as_string.decision, as_string.latency_ms) == (None, "REPLY", 82)
    assert as_string.created_at == datetime(2026, 10, 6, 12, 0, 0, 250_000, tzinfo=UTC)
    assert (oldest.decision, oldest.latency_ms, oldest.run_id) == ("REPLY", None, None)
    assert import_lines(store, row(7)).already_there == 1


def test_an_answer_nobody_can_use_is_kept_as_what_it_is(store: Store) -> None:
    import_lines(store, row(2), row(11), row(12))
    assert [sample.decision for sample in Samples(store).iterate()] == ["IGNORE", None, None]


def test_marks_of_a_2_0_runtime_are_not_stored_in_the_prompt(store: Store) -> None:
    marked = row(4)
    body = marked["body"]
    assert isinstance(body, dict)
    plain = body["prompt"]
    body["prompt"] = f"initial code: a1\n{plain}\nmiddle code: b2\n<output>\n{plain[-250:]}\nend code: c3\n"
    import_lines(store, marked)
    [sample] = Samples(store).iterate()
    assert sample.prompt == plain


def test_broken_lines_are_counted_with_their_numbers_and_stop_nothing(store: Store) -> None:
    surrogate = json.dumps(row(1)).replace("are you there", "are you \\ud800 there").encode()
    nul = json.dumps(row(2)).replace("lunch", "lunch \\u0000").encode()
    timeless = {**row(3), "created_at": "yesterday", "body": {**row(3)["body"], "timestamp": None}}  # type: ignore[dict-item]
    report = import_lines(
        store,
        row(4),
        b"{not json",
        b"[1, 2]",
        b'{"a": 1}',
        b"\xff\xfe\x00",
        b"",
        surrogate,
        nul,
        timeless,
        b"[" * 100_000,
        b'{"n": ' + b"9" * 10_000 + b"}",
        row(5),
    )
    assert report.read == 11
    assert (report.added, report.bad) == (2, 9)
    assert report.bad_lines == (
        BadLine(2, "not JSON"),
        BadLine(3, "not a JSON object"),
        BadLine(4, "no row of ElizaOS's `logs`, no recorded request, no chat line"),
        BadLine(5, "not UTF-8"),
        BadLine(7, "holds half a Unicode character"),
    )


def test_a_line_of_five_megabytes_is_read_and_an_endless_one_is_passed_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = row(4)
    body = long["body"]
    assert isinstance(body, dict)
    body["params"] = {}
    body["prompt"] = str(body["prompt"]).replace("Hi!", "Hi! " + "na " * 1_700_000)
    assert import_lines(store, long).added == 1
    monkeypatch.setattr(files, "MAX_ROW_BYTES", 100_000)
    report = import_lines(store, row(1), long, row(2))
    assert (report.added, report.bad, report.bad_lines[0].number) == (2, 1, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n  \n", "is empty"),
        (b"SQLite format 3\0" + b"\0" * 100, "is not text"),
        (b"PK\x03\x04\x14\0", "is compressed"),
        (b"\x1f\x8b\x08\0\0", "is damaged"),
        (b"id,created_at\n1,2\n", "holds nothing that can be imported .line 1: not JSON"),
        (b'{"messages": []}\n', "holds nothing that can be imported .line 1: no user message"),
    ],
)
def test_an_input_that_is_no_export_at_all_is_an_error_with_a_hint(
    store: Store, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "export.jsonl"
    path.write_bytes(content)
    with pytest.raises(ReasoningError, match=message) as refused:
        import_file(path, store)
    assert refused.value.exit_code == ExitCode.FAILED
    assert refused.value.hint


def test_a_missing_file_and_a_folder_are_told_apart(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        import_file(tmp_path / "nothing.jsonl", store)
    with pytest.raises(DataError, match="is a folder"):
        import_file(tmp_path, store)


def test_rows_without_a_single_decision_are_a_result_not_an_error(store: Store) -> None:
    report = import_lines(store, row(13), row(20))
    assert (report.read, report.added, report.bad) == (2, 0, 0)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(store: Store) -> None:
    lines = b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(row(n)).encode() for n in (1, 2)) + b"\r\n"
    assert import_file(io.BytesIO(lines), store).added == 2


def test_killing_an_import_loses_no_stored_row_and_running_it_again_completes_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = 50  # rows; nothing depends on how many
    monkeypatch.setattr(pipeline, "BATCH_ROWS", batch)
    total = batch * 30
    export = tmp_path / "export.jsonl"
    model = row(1)
    with export.open("w", encoding="utf-8") as lines:
        for number in range(total):
            lines.write(json.dumps({**model, "id": f"row-{number}"}) + "\n")
    # Killed somewhere between its third batch and its last but one, where it would wait.
    command = [sys.executable, "-c", IMPORT, spelt(store), str(export), str(batch), str(total - batch)]
    importer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[4])
    assert importer.stdin is not None
    assert importer.stdout is not None
    acknowledged = [int(importer.stdout.readline()) for _ in range(3)][-1]
    os.kill(importer.pid, signal.SIGKILL)
    rest = importer.stdout.read().split()
    importer.stdout.close()
    importer.stdin.close()
    assert importer.wait() == -signal.SIGKILL
    acknowledged = int(rest[-1]) if rest else acknowledged
    survived = Samples(store).count()
    assert acknowledged <= survived < total
    assert survived % batch == 0
    assert store.check().problems == ()
    report = import_file(export, store)
    assert report.went_on
    assert (report.added, report.read) == (total - survived, total - survived + report.already_there)
    assert report.already_there in (0, batch)  # killed between a batch and the note that it was read
    assert Samples(store).count() == total


def test_progress_grows_with_each_batch(store: Store, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    import_file(ROWS, store, on_progress=lambda report: seen.append((report.read, report.done)))
    assert seen == [(21, ROWS.stat().st_size)]
