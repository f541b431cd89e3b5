"""`.env` is read as the loaders of agents read it: node's `dotenv`, and python-dotenv where the two agree."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from io import StringIO
from pathlib import Path

import pytest

from reasoning_cli.dotenv_file import parse_dotenv, read_dotenv
from tests.gateway.node import installed

# What elizaOS 1.7.2 depends on; 16.6.1 has the same grammar.
NODE_DOTENV = "17.2.3"

BOTH = "python-dotenv says the same"

# A file, what node's dotenv reads, and python-dotenv's reading where it is another. Recorded from the two; the tests
# below ask them again where they are installed.
CASES: list[tuple[str, str, dict[str, str], object]] = [
    ("a value", "A=b", {"A": "b"}, BOTH),
    ("blanks around", "  A = b  ", {"A": "b"}, BOTH),
    ("only a comment", "A=   # comment", {"A": ""}, BOTH),
    ("only a comment, tab", "A=\t# comment\nB=2", {"A": "", "B": "2"}, BOTH),
    ("nothing, and a line after it", "A=\nB=2", {"A": "", "B": "2"}, BOTH),
    ("comment after a tab", "A=b\t# comment", {"A": "b"}, BOTH),
    ("comment after a blank", "A=b # comment", {"A": "b"}, BOTH),
    ("hash without a blank", "A=b#c", {"A": "b"}, {"A": "b#c"}),
    ("hash in quotes", "A='b # c'\nB=\"d#e\" # f", {"A": "b # c", "B": "d#e"}, BOTH),
    ("an equals sign in it", "A=b=c==", {"A": "b=c=="}, BOTH),
    ("export", "export A=b", {"A": "b"}, BOTH),
    ("export and a tab", "export\tA=b", {"A": "b"}, BOTH),
    ("export and several blanks", "  export \t A=b", {"A": "b"}, BOTH),
    ("a name that is export", "export=b", {"export": "b"}, BOTH),
    ("two lines in double quotes", 'A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}, BOTH),
    ("a setting inside a value", 'KEY="-----\nBUDGET=100000\n-----"', {"KEY": "-----\nBUDGET=100000\n-----"}, BOTH),
    ("the same in single quotes", "KEY='a\nBUDGET=1\nb'\nC=2", {"KEY": "a\nBUDGET=1\nb", "C": "2"}, BOTH),
    (
        "the same in backticks",
        "KEY=`a\nBUDGET=1\nb`\nC=2",
        {"KEY": "a\nBUDGET=1\nb", "C": "2"},
        {"KEY": "`a", "BUDGET": "1", "C": "2"},
    ),
    ("a quote that does not end", 'A="one\nB=2', {"A": '"one', "B": "2"}, {"B": "2"}),
    ("a quote within", "A=it's\nB=don't", {"A": "it's", "B": "don't"}, BOTH),
    ("other quotes within", 'A="it\'s"\nB=\'say "x"\'', {"A": "it's", "B": 'say "x"'}, BOTH),
    ("backticks", "A=`b 'c' \"d\"`", {"A": "b 'c' \"d\""}, {"A": "`b 'c' \"d\"`"}),
    ("\\n in double quotes", 'A="one\\ntwo"', {"A": "one\ntwo"}, BOTH),
    ("\\n in single quotes", "A='one\\ntwo'", {"A": "one\\ntwo"}, BOTH),
    ("\\n without quotes", "A=one\\ntwo", {"A": "one\\ntwo"}, BOTH),
    ("\\t in double quotes", 'A="one\\ttwo"', {"A": "one\\ttwo"}, {"A": "one\ttwo"}),
    ("an escaped quote", 'A="say \\"x\\""', {"A": 'say \\"x\\"'}, {"A": 'say "x"'}),
    ("something after the quote", 'A="b" c', {"A": '"b" c'}, {}),
    ("\\r\\n", 'A=b\r\nB="c\r\nd"\r\nE=f', {"A": "b", "B": "c\nd", "E": "f"}, {"A": "b", "B": "c\r\nd", "E": "f"}),
    ("\\r alone", "A=b\rB=c", {"A": "b", "B": "c"}, BOTH),
    ("U+0085 in a value", "A=b\x85B=c", {"A": "b\x85B=c"}, BOTH),
    ("U+2028 in a value", "A=b\u2028B=c", {"A": "b\u2028B=c"}, BOTH),
    ("form feed in a value", "A=b\x0cB=c", {"A": "b\x0cB=c"}, BOTH),
    ("U+001C in a value", "A=b\x1cB=c", {"A": "b\x1cB=c"}, BOTH),
    ("byte-order mark", "\ufeffA=b", {"A": "b"}, BOTH),
    ("a comment", "# A=b\n  # B=c\nC=d", {"C": "d"}, BOTH),
    ("a colon", "A: b", {"A": "b"}, {}),
    ("twice", "A=1\nA=2", {"A": "2"}, BOTH),
    ("words", "just some words\nA=b", {"A": "b"}, BOTH),
    ("empty quotes", "A=\"\"\nB=''", {"A": "", "B": ""}, BOTH),
    ("blanks in quotes", 'A="  b  "', {"A": "  b  "}, BOTH),
    ("a dollar", "A=1\nB=${A}", {"A": "1", "B": "${A}"}, BOTH),
    ("dots and dashes in a name", "a.b-c=d", {"a.b-c": "d"}, BOTH),
    ("nothing at all", "", {}, BOTH),
]
IDS = [name for name, *_ in CASES]


@pytest.mark.parametrize(("_", "text", "node", "python"), CASES, ids=IDS)
def test_a_file_is_read_as_node_reads_it(_: str, text: str, node: dict[str, str], python: object) -> None:
    assert parse_dotenv(text) == node


def test_a_file_on_disk_is_read_the_same(tmp_path: Path) -> None:
    for number, (_, text, node, _) in enumerate(CASES):
        path = tmp_path / str(number)
        path.write_bytes(text.encode())
        assert read_dotenv(path) == node


@pytest.mark.parametrize(("_", "text", "node", "python"), CASES, ids=IDS)
def test_python_dotenv_agrees_but_where_recorded(_: str, text: str, node: dict[str, str], python: object) -> None:
    dotenv = pytest.importorskip("dotenv")
    # What it cannot read, and names without `=`, have no value.
    values = dotenv.dotenv_values(stream=StringIO(text, newline=""), interpolate=False)
    found = {name: value for name, value in values.items() if value is not None}
    assert found == (node if python is BOTH else python)


def ask_node(texts: list[str]) -> list[dict[str, str]]:
    if shutil.which("node") is None:
        pytest.skip("no node")
    folder = installed("dotenv", NODE_DOTENV)
    script = (
        "const {parse} = require('dotenv');"
        "const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "process.stdout.write(JSON.stringify(texts.map(text => parse(text))));"
    )
    done = subprocess.run(
        ["node", "-e", script], cwd=folder, input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    answers: list[dict[str, str]] = json.loads(done.stdout)
    return answers


def test_node_reads_what_is_recorded() -> None:
    assert ask_node([text for _, text, *_ in CASES]) == [node for _, _, node, _ in CASES]


def test_node_agrees_about_twenty_thousand_odd_files() -> None:
    pieces = ["A", "B", "_x", "=", "=", " ", "\t", "\n", "\n", "\r\n", "\r", "'", '"', "`", "#", "\\n", "\\", "\\r"]
    pieces += [
        '\\"',
        "\\'",
        ":",
        "export ",
        "export\t",
        "-",
        ".",
        "é",
        "\x85",
        "\u2028",
        "\xa0",
        "\ufeff",
        "\x1c",
        "\f",
    ]
    dice = random.Random(13)
    texts = ["".join(dice.choices(pieces, k=dice.randint(1, 24))) for _ in range(20_000)]
    differing = [
        (text, node, own)
        for text, node in zip(texts, ask_node(texts), strict=True)
        if (own := parse_dotenv(text)) != node
    ]
    assert differing == []


@pytest.mark.parametrize("text", ["\n" * 300_000, "A=\n" * 50_000, "x" * 300_000, 'A="\n' * 20_000, "A=' \n" * 20_001])
def test_a_long_file_is_read_in_a_moment(text: str) -> None:
    began = time.process_time()
    parse_dotenv(text)
    assert time.process_time() - began < 5
