"""Questions with more than a yes or no, for the set-up wizard; a protocol, so that a script can answer too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Choice:
    """One thing to choose: what is shown, what it stands for, and whether it is ticked at first."""

    title: str
    value: str
    ticked: bool = False


class Prompter(Protocol):
    """Somebody who answers. Ctrl-C raises KeyboardInterrupt."""

    def text(self, question: str, default: str = "") -> str: ...

    def secret(self, question: str) -> str: ...

    def choose(self, question: str, choices: Sequence[Choice]) -> str: ...

    def tick(self, question: str, choices: Sequence[Choice]) -> list[str]: ...

    def confirm(self, question: str, default: bool = False) -> bool: ...


class TerminalPrompter:
    """Asks with questionary; needs a terminal on both ends."""

    def text(self, question: str, default: str = "") -> str:
        import questionary

        return str(questionary.text(question, default=default).unsafe_ask()).strip()

    def secret(self, question: str) -> str:
        import questionary

        return str(questionary.password(question).unsafe_ask()).strip()

    def choose(self, question: str, choices: Sequence[Choice]) -> str:
        import questionary

        options = [questionary.Choice(choice.title, value=choice.value) for choice in choices]
        first = next((option for option, choice in zip(options, choices, strict=True) if choice.ticked), None)
        return str(questionary.select(question, options, default=first).unsafe_ask())

    def tick(self, question: str, choices: Sequence[Choice]) -> list[str]:
        import questionary

        options = [questionary.Choice(choice.title, value=choice.value, checked=choice.ticked) for choice in choices]
        return [str(value) for value in questionary.checkbox(question, options).unsafe_ask()]

    def confirm(self, question: str, default: bool = False) -> bool:
        import questionary

        return bool(questionary.confirm(question, default=default).unsafe_ask())
