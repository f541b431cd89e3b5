"""What the dashboard costs: `python -m benchmarks.dashboard [--rows 1000000] [--ticks 3000] [--day 24] [--folder DIR]`.

Prints in one run: how long the server takes for a page, a filter and a search in a log of so many decisions; then, with
a Chromium before it, first paint, the CPU of a tab that is left open, what calls through a gateway take with a page
open and without, and what memory does: over so many rounds of the reader, which come faster than every four seconds
(a day has 21,600), and over so many minutes of a sandbox at sixty times its clock.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typer.main import get_command

from reasoning_cli.app import app
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.commands.dashboard._program import InProcess
from reasoning_cli.dashboard.reader import QUESTIONS
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Sample, Samples
from reasoning_cli.terminal.console import Color

# A machine that does much else is slow: only what fails waits so long.
_PATIENCE_MS = 300_000
_WORDS = ("tent", "radio", "river", "lamp", "garden", "bus", "rent", "film", "sister", "soup", "paint", "night")
# The server with a reader that waits so long between rounds; these go on record. Where it waits less than it does
# otherwise, nothing is asked less often for what it takes.
SERVER = """
import sys
from reasoning_cli.dashboard import reader
begin = reader.Reader.__init__
begin.__defaults__ = (float(sys.argv.pop(1)), *begin.__defaults__[1:])
if begin.__defaults__[0] < reader.TICK_SECONDS:
    reader.MOST_SHARE = 1000.0
note = reader.Reader._notify
def notify(self):
    note(self)
    if self.rounds and self.rounds % 100 == 0:
        print("round", self.rounds, flush=True)
reader.Reader._notify = notify
from reasoning_cli.__main__ import main
main()
"""


def fill(database: Path, rows: int) -> None:
    """A log of so many decisions, an even part of each type, the newest of now."""
    now = datetime.now(UTC)

    def made() -> Iterator[Sample]:
        for number in range(rows):
            said = " ".join(_WORDS[(number * step + step) % len(_WORDS)] for step in (1, 3, 5, 7))
            kind = "planning" if number % 3 else "should_respond"
            prompt = f"# Received Message\nSam: {said} {number}\n\n# Focus your response\n"
            answer = "<response><name>Ada</name><reasoning>so</reasoning><action>RESPOND</action></response>"
            at = now - timedelta(seconds=rows - number)
            yield Sample(
                f"{number:032x}", at, kind, "m", "original", "import", prompt, answer, agent_name=f"a{number % 9}"
            )

    with open_store(database, "sandbox") as store:
        batch: list[Sample] = []
        for sample in made():
            batch.append(sample)
            if len(batch) == 5000:
                Samples(store).insert_many(batch)
                batch.clear()
        Samples(store).insert_many(batch)


def milliseconds(program: InProcess, *words: str, times: int = 7) -> str:
    spent, worked = [], []
    for _ in range(times):
        began, work = time.perf_counter(), time.process_time()
        answer = program.read(*words)
        spent.append((time.perf_counter() - began) * 1000)
        worked.append((time.process_time() - work) * 1000)
        if answer.problem is not None:
            raise SystemExit(f"{words}: {answer.problem}")
    middle, work = statistics.median(spent), statistics.median(worked)
    return f"median {middle:.0f} ms, worst {max(spent):.0f} ms; {work:.0f} ms of CPU"


def measure_pages(rows: int) -> None:
    session = Session.start(profile=None, sandbox=True, database=None, plain_http=False, verbosity=0, color=Color.NEVER)
    program = InProcess(session, get_command(app))
    pages = ["--limit", "25"]
    middle = f"{rows // 2:032x}"
    for what, words in {
        "first page": ("data", "list", *pages),
        "page in the middle": ("data", "list", *pages, f"--after={middle}"),
        "one type": ("data", "list", *pages, "-m", "planning"),
        "no label": ("data", "list", *pages, "--label=none"),
        "one agent": ("data", "list", *pages, "--agent=a7"),
        "since a day": ("data", "list", *pages, "--since=1d"),
        "one decision": ("data", "show", middle),
    }.items():
        print(f"  {what:20} {milliseconds(program, *words)}", flush=True)
    began, children = time.perf_counter(), os.times().children_user + os.times().children_system
    subprocess.run(
        [sys.executable, "-m", "reasoning_cli", "--sandbox", "data", "search", "--index", "build"], check=True
    )
    worked = os.times().children_user + os.times().children_system - children
    print(
        f"  {'index of the search':20} {time.perf_counter() - began:.0f} s, {worked:.0f} s of CPU, beside", flush=True
    )
    pages.append("--index=as-is")
    for what, words in {
        "search, common word": ("data", "search", "soup", *pages),
        "search, two words": ("data", "search", "soup", "lamp", *pages),
        "search, rare word": ("data", "search", f"{rows // 3}", *pages),
        "state of the index": ("data", "search", "--index=show"),
    }.items():
        print(f"  {what:20} {milliseconds(program, *words)}", flush=True)
    spent = time.process_time()
    for _ in range(10):
        for words in QUESTIONS.values():
            program.read(*words)
    print(f"  a round of the reader {(time.process_time() - spent) * 100:.0f} ms of CPU", flush=True)
    program.close()


def memory_mb(pid: int) -> float:
    """What a process holds for itself: what it shares with others is there without it."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+) kB", rollup, re.MULTILINE)) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_rest() -> None:
    """What the same few steps take at once and after a rest: a processor that slept takes many times as long, and CPU
    seconds of a program that mostly waits are to be read beside that."""

    def milliseconds_of_steps() -> float:
        began = time.thread_time()
        sum(number * number for number in range(5000))
        return (time.thread_time() - began) * 1000

    def middle(rest_seconds: float, times: int) -> float:
        found = []
        for _ in range(times):
            time.sleep(rest_seconds)
            found.append(milliseconds_of_steps())
        return statistics.median(found)

    at_once, second, four = middle(0, 200), middle(1, 5), middle(4, 5)
    print(f"  the same steps        {at_once:.2f} ms at once, {second:.2f} after 1 s of rest, {four:.2f} after 4 s")


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A server with what it prints, which ends also where the browser before it fails."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            yield server
        finally:
            server.terminate()


