"""Whose decisions are served: the settings, slots and log of one account, read anew while it serves.

Used by the gateway's processes and by the library in process. Nothing here knows of a connection from a caller.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reasoning_cli import settings as s
from reasoning_cli.addresses import is_loopback
from reasoning_cli.gateway.circuit import IN_A_ROW
from reasoning_cli.gateway.last_seen import LastSeen
from reasoning_cli.gateway.slot_cache import Book, View
from reasoning_cli.gateway.waking import Notify
from reasoning_cli.operations.deploy.heads import in_line
from reasoning_cli.operations.deploy.slots import HEAD_TYPE, READY, SlotNow, closed_by, read_slots, slots_of_settings
from reasoning_cli.operations.evaluate.head_watch import Auditor
from reasoning_cli.operations.sandbox import ORIGINAL_PATH, find_sandbox, stay_awake
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import Settings, environment, load_settings
from reasoning_cli.store.database import Store
from reasoning_cli.store.deploy.deployments import Deployments
from reasoning_cli.store.deploy.meter_readings import Ledger
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.rewrite import log_salt
from reasoning_cli.store.serving.attempts import NO_FAULT
from reasoning_cli.store.serving.failures import AskedModel, failed_in_a_row
from reasoning_cli.store.serving.spool import Recording, Spool, spool_of
from reasoning_cli.values import IMPATIENT, DatabaseAddress, with_patience

if TYPE_CHECKING:
    from pathlib import Path

    from reasoning_cli.store.samples.training_log import Sample
    from reasoning_cli.store.serving.attempts import AttemptRecord

_STAY_AWAKE_SECONDS = 60.0  # between two words to the sandbox, which ends after a silence
_SETTLE_SECONDS = 60.0
_FAILURES = timedelta(minutes=5)


@dataclass(frozen=True)
class Account:
    """A profile with the flags that overrule its settings. `sandbox_url` and `sandbox_key` are where slots' models are
    asked in the sandbox, None outside."""

    profile: str | None = None
    flags: Mapping[str, str] | None = None
    sandbox_url: str | None = None
    sandbox_key: str | None = None

    def settings(self) -> Settings:
        """The settings as they are now. Raises ConfigurationError."""
        environ = environment()
        return load_settings(find_paths(environ, self.profile), environ, self.flags)

    def open_store(self, settings: Settings | None = None) -> Store:
        """The log and ledger. Raises DataError."""
        settings = settings or self.settings()
        return open_store(settings.place(), _realm(settings))

    def open_log(self) -> Store:
        """The same for what has to get on: a server that stands still is left soon. Raises ReasoningError."""
        settings = self.settings()
        return open_store(with_patience(settings.place(), IMPATIENT), _realm(settings))

    def is_shared(self) -> bool:
        """Whether several hosts may work on the log and ledger."""
        return isinstance(self.settings().place(), DatabaseAddress)

    def spool(self) -> Spool | None:
        """Where decisions wait while a store over the network cannot be written; beside a file only what was left."""
        settings = self.settings()
        if isinstance(settings.place(), DatabaseAddress):
            return spool_of(settings.database(), settings.get(s.SPOOL_MB) * 1_000_000)
        left = spool_of(settings.database())
        return left if left.path.exists() else None

    def together(self, settings: Settings) -> tuple[str, str | None]:
        """Where slots' models are asked, and with which key: of one moment, as a key must not go where another one
        may."""
        if self.sandbox_url is not None:
            return _sandbox_url(self.sandbox_url, settings), self.sandbox_key
        return settings.get(s.BASE_URL), settings.get(s.API_KEY)

    def upstream(self, settings: Settings, setting: s.Setting[str]) -> str:
        """Where what no model of ours answers goes: in the sandbox to its stand-in, unless its settings name a
        provider."""
        if self.sandbox_url is not None and settings.find(setting)[0] is None:
            return f"{_sandbox_url(self.sandbox_url, settings)}{ORIGINAL_PATH}"
        return settings.get(setting)


def _realm(settings: Settings) -> str:
    return "sandbox" if settings.outside is not None else "together"


def _sandbox_url(first: str, settings: Settings) -> str:
    """Where the sandbox is now: it may have ended and been started anew since it was at `first`."""
    running = find_sandbox(settings.paths.sandbox_state)
    return first if running is None else running.url


class Reader:
    """Reads the settings and the ledger anew each time it is called, over one connection of its own.

    `host` is where callers come in; `check` raises ConfigurationError for settings that must not be used.
    """

    def __init__(self, account: Account, host: str, check: Callable[[Settings], None]) -> None:
        self._account, self._check = account, check
        # Open to whoever is on this machine, and to pages in a browser there.
        self._on_loopback = is_loopback(host)
        self._store: Store | None = None
        self._place: Path | DatabaseAddress | None = None
        self._salt: bytes | None = None
        self._last_seen: LastSeen | None = None
        self._auditor = Auditor()
        self._touched = -_STAY_AWAKE_SECONDS

    def __call__(self) -> View:
        account, settings = self._account, self._account.settings()
        store = self._opened(settings)
        url, key = account.together(settings)
        if account.sandbox_url is not None and time.monotonic() - self._touched >= _STAY_AWAKE_SECONDS:
            self._touched = time.monotonic()
            stay_awake(url)
        slots = _slots(settings, store, url, key)
        if self._auditor.took_out(store, slots[HEAD_TYPE].head, datetime.now(UTC)):
            slots = _slots(settings, store, url, key)
        if settings.get(s.REDACT_ON_WRITE) and self._salt is None:
            self._salt = log_salt(store)
        self._check(settings)
        if isinstance(self._place, DatabaseAddress):
            if self._last_seen is None:
                self._last_seen = LastSeen(self._place)
            self._last_seen.keep(slots)
        return self._view(settings, slots, self._salt, _failures(store, slots))

    def last_seen(self) -> View | None:
        """What the settings say now, and what the store said of the slots when it last answered here; None where it
        never did."""
        account, settings = self._account, self._account.settings()
        place = settings.place()
        if not isinstance(place, DatabaseAddress):
            return None
        url, key = account.together(settings)
        slots = LastSeen(place).fill(slots_of_settings(settings, together_url=url, together_key=key))
        if slots is None:
            return None
        self._check(settings)
        # The log's own salt is in the log: placeholders of now are like none there.
        return self._view(settings, slots, secrets.token_bytes(32), {})

    def _view(
        self,
        settings: Settings,
        slots: Mapping[str, SlotNow],
        salt: bytes | None,
        failures: Mapping[str, Sequence[datetime]],
    ) -> View:
        account = self._account
        hosts = frozenset(filter(None, (settings.get(s.GATEWAY_HOSTS) or "").split(",")))
        return View(
            slots,
            account.upstream(settings, s.OPENAI_UPSTREAM),
            account.upstream(settings, s.ANTHROPIC_UPSTREAM),
            token=None if self._on_loopback else settings.get(s.GATEWAY_TOKEN),
            redact_with=salt if settings.get(s.REDACT_ON_WRITE) else None,
            hosts=hosts if self._on_loopback else None,
            sandbox=settings.outside is not None,
            profile=settings.paths.profile,
            failures=failures,
        )

    def _opened(self, settings: Settings) -> Store:
        """The store where the settings have it now: a database may move to another address."""
        place = settings.place()
        if self._store is None or self._place != place:
            self.close()
            self._salt = self._last_seen = None
            self._store, self._place = self._account.open_store(settings), place
        return self._store

    def close(self) -> None:
        """Close the connection; the next look opens another."""
        if self._store is not None:
            self._store.close()
            self._store = None


def _slots(settings: Settings, store: Store, url: str, key: str | None) -> Mapping[str, SlotNow]:
    now = ledger_now(store, in_sandbox=settings.outside is not None)
    return in_line(settings, store, read_slots(settings, store, now, together_url=url, together_key=key))


def _failures(store: Store, slots: Mapping[str, SlotNow]) -> dict[str, list[datetime]]:
    """By circuit when its model failed in a row, as all who share the log have written it down."""
    since = datetime.now(UTC) - _FAILURES
    filled = [slot for slot in slots.values() if slot.closed is None]
    filled += [slot.candidate.slot for slot in slots.values() if slot.candidate is not None]
    found = {}
    for slot in filled:
        asked = AskedModel(slot.model_type, slot.model or "", slot.deployment_key)
        if times := failed_in_a_row(store, asked, since, IN_A_ROW, NO_FAULT):
            found[slot.circuit] = times
    return found


def ledger_now(store: Store, *, in_sandbox: bool) -> datetime:
    """Until when costs are known: the newest reading; in the sandbox its clock is another than ours."""
    ledger = Ledger(store)
    seen = [reading.at for record in Deployments(store).live() if (reading := ledger.last(record.key)) is not None]
    return max([*seen, *([] if in_sandbox and seen else [datetime.now(UTC)])])


def redaction(book: Book) -> Callable[[Sample, Sequence[AttemptRecord]], Recording]:
    """What decisions pass before they are stored, as the setting of that moment says; for the recorder's thread."""
    made: dict[bytes, Callable[[Sample, Sequence[AttemptRecord]], Recording]] = {}

    def alter(sample: Sample, attempts: Sequence[AttemptRecord]) -> Recording:
        salt = book.view.redact_with
        if salt is None:
            return sample, attempts
        if salt not in made:
            from reasoning_cli.operations.data.redact import on_record

            made[salt] = on_record(salt)
        return made[salt](sample, attempts)

    return alter


