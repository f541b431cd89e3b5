"""What the gateway is started with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.gateway.serving import Options, check, ledger_now, listen, serve
from reasoning_cli.operations.slots import SlotNow, read_slots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reasoning_cli.commands.session import Session


def run_gateway(session: Session, host: str, port: int, workers: int, *, access_log: bool) -> None:
    """Open the port, then serve until told to stop. Raises before anything is started when it must not, or cannot."""
    settings = session.settings
    check(settings, host, port)
    with listen(host, port) as door:
        port = door.getsockname()[1]
        options = _options(session, host, port, access_log)
        shown = f"[{host}]" if ":" in host else host
        session.terminal.note(f"listening on http://{shown}:{port} (Ctrl-C ends it)")
        serve(options, door, workers, say=session.terminal.note)


def _options(session: Session, host: str, port: int, access_log: bool) -> Options:
    settings = session.settings
    together_url, key = settings.get(s.BASE_URL), None
    if session.in_sandbox:
        from reasoning_cli.operations.sandbox import KEY, start_sandbox

        together_url, key = start_sandbox(settings.paths.sandbox_state, settings.get(s.SANDBOX_SPEED)).url, KEY
    return Options(host, port, together_url, key, session.profile, session.flags, access_log)


def slots_now(session: Session) -> Mapping[str, SlotNow]:
    """The slots as the gateway would see them at this moment; asks nobody."""
    settings = session.settings
    return read_slots(
        settings,
        session.store,
        ledger_now(session.store, in_sandbox=session.in_sandbox),
        together_url=settings.get(s.BASE_URL),
        together_key=settings.get(s.API_KEY),
    )
