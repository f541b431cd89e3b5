"""An export is a file Together takes, of exactly what was asked for, whole or not there at all."""

from __future__ import annotations

import contextlib
import io
import json
import stat
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError, ReasoningError
from reasoning_cli.operations.data.export.files import target_name
from reasoning_cli.operations.data.export.render import Format, Rules
from reasoning_cli.operations.data.export.run import ExportRequest, export_samples
from reasoning_cli.operations.data.ingest.elizaos_logs import BadRow, read_row
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples

ROWS = Path(__file__).parents[3] / "data" / "elizaos-logs.jsonl"
DUMP = Path(__file__).parents[4].parent / "shared" / "traffic" / "elizaos-logs.jsonl"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVERYTHING = SampleFilter()


def fill(store: Store, rows: Path) -> None:
    """Store the decisions of a dump."""
    for line in rows.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(BadRow, ValueError):
            sample = read_row(json.loads(line))
            if isinstance(sample, Sample):
                Samples(store).insert_many([sample])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        fill(store, ROWS)
        yield store


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "train.jsonl"


def together_accepts(content: bytes) -> list[list[dict[str, str]]]:
    """Check a conversational file by Together's published rules, written apart from the exporter's own check."""
    conversations = []
    assert content.endswith(b"\n")
    for line in content.decode("utf-8").split("\n")[:-1]:
        assert line.strip()
        sample = json.loads(line)
        assert list(sample) == ["messages"]
        messages = sample["messages"]
        for message in messages:
            assert set(message) == {"role", "content"}
            assert isinstance(message["content"], str)
            assert message["content"].strip()
            assert "\0" not in message["content"]
            message["content"].encode("utf-8")
        roles = [message["role"] for message in messages]
        assert roles in (["user", "assistant"], ["system", "user", "assistant"])
        conversations.append(messages)
    return conversations


def export(store: Store, target: Path, wanted: SampleFilter = EVERYTHING) -> list[list[dict[str, str]]]:
    export_samples(store, target, ExportRequest(wanted), now=NOW)
    return together_accepts(target.read_bytes())


