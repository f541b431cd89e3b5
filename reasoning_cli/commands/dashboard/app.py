"""`dashboard`: the page an operator leaves open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import DASHBOARD_PORT
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import ConfigurationError, UsageError

app = typer.Typer(rich_markup_mode=None)


@app.command()
def dashboard(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="0 = any free one.", min=0, max=65535)] = DASHBOARD_PORT,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="May be called so too (repeatable).")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate to serve TLS with.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
    open_: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open it in the browser; default: where this is a terminal."),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, and act on nothing.")] = False,
    beside: Annotated[int | None, typer.Option(hidden=True, help="The process whose end is its end.")] = None,
) -> None:
    """A page in your browser: what runs, what it costs, what the guard does next, what waits for your yes.

    The link it prints logs in once, within ten minutes. Only this machine can reach it, unless `--host` says otherwise.
    """
    from reasoning_cli.commands._shared.dashboard import require_library

    session = session_of(ctx)
    require_library()
    from reasoning_cli.commands.dashboard._program import InProcess, run_words
    from reasoning_cli.dashboard.server import Serving, serve
    from reasoning_cli.gateway.http.certificate import Certificate
    from reasoning_cli.gateway.serving import listen

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("a certificate and its key belong together", "`--tls-cert FILE --tls-key FILE`")
    if tls_cert is not None and tls_key is not None:
        Certificate(tls_cert, tls_key).context()
    _refuse_open_door(session, host, tls_cert)
    _ = session.settings  # what is wrong with them is said now, and not on the page alone
    root = ctx.find_root().command
    with listen(host, port) as door:
        serving = Serving(door.getsockname()[1], _names(host, allow_host or []), tls_cert, tls_key, read_only, beside)
        programs = InProcess(session, root), InProcess(session, root)
        wanted = session.terminal.err_is_terminal if open_ is None else open_
        session.terminal.goes_on = True

        def show_link(link: str, first: bool) -> None:
            session.terminal.print(link)
            if not first:
                return
            how = "Ctrl-C ends the dashboard." if beside is None else "The dashboard ends with the gateway."
            session.terminal.note(f"This link logs in once, within ten minutes. {how}")
            if wanted:
                import webbrowser

                webbrowser.open(link)

        try:
            serve(serving, door, programs, run_words(session), show_link=show_link)
        finally:
            for program in programs:
                program.close()


def _refuse_open_door(session: Session, host: str, certificate: Path | None) -> None:
    """Refuse to show everything in clear to whoever is on the way."""
    from reasoning_cli import settings as s
    from reasoning_cli.addresses import is_loopback

    if is_loopback(host) or certificate is not None or session.settings.get(s.PLAIN_HTTP):
        return
    raise ConfigurationError(
        f"on `{host}` others can reach the dashboard, and without TLS anybody on the way there can read along",
        "`--tls-cert FILE --tls-key FILE`; or allow it: `reasoning --allow-plain-http dashboard …`",
    )


def _names(host: str, allowed: list[str]) -> tuple[str, ...]:
    """What the dashboard is called: where it listens, for this machine all its names, and what is allowed besides."""
    from reasoning_cli.addresses import is_loopback

    own = [host, "127.0.0.1", "localhost", "::1"] if is_loopback(host) else [host]
    if host in ("0.0.0.0", "::"):
        if not allowed:
            raise UsageError("by which name is it called?", "`--allow-host NAME`: a page elsewhere has another")
        own = []
    return tuple(dict.fromkeys([*allowed[:1], *own, *allowed] if not own else [*own, *allowed]))