def wake(account: Account, pause: Callable[[], None], slot: SlotNow, notify: Notify) -> None:
    """Start a slot's model and look at it until it is READY, with a `pause` between two looks, which opens the slot;
    where traffic starts nothing, only look. One process does it."""
    from reasoning_cli.engines import registry
    from reasoning_cli.engines.engine import Access
    from reasoning_cli.operations.costs.budget import AT_REST, read_limits
    from reasoning_cli.operations.deploy.wake import look
    from reasoning_cli.operations.deploy.wake import wake as start

    settings = account.settings()
    assert slot.deployment_key is not None
    url, key = account.together(settings)
    with account.open_store(settings) as store, store.alone(f"wake-{slot.model_type}") as mine:
        if not mine:
            return
        client = registry.cloud(Access(url, key or "", settings.get(s.PROJECT_ID)))
        try:
            if not slot.wakes:
                notify(closed_by(look(client, store, slot.deployment_key).state))
                return
            hours = settings.get(s.TYPE_HOURS[slot.model_type])
            woken = start(client, store, read_limits(settings), hours, slot.model_type, slot.deployment_key)
            notify(woken.text)
            began = time.monotonic()
            while woken.started or woken.record.state not in AT_REST:
                record = look(client, store, slot.deployment_key)
                waited = time.monotonic() - began
                # Just after the start it may still be called what it was.
                settled = record.state in AT_REST and waited > _SETTLE_SECONDS
                notify(f"woken by traffic, {record.state}")
                if record.state == READY or settled or waited > settings.get(s.READY_TIMEOUT) * 60:
                    return
                pause()
        finally:
            client.close()
