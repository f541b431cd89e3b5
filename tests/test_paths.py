"""Where files live, who may read them, and that no half-written file is ever seen."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reasoning_cli import paths
from reasoning_cli.dotenv_file import read_dotenv
from reasoning_cli.errors import ConfigurationError, DataError
from reasoning_cli.paths import find_paths, is_private, make_private_dir, read_small, replacing, write_private
from reasoning_cli.settings_file import read_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def careless_umask() -> object:
    """Modes must be right whatever the operator's umask is."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def folder() -> Path:
    """An empty folder."""
    return Path.cwd()


def test_home_variable_moves_everything(tmp_path: Path) -> None:
    paths = find_paths({"REASONING_HOME": str(tmp_path / "agent")})
    for place in (paths.config_file, paths.database, paths.names_cache, paths.sandbox_state):
        assert place.is_relative_to(tmp_path / "agent")


def test_home_may_start_at_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_paths({"REASONING_HOME": "~/agent"}).config_file == tmp_path / "agent" / "config.toml"


def test_without_home_the_conventions_of_the_platform_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    paths = find_paths({})
    assert paths.config_file == tmp_path / "config" / "reasoning" / "config.toml"
    assert paths.database == tmp_path / "data" / "reasoning" / "reasoning.db"
    assert paths.names_cache == tmp_path / "cache" / "reasoning" / "names.json"


def test_the_sandbox_shares_no_file_with_the_real_places(tmp_path: Path) -> None:
    real = find_paths({"REASONING_HOME": str(tmp_path)})
    ours = {real.config_file, real.database, real.names_cache, real.sandbox_state}
    rehearsed = real.sandbox()
    assert ours.isdisjoint({rehearsed.config_file, rehearsed.database, rehearsed.names_cache, rehearsed.sandbox_state})


def test_profiles_share_no_file_with_each_other_or_the_default(tmp_path: Path) -> None:
    real = find_paths({"REASONING_HOME": str(tmp_path)})
    places = [real, real.of_profile("a"), real.of_profile("b")]
    places += [one.sandbox() for one in places]
    files = [file for one in places for file in (one.config_file, one.database, one.names_cache, one.sandbox_state)]
    assert len(set(files)) == len(files)


def test_a_profile_lives_below_each_folder_of_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    paths = find_paths({"REASONING_PROFILE": "berlin"})
    assert paths.config_file == tmp_path / "config" / "reasoning" / "profiles" / "berlin" / "config.toml"
    assert paths.database == tmp_path / "data" / "reasoning" / "profiles" / "berlin" / "reasoning.db"
    assert paths.names_cache == tmp_path / "cache" / "reasoning" / "profiles" / "berlin" / "names.json"
    assert find_paths({"REASONING_PROFILE": "berlin"}, "default") == find_paths({})


def test_profiles_are_found_by_their_settings_or_their_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    assert find_paths({}).profiles() == []
    make_private_dir(find_paths({}, "b").config_file.parent)
    make_private_dir(find_paths({}, "a").data_dir)
    make_private_dir(find_paths({}, "only-a-cache").cache_dir)
    make_private_dir(find_paths({}).data_dir / "profiles" / "-rf")
    assert find_paths({}).profiles() == ["a", "b"]


def test_folders_made_here_are_private_with_all_their_parents(tmp_path: Path) -> None:
    make_private_dir(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / one) for one in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private_dir(tmp_path / "new")
    make_private_dir(tmp_path)
    assert mode(tmp_path) == 0o755


def test_a_file_in_the_way_of_a_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataError, match="cannot make the folder") as caught:
            make_private_dir(folder)
        assert "REASONING_HOME" in str(caught.value.hint)


def test_a_written_file_is_private_even_where_a_public_one_was(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("old")
    file.chmod(0o644)
    assert not is_private(file)
    write_private(file, "new")
    assert (file.read_text(), mode(file), is_private(file)) == ("new", 0o600, True)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_private_means_nothing_for_anybody_else(tmp_path: Path, bits: int) -> None:
    file = tmp_path / "config.toml"
    file.write_text("")
    file.chmod(bits)
    assert not is_private(file)


def test_a_link_stays_a_link_and_the_file_it_leads_to_is_written(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "config.toml"
    target.parent.mkdir()
    target.write_text("old")
    link = tmp_path / "config.toml"
    link.symlink_to(target)
    write_private(link, "new")
    assert (link.is_symlink(), target.read_text()) == (True, "new")


def test_a_failure_leaves_the_old_file_and_nothing_else(folder: Path) -> None:
    file = folder / "samples.jsonl"
    file.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(file) as part:
        part.write(b"half of the new")
        part.flush()
        raise KeyboardInterrupt
    assert (file.read_bytes(), list(folder.iterdir())) == (b"old", [file])


def test_until_the_end_readers_see_the_old_file(folder: Path) -> None:
    file = folder / "samples.jsonl"
    file.write_bytes(b"old")
    with replacing(file) as part:
        part.write(b"new")
        part.flush()
        assert file.read_bytes() == b"old"
        (beside,) = set(folder.iterdir()) - {file}
        assert mode(beside) == 0o600
    assert file.read_bytes() == b"new"


def test_a_file_that_cannot_be_put_in_place_leaves_no_draft(folder: Path) -> None:
    (folder / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(DataError, match="cannot write"):
        write_private(folder / "taken", "text")
    assert [one.name for one in folder.iterdir()] == ["taken"]


def test_what_is_no_small_file_is_refused_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "config.toml"
    os.mkfifo(place)
    for path in (place, Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"pipe or a device|Is a directory"):
            read_small(path)
    assert read_small(Path(os.devnull)) == b""
    monkeypatch.setattr(paths, "_SMALL_BYTES", 1 << 20)
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(OSError, match="more than 1 MB"):
        read_small(tmp_path / "large")
    # So neither settings nor the `.env` of a folder of somebody else's keeps a command waiting.
    (tmp_path / ".env").symlink_to("/dev/zero")
    assert read_dotenv(tmp_path / ".env") == {}
    with pytest.raises(ConfigurationError, match="it is a pipe or a device"):
        read_file(place)
