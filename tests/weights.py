"""Folders of weights for tests: real safetensors files, of any size."""

from __future__ import annotations

import json
import struct
from pathlib import Path


def write_tensors(path: Path, size: int = 100, fill: bytes = b"w") -> None:
    """A safetensors file with one tensor of `size` bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + fill * size)


def write_model(folder: Path, size: int = 100) -> Path:
    """Whole weights in one file."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"]}')
    (folder / "tokenizer.json").write_text("{}")
    write_tensors(folder / "model.safetensors", size)
    return folder


def write_shards(folder: Path, count: int = 3) -> Path:
    """Whole weights in several files with their index."""
    write_model(folder)
    (folder / "model.safetensors").unlink()
    names = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    for name in names:
        write_tensors(folder / name)
    index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def write_adapter(folder: Path, base: str = "Qwen/Qwen3-8B") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "r": 8}))
    write_tensors(folder / "adapter_model.safetensors")
    return folder
