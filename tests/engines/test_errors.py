"""One tree of errors for every engine, and one reader of what a service says went wrong."""

from __future__ import annotations

import json

import pytest

from reasoning_cli.engines import errors
from reasoning_cli.engines.openai.problems import explain as explain_server
from reasoning_cli.engines.openai.stream import StreamedAnswer
from reasoning_cli.engines.together.problems import explain as explain_together
from reasoning_cli.errors import ReasoningError


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": {"message": "no", "type": "t", "code": "c"}}, ("no", "c")),
        ({"error": {"message": "no", "type": "t"}}, ("no", "t")),
        ({"message": "no", "code": 3, "details": [{"detail": "the name"}, "x"]}, ("no; the name", "3")),
        ({"error": "no"}, ("no", "")),
        ({"detail": "no"}, ("no", "")),
        (
            {"detail": [{"loc": ["body"], "msg": "field required"}]},
            ('[{"loc": ["body"], "msg": "field required"}]', ""),
        ),
        ({"error": None}, ("", "")),
        ([], ("", "")),
        ("no", ("", "")),
    ],
    ids=str,
)
def test_every_shape_of_an_error_is_read(answer: object, words: tuple[str, str]) -> None:
    assert errors.words_of(json.dumps(answer).encode()) == words


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[" * 100_000, b"<html>\n  <p>Bad gateway</p></html>"])
def test_what_is_not_json_is_shown_on_one_line(body: bytes) -> None:
    said, code = errors.words_of(body)
    assert code == ""
    assert "\n" not in said
    assert len(said) <= 200


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RequestRefusedError),
        (401, errors.KeyRefusedError),
        (404, errors.MissingError),
        (422, errors.RequestRefusedError),
        (429, errors.BusyError),
        (500, errors.BusyError),
        (503, errors.BusyError),
    ],
)
def test_engines_call_the_same_trouble_by_the_same_name(status: int, kind: type[ReasoningError]) -> None:
    body = json.dumps({"error": {"message": "no, tgp_v1_0123456789abcdefghij", "code": "c"}}).encode()
    together, server = explain_together("POST", status, body, None), explain_server("http://box/v1", status, body, "")
    assert type(together) is type(server) is kind
    assert "0123456789abcdefghij" not in together.message + server.message  # a key that it repeats
    if isinstance(server, errors.RequestRefusedError):
        assert server.code == "c"


def test_how_long_a_server_wants_to_be_left_alone_is_known() -> None:
    waits = [explain_server("http://box/v1", 503, b"", said) for said in ("7", "600", "soon", "")]
    assert [wait.wait_seconds for wait in waits if isinstance(wait, errors.BusyError)] == [7, 60, None, None]


@pytest.mark.parametrize("body", ['{"n_ctx": %s}', '{"error": {"message": "the context size is %s tokens"}}'])
def test_a_context_of_thousands_of_digits_is_none(body: str) -> None:
    """Python makes no number of so many."""
    known = explain_server("http://server", 400, (body % "4096").encode(), "")
    odd = explain_server("http://server", 400, (body % ("9" * 5000)).encode(), "")
    assert isinstance(known, errors.RequestRefusedError) and isinstance(odd, errors.RequestRefusedError)
    assert (known.context_tokens, odd.context_tokens) == (4096, None)


def test_a_piece_of_an_answer_that_is_nested_deeply_brings_no_text() -> None:
    answer = StreamedAnswer()
    assert not answer.add_line("data: " + "[" * 100_000)
    assert answer.add_line('data: {"choices": [{"delta": {"content": "hi"}}]}')
    assert answer.texts == ["hi"]
