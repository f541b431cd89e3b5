"""An export of archives has the lines that the same export of one log has, to the last byte, whoever writes it."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reasoning_cli.decisions.answers import PlanningAnswer, ShouldRespondAnswer, render_answer
from reasoning_cli.errors import DataError, NotFoundError, ReasoningError, UsageError
from reasoning_cli.operations.data.archive.place import OutOfReachError
from reasoning_cli.operations.data.archive.run import plan_archive, run_archive
from reasoning_cli.operations.data.export import archived, engines
from reasoning_cli.operations.data.export.archived import export_archived, open_sources
from reasoning_cli.operations.data.export.archived_stats import archived_statistics
from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.operations.data.export.run import ExportReport, ExportRequest, export_samples
from reasoning_cli.operations.data.stats import sample_statistics
from reasoning_cli.operations.evaluate.drawn import draw_dataset
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.exports import exports_holding
from reasoning_cli.store.samples.gathered import GatheredSamples
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from tests.object_storage import BUCKET, object_storage
from tests.stores import shared_place

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("duckdb")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SALT = "00" * 16
COUNT = 900


def samples() -> list[Sample]:
    """Decisions of twelve days and all types: copies, near-copies, labels, rooms, tools, some unusable."""
    drawn = random.Random(5)
    made = []
    for number in range(COUNT):
        kind = drawn.choice(["should_respond", "should_respond", "planning", "coding"])
        decision: str | None = drawn.choice(["RESPOND", "RESPOND", "RESPOND", "IGNORE", "STOP"])
        same = drawn.randrange(400)
        words = "".join(chr(97 + int(digit)) for digit in str(same))  # digits alone make no other prompt
        output = render_answer(ShouldRespondAnswer("Nova", "it asks\n<b>", str(decision)))
        if kind == "planning":
            output, decision = render_answer(PlanningAnswer("thinks", ("REPLY",), (), "says")), "REPLY"
        elif kind == "coding":
            output, decision = f"```python\nprint({same})\n```", "code"
        if drawn.random() < 0.05:
            output, decision = "no answer at all", None
        label = drawn.choice([None] * 12 + ["good", "bad", "corrected"])
        talk = {"messages": [{"role": "user", "content": "hi"}], "tools": []}
        made.append(
            Sample(
                f"s-{number}",
                NOW - timedelta(days=drawn.randrange(2, 14), seconds=drawn.randrange(3000)),
                kind,
                "m",
                drawn.choice(["original", "slot"]),
                "test",
                f"prompt {words} “日本” of a@example.com at {drawn.choice(['10:00', '11:30'])}",
                output,
                system=drawn.choice([None, "Be kind."]),
                decision=decision,
                agent_name=drawn.choice(["Nova", "Søren"]),
                room_id=drawn.choice([None, f"room-{same % 40}"]),
                label=label,
                corrected=render_answer(ShouldRespondAnswer("Nova", "better", "IGNORE"))
                if label == "corrected" and kind == "should_respond"
                else None,
                confidence=drawn.choice([None, 0.2, 0.9]),
                conversation=json.dumps(talk) if kind == "coding" and drawn.random() < 0.2 else None,
            )
        )
    return made


REQUESTS: dict[str, ExportRequest] = {
    "all": ExportRequest(rules=Rules(salt=SALT)),
    "plain": ExportRequest(),
    "near": ExportRequest(rules=Rules(salt=SALT), dedupe="near"),
    "exact, split": ExportRequest(dedupe="exact", split=(0.8, 0.1, 0.1), seed=3),
    "balance, split": ExportRequest(
        wanted=SampleFilter(model_types=("should_respond",)), balance=True, split=(0.9, 0.1), seed=8
    ),
    "preferences": ExportRequest(wanted=SampleFilter(label="corrected"), rules=Rules(preference=True)),
    "for others": ExportRequest(rules=Rules(trainer="trl", forms={"planning": "compact"})),
    "newest": ExportRequest(wanted=SampleFilter(limit=200, agent="Søren"), dedupe="exact"),
    "days": ExportRequest(
        wanted=SampleFilter(since=NOW - timedelta(days=10), until=NOW - timedelta(days=4), source="slot")
    ),
    "room": ExportRequest(wanted=SampleFilter(room="room-3", min_confidence=0.1)),
    "short": ExportRequest(rules=Rules(max_tokens={"coding": 60, "planning": 70, "should_respond": 70})),
}


def lines_of(folder: Path) -> dict[str, list[str]]:
    """The hashes of all lines, by side."""
    found: dict[str, list[str]] = {}
    for path in folder.glob("*.jsonl"):
        side = next((name for name in ("train", "validation", "test") if name in path.name), "all")
        found.setdefault(side, []).extend(sha256(line).hexdigest() for line in path.read_bytes().splitlines())
    return {side: sorted(lines) for side, lines in sorted(found.items())}


def export(
    store: Store, sources: list[str], target: Path | str, request: ExportRequest, **options: Any
) -> ExportReport:
    return export_archived(store, open_sources(store, sources), str(target), request, now=NOW, **options)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[tuple[Path, Path]]:
    """A log that holds all; and one whose older half is in an archive alone, a part of it in both, changed since."""
    folder = tmp_path_factory.mktemp("archived")
    places = [shared_place(request, folder / name) for name in ("whole.db", "half.db")]
    with open_store(places[0]) as whole, open_store(places[1]) as half:
        for store in (whole, half):
            Samples(store).insert_many(samples())
        run_archive(half, plan_archive(half, NOW, 6, folder / "archive"), NOW, delete=False)
        half.write(
            "DELETE FROM samples WHERE seq % 3 > 0 AND created_at < ?", (int((NOW.timestamp() - 6 * 86400) * 1000),)
        )
        for store in (whole, half):
            store.write("UPDATE samples SET label = 'bad' WHERE seq = 3")
        run_archive(whole, plan_archive(whole, NOW, 1, folder / "everything"), NOW)
    return folder, folder / "archive"


@pytest.fixture
def whole(town: tuple[Path, Path]) -> Iterator[Store]:
    with open_store(town[0] / "whole.db") as store:
        yield store


@pytest.fixture(scope="module")
def expected(town: tuple[Path, Path], request: pytest.FixtureRequest) -> dict[str, dict[str, list[str]]]:
    """The lines of two exports of one log, in a file unless all are wanted elsewhere."""
    found = {}
    with open_store(shared_place(request, town[0] / "whole.db")) as store:
        for name in ("near", "exact, split"):
            folder = town[0] / f"expected {name}"
            folder.mkdir()
            export_samples(store, folder / "all.jsonl", REQUESTS[name], now=NOW)
            found[name] = lines_of(folder)
    return found


@pytest.mark.both_engines
def test_the_lines_are_the_same_whichever_engine_the_log_is_on(
    expected: dict[str, dict[str, list[str]]], tmp_path: Path
) -> None:
    with open_store(tmp_path / "reasoning.db") as store:
        Samples(store).insert_many(samples())
        store.write("UPDATE samples SET label = 'bad' WHERE seq = 3")
        run_archive(store, plan_archive(store, NOW, 6, tmp_path / "archive"), NOW, delete=True)
        assert 0 < Samples(store).count() < COUNT
        for name, lines in expected.items():
            export(store, [str(tmp_path / "archive"), "log"], tmp_path / name, REQUESTS[name])
            assert lines_of(tmp_path / name) == lines


@pytest.mark.filterwarnings("ignore")  # ray leaves files open
def test_the_lines_are_the_same_on_a_cluster(
    town: tuple[Path, Path],
    whole: Store,
    expected: dict[str, dict[str, list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray", reason="a cluster is tested with ray: `pip install 'reasoning[ray]'`")
    with cluster() as address:
        for name, lines in expected.items():
            export(whole, [str(town[0] / "everything")], tmp_path / name, REQUESTS[name], engine=address)
            assert lines_of(tmp_path / name) == lines
        torn = tmp_path / "torn"
        shutil.copytree(town[1], torn)
        [first, *_] = sorted(torn.rglob("*.parquet"))
        first.write_bytes(first.read_bytes()[:4] + b"\0" + first.read_bytes()[5:])
        with pytest.raises(DataError, match=f"the partition `{first.relative_to(torn).as_posix()}`"):
            export(whole, [str(torn)], tmp_path / "out", REQUESTS["plain"], engine=address)
    monkeypatch.setattr(engines, "_STARTS_WITHIN", 0.0)
    doing: list[str] = []
    with pytest.raises(OutOfReachError, match=r"ray://127\.0\.0\.1:1` cannot be used: connection refused") as refused:
        export(
            whole,
            [str(town[1])],
            tmp_path / "out",
            REQUESTS["plain"],
            engine="ray://127.0.0.1:1",
            on_progress=lambda what, *_: doing.append(what),
        )
    assert "`ray start --head`" in str(refused.value.hint)
    assert doing == ["waiting for the cluster at ray://127.0.0.1:1"]  # before anything is gathered


def test_a_cluster_that_is_just_starting_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """First nobody listens, then the client server gives up starting a server for this client; another version is
    not waited for."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    listening: list[socket.socket] = []
    answers: list[Exception | None] = []
    asked: list[str] = []

    def init(address: str, **_: object) -> None:
        asked.append(address)
        if (answer := answers.pop(0)) is not None:
            raise answer

    def comes_up() -> None:
        waited.append(len(asked))
        if len(waited) == 3:
            listening.append(socket.create_server(("127.0.0.1", port)))

    ray = SimpleNamespace(init=init, shutdown=lambda: asked.append("shut down"))
    monkeypatch.setattr(engines, "import_module", lambda name: ray)
    monkeypatch.setattr(engines, "_ASK_AGAIN", 0.0)
    waited: list[int] = []
    address = f"ray://127.0.0.1:{port}"
    try:
        answers += [ConnectionError("ray client connection timeout"), ConnectionAbortedError("Starting failed"), None]
        with engines.connected(address, comes_up):
            assert (waited, asked) == ([0, 0, 0, 1, 2], [address] * 3)
        assert asked[-1] == "shut down"
        answers += [RuntimeError("Version mismatch: The cluster runs Ray 2.40")]
        with pytest.raises(OutOfReachError, match="Version mismatch"), engines.connected(address):
            pass
    finally:
        for server in listening:
            server.close()


