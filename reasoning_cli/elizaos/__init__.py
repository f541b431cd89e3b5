"""The plug-in for Python elizaOS: `from reasoning_cli.elizaos import reasoning_plugin`.

Public is that function alone. Called by an agent's runtime; needs the extra `elizaos`, and nothing else of ours loads
it.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from reasoning_cli.elizaos.plugin import reasoning_plugin as reasoning_plugin


def __getattr__(name: str) -> object:
    if name != "reasoning_plugin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from reasoning_cli.elizaos.plugin import reasoning_plugin

    return reasoning_plugin
