"""Which faults in the rules no test notices: `nox -s mutations`, or `python -m benchmarks.mutations` beside mutmut.

Money (the budget), the gate with its rules, and the circuit are changed in one place at a time by mutmut, and the tests
named for them are run against each change. A change that they pass is a survivor: a test is missing, or the change
means the same. What mypy refuses or makes the tests run without end counts as noticed. A copy of the tree is changed,
never the tree.

mutmut changes only functions without a decorator: the properties of the copy are rewritten as functions first, and
constants of a module and defaults of a dataclass are never changed. What survived the last run, and what is to be said
of each, stands in `benchmarks/mutations.txt`.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RULES = (
    "reasoning_cli/gateway/circuit.py",
    "reasoning_cli/operations/costs/budget.py",
    "reasoning_cli/operations/evaluate/gate_rules.py",
    "reasoning_cli/operations/promote/gate.py",
)
TESTS = (
    "tests/gateway/test_circuit.py",
    "tests/operations/costs/test_budget.py",
    "tests/operations/promote/test_gate.py",
)
_AROUND = 50  # characters shown on each side of a change
_TYPES = [sys.executable, "-m", "mypy", *RULES, "--output", "json", "--disable-error-code", "unused-ignore"]
_SETTINGS = f"""
[tool.mutmut]
source_paths = ["reasoning_cli"]
only_mutate = {json.dumps(RULES)}
pytest_add_cli_args = ["-n", "0", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = {json.dumps(TESTS)}
timeout_multiplier = 4.0
type_check_command = {json.dumps(_TYPES)}
"""


@dataclass(frozen=True)
class Survivor:
    """A change that no test noticed: where it is, and the lines before and after."""

    function: str
    before: str
    after: str

    def __str__(self) -> str:
        """The function, and both lines, of which only the surroundings of what differs are shown."""
        start = max(0, _common_length(self.before, self.after) - _AROUND)
        end = max(0, _common_length(self.before[::-1], self.after[::-1]) - _AROUND)
        cut = [
            "…" * (start > 0) + text[start : len(text) - end] + "…" * (end > 0) for text in (self.before, self.after)
        ]
        return f"{self.function}\n    - {cut[0]}\n    + {cut[1]}"


def _common_length(before: str, after: str) -> int:
    """How many characters two texts begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))


def copy_tree(to: Path) -> None:
    """The tree with what mutmut has to know, and without properties in what it changes."""
    for name in ("reasoning_cli", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    (to / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + _SETTINGS)
    shutil.copy(ROOT / "README.md", to)
    for path in RULES:
        (to / path).write_text(without_properties((to / path).read_text()))


def without_properties(source: str) -> str:
    """The same, with each property as a function and an assignment: `state = property(get_state)`."""
    lines = source.splitlines()
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef) and _is_property(node)]
    for node in sorted(found, key=lambda node: -node.lineno):
        assert node.end_lineno is not None
        lines.insert(node.end_lineno, f"{' ' * node.col_offset}{node.name} = property(get_{node.name})")
        lines[node.lineno - 1] = lines[node.lineno - 1].replace(f"def {node.name}", f"def get_{node.name}")
        del lines[node.lineno - 2]
    return "\n".join(lines) + "\n"


def _is_property(node: ast.FunctionDef) -> bool:
    return [ast.unparse(decorator) for decorator in node.decorator_list] == ["property"]


def run(tree: Path, minutes: float, processes: int) -> None:
    """Try all changes, or as many as the time allows."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes)]
    with subprocess.Popen(command, cwd=tree, start_new_session=True) as process:
        try:
            code = process.wait(minutes * 60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its workers too
            print("\nthe time is over")
            return
    if code != 0:
        raise SystemExit(f"mutmut ended with {code}")


def results(tree: Path) -> dict[str, str]:
    """What came of each change, by mutmut's name for it: the module, the function as it was renamed, and a number."""
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    return {name: end for name, _, end in (line.strip().rpartition(": ") for line in done.stdout.splitlines())}


def survivor(tree: Path, name: str) -> Survivor:
    """A change by mutmut's name. All forms of a function stand side by side in its copy of the file."""
    module, _, changed = name.rpartition(".")
    original = changed.rpartition("__mutmut_")[0] + "__mutmut_orig"
    functions = _functions(tree / "mutants" / Path(*module.split(".")).with_suffix(".py"))
    before, after = (functions[form] for form in (original, changed))
    lines = [line for line in difflib.ndiff(before, after) if line[:2] in ("- ", "+ ")]
    return Survivor(
        readable(name),
        " ".join(line[2:].strip() for line in lines if line[0] == "-"),
        " ".join(line[2:].strip() for line in lines if line[0] == "+"),
    )


def readable(name: str) -> str:
    """The function that a change is in: `operations.costs.budget.standing`, `gateway.circuit.Circuit.failed`."""
    function = name.rpartition("__mutmut_")[0].removeprefix("reasoning_cli.")
    return function.replace(".x_", ".").replace(".xǁ", ".").replace("ǁ", ".")


@cache
def _functions(path: Path) -> dict[str, list[str]]:
    """The lines of each function of a file, each statement in one."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return {node.name: [line for part in node.body for line in ast.unparse(part).splitlines()] for node in nodes}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="at most; what is not tried by then is counted")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        run(tree, chosen.minutes, chosen.processes)
        ends = results(tree)
        survived = [survivor(tree, name) for name, end in ends.items() if end == "survived"]
    counted = ", ".join(f"{count} {end}" for end, count in Counter(ends.values()).most_common())
    print(f"\n{len(ends)} changes: {counted}")
    for function in dict.fromkeys(readable(name) for name, end in ends.items() if end == "no tests"):
        print(f"reached by no test: {function}")
    print("\n".join(["survived:", *map(str, survived)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
