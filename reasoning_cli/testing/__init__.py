"""Conformance: whether what others implement keeps to the interfaces of `reasoning`.

Public, and stays as it is. Called by the tests of whoever implements one; no command of ours does.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from reasoning_cli.testing.engines import check_engine as check_engine
    from reasoning_cli.testing.services import check_service as check_service
    from reasoning_cli.testing.verdict import NotConforming as NotConforming

_HOMES = {"NotConforming": "verdict", "check_engine": "engines", "check_service": "services"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
