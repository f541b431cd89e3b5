"""Decisions are listed, shown, searched and labelled as a person and as a script need it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.labels import Labels
from reasoning_cli.store.samples.search import Search
from reasoning_cli.store.samples.training_log import Samples
from tests.commands.data.test_review import ANSWERS, decision
from tests.conftest import Run

pytestmark = pytest.mark.both_engines

FIRST = "0001-decision"


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("TZ", "UTC")
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many(
            [
                decision(1, latency_ms=412, prompt_tokens=3120, completion_tokens=45, cost_micros=3100, room_id="r-1"),
                decision(2, "planning", source="slot"),
                decision(3, output="no idea", decision=None, agent_name="Atlas", label="bad"),
            ]
        )
        yield store


def label_of(store: Store, number: int = 1) -> str | None:
    sample = Samples(store).get(f"{number:04}-decision")
    assert sample is not None
    return sample.label


def test_a_listing_shows_the_newest_first_and_where_to_go_on(store: Store, reasoning: Run) -> None:
    done = reasoning("data", "list", "--limit", "2")
    assert done.stdout.splitlines() == [
        "ID        AT                TYPE            DECISION  LABEL  AGENT  BY        MESSAGE",
        "0001-dec  2026-11-20 11:59  should-respond  RESPOND   –      Nova   original  Alice: message 1",
        "0002-dec  2026-11-20 11:58  planning        REPLY     –      Nova   slot      Alice: message 2",
    ]
    assert done.stderr == "There are more: add --after 0002-dec, or a higher --limit\n"
    rest = reasoning("data", "list", "--after", "0002-dec", "-q")
    assert (rest.stdout, rest.stderr) == ("0003-decision\n", "")


def test_a_listing_tells_what_each_is_about_however_long_or_without_a_message(store: Store, reasoning: Run) -> None:
    long = "".join(f"\nline {number} of a long text" for number in range(2000))
    without = "# Conversation Messages", "# Post Directions for Nova"
    post = (
        decision(5, "planning").prompt.split(without[0])[0]
        + f"{without[1]}\nBe kind.\n</providers>\n<output>…</output>"
    )
    code = "write this in Python: " + "x = 1\n" * 5000
    Samples(store).insert_many(
        [
            decision(4, "planning", long),
            decision(5, "planning", prompt=post),
            replace(decision(6), prompt=code, model_type="coding", output="```py\n```", decision="python"),
        ]
    )
    rows = {row["id"][:4]: row["message"] for row in json.loads(reasoning("data", "list", "--json").stdout)}
    assert rows["0004"] == f"Alice: message 4{long}"
    assert rows["0005"] == "Generate dialog and actions for the character Nova."
    assert rows["0006"].startswith("write this in Python: ")
    assert "Generate dialog and actions" in reasoning("data", "show", "0005").stdout


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["-m", "planning"], [2]),
        (["--agent", "Atlas"], [3]),
        (["--source", "slot"], [2]),
        (["--label", "bad"], [3]),
        (["--label", "none"], [1, 2]),
        (["--decision", "RESPOND"], [1]),
        (["--room", "r-1"], [1]),
        (["--since", "2026-11-20T11:58:00Z"], [1, 2]),
        (["--until", "2026-11-20T11:58:00Z"], [3]),
        (["--agent", "nobody"], []),
    ],
)
def test_filters(store: Store, reasoning: Run, options: list[str], numbers: list[int]) -> None:
    done = reasoning("data", "list", "-q", *options)
    assert done.stdout.split() == [f"{number:04}-decision" for number in numbers]


def test_every_format_holds_the_same(store: Store, reasoning: Run) -> None:
    records = json.loads(reasoning("data", "list", "--json").stdout)
    assert [record["message"] for record in records] == [f"Alice: message {number}" for number in (1, 2, 3)]
    rows = list(csv.DictReader(io.StringIO(reasoning("data", "list", "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == [record["id"] for record in records]
    assert set(rows[0]) == set(records[0])


def test_a_decision_as_a_person_reads_it(store: Store, reasoning: Run) -> None:
    reasoning("data", "label", FIRST, "--decision", "ignore", "--annotator", "ada", "--note", "not for her")
    shown = reasoning("data", "show", "0001").stdout
    (at,) = {one.at for one in Labels(store).history(FIRST)}
    assert (
        shown
        == f"""\
should-respond  RESPOND
0001-decision
2026-11-20 11:59, Nova, room r-1
by TEXT_SMALL (original), 0.41 s, 3,120 + 45 tokens, $0.0031
label: corrected, set by ada, {at:%Y-%m-%d %H:%M}: not for her

Before
  11:59 Bob: before that

Message
  Alice: message 1

Answer
  action     RESPOND
  reasoning  Asked

Corrected
  action     IGNORE
  reasoning  The message is not for Nova.
