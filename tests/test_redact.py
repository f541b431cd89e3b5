"""Keys never come out whole: not by their shape, not when they were merely remembered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli import redact as module
from reasoning_cli.redact import bare_address, mask, redact, remember, secrets_of, without_passwords

# Made up, in the shapes vendors print.
KEYS = [
    "sk-proj-Zk3vQ9xT1bW8nL5mR2cY7dF4gH6jK0pA",
    "sk-ant-api03-Qm8vT2xN5bK1wR9zL4cY7dF3gH6jP0aS-ZzYyXxAA",
    "tgp_v1_Jx7Qm2Vt9Zb4Wn1Lk6Rc3Yd8Fg5Hp0Sa-Te_",
    "3f1b9c7e5a2d4f6081b3d5e7f9a1c3e5072946b8dafc1e30527496b8dafc1e30",
    "hf_QxZvTbWnLmRcYdFgHjKpAsDe",
    "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-1234567890-abcdefghij",
]
PLACES = ["{}", "key={}", "the key {} was refused", '{{"k": "{}"}}', "({})", "a,{},b", "https://x.example/?k={}&y=1"]

secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=60)


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    before = set(module._known)
    module._known.clear()
    yield
    module._known.clear()
    module._known.update(before)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", KEYS)
def test_what_looks_like_a_key_is_masked_wherever_it_stands(key: str, place: str) -> None:
    shown = redact(place.format(key))
    assert key not in shown
    assert key[:-4] not in shown
    assert shown == place.format(f"…{key[-4:]}")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345678",
        "authorization: bearer abcdefgh12345678",
        "GET /v1/models?api_key=abcdefgh12345678&limit=2",
        "X-API-Key: abcdefgh12345678",
    ],
)
def test_headers_and_queries_that_carry_a_key_are_masked(text: str) -> None:
    assert "abcdefgh" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "dep_01J9Z7Q4 is READY",
        "moonmakesmagic/DeepSeek-R1-Distill-Qwen-1.5B-shouldrespond",
        "request 7c9e6679-7425-40de-944b-e07fc1f90ae7 took 12 ms",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "task-force, risk-free and mask-making",
    ],
)
def test_names_and_ids_are_left_alone(text: str) -> None:
    assert redact(text) == text


@given(secret=secrets, before=st.text(max_size=30), after=st.text(max_size=30))
def test_a_remembered_secret_is_never_shown_whole(secret: str, before: str, after: str) -> None:
    module._known.clear()
    remember(secret)
    assert secret not in redact(f"{before}{secret}{after}")


@given(first=secrets, tail=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40))
def test_a_secret_that_begins_with_another_leaves_no_tail(first: str, tail: str) -> None:
    module._known.clear()
    remember(first)
    remember(first + tail)
    shown = redact(f"key {first + tail} refused")
    assert shown == redact(f"key {mask(first + tail)} refused")


@given(st.text(max_size=80))
def test_a_mask_shows_four_characters_at_most_and_of_short_ones_none(secret: str) -> None:
    shown = mask(secret)
    assert shown.startswith("…")
    assert len(shown) == (5 if len(secret) >= 12 else 1)


def test_short_words_are_not_remembered() -> None:
    remember("the")
    assert redact("the key") == "the key"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@host/db", "postgresql://me:…@host/db"),
        ("POSTGRES://me:hunter2@host:5432/db", "POSTGRES://me:…@host:5432/db"),
        ("`https://me:hunter2@host/v1`, not", "`https://me:…@host/v1`, not"),
        ('{"url": "https://me:hunter2@[::1]:80/x"}', '{"url": "https://me:…@[::1]:80/x"}'),
        ("https://:hunter2@host", "https://:…@host"),
        ("https://hunter2@host/x", "https://…@host/x"),
        ("postgres://me@host/db", "postgres://me@host/db"),
        ("postgres://me:hun@ter2@host/db", "postgres://me:…@host/db"),
        ("postgres://me:hun/ter2@host/db", "postgres://me:…@host/db"),
        ("postgres://me:hun?ter#2@host/db?sslmode=require", "postgres://me:…@host/db?sslmode=require"),
        ("postgres://h/db?user=me&password=hunter2&x=1", "postgres://h/db?user=me&password=…&x=1"),
        ("postgres://h/db?sslpassword=hunter2", "postgres://h/db?sslpassword=…"),
        ("https://h/a?api_key=hunter2&key=hunter2&access_token=hunter2", "https://h/a?api_key=…&key=…&access_token=…"),
        ("https://b/f?X-Amz-Signature=hunter2&X-Amz-Date=1", "https://b/f?X-Amz-Signature=…&X-Amz-Date=1"),
        ("https://h:8080/path/@me", "https://h:8080/path/@me"),
        ("https://h/users/a@b.example?tokens=5", "https://h/users/a@b.example?tokens=5"),
        ("two: http://a:hunter2@b http://c:hunter2@d", "two: http://a:…@b http://c:…@d"),
        ("no address: a:b@c", "no address: a:b@c"),
    ],
)
def test_an_address_is_shown_without_its_password(text: str, shown: str) -> None:
    assert without_passwords(text) == shown
    assert redact(text) == shown
    assert without_passwords(shown) == shown


@pytest.mark.parametrize(
    "text", ["host=h password=hunter2 user=me", "sslpassword = 'hun\\'ter2' host=h", "Password=hunter2;Host=h"]
)
def test_what_a_library_quotes_of_its_own_strings_is_masked(text: str) -> None:
    assert "ter2" not in redact(text)
    assert "h" in redact(text)


@given(st.text(max_size=40), st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'`<>|")))
def test_no_password_survives_whatever_is_in_it(user: str, password: str) -> None:
    name = "".join(one for one in user if one.isalnum())
    url = f"postgres://{name}:zq{password}@host.example/db"
    assert f"zq{password}" not in without_passwords(url)
    assert f"zq{password}" not in bare_address(url)


def test_the_parts_of_a_password_a_library_may_have_taken_for_a_host_are_known() -> None:
    found = secrets_of("postgres://u:p%40ss/hun@ter2:x@h/d?sslpassword=other")
    assert {"p%40ss/hun@ter2:x", "p%40ss", "p@ss", "hun", "ter2", "other"} <= set(found)
    assert found == sorted(found, key=len, reverse=True)
    assert secrets_of("postgres://u@h/d") == []
