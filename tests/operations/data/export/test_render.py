"""Most samples go into a file as they are stored; their lines are those the careful way makes."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from benchmarks.generate_log import Generator
from reasoning_cli.operations.data.export.render import Renderer, Rules
from reasoning_cli.store.samples.export_reader import TextRow

SALT = "5a" * 16
CANONICAL = (
    "<response>\n  <name>Nova</name>\n  <reasoning>{}</reasoning>\n  <action>RESPOND</action>\n</response>",
    "RESPOND",
)


def made(prompt: str = "Hi", said: str = "They ask.", system: str | None = None, **other: object) -> TextRow:
    output, decision = CANONICAL
    row = {"label": None, "corrected": None, "decision": decision, "model_type": "should_respond", **other}
    kept = row["model_type"], row["label"], row["corrected"], row["decision"]
    rest = (row.get("cut"), row.get("conversation"), None)
    return (1, 0, *kept, system, str(row.get("output", output.format(said))), prompt.encode(), *rest)  # type: ignore[return-value]


@functools.cache
def rows() -> tuple[TextRow, ...]:
    return tuple(_made_rows())


def _made_rows() -> Iterator[TextRow]:
    for number, sample in enumerate(Generator(750)):
        corrected, decision = sample.corrected, sample.decision
        yield (
            number,
            0,
            sample.model_type,
            sample.label,
            corrected,
            decision,
            sample.system,
            sample.output,
            sample.prompt.encode(),
            None,
            None,
            None,
        )
    yield made(cut="length", decision=None)
    for said in (
        'It\'s "so" & <so>',
        "a &amp; b",
        "mail bob&amp;@x.example",
        "bob@x.example",
        "NUL \0",
        "\x1f",
        "ünï 漢字 😀",
    ):
        escaped = said if "&amp;" in said else said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        yield made(said, escaped)
    for system in ("", " ", "Be kind.", "Be kind.", "Ask bob@x.example.", "Ask bob@x.example.", "NUL \0", "Be kind."):
        yield made(system=system)
    yield from (made(prompt) for prompt in ("", " \n", "\u3000", "\u3000a", "\x1f", "\0", "\u2028", '"\\/\b\f\t\r\x7f'))
    yield made(label="bad")
    yield made(decision=None)
    yield made(corrected=CANONICAL[0].format("No."))
    yield made(output="<response><name>N</name><reasoning>r</reasoning><action>STOP</action></response>")
    yield made(model_type="coding", output="```python\nprint('a@b.example')\n```", decision="python")
    yield made(model_type="coding", output="print(1 & 2)", decision="prose")


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(salt=SALT),
        Rules(fmt="json", salt=SALT),
        Rules(fmt="parquet"),
        Rules(salt=SALT, redact_names=True),
        Rules(salt=SALT, forms={"should_respond": "compact"}),
        Rules(preference=True),
        Rules(salt=SALT, trainer="openai"),
        Rules(trainer="trl", every_tools=True),
        Rules(salt=SALT, trainer="axolotl", every_tools=True),
    ],
    ids=["plain", "redacted", "json", "parquet", "names", "compact", "preference", "openai", "trl", "axolotl"],
)
def test_quick_lines_are_those_the_careful_way_makes(rules: Rules) -> None:
    mixed, careful = Renderer(rules), Renderer(rules)
    quick = 0
    for row in rows():
        [line], turns = mixed.quick_lines([row]), careful.turns(row)
        expected = turns if isinstance(turns, str) else careful.line(turns)
        if line is not None:
            quick += 1
            assert line == expected
            assert not isinstance(turns, str)
            assert turns.decision == row[5]
        else:
            told = mixed.turns(row)
            assert (told if isinstance(told, str) else mixed.line(told)) == expected
    assert mixed.redactions == careful.redactions
    assert (quick > 150) != (rules.preference or rules.redact_names)


@given(st.text())
def test_bytes_become_the_json_that_their_text_becomes(text: str) -> None:
    assert to_json(text.encode()) == orjson.dumps(text)


@pytest.mark.parametrize("prompt", [b"Hi \xff", b"\xed\xa0\x80", b"\xff"])
@pytest.mark.parametrize("salt", [None, SALT])
def test_a_prompt_that_is_no_text_is_left_out(prompt: bytes, salt: str | None) -> None:
    renderer, row = Renderer(Rules(salt=salt)), (*made()[:8], prompt, *made()[9:])
    assert renderer.quick_lines([row]) == [None]  # type: ignore[arg-type]
    assert renderer.turns(row) == "text that is not UTF-8"  # type: ignore[arg-type]
