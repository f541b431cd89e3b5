"""Where real agents written in Python are installed, each in an environment of its own; tests skip without."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from platformdirs import user_cache_path


def python_with(*packages: str) -> Path:
    """A Python that has these packages (`name==version`, the first naming the environment), installed when it is first
    needed, once for all checkouts."""
    caches = user_cache_path("reasoning-tests", ensure_exists=True)
    folder = caches / f"python-{packages[0].replace('==', '-')}-{sys.version_info.major}.{sys.version_info.minor}"
    python, whole = folder / "bin" / "python", folder / "whole"
    if whole.is_file():
        return python
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
    if made.returncode == 0:
        made = subprocess.run([python, "-m", "pip", "install", "-q", *packages], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"{packages[0]} cannot be installed: {made.stderr.strip()[-300:]}")
    whole.touch()
    return python
