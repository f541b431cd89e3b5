"""What the README says is what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_what_the_program_says(tmp_path: Path) -> None:
    fresh = subprocess.run(
        [sys.executable, "-m", "cogapp", "-I", ".ci", "README.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert fresh.stdout == README, "write them anew: python -m cogapp -r -I .ci README.md"


def test_the_picture_is_what_the_program_shows(tmp_path: Path) -> None:
    drawn = tmp_path / "screen.svg"
    subprocess.run([sys.executable, ".ci/docs.py", str(drawn)], cwd=ROOT, check=True)
    # Releases of Rich differ in how they style a drawing; the words are ours.
    assert _words(drawn) == _words(ROOT / "docs" / "screen.svg"), "draw it anew: python .ci/docs.py docs/screen.svg"


def _words(drawing: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", drawing.read_text(encoding="utf-8"))


def _typed() -> list[str]:
    """Every command in the README's code blocks."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    lines = [line.split("#")[0].strip() for line in blocks.splitlines()]
    return [line for line in lines if line.startswith("reasoning ")]


@pytest.mark.parametrize("line", _typed())
def test_every_command_shown_can_be_typed(line: str) -> None:
    """Each is understood as it stands: its help is asked for, so that nothing happens."""
    typed = [sys.executable, "-m", "reasoning_cli", *line.split()[1:], "--help"]
    done = subprocess.run(typed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _errors() -> list[str]:
    """The fixed words of each error the troubleshooting table quotes."""
    quoted = re.findall(r"^\| `error: (.+?)` \|", README, re.MULTILINE)
    return [part.strip() for text in quoted for part in text.split("…") if len(part.strip()) > 8]


@pytest.mark.parametrize("words", _errors())
def test_every_error_quoted_is_one_the_program_can_say(words: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "reasoning_cli").rglob("*.py")]
    assert any(words in _joined(source) for source in sources), words


def _joined(source: str) -> str:
    """Source text with adjacent string literals put together, as Python reads them."""
    return re.sub(r"\"\s*\n\s*f?\"", "", source)


def test_ci_runs_the_command_of_the_readme() -> None:
    shown = subprocess.run(
        [sys.executable, ".ci/readme_command.py", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pytest" in shown.stdout
    assert shown.stdout.strip() in README
    assert "readme_command.py test" in (ROOT / ".ci" / "run").read_text()


def test_the_changelog_knows_this_version() -> None:
    from reasoning_cli import __version__

    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
