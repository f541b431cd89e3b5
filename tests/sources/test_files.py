"""Files as they come: packed, in other encodings, as one document, grown, changed, cut, and never twice the same."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.errors import DataError, RemoteError
from reasoning_cli.gateway.log.recorded_call import read_exchange
from reasoning_cli.operations.data.ingest.pipeline import BATCH_ROWS, ImportReport, import_decisions
from reasoning_cli.sources import documents, files, rows
from reasoning_cli.sources.files import FileSource
from reasoning_cli.sources.rows import Position, Row
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests.operations.taking_in import import_file

ROWS = Path(__file__).parents[1] / "data" / "elizaos-logs.jsonl"
LINES = ROWS.read_text(encoding="utf-8").splitlines()
WHOLE = [json.loads(line) for line in LINES]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as store:
        yield store


def numbered(count: int, start: int = 0) -> str:
    return "".join(f"{json.dumps({**WHOLE[0], 'id': f'row-{n}'})}\n" for n in range(start, start + count))


def zstd(content: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    return bytes(zstandard.ZstdCompressor().compress(content))


FORMS: dict[str, Callable[[], bytes]] = {
    "lines": lambda: "\n".join(LINES).encode(),
    "UTF-8 with a mark": lambda: b"\xef\xbb\xbf" + "\r\n".join(LINES).encode(),
    "UTF-16": lambda: "\n".join(LINES).encode("utf-16"),
    "UTF-16, the other end first": lambda: b"\xfe\xff" + "\n".join(LINES).encode("utf-16-be"),
    "gzip": lambda: gzip.compress("\n".join(LINES).encode()),
    "gzip of UTF-16": lambda: gzip.compress("\n".join(LINES).encode("utf-16")),
    "gzip in two parts": lambda: gzip.compress(f"{LINES[0]}\n".encode()) + gzip.compress("\n".join(LINES[1:]).encode()),
    "zstd": lambda: zstd("\n".join(LINES).encode()),
    "an array": lambda: json.dumps(WHOLE).encode(),
    "an array for people": lambda: json.dumps(WHOLE, indent=2).encode(),
    "a server's answer": lambda: json.dumps({"success": True, "data": WHOLE}).encode(),
    "a server's answer for people": lambda: json.dumps({"success": True, "data": WHOLE}, indent=2).encode(),
    "an object with a list deep in it": lambda: json.dumps({"data": {"logs": WHOLE}}).encode(),
    "objects for people": lambda: "\n".join(json.dumps(row, indent=2) for row in WHOLE).encode(),
    "a packed array": lambda: gzip.compress(json.dumps(WHOLE).encode()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
def test_whatever_form_the_rows_are_in_they_are_the_same(store: Store, tmp_path: Path, form: str, piped: bool) -> None:
    content = FORMS[form]()
    path = tmp_path / "rows.txt"  # the name says nothing
    path.write_bytes(content)
    report = import_file(io.BytesIO(content) if piped else path, store)
    assert (report.read, report.added, report.bad) == (21, 11, 0)


@pytest.mark.parametrize("form", ["lines", "UTF-8 with a mark", "UTF-16", "gzip", "zstd"])
def test_a_file_that_grew_is_gone_on_with_at_its_end(store: Store, tmp_path: Path, form: str) -> None:
    as_form = {
        "lines": str.encode,
        "UTF-8 with a mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
        "UTF-16": lambda text: text.encode("utf-16"),
        "gzip": lambda text: gzip.compress(text.encode()),
        "zstd": lambda text: zstd(text.encode()),
    }[form]
    path = tmp_path / "rows"
    path.write_bytes(as_form(numbered(40)))
    assert import_file(path, store).added == 40
    path.write_bytes(as_form(numbered(43)))
    report = import_file(path, store)
    assert (report.read, report.added, report.went_on) == (3, 3, True)
    assert import_file(path, store).read == 0
    assert import_file(path, store, again=True).read == 43


def test_a_line_that_is_being_written_is_left_for_the_next_time(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    whole = numbered(3)
    path.write_text(whole[:-40])
    first = import_file(path, store)
    assert (first.added, first.bad, first.bad_lines[0].why) == (2, 1, "not JSON, and cut off at the end of the file")
    path.write_text(whole)
    assert (import_file(path, store).added, Samples(store).count()) == (1, 3)
    with path.open("a") as more:  # a last line without its end is whole when it parses
        more.write(numbered(1, start=3).rstrip("\n"))
    assert import_file(path, store).added == 1
    with path.open("a") as more:
        more.write("\n" + numbered(1, start=4))
    assert import_file(path, store).read == 1


def test_another_file_of_the_same_name_is_read_from_its_start(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(numbered(40))
    import_file(path, store)
    path.write_text(numbered(60, start=100))
    report = import_file(path, store)
    assert (report.read, report.added, report.went_on) == (60, 60, False)
    path.write_text(numbered(5, start=100))  # shorter than it was
    assert (import_file(path, store).read, Samples(store).count()) == (5, 100)


def test_another_choice_of_rows_has_a_place_of_its_own(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(numbered(10))
    assert import_file(path, store, agent="nobody").skipped == {"of another agent": 10}
    since = datetime(2026, 10, 1, 12, 0, 1, tzinfo=UTC)
    assert import_file(path, store, since=since).skipped == {"before --since": 10}
    assert import_file(path, store, since=since - timedelta(seconds=2), limit=4).added == 4
    assert import_file(path, store, since=since - timedelta(seconds=2)).added == 6
    assert import_file(path, store).already_there == 10


def test_a_limit_is_gone_on_behind(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(numbered(BATCH_ROWS + 20))
    reports = [import_file(path, store, limit=400) for _ in range(3)]
    assert [(report.added, report.read) for report in reports] == [(400, 400), (120, 120), (0, 0)]


def test_a_dry_run_counts_and_keeps_nothing(store: Store, tmp_path: Path) -> None:
    path, rejects = tmp_path / "rows.jsonl", tmp_path / "rejects.jsonl"
    path.write_text(numbered(10) + "broken\n" + numbered(2, start=10))
    dry = import_file(path, store, dry_run=True, rejects=rejects)
    assert (dry.added, dry.bad, dry.rejects, Samples(store).count()) == (12, 1, None, 0)
    assert not rejects.exists()
    assert import_file(path, store, rejects=rejects).added == 12
    assert import_file(path, store, dry_run=True, again=True).already_there == 12


def test_strict_stops_at_the_first_bad_line_and_comes_by_it_again(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(numbered(3) + "broken\n" + numbered(2, start=3))
    for _ in range(2):
        with pytest.raises(DataError, match="line 4 cannot be read: not JSON"):
            import_file(path, store, strict=True)
        assert Samples(store).count() == 3


def test_bad_lines_are_kept_as_they_were(store: Store, tmp_path: Path) -> None:
    path, rejects = tmp_path / "rows.jsonl", tmp_path / "aside" / "rejects.jsonl"
    latin = LINES[0].replace("are you there", "où es-tu").encode("latin-1")
    half = LINES[1].encode().replace(b"lunch", b"lunch \\ud800")
    path.write_bytes(b"\n".join([LINES[2].encode(), latin, half, b'{"a": 1}']) + b"\n")
    report = import_file(path, store, rejects=rejects)
    assert (report.added, report.bad, report.rejects) == (1, 3, rejects)
    assert dict(report.bad_by_why) == {
        "not UTF-8": 1,
        "holds half a Unicode character": 1,
        "no row of ElizaOS's `logs`, no recorded request, no chat line": 1,
    }
    assert (rejects.stat().st_mode & 0o777, rejects.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    kept = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [sorted(one) for one in kept] == [
        ["line", "raw_base64", "why"],
        ["line", "raw", "why"],
        ["line", "raw", "why"],
    ]
    assert kept[2] == {
        "line": 4,
        "why": "no row of ElizaOS's `logs`, no recorded request, no chat line",
        "raw": '{"a": 1}',
    }


@pytest.mark.parametrize(
    ("content", "read", "why"),
    [
        (json.dumps(WHOLE[:3]).encode()[:-30], 2, "not JSON from here on"),
        (b"[" + LINES[0].encode() + b" " + LINES[1].encode() + b"]", 1, "`,` is missing"),
        (b'{"data": [' + LINES[0].encode() + b', {"a": \xff}]}', 0, "not UTF-8"),
    ],
    ids=["cut", "no comma", "not UTF-8"],
)
def test_a_document_that_breaks_off_gives_what_stands_before(
    store: Store, tmp_path: Path, content: bytes, read: int, why: str
) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    if not read:
        with pytest.raises(Exception, match=why):
            import_file(path, store)
        return
    report = import_file(path, store)
    assert (report.added, report.bad) == (read, 1)
    assert why in report.bad_lines[0].why


def test_a_damaged_archive_gives_what_can_be_unpacked(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    packed = gzip.compress(numbered(BATCH_ROWS * 3).encode())
    path.write_bytes(packed[: len(packed) * 2 // 3])
    with pytest.raises(DataError, match="is damaged"):
        import_file(path, store)
    assert Samples(store).count() >= BATCH_ROWS
    path.write_bytes(packed)
    assert import_file(path, store).went_on
    assert Samples(store).count() == BATCH_ROWS * 3


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
@pytest.mark.parametrize("form", ["lines", "document", "UTF-16"])
def test_all_that_stands_before_the_damage_is_stored(store: Store, tmp_path: Path, form: str, packer: str) -> None:
    """Of a small log as well, which is one piece to whoever reads in large ones."""
    path, count = tmp_path / "rows", 50
    text = numbered(count) if form != "document" else "[" + ",".join(numbered(count).splitlines()) + "]"
    content = text.encode("utf-16" if form == "UTF-16" else "utf-8")
    no_frame = b"\x28\xb5\x2f\xfd" + b"\xff" * 100
    path.write_bytes(gzip.compress(content)[:-8] if packer == "gzip" else zstd(content) + no_frame)
    with pytest.raises(DataError, match="is damaged") as raised:
        import_file(path, store)
    assert raised.value.hint == "what was read before that is stored"
    assert Samples(store).count() == count


def test_what_a_server_sent_before_it_broke_off_is_stored(store: Store) -> None:
    class Broken(FileSource):
        def rows(self, after: Position | None = None) -> Generator[Row, None, None]:
            yield from super().rows(after)
            raise RemoteError("cannot read it: the connection is closed", "what was read before that is stored")

    with pytest.raises(RemoteError):
        import_decisions(Broken(io.BytesIO(numbered(3).encode())), store, read_exchange=read_exchange)
    assert Samples(store).count() == 3


def test_a_row_of_twenty_megabytes_is_read_in_both_forms(store: Store, tmp_path: Path) -> None:
    big: dict[str, Any] = {**WHOLE[3], "id": "big", "body": {**WHOLE[3]["body"], "params": {}}}
    big["body"]["prompt"] = str(big["body"]["prompt"]).replace("Hi!", "Hi! " + "na " * 7_000_000)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([big, WHOLE[0]]), encoding="utf-8")
    assert import_file(path, store).added == 2
    path.write_text(json.dumps({**big, "id": "big-2"}) + "\n", encoding="utf-8")
    assert import_file(path, store).added == 1


def test_a_document_with_a_row_without_end_is_given_up(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_ROW_BYTES", 10_000)
    monkeypatch.setattr(documents, "_PIECE", 1000)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([WHOLE[0], {"a": "b" * 50_000}]))
    report = import_file(path, store)
    assert (report.added, report.bad_lines[0].why) == (1, "not JSON from here on: a row without end")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("as_lines", [False, True])
def test_a_row_of_a_million_values_is_not_made_of_them(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, as_lines: bool
) -> None:
    """Each takes three bytes of the text, a thousandth of one packed, and ninety in memory."""
    monkeypatch.setattr(rows, "MOST_VALUES", 50_000, raising=False)
    monkeypatch.setattr(documents, "_PIECE", 1000)
    many = '{"a": [' + "[]," * 200_000 + "[]]}"
    text = f"{json.dumps(WHOLE[0])}\n{many}\n" if as_lines else f"[{json.dumps(WHOLE[0])}, {many}]"
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    report = import_file(path, store)
    assert (report.added, report.bad) == (1, 1)
    assert "more values in one row than any has" in report.bad_lines[0].why


def test_progress_tells_how_much_of_the_file_is_read(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(numbered(BATCH_ROWS * 2 + 5))
    seen: list[ImportReport] = []
    import_file(path, store, on_progress=seen.append)
    assert [report.read for report in seen] == [BATCH_ROWS, BATCH_ROWS * 2, BATCH_ROWS * 2 + 5]
    assert seen[-1].done == seen[-1].total == path.stat().st_size
    assert seen[0].begun == 0
    path.write_text(path.read_text() + numbered(5, start=9000))
    seen.clear()
    import_file(path, store, on_progress=seen.append)
    assert 0 < seen[0].begun < seen[0].done == path.stat().st_size


def test_nothing_is_read_before_rows_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(numbered(1))
    source = FileSource(path)
    assert (source.position(), source.done, source.key) == (None, 0, f"file:{path}")