def decision(number: int, **changes: object) -> Sample:
    made = Sample(
        id=f"s{number}",
        created_at=NOW + timedelta(seconds=number),
        model_type="should_respond",
        model="m",
        source="original",
        origin="test",
        prompt=f"prompt {number}",
        output="<response><name>Nova</name><reasoning>r</reasoning><action>STOP</action></response>",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("model_type", ["should_respond", "planning", "coding"])
def test_every_type_becomes_conversations_of_the_exact_prompt_and_the_canonical_answer(
    store: Store, target: Path, model_type: str
) -> None:
    conversations = export(store, target, SampleFilter((model_type,)))
    samples = [s for s in Samples(store).iterate(SampleFilter((model_type,))) if s.decision is not None]
    assert len(conversations) == len(samples) >= 2
    for messages, sample in zip(conversations, samples, strict=True):
        *system, user, assistant = messages
        assert [message["content"] for message in system] == ([sample.system] if sample.system else [])
        assert user["content"] == sample.prompt
        if model_type == "coding":
            assert assistant["content"] in sample.output
            assert "<think>" not in assistant["content"]
            continue
        answer = ElementTree.fromstring(assistant["content"])
        assert answer.tag == "response"
        assert [child.tag for child in answer] == (
            ["name", "reasoning", "action"]
            if model_type == "should_respond"
            else ["thought", "actions", "providers", "text"]
        )
        decided = answer.findtext("action" if model_type == "should_respond" else "actions")
        assert decided == sample.decision


def test_thinking_is_not_trained_and_markup_in_text_survives(store: Store, target: Path) -> None:
    assistants = [messages[-1]["content"] for messages in export(store, target)]
    [reasoned] = [ElementTree.fromstring(a) for a in assistants if "Bob" in a]
    assert reasoned.findtext("reasoning") == "Bob & Alice talk"
    assert reasoned.findtext("action") == "IGNORE"
    [spoken] = [ElementTree.fromstring(a) for a in assistants if "名前" in a]
    assert spoken.findtext("text") == "I am Nova <3 & happy: 名前 🙂"


def test_answers_nobody_could_use_are_left_out_and_counted_by_why(store: Store, target: Path) -> None:
    Samples(store).insert_many([decision(1, prompt=" \n"), decision(2, output="<think>forever")])
    report = export_samples(store, target, ExportRequest(), now=NOW)
    assert dict(report.left_out) == {
        "no XML answer": 1,
        "an action the prompt does not offer": 1,
        "empty user message": 1,
        "nothing but thinking": 1,
    }
    assert dict(report.by_type) == {"planning": 4, "should_respond": 3, "coding": 2}
    assert report.written == 9
    assert report.size_bytes == target.stat().st_size
    assert (report.oldest.day, report.newest.day) == (1, 10)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_the_real_dump_exports_whole(tmp_path: Path, target: Path) -> None:
    if not DUMP.exists():
        pytest.skip("the recorded traffic is not here")
    with open_store(tmp_path / "real.db") as store:
        fill(store, DUMP)
        conversations = export(store, target)
    assert len(conversations) == 20


def test_json_is_one_object_with_what_it_holds(store: Store, target: Path) -> None:
    wanted = SampleFilter(("should_respond",))
    export_samples(store, target, ExportRequest(wanted, Rules("json")), now=NOW)
    whole = json.loads(target.read_bytes())
    assert (whole["model_type"], whole["format"]) == ("should_respond", "json")
    assert whole["metadata"] == {
        "exported_at": "2026-11-21T12:00:00.000Z",
        "total_samples": 3,
        "date_range": {"start": "2026-10-01T12:00:00.250Z", "end": "2026-10-03T12:00:00.250Z"},
    }
    lines = io.BytesIO()
    export_samples(store, lines, ExportRequest(wanted), now=NOW)
    assert whole["samples"] == [json.loads(line) for line in lines.getvalue().splitlines()]


def test_a_stream_gets_the_same_bytes_as_a_file(store: Store, target: Path) -> None:
    stream = io.BytesIO()
    report = export_samples(store, stream, ExportRequest(), now=NOW)
    export_samples(store, target, ExportRequest(), now=NOW)
    assert stream.getvalue() == target.read_bytes()
    assert [one.path for one in report.files] == [None]


def test_a_limit_takes_the_newest_and_writes_them_oldest_first(store: Store, target: Path) -> None:
    conversations = export(store, target, SampleFilter(("should_respond",), until=NOW - timedelta(days=48), limit=2))
    assert ["Bob, lunch?" in conversations[0][-2]["content"], "Nova stop" in conversations[1][-2]["content"]] == [
        True,
        True,
    ]


@pytest.mark.parametrize("fmt", ["jsonl", "json"])
def test_nothing_to_write_is_an_error_and_leaves_no_file(store: Store, target: Path, fmt: Format) -> None:
    with pytest.raises(ReasoningError, match="no sample matches"):
        export_samples(store, target, ExportRequest(SampleFilter(agent="nobody"), Rules(fmt)), now=NOW)
    Samples(store).insert_many([decision(1, output="prose", agent_id="talker")])
    stream = io.BytesIO()
    with pytest.raises(ReasoningError, match=r"can be trained on: no XML answer \(1\)"):
        export_samples(store, stream, ExportRequest(SampleFilter(agent="talker"), Rules(fmt)), now=NOW)
    assert stream.getvalue() == b""
    assert list(target.parent.iterdir()) == []


def test_an_existing_file_is_kept_unless_told_otherwise(store: Store, target: Path) -> None:
    target.write_text("old")
    with pytest.raises(DataError, match="exists already") as refused:
        export_samples(store, target, ExportRequest(), now=NOW)
    assert "--force" in (refused.value.hint or "")
    assert target.read_text() == "old"
    export_samples(store, target, ExportRequest(), now=NOW, overwrite=True)
    together_accepts(target.read_bytes())


def test_a_link_is_followed_not_replaced(store: Store, target: Path) -> None:
    target.write_text("old")
    link = target.with_name("link.jsonl")
    link.symlink_to(target)
    export_samples(store, link, ExportRequest(), now=NOW, overwrite=True)
    assert link.is_symlink()
    together_accepts(target.read_bytes())


def test_places_that_cannot_be_written_say_what_to_do(store: Store, target: Path) -> None:
    with pytest.raises(DataError, match="no folder") as refused:
        export_samples(store, target.parent / "a" / "b.jsonl", ExportRequest(), now=NOW)
    assert f"mkdir -p {target.parent / 'a'}" in (refused.value.hint or "")
    with pytest.raises(DataError, match="is a folder"):
        export_samples(store, target.parent, ExportRequest(), now=NOW)
    with pytest.raises(DataError, match="not a regular file"):
        export_samples(store, Path("/dev/null"), ExportRequest(), now=NOW, overwrite=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_fails_half_way_leaves_the_old_file_and_no_other(store: Store, target: Path, error: BaseException) -> None:
    Samples(store).insert_many([decision(number) for number in range(1500)])
    target.write_text("old")

    def fail(written: int, total: int) -> None:
        raise error

    expected = DataError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        export_samples(store, target, ExportRequest(), now=NOW, overwrite=True, on_progress=fail)
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_the_file_is_named_after_what_it_holds() -> None:
    today = date(2026, 11, 21)
    assert target_name(SampleFilter(("planning",)), "jsonl", today) == "training-data-planning-2026-11-21.jsonl"
    assert target_name(EVERYTHING, "json", today) == "training-data-all-2026-11-21.json"