def measure_browser(tick: float, ticks: int) -> None:
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-c", SERVER, str(tick), "--sandbox", "dashboard", "--no-open", "--port", "0"]
    with _running(command) as server:
        assert server.stdout is not None
        link = next(line for line in server.stdout if "/login" in line).strip()
        base = link.partition("/login")[0]
        print(f"  memory before a page  {memory_mb(server.pid):.0f} MB")
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = chromium.new_page()
            page.set_default_timeout(_PATIENCE_MS)
            page.goto(link)
            paints = []
            for _ in range(5):
                page.goto(f"{base}/")
                page.wait_for_selector("[data-table=status]")
                entries = page.evaluate("performance.getEntriesByType('paint').map(each => each.startTime)")
                paints.append(entries[0])
            print(f"  first paint           median {statistics.median(paints):.0f} ms, worst {max(paints):.0f} ms")
            if not ticks:
                time.sleep(8)
                began, spent = time.monotonic(), cpu_seconds(server.pid)
                time.sleep(60)
                share = (cpu_seconds(server.pid) - spent) / (time.monotonic() - began)
                print(f"  CPU, one tab open     {share * 100:.2f} % of a core")
                tabs = [chromium.contexts[0].new_page() for _ in range(4)]
                for tab in tabs:
                    tab.goto(f"{base}/", timeout=_PATIENCE_MS)
                time.sleep(8)
                began, spent = time.monotonic(), cpu_seconds(server.pid)
                time.sleep(60)
                five = (cpu_seconds(server.pid) - spent) / (time.monotonic() - began)
                print(f"  CPU, five tabs open   {five * 100:.2f} % of a core, {(five - share) * 25:.2f} % a tab more")
            while ticks:
                line = server.stdout.readline()
                if (found := re.match(r"round (\d+)", line)) and int(found[1]) % max(100, ticks // 600 * 100) == 0:
                    print(f"  round {found[1]:>6}          {memory_mb(server.pid):.0f} MB", flush=True)
                if found and int(found[1]) >= ticks:
                    break
            chromium.close()


def measure_gateway(turns: int = 20, calls: int = 50) -> None:
    """The p50 of calls through a gateway, in turns with a page of the dashboard open and with none."""
    import httpx
    from playwright.sync_api import sync_playwright

    command = [
        sys.executable,
        "-u",
        "-m",
        "reasoning_cli",
        "--sandbox",
        "gateway",
        "serve",
        "--port",
        "0",
        "--dashboard",
    ]
    with tempfile.TemporaryFile("w+") as said:
        gateway = subprocess.Popen([*command, "--dashboard-port", "0"], stdout=said, stderr=said)
        try:
            text = ""
            while "/login" not in text:
                time.sleep(0.1)
                said.seek(0)
                text = said.read()
            base = re.findall(r"listening on (\S+)", text)[0]
            link = re.findall(r"http\S+/login\S+", text)[0]
            prompt = "# Received Message\nSam: shall we?\n\n# INSTRUCTIONS: Decide on behalf of Ada.\n"
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}
            with sync_playwright() as playwright, httpx.Client(base_url=base, timeout=60) as client:
                chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = chromium.new_page()
                page.goto(link, timeout=_PATIENCE_MS)
                address = page.url
                taken: dict[bool, list[float]] = {True: [], False: []}
                ratios = []
                for _ in range(turns):
                    middles = {}
                    for is_open in (False, True):
                        page.goto(address if is_open else "about:blank", timeout=_PATIENCE_MS)
                        if is_open:
                            page.wait_for_selector("h1[data-connected]", timeout=_PATIENCE_MS)
                        spans = []
                        for _ in range(calls):
                            began = time.perf_counter()
                            client.post("/v1/chat/completions", json=body).read()
                            spans.append((time.perf_counter() - began) * 1000)
                        middles[is_open] = statistics.median(spans)
                        taken[is_open] += spans
                    ratios.append(middles[True] / middles[False])
                chromium.close()
            without, with_page = (statistics.median(taken[is_open]) for is_open in (False, True))
            print(
                f"  p50 of a call, no page {without:.1f} ms, with one {with_page:.1f} ms: {with_page / without:.2f};",
                end="",
            )
            print(f" median of {turns} turns {statistics.median(ratios):.2f}", flush=True)
        finally:
            gateway.terminate()
            gateway.wait(30)


