"""What the documentation says is what the program does."""

from __future__ import annotations

import gzip
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

from reasoning_cli.app import ENTRIES, app
from reasoning_cli.settings import ALL
from reasoning_cli.values import MODEL_TYPES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
ANEW = "write it anew: python .ci/docs.py"


def _read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _pages() -> list[Path]:
    return sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


@pytest.fixture(scope="session")
def written() -> ModuleType:
    """What writes the reference and draws the screens."""
    spec = importlib.util.spec_from_file_location("ci_docs", ROOT / ".ci" / "docs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "findings/README.md"])
def test_what_a_page_outside_the_site_leads_to_is_there(name: str) -> None:
    """Those in the site the build checks."""
    page = ROOT / name
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    leads = [one.partition("#")[0] for one in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in one]
    missing = [one for one in leads if one and not (page.parent / one).exists()]
    assert missing == []


def test_what_contributors_are_sent_to_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:reasoning_cli|tests|docs|\.ci)/[\w./]*)`", text))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_nox_runs_every_python_claimed() -> None:
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert "classifiers" in text and "pytest" in text


def test_the_reference_is_what_the_program_says(written: ModuleType) -> None:
    pages = written.pages()
    for name, text in pages.items():
        assert _read(name) == text, f"{name}: {ANEW} --reference"
    told = {path.relative_to(DOCS).as_posix() for path in (DOCS / "reference" / "commands").glob("*.md")}
    assert told == {name for name in pages if name.startswith("reference/commands/")}, "a page of no command"


def _commands(command: Any, path: str) -> Iterator[str]:
    """Every command that can be typed, however deep it lies; what is hidden is not shown."""
    below = getattr(command, "commands", {})
    if not below or command.invoke_without_command:
        yield path
    for name, one in below.items():
        if not one.hidden:
            yield from _commands(one, f"{path} {name}")


@pytest.mark.parametrize("name", ENTRIES)
def test_the_help_of_every_command_is_reached_from_the_menu(name: str) -> None:
    root: Any = get_command(app)
    root.load(name)
    page = _read(f"reference/commands/{name}.md")
    for path in _commands(root.commands[name], f"reasoning {name}"):
        assert f"\n## {path}\n\n```text\nUsage: {path} " in page, path
    assert f"\ncommands/{name}\n" in _read("reference/commands.md")
    assert "\nreference/commands\n" in _read("index.md")


def test_every_setting_is_told_once() -> None:
    told = re.findall(r"^\| `([\w.]+)` \|", _read("reference/settings.md"), re.MULTILINE)
    names = {setting.name for setting in ALL}
    of_each_type = {
        name.partition(".")[2]
        for name in names
        if all(f"{model_type}.{name.partition('.')[2]}" in names for model_type in MODEL_TYPES)
    }
    documented = {
        f"TYPE.{rest}" if rest in of_each_type and model_type in MODEL_TYPES else f"{model_type}.{rest}"
        for model_type, _, rest in (name.partition(".") for name in names)
    }
    assert sorted(told) == sorted(documented)


def test_the_screens_are_what_the_program_shows(written: ModuleType) -> None:
    drawn = written.drawings()
    assert {f"screens/{path.name}" for path in (DOCS / "screens").iterdir()} == set(drawn), ANEW
    for name, text in drawn.items():
        # Releases of Rich differ in how they style a drawing; the words are ours.
        assert _words(_read(name)) == _words(text), f"{name}: {ANEW}"


