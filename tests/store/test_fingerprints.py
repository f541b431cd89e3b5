"""Hashes that tell texts apart, and those that near-copies share."""

from __future__ import annotations

import re
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.store.fingerprints import masked, masked_hash, text_hash

# What `masked` does, in one slow pattern: an id, a short id in brackets, a number.
CHANGING = re.compile(
    r"(?<=\b)[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|(?<=\[)[0-9a-fA-F]{8,}\](?!\d)|\d+"
)
PIECES = st.sampled_from(
    [
        *("5a0a03a7-1111-2222-3333-444455556666", "[5a0a03a7-1111-2222-3333-444455556666]", "[5a0a03a7]", "[abc]"),
        *("abcdefab-cdef-abcd-efab-cdefabcdefab", "-1111-2222-3333-444455556666", "2026", "00", "٣٤", "é", "Sam: "),
        *("[", "]", "-", " ", "\n", "x", "g", "_", "👋"),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=60))
def test_ids_and_numbers_are_masked_as_one_pattern_would(text: str) -> None:
    if re.search(r"\[[0-9a-fA-F]{8,}\]\d", text):
        return  # two numbers of which the mask makes one
    assert masked(text) == CHANGING.sub("0", text).encode()


def test_near_copies_share_a_hash_and_others_do_not() -> None:
    first = "12:00 [5a0a03a7] Sam: meet at 9 in room b4, 5a0a03a7-1111-2222-3333-444455556666\n" * 40
    later = "13:07 [ffffffff] Sam: meet at 10 in room b4, ffffffff-1111-2222-3333-444455556666\n" * 40
    assert masked_hash(first) == masked_hash(later)
    assert masked_hash(first) != masked_hash(first.replace("Sam", "Ann"))


@given(st.integers(0, 9000))
def test_the_hash_of_a_text_is_that_of_its_bytes(length: int) -> None:
    text = "é2" * length
    assert text_hash(text) == blake2b(text.encode(), digest_size=16).digest()
