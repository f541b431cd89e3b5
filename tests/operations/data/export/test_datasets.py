"""Exports as data sets: what is left out, copies, splits, redaction, preferences, several processes, manifests."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.generate_log import Generator, fill
from reasoning_cli.decisions.answers import read_answer
from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.decisions.prompts import shape_of
from reasoning_cli.errors import DataError, ReasoningError, UsageError
from reasoning_cli.operations.data.export import batches
from reasoning_cli.operations.data.export.batches import Facts, SideFacts
from reasoning_cli.operations.data.export.render import Format, Rules
from reasoning_cli.operations.data.export.run import ExportReport, ExportRequest, export_samples
from reasoning_cli.operations.data.export.split import parse_split
from reasoning_cli.operations.data.ingest.chat_jsonl import read_chat
from reasoning_cli.operations.data.validate.file import check_file
from reasoning_cli.store.database import Store
from reasoning_cli.store.fingerprints import masked_hash
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.exports import NumberSet, exports_holding, seeded_salt
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from tests.stores import shared_place, spelt

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SALT = "5a" * 16
IGNORE = "<response>\n  <name>Nova</name>\n  <reasoning>r</reasoning>\n  <action>IGNORE</action>\n</response>"
RESPOND = IGNORE.replace("IGNORE", "RESPOND")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "data" / "reasoning.db") as store:
        yield store


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for exports and nothing else."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[tuple[Store, Generator]]:
    """A log of 3,000 decisions with planted copies and secrets."""
    generator = Generator(3000, seed=7, prompt_bytes=1500, until=NOW, copies=200, secrets=100)
    with open_store(shared_place(request, tmp_path_factory.mktemp("busy") / "reasoning.db")) as store:
        fill(store, generator)
        yield store, generator


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A smaller one, for what is exported time and again. Its copies are in rooms of their own."""
    generator = Generator(900, seed=7, prompt_bytes=1500, until=NOW, copies=60, secrets=60)
    with open_store(shared_place(request, tmp_path_factory.mktemp("few") / "reasoning.db")) as store:
        fill(store, generator)
        apart = [(f"of {copy}", copy) for copy, _ in generator.planted.copies]
        store.write_many("UPDATE samples SET room_id = ? WHERE id = ?", apart)
        yield store


def decision(number: int, **changes: object) -> Sample:
    made = Sample(
        id=f"s{number}",
        created_at=NOW - timedelta(seconds=1000 - number),
        model_type="should_respond",
        model="m",
        source="original",
        origin="test",
        prompt=EXAMPLES["should_respond"].replace("help me", f"help {'x' * (number + 1)}"),
        output=IGNORE,
        decision="IGNORE",
    )
    made = replace(made, **changes)  # type: ignore[arg-type]
    return replace(made, shape=shape_of(made.prompt))


def export(store: Store, target: Path, request: ExportRequest | None = None, **options: object) -> ExportReport:
    return export_samples(store, target, request or ExportRequest(), now=NOW, overwrite=True, **options)  # type: ignore[arg-type]


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]


def prompts(file: Path) -> list[str]:
    return [next(m["content"] for m in line["messages"] if m["role"] == "user") for line in lines(file)]  # type: ignore[attr-defined]


def test_a_correction_outranks_the_answer_and_bad_is_left_out(store: Store, out: Path) -> None:
    unoffered = "<response><thought>t</thought><actions>FLY</actions><text>x</text></response>"
    Samples(store).insert_many(
        [
            decision(1, label="bad"),
            decision(2, label="corrected", corrected=RESPOND),
            decision(3, output="prose", decision=None, label="corrected", corrected=RESPOND),
            decision(4, output="prose", decision=None),
            decision(5, label="corrected", corrected="prose"),
            # A person may know an action that the prompt does not offer.
            decision(6, model_type="planning", prompt=EXAMPLES["planning"], label="corrected", corrected=unoffered),
        ]
    )
    report = export(store, out / "a.jsonl")
    answers = [line["messages"][-1]["content"] for line in lines(out / "a.jsonl")]  # type: ignore[index]
    assert answers[:2] == [RESPOND, RESPOND]
    assert "<actions>FLY</actions>" in answers[2]
    assert report.left_out == {"no XML answer": 2, "labelled bad": 1}
    assert report.files[0].decisions == {"should_respond": {"RESPOND": 2}, "planning": {"FLY": 1}}


