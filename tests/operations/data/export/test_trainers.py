"""What other trainers are given is what they document and load: TRL, axolotl, OpenAI."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.decisions.turns import written
from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.operations.data.export.run import ExportReport, ExportRequest, export_samples
from reasoning_cli.operations.data.export.trainers import TRAINERS, Trainer, how_to_load
from reasoning_cli.operations.data.validate.file import check_file
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from tests.gateway.pythons import python_with

Json = dict[str, Any]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PROMPT = EXAMPLES["should_respond"]
IGNORE = "<response>\n  <name>Nova</name>\n  <reasoning>r</reasoning>\n  <action>IGNORE</action>\n</response>"
RESPOND = IGNORE.replace("IGNORE", "RESPOND")
ASKED, FOUND, SAID = "What does calc.py do?", "def add(a, b):\n    return a - b", "It subtracts."
TOOLS: list[Json] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": name,
            "parameters": {"type": "object", "properties": properties, "required": list(properties)},
        },
    }
    for name, properties in (
        ("Read", {"file_path": {"type": "string"}, "limit": {"type": "integer", "default": 5}}),
        ("Bash", {"command": {"type": ["string", "array"], "default": "ls"}}),
    )
]


def call(number: str, name: str, arguments: object) -> Json:
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


USED = call("c1", "Read", '{"file_path":"calc.py","limit":9}')
BEFORE: list[Json] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": ASKED},
    {"role": "assistant", "content": "", "tool_calls": [USED]},
    {"role": "tool", "tool_call_id": "c1", "content": FOUND},
]
OBJECTS = [
    *BEFORE[:2],
    {"role": "assistant", "content": "", "tool_calls": [call("c1", "Read", {"file_path": "calc.py", "limit": 9})]},
    {"role": "tool", "tool_call_id": "c1", "content": FOUND, "name": "Read"},
]
BASH = {"id": "c2", "name": "Bash", "arguments": '{"command":["rm","x"]}'}


def sample(number: int, model_type: str, prompt: str, output: str, **more: Any) -> Sample:
    made = Sample(f"s{number}", NOW + timedelta(seconds=number), model_type, "m", "original", "test", prompt, output)
    return replace(made, **more)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Decisions without tools, more of them than a loader looks at first, before those with calls of tools."""
    talked = written(BEFORE, TOOLS)
    plain = [
        sample(number, "should_respond", PROMPT.replace("help me", f"help {number}"), IGNORE, decision="IGNORE")
        for number in range(60)
    ]
    called: Json = {"decision": "prose", "metadata": {"tool_calls": [BASH]}, "conversation": talked}
    with open_store(tmp_path / "reasoning.db") as store:
        Samples(store).insert_many(
            [
                *plain,
                sample(100, "coding", ASKED, SAID, decision="prose", conversation=talked),
                sample(101, "coding", ASKED, "", **called),
                sample(102, "coding", ASKED, "", label="corrected", corrected=SAID, **called),
                sample(
                    103,
                    "should_respond",
                    PROMPT,
                    IGNORE,
                    decision="IGNORE",
                    label="corrected",
                    corrected=RESPOND,
                    system="Be kind.",
                ),
            ]
        )
        yield store


def export(store: Store, target: Path, trainer: Trainer, *types: str, preference: bool = False) -> ExportReport:
    wanted = SampleFilter(types, label="corrected" if preference else None)
    request = ExportRequest(wanted, Rules(trainer=trainer, preference=preference))
    return export_samples(store, target, request, now=NOW, overwrite=True)


def lines(file: Path) -> list[Json]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def said(text: str, *calls: Json) -> Json:
    return {"role": "assistant", "content": text, **({"tool_calls": list(calls)} if calls else {})}


def test_together_is_what_it_was(store: Store, tmp_path: Path) -> None:
    export(store, tmp_path / "a.jsonl", "together", "coding")
    export_samples(store, tmp_path / "b.jsonl", ExportRequest(SampleFilter(("coding",))), now=NOW)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert lines(tmp_path / "a.jsonl")[0] == {"messages": [*BEFORE, said(SAID)], "tools": TOOLS}
    assert check_file(tmp_path / "a.jsonl").accepted


def test_trl_takes_objects_as_arguments_and_tools_as_text(store: Store, tmp_path: Path) -> None:
    export(store, tmp_path / "a.jsonl", "trl", "coding")
    first, called, corrected = lines(tmp_path / "a.jsonl")
    assert [json.loads(one["tools"]) for one in (first, called, corrected)] == [TOOLS] * 3
    assert first["messages"] == [*OBJECTS, {**said(SAID), "weight": 1}]
    assert called["messages"][-1] == {**said("", call("c2", "Bash", {"command": ["rm", "x"]})), "weight": 1}
    export(store, tmp_path / "a.jsonl", "trl", "should_respond")
    assert lines(tmp_path / "a.jsonl")[0] == {
        "messages": [{"role": "user", "content": PROMPT.replace("help me", "help 0")}, said(IGNORE)]
    }


