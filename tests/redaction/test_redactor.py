"""Secrets and personal data leave every text, and nothing else does."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reasoning_cli.decisions.answers import (
    PlanningAnswer,
    ShouldRespondAnswer,
    parse_answer,
    render_answer,
)
from reasoning_cli.decisions.recognise import recognise
from reasoning_cli.redaction import redactor
from reasoning_cli.redaction.patterns import KINDS, SHAPES
from reasoning_cli.redaction.redactor import Redactor, is_pseudonym
from reasoning_cli.redaction.validators import BASE58

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
PLACEHOLDER = re.compile(r"\[([A-Z_]+)_[0-9a-f]{8}\]")
PROMPT = """<task>Decide on behalf of Nova whether they should respond to the message, ignore it or stop the conversation.</task>

<providers>
Possible response actions: REPLY, IGNORE, NONE

# People in the Room
"Alice" aka "alice"
ID: 5a0a03a7-2e7a-0814-abac-dd9139e87d8f

# Conversation Messages
00:21 (2 minutes ago) [5a0a03a7-2e7a-0814-abac-dd9139e87d8f] Alice: hi there
00:22 (just now) [5a0a03a7-2e7a-0814-abac-dd9139e87d8f] Alice: {message}


# Received Message
Alice: {message}


# Focus your response
You are replying to the above message from **Alice**.

</providers>

<output>
<response>
  <name>Nova</name>
  <reasoning>Your reasoning here</reasoning>
  <action>RESPOND | IGNORE | STOP</action>
