"""The quick way to read an answer says what the careful one says, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.decisions.answers import InvalidAnswer, parse_answer, render_answer
from reasoning_cli.decisions.quick_answers import is_canonical, quick_answer

TYPES = ("should_respond", "planning", "coding")
TAGS = ("name", "reasoning", "action", "thought", "actions", "providers", "text", "response", "think", "params")

_words = st.sampled_from(
    [
        "RESPOND",
        "ignore",
        "REPLY",
        "REPLY,NONE",
        "a",
        " ",
        "\n",
        "&amp;",
        "&lt;b&gt;",
        "&",
        "<",
        "</",
        "'",
        '"',
        "\x1f",
        "é",
    ]
)
_value = st.lists(_words, max_size=4).map("".join)
_child = st.tuples(st.sampled_from(TAGS), _value, st.sampled_from(["\n  ", "", " ", "\n"])).map(
    lambda part: f"{part[2]}<{part[0]}>{part[1]}</{part[0]}>"
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, str]:
    """Answers near the common form: tags in order or not, spaces, entities, stray markup."""
    model_type = draw(st.sampled_from(TYPES))
    tags = {"should_respond": TAGS[:3], "planning": TAGS[3:7], "coding": ()}[model_type]
    space = draw(st.sampled_from(["\n  ", "\n    ", ""]))
    body = "".join(f"{space}<{tag}>{draw(_value)}</{tag}>" for tag in tags)
    if draw(st.booleans()):
        body += draw(_child)
    around = draw(st.sampled_from(["", " ", "\n", "<think>x</think>", "prose "]))
    return model_type, f"{around}<response>{body}\n</response>{draw(st.sampled_from(['', chr(10), ' x']))}"


@given(answers())
def test_quick_and_careful_agree_on_valid_answers(given_answer: tuple[str, str]) -> None:
    model_type, output = given_answer
    careful = parse_answer(model_type, output)
    if isinstance(careful, InvalidAnswer):
        return  # what is not valid never reaches the quick way
    quick = quick_answer(model_type, output)
    assert quick is None or quick == careful
    if is_canonical(model_type, output):
        assert render_answer(careful) == output


@pytest.mark.parametrize(
    ("model_type", "output"),
    [
        (
            "should_respond",
            "<response>\n  <name>Nova</name>\n  <reasoning>a &amp; b</reasoning>\n  <action>STOP</action>\n</response>",
        ),
        (
            "planning",
            "<response>\n  <thought>t</thought>\n  <actions>REPLY,NONE</actions>\n  <providers></providers>\n"
            "  <text></text>\n</response>",
        ),
        ("coding", "```python\nx\n```"),
    ],
)
def test_what_we_write_ourselves_is_taken_as_it_stands(model_type: str, output: str) -> None:
    assert is_canonical(model_type, output)
    careful = parse_answer(model_type, output)
    assert not isinstance(careful, InvalidAnswer)
    assert render_answer(careful) == output
    assert not is_canonical(model_type, f" {output}")
