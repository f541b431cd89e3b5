"""A clock that is wrong while a decision is made does not date it wrong for ever."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from reasoning_cli.gateway.log.dating import Dated, Dating
from tests.gateway import canned
from tests.gateway.certificates import self_signed
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Provider, Received
from tests.gateway.serving import Served, served

MINUTE = timedelta(minutes=1)


@contextmanager
def gateway_to(provider_ahead: timedelta, tmp_path: Path, certified: Path | None) -> Iterator[Served]:
    """A gateway without slots to an original provider whose clock is ahead of ours; by TLS where `certified`."""

    async def dated(asked: Received, answering: Answering) -> None:
        text = canned.ORIGINAL_SAYS[canned.kind_of(canned.last_text(asked.json))]
        date = format_datetime(datetime.now(UTC) + provider_ahead, usegmt=True)
        await answering.whole(200, canned.chat_answer(text), {"date": date, "connection": "close"})

    tls = None
    if certified is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certified / "certificate.pem", certified / "key.pem")
    provider = Provider(dated, tls)
    try:
        with served(tmp_path, slots=False) as gateway:
            gateway.gateway.book.view = replace(gateway.gateway.book.view, openai_upstream=f"{provider.url}/v1")
            yield gateway
    finally:
        provider.close()


def ask(gateway: Served, count: int) -> timedelta:
    """How far the newest sample is dated from now."""
    answer = gateway.client.post(PATHS["chat"], json=request("chat", PROMPTS["planning"], user=str(count)))
    assert answer.status_code == 200
    return gateway.samples(count)[-1].created_at - datetime.now(UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a certificate that the gateway trusts."""
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted / "certificate.pem"))
    self_signed(trusted)
    return trusted


@pytest.mark.parametrize("ahead", [timedelta(days=61), timedelta(days=-200), timedelta(hours=2)])
def test_a_decision_is_dated_by_the_provider_where_our_clock_is_wrong(
    folder: Path, tmp_path: Path, ahead: timedelta
) -> None:
    with gateway_to(ahead, tmp_path, folder) as gateway:
        assert abs(ask(gateway, 1) - ahead) < MINUTE


def test_what_a_slot_answers_is_dated_by_what_was_learnt(folder: Path, tmp_path: Path) -> None:
    ahead = timedelta(days=61)
    with gateway_to(ahead, tmp_path, folder) as gateway:
        ask(gateway, 1)
        gateway.change("planning", closed=None)
        assert abs(ask(gateway, 2) - ahead) < MINUTE
        assert [one.source for one in gateway.samples(2)] == ["original", "slot"]


def test_small_differences_change_nothing(folder: Path, tmp_path: Path) -> None:
    with gateway_to(timedelta(minutes=50), tmp_path, folder) as gateway:
        assert abs(ask(gateway, 1)) < MINUTE


def test_a_provider_that_proves_nothing_dates_nothing(tmp_path: Path) -> None:
    """A server in the house may be as wrong as we are."""
    with gateway_to(timedelta(days=61), tmp_path, None) as gateway:
        assert abs(ask(gateway, 1)) < MINUTE


# --- the rules, by numbers ---

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, 0, 3, tzinfo=UTC)


def head(at: datetime, ticks: float, date: datetime | str, *, certain: bool = True) -> Dated:
    text = date if isinstance(date, str) else format_datetime(date, usegmt=True)
    return Dated(text.encode(), at, ticks, certain)


def test_a_clock_before_there_was_this_program_is_wrong_by_any_word() -> None:
    found = Dating().date_of(LONG_AGO, 100.0, head(LONG_AGO, 103.0, NOW, certain=False))
    assert found == NOW - timedelta(seconds=3)


def test_a_clock_set_right_during_the_call_dates_it_right() -> None:
    assert Dating().date_of(LONG_AGO, 100.0, head(NOW, 103.0, NOW)) == NOW - timedelta(seconds=3)


def test_what_was_learnt_ends_when_our_clock_is_set_right() -> None:
    dating = Dating()
    dating.date_of(LONG_AGO, 100.0, head(LONG_AGO, 100.0, NOW))
    assert dating.date_of(LONG_AGO + timedelta(minutes=10), 700.0, None) == NOW + timedelta(minutes=10)
    right = NOW + timedelta(minutes=20)
    assert dating.date_of(right, 1300.0, None) == right


@pytest.mark.parametrize("date", ["yesterday", "", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 99999 23:59:59 GMT"])
def test_a_date_that_is_none_changes_nothing(date: str) -> None:
    assert Dating().date_of(NOW, 1.0, head(NOW, 2.0, date)) == NOW


def test_it_is_said_once_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    dating = Dating()
    with caplog.at_level(logging.WARNING):
        for second in range(3):
            dating.date_of(NOW, float(second), head(NOW, float(second), NOW + timedelta(days=61)))
    assert [one.getMessage() for one in caplog.records] == [
        "this clock is 1464 h behind the provider's: decisions are dated by theirs"
    ]
