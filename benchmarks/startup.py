"""What starting costs: CPU time of the everyday commands, as ratios to a bare interpreter and to `import typer`.

python benchmarks/startup.py                       # this checkout, as installed in the running Python
python benchmarks/startup.py --typer 0.28 0.29     # a minimal command on releases of Typer, in fresh environments
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import venv
from pathlib import Path

MINIMAL = """
import typer
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
@app.command()
def one(count: int = 1): print(count)
@app.command()
def two(flag: bool = False): pass
app()
"""


def cpu_milliseconds(command: list[str], runs: int, environ: dict[str, str]) -> float:
    """Median CPU time of a child process."""
    times = []
    for number in range(runs + 2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environ, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if number >= 2:  # the first ones fill caches
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times) * 1000


def cpu_milliseconds_on_terminal(command: list[str], runs: int, environ: dict[str, str]) -> float:
    """The same of a child whose streams are a terminal 100 columns wide."""
    person, program = pty.openpty()
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    # What it writes fits into the terminal's own buffer; nobody need read it before it ends.
    times = []
    for number in range(runs + 2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environ, stdin=program, stdout=program, stderr=program, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.read(person, 1 << 16)
        if number >= 2:
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    os.close(person)
    os.close(program)
    return statistics.median(times) * 1000


def report(rows: dict[str, float], bare: float, typer: float | None) -> None:
    """A table on stdout."""
    for name, milliseconds in rows.items():
        beside = f"   {milliseconds / typer:5.2f} x import typer" if typer else ""
        print(f"{name:<34} {milliseconds:7.1f} ms   {milliseconds / bare:5.2f} x bare{beside}")


def measure_program(runs: int) -> None:
    """The everyday commands of `reasoning` beside the two yardsticks."""
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "REASONING_HOME": home}
        program = str(Path(sys.executable).with_name("reasoning"))
        tab = {**environ, "_REASONING_COMPLETE": "complete_bash", "COMP_WORDS": "reasoning models ", "COMP_CWORD": "2"}
        bare = cpu_milliseconds([sys.executable, "-c", "pass"], runs, environ)
        typer = cpu_milliseconds([sys.executable, "-c", "import typer"], runs, environ)
        subprocess.run([program, "models", "list"], env=environ, capture_output=True, check=True)  # makes the database
        rows = {
            "python -c pass": bare,
            "import typer": typer,
            "reasoning --version": cpu_milliseconds([program, "--version"], runs, environ),
            "reasoning --help": cpu_milliseconds([program, "--help"], runs, environ),
            "reasoning models --help": cpu_milliseconds([program, "models", "--help"], runs, environ),
            "reasoning models list": cpu_milliseconds([program, "models", "list"], runs, environ),
            "reasoning models list, a terminal": cpu_milliseconds_on_terminal(
                [program, "models", "list"], runs, {**environ, "TERM": "xterm"}
            ),
            "reasoning models list --json": cpu_milliseconds([program, "models", "list", "--json"], runs, environ),
            "TAB after `reasoning models `": cpu_milliseconds([program], runs, tab),
        }
        report(rows, bare, typer)
        ratio = rows["reasoning models list, a terminal"] / rows["reasoning models list"]
        print(f"\n`models list` on a terminal: {ratio:.2f} x piped (at most 1.5)")


def measure_typer(versions: list[str], runs: int) -> None:
    """A command with one `int` option, on each release."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "minimal.py"
        script.write_text(MINIMAL)
        for version in versions:
            home = Path(folder) / version
            venv.create(home, with_pip=True)
            python = str(home / "bin" / "python")
            subprocess.run([python, "-m", "pip", "install", "-q", f"typer=={version}.*"], check=True)
            environ = dict(os.environ)
            bare = cpu_milliseconds([python, "-c", "pass"], runs, environ)
            typer = cpu_milliseconds([python, "-c", "import typer"], runs, environ)
            command = cpu_milliseconds([python, str(script), "one", "--count", "3"], runs, environ)
            report({f"typer {version}: a command": command}, bare, typer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--typer", nargs="+", metavar="VERSION")
    chosen = parser.parse_args()
    if chosen.typer:
        measure_typer(chosen.typer, chosen.runs)
    else:
        measure_program(chosen.runs)
