"""The JSON of each command, as keys and types: each is typed on a sandbox with `--json`, and what it says is described.

python .ci/json_shapes.py    # write docs/reference/json.md anew, in a minute or two
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = "docs/reference/json.md"
TYPES = ("should_respond", "planning", "coding")

# What is typed, in order, in a folder with the example log. After `>` stands a command that is described; MODEL is the
# model that was trained, ID a decision. A line that begins with `&` goes on in the background, until END.
DAY = """
costs set-budget 100
data import agent-logs.jsonl.gz --limit 1
> data import agent-logs.jsonl.gz
data label ID --good
> data label ID --decision RESPOND
> data labels
> data list --limit 3
> data show ID
> data search soup --limit 2
> data search --index build
> data stats
> data export -m planning -o planning.jsonl
> data check planning.jsonl
> models hardware
> models search llama
> models show meta-llama/Llama-3.2-3B-Instruct
> models deploy planning --dry-run
> models deploy planning --yes --idle-minutes 0
> models test planning
> train init should-respond
> train start should-respond --yes
> train watch 1
> train show 1
> train events 1
> train events 1 --metrics
> train status
> train list
models deploy MODEL --as should-respond --yes --idle-minutes 0
> train eval should-respond --model should-respond --holdout --yes
> train evals
models enable should-respond --mode shadow
& gateway serve --port PORT
ASK
> gateway status --port PORT
> gateway stats --port PORT
> gateway env
> gateway explain request.json
> train compare should-respond
> train history should-respond
> models list
> models status
> status
> doctor
> setup env
> config
> config profiles
> costs report
> costs compare
> costs prices
> costs events
> costs outlook
> models stop planning --yes
> models start planning --yes
> models undeploy planning --yes
> data backup copy.db
> data redact --yes
> data archive --older-than 1 -o archive
> data unarchive archive
> data cleanup --days 3 --yes
> data forget --text soup --yes
END
> data vacuum
> store info
> store copy copy.db another.db
> data restore copy.db --yes
> train download 1 -o weights.tar.zst
models undeploy should-respond --yes
> train delete 1 --yes
train auto should-respond --yes
> train auto
> costs reconcile
"""


def described() -> dict[str, Any]:
    """What each command said, by its name."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "docs" / "agent-logs.jsonl.gz", folder)
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("REASONING_", "TOGETHER_"))
        }
        environ |= {"REASONING_HOME": str(folder / "home")}
        background: list[subprocess.Popen[bytes]] = []
        try:
            for line in DAY.strip().splitlines():
                _type(line, folder, environ, found, background)
        finally:
            _end(background)
            _run(["sandbox", "reset", "--yes"], folder, environ)
    return found


def _type(line: str, folder: Path, environ: dict[str, str], found: dict[str, Any], background: list[Any]) -> None:
    if line == "ASK":
        _ask(folder)
        return
    if line == "END":
        _end(background)
        return
    words = line.removeprefix("> ").removeprefix("& ").split()
    if "MODEL" in words:
        (run,) = json.loads(_run(["--sandbox", "train", "list", "--json"], folder, environ).stdout)
        words = [run["model"] if word == "MODEL" else word for word in words]
    if "ID" in words:
        newest = _run(["--sandbox", "data", "list", "--limit", "1", "-q"], folder, environ).stdout.strip()
        words = [newest if word == "ID" else word for word in words]
    words = [str(_port()) if word == "PORT" else word for word in words]
    if line.startswith("& "):
        command = [sys.executable, "-m", "reasoning_cli", "--sandbox", *words]
        said = folder / "said.txt"
        with said.open("wb") as stderr:
            background.append(subprocess.Popen(command, cwd=folder, env=environ, stderr=stderr))
        while "listening on" not in said.read_text() and background[-1].poll() is None:
            time.sleep(0.05)
        return
    shown = line.startswith("> ")
    done = _run(["--sandbox", *words, *(["--json"] if shown else [])], folder, environ)
    if shown:
        if not done.stdout.strip():
            raise SystemExit(f"{line}: {done.stderr}")
        found[" ".join(words)] = json.loads(done.stdout)
    elif done.returncode:
        raise SystemExit(f"{line}: {done.stderr}")


@cache
def _port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(background: list[Any]) -> None:
    for process in background:
        process.terminate()
        process.wait()
    background.clear()


