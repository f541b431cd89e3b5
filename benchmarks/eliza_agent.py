"""A real ElizaOS agent through a real gateway: every scenario, both plugins, every way a model can fail.

    python benchmarks/eliza_agent.py --agent FOLDER [--plugin openai|anthropic] [--case NAME …]

FOLDER holds `agent.mjs`, `recorder.mjs` and, after `npm install`, their `node_modules`. The gateway is the installed
program in a process of its own, in the sandbox, with a home of its own. Each case runs all scenarios; what the agent
did is held against what it does without the gateway. Fails when a case is not what it must be.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))
from reasoning_cli.paths import find_paths
from tests.gateway import canned
from tests.gateway.eliza import Json, Original, provider, run_agent
from tests.gateway.provider import Answering, Handler, Provider, Received
from tests.heads import ruled_head

_TYPES = ("should_respond", "planning", "coding")
_DEADLINE_MS = "500"


@dataclass(frozen=True)
class Case:
    """`model` is where the slots' model is: none, the sandbox, a provider in a mode, or a handler of ours; `head`:
    there is a head in line, and no model.

    `form` is how prompts are put to it.
    """

    name: str
    model: str | Handler | None
    source: str
    like_alone: bool = True
    form: str = "exact"


async def _hangs(request: Received, answering: Answering) -> None:
    await answering.until_caller_leaves()


async def _cut(request: Received, answering: Answering) -> None:
    await answering.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
    answering.cut()


async def _fails(request: Received, answering: Answering) -> None:
    await answering.whole(500, {"error": {"message": "broken"}})


async def _unclosed(request: Received, answering: Answering) -> None:
    await answering.whole(200, canned.chat_answer("<think>I say <response><action>STOP</action></response> or"))


async def _unknown(request: Received, answering: Answering) -> None:
    plan = "<response><thought>t</thought><actions>FLY</actions><text>x</text><action>MAYBE</action></response>"
    await answering.whole(200, canned.chat_answer(plan))


async def _html(request: Received, answering: Answering) -> None:
    await answering.whole(200, b"<html>busy</html>", {"content-type": "text/html"})


_CASES = (
    Case("slots off", None, "original"),
    Case("sandbox's models", "sandbox", "slot", like_alone=False),
    Case("compact prompts", "sandbox", "slot", like_alone=False, form="compact"),
    Case("good answers", "plain", "slot"),
    Case("fenced", "fence", "slot"),
    Case("<think> first", "think", "slot"),
    Case("junk", "junk", "fallback"),
    Case("<think> unclosed", _unclosed, "fallback"),
    Case("unknown actions", _unknown, "fallback"),
    Case("HTML with 200", _html, "fallback"),
    Case("500", _fails, "fallback"),
    Case("hangs", _hangs, "fallback"),
    Case("cut", _cut, "fallback"),
    Case("head in line", "head", "head"),
)


def _program(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "REASONING_HOME": str(home)}
    command = [sys.executable, "-m", "reasoning_cli", "--sandbox", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True)


@contextmanager
def _gateway(home: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "reasoning_cli", "--sandbox", "gateway", "serve", "--port", str(port)]
    environ = {**os.environ, "REASONING_HOME": str(home)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            _until_ready(url)
            yield url
        finally:
            process.terminate()
            process.wait(40)


def _until_ready(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(f"{url}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"no gateway at {url}")


@contextmanager
def _model(case: Case, folder: Path) -> Iterator[str | None]:
    """Where the slots' model is served, for the case; None for the sandbox's own."""
    if case.model is None or case.model in ("sandbox", "head"):
        yield None
    elif isinstance(case.model, str):
        with provider(folder) as model:
            if case.model != "plain":
                model.set_behaviour("mode", mode=case.model)
            yield model.url
    else:
        served = Provider(case.model)
        try:
            yield served.url
        finally:
            served.close()


def _sources(url: str) -> Counter[str]:
    """How many decisions each source answered."""
    counted: Counter[str] = Counter()
    for entry in httpx.get(f"{url}/stats").json()["model_types"].values():
        counted.update({source: part["count"] for source, part in entry["by_source"].items()})
    return counted


def _run(case: Case, plugin: str, folder: Path, original: Original, alone: list[Json], home: Path) -> bool:
    upstream = f"{original.url}/v1"
    _program(home, "config", "set", "gateway.openai_upstream", upstream)
    _program(home, "config", "set", "gateway.anthropic_upstream", upstream)
    with _model(case, folder) as url:
        for model_type in _TYPES:
            _program(home, "config", "set", f"{model_type}.prompt_form", case.form)
            if url is not None:
                _program(home, "config", "set", f"{model_type}.provider_url", f"{url}/v1")
                _program(home, "config", "set", f"{model_type}.model", "the-model")
                _program(home, "config", "set", f"{model_type}.deadline_ms", _DEADLINE_MS)
            elif case.model == "head" and model_type == "should_respond":
                head = ruled_head("Nova")
                head.save(find_paths({"REASONING_HOME": str(home)}).sandbox().heads / f"{head.name}.head")
                _program(home, "models", "enable", f"head/{head.name}", "--mode", "live")
                _program(home, "config", "set", "should_respond.audit_percent", "1")
            elif case.model == "sandbox":
                _program(home, "models", "deploy", model_type.replace("_", "-"), "--yes")
        started = time.monotonic()
        with _gateway(home) as gateway, tempfile.TemporaryDirectory() as scratch:
            try:
                results = run_agent(folder, Path(scratch), gateway, plugin)
            except AssertionError as failed:
                print(f"{plugin:<10} {case.name:<18} the agent failed: {failed}")
                return False
            sources = _sources(gateway)
    same = results == alone
    # An open circuit is why some failures are never met: the original answers at once.
    # A head decides what it is sure of, and leaves the rest to the original.
    allowed = {case.source} | ({"original"} if case.source in ("fallback", "head") else set())
    good = same is case.like_alone and set(sources) <= allowed and sources[case.source] > 0
    did = "as alone" if same else "decides otherwise"
    answered = ", ".join(f"{source} {count}" for source, count in sorted(sources.items()))
    taken = time.monotonic() - started
    print(
        f"{plugin:<10} {case.name:<18} {len(results)} scenarios, exit 0, {did}, {answered}, {taken:.0f} s"
        f"{'' if good else '   <- NOT AS IT MUST BE'}",
        flush=True,
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--plugin", action="append", choices=["openai", "anthropic"])
    parser.add_argument("--case", action="append", choices=[case.name for case in _CASES])
    wanted = parser.parse_args()
    all_good = True
    with provider(wanted.agent) as original:
        for plugin in wanted.plugin or ["openai", "anthropic"]:
            with tempfile.TemporaryDirectory() as scratch:
                alone = run_agent(wanted.agent, Path(scratch), original.url, plugin)
            for case in _CASES:
                if wanted.case and case.name not in wanted.case:
                    continue
                with tempfile.TemporaryDirectory() as home:
                    try:
                        all_good &= _run(case, plugin, wanted.agent, original, alone, Path(home))
                    finally:
                        _program(Path(home), "sandbox", "stop")
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
