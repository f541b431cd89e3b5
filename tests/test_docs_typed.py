"""The README and the tutorial, typed as they stand, in order, in a fresh shell with a home of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from reasoning_cli.paths import find_paths
from reasoning_cli.store.open import open_store
from tests import once

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(?:<!-- (command|install): (\w+) -->\n)?```sh\n(.*?)```", re.DOTALL)
pytestmark = pytest.mark.timeout(900)
LIMIT = 800  # seconds: a busy machine needs minutes to install; what hangs fails all the same


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout as it is: what git follows, or would."""
    folder = tmp_path / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a checkout")
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def shell(tmp_path: Path, *, with_program: bool) -> dict[str, str]:
    """The environment of a fresh shell. On its PATH are the system's programs, this Python, and ours if asked for."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    if with_program:
        (programs / "reasoning").symlink_to(Path(sys.executable).with_name("reasoning"))
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_CERT"))}
    cache = os.environ.get("PIP_CACHE_DIR") or str(
        Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pip"
    )
    home = tmp_path / "newcomer"
    home.mkdir()
    return kept | {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "PIP_CACHE_DIR": cache}


def type_all(blocks: list[str], folder: Path, environ: Mapping[str, str]) -> str:
    """What the shell said. Each block ends the test when it fails."""
    script, said = folder.parent / "typed.sh", folder.parent / "said.txt"
    script.write_text("set -euo pipefail\n" + "\n".join(blocks) + "\n", encoding="utf-8")
    with said.open("w") as out:  # a file: what goes on in the background would hold a pipe open
        command = ["timeout", str(LIMIT), "bash", "-x", str(script)]
        done = subprocess.run(
            command, cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
        )
    text = said.read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, text[-5000:]
    return text


def blocks_of(page: Path) -> list[tuple[str, str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def needs_an_index(environ: Mapping[str, str]) -> None:
    asked = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", environ["HOME"], "hatchling"]
    if subprocess.run(asked, env=dict(environ), capture_output=True, check=False).returncode:
        pytest.skip("no package index to install from")


def test_the_readme_works_as_typed(clone: Path, tmp_path: Path) -> None:
    """All of it but the tests, which this is one of, and but the other two ways to install."""
    environ = shell(tmp_path, with_program=False)
    needs_an_index(environ)
    blocks = blocks_of(clone / "README.md")
    assert [one[:2] for one in blocks] == [
        ("install", "pipx"),
        ("install", "uv"),
        ("install", "venv"),
        ("command", "demo"),
        ("command", "test"),
        ("", ""),
    ]
    typed = [
        text
        for kind, name, text in blocks
        if (kind, name) not in (("install", "pipx"), ("install", "uv"), ("command", "test"))
    ]
    try:
        said = type_all(typed, clone, environ)
    finally:
        subprocess.run(
            [clone / ".venv/bin/reasoning", "sandbox", "reset", "--yes"], env=environ, capture_output=True, check=False
        )
    assert "That was all of it, and nothing is left behind." in said
    assert "planning is serving as sandbox/planning" in said
    assert (clone / "planning.jsonl").read_text(encoding="utf-8").count("\n") > 100
    assert "OPENAI_BASE_URL=http://127.0.0.1:8001/v1" in said
    assert "planning is gone" in said


@pytest.mark.parametrize("installer", ["pipx", "uv"])
def test_the_other_ways_to_install_put_the_command_on_the_path(clone: Path, tmp_path: Path, installer: str) -> None:
    program = shutil.which(installer) or shutil.which(installer, path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip(f"no {installer} here")
    environ = shell(tmp_path, with_program=False)
    needs_an_index(environ)
    (tmp_path / "bin" / installer).symlink_to(program)
    places = f"{environ['HOME']}/.local/bin:{environ['PATH']}"
    (block,) = [text for kind, name, text in blocks_of(clone / "README.md") if (kind, name) == ("install", installer)]
    assert "reasoning 0." in type_all([block, "reasoning --version"], clone, environ | {"PATH": places})


def test_the_tutorial_works_as_typed(clone: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    environ = shell(tmp_path, with_program=True)
    with socket.socket() as probe:  # the gateway's own port may be taken on this machine
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    blocks = [text.replace("8001", str(port)) for _, _, text in blocks_of(clone / "docs" / "tutorial.md")]
    before = sorted(clone.rglob("*"))
    try:
        said = type_all(blocks, clone, environ)
    finally:
        reset = [tmp_path / "bin" / "reasoning", "sandbox", "reset", "--yes"]
        subprocess.run(reset, env=environ, capture_output=True, check=False)
    assert "refused, exit code 6" in said
    assert "538 added, 0 there already" in said
    assert re.search(r"Run 1 is done: \S+ for should-respond", said)
    assert "x-reasoning-source: slot" in said
    assert "The sandbox is empty again." in said
    assert sorted(clone.rglob("*")) == before, "it leaves nothing in the clone"


def test_the_guide_on_datasets_works_as_typed(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("duckdb")
    environ = shell(tmp_path, with_program=True)
    folder = tmp_path / "typed"
    folder.mkdir()
    with open_store(find_paths(environ | {"REASONING_HOME": environ["HOME"]}).database) as store:
        once.fill_log(store, 600, seed=3, prompt_bytes=600)
    blocks = [text for _, _, text in blocks_of(ROOT / "docs" / "guides" / "datasets.md")]
    said = type_all(blocks, folder, environ | {"REASONING_HOME": environ["HOME"]})
    assert "samples written to " in said and "600 decisions" in said
    manifest = json.loads((folder / "dataset" / "manifest.json").read_bytes())
    assert {shard["path"].split("-")[0] for shard in manifest["shards"]} == {"train", "validation"}
    lines = [line for path in (folder / "dataset").glob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == manifest["samples"] > 50
