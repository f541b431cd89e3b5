"""The program itself, `reasoning gateway serve`, in a process of its own: to be measured, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from reasoning_cli.values import MODEL_TYPES

_KEPT = ("PATH", "HOME", "PYTHONPATH", "LANG", "REASONING_STORE_URL", "REASONING_STORE_SCHEMA")


class Program:
    """One gateway with all it keeps under `home`, with the slots at `model` and everything else at `original`."""

    def __init__(self, home: Path, original: str, model: str | None, environ: Mapping[str, str] | None = None) -> None:
        kept = {name: value for name, value in os.environ.items() if name in _KEPT}
        self._environ = {**kept, "REASONING_HOME": str(home), **(environ or {})}
        self._home, self.database = home, home / "reasoning.db"
        lines = ["[gateway]", f'openai_upstream = "{original}/v1"', f'anthropic_upstream = "{original}/v1"']
        for model_type in MODEL_TYPES if model else ():
            lines += [f"[{model_type}]", f'provider_url = "{model}/v1"', 'model = "acme/model"', "deadline_ms = 5000"]
        (home / "config.toml").write_text("\n".join(lines) + "\n")
        (home / "config.toml").chmod(0o600)
        self.start()

    def start(self, port: int = 0) -> None:
        """Start it; it takes calls when this returns."""
        command = [sys.executable, "-m", "reasoning_cli", "gateway", "serve", "--port", str(port)]
        self.process = subprocess.Popen(command, cwd=self._home, env=self._environ, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:
            said += line
            if "listening on " in line:
                self.url = line.split("listening on ")[1].split()[0]
                break
        else:
            raise AssertionError(said)
        self._rest = threading.Thread(target=self.process.stderr.read, daemon=True)
        self._rest.start()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def memory_mb(self, what: str = "VmRSS") -> float:
        """What it holds now; the most it ever held: `VmHWM`."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self._ended()

    def stop(self) -> int:
        """Ask it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        code = self.process.wait(60)
        self._rest.join(60)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code