</response>
</output>"""  # noqa: E501


def redact(text: str, **kwargs: object) -> str:
    return Redactor(b"salt", **kwargs).redact(text)  # type: ignore[arg-type]


def kinds_in(text: str) -> list[str]:
    return [found.lower() for found in PLACEHOLDER.findall(text)]


# --- planting


def letters(rng: random.Random, count: int, alphabet: str = LETTERS) -> str:
    return "".join(rng.choices(alphabet, k=count - 2)) + "a7"


def luhn(digits: str) -> str:
    for last in "0123456789":
        total = 0
        for place, digit in enumerate(reversed(digits + last)):
            total += sum(map(int, str(int(digit) * (1 + place % 2))))
        if total % 10 == 0:
            return digits + last
    raise AssertionError


def spaced(text: str) -> str:
    return re.sub(r"(....)(?=.)", r"\1 ", text)


def iban(country: str, account: str) -> str:
    number = int("".join(str(int(one, 36)) for one in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02}{account}"


def wif(rng: random.Random) -> str:
    data = b"\x80" + rng.randbytes(32) + b"\x01"
    number, text = int.from_bytes(data + sha256(sha256(data).digest()).digest()[:4], "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = BASE58[rest] + text
    return text


SEEDS = "legal winner thank year wave sausage worth useful about abandon zoo yellow".split()  # noqa: SIM905

PLANTS: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "openai": ("key", lambda rng: f"sk-proj-{letters(rng, 40)}"),
    "anthropic": ("key", lambda rng: f"sk-ant-api03-{letters(rng, 60)}"),
    "together": ("key", lambda rng: f"tgp_v1_{letters(rng, 43)}"),
    "hugging face": ("key", lambda rng: f"hf_{letters(rng, 34)}"),
    "github": ("key", lambda rng: f"ghp_{letters(rng, 36)}"),
    "amazon": ("key", lambda rng: f"AKIA{letters(rng, 16, LETTERS[26:]).upper()}"),
    "amazon secret": ("key", lambda rng: f"AWS_SECRET_ACCESS_KEY={letters(rng, 40, LETTERS + '/+')}"),
    "slack": ("key", lambda rng: f"xoxb-{rng.randrange(10**11)}-{letters(rng, 24)}"),
    "google": ("key", lambda rng: f"AIza{letters(rng, 35)}"),
    "stripe": ("key", lambda rng: f"sk_live_{letters(rng, 24)}"),
    "telegram": ("key", lambda rng: f"{rng.randrange(10**8, 10**10)}:{letters(rng, 35)}"),
    "api key": ("key", lambda rng: f'"api_key": "{letters(rng, 24)}"'),
    "helius": ("key", lambda rng: f"https://rpc.example/?api-key={letters(rng, 8)}-{letters(rng, 12)}"),
    "jwt": ("token", lambda rng: f"eyJ{letters(rng, 20)}.eyJ{letters(rng, 40)}.{letters(rng, 43)}"),
    "bearer": ("token", lambda rng: f"Authorization: Bearer {letters(rng, 30)}"),
    "basic": ("token", lambda rng: f"Authorization: Basic {letters(rng, 24)}=="),
    "url": ("password", lambda rng: f"postgres://admin:{letters(rng, 12)}@db.example:5432/agents"),
    "password": ("password", lambda rng: f"my password is {letters(rng, 10)}"),
    "assigned": ("password", lambda rng: f"TWITTER_PASSWORD={letters(rng, 12)}"),
    "e-mail": ("email", lambda rng: f"{letters(rng, 8).lower()}.x+tag@mail-{rng.randrange(99)}.example.co.uk"),
    "accents": ("email", lambda rng: f"josé{rng.randrange(10**6)}@exämple.com"),
    "german": ("phone", lambda rng: f"+49 {rng.randint(151, 179)} {rng.randint(1000000, 99999999)}"),
    "american": ("phone", lambda rng: f"({rng.randint(201, 989)}) {rng.randint(200, 999)}-{rng.randint(1000, 9999)}"),
    "dashes": ("phone", lambda rng: f"{rng.randint(201, 989)}-{rng.randint(200, 999)}-{rng.randint(1000, 9999)}"),
    "french": ("phone", lambda rng: "06 " + " ".join(f"{rng.randint(10, 99)}" for _ in range(4))),
    "british": ("phone", lambda rng: f"0{rng.randint(7100, 7999)} {rng.randint(100000, 999999)}"),
    "dialled": ("phone", lambda rng: f"0049 {rng.randint(151, 179)} {rng.randint(1000000, 99999999)}"),
    "said": ("phone", lambda rng: f"call me on {rng.randint(2000000000, 9899999999)}"),
    "visa": ("card", lambda rng: luhn(f"4{rng.randrange(10**14):014}")),
    "spaced": ("card", lambda rng: spaced(luhn(f"5{rng.randint(1, 5)}{rng.randrange(10**13):013}"))),
    "amex": ("card", lambda rng: luhn(f"37{rng.randrange(10**12):012}")),
    "iban": ("iban", lambda rng: iban("DE", f"{rng.randrange(10**18):018}")),
    "iban spaced": ("iban", lambda rng: spaced(iban("GB", f"WEST{rng.randrange(10**14):014}"))),
    "ipv4": ("ip", lambda rng: ".".join(str(rng.randint(11, 120)) for _ in range(4))),
    "private ipv4": ("ip", lambda rng: f"192.168.{rng.randint(0, 255)}.{rng.randint(1, 254)}"),
    "ipv6": ("ip", lambda rng: f"2001:db8::{rng.randrange(1, 65536):x}:{rng.randrange(256, 65536):x}"),
    "ipv6 whole": ("ip", lambda rng: ":".join(f"{rng.randrange(4096, 65536):x}" for _ in range(8))),
    "ethereum": ("private_key", lambda rng: f"0x{rng.randbytes(32).hex()}"),
    "bitcoin": ("private_key", wif),
    "solana": ("private_key", lambda rng: letters(rng, 88, BASE58)),
    "solana bytes": ("private_key", lambda rng: str(list(rng.randbytes(64)))),
    "ssn": ("ssn", lambda rng: f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"),
    "seed": ("seed_phrase", lambda rng: " ".join(rng.sample(SEEDS, 12))),
    "pem": (
        "private_key",
        lambda rng: "-----BEGIN PRIVATE KEY-----\n"
        + "\n".join(letters(rng, 64) for _ in range(4))
        + "\n-----END PRIVATE KEY-----",
    ),
}  # fmt: skip
SAID = (
    "here: {}",
    "{}",
    "use {} please",
    "({})",
    "看这个{}谢谢",
    "it is {}.",
    "what about “{}”?",
    "<b>{}</b>",
    "{}, ok?",
)


def secret_of(planted: str) -> str:
    """The part of what was planted that must not be left."""
    return re.sub(
        r'^(?:.*(?:SECRET_ACCESS_KEY=|PASSWORD=|api-key=|Bearer |Basic |password is |call me on )|"api_key": "|postgres://admin:)'
        r'|"$|@db\.example.*$',
        "",
        planted,
    )


@pytest.mark.parametrize("with_re2", [True, False], ids=["re2", "re"])
def test_none_of_the_planted_secrets_is_left(with_re2: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Must show: more than 400, of every kind, in prompts and answers."""
    if not with_re2:
        monkeypatch.setattr("reasoning_cli.redaction.redactor._compiled", lambda pattern: _plain_gate(pattern))
    rng = random.Random(4)
    redactor = Redactor(b"salt")
    planted = 0
    for name, (kind, make) in PLANTS.items():
        for number in range(12):
            value = make(rng)
            message = SAID[number % len(SAID)].format(value)
            answer = render_answer(ShouldRespondAnswer("Nova", f"They said {message}", "RESPOND"))
            for text in (PROMPT.format(message=message), answer):
                before = redactor.counts[kind]
                redacted = redactor.redact(text)
                planted += 1
                assert secret_of(value) not in redacted, (name, value)
                assert redactor.counts[kind] > before, (name, value, redacted)
                assert redactor.redact(redacted) == redacted
    assert planted >= 400


