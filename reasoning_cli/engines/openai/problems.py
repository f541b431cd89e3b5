"""What a server of the operator's own can answer instead of what was asked, as errors of ours."""

from __future__ import annotations

from reasoning_cli.errors import ConfigurationError, NotFoundError, ReasoningError, RemoteError


class ServerUnreachableError(RemoteError):
    """No answer came."""


class ServerBusyError(RemoteError):
    """It is overloaded or broken, or says nothing of use. `wait_seconds` is how long it asks to be left alone."""

    wait_seconds: float | None = None


class ServerRefusedError(ReasoningError):
    """It understood the request and will not do it, such as for a prompt longer than its context."""

    def __init__(self, message: str, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class ServerKeyError(ConfigurationError):
    """It wants another key, or one at all."""


class ServerMissingError(NotFoundError):
    """It knows no such model, or no such API is there."""
