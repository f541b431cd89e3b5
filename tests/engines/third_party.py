"""A package of somebody else's that brings an engine, as pip would leave it: a module, and a record of it."""

from __future__ import annotations

from pathlib import Path

ENGINE = '''
from dataclasses import dataclass

from reasoning_cli.engines.errors import MissingError
from reasoning_cli.engines.features import Feature


@dataclass(frozen=True)
class Echo:
    text: str
    finish_reason: str = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tells_probabilities: bool = False


class Client:
    """Repeats what it is asked."""

    def close(self):
        pass

    def chat(self, model, messages, *, max_tokens, probabilities=False):
        if model != "m":
            raise MissingError(f"Acme has no model `{model}`", "ask for `m`")
        return Echo(messages[-1]["content"])


class Acme:
    name = NAME
    title = "Acme's models"
    features = frozenset({Feature.ANSWER})

    def address(self, access):
        return None

    def connect(self, access):
        return Client()


ENGINE = Acme()
'''
# One that speaks OpenAI's API at an address of its own, so that it takes our client for that.
ADDRESSED = """
from dataclasses import replace

from reasoning_cli.engines.features import Feature
from reasoning_cli.engines.registry import engine


class Acme:
    name = NAME
    title = "Acme"
    features = frozenset({Feature.ANSWER, Feature.PRICE_BY_TOKEN})

    def address(self, access):
        return access.url or URL

    def connect(self, access):
        return engine("openai").connect(replace(access, url=self.address(access)))


ENGINE = Acme()
"""


def install(folder: Path, name: str, source: str = ENGINE, *, package: str = "acme_engine") -> None:
    """Put a package into `folder` that brings an engine of that name."""
    (folder / f"{package}.py").write_text(source.replace("NAME", repr(name)))
    record = folder / f"{package}-1.0.dist-info"
    record.mkdir()
    distribution = package.replace("_", "-")
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(f"[reasoning.engines]\n{name} = {package}:ENGINE\n")
