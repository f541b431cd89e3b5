"""`reasoning dashboard` before any page is shown: what it refuses, and what it says instead."""

from __future__ import annotations

import importlib.util

import pytest

from tests.conftest import Run


def test_without_the_extra_it_says_what_to_install(reasoning: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "nicegui" else find(name, *rest)
    )
    done = reasoning("--sandbox", "dashboard", "--no-open")
    assert done.exit_code == 4
    assert "hint: `pip install 'reasoning[dashboard]'`" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--host", "192.0.2.1"), 4, "without TLS anybody on the way there can read along"),
        (("--tls-cert", "c.pem"), 2, "a certificate and its key belong together"),
        (("--host", "0.0.0.0", "--tls-cert", "c.pem", "--tls-key", "k.pem"), 4, "cannot read `c.pem`"),
    ],
)
def test_what_others_could_reach_or_read_is_refused(
    reasoning: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    pytest.importorskip("nicegui")
    done = reasoning("--sandbox", "dashboard", "--no-open", *words)
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr


def test_another_name_must_be_named_where_all_addresses_are_listened_on(reasoning: Run) -> None:
    pytest.importorskip("nicegui")
    done = reasoning("--sandbox", "--allow-plain-http", "dashboard", "--no-open", "--host", "0.0.0.0")
    assert (done.exit_code, "by which name is it called?" in done.stderr) == (2, True), done.stderr