def measure_day(minutes: float) -> None:
    """Memory and CPU of the dashboard while a page is open for so many minutes, at sixty times the sandbox's clock."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "reasoning_cli", "--sandbox", "dashboard", "--no-open", "--port", "0"]
    with _running(command) as server:
        assert server.stdout is not None
        link = next(line for line in server.stdout if "/login" in line).strip()
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = chromium.new_page()
            page.goto(link, timeout=_PATIENCE_MS)
            page.wait_for_selector("[data-table=status] td", timeout=_PATIENCE_MS)
            began, worked = time.monotonic(), cpu_seconds(server.pid)
            for piece in range(13):
                time.sleep(max(0.0, began + piece * minutes * 5 - time.monotonic()))
                share = (cpu_seconds(server.pid) - worked) / max(1.0, time.monotonic() - began)
                hours = (time.monotonic() - began) / 60
                line = f"{memory_mb(server.pid):.0f} MB, {share * 100:.2f} % of a core so far"
                print(f"  after {hours:4.0f} hours      {line}", flush=True)
            chromium.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--ticks", type=int, default=3000)
    parser.add_argument("--day", type=float, default=24.0, metavar="MINUTES", help="Sixty times faster than a day.")
    parser.add_argument("--folder", type=Path, help="Where a log of an earlier run is taken from, and kept.")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folder = wanted.folder or Path(own)
        os.environ["REASONING_HOME"] = str(folder)
        program = [sys.executable, "-m", "reasoning_cli", "--sandbox"]
        subprocess.run([*program, "costs", "set-budget", "100000"], check=True, stdout=subprocess.DEVNULL)
        database = next(folder.rglob("reasoning.db"))
        if wanted.rows and database.stat().st_size < wanted.rows * 100:
            fill(database, wanted.rows)
        subprocess.run([*program, "models", "deploy", "planning", "--yes", "--idle-minutes", "0"], check=True)
        print(f"{wanted.rows:,} decisions, {database.stat().st_size / 1e9:.1f} GB:", flush=True)
        measure_pages(wanted.rows)
        print("In the browser, a round every four seconds, and every twelve while nothing happens:", flush=True)
        measure_rest()
        measure_browser(4.0, 0)
        print("Beside a gateway:", flush=True)
        measure_gateway()
        if wanted.ticks:
            print("In the browser, a round as soon as the last one is over:", flush=True)
            measure_browser(0.05, wanted.ticks)
        if wanted.day:
            print("In the browser, a day at sixty times its speed:", flush=True)
            measure_day(wanted.day)
        subprocess.run([*program, "sandbox", "stop"], check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