def _run(words: list[str], folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reasoning_cli", *words]
    return subprocess.run(
        command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def _ask(folder: Path) -> None:
    """A decision through the gateway, and the same as a recorded request."""
    import gzip

    import httpx

    rows = [json.loads(line) for line in gzip.decompress((ROOT / "docs/agent-logs.jsonl.gz").read_bytes()).splitlines()]
    for kind in ("TEXT_LARGE", "TEXT_SMALL"):
        prompt = next(row["body"]["prompt"] for row in rows if row["body"]["modelType"] == kind)
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]}
        if kind == "TEXT_LARGE":
            httpx.post(f"http://127.0.0.1:{_port()}/v1/chat/completions", json=body, timeout=30)
        request = {"method": "POST", "path": "/v1/chat/completions", "headers": {}, "body": body}
        (folder / "request.json").write_text(json.dumps({"request": request}))


# Objects whose keys are not ours: model types, actions, reasons, regions, people.
MAPS = {
    *(
        "agents",
        "bad_by_why",
        "bases",
        "by_type",
        "by_why",
        "checked",
        "circuits",
        "confusion",
        "decisions",
        "failures",
    ),
    *("kinds", "labels", "left_out", "outcomes", "reasons", "redactions", "refusals", "regions", "secrets", "skipped"),
    *("rows", "sources", "status_codes", "warnings", "why"),
}
OPAQUE = {
    "answer",
    "corrected_answer",
    "metadata",
    "detail",
    "price",
    "given",
}  # as the agent, or whoever made it, has it
_KEY = re.compile(r"[a-z][a-z0-9_]*")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*Z")
NULL = "null"


def shape(value: Any, name: str = "") -> dict[str, set[str]]:
    """The paths in a value, each with the types seen there: `models[].id`, `by_type{}.count`."""
    found: dict[str, set[str]] = {}
    for path, kind in _walk(value, "", name):
        found.setdefault(path, set()).add(kind)
    return found


def _walk(value: Any, path: str, name: str) -> Iterator[tuple[str, str]]:
    match value:
        case dict() if name in OPAQUE:
            yield path, "object"
        case dict() if name in MAPS or any(key in TYPES or not _KEY.fullmatch(key) for key in value):
            yield path or "(all)", "object"
            for below in value.values():
                yield from _walk(below, f"{path}{{}}", "")
        case dict():
            if path:
                yield path, "object"
            for key, below in value.items():
                yield from _walk(below, f"{path}.{key}".lstrip("."), key)
        case list():
            yield path or "(all)", "list"
            for below in value:
                yield from _walk(below, f"{path}[]", "")
        case None:
            yield path, NULL
        case bool():
            yield path, "boolean"
        case int() | float():
            yield path, "number"
        case str():
            yield path, "time" if _TIME.fullmatch(value) else "string"


def page(found: dict[str, Any]) -> str:
    """The page that says it."""
    parts = [
        "% Written by .ci/json_shapes.py from the program; do not edit.",
        "# JSON",
        """\
What commands write with `--json`. A key is a promise: it keeps its name and its meaning. `[]` is each entry of a list,
`{}` each value of an object whose keys are names (types, actions, reasons). Cents are whole numbers, names that end in
`_seconds` or `_ms` are durations, `time` is UTC in RFC 3339. Where a value may be missing it is `null`; `null` alone
means that there was none when this page was written. Each block is made from what the command said on a sandbox.""",
    ]
    commands: dict[str, list[str]] = {}
    for typed in found:
        commands.setdefault(name_of(typed), []).append(typed)
    for name, typed in sorted(commands.items()):
        paths: dict[str, set[str]] = {}
        for line in typed:
            for path, kinds in shape(found[line]).items():
                paths.setdefault(path, set()).update(kinds)
        width = max(len(path) for path in paths)
        lines = [f"{path:{width}}  {_spelled(kinds)}" for path, kinds in paths.items()]
        parts.append(f"## {name}\n\n```text\n" + "\n".join(lines) + "\n```")
    rest = [f"`reasoning {command}`" for command in json_commands() if f"reasoning {command}" not in commands]
    parts.append(f"## Not shown\n\nThese take `--json` too, and say what they did: {', '.join(rest)}.")
    return "\n\n".join(parts) + "\n"


def json_commands() -> list[str]:
    """Every command that takes `--json`."""
    sys.path.insert(0, str(Path(__file__).parent))
    import docs

    every = (pair for entry in docs.ENTRIES for pair in docs._commands_of(entry))
    return [typed for typed, command in every if any(param.name == "json" for param in command.params)]


def name_of(typed: str) -> str:
    """The command in what was typed."""
    words = typed.split()
    return f"reasoning {' '.join(words[:1] if words[0] in ('doctor', 'status') or words == ['config'] else words[:2])}"


def _spelled(kinds: set[str]) -> str:
    sure = sorted(kinds - {NULL})
    if "time" in sure and "string" in sure:
        sure.remove("time")
    return " or ".join([*sure, *([NULL] if NULL in kinds else [])])


if __name__ == "__main__":
    (ROOT / PAGE).write_text(page(described()), encoding="utf-8")
