"""`data check` refuses what Together refuses, and notices what Together does not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError, NotFoundError
from reasoning_cli.operations.data import parquet_pages
from reasoning_cli.operations.data.validate.file import FileCheck, check_file

USER = {"role": "user", "content": "Write a function that adds."}
ANSWER = {"role": "assistant", "content": "Sure."}
GOOD = {"messages": [USER, ANSWER]}


def check(tmp_path: Path, *lines: object, name: str = "a.jsonl", **options: object) -> FileCheck:
    file = tmp_path / name
    file.write_bytes(b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in lines))
    return check_file(file, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        (GOOD, "conversational"),
        (
            {"messages": [{"role": "system", "content": "s"}, USER, ANSWER, USER, ANSWER], "weight": 0.5},
            "conversational",
        ),
        ({"messages": [USER, {**ANSWER, "reasoning": "because"}]}, "reasoning"),
        (
            {
                "messages": [
                    USER,
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"id": "1", "function": {"name": "add", "arguments": "{}"}}],
                    },
                    {"role": "tool", "content": "3", "tool_call_id": "1"},
                    ANSWER,
                ],
                "tools": [{"type": "function", "function": {"name": "add"}}],
            },
            "tools",
        ),
        ({"prompt": "p", "completion": "c"}, "instruction"),
        ({"text": "t"}, "text"),
        (
            {
                "input": {"messages": [USER]},
                "preferred_output": [ANSWER],
                "non_preferred_output": [{"role": "assistant", "content": "No."}],
            },
            "preference",
        ),
    ],
)
def test_every_format_is_known_and_taken(tmp_path: Path, sample: object, kind: str) -> None:
    found = check(tmp_path, sample)
    assert (found.refusals, found.kinds, found.samples) == ({}, (kind,), 1)
    assert found.accepted


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nope\n", "not JSON"),
        ([1], "not a JSON object"),
        ({}, "none of the formats: no messages, prompt and completion, preferences or text"),
        ({"messages": [USER, ANSWER], "text": "t"}, "fits two formats at once"),
        ({"messages": [USER, ANSWER], "metadata": {}}, "a key beside the sample: metadata"),
        ({"messages": [{**USER, "id": 1}, ANSWER]}, "a key beside a message: id"),
        ({"messages": []}, "messages that are no list, or an empty one"),
        ({"messages": [USER]}, "no assistant message"),
        ({"messages": [ANSWER]}, "roles out of turn"),
        ({"messages": [USER, USER, ANSWER]}, "roles out of turn"),
        ({"messages": [USER, {"role": "system", "content": "s"}, ANSWER]}, "a system message that is not the first"),
        ({"messages": [USER, {"role": "robot", "content": "s"}]}, "a message without a known role"),
        ({"messages": [USER, {"role": "assistant", "content": " "}]}, "an empty assistant message"),
        ({"messages": [USER, {"role": "assistant", "content": 1}]}, "a content that is not text"),
        ({"messages": [USER, {"role": "assistant", "content": "a\0"}]}, "a NUL character"),
        ({"messages": [{**USER, "weight": 1}, ANSWER]}, "a weight that is not 0 or 1 on an assistant message"),
        ({"messages": [USER, ANSWER], "weight": -1}, "a weight that is not a number from 0 on"),
        ({"prompt": "p", "completion": ""}, "an empty completion"),
        ({"input": {}, "preferred_output": [ANSWER], "non_preferred_output": [ANSWER]}, "no input with messages"),
        (
            {"input": {"messages": [USER]}, "preferred_output": [ANSWER, ANSWER], "non_preferred_output": [ANSWER]},
            "preferred_output that is not one assistant message",
        ),
        (b'{"text": "\xff"}\n', "not UTF-8"),
        (b'{"text": "\\ud800"}\n', "half a Unicode character"),
        (b"\xef\xbb\xbf{}\n", "a byte order mark before the first line"),
        (gzip.compress(b"{}", mtime=0), "compressed with gzip"),
        (b"", "an empty file"),
        (b"\n", "no sample in it"),
        (b'{\n  "text": "t"\n}\n', "one JSON document over several lines, not a line for each sample"),
    ],
)
def test_what_together_refuses_is_refused_and_named(tmp_path: Path, line: object, reason: str) -> None:
    found = check(tmp_path, line)
    assert reason in found.refusals
    assert not found.accepted
    assert any(flaw.refused and flaw.reason == reason for flaw in found.flaws)


def test_formats_must_not_mix_and_the_name_must_tell(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD, {"text": "t"}).refusals == {"several formats in one file: conversational, text": 1}
    assert check(tmp_path, GOOD, name="a.txt").refusals == {"a name that ends in neither .jsonl, .csv nor .parquet": 1}


def test_what_together_takes_and_is_a_mistake_all_the_same(tmp_path: Path) -> None:
    secret = {"messages": [{"role": "user", "content": "I am joe@example.com"}, ANSWER]}
    copy = {"messages": [{"role": "user", "content": "Write a function that adds 7."}, ANSWER]}
    other = {"messages": [{"role": "user", "content": "Write a function that adds 12."}, ANSWER]}
    found = check(
        tmp_path,
        GOOD,
        GOOD,
        b"\n",
        secret,
        copy,
        other,
        {"messages": [USER, {"role": "assistant", "content": "<think>hm</think>x" * 100}]},
        max_tokens=300,
    )
    assert found.accepted
    assert found.secrets == {"email": 1}
    assert found.warnings == {
        "the same sample again": 1,
        "an empty line": 1,
        "a secret or personal data": 1,
        "a near-copy of another prompt": 2,
        "thinking in an answer": 1,
        "longer than 300 tokens, so it would be cut": 1,
    }
    assert [flaw.line for flaw in found.flaws if flaw.reason == "a near-copy of another prompt"] == [6, 7]


def test_decisions_that_are_nearly_always_the_same_are_noticed(tmp_path: Path) -> None:
    def decided(number: int, action: str) -> object:
        prompt = f"# Decision for Nova: should_respond\n\nasked {'x' * number}"
        answer = f"<response><name>Nova</name><reasoning>r</reasoning><action>{action}</action></response>"
        return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}

    found = check(tmp_path, *(decided(number, "IGNORE") for number in range(40)), decided(41, "maybe"))
    assert found.decisions == {"should_respond": {"IGNORE": 40}}
    assert "imbalance: 100% of the should-respond decisions are IGNORE" in found.warnings
    assert "imbalance: no should-respond decision is RESPOND" in found.warnings
    assert "an answer the agent could not use: action is none of RESPOND, IGNORE, STOP" in found.warnings


def test_prompts_that_are_in_both_files_are_a_leak(tmp_path: Path) -> None:
    other = tmp_path / "validation.jsonl"
    other.write_text(json.dumps({"messages": [{"role": "user", "content": "It is 12:31, add 3"}, ANSWER]}) + "\n")
    found = check(
        tmp_path, GOOD, {"messages": [{"role": "user", "content": "It is 09:02, add 4"}, ANSWER]}, against=other
    )
    assert found.warnings == {"a prompt, or a near-copy, that is in the other file too": 1}
    assert [flaw.line for flaw in found.flaws] == [2]


def test_only_the_first_lines_are_named_and_all_are_counted(tmp_path: Path) -> None:
    found = check(tmp_path, *[b"nope\n"] * 50, most_flaws=3)
    assert [flaw.line for flaw in found.flaws] == [1, 2, 3]
    assert found.refusals == {"not JSON": 50}


def test_csv_is_checked_row_by_row(tmp_path: Path) -> None:
    refused = {"CSV, which Together takes for evaluations, not for a fine-tune": 1}
    good = check(tmp_path, b'prompt,completion\r\n"a\nb",c\r\n', name="a.csv")
    assert (good.refusals, good.samples) == (refused, 1)
    bad = check(tmp_path, b"prompt,completion\r\na\r\nb,c,d\r\n", name="b.csv")
    assert bad.refusals == {"another number of columns than the first line": 2, **refused}
    assert check(tmp_path, b"prompt,completion\r\n\xff,c\r\n", name="c.csv").refusals == {"not UTF-8": 1, **refused}


def test_parquet_must_be_tokens(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def file(name: str, **columns: object) -> FileCheck:
        parquet.write_table(pyarrow.table(columns), tmp_path / name)
        return check_file(tmp_path / name)

    assert file("a.parquet", input_ids=[[1, 2], [3]], attention_mask=[[1, 1], [1]]).accepted
    assert file("b.parquet", input_ids=[[1, 2]], labels=[[1]]).refusals == {
        "labels of another length than input_ids": 1
    }
    assert file("c.parquet", input_ids=[[1]], room=[[1]]).refusals == {"a column Together does not know: room": 1}
    texts = file("d.parquet", messages=[[USER, ANSWER]])
    assert texts.refusals == {"Parquet without a column input_ids: Together takes it with tokens only": 1}
    assert texts.kinds == ("conversational",)
    (tmp_path / "e.parquet").write_bytes(b"nothing")
    assert check_file(tmp_path / "e.parquet").refusals == {"not Parquet": 1}


def test_parquet_that_unpacks_to_more_than_fits_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that stands there once and is meant often, in lists as well; a page that grows; values without bytes."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    monkeypatch.setattr(parquet_pages, "MOST_BYTES", 1_000_000, raising=False)
    monkeypatch.setattr(parquet_pages, "_AT_ONCE_BYTES", 500_000, raising=False)
    monkeypatch.setattr(parquet_pages, "_GIVEN_BYTES", 500_000, raising=False)
    big = {"role": "user", "content": "x" * 20_000}
    for messages in ([[USER, {**ANSWER, "content": "x" * 1_100_000}]], [[big] * 60]):
        parquet.write_table(pyarrow.table({"messages": messages}), path, compression="zstd")
        before = pyarrow.total_allocated_bytes()
        assert "Parquet of another kind" in str(check_file(path).refusals)
        assert pyarrow.total_allocated_bytes() <= before + 100_000
    parquet.write_table(pyarrow.table({"messages": [[USER, big]] * 200}), path, compression="zstd")
    assert check_file(path).samples == 200
    tokens = pyarrow.table({"input_ids": [[7] * 100_000]})
    parquet.write_table(tokens, path, compression="zstd")
    assert "Parquet of another kind" in str(check_file(path).refusals)
    parquet.write_table(
        pyarrow.table({"text": ["a", "b"]}), path, column_encoding={"text": "DELTA_BYTE_ARRAY"}, use_dictionary=False
    )
    assert "written in a way" in str(check_file(path).refusals)


def test_what_cannot_be_read_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        check_file(tmp_path / "nothing.jsonl")
    with pytest.raises(DataError, match="not a regular file"):
        check_file(tmp_path)
