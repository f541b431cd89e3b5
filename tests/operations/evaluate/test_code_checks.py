"""Looking at code that models wrote: parsed by who can, run only in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.decisions.scoring import Parsed
from reasoning_cli.operations.evaluate.code_checks import CodeChecks
from tests.waiting import until


@pytest.fixture
def checks() -> Iterator[CodeChecks]:
    with CodeChecks() as found:
        yield found


def fenced(code: str, language: str = "python") -> str:
    return f"Here:\n\n```{language}\n{code}\n```"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
@pytest.mark.parametrize(
    ("code", "ok"),
    [
        ("const f = (a) => /[)]/.test(a);", True),
        ("let x = ;", False),
        ("import { a } from 'b';\nexport const c = await a();", True),
        ("export const = 1;", False),
        ("while (true) {}", True),
        ("process.exit(3)", True),
        ("let a = 1\u2028let b = `\n`", True),
    ],
)
def test_javascript_is_compiled_and_not_run(checks: CodeChecks, code: str, ok: bool) -> None:
    assert checks.parse("js", code) == Parsed(ok, "parser")
    assert checks.parse("javascript", "1 + 1") == Parsed(True, "parser")


def test_without_node_brackets_must_do(checks: CodeChecks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with CodeChecks() as poor:
        assert poor.parse("js", "let x = ;") == Parsed(True, "brackets")
    assert checks.parse("python", "def f(:") == Parsed(False, "parser")
    assert checks.parse("cobol", "DISPLAY") is None


@pytest.mark.parametrize(
    ("code", "tests", "passed"),
    [
        ("def double(x): return 2 * x", "assert double(4) == 8", True),
        ("def double(x): return x * x", "assert double(4) == 8", False),
        ("def double(x) return", "pass", False),
        ("import os", "assert 'TOGETHER_API_KEY' not in os.environ and os.listdir() == ['program.py']", True),
        ("x = 'x' * 10**10", "pass", False),  # more memory than it may have
        ("open('big', 'w').write('x' * 10**7)", "pass", False),
        ("x = 1 # \ud800", "pass", True),
    ],
)
def test_python_runs_behind_bounds(
    checks: CodeChecks, monkeypatch: pytest.MonkeyPatch, code: str, tests: str, passed: bool
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "secret")
    assert checks.passes(fenced(code), tests) is passed


def test_what_is_no_python_passes_nothing(checks: CodeChecks) -> None:
    assert not checks.passes(fenced("let a = 1", "js"), "pass")
    assert not checks.passes("no code at all", "pass")


def test_what_tests_started_does_not_stay(checks: CodeChecks, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import subprocess, sys\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid)!r}, 'w').write(str(one.pid))"
    )
    assert checks.passes(fenced(code), "pass")
    stat = Path(f"/proc/{pid.read_text()}/stat")

    def is_gone() -> bool:
        try:
            return stat.read_text().split()[2] in "ZX"
        except OSError:
            return True

    until(is_gone, "the end of what the tests started")
