"""Questions with more than a yes or no, for the set-up wizard; a protocol, so that a script can answer too."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reasoning_cli.terminal.cleaning import visible

if TYPE_CHECKING:
    from prompt_toolkit.output import Output


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
    """Asks with questionary; needs a terminal on both ends. Questions go to stderr: stdout may lead into a file."""

    def text(self, question: str, default: str = "") -> str:
        import questionary

        return str(questionary.text(visible(question), default=default, output=_stderr()).unsafe_ask()).strip()

    def secret(self, question: str) -> str:
        import questionary

        return str(questionary.password(visible(question), output=_stderr()).unsafe_ask()).strip()

    def choose(self, question: str, choices: Sequence[Choice]) -> str:
        import questionary

        options = [questionary.Choice(visible(choice.title), value=choice.value) for choice in choices]
        first = next((option for option, choice in zip(options, choices, strict=True) if choice.ticked), None)
        return str(questionary.select(visible(question), options, default=first, output=_stderr()).unsafe_ask())

    def tick(self, question: str, choices: Sequence[Choice]) -> list[str]:
        import questionary

        options = [
            questionary.Choice(visible(choice.title), value=choice.value, checked=choice.ticked) for choice in choices
        ]
        return [str(value) for value in questionary.checkbox(visible(question), options, output=_stderr()).unsafe_ask()]

    def confirm(self, question: str, default: bool = False) -> bool:
        import questionary

        return bool(questionary.confirm(visible(question), default=default, output=_stderr()).unsafe_ask())


def _stderr() -> Output:
    from prompt_toolkit.output import create_output

    return create_output(stdout=sys.stderr)
