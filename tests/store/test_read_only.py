"""A disk that cannot be written, or is full: what reads goes on reading, and what writes says why it cannot."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError
from reasoning_cli.store.mounts import mount_of
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import Samples
from tests import once
from tests.conftest import Result

pytestmark = pytest.mark.sqlite("a file on a disk that is full or cannot be written")

Program = Callable[..., Result]

READING = [
    "data stats",
    "data list --limit 2",
    "data list --json",
    "data cleanup --dry-run",
    "costs events",
    "costs prices",
    "costs compare",
    "models list",
    "train evals",
    "train history planning",
    "gateway stats --since 1d",
    "config",
]
WRITING = ["data label --from labels.csv", "data export -o -", "data import labels.csv", "costs guard --once"]


@pytest.fixture
def filled(home: Path) -> Path:
    home.mkdir()
    database = home / "reasoning.db"
    with open_store(database) as store:
        once.fill_log(store, 60, seed=3, prompt_bytes=300)
    Path("labels.csv").write_text("id,label\n", encoding="utf-8")
    return database


@pytest.fixture
def disk(home: Path, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home on a file system that can only be read, where the machine lets the test make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        shutil.copytree(home, folder, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        monkeypatch.setenv("REASONING_HOME", str(folder))
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def run(command: str, prepare: Callable[[], object] | None = None) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "reasoning_cli", *command.split()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=prepare,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def unsized(shown: str) -> str:
    """Without the size of the database, which counts a log that is there or not."""
    return re.sub(r"\d+ kB", "kB", shown)


# From then on no file can grow, as on a disk that is full.
no_room = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


@pytest.mark.parametrize("command", READING)
def test_what_reads_reads_from_a_disk_that_cannot_be_written(
    command: str, home: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = run(command)
    assert (there.exit_code, "error" in there.stderr) == (0, False), there.stderr
    monkeypatch.setenv("REASONING_HOME", str(home))
    assert unsized(there.stdout.replace(str(disk), str(home))) == unsized(run(command).stdout)


@pytest.mark.parametrize("command", WRITING)
def test_what_writes_says_why_it_cannot(command: str, disk: Path) -> None:
    done = run(command)
    assert (done.exit_code, done.stdout) == (1, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"], done.stderr


def test_a_copy_can_be_made_of_it_and_worked_with(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy.db"
    assert run(f"data backup {copy}").exit_code == 0
    monkeypatch.setenv("REASONING_HOME", str(tmp_path / "elsewhere"))
    assert json.loads(run(f"--db {copy} data stats --json").stdout)["total"] == 60
    assert run(f"--db {copy} data search soup").exit_code == 0


def test_status_shows_what_is_known(disk: Path) -> None:
    done = run("status")
    assert "DATA   60 decisions kept" in done.stdout
    assert "TOGETHER  not known: " in done.stdout


def test_doctor_says_that_it_can_only_be_read(disk: Path) -> None:
    done = run("doctor --offline --json")
    wrong = [one["detail"] for one in json.loads(done.stdout) if one["name"] == "database"]
    assert (done.exit_code, len(wrong), "intact, but can only be read" in wrong[0]) == (1, 1, True)


@pytest.mark.parametrize("command", READING)
def test_what_reads_reads_from_a_disk_that_is_full(command: str, filled: Path) -> None:
    expected = run(command)
    done = run(command, no_room)
    assert (done.exit_code, "error" in done.stderr) == (0, False), done.stderr
    assert unsized(done.stdout) == unsized(expected.stdout)


def test_beside_one_that_writes_what_it_wrote_is_read(filled: Path) -> None:
    with open_store(filled) as store:
        store.write("UPDATE samples SET label=NULL")
        store.shorten_log()
        store.write("UPDATE samples SET label='good' WHERE seq<4")  # in the log beside the file, and in no other place
        good = store.number("SELECT count(*) FROM samples WHERE label='good'")
        shown = run("data list --label good -q", no_room)
        assert (shown.exit_code, len(shown.stdout.splitlines())) == (0, good), shown.stderr


def test_what_nobody_can_see_whole_is_not_shown_in_part(filled: Path, tmp_path: Path) -> None:
    """A machine that went down left a log, and its disk is full: the file alone is older than what was written."""
    crashed = tmp_path / "crashed.db"
    with open_store(filled) as store:
        store.write("UPDATE samples SET label='good' WHERE seq=1")
        shutil.copy(filled, crashed)
        shutil.copy(f"{filled}-wal", f"{crashed}-wal")
    done = run(f"--db {crashed} data stats", no_room)
    assert (done.exit_code, done.stdout) == (1, "")
    assert json.loads(run(f"--db {crashed} data stats --json").stdout)["total"] == 60


def test_a_gateway_and_whoever_did_not_ask_to_read_alone_are_refused(filled: Path, disk: Path) -> None:
    with pytest.raises(DataError):
        open_store(disk / "reasoning.db")
    with open_store(disk / "reasoning.db", or_read=True) as store:
        assert Samples(store).count() == 60
        with pytest.raises(DataError, match="cannot be opened for writing"):
            store.write("DELETE FROM samples")


MOUNTINFO = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
35 21 0:32 / /home rw,relatime shared:2 - nfs4 filer:/home rw,vers=4.2
36 35 8:2 / /home/ann/local\040disk rw - xfs /dev/sdb1 rw
37 21 0:40 / /mnt/far rw - fuse.sshfs ann@far:/ rw
38 21 0:41 / /mnt/near rw - fuse.mergerfs a:b rw
39 21 0:42 / /mnt/near rw - cifs //filer/near rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "is_network"),
    [
        ("/var/lib/reasoning.db", "ext4", False),
        ("/home/ann/reasoning.db", "nfs4", True),
        ("/homework/reasoning.db", "ext4", False),
        ("/home/ann/local disk/reasoning.db", "xfs", False),
        ("/mnt/far/reasoning.db", "fuse.sshfs", True),
        ("/mnt/near/reasoning.db", "cifs", True),
    ],
)
def test_the_file_system_of_a_path(path: str, kind: str, is_network: bool, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTINFO, encoding="utf-8")
    found = mount_of(Path(path), mounts)
    assert found is not None
    assert (found.kind, found.is_network) == (kind, is_network)
    assert mount_of(Path(path), tmp_path / "none") is None


def test_doctor_says_what_to_do_about_a_database_on_a_network(
    filled: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasoning: Callable[..., Result]
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n35 21 0:32 / {home} rw - nfs4 filer:/home rw\n")
    monkeypatch.setattr("reasoning_cli.store.mounts.MOUNTS", mounts)
    found = json.loads(reasoning("doctor", "--offline", "--json").stdout)
    (warned,) = [one for one in found if one["name"] == "database" and one["status"] == "warn"]
    assert f"on a network file system (nfs4 at {home})" in warned["detail"]
    assert "`reasoning data backup`" in warned["detail"]
    assert warned["fix"] == "reasoning config set store.path FILE"