def test_corrections_become_preference_pairs(store: Store, out: Path) -> None:
    Samples(store).insert_many(
        [
            decision(1),
            decision(2, label="corrected", corrected=RESPOND, system="You are Nova."),
            decision(3, label="corrected", corrected=IGNORE),
            decision(4, label="corrected", corrected=RESPOND, output="<think>hm</think> prose", decision=None),
            decision(5, label="corrected", corrected=RESPOND, output="<think>hm", decision=None),
        ]
    )
    request = ExportRequest(SampleFilter(label="corrected"), Rules(preference=True, salt=SALT))
    report = export(store, out / "dpo.jsonl", request)
    first, second = lines(out / "dpo.jsonl")
    assert [message["role"] for message in first["input"]["messages"]] == ["system", "user"]  # type: ignore[index]
    assert first["preferred_output"] == [{"role": "assistant", "content": RESPOND}]
    assert first["non_preferred_output"] == [{"role": "assistant", "content": IGNORE}]
    assert second["non_preferred_output"] == [{"role": "assistant", "content": "prose"}]
    assert report.left_out == {"no answer it is preferred to": 1, "the correction changes nothing": 1}
    checked = check_file(out / "dpo.jsonl")
    assert (checked.accepted, checked.kinds) == (True, ("preference",))


