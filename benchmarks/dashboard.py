"""What the dashboard costs: `python -m benchmarks.dashboard [--rows 1000000] [--ticks 3000] [--folder DIR]`.

Prints in one run: how long the server takes for a page, a filter and a search in a log of so many decisions; then, with
a Chromium before it, first paint, the CPU of a tab that is left open, and what memory does over so many rounds of the
reader, which come faster than every four seconds. A day has 21,600 rounds.
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

_WORDS = ("tent", "radio", "river", "lamp", "garden", "bus", "rent", "film", "sister", "soup", "paint", "night")
# The server with a reader that does not wait four seconds; its rounds go on record.
SERVER = """
import sys
from reasoning_cli.dashboard import reader
reader.Reader.__init__.__defaults__ = (float(sys.argv.pop(1)),)
note = reader.Reader._notify
def notify(self):
    note(self)
    if self.rounds % 100 == 0:
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
    began = time.perf_counter()
    program.read("data", "search", "soup", *pages)
    print(f"  {'index of the search':20} {time.perf_counter() - began:.0f} s, once", flush=True)
    for what, words in {
        "search, common word": ("data", "search", "soup", *pages),
        "search, two words": ("data", "search", "soup", "lamp", *pages),
        "search, rare word": ("data", "search", f"{rows // 3}", *pages),
    }.items():
        print(f"  {what:20} {milliseconds(program, *words)}", flush=True)
    spent = time.process_time()
    for _ in range(10):
        for words in QUESTIONS.values():
            program.read(*words)
    print(f"  a round of the reader {(time.process_time() - spent) * 100:.0f} ms of CPU", flush=True)
    program.close()


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_browser(tick: float, ticks: int) -> None:
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-c", SERVER, str(tick), "--sandbox", "dashboard", "--no-open", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        link = next(line for line in server.stdout if "/login" in line).strip()
        base = link.partition("/login")[0]
        print(f"  memory before a page  {memory_mb(server.pid):.0f} MB")
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = chromium.new_page()
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
                    tab.goto(f"{base}/")
                time.sleep(8)
                began, spent = time.monotonic(), cpu_seconds(server.pid)
                time.sleep(60)
                five = (cpu_seconds(server.pid) - spent) / (time.monotonic() - began)
                print(f"  CPU, five tabs open   {five * 100:.2f} % of a core, {(five - share) * 25:.2f} % a tab more")
            while ticks:
                line = server.stdout.readline()
                if (found := re.match(r"round (\d+)", line)) and int(found[1]) % max(100, ticks // 6) == 0:
                    print(f"  round {found[1]:>6}          {memory_mb(server.pid):.0f} MB", flush=True)
                if found and int(found[1]) >= ticks:
                    break
            chromium.close()
        server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--ticks", type=int, default=3000)
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
        print("In the browser, a round every four seconds:", flush=True)
        measure_browser(4.0, 0)
        print("In the browser, a round as soon as the last one is over:", flush=True)
        measure_browser(0.05, wanted.ticks)
        subprocess.run([*program, "sandbox", "stop"], check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
