"""Where real clients written for Node are installed; tests that need them skip without."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

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
