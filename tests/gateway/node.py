"""Where real clients written for Node are installed; tests that need them skip without."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from tests.conftest import SHARED

# A folder with `node_modules`, and for the agent with its `agent.mjs`.
VARIABLE = "ELIZA_AGENT_FOLDER"


def node_folder(package: str) -> Path:
    """The folder in whose `node_modules` a package is: $ELIZA_AGENT_FOLDER, or ../shared/eliza-agent."""
    places = [Path(place) for place in (os.environ.get(VARIABLE), SHARED / "eliza-agent") if place]
    found = next((place for place in places if (place / "node_modules" / package).is_dir()), None)
    if found is None or shutil.which("node") is None:
        pytest.skip(f"no node, or no {package}: run `npm install` there and set ${VARIABLE}")
    return found


def installed(package: str, version: str, *beside: str) -> Path:
    """The folder in whose `node_modules` a package of the registry is, of that version and nothing newer, with others
    `beside` it (`name@version`). It is installed when it is first needed, once for all checkouts."""
    if shutil.which("npm") is None:
        pytest.skip(f"no npm to install {package} with")
    caches = user_cache_path("reasoning-tests", ensure_exists=True)
    found = caches / f"{package.replace('/', '-')}-{version}"
    if found.is_dir():
        return found
    with tempfile.TemporaryDirectory(dir=caches) as began:
        command = ["npm", "install", "--prefix", began, "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run([*command, f"{package}@{version}", *beside], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install {package} {version}: {done.stderr.strip()[-300:]}")
        with contextlib.suppress(OSError):  # another process was faster
            Path(began).rename(found)
            Path(began).mkdir()
    return found