@contextmanager
def cluster() -> Iterator[str]:
    """A cluster of two nodes on this host, by the address of its client server."""
    from ray.cluster_utils import Cluster

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    node = {"num_cpus": 1, "object_store_memory": 100_000_000}
    nodes = Cluster(
        initialize_head=True, head_node_args={**node, "include_dashboard": False, "ray_client_server_port": port}
    )
    try:
        nodes.add_node(**node)
        yield f"ray://127.0.0.1:{port}"
    finally:
        nodes.shutdown()


@pytest.mark.parametrize("name", REQUESTS)
def test_the_lines_are_those_of_one_log(town: tuple[Path, Path], whole: Store, tmp_path: Path, name: str) -> None:
    request = REQUESTS[name]
    (tmp_path / "log").mkdir()
    of_log = export_samples(whole, tmp_path / "log" / "all.jsonl", request, now=NOW)
    expected = lines_of(tmp_path / "log")
    assert sum(map(len, expected.values())) > 2
    of_archive = export(whole, [str(town[0] / "everything")], tmp_path / "archive", request)
    assert lines_of(tmp_path / "archive") == expected
    with open_store(town[0] / "half.db") as half:
        of_both = export(half, [str(town[1]), "log"], tmp_path / "both", request)
        if name == "all":
            alone = export(half, ["log"], tmp_path / "log alone", request)
            assert alone.written < of_both.written
    assert lines_of(tmp_path / "both") == expected
    for report in (of_archive, of_both):
        for what in (
            "written",
            "by_type",
            "left_out",
            "redactions",
            "tokens",
            "longest",
            "oldest",
            "newest",
            "largest_group",
        ):
            assert getattr(report, what) == getattr(of_log, what), what