"""
    )
    assert "DECISION" in reasoning("data", "list").stdout
    assert "RESPOND → IGNORE" in reasoning("data", "list").stdout


def test_an_answer_of_no_use_is_shown_as_it_was_and_raw_is_exact(store: Store, reasoning: Run) -> None:
    shown = reasoning("data", "show", "0003").stdout
    assert "Answer, of no use: no XML answer\n  no idea\n" in shown
    assert "should-respond  unreadable" in shown
    raw = reasoning("data", "show", "0003", "--raw").stdout
    sample = Samples(store).get("0003-decision")
    assert sample is not None
    assert f"--- prompt\n{sample.prompt}\n--- answer\nno idea\n" in raw


def test_decisions_for_machines(store: Store, reasoning: Run) -> None:
    (last,) = json.loads(reasoning("data", "show", "--last", "--json").stdout)
    assert (last["id"], last["message"]) == (FIRST, "Alice: message 1")
    assert last["answer"] == {"action": "RESPOND", "reasoning": "Asked"}
    assert "prompt" not in last
    both = json.loads(reasoning("data", "show", "0002", "0003", "--raw", "--json").stdout)
    assert [one["problem"] for one in both] == [None, "no XML answer"]
    assert "# Received Message" in both[0]["prompt"]


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["show"], 2, "which decision?"),
        (["show", "--last", "0001"], 2, "which decision?"),
        (["show", "000"], 2, "begins more than one id: 0001-decision, 0002-decision, 0003-decision"),
        (["show", "9"], 5, "no decision has the id `9`"),
        (["list", "--after", "9"], 5, "no decision has the id `9`"),
        (["list", "--label", "great"], 2, "is not a label"),
        (["search"], 2, "nothing to search for"),
        (["search", "?!"], 2, "holds no word"),
        (["search", "x", "--drop-index"], 2, "takes no words"),
        (["label"], 2, "which decision?"),
        (["label", "0001"], 2, "how should it be labelled?"),
        (["label", "0001", "--good", "--bad"], 2, "exclude each other"),
        (["label", "0001", "--answer", "hm"], 1, "could not use that should-respond answer: no XML answer"),
        (["label", "0001", "--decision", "REPLY"], 1, "none of RESPOND, IGNORE, STOP"),
        (["label", "0001", "--undo"], 1, "has no change to undo"),
        (["label", "0001", "9", "--good"], 5, "no decision has the id `9`"),
        (["label", "0001", "--good", "--from", "x.csv"], 2, "says itself"),
        (["label", "--from", "none.csv"], 5, "there is no file"),
        (["label", "0001", "--good", "--annotator", " "], 2, "--annotator needs a name"),
        (["labels", "9"], 5, "no decision has the id"),
    ],
)
def test_what_makes_no_sense_is_said(store: Store, reasoning: Run, arguments: list[str], code: int, why: str) -> None:
    done = reasoning("data", *arguments)
    assert done.exit_code == code, done.stderr
    assert why in done.stderr
    assert label_of(store) is None


def test_an_empty_log_says_so(reasoning: Run) -> None:
    assert reasoning("data", "list").stderr == "No decisions match.\n"
    assert reasoning("data", "show", "--last").exit_code == 5
    assert reasoning("data", "search", "x").stderr == "Nothing was found.\n"
    assert reasoning("data", "labels").stderr == "Nothing was labelled yet.\n"


def test_a_search_shows_the_words_around_each_hit(store: Store, reasoning: Run) -> None:
    done = reasoning("data", "search", "message", "2")
    assert done.stdout == ("0002-dec  2026-11-20 11:58  planning  REPLY\n    Alice: *message* *2*\n")
    coloured = reasoning("--color", "always", "data", "search", "ASKED").stdout
    assert "\x1b[1mAsked\x1b[0m" in coloured
    (record,) = json.loads(reasoning("data", "search", "hi", "--json").stdout)
    assert (record["id"], record["snippet"]) == (
        "0002-decision",
        "Say hi REPLY Hi".replace(" R", "\nR").replace(" Hi", "\nHi"),
    )
    assert reasoning("data", "search", "message", "-q", "--label", "bad").stdout == "0003-decision\n"
    more = reasoning("data", "search", "message", "--limit", "1")
    assert "There are more: add --after 0001-dec" in more.stderr
    assert "given back" in reasoning("data", "search", "--drop-index").stdout


def test_the_search_index_is_read_apart_and_what_it_holds_is_searched_meanwhile(
    store: Store, reasoning: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def index(what: str) -> dict[str, object]:
        return dict(json.loads(reasoning("data", "search", "--index", what, "--json").stdout))

    assert index("show") == {"made": False, "whole": False, "share": 0, "decisions": 3, "unread": 3}
    refused = reasoning("data", "search", "message", "--index", "as-is")
    assert (refused.exit_code, "there is no search index yet" in refused.stderr) == (1, True)
    monkeypatch.setattr("reasoning_cli.store.samples.search.BATCH", 1)
    monkeypatch.setattr("reasoning_cli.operations.data.search.BATCH", 1)
    search = Search(store)
    search.make()
    next(search.read(lambda *texts: (texts[1], texts[2])))  # broken off after one
    assert index("show") == {"made": True, "whole": False, "share": 0.3333, "decisions": 3, "unread": 2}
    found = reasoning("data", "search", "message", "--index", "as-is", "-q").stdout
    assert found == "0003-decision\n", "what was added last is read first, and more is not read by who searches"
    assert index("build") == {"made": True, "whole": True, "share": 1, "decisions": 3, "unread": 0}
    assert reasoning("data", "search", "--index", "show").stdout == "The search index holds 3 of 3 decisions.\n"
    every = reasoning("data", "search", "message", "--index", "as-is", "-q").stdout
    assert len(every.splitlines()) == 3
    monkeypatch.setattr("reasoning_cli.store.samples.search._NEWEST", 1)  # and what stands behind these is found
    assert reasoning("data", "search", "message", "-q").stdout == every
    assert reasoning("data", "search", "x", "--index", "build").exit_code == 2


def test_labels_from_a_script(store: Store, reasoning: Run, tmp_path: Path) -> None:
    assert reasoning("data", "label", "0001", "0002", "--good").stdout == "Labelled 2 decisions good.\n"
    again = reasoning("data", "label", "0001", "--good", "--json")
    assert json.loads(again.stdout) == [{"id": FIRST, "label": "good", "changed": False, "dry_run": False}]
    assert reasoning("data", "label", "0001", "--bad", "--dry-run").stdout == "Would label 1 decision bad.\n"
    assert label_of(store) == "good"
    reasoning("data", "label", "0001", "--none")
    assert label_of(store) is None
    better = ANSWERS["should_respond"].replace("RESPOND", "STOP")
    file = tmp_path / "better.xml"
    file.write_text(better)
    for answer, typed in ((better, None), (str(file), None), ("-", better)):
        reasoning("data", "label", "0001", "--good")
        assert reasoning("data", "label", "0001", "--answer", answer, input=typed).exit_code == 0
        assert label_of(store) == "corrected"
    assert reasoning("data", "label", "0001", "--undo").stdout == "Undone: 1 decision.\n"
    assert label_of(store) == "good"
    history = reasoning("data", "labels", "0001", "-q").stdout.split()
    assert history == [str(one.number) for one in Labels(store).history(FIRST)]
    table = reasoning("data", "labels", "--limit", "1").stdout.splitlines()
    assert table[0].split() == ["NO", "AT", "ID", "LABEL", "WAS", "BY", "UNDOES", "NOTE"]
    assert table[1].split()[3:6] == [FIRST, "good", "corrected"]


def test_labels_from_a_file_are_kept_and_what_is_wrong_is_explained(
    store: Store, reasoning: Run, tmp_path: Path
) -> None:
    table = tmp_path / "labels.csv"
    better = ANSWERS["should_respond"].replace("RESPOND", "STOP")
    table.write_text(
        f'\ufeffID,Label,Answer\n0001-decision,corrected,"{better}"\n0002-decision,good,\n0003-decision,BAD,\n'
        "9999,good,\n0001-decision,great,\n,good,\n0002-decision,corrected,\n0002-decision,good,x,y\n"
    )
    dry = reasoning("data", "label", "--from", table, "--dry-run")
    assert "Would label 2 decisions (1 corrected, 1 good); 1 had that label already." in dry.stdout
    assert label_of(store) is None
    done = reasoning("data", "label", "--from", table, "--annotator", "ada")
    assert done.exit_code == 1
    assert done.stdout == "Labelled 2 decisions (1 corrected, 1 good); 1 had that label already.\n"
    assert [line.partition(": ")[2] for line in done.stderr.splitlines()] == [
        "line 5 labels nothing: no decision has the id `9999`",
        "line 6 labels nothing: `great` is not a label",
        "line 7 labels nothing: no id",
        "line 8 labels nothing: labelled `corrected`, without an answer or decision",
        "line 9 labels nothing: more values than columns",
    ]
    assert [label_of(store, number) for number in (1, 2, 3)] == ["corrected", "good", "bad"]
    assert {one.by for one in Labels(store).history()} == {"ada"}
    lines = [{"id": "0001-decision", "decision": "IGNORE", "note": "n"}, {"id": 1, "label": "good"}, []]
    text = "\n".join([*(json.dumps(line) for line in lines), "{", ""])
    done = reasoning("data", "label", "--from", "-", "--json", input=text)
    report = json.loads(done.stdout)
    assert (report["changed"], report["bad"]) == ({"corrected": 1}, 3)
    assert [line["why"] for line in report["bad_lines"]] == ["`id` is not text", "no JSON object", "not JSON"]
    table.write_bytes(b"\xff\xfe" + "id,label\n0001-decision,none\n".encode("utf-16-le"))
    assert reasoning("data", "label", "--from", table).exit_code == 0
    assert label_of(store) is None
    table.write_text("number,label\n1,good\n")
    assert "does not name its columns" in reasoning("data", "label", "--from", table).stderr


def test_a_narrow_terminal_shows_what_matters(store: Store, reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for command in (["list"], ["show", "0001"], ["search", "message"]):
        assert max(map(len, reasoning("data", *command).stdout.splitlines())) <= 40
