"""The guide's agent, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.elizaos import driving
from tests.gateway import eliza_py
from tests.gateway.provider import Provider


def test_the_agent_of_the_guide_answers_by_the_model(model: Provider, tmp_path: Path) -> None:
    python = driving.python()
    guide = (driving.ROOT / "docs" / "guides" / "elizaos.md").read_text(encoding="utf-8")
    [script] = re.findall(r"^```python\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    (tmp_path / "agent.py").write_text(script, encoding="utf-8")
    original = Provider(eliza_py.original)
    environ = {name: os.environ[name] for name in ("PATH", "REASONING_HOME")} | {
        "OPENAI_API_KEY": "sk-dummy",
        "OPENAI_BASE_URL": f"{original.url}/v1",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(driving.ROOT),
    }
    done = subprocess.run([python, "agent.py"], cwd=tmp_path, env=environ, capture_output=True, text=True)
    original.close()
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Hello from the model ✨ <3" in done.stdout.splitlines()  # among what the runtime logs
    assert original.received == []
