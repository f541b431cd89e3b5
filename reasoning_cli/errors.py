"""What can go wrong, and the exit code of each.

    ReasoningError                      1  failed, or declined by the operator
      UsageError                        2  what was typed makes no sense
      ConfigurationError                4  a setting or key is missing, wrong or refused
      NotFoundError                     5  no such model, deployment, file or sample
      LimitError                        6  a budget, cap or quota says no
      RemoteError                       7  the other side is busy, broken or out of reach
      DataError                         1  a file or database cannot be read or written

Rooms raise these (or subclasses of them beside their own code); the root command turns one into two lines
on stderr and its exit code. Nothing else prints errors.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees. The table in docs/reference is made from this."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 4
    NOT_FOUND = 5
    LIMIT = 6
    REMOTE = 7
    INTERRUPTED = 130


EXIT_CODE_MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "failed, or you answered no",
    ExitCode.USAGE: "the command line makes no sense",
    ExitCode.CONFIGURATION: "a key or setting is missing, wrong or refused",
    ExitCode.NOT_FOUND: "no such model, deployment or file",
    ExitCode.LIMIT: "refused by a budget, a cap or a quota",
    ExitCode.REMOTE: "Together is busy or out of reach; trying again may help",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}


class ReasoningError(Exception):
    """An error the operator can act on.

    `message` says what is wrong, values in backticks; `hint` is the next thing to type.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ReasoningError):
    """The command line or a value on it cannot be understood."""

    exit_code = ExitCode.USAGE


class ConfigurationError(ReasoningError):
    """A setting or key is missing, malformed or refused."""

    exit_code = ExitCode.CONFIGURATION


class NotFoundError(ReasoningError):
    """Something was named that does not exist."""

    exit_code = ExitCode.NOT_FOUND


class LimitError(ReasoningError):
    """A budget, an hourly cap or the vendor's quota refuses the action."""

    exit_code = ExitCode.LIMIT


class RemoteError(ReasoningError):
    """The remote side failed or could not be reached."""

    exit_code = ExitCode.REMOTE


class DataError(ReasoningError):
    """A local file or database cannot be read or written."""