def test_too_long_is_left_out_and_tokens_are_counted(store: Store, out: Path) -> None:
    Samples(store).insert_many([decision(1), decision(2, prompt=EXAMPLES["should_respond"] + "y" * 4000)])
    report = export(store, out / "a.jsonl", ExportRequest(rules=Rules(max_tokens={"should_respond": 1000})))
    assert report.left_out == {"longer than 1,000 tokens": 1}
    assert report.longest == report.tokens == -(-len((out / "a.jsonl").read_bytes()) // 4)


def test_compact_prompts_are_exported_and_what_has_no_such_form_is_not(store: Store, out: Path) -> None:
    Samples(store).insert_many([decision(1), decision(2, prompt="a bare question")])
    report = export(store, out / "a.jsonl", ExportRequest(rules=Rules(forms={"should_respond": "compact"})))
    assert report.left_out == {"no compact form": 1}
    [prompt] = prompts(out / "a.jsonl")
    assert prompt.startswith("# Decision for Nova: should_respond\n")


def test_copies_are_found_and_the_best_of_each_is_kept(store: Store, out: Path) -> None:
    def asked(number: int, minute: int, **changes: object) -> Sample:
        prompt = EXAMPLES["should_respond"].replace("12:00", f"12:{minute:02}")
        return decision(number, prompt=prompt, **changes)

    Samples(store).insert_many(
        [
            asked(1, 0),
            asked(2, 1, label="good", output=RESPOND, decision="RESPOND"),
            asked(3, 2),
            asked(4, 2, output="prose", decision=None),
            decision(5, model_type="planning", prompt=EXAMPLES["planning"], output="x", decision=None),
        ]
    )
    exact = export(store, out / "a.jsonl", ExportRequest(dedupe="exact"))
    assert (exact.written, exact.left_out) == (3, {"a copy of another sample": 1, "no XML answer": 1})
    near = export(store, out / "a.jsonl", ExportRequest(dedupe="near"))
    assert (near.written, near.left_out["a copy of another sample"]) == (1, 3)
    assert "RESPOND" in lines(out / "a.jsonl")[0]["messages"][-1]["content"]  # type: ignore[index]


def test_planted_copies_are_found(busy: tuple[Store, Generator], out: Path) -> None:
    store, generator = busy
    planted = generator.planted.copies
    assert len(planted) >= 50
    shape_of_id = {row["id"]: row["shape_hash"] for row in store.rows("SELECT id, shape_hash FROM samples")}
    found = sum(shape_of_id[copy] == shape_of_id[first] for copy, first in planted)
    assert found >= 0.99 * len(planted)
    export(store, out / "a.jsonl", ExportRequest(dedupe="near"))
    shapes = Counter((prompt[:30], masked_hash(shape_of(prompt) or prompt)) for prompt in prompts(out / "a.jsonl"))
    assert max(shapes.values()) == 1


def test_no_planted_secret_is_left_and_one_value_has_one_placeholder(busy: tuple[Store, Generator], out: Path) -> None:
    store, generator = busy
    request = ExportRequest(rules=Rules(salt=SALT), split=(0.8, 0.2))
    report = export(store, out / "a.jsonl", request, workers=2)
    text = "".join(one.path.read_text(encoding="utf-8") for one in report.files if one.path)
    planted = [one["value"] for one in generator.planted.secrets]
    assert len(planted) >= 90
    assert [value for value in planted if value in text] == []
    assert sum(report.redactions.values()) >= len(planted)
    again = export(store, out / "b.jsonl", request)
    assert [one.sha256 for one in again.files] == [one.sha256 for one in report.files]


def test_names_become_pseudonyms_but_for_the_agents(store: Store, out: Path) -> None:
    Samples(store).insert_many([decision(1)])
    export(store, out / "a.jsonl", ExportRequest(rules=Rules(salt=SALT, redact_names=True)))
    [prompt] = prompts(out / "a.jsonl")
    assert "Sam" not in prompt
    assert "on behalf of Nova" in prompt
    assert prompt.count("Person-") == 3


@pytest.mark.parametrize("seed", [0, 1])
def test_splits_share_no_room_and_no_near_copy(few: Store, out: Path, seed: int) -> None:
    report = export(few, out / "a.jsonl", ExportRequest(split=(0.8, 0.1, 0.1), seed=seed))
    assert [one.path and one.path.name for one in report.files] == [
        "a.train.jsonl",
        "a.validation.jsonl",
        "a.test.jsonl",
    ]
    room_of = {row["prompt"]: row["room_id"] for row in few.rows("SELECT prompt, room_id FROM samples")}
    rooms, shapes = [], []
    for one in report.files:
        assert one.path is not None
        mine = prompts(one.path)
        rooms.append({room_of[prompt] for prompt in mine})
        shapes.append({masked_hash(shape_of(prompt) or prompt) for prompt in mine})
        assert check_file(one.path).accepted
    for sets in (rooms, shapes):
        assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert abs(report.files[0].samples / report.written - 0.8) < 0.08
    leaks = check_file(out / "a.train.jsonl", against=out / "a.test.jsonl").warnings
    assert not any("other file" in reason for reason in leaks)
    other = export(few, out / "b.jsonl", ExportRequest(split=(0.8, 0.1, 0.1), seed=seed))
    assert [one.sha256 for one in other.files] == [one.sha256 for one in report.files]


def test_what_cannot_be_split_says_so_and_is_not_written(store: Store, out: Path) -> None:
    Samples(store).insert_many([decision(number, room_id="one") for number in range(20)])
    with pytest.raises(ReasoningError, match="of 20 samples 20 belong together"):
        export(store, out / "a.jsonl", ExportRequest(split=(0.9, 0.1)))
    assert [one.name for one in out.iterdir()] == []
    Samples(store).insert_many([decision(number, room_id="two") for number in range(20, 25)])
    report = export(store, out / "a.jsonl", ExportRequest(split=(0.9, 0.1)))
    assert [one.samples for one in report.files] == [20, 5]
    assert report.largest_group == 0.8


@pytest.mark.parametrize("text", ["0.9", "0.9/0.2", "1/0", "a/b", "0.7/0.1/0.1/0.1", "nan/1", ""])
def test_what_is_no_split_is_a_mistake_on_the_command_line(text: str) -> None:
    with pytest.raises(UsageError, match="is not a split"):
        parse_split(text)


def test_splits_are_typed_as_shares_or_percent() -> None:
    assert parse_split("90/10") == parse_split("0.9/0.1") == (0.9, 0.1)


def test_balance_drops_the_surplus_alone(store: Store, out: Path) -> None:
    answers = [("IGNORE", IGNORE)] * 30 + [("RESPOND", RESPOND)] * 12 + [("STOP", IGNORE.replace("IGNORE", "STOP"))] * 2
    Samples(store).insert_many(
        [decision(number, decision=name, output=text) for number, (name, text) in enumerate(answers)]
    )
    report = export(store, out / "a.jsonl", ExportRequest(balance=True))
    assert report.files[0].decisions == {"should_respond": {"IGNORE": 12, "RESPOND": 12, "STOP": 2}}
    assert report.left_out == {"more of its decision than of the others": 18}


@pytest.mark.parametrize("fmt", ["jsonl", "json", "csv"])
def test_several_processes_write_what_one_writes(
    few: Store, out: Path, fmt: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reasoning_cli.operations.data.export.batches.BATCH", 100)
    monkeypatch.setattr("reasoning_cli.operations.data.export.run.WORTH_WORKERS", 1)
    for split in ((), (0.7, 0.3)):
        request = ExportRequest(rules=Rules(fmt, salt=SALT), dedupe="near", split=split)
        alone = export(few, out / f"a.{fmt}", request, workers=1)
        together = export(few, out / f"b.{fmt}", request, workers=3)
        assert [one.sha256 for one in alone.files] == [one.sha256 for one in together.files]
        assert (alone.left_out, alone.redactions, alone.tokens) == (
            together.left_out,
            together.redactions,
            together.tokens,
        )
        for one in together.files:
            assert one.path is not None
            content = one.path.read_bytes()
            assert (one.sha256, one.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    if fmt == "csv":
        with (out / "b.train.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == ["system", "prompt", "completion"]
        assert len(rows) - 1 == together.files[0].samples


def test_a_process_that_dies_ends_the_export_and_leaves_nothing(
    busy: tuple[Store, Generator], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = busy
    monkeypatch.setattr("reasoning_cli.operations.data.export.batches.BATCH", 50)
    monkeypatch.setattr("reasoning_cli.operations.data.export.run.WORTH_WORKERS", 1)
    begun: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def started(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        begun.append(start(*arguments, **options))  # type: ignore[call-overload]
        return begun[-1]

    monkeypatch.setattr(batches.subprocess, "Popen", started)

    def kill(done: int, total: int) -> None:
        begun[1].kill()  # also at a second batch, when it is dead: `os.kill` would raise an error of the system's

    with pytest.raises(DataError, match="ended before its time"):
        export(store, out / "a.jsonl", workers=2, on_progress=kill)
    assert list(out.iterdir()) == []
    assert all(one.poll() is not None for one in begun)


def test_no_room_for_the_file_leaves_none(busy: tuple[Store, Generator], out: Path) -> None:
    store, _ = busy
    code = f"""
import pickle, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from reasoning_cli.errors import DataError
from reasoning_cli.operations.data.export import run
from reasoning_cli.store.open import open_store
run.WORTH_WORKERS = 1
with open_store(pickle.loads(bytes.fromhex({spelt(store)!r}))) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    for workers in (1, 2):
        try:
            run.export_samples(store, Path({str(out / "a.jsonl")!r}), run.ExportRequest(),
                                     now=datetime.now(UTC), workers=workers)
        except DataError as error:
            print(error.message, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.count("cannot write") == 2
    assert done.stdout.count("nothing was written") == 2
    assert list(out.iterdir()) == []


def test_the_manifest_tells_all_and_stands_beside(busy: tuple[Store, Generator], out: Path) -> None:
    store, _ = busy
    wanted = SampleFilter(("planning",), since=NOW - timedelta(days=30), agent="Nova")
    request = ExportRequest(wanted, Rules(salt=SALT), dedupe="near", split=(0.8, 0.2), seed=5)
    report = export(store, out / "a.jsonl", request)
    assert report.manifest == out / "a.jsonl.manifest.json"
    manifest = json.loads((out / "a.jsonl.manifest.json").read_text())
    assert manifest["filters"] == {"model_types": ["planning"], "since": "2026-10-22T12:00:00.000Z", "agent": "Nova"}
    assert (manifest["seed"], manifest["dedupe"], manifest["split"]) == (5, "near", [0.8, 0.2])
    assert manifest["matching"] == manifest["samples"] + sum(manifest["left_out"].values())
    assert manifest["redaction"]["counts"] == report.redactions
    assert SALT not in json.dumps(manifest)
    for told, one in zip(manifest["files"], report.files, strict=True):
        assert one.path is not None
        assert told["path"] == one.path.name
        assert told["sha256"] == hashlib.sha256(one.path.read_bytes()).hexdigest()
        assert told["samples"] == len(lines(one.path))
    assert sorted(one.name for one in out.iterdir()) == [
        "a.jsonl.manifest.json",
        "a.train.jsonl",
        "a.validation.jsonl",
    ]


def test_each_sample_can_be_told_where_it_went(store: Store, out: Path) -> None:
    Samples(store).insert_many([decision(number, room_id=f"room {number}") for number in range(40)])
    report = export(store, out / "a.jsonl", ExportRequest(split=(0.5, 0.5)))
    number_of = {row["prompt"]: row["seq"] for row in store.rows("SELECT prompt, seq FROM samples")}
    held = {record.path: numbers for record, numbers in exports_holding(store, sorted(number_of.values()))}
    for one in report.files:
        assert one.path is not None
        assert held[str(one.path)] == sorted(number_of[prompt] for prompt in prompts(one.path))
    assert exports_holding(store, [9999]) == []


@given(st.lists(st.tuples(st.integers(0, 500), st.lists(st.booleans(), max_size=60))))
def test_numbers_marked_by_flags_are_those_put_in_one_by_one(runs: list[tuple[int, list[bool]]]) -> None:
    marked, updated = NumberSet(7), NumberSet(7)
    for begin, flags in runs:
        marked.mark(7 + begin, bytes(flags))
        updated.update(7 + begin + place for place, flag in enumerate(flags) if flag)
    assert list(NumberSet.unpacked(marked.packed())) == list(updated)


@given(st.sets(st.integers(5, 100_000)))
def test_a_set_of_numbers_comes_back_as_it_was_stored(numbers: set[int]) -> None:
    one = NumberSet(5)
    one.update(numbers)
    back = NumberSet.unpacked(one.packed())
    assert list(back) == sorted(numbers)
    assert all(number in back for number in numbers)
    assert 4 not in back


def test_a_dry_run_tells_the_same_and_writes_nothing(busy: tuple[Store, Generator], out: Path) -> None:
    store, _ = busy
    before = store.number("SELECT count(*) FROM exports")
    request = ExportRequest(dedupe="exact", split=(0.9, 0.1))
    dry = export(store, out / "a.jsonl", request, dry_run=True)
    assert list(out.iterdir()) == []
    assert store.number("SELECT count(*) FROM exports") == before
    real = export(store, out / "a.jsonl", request)
    assert (dry.written, dry.left_out, dry.tokens) == (real.written, real.left_out, real.tokens)
    assert [one.samples for one in dry.files] == [one.samples for one in real.files]


def test_the_database_a_folder_and_a_pipe_are_no_files_to_write(store: Store, out: Path) -> None:
    Samples(store).insert_many([decision(1)])
    store.path.parent.mkdir(exist_ok=True)
    store.path.touch()  # what is there of a store in a file is refused for one elsewhere, too
    for name in ("reasoning.db", "reasoning.db-wal"):
        with pytest.raises(DataError, match="is the database"):
            export(store, store.path.with_name(name))
    link = out / "link.jsonl"
    link.symlink_to(store.path)
    with pytest.raises(DataError, match="is the database"):
        export(store, link)
    os.mkfifo(out / "pipe")
    with pytest.raises(DataError, match="not a regular file") as refused:
        export(store, out / "pipe")
    assert "-o -" in (refused.value.hint or "")
    (out / "a.train.jsonl").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        export(store, out / "a.jsonl", ExportRequest(split=(0.5, 0.5)))
    assert Samples(store).count() == 1


def test_the_seed_gives_the_same_placeholders_in_one_database_only(tmp_path: Path, store: Store) -> None:
    assert seeded_salt(store, 1) == seeded_salt(store, 1) != seeded_salt(store, 2)
    with open_store(tmp_path / "other.db") as other:
        assert seeded_salt(other, 1) != seeded_salt(store, 1)


def test_parquet_holds_the_same_samples(busy: tuple[Store, Generator], out: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    store, _ = busy
    for preference, label in ((False, None), (True, "corrected")):
        request = ExportRequest(SampleFilter(limit=500, label=label), Rules("parquet", preference=preference))
        report = export(store, out / "a.parquet", request)
        export(store, out / "a.jsonl", replace(request, rules=replace(request.rules, fmt="jsonl")))
        assert parquet.read_table(out / "a.parquet").to_pylist() == lines(out / "a.jsonl")
        assert report.files[0].size_bytes == (out / "a.parquet").stat().st_size


def test_the_vendors_own_check_and_ours_take_every_file(few: Store, out: Path) -> None:
    from together.lib.utils.files import check_file as vendors_check

    for name, request in {
        "plain": ExportRequest(),
        "compact": ExportRequest(rules=Rules(forms=dict.fromkeys(EXAMPLES, "compact"))),
        "split": ExportRequest(rules=Rules(salt=SALT, redact_names=True), split=(0.8, 0.1, 0.1)),
        "dpo": ExportRequest(SampleFilter(label="corrected"), Rules(preference=True)),
    }.items():
        for one in export(few, out / f"{name}.jsonl", request).files:
            assert one.path is not None
            told = vendors_check(one.path)
            assert told["is_check_passed"], told
            assert told["num_samples"] == one.samples
            assert check_file(one.path).accepted


def test_the_json_loader_of_datasets_takes_every_file(busy: tuple[Store, Generator], out: Path) -> None:
    datasets = pytest.importorskip("datasets")
    store, _ = busy
    report = export(store, out / "a.jsonl", ExportRequest(split=(0.8, 0.2)))
    for one in report.files:
        loaded = datasets.load_dataset("json", data_files=str(one.path), cache_dir=str(out / "cache"))["train"]
        assert loaded.column_names == ["messages"]
        assert loaded.num_rows == one.samples


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
_said = _text.map(str.strip).filter(bool)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["should_respond", "planning", "coding"]),
    said=_said,
    reason=_said,
    compacted=st.booleans(),
    system=st.none() | _said,
)
def test_any_decision_comes_back_from_an_export_as_it_was(
    out: Path, kind: str, said: str, reason: str, compacted: bool, system: str | None
) -> None:
    from reasoning_cli.decisions.answers import (
        CodingAnswer,
        InvalidAnswer,
        PlanningAnswer,
        ShouldRespondAnswer,
        render_answer,
    )

    answer = {
        "should_respond": ShouldRespondAnswer("Nova", reason, "RESPOND"),
        "planning": PlanningAnswer(reason, ("REPLY",), (), said),
        "coding": CodingAnswer(f"{reason}\n```python\nx\n```", reason, "x", "python"),
    }[kind]
    prompt = EXAMPLES[kind].replace("what can you help me with?", said)
    output = render_answer(answer)
    read = read_answer(kind, prompt, output)
    if isinstance(read, InvalidAnswer) or not prompt.strip():
        return
    with open_store(out / f"{os.urandom(8).hex()}.db") as store:
        Samples(store).insert_many(
            [decision(1, model_type=kind, prompt=prompt, output=output, decision="x", system=system)]
        )
        file = out / "round.jsonl"
        forms = dict.fromkeys(EXAMPLES, "compact" if compacted else "exact")
        export(store, file, ExportRequest(rules=Rules(forms=forms)))
    [line] = lines(file)
    back = read_chat(line, kind, NOW)
    assert isinstance(back, Sample)
    assert (back.model_type, back.system) == (kind, system)
    assert read_answer(kind, back.prompt, back.output) == read
    if not compacted:
        assert back.prompt == prompt


def test_facts_of_batches_add_up() -> None:
    one = Facts([SideFacts(1, 2, 3, {"a": 1})], {"x": 1}, {}, 5, 9, 4)
    one.add(Facts([SideFacts(1, 1, 1, {"a": 2, "b": 1})], {"x": 2}, {"email": 1}, 3, 4, 7))
    assert one == Facts([SideFacts(2, 3, 4, {"a": 3, "b": 1})], {"x": 3}, {"email": 1}, 3, 9, 7)
