"""What a check of conformance finds."""

from __future__ import annotations

from collections.abc import Sequence


class NotConforming(AssertionError):
    """What was checked does not keep to its interface. `findings` says where, a sentence each."""

    def __init__(self, what: str, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join([f"{what} does not conform:", *(f"- {finding}" for finding in findings)]))
