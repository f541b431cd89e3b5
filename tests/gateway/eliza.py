"""A real ElizaOS agent and a provider for it, as processes; what the agent did, fit for comparing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]
# What differs from run to run and says nothing about what the agent did.
_FLEETING = ("ms",)
_LONGEST_RUN_SECONDS = 240


@dataclass(frozen=True)
class Original:
    """A provider that answers in every dialect, and can be told to answer badly."""

    url: str

    def set_behaviour(self, path: str, **body: object) -> None:
        httpx.post(f"{self.url}/__{path}", json=body, timeout=60).raise_for_status()

    def asked(self) -> Json:
        """How many requests came, by path and by kind."""
        found: Json = httpx.get(f"{self.url}/__stats", timeout=60).json()
        return found


@contextmanager
def provider(folder: Path) -> Iterator[Original]:
    """The agent's original provider, out of the agent's folder."""
    with subprocess.Popen(
        ["node", "recorder.mjs", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield Original(process.stdout.readline().strip().rpartition(" ")[2])
        finally:
            process.terminate()


def run_agent(folder: Path, scratch: Path, base: str, plugin: str, only: str | None = None) -> list[Json]:
    """Boot the agent, send it the scenarios, and give what it did in each. Fails when the agent does (exit code)."""
    scratch.mkdir(exist_ok=True)
    results = scratch / "results.jsonl"
    command = ["node", "agent.mjs", "--quiet", "--base", f"{base}/v1", "--provider", plugin, "--results", str(results)]
    done = subprocess.run(
        [*command, *(["--only", only] if only else [])],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(scratch)},  # its database, too
        capture_output=True,
        text=True,
        timeout=_LONGEST_RUN_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key not in _FLEETING} for row in rows]