def test_the_manifest_names_every_shard_and_nothing_else_is_there(
    town: tuple[Path, Path], whole: Store, tmp_path: Path
) -> None:
    done = export(whole, [str(town[0] / "everything")], tmp_path / "out", REQUESTS["exact, split"])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert sorted(shard["path"] for shard in manifest["shards"]) == sorted(done.shards)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"manifest.json", *done.shards}
    for shard in manifest["shards"]:
        content = (tmp_path / "out" / shard["path"]).read_bytes()
        assert (sha256(content).hexdigest(), len(content)) == (shard["sha256"], shard["size_bytes"])
    assert (manifest["matching"], manifest["samples"], manifest["sources"][0]["rows"]) == (COUNT, done.written, COUNT)
    with pytest.raises(DataError, match="holds a dataset already"):
        export(whole, [str(town[0] / "everything")], tmp_path / "out", REQUESTS["plain"])
    own = {"train-mine.jsonl", "test-cases.jsonl", "samples-2025.jsonl"}  # somebody else's files, named much alike
    for name in own:
        (tmp_path / "out" / name).write_text("{}")
    again = export(whole, [str(town[0] / "everything")], tmp_path / "out", REQUESTS["plain"], overwrite=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"manifest.json", *again.shards, *own}
    # Of which samples each shard is stays known, so that what is to be forgotten can be found.
    seq = whole.number(
        "SELECT max(seq) FROM samples WHERE model_type = 'planning' AND decision = 'REPLY' AND label IS NULL"
    )
    assert any(record.path.startswith(str(tmp_path / "out")) for record, _ in exports_holding(whole, [seq]))


