"""A call of the agent's that may be a decision, with the call itself as baseline: what that gives comes back as it is.

Never less than without us: whatever of ours fails, the call is made.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from reasoning_cli.gateway.dialects.forms import CapturedResponse
from reasoning_cli.library.results import ServiceClosedError

if TYPE_CHECKING:
    from reasoning_cli.gateway.decision_path import Request
    from reasoning_cli.library.core import Core, Turn

_log = logging.getLogger(__name__)
Note = Callable[[str | None, str | None], None]
"""Gets the type and the sample of a decision that was answered."""


async def around(
    core: Core, request: Request, call: Callable[[], Awaitable[Any]], note: Note, *, ask_model: bool = True
) -> Any:
    """The model's answer as text, or whatever the call gives; unless `ask_model`, that alone. Raises what the call
    does."""
    turn = await _begun(core, request, ask_model)
    if turn is not None and turn.reply is not None:
        _noted(turn, note)
        return turn.reply.text
    try:
        given = await call()
    except BaseException as error:
        if turn is not None:
            core.fail(turn, error)
        raise
    if turn is not None:
        _finish(core, turn, str(given) if given else "", note)
    return given


async def around_stream(
    core: Core, request: Request, call: Callable[[], AsyncIterator[str]], note: Note, *, ask_model: bool = True
) -> AsyncGenerator[str, None]:
    """The same of a call that streams. An answer that is left before its end is recorded as cut."""
    turn = await _begun(core, request, ask_model)
    if turn is not None and turn.reply is not None:
        _noted(turn, note)
        yield turn.reply.text
        return
    pieces: list[str] = []
    try:
        async for piece in call():
            pieces.append(piece)
            yield piece
    except BaseException as error:
        if turn is not None and pieces:
            _finish(core, turn, "".join(pieces), note, cut="broken off")
        elif turn is not None:
            core.fail(turn, error)
        raise
    if turn is not None:
        _finish(core, turn, "".join(pieces), note)


async def _begun(core: Core, request: Request, ask_model: bool) -> Turn | None:
    """The decision under way; None where it cannot be made here."""
    try:
        core.check_loop()
        return await core.begin(request, ask_model=ask_model)
    except ServiceClosedError as error:
        _log.warning("a decision is left to the agent's own model: %s", error)
    except Exception:
        _log.exception("a decision is left to the agent's own model")
    return None


def _finish(core: Core, turn: Turn, text: str, note: Note, cut: str | None = None) -> None:
    """Record what the agent got. Raises nothing."""
    try:
        response = CapturedResponse(text, None, None, None, whole=cut is None, end=cut or "stop")
        core.finish(turn, response, round((time.perf_counter() - turn.began) * 1000))
        _noted(turn, note)
    except Exception:
        _log.exception("a decision is not recorded")


def _noted(turn: Turn, note: Note) -> None:
    if turn.decision is not None:
        note(turn.decision.route.recognition.model_type, turn.decision.sample_id)
