"""What the gateway is started with."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.addresses import is_loopback
from reasoning_cli.gateway.account import ledger_now
from reasoning_cli.gateway.http.certificate import Certificate, certificate_of
from reasoning_cli.gateway.serving import DRAIN_SECONDS, Options, check, listen, serve
from reasoning_cli.operations.deploy.heads import in_line
from reasoning_cli.operations.deploy.slots import SlotNow, read_slots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reasoning_cli.commands._shared.session import Session


@dataclass(frozen=True)
class Serving:
    """How a gateway is to run; `host` and `port` None are those of the settings, `dashboard` is the port of the one
    beside it, None without one."""

    host: str | None
    port: int | None
    workers: int
    access_log: bool
    guard: bool
    wake: bool
    dashboard: int | None = None
    hosts: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None


def run_gateway(session: Session, wanted: Serving) -> None:
    """Open the port, then serve until told to stop. Raises before anything is started when it must not, or cannot."""
    from reasoning_cli.commands._shared.dashboard import dashboard_beside, refuse_dashboard
    from reasoning_cli.commands.costs.guard import guard_beside

    _set_flags(session, wanted)
    session.terminal.goes_on = True
    settings = session.settings
    host = wanted.host or settings.get(s.GATEWAY_HOST)
    port = settings.get(s.GATEWAY_PORT) if wanted.port is None else wanted.port
    check(settings, host, port)
    certificate = certificate_of(settings)
    if certificate is not None:
        certificate.context()
    if wanted.dashboard is not None:
        refuse_dashboard(wanted.dashboard)
    with listen(host, port) as door:
        port = door.getsockname()[1]
        options = _options(session, host, port, certificate, access_log=wanted.access_log)
        shown = f"[{host}]" if ":" in host else host
        scheme = "http" if certificate is None else "https"
        if session.in_sandbox:
            _say_where_the_rest_goes(session)
        session.terminal.note(f"listening on {scheme}://{shown}:{port} (Ctrl-C ends it)")
        if session.terminal.err_is_terminal:  # a service has nobody to tell it to
            session.terminal.hint(
                "lead an agent here: `reasoning gateway env`; see what comes: `reasoning gateway status --watch`"
            )
        if certificate is None and not is_loopback(host):
            session.terminal.warn("without TLS the token and every prompt come from other machines in clear")
            session.terminal.hint("`--tls-cert FILE --tls-key FILE`, or a proxy in front that speaks TLS")
        pages = nullcontext() if wanted.dashboard is None else dashboard_beside(session, wanted.dashboard)
        with pages, guard_beside(session) if wanted.guard else nullcontext():
            serve(options, door, wanted.workers, say=session.terminal.note)


def _say_where_the_rest_goes(session: Session) -> None:
    """In the sandbox: who answers what no model of its does, and loudly where that is a real provider."""
    settings, terminal = session.settings, session.terminal
    named = [item for item in (s.OPENAI_UPSTREAM, s.ANTHROPIC_UPSTREAM) if settings.find(item)[0] is not None]
    for setting in named:
        terminal.warn(f"{setting.name} is {settings.get(setting)}: what no model here answers goes there, for real")
    if not named:
        terminal.note("What no model here answers, the sandbox's stand-in for your agent's provider answers.")


def _set_flags(session: Session, wanted: Serving) -> None:
    """Let options that settings exist for too be read as such, in each worker."""
    if wanted.wake:
        session.flags |= {setting.name: "true" for setting in s.WAKE.values()}
    if wanted.hosts:
        session.flags[s.GATEWAY_HOSTS.name] = ",".join(wanted.hosts)
    for setting, path in _files(wanted):
        session.flags[setting.name] = str(path)
    session.read_settings_again()


def systemd_unit(session: Session, wanted: Serving) -> str:
    """A user unit, one for each profile, that starts a gateway as it is wanted."""
    from reasoning_cli.commands._shared.services import LINGER, unit_lines

    words = ["gateway", "serve"]
    words += ["--host", wanted.host] if wanted.host else []
    words += ["--port", str(wanted.port)] if wanted.port is not None else []
    words += ["--workers", str(wanted.workers)] if wanted.workers > 1 else []
    words += [word for name in wanted.hosts for word in ("--allow-host", name)]
    for setting, path in _files(wanted):
        words += [f"--{setting.name.partition('.')[2].replace('_', '-')}", str(path)]
    words += [f"--{name}" for name, on in _switches(wanted) if on]
    words += ["--dashboard", "--dashboard-port", str(wanted.dashboard)] if wanted.dashboard is not None else []
    profile = session.settings.paths.profile
    unit = f"reasoning-gateway-{profile}" if profile else "reasoning-gateway"
    return f"""\
# ~/.config/systemd/user/{unit}.service
# then: systemctl --user enable --now {unit}
{LINGER}
[Unit]
Description=reasoning: answer an agent's decisions with models of our own
After=network-online.target

[Service]
{unit_lines(session, *words)}
Restart=always
RestartSec=1
# Calls under way are answered first.
TimeoutStopSec={DRAIN_SECONDS + 15}
LimitNOFILE=65536

[Install]
WantedBy=default.target"""


def _files(wanted: Serving) -> list[tuple[s.Setting[Path | None], Path]]:
    """The files that were named, as they are called from anywhere."""
    named = (s.GATEWAY_TLS_CERT, wanted.tls_cert), (s.GATEWAY_TLS_KEY, wanted.tls_key)
    return [(setting, path.expanduser().absolute()) for setting, path in named if path is not None]


def _switches(wanted: Serving) -> tuple[tuple[str, bool], ...]:
    return ("access-log", wanted.access_log), ("guard", wanted.guard), ("wake", wanted.wake)


def _options(session: Session, host: str, port: int, certificate: Certificate | None, *, access_log: bool) -> Options:
    url, key = None, None
    if session.in_sandbox:
        from reasoning_cli.operations.sandbox import KEY

        url, key = session.start_sandbox().url, KEY
    return Options(
        host,
        port,
        url,
        key,
        session.profile,
        session.flags,
        access_log,
        poll_seconds=session.poll_seconds,
        tls_cert=None if certificate is None else str(certificate.certificate.absolute()),
        tls_key=None if certificate is None else str(certificate.key.absolute()),
    )


def slots_now(session: Session) -> Mapping[str, SlotNow]:
    """The slots as the gateway would see them at this moment; asks nobody."""
    settings = session.settings
    slots = read_slots(
        settings,
        session.store,
        ledger_now(session.store, in_sandbox=session.in_sandbox),
        together_url=settings.get(s.BASE_URL),
        together_key=settings.get(s.API_KEY),
    )
    return in_line(session.settings, session.store, slots)
