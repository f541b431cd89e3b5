"""What a head sees of a prompt: of a real agent's forms, exact and compact."""

from __future__ import annotations

from dataclasses import replace

from reasoning_cli.decisions.compact import compact
from reasoning_cli.decisions.compose import Message, compose
from reasoning_cli.engines.head.moment import Facts, Moment, moment_of

ALICE, NOVA, BOB = (
    "5a0a03a7-2e7a-0814-abac-dd9139e87d8f",
    "c56d45fc-7b87-0ea1-80d2-3df962ccce5a",
    "b0b0b0b0-2e7a-0814-abac-dd9139e87d8f",
)
PROMPT = f"""<task>Decide on behalf of Nova whether they should respond to the message, ignore it or stop the \
conversation.</task>

<providers>
# People in the Room
"Alice" aka "alice", "al"
ID: {ALICE}

"Nova"
ID: {NOVA}

"Zoe"
ID: 0e


# Conversation Messages
00:20 (2 minutes ago) [{BOB}] Bob: Nova, what is 7 × 6?
00:20 (2 minutes ago) [{NOVA}] Nova: 42, Bob.
(Nova's internal thought: I am asked.)
 (Nova's actions: REPLY)
00:21 (1 minute ago) [{ALICE}] Alice: Bob, are you coming?
(Nova's internal thought: Agent decided not to respond to this message.)
00:21 (1 minute ago) [{NOVA}] (Nova's actions: IGNORE)
00:22 (just now) [{ALICE}] Alice: bring
note: two lines


# Received Message
Alice: bring
note: two lines


# Focus your response
You are replying to the above message from **Alice**.
</providers>
"""


def moment(facts: Facts | None = None, prompt: str = PROMPT) -> Moment:
    found = moment_of(prompt, None, facts or Facts())
    assert found is not None
    return found


def test_a_moment_has_who_spoke_without_what_the_runtime_notes() -> None:
    found = moment()
    assert (found.agent, found.sender, found.sender_id) == ("Nova", "Alice", ALICE)
    assert [(spoken.speaker, spoken.text, spoken.by_agent) for spoken in found.recent] == [
        ("Bob", "Nova, what is 7 × 6?", False),
        ("Nova", "42, Bob.", True),
    ]
    assert set(found.people) == {"Bob", "al", "Zoe", "alice"}


def test_what_one_person_writes_in_a_row_belongs_together() -> None:
    found = moment()
    assert (found.burst, found.message) == (("Bob, are you coming?",), "bring\nnote: two lines")
    later = PROMPT.replace("00:21 (1 minute ago) [5a0a", "00:11 (11 minutes ago) [5a0a")
    assert moment(prompt=later).burst == ()


def test_whom_the_agent_answered_is_known_by_id_or_name_or_not_at_all() -> None:
    assert moment().answered_sender is None
    assert moment(Facts(answered=(ALICE,))).answered_sender is True
    assert moment(Facts(answered=("Alice",))).answered_sender is True
    assert moment(Facts(answered=(BOB,))).answered_sender is False
    assert moment(Facts(answered=(None, ALICE))).answered_sender is None


def test_the_compact_form_is_read_too() -> None:
    shortened = compact("should_respond", PROMPT.replace("note: two lines", "two lines"))
    assert shortened is not None
    found = moment(prompt=shortened)
    assert found.message == "bring\ntwo lines"
    assert [spoken.speaker for spoken in found.recent] == ["Bob", "Nova"]


def test_what_is_no_decision_about_a_message_has_no_moment() -> None:
    assert moment_of("Write a function.") is None
    assert moment_of(PROMPT.replace("# Received Message", "# Something")) is None


def test_a_prompt_of_the_library_is_read_with_ids_and_without() -> None:
    spoken = [Message("Ben", "Is the museum open?"), Message("Nova", "It is."), Message("Ben", "Sam, are you coming?")]
    for talk in (spoken, [replace(message, entity_id=NOVA if message.name == "Nova" else BOB) for message in spoken]):
        found = moment(prompt=compose("should_respond", "Nova", talk))
        assert (found.agent, found.sender, found.message) == ("Nova", "Ben", "Sam, are you coming?")
        assert [(said.speaker, said.text, said.by_agent) for said in found.recent] == [
            ("Ben", "Is the museum open?", False),
            ("Nova", "It is.", True),
        ]


def test_without_a_conversation_the_message_stands_alone() -> None:
    start, end = PROMPT.index("# Conversation Messages"), PROMPT.index("# Received Message")
    for between in ("", "# Conversation Messages\n\n\n", "# Conversation Messages\nNo messages yet\n\n\n"):
        found = moment(prompt=PROMPT[:start] + between + PROMPT[end:])
        assert (found.sender, found.message, found.recent) == ("Alice", "bring\nnote: two lines", ())


def test_the_message_of_python_elizas_template_is_read() -> None:
    prompt = (
        "<task>Decide on behalf of Nova whether they should respond to the message, ignore it or stop the conversation."
        "</task>\n\n<providers>\nWho is there.\n\n# Current Message\nAda: Ben, how was the game?\n</providers>\n"
    )
    moment = moment_of(prompt)
    assert moment is not None
    assert (moment.agent, moment.sender, moment.message) == ("Nova", "Ada", "Ben, how was the game?")