def test_an_export_that_was_cut_off_goes_on_with_what_is_missing(
    town: tuple[Path, Path], whole: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archived, "_SHARD_ROWS", 20)
    request = replace(REQUESTS["near"], rules=Rules(salt=SALT), seeded=False)
    render, done = engines.render_shard, []

    def cut_off(job: Any) -> Any:
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(job.number)
        return render(job)

    source = [str(town[0] / "everything")]
    with monkeypatch.context() as cut:
        cut.setattr(engines, "render_shard", cut_off)
        with pytest.raises(KeyboardInterrupt):
            export(whole, source, tmp_path / "out", request, workers=1)
    assert not (tmp_path / "out" / "manifest.json").exists()
    first = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.jsonl")}
    (tmp_path / "out" / ".export" / "00002.json").write_text("{torn")
    next((tmp_path / "out").glob("samples-00003-*")).unlink()  # noted as done, and lost since
    # By chance another key of placeholders; what was done already has the first.
    other = replace(request, rules=Rules(salt="11" * 16))
    report = export(whole, source, tmp_path / "out", other, workers=1)
    same = [name for name, at in first.items() if (tmp_path / "out" / name).stat().st_mtime_ns == at]
    assert (len(first), len(same)) == (5, 3)
    assert all((tmp_path / "out" / name).exists() for name in report.shards)
    export(whole, source, tmp_path / "at once", request)
    assert lines_of(tmp_path / "out") == lines_of(tmp_path / "at once")
    assert len(report.shards) > 8


def test_a_worker_that_is_killed_is_begun_again(
    town: tuple[Path, Path], whole: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archived, "_SHARD_ROWS", 300)
    pools = engines.ProcessPoolExecutor
    killed = []

    class Deadly(pools):  # type: ignore[misc, valid-type]
        def submit(self, *arguments: Any, **named: Any) -> Any:
            future = super().submit(*arguments, **named)
            if not killed:
                killed.extend(self._processes)
                os.kill(killed[0], signal.SIGKILL)
            return future

    monkeypatch.setattr(engines, "ProcessPoolExecutor", Deadly)
    export(whole, [str(town[0] / "everything")], tmp_path / "out", REQUESTS["all"], workers=2)
    monkeypatch.undo()
    export(whole, [str(town[0] / "everything")], tmp_path / "alone", REQUESTS["all"], workers=1)
    assert killed
    assert lines_of(tmp_path / "out") == lines_of(tmp_path / "alone")
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".part-")]


def test_who_renders_ends_at_once_at_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard may take a minute, and nobody waits for it."""
    monkeypatch.setattr(engines, "render_shard", time.sleep)

    def interrupted() -> Iterator[Any]:
        yield from (600, 600)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engines.rendered("local", interrupted(), workers=2))
    assert not multiprocessing.active_children()


_KILLED = """
import multiprocessing, os, signal, time
from reasoning_cli.operations.data.export import engines
def jobs():
    yield 600
    while not (found := multiprocessing.active_children()):
        time.sleep(0.01)
    yield 600
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    engines.render_shard = time.sleep
    list(engines.rendered("local", jobs(), workers=2))