@pytest.mark.parametrize("trainer", ["trl", "axolotl"])
def test_a_log_without_tools_is_written_without_a_word_of_them(store: Store, tmp_path: Path, trainer: Trainer) -> None:
    store.write("UPDATE samples SET conversation = NULL, metadata = NULL, label = NULL, corrected = NULL")
    export(store, tmp_path / "a.jsonl", trainer)
    export(store, tmp_path / "b.jsonl", "together")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_pairs_for_trl_are_prompt_chosen_and_rejected(store: Store, tmp_path: Path) -> None:
    export(store, tmp_path / "a.jsonl", "trl", preference=True)
    worked, plain = lines(tmp_path / "a.jsonl")
    assert json.loads(worked.pop("tools")) == TOOLS
    assert worked == {
        "prompt": OBJECTS,
        "chosen": [said(SAID)],
        "rejected": [said("", call("c2", "Bash", {"command": ["rm", "x"]}))],
    }
    asked = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": PROMPT}]
    assert plain == {"prompt": asked, "chosen": [said(RESPOND)], "rejected": [said(IGNORE)], "tools": "null"}


def test_pairs_for_axolotl_are_messages_and_one_message_each_without_tools(store: Store, tmp_path: Path) -> None:
    report = export(store, tmp_path / "a.jsonl", "axolotl", preference=True)
    asked = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": PROMPT}]
    assert lines(tmp_path / "a.jsonl") == [{"messages": asked, "chosen": said(RESPOND), "rejected": said(IGNORE)}]
    assert report.left_out == {"axolotl's dpo knows no tools": 1}


def test_openai_takes_tools_with_calls_whose_arguments_are_text(store: Store, tmp_path: Path) -> None:
    export(store, tmp_path / "a.jsonl", "openai", "coding")
    first, called, _ = lines(tmp_path / "a.jsonl")
    assert first == {"messages": [*BEFORE, said(SAID)], "tools": TOOLS, "parallel_tool_calls": True}
    assert called["messages"][-1] == said("", call("c2", "Bash", BASH["arguments"]))
    from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

    messages = TypeAdapter(list[ChatCompletionMessageParam])
    for one in (first, called):
        messages.validate_python(one["messages"])
        TypeAdapter(list[ChatCompletionFunctionToolParam]).validate_python(one["tools"])
    export(store, tmp_path / "a.jsonl", "openai", preference=True)
    worked, plain = lines(tmp_path / "a.jsonl")
    assert worked == {
        "input": {"messages": BEFORE, "tools": TOOLS, "parallel_tool_calls": True},
        "preferred_output": [said(SAID)],
        "non_preferred_output": [said("", call("c2", "Bash", BASH["arguments"]))],
    }
    assert list(plain) == ["input", "preferred_output", "non_preferred_output"]


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("arguments", ["not JSON", "[1]", '"x"'])
def test_arguments_that_no_template_can_take_are_left_out_for_those_who_parse_them(
    store: Store, tmp_path: Path, trainer: Trainer, arguments: str
) -> None:
    odd = [{**BASH, "arguments": arguments}]
    Samples(store).insert_many(
        [
            sample(
                110,
                "coding",
                ASKED,
                "",
                decision="prose",
                metadata={"tool_calls": odd},
                conversation=written(BEFORE, TOOLS),
            )
        ]
    )
    report = export(store, tmp_path / "a.jsonl", trainer, "coding")
    reason = "a call of a tool whose arguments are not a JSON object"
    assert report.left_out == ({reason: 1} if trainer in ("trl", "axolotl") else {})


@pytest.mark.parametrize("preference", [False, True], ids=["answers", "pairs"])
def test_the_manifest_says_who_a_file_is_for(store: Store, tmp_path: Path, preference: bool) -> None:
    for trainer in TRAINERS:
        report = export(store, tmp_path / "a.jsonl", trainer, preference=preference)
        assert report.manifest is not None
        assert json.loads(report.manifest.read_text(encoding="utf-8"))["trainer"] == trainer


def test_pairs_that_are_more_than_a_loader_looks_at_are_loaded_whole() -> None:
    large = 20_000_000
    assert f", chunksize={large})" in how_to_load("trl", "a.jsonl", large, preference=True)
    assert "chunksize" not in how_to_load("trl", "a.jsonl", large, preference=False)
    assert "chunksize" not in how_to_load("trl", "a.jsonl", 1_000_000, preference=True)


LOAD = """
import json, sys
from datasets import load_dataset
rows = load_dataset("json", data_files=sys.argv[1], cache_dir=sys.argv[2], chunksize=16_384)["train"]
print(json.dumps([rows.column_names, list(rows)]))
"""


@pytest.mark.parametrize("trainer", ["trl", "axolotl"])
@pytest.mark.parametrize("preference", [False, True], ids=["answers", "pairs"])
def test_datasets_loads_what_was_written_to_the_last_key(
    store: Store, tmp_path: Path, trainer: Trainer, preference: bool
) -> None:
    python = python_with("datasets==5.2.0")
    file = tmp_path / "a.jsonl"
    export(store, file, trainer, preference=preference)
    # Pairs are few, so that all are in what is looked at first; of the others that holds none with tools.
    assert preference or b"tool_calls" not in file.read_bytes()[: 16_384 + len(PROMPT)]
    done = subprocess.run([python, "-c", LOAD, file, tmp_path / "cache"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    columns, rows = json.loads(done.stdout)
    expected = lines(file)
    assert columns == list(expected[0])
    assert rows == expected
