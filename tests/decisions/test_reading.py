"""What a person reads of a decision, and what a search finds, is what people and the agent said."""

from __future__ import annotations

from reasoning_cli.decisions.answers import parse_answer
from reasoning_cli.decisions.reading import message_of, parts_of, talk_of, words_of

PROMPT = """<task>Decide on behalf of Nova whether they should respond to the message, ignore it or stop the conversation.</task>

<providers>
# Conversation Messages
08:51 (1 hours ago) [312f36c4-da31-4225-a72e-7f9adda8f12f] Alice: see [the list] (now)
second line
10:29 (just now) [e1] Bob: Nova, lunch?


# Received Message
Bob: Nova, lunch?


# Focus your response
Answer.
</providers>"""  # noqa: E501
OLD = """<task>Generate dialog and actions for the character Nova.</task>
<providers>
# Conversation Messages
10:29 (just now) [e1] Bob: Nova, lunch?
</providers>
Write."""

POST = """<task>Generate dialog and actions for the character Nova.</task>
<providers>
# Post Directions for Nova
Be kind.
</providers>
<output>
<text>Your response text here</text>
</output>"""


def test_the_conversation_is_read_without_ids_and_ages() -> None:
    assert talk_of(PROMPT) == ("08:51 Alice: see [the list] (now)", "second line", "10:29 Bob: Nova, lunch?")
    assert talk_of("anything else") == ()


def test_what_a_decision_is_about() -> None:
    assert message_of("should_respond", PROMPT) == "Bob: Nova, lunch?"
    assert message_of("planning", OLD) == "Bob: Nova, lunch?"
    assert message_of("planning", POST) == "Generate dialog and actions for the character Nova."
    assert message_of("planning", "x" * 600 + "end") == "x" * 497 + "end"
    assert message_of("coding", " write it ") == "write it"


def test_an_answer_is_its_parts_and_its_words() -> None:
    said = (
        "<think>hm</think><response><one_initial_code>c</one_initial_code><thought>a &amp; b</thought>"
        "<actions>REPLY,MUTE_ROOM</actions><providers></providers><text>Hi</text></response>"
    )
    answer = parse_answer("planning", said)
    assert parts_of(answer) == (("actions", "REPLY, MUTE_ROOM"), ("thought", "a & b"), ("text", "Hi"))  # type: ignore[arg-type]
    assert words_of("planning", said) == "a & b\nREPLY,MUTE_ROOM\nHi"
    assert words_of("planning", "<think>x</think>no plan") == "no plan"
    assert words_of("coding", "```py\n1\n```") == "```py\n1\n```"
