"""What tells texts from others in an index: hashes of 16 bytes, of a text itself or of what two near-copies share."""

from __future__ import annotations

import re
from hashlib import blake2b

# Every pattern begins with one literal character, so that the search skips to it: the hash of a prompt is made where
# the gateway records, thousands of times a second.
_HEX = "[0-9a-fA-F]"
_REST_OF_ID = rf"{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\b"
_ID_IN_BRACKETS = re.compile(rf"\[(?:{_HEX}{{8}}-{_REST_OF_ID}|{_HEX}{{8,}}\])")
_ID = re.compile(rf"-(?<=\b{_HEX}{{8}}-){_REST_OF_ID}")
_NUMBER = re.compile(r"\d+")
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
# From 2,048 bytes on hashlib lets other threads run, and waiting for one's turn again takes longer than the hash.
_PIECE_BYTES = 2047


def text_hash(text: str) -> bytes:
    """What tells a text from others in an index. Raises UnicodeEncodeError."""
    return _hash(text.encode())


def masked_hash(text: str) -> bytes:
    """What tells a text from others that differ in more than ids and numbers. Raises UnicodeEncodeError."""
    return _hash(masked(text))


def _hash(content: bytes) -> bytes:
    made = blake2b(content[:_PIECE_BYTES], digest_size=16)
    for start in range(_PIECE_BYTES, len(content), _PIECE_BYTES):
        made.update(content[start : start + _PIECE_BYTES])
    return made.digest()


def masked(text: str) -> bytes:
    """The text with a 0 in the place of each id, whole or its short form in brackets, and of each number."""
    text = _ID_IN_BRACKETS.sub("[0", text)
    if _ID.search(text) is not None:
        parts, position = [], 0
        for found in _ID.finditer(text):
            parts.append(text[position : found.start() - 8])
            position = found.end()
        text = "0".join([*parts, text[position:]])
    if not text.isascii():
        text = _NUMBER.sub("0", text)  # digits of other scripts
    content = text.encode().translate(_DIGITS)
    while b"00" in content:
        content = content.replace(b"00", b"0")
    return content
