"""A folder of weights is checked before anything is sent: what is a model of it, and what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reasoning_cli.errors import DataError, NotFoundError, ReasoningError, UsageError
from reasoning_cli.operations.weights.folder import PART_BYTES, WeightFile, local_folder, read_folder
from tests.weights import write_adapter, write_model, write_shards, write_tensors

BASE = "Qwen/Qwen3-8B"
INDEX = "model.safetensors.index.json"


def test_the_files_of_a_model_are_sent_and_the_rest_stays(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "mine")
    for name in ("optimizer.pt", "pytorch_model.bin", "trainer_state.json", "notes.gguf", ".DS_Store"):
        (folder / name).write_bytes(b"junk")
    for name in (".git", "checkpoint-500", "runs"):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(b"junk")
    (folder / "added_tokens.json").touch()
    (folder / "LICENSE").write_text("as it is")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    found = read_folder(folder, "model", BASE)
    shards = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    wanted = ["1_Pooling/config.json", "LICENSE", "config.json", *shards, INDEX, "tokenizer.json"]
    assert [one.path for one in found.files] == sorted(wanted)
    assert found.size == sum((folder / one.path).stat().st_size for one in found.files)
    assert {one.path: one.why for one in found.left_out} == {
        ".DS_Store": "hidden",
        ".git/": "hidden",
        "added_tokens.json": "empty",
        "checkpoint-500/": "of the training, not of the model",
        "notes.gguf": "not a format of models",
        "optimizer.pt": "of the training, not of the model",
        "pytorch_model.bin": "not a format of models",
        "runs/": "of the training, not of the model",
        "trainer_state.json": "of the training, not of the model",
    }


def test_links_within_the_folder_are_what_they_lead_to(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    (folder / "model.safetensors").symlink_to("weights.safetensors")
    assert "model.safetensors" in [one.path for one in read_folder(folder, "model", BASE).files]


Spoil = Callable[[Path], object]
SPOILT: list[tuple[str, Spoil, str]] = [
    ("no config", lambda f: (f / "config.json").unlink(), "has no config.json"),
    ("broken config", lambda f: (f / "config.json").write_text("{"), "not the JSON it should be"),
    ("empty config", lambda f: (f / "config.json").write_text(""), "not the JSON it should be"),
    ("listed config", lambda f: (f / "config.json").write_text("[]"), "it is not an object"),
    ("deep config", lambda f: (f / "config.json").write_text("[" * 100_000), "not the JSON it should be"),
    ("no index", lambda f: (f / INDEX).unlink(), f"in 3 parts and no {INDEX}"),
    ("empty index", lambda f: (f / INDEX).write_text("{}"), "names no weights"),
    ("a shard gone", lambda f: (f / "model-00002-of-00003.safetensors").unlink(), "is not whole: `model-00002-of"),
    (
        "a shard that only the index lacks",
        lambda f: (
            (f / "model-00003-of-00003.safetensors").unlink(),
            (f / INDEX).write_text(json.dumps({"weight_map": {"a": "model-00001-of-00003.safetensors"}})),
        ),
        "is not whole: `model-00003-of",
    ),
    ("a shard empty", lambda f: (f / "model-00001-of-00003.safetensors").write_bytes(b""), "is empty"),
    (
        "a shard cut",
        lambda f: (f / "model-00001-of-00003.safetensors").write_bytes(
            (f / "model-00001-of-00003.safetensors").read_bytes()[:-7]
        ),
        "is not whole: 1",
    ),
    (
        "no tensors",
        lambda f: (f / "model-00001-of-00003.safetensors").write_bytes(b"x" * 50),
        "is not a safetensors file",
    ),
    (
        "a pointer",
        lambda f: (f / "model-00001-of-00003.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "only points to its weights in Git LFS",
    ),
    ("no weights", lambda f: [one.unlink() for one in f.glob("*.safetensors")], "has no *.safetensors"),
    ("a link out", lambda f: (f / "extra.json").symlink_to("/etc/hostname"), "a link that leads out of the folder"),
    ("a folder out", lambda f: (f / "extra").symlink_to("/etc"), "a link that leads out of the folder"),
    ("a broken link", lambda f: (f / "extra.json").symlink_to("nothing"), "not a file that can be read"),
    ("a name", lambda f: (f / "a\nb.json").write_text("{}"), "a name that cannot be sent"),
]


@pytest.mark.parametrize(("spoil", "said"), [(one, said) for _, one, said in SPOILT], ids=[one[0] for one in SPOILT])
def test_what_is_missing_or_broken_is_told(tmp_path: Path, spoil: Spoil, said: str) -> None:
    folder = write_shards(tmp_path / "mine")
    spoil(folder)
    with pytest.raises(DataError) as caught:
        read_folder(folder, "model", BASE)
    assert said in caught.value.message


@pytest.mark.parametrize("said", [BASE, "unsloth/qwen3-8b-unsloth-bnb-4bit", "/home/me/models/Qwen3-8B/"])
def test_an_adapter_is_to_the_base_it_was_trained_on(tmp_path: Path, said: str) -> None:
    folder = write_adapter(tmp_path / "mine", said)
    assert len(read_folder(folder, "adapter", BASE).files) == 2
    with pytest.raises(UsageError, match="was trained on"):
        read_folder(folder, "adapter", "Qwen/Qwen3-14B")


def test_a_kind_that_it_is_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds an adapter"):
        read_folder(write_adapter(tmp_path / "one"), "model", BASE)
    with pytest.raises(UsageError, match="holds whole weights"):
        read_folder(write_model(tmp_path / "two"), "adapter", BASE)
    (tmp_path / "one" / "adapter_model.safetensors").unlink()
    with pytest.raises(DataError, match="has no adapter_model"):
        read_folder(tmp_path / "one", "adapter", BASE)


def test_no_folder_is_told(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors")
    for name, said in (("a.safetensors", "a file, not a folder"), ("nothing", "not a folder")):
        with pytest.raises(NotFoundError, match=said):
            read_folder(tmp_path / name, "model", BASE)


def test_the_parts_of_a_file_are_all_of_it() -> None:
    for size in (1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES):
        file = WeightFile("a", size, 0)
        parts = [file.part(number) for number in range(1, file.part_count + 1)]
        assert sum(length for _, length in parts) == size
        assert [offset for offset, _ in parts] == [number * PART_BYTES for number in range(file.part_count)]


def test_what_from_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme" / "mine").mkdir(parents=True)
    assert local_folder("./acme/mine") == Path("acme/mine")
    assert local_folder("acme") == Path("acme")
    assert local_folder("/nowhere") == Path("/nowhere")
    assert (local_folder("acme/other"), local_folder("https://hf.example/a/b")) == (None, None)
    with pytest.raises(ReasoningError, match="may be a Hugging Face repository"):
        local_folder("acme/mine")