def _plain_gate(pattern: str) -> redactor._Gate:
    gate = redactor._Gate(pattern)
    gate._re2 = None
    return gate


CLEAN = [
    "at 2026-11-21 00:21:59.274+00 and 2026-11-21T00:21:59Z, 12:21:59 AM, 00:22 (just now)",
    "ID: 5a0a03a7-2e7a-0814-abac-dd9139e87d8f and run 888aaa45-c93d-4725-9e86-66128b10a60f",
    "timestamp 1795220519272, snowflake <@413987654321098765>, chat -1001234567890",
    "versions 1.2.3.4 no: v1.2.3.4, version 10.0.19045.1, Chrome/120.0.0.0, pkg==4.1.2.3, @elizaos/core@1.7.2",
    "costs $1,234.56 or 12.50 EUR, 1000000 tokens, max_tokens=8192, +15% of 2048",
    "send to 0x742d35Cc6634C0532925a3b844Bc454e4438f44e or 9WzDXwBBmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq is my address",
    "tx 0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318 went through",
    "sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    'oid = ObjectIdentifier("2.5.29.35"); CHALLENGE_PASSWORD = Identifier("1.2.840"); z +6073641856.9',
    'what stands before "-----BEGIN RSA PRIVATE KEY-----" and arn:aws:secretsmanager:*:*:secret:rds-beta-us-east-1!*',
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "x = data[::2] + y[::-1]; std::vector<int> a; Foo::Bar; 10:20:30",
    "bind 127.0.0.1:8000 and 0.0.0.0",
    "password: string; token: string; api_key = os.environ['API_KEY']; secret: process.env.SECRET",
    "git@github.com:owner/repo.git and logo@2x.png and @app.get and a@b",
    "call me maybe, the number is 42; sizes 512 256 1024; 3-2-1",
    "what about that thing they said when you asked them about some of the other options we have there",
    "task-force and risk-free-and-more-words-here, sk-learn is a library",
    "range 01-02-2026 to 03.04.2026, 09-12, 192.168",
    "The IBAN XX12 3456 7890 1234 is not one, nor is card 4111 1111 1111 1112",
]


@pytest.mark.parametrize("text", CLEAN)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redact(text) == text


def test_one_value_has_one_placeholder_for_one_salt_however_it_is_written() -> None:
    first, again = Redactor(b"one"), Redactor(b"one")
    shown = first.redact("bob@x.example, BOB@x.example")
    assert shown == again.redact("bob@x.example, Bob@X.example")
    assert len(set(shown.split(", "))) == 1
    assert first.redact("+49 170 1234567") == again.redact("+49-170-1234567") == again.redact("0049 170 1234567")
    assert Redactor(b"two").redact("bob@x.example") != first.redact("bob@x.example")
    assert first.counts == {"email": 3, "phone": 1}


def test_only_the_chosen_kinds_go() -> None:
    text = "bob@x.example, 10.0.0.5"
    assert kinds_in(redact(text, kinds=["ip"])) == ["ip"]
    assert redact(text, kinds=[]) == text
    assert kinds_in(redact(text, kinds=KINDS)) == ["email", "ip"]


def test_a_secret_inside_another_leaves_no_piece() -> None:
    shown = redact("https://bob:hunter2x@10.0.0.5/?mail=bob@x.example&password=sk-proj-abcdefghij0123456789")
    assert "bob@x" not in shown
    assert "hunter2x" not in shown
    assert "0123456789" not in shown
    assert redact(shown) == shown


def test_names_become_stable_pseudonyms_as_whole_words() -> None:
    redactor = Redactor(b"salt", names=["Alice", "alice", "Bob Smith", "Bob", "田中"])
    shown = redactor.redact("Alice told Bob Smith and Bob; Alicean @alice bob@x.example 田中: ok")
    person = re.findall(r"Person-[0-9a-f]{6}", shown)
    assert len(person) == 5
    assert person[0] == person[3]
    assert "Alicean" in shown
    assert all(map(is_pseudonym, person))
    assert redactor.redact(shown) == shown
    assert Redactor(b"salt").redact("Alice", ["Alice"]) == person[0]
    assert redactor.redact("Person-3f2a91 met Person", ["Person", "3f2a91"]).startswith("Person-3f2a91 met Person-")