"""


def test_who_renders_ends_where_who_asked_is_killed(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(_KILLED)
    # Its children hold the pipe as well, so it is closed when the last of them has ended.
    done = subprocess.run([sys.executable, tmp_path / "killed.py"], stdout=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.split()) == 2


def test_an_archive_of_another_log_is_exported_too(town: tuple[Path, Path], whole: Store, tmp_path: Path) -> None:
    """And what is going on is said from the first to the last."""
    said: list[tuple[str, int, int]] = []
    done = export(
        whole,
        [str(town[1])],
        tmp_path / "out",
        REQUESTS["exact, split"],
        on_progress=lambda doing, count, total: said.append((doing, count, total)),
    )
    with open_store(town[0] / "half.db") as half:
        export(half, [str(town[1])], tmp_path / "own", REQUESTS["exact, split"])
    assert lines_of(tmp_path / "out") == lines_of(tmp_path / "own")
    assert list(dict.fromkeys(doing for doing, _, _ in said)) == [archived.GATHERING, "choosing", archived.RENDERING]
    rendering = [(count, total) for doing, count, total in said if doing == archived.RENDERING]
    total = rendering[0][1]
    assert (rendering[0][0], rendering[-1][0]) == (0, total)
    assert total >= done.written


def test_no_room_to_sort_is_said(tmp_path: Path) -> None:
    with GatheredSamples(tmp_path) as gathered:
        list(gathered.rows("SET memory_limit = '20MB'"))
        list(gathered.rows("SET max_temp_directory_size = '1MB'"))
        with pytest.raises(DataError, match="samples could not be gathered") as full:
            list(gathered.rows("SELECT range, md5(range::varchar) FROM range(400000) ORDER BY 2"))
    assert "TMPDIR" in str(full.value.hint)


def test_a_partition_that_is_torn_or_edited_ends_it(town: tuple[Path, Path], whole: Store, tmp_path: Path) -> None:
    """Also one of which nothing would have been taken; no manifest is written then."""
    [first, *_] = sorted((town[1]).rglob("*.parquet"))
    name = first.relative_to(town[1]).as_posix()
    content = first.read_bytes()
    wanted = SampleFilter(decision="STOP", model_types=("should_respond",))
    try:
        for broken, request in (
            (content[:-10], REQUESTS["plain"]),
            (content[:4] + b"\0" + content[5:], REQUESTS["plain"]),
            (content[:4] + b"\0" + content[5:], ExportRequest(wanted=wanted)),
        ):
            first.write_bytes(broken)
            if "should_respond" not in name and request.wanted.model_types:
                continue
            with pytest.raises(DataError, match=f"the partition `{name}`"):
                export(whole, [str(town[1])], tmp_path / "out", request, workers=1)
            assert not (tmp_path / "out" / "manifest.json").exists()
    finally:
        first.write_bytes(content)


def test_a_partition_of_odd_values_ends_it(tmp_path: Path) -> None:
    """Its hash is the index's, and still nobody here wrote it."""
    talk = dict.fromkeys(("conversation", "metadata"), "{")
    odd: list[dict[str, Any]] = [{"seq": None}, {"seq": 0}, {"created_at": "soon"}, {"prompt": 5}, {"prompt": None}]
    odd += [{"id": None}, {"model_type": "planning"}, talk]
    with open_store(tmp_path / "log.db") as store:
        made = Sample("a", NOW - timedelta(days=9), "coding", "m", "original", "test", "hi", "```python\n1\n```")
        Samples(store).insert_many([made])
        run_archive(store, plan_archive(store, NOW, 5, tmp_path / "archive"), NOW)
        [path], index = (tmp_path / "archive").rglob("*.parquet"), tmp_path / "archive" / "index.json"
        # A key of placeholders that is damaged is made anew.
        (tmp_path / "out" / ".export").mkdir(parents=True)
        for content in ("{", "[]", '{"salt": 5}', '{"salt": "zz"}'):
            (tmp_path / "out" / ".export" / "state.json").write_text(content)
            export(store, [str(tmp_path / "archive")], tmp_path / "out", REQUESTS["all"], overwrite=True, workers=1)
            (tmp_path / "out" / ".export").mkdir(exist_ok=True)
        table, text = parquet.read_table(path, partitioning=None), index.read_text()
        for values in odd:
            changed = table
            for name, value in values.items():
                kind = table.schema.field(name).type if value is None else None
                changed = changed.set_column(table.column_names.index(name), name, pyarrow.array([value], kind))
            parquet.write_table(changed, path, compression="zstd")
            found = json.loads(text)
            found["partitions"][0] |= {
                "size_bytes": path.stat().st_size,
                "sha256": sha256(path.read_bytes()).hexdigest(),
            }
            index.write_text(json.dumps(found))
            with pytest.raises(DataError, match="the partition `type=coding"):
                export(store, [str(tmp_path / "archive")], tmp_path / "new", REQUESTS["plain"], workers=1)