def _words(drawing: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", drawing)


def test_every_screen_is_shown() -> None:
    shown = README + "".join(path.read_text(encoding="utf-8") for path in _pages())
    assert [path.name for path in (DOCS / "screens").iterdir() if f"screens/{path.name}" not in shown] == []


def test_the_day_of_the_pictures_is_believable() -> None:
    words = " ".join(_words(_read("screens/day.svg"))).replace("&#160;", " ")
    rows = re.findall(r"READY +\$5\.49 +[\d.]+ +\$[\d.]+ +([\d,]+) +\$([\d.,]+)", words)
    assert len(rows) == 2, words
    for decisions, price in rows:
        assert int(decisions.replace(",", "")) > 500
        assert float(price.replace(",", "")) < 30
    assert re.search(r"budget \$100\.00 a month, \d\d % used", words)


def test_the_example_log_is_what_the_made_up_agent_writes(written: ModuleType) -> None:
    # How it is packed differs between releases of zlib.
    assert gzip.decompress((DOCS / written.EXAMPLE_LOG).read_bytes()).decode() == written.example_log(), ANEW


def _build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-b", "html"]
    return subprocess.run([*command, str(source), str(out)], capture_output=True, text=True, check=False)


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("furo", reason="the site's generator is not installed: pip install -e '.[docs]'")
    done = _build(DOCS, tmp_path / "site")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for page in _pages():
        assert (tmp_path / "site" / page.relative_to(DOCS)).with_suffix(".html").exists()


# Pages that take the place of ours, and what the generator is to say of each.
NOWHERE = {
    "outside.md": ("# Outside the menu", "document isn't included in any toctree"),
    "tutorial.md": ("# T\n\n[gone](guides/gone.md)", "cross-reference target not found: 'guides/gone.md'"),
    "security.md": ("# T\n\n[gone](guides/money.md#gone)", "local id not found"),
    "troubleshooting.md": ("# T\n\n```{image} screens/gone.svg\n```", "image file not readable"),
}


def test_the_build_fails_for_what_leads_nowhere(tmp_path: Path) -> None:
    pytest.importorskip("furo", reason="the site's generator is not installed: pip install -e '.[docs]'")
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("_build"))
    for name, (text, _) in NOWHERE.items():
        (tmp_path / "docs" / name).write_text(f"{text}\n", encoding="utf-8")
    done = _build(tmp_path / "docs", tmp_path / "site")
    assert done.returncode != 0
    for name, (_, complaint) in NOWHERE.items():
        assert [line for line in done.stderr.splitlines() if f"/{name}:" in line and complaint in line], done.stderr


def _shown() -> list[str]:
    """Every command in a code block, of all pages; those of README and tutorial are typed for real besides."""
    found = []
    for text in (README, *(path.read_text(encoding="utf-8") for path in _pages())):
        lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
        typed = [re.split(r" # | & | \|\| |&$", line)[0].strip() for line in lines]
        found += [line for line in typed if line.startswith("reasoning ") and "$(" not in line]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("line", _shown())
def test_every_command_shown_can_be_typed(line: str) -> None:
    """Each is understood as it stands: its help is asked for, so that nothing happens."""
    typed = [sys.executable, "-m", "reasoning_cli", *line.split()[1:], "--help"]
    done = subprocess.run(typed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _errors() -> list[str]:
    """The fixed words of each error the troubleshooting table quotes."""
    quoted = re.findall(r"^\| `error: (.+?)` \|", _read("troubleshooting.md"), re.MULTILINE)
    return [part.strip() for text in quoted for part in text.split("…") if len(part.strip()) > 8]


def test_the_errors_quoted_are_found() -> None:
    assert len(_errors()) > 15


@pytest.mark.parametrize("words", _errors())
def test_every_error_quoted_is_one_the_program_can_say(words: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "reasoning_cli").rglob("*.py")]
    assert any(words in _joined(source) for source in sources), words


def _joined(source: str) -> str:
    """Source text with adjacent string literals put together, as Python reads them."""
    return re.sub(r"\"\s*\n\s*f?\"", "", source)


def test_ci_runs_the_command_of_the_readme_and_builds_the_site() -> None:
    shown = subprocess.run(
        [sys.executable, ".ci/readme_command.py", "test"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "pytest" in shown.stdout
    assert shown.stdout.strip() in README
    script = (ROOT / ".ci" / "run").read_text()
    assert "readme_command.py test" in script
    assert "sphinx -n -W" in script


def test_the_changelog_is_in_the_form_of_keepachangelog() -> None:
    from reasoning_cli import __version__

    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "keepachangelog.com" in text
    releases = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    assert any(re.fullmatch(rf"\[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d", one) for one in releases)
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
