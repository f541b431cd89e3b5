"""What a pattern alone cannot tell: a card from any number, a private key from a hash, a password from code.

Each check gets a match and says whether it is the real thing; the rest bring two spellings of a value to one.
"""

from __future__ import annotations

import ipaddress
import re


def _before(found: re.Match[str], chars: int) -> str:
    start = found.start("v" if "v" in found.re.groupindex else 0)
    return found.string[max(start - chars, 0) : start]


def _value(found: re.Match[str]) -> str:
    return found["v"] if "v" in found.re.groupindex else found[0]


def digits_of(text: str) -> str:
    return re.sub(r"\D", "", text, flags=re.ASCII)


def lowered(text: str) -> str:
    return text.lower()


def _mixed(value: str) -> bool:
    """Letters and digits both: a word or a number is not a key."""
    return re.search(r"[0-9]", value) is not None and re.search(r"[A-Za-z]", value) is not None


_HASH_BEFORE = re.compile(
    r"(?i)(?:\btx|txn|transaction|hash|sha-?256|digest|block|checksum|commit|topic|root|signature|\bsig|integrity"
    r"|image|etag|proof|address|token_?mint)[\w ]{0,12}[\s:=\"'`(/#@<>-]*$"
)


def is_no_hash(found: re.Match[str]) -> bool:
    """64 hexadecimal digits are a private key unless what stands before says otherwise; so with 64 bytes in base58."""
    value = found[0].removeprefix("0x")
    return len(set(value)) > 4 and _mixed(value) and _HASH_BEFORE.search(_before(found, 40)) is None


BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def is_wif(found: re.Match[str]) -> bool:
    """A Bitcoin private key in wallet import format carries a checksum."""
    from hashlib import sha256

    number = 0
    for letter in found[0]:
        number = number * 58 + BASE58.index(letter)
    if number.bit_length() > 8 * 38:
        return False
    data = number.to_bytes(38, "big").lstrip(b"\0")
    return sha256(sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def is_base58_key(found: re.Match[str]) -> bool:
    value = found[0]
    return is_no_hash(found) and value.lower() != value and value.upper() != value


def is_byte_list(found: re.Match[str]) -> bool:
    return all(int(number) < 256 for number in re.findall(r"\d+", found[0]))


# Short words English cannot do without that are in no wallet's list, and endings hardly any word of the list has.
NOT_IN_SEEDS = (
    "the|and|for|are|was|with|not|but|his|her|has|had|him|our|out|its|who|how|did|get|got|let|she|than|them|their|these"
    "|those|were|been|from|your|does|too|via|per|yet|why|could|would|should|might|going|doing|being|which|while|here|each"
    "|both|many|most|some|wants|needs|makes|using|said|says|asked|told|gave|goes|went|came|knew|saw"
)
_INFLECTED = re.compile(r"[^su]s$|ing$|ed$|ly$")
_SEED_BEFORE = re.compile(r"(?i)(?:seed|mnemonic|recovery|secret|backup|wallet)[\w ]{0,30}\W{0,4}$")


def is_seed_phrase(found: re.Match[str]) -> bool:
    words = re.findall(r"[a-z]+", found[0])
    if len(set(words)) < 8:
        return False
    if _SEED_BEFORE.search(_before(found, 40)):
        return True
    return sum(_INFLECTED.search(word) is not None for word in words) <= 1


def seed_words(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


_ENVIRONMENT = re.compile(r"(?:process\.env|os\.environ|env)\b|[$%{*]|https?:|your[_-]|x{3}|\.{3}|[A-Z][A-Z_]+$")


def is_assigned_key(found: re.Match[str]) -> bool:
    value = found["v"]
    return (
        len(value) >= 12
        and _mixed(value)
        and len(set(value)) >= 8
        and "*" not in value
        and not _ENVIRONMENT.match(value)
    )


def is_assigned_password(found: re.Match[str]) -> bool:
    value = found["v"].rstrip(".!?")
    called = found.string[found.end("v") : found.end("v") + 1] == "("
    if len(value) < 5 or called or _ENVIRONMENT.match(value) or value.lower().endswith("password"):
        return False
    # In code `password: config.password` is not a password, nor is `password=Password` or the type `string`.
    return re.search(r"[0-9!#$%^*+=~@]", value) is not None or re.search(r"[a-z][A-Z]", value) is not None


def is_bearer(found: re.Match[str]) -> bool:
    return _mixed(found["v"])


def is_key(found: re.Match[str]) -> bool:
    """Words joined by hyphens may begin with `sk-`; no other prefix of a vendor is a word."""
    words = found[0][:3] in ("sk-", "pk-", "rk-") and re.search(r"[0-9]|[a-z][A-Z]", found[0]) is None
    return not words


_PICTURE = re.compile(r"@\dx\.\w+$")


def is_email(found: re.Match[str]) -> bool:
    after = found.string[found.end() : found.end() + 1]
    return not (found[0].startswith("git@") and after in ":/") and _PICTURE.search(found[0]) is None


def _luhn(digits: str) -> bool:
    total = 0
    for number, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + number % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


# Who issues cards with these first digits, and how long their numbers are.
_CARD = re.compile(
    r"4\d{12}|4\d{15}|4\d{18}|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(?:6011|65\d\d|64[4-9]\d|35\d\d|62\d\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|(?:5018|5020|5038|6304|6759|676[123])\d{12}",
    re.ASCII,
)
_CARD_GROUPS = re.compile(
    r"\d{13,19}|\d{4}([ -])\d{4}(?:\1\d{4}){1,2}(?:\1\d{1,4})?|\d{4}([ -])\d{6}\2\d{4,5}", re.ASCII
)


def is_card(found: re.Match[str]) -> bool:
    digits = digits_of(found[0])
    return (
        _CARD_GROUPS.fullmatch(found[0]) is not None
        and _CARD.fullmatch(digits) is not None
        and _luhn(digits)
        and not _before(found, 2).endswith(("<@", "@!", "@&", "#"))
    )


_IBANS = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18
FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20
LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SD18
SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
"""
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}


def iban_of(text: str) -> str:
    return re.sub(r"[ -]", "", text).upper()


def is_iban(found: re.Match[str]) -> bool:
    number = iban_of(found[0])
    if _IBAN_LENGTHS.get(number[:2]) != len(number):
        return False
    return int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97 == 1


_DATE = re.compile(r"\+?\d{4}[-./]\d\d[-./]\d\d|\d\d[-./]\d\d[-./]\d{4}", re.ASCII)


_DECIMAL = re.compile(r"\+?\d{5,}\.\d+", re.ASCII)


def is_international(found: re.Match[str]) -> bool:
    number = found[0]
    digits = digits_of(number)
    if number.startswith("00"):
        digits = digits[2:]
        if not re.search(r"[ .()/-]", number):
            return False
    return (
        not _DECIMAL.fullmatch(number)
        and 8 <= len(digits) <= 15
        and _DATE.match(number) is None
        and len(set(digits)) > 2
    )


_PHONE_WORD = re.compile(
    r"(?i)\b(?:phone|tel|telephone|telefon|mobile|mobil|cell|whatsapp|handy|call|text|reach|sms|fax|number|nr|ring)\b"
    r"[^\d\n]{0,24}$"
)


def is_american(found: re.Match[str]) -> bool:
    return "(" in found[0] or " " not in found[0].strip() or _PHONE_WORD.search(_before(found, 40)) is not None


def is_national(found: re.Match[str]) -> bool:
    if not 9 <= len(digits_of(found[0])) <= 12 or _DATE.search(found[0]):
        return False
    after, before = found.string[found.end() : found.end() + 3], _before(found, 3)
    return re.match(r"[ .]\d", after) is None and re.search(r"\d[ .]$", before) is None


def is_said_phone(found: re.Match[str]) -> bool:
    return 7 <= len(digits_of(found["v"])) <= 15 and _DATE.match(found["v"]) is None


_VERSION_BEFORE = re.compile(
    r"(?i)(?:\bv|ver|version(?:s|__)?|release[ds]?|build|[=~<>!]=|[~^]|[a-z)]/|[a-z0-9]@\^?)[\s:='\"]*$"
)
# Of nobody: names of X.500 and SNMP objects, examples, this machine, any machine, masks and the like.
_NOBODY = re.compile(
    r"2\.5\.(?:4|29)\.|1\.3\.(?:6|101)\.|1\.2\.3\.4$|127\.|0\.|255\.255\.|1\.1\.1\.1$|8\.8\.[48]\.[48]$"
)


def is_ipv4(found: re.Match[str]) -> bool:
    return _NOBODY.match(found[0]) is None and _VERSION_BEFORE.search(_before(found, 16)) is None


def is_ipv6(found: re.Match[str]) -> bool:
    value = found[0].rstrip(":.") if not found[0].endswith("::") else found[0]
    groups = [group for group in value.split(":") if group]
    if len(groups) < 2 or ("::" in value and max(map(len, groups)) < 3):
        return False
    try:
        return not ipaddress.IPv6Address(value).is_loopback
    except ValueError:
        return False