def test_what_cannot_be_exported(town: tuple[Path, Path], whole: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no archive"):
        export(whole, [str(tmp_path / "nowhere")], tmp_path / "out", REQUESTS["all"])
    with pytest.raises(ReasoningError, match="no sample matches"):
        export(whole, [str(town[1])], tmp_path / "out", ExportRequest(wanted=SampleFilter(room="nobody's")))
    with pytest.raises(UsageError, match="is not an engine"):
        engines.parse_engine("spark://x")
    assert not (tmp_path / "out").exists()


def test_from_a_bucket_into_a_bucket(
    town: tuple[Path, Path], whole: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_storage() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        wanted = SampleFilter(since=NOW - timedelta(days=8))
        run_archive(whole, plan_archive(whole, NOW, 5, f"s3://{BUCKET}/log", model_types=["planning"]), NOW)
        request = ExportRequest(wanted=replace(wanted, model_types=("planning",)))
        done = export(whole, [f"s3://{BUCKET}/log"], f"s3://{BUCKET}/out", request, workers=1)
        place = archived.open_place(f"s3://{BUCKET}/out")
        assert set(place.sizes()) == {"manifest.json", *done.shards}
        (tmp_path / "back").mkdir()
        for name in done.shards:
            (tmp_path / "back" / name).write_bytes(place.read(name) or b"")
    export(
        whole,
        [str(town[0] / "everything")],
        tmp_path / "folder",
        replace(request, wanted=replace(request.wanted, until=NOW - timedelta(days=5))),
    )
    assert lines_of(tmp_path / "back") == lines_of(tmp_path / "folder")


@pytest.mark.parametrize("wanted", [SampleFilter(), SampleFilter(model_types=("planning",), agent="Nova")])
def test_the_statistics_are_those_of_one_log(town: tuple[Path, Path], whole: Store, wanted: SampleFilter) -> None:
    windows = {"planning": 30, "coding": 10, "should_respond": 1000}
    of_log = sample_statistics(whole, NOW, wanted=wanted, windows=windows)
    archives = open_sources(whole, [str(town[0] / "everything")])
    of_archive = archived_statistics(whole, archives, NOW, wanted=wanted, windows=windows, looked_at=50)
    with open_store(town[0] / "half.db") as half:
        both = open_sources(half, [str(town[1]), "log"])
        of_both = archived_statistics(half, both, NOW, wanted=wanted, windows=windows, looked_at=50)
    for found in (of_archive, of_both):
        assert replace(found.figures, size_bytes=0) == replace(of_log.figures, size_bytes=0)
        assert (found.quality, found.recommendations) == (of_log.quality, of_log.recommendations)
        assert (found.personal.looked_at, found.personal.kinds) == (50, {"email": 50})


def test_decisions_to_evaluate_on_are_drawn_by_lot(town: tuple[Path, Path], whole: Store, tmp_path: Path) -> None:
    def draw(count: int, seed: int) -> set[str]:
        path = draw_dataset(
            whole,
            tmp_path / "drawn",
            [str(town[0] / "everything")],
            SampleFilter(model_types=("should_respond",)),
            count=count,
            seed=seed,
            form="exact",
            now=NOW,
        )
        return set(path.read_text().splitlines())

    some, more, others = draw(40, 0), draw(80, 0), draw(40, 1)
    assert 30 < len(some) <= 40  # copies make the same line
    assert some < more and some != others
    made = sorted(path.stat().st_mtime_ns for path in (tmp_path / "drawn").rglob("*.jsonl"))
    assert draw(40, 0) == some
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "drawn").rglob("*.jsonl")) == made