PIECES = st.sampled_from(
    [
        *("bob@x.example", "+49 170 1234567", "4111 1111 1111 1111", "10.0.0.5", "fe80::1", "415-555-2671"),
        *("sk-proj-abcdefghij0123456789", "password: hunter22", "0" * 70, "DE89 3704 0044 0532 0130 00", "api_key="),
        *(
            "Bearer ",
            "://a:",
            "@",
            "[EMAIL_3f2a91c0]",
            "[KEY_",
            "Person-3f2a91",
            "Alice",
            "-----BEGIN PRIVATE KEY-----",
        ),
        *(
            "-----END PRIVATE KEY-----",
            " ",
            "\n",
            ":",
            ".",
            "-",
            "+",
            "0",
            "123",
            "eyJhbGciOiJI.eyJzdWIiOiIx.",
            "\ud800",
        ),
        *(
            "seed phrase",
            " abandon ability able",
            "secret is ",
            "电",
            "é",
            "<text>",
            "&quot;",
            "\\n",
            "\0",
            "1234-",
            "00",
        ),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES | st.text(max_size=6), max_size=14).map("".join))
@example("a:b@10.0.0.5@x.example")
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = Redactor(b"salt", names=["Alice", "Person"]).redact(text)
    assert Redactor(b"salt", names=["Alice", "Person"]).redact(once) == once
    warm = Redactor(b"salt", names=["Alice", "Person"])
    warm.redact(text)
    assert warm.redact(text) == once  # what is remembered says the same


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES | st.text(max_size=6), max_size=10).map("".join))
def test_a_prompt_is_recognised_and_an_answer_read_as_before(text: str) -> None:
    redactor = Redactor(b"salt")
    prompt = PROMPT.format(message=text)
    assert recognise(redactor.redact(prompt)) == recognise(prompt)
    answer = PlanningAnswer(f"think {text}", ("REPLY",), ("FACTS",), text)
    read = parse_answer("planning", redactor.redact(render_answer(answer)))
    assert isinstance(read, PlanningAnswer)
    assert (read.actions, read.providers) == (answer.actions, answer.providers)


HOSTILE = {
    "at signs": "a@" * 100_000,
    "letters": "a" * 300_000,
    "dots": "a.b-" * 75_000,
    "digits": "1" * 300_000,
    "groups": "1234 " * 60_000,
    "plus": "+1" * 150_000,
    "colons": "1:" * 150_000,
    "begins": "-----BEGIN PRIVATE KEY-----" * 11_000,
    "jwt": "-eyJaaaaaaaa" * 25_000,
    "keys": "sk-" * 100_000,
    "urls": "http://a:" * 33_000,
    "assign": "password=" * 33_000,
    "words": "abandon ability " * 18_000,
    "seeds": "seed words " * 27_000,
    "octets": "1.1." * 75_000,
    "lists": "[1,2,3," * 43_000,
    "base58": ("5" + "a" * 87 + " ") * 3_300,
    "mails": "a@b.example " * 25_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_linear_time(name: str) -> None:
    """No minute for what is read in a tenth of a second: the bound is far above noise, and far below quadratic."""

    def seconds(text: str) -> float:
        begun = time.process_time()
        redact(text)
        return time.process_time() - begun

    text = HOSTILE[name]
    short = min(seconds(text[: len(text) // 4]) for _ in range(2))
    assert seconds(text) < max(10 * short, 3.0), name


@settings(max_examples=300)
@given(
    st.text("4 0-.+/:()\n,=aé是\"'x", max_size=6),
    st.sampled_from(
        ["4111 1111 1111 1111", "4111111111111111", "3782-822463-10005", "0049 30 1234567", "030 12345678"]
    ),
)
@example("", "4111 1111 1111 1111")
@example("a\n", "0049 30 1234567")
@example("2e7a-", "4111-1111-1111-1111")
def test_no_gate_keeps_a_number_from_the_shapes(before: str, number: str) -> None:
    text = f"{before}{number}"
    assert (redact(text) != text) == any(True for shape in SHAPES for _ in shape.spans(text))


def test_ids_are_clean_at_first_sight() -> None:
    ids = b"[c007a65f-9860-4541-9259-d8bccc18e89e] [a3da1292-0056-4283-8331-0b6b8dcdad54] 7-0112-34-567890"
    assert Redactor(b"salt").leaves(ids) == redactor._compiled("x").is_quick
