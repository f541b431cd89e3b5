"""What other trainers make of our exports: `python -m benchmarks.trainers [--decisions 3000]`.

A log of made-up decisions, more of them than `datasets` looks at before it judges the columns of a file, and behind
them a coding agent's conversations with calls of tools. It is exported for TRL and for axolotl, answers and pairs,
loaded by `datasets`, and for TRL each line is put through its own `apply_chat_template` with a template that shows
every key it is given. Fails where a line does not load as it was written, is not what TRL calls conversational, or
where a text, a tool or an argument does not come through.

Nothing is trained, so PyTorch is not installed: the part of TRL that handles data runs without it. axolotl starts with
nothing less, so of its files it is asked only whether they load. Packages come from PyPI when first needed (600 MB).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.generate_log import Generator, fill
from reasoning_cli.decisions.turns import written
from reasoning_cli.operations.data.export.render import Rules
from reasoning_cli.operations.data.export.run import ExportRequest, export_samples
from reasoning_cli.operations.data.export.trainers import Trainer
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, SampleFilter, Samples
from tests.gateway.pythons import python_with

Json = dict[str, Any]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PACKAGES = ("transformers==5.16.1", "datasets==5.2.0", "jinja2")
TRL = "trl==1.16.0"
TRAINERS: tuple[Trainer, ...] = ("trl", "axolotl")

# Every key of every message, so that whatever is lost on the way is missed.
SCRIPT = """
import json, sys, time
from datasets import load_dataset
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from trl.data_utils import apply_chat_template, is_conversational

trainer, file, cache = sys.argv[1:]
began = time.perf_counter()
rows = load_dataset("json", data_files=file, cache_dir=cache)["train"]
seconds = time.perf_counter() - began
tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"?": 0}, "?")))
tokenizer.chat_template = "{{ tools | tojson }}{% for one in messages %}{{ one | tojson }}{% endfor %}"

def shown(template_of):
    said = apply_chat_template(template_of, tokenizer, tools=tools)
    return "".join(said.values())

with open(file, encoding="utf-8") as lines:
    for number, (line, row) in enumerate(zip(lines, rows, strict=True), 1):
        meant = json.loads(line)
        if row != meant:
            sys.exit(f"line {number} does not load as it was written: {str(row)[:300]}")
        if trainer != "trl":
            continue
        if not is_conversational(row):
            sys.exit(f"line {number} is not conversational")
        tools = json.loads(row["tools"]) if isinstance(row.get("tools"), str) else row.get("tools")
        text = shown({key: value for key, value in row.items() if key != "tools"})
        said = row.get("messages") or [*row["prompt"], *row["chosen"], *row["rejected"]]
        for one in [*said, *(tools or [])]:
            if json.dumps(one, ensure_ascii=False) not in text:
                sys.exit(f"line {number}: lost in the template: {str(one)[:300]}")
print(json.dumps([len(rows), rows.column_names, seconds]))
"""


def conversation(number: int) -> str | None:
    """What came before an answer: a call of a tool with its result; each coding agent has tools of its own."""
    properties = {
        "file_path": {"type": "string"},
        f"extra_{number % 7}": {"type": ["integer", "null"], "default": number},
    }
    parameters = {"type": "object", "properties": properties, "additionalProperties": bool(number % 2)}
    tools = [{"type": "function", "function": {"name": "Read", "description": "Reads.", "parameters": parameters}}]
    given = json.dumps({"file_path": f"{number}.py", **({"limit": number} if number % 3 else {})})
    used = {"id": f"c{number}", "type": "function", "function": {"name": "Read", "arguments": given}}
    messages: list[Json] = [
        {"role": "user", "content": f"What does {number}.py do?"},
        {"role": "assistant", "content": "", "tool_calls": [used]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": f"def f(): return {number}  # ünï\\n"},
    ]
    return written(messages, tools)


def fill_log(store: Store, decisions: int) -> None:
    """So many decisions of an agent, then a tenth of that from a coding agent, half of them corrected."""
    fill(store, Generator(decisions, seed=3, prompt_bytes=6000, until=NOW - timedelta(days=1)))
    made = Sample("", NOW, "coding", "m", "original", "test", "", "It returns a number.", decision="prose")
    samples = []
    for number in range(decisions // 10):
        call = {"id": "c", "name": "Read", "arguments": json.dumps({"file_path": "x", "offset": [number]})}
        samples.append(
            replace(
                made,
                id=f"coding-{number}",
                created_at=NOW + timedelta(seconds=number),
                prompt=f"What does {number}.py do?",
                conversation=conversation(number),
                metadata={"tool_calls": [call]} if number % 4 else {},
                label="corrected" if number % 2 else None,
                corrected=f"It returns {number}." if number % 2 else None,
            )
        )
    Samples(store).insert_many(samples)


def main() -> None:
    """Export, load, render; exit code 1 at the first line that came through otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=3000, metavar="N")
    decisions = parser.parse_args().decisions
    python = python_with(*PACKAGES)
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", TRL], check=True)
    failed = False
    with tempfile.TemporaryDirectory() as name, open_store(Path(name) / "reasoning.db") as store:
        fill_log(store, decisions)
        for trainer in TRAINERS:
            for preference in (False, True):
                file = Path(name) / f"{trainer}-{preference}.jsonl"
                wanted = SampleFilter(label="corrected" if preference else None)
                request = ExportRequest(wanted, Rules(trainer=trainer, preference=preference))
                began = time.perf_counter()
                report = export_samples(store, file, request, now=NOW)
                spent = time.perf_counter() - began
                script: list[str | Path] = [python, "-c", SCRIPT, trainer, file, Path(name) / "cache"]
                done = subprocess.run(script, capture_output=True, text=True)
                what = f"{trainer}, {'pairs' if preference else 'answers'}"
                if done.returncode:
                    failed = True
                    print(f"{what}: {(done.stderr.strip().splitlines() or ['ended'])[-1]}")
                    continue
                count, columns, seconds = json.loads(done.stdout.splitlines()[-1])
                assert count == report.written
                print(
                    f"{what}: {count:,} lines, {report.size_bytes / 1e6:.1f} MB, {', '.join(columns)};"
                    f" exported in {spent:.1f} s, loaded in {seconds:.1f} s; left out: {dict(report.left_out)}"
                )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
