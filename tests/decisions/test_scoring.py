"""Scores worked out by hand, and what must hold of any."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_cli.decisions.answers import (
    PlanningAnswer,
    ShouldRespondAnswer,
    render_answer,
)
from reasoning_cli.decisions.examples import EXAMPLES
from reasoning_cli.decisions.scoring import (
    Parsed,
    Truth,
    brackets_match,
    code_similarity,
    f1,
    parse_code,
    score,
    text_similarity,
    truth_of,
)

PROMPT = EXAMPLES["planning"]
ASKED = EXAMPLES["should_respond"]


def respond(action: str) -> str:
    return render_answer(ShouldRespondAnswer("Nova", "because", action))


def plan(*actions: str, text: str = "", providers: tuple[str, ...] = ()) -> str:
    return render_answer(PlanningAnswer("a thought", actions, providers, text))


def code(language: str, text: str) -> str:
    return f"Here it is.\n\n```{language}\n{text}\n```"


# --- what is right ---


def test_a_correction_outranks_a_label_and_a_label_the_original() -> None:
    corrected = truth_of("should_respond", ASKED, respond("RESPOND"), label="corrected", corrected=respond("STOP"))
    assert (corrected.basis, corrected.decided) == ("corrected", "STOP")
    good = truth_of("should_respond", ASKED, respond("RESPOND"), label="good")
    assert (good.basis, good.decided) == ("good", "RESPOND")
    bad = truth_of("should_respond", ASKED, respond("RESPOND"), label="bad")
    assert (bad.basis, bad.answer, bad.decided) == ("bad", None, "not RESPOND")
    assert truth_of("should_respond", ASKED, respond("IGNORE")).basis == "original"
    assert truth_of("should_respond", ASKED, "no XML") == Truth("none")
    unreadable = truth_of("should_respond", ASKED, respond("IGNORE"), label="corrected", corrected="no XML")
    assert unreadable.basis == "original"


# --- should_respond ---


@pytest.mark.parametrize(
    ("said", "right", "parts"),
    [("RESPOND", "RESPOND", 1.0), ("RESPOND", "IGNORE", 0.0), ("STOP", "IGNORE", 0.0)],
)
def test_an_action_is_right_or_not(said: str, right: str, parts: float) -> None:
    found = score("should_respond", ASKED, respond(said), truth_of("should_respond", ASKED, respond(right)))
    assert (found.valid, found.decided, found.differs, found.parts) == (True, said, not parts, {"accuracy": parts})


def test_any_other_action_than_the_one_labelled_bad_is_right() -> None:
    bad = truth_of("should_respond", ASKED, respond("RESPOND"), label="bad")
    assert score("should_respond", ASKED, respond("RESPOND"), bad).parts == {"accuracy": 0.0}
    assert score("should_respond", ASKED, respond("STOP"), bad).parts == {"accuracy": 1.0}


def test_an_invalid_answer_is_wrong_and_says_why() -> None:
    found = score("should_respond", ASKED, "<response><action>MAYBE</action></response>", Truth("none"))
    assert (found.valid, found.reason, found.differs) == (False, "action is none of RESPOND, IGNORE, STOP", None)
    found = score("should_respond", ASKED, "hm", truth_of("should_respond", ASKED, respond("STOP")))
    assert (found.reason, found.differs, found.parts) == ("no XML answer", True, {"accuracy": 0.0})


# --- planning ---


def test_plans_are_compared_by_actions_providers_order_and_text() -> None:
    right = truth_of("planning", "", plan("REPLY", "FOLLOW_ROOM", text="Of course I will", providers=("FACTS",)))
    same = score("planning", "", plan("reply", "Follow Room", text="of course, I will!", providers=("FACTS",)), right)
    assert same.differs is False
    assert same.parts == {
        "actions_f1": 1.0,
        "actions_same": 1.0,
        "providers_same": 1.0,
        "order_same": 1.0,
        "text_similarity": 1.0,
        "words_count": 4.0,
    }
    turned = score("planning", "", plan("FOLLOW_ROOM", "REPLY", text="I will not"), right)
    assert (turned.differs, turned.parts["order_same"], turned.parts["providers_same"]) == (False, 0.0, 0.0)
    assert math.isclose(turned.parts["text_similarity"], 2 * 2 / 7)
    half = score("planning", "", plan("REPLY"), right)
    assert (half.differs, half.parts["actions_same"], "order_same" in half.parts) == (True, 0.0, False)
    assert math.isclose(half.parts["actions_f1"], 2 / 3)
    assert half.parts["text_similarity"] == 0.0


def test_a_plan_with_an_action_the_prompt_does_not_offer_is_invalid() -> None:
    right = truth_of("planning", PROMPT, plan("REPLY", text="hi"))
    assert right.basis == "original"
    found = score("planning", PROMPT, plan("LAUNCH_ROCKET"), right)
    assert (found.valid, found.reason) == (False, "an action the prompt does not offer")
    assert found.parts["actions_f1"] == 0.0


def test_of_a_plan_labelled_bad_only_its_repetition_is_known_to_be_wrong() -> None:
    bad = truth_of("planning", "", plan("REPLY", text="buy this coin now, friends"), label="bad")
    again = score("planning", "", plan("REPLY", text="Buy this coin now friends!"), bad)
    assert (again.parts, again.differs) == ({"repeats": 1.0}, True)
    for other in (plan("IGNORE"), plan("REPLY", text="I do not give advice on that")):
        assert score("planning", "", other, bad).parts == {"repeats": 0.0}
        assert score("planning", "", other, bad).differs is None
    assert score("planning", "", "", bad).parts == {"repeats": 0.0}


# --- coding ---


def test_code_is_compared_by_its_tokens_and_parsed() -> None:
    right = truth_of("coding", "", code("python", "def f(x):\n    return x + 1"))
    same = score("coding", "", code("python", "def f(x):\n\n  return x + 1"), right)
    assert (same.differs, same.parts) == (False, {"similarity": 1.0, "same": 1.0, "parses": 1.0})
    assert same.checked == "parser"
    broken = score("coding", "", code("python", "def f(x:\n    return x + 1"), right)
    assert broken.parts["parses"] == 0.0
    assert 0.7 < broken.parts["similarity"] < 1
    prose = score("coding", "", "I would add one to it.", right)
    assert (prose.valid, prose.reason, prose.parts) == (False, "no code", {"similarity": 0.0, "parses": 0.0})
    unknown = score("coding", "", code("sh", "ls"), right)
    assert "parses" not in unknown.parts
    assert unknown.checked == ""


def test_where_the_truth_is_prose_so_may_the_answer_be() -> None:
    right = truth_of("coding", "", "Use a dictionary.")
    found = score("coding", "", "use a dictionary", right)
    assert (found.valid, found.parts) == (True, {"similarity": 1.0, "same": 0.0})


def test_who_has_a_better_parser_brings_it() -> None:
    found = score("coding", "", code("js", "let x = ;"), Truth("none"), lambda language, text: Parsed(False, "node"))
    assert (found.parts, found.checked) == ({"parses": 0.0}, "node")


@pytest.mark.parametrize(
    ("language", "text", "ok"),
    [
        ("python", "print('\\d')", True),
        ("python", "print('", False),
        ("python", "-" * 100_000 + "1", False),
        ("python", "(" * 100_000, False),
        ("python", "a\0b", False),
        ("json", '{"a": [1, 2]}', True),
        ("json", "{a: 1}", False),
        ("json", "[" * 100_000, False),
        ("ts", "const f = (a: string) => `${a}}`; // )", True),
        ("ts", "function f() { return (1; }", False),
        ("go", 'fmt.Println("(") /* { */', True),
        ("rust", "fn f() {", False),
    ],
)
def test_what_parses(language: str, text: str, ok: bool) -> None:
    found = parse_code(language, text)
    assert found is not None
    assert found.ok is ok
    assert found.how == ("parser" if language in ("python", "json") else "brackets")


def test_nothing_is_said_of_languages_nobody_here_can_read() -> None:
    assert parse_code("haskell", "main = (") is None
    assert parse_code("", "anything") is None


@pytest.mark.parametrize("text", ["/*" * 200_000, '"\\"' * 200_000, "`\\`" * 200_000, "'" * 400_000, "(" * 500_000])
def test_hostile_code_takes_no_time(text: str) -> None:
    started = time.process_time()
    brackets_match(text)
    code_similarity(text, text[1:])
    assert time.process_time() - started < 20


# --- what must hold of any ---

NAMES = st.lists(st.sampled_from(["REPLY", "IGNORE_ROOM", "FOLLOW_ROOM", "NONE", "SEND"]), min_size=1, max_size=4)
TEXTS = st.text(max_size=80)
ANSWERS = st.one_of(
    st.builds(
        lambda action, why: ("should_respond", respond(action) + why),
        st.sampled_from(["RESPOND", "IGNORE", "STOP"]),
        TEXTS,
    ),
    st.builds(lambda names, text: ("planning", plan(*names, text=text)), NAMES, TEXTS),
    st.builds(
        lambda language, text: ("coding", code(language, text)), st.sampled_from(["python", "ts", "json", ""]), TEXTS
    ),
)


@given(ANSWERS)
def test_what_is_right_is_perfect_beside_itself(answer: tuple[str, str]) -> None:
    model_type, output = answer
    truth = truth_of(model_type, "", output)
    found = score(model_type, "", output, truth)
    assert found.valid
    assert found.differs is False
    perfect = {name: value for name, value in found.parts.items() if name not in ("words_count", "parses")}
    assert perfect
    assert set(perfect.values()) == {1.0}


@given(ANSWERS, TEXTS)
def test_any_text_has_a_score(answer: tuple[str, str], said: str) -> None:
    model_type, output = answer
    found = score(model_type, "", said, truth_of(model_type, "", output))
    assert all(0 <= value <= 1 for name, value in found.parts.items() if name != "words_count")
    assert found.valid is (found.reason is None)


@given(TEXTS, TEXTS)
def test_similarities_are_the_same_both_ways(one: str, other: str) -> None:
    assert text_similarity(one, other) == text_similarity(other, one)
    assert code_similarity(one, other) == code_similarity(other, one)
    assert text_similarity(one, one) == code_similarity(one, one) == 1.0


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_f1_is_that_of_precision_and_recall(ours: list[int], theirs: list[int]) -> None:
    shared = sum(min(ours.count(one), theirs.count(one)) for one in set(ours))
    found = f1(ours, theirs)
    assert found == f1(theirs, ours)
    if shared:
        precision, recall = shared / len(ours), shared / len(theirs)
        assert math.isclose(found, 2 * precision * recall / (precision + recall))
    else:
        assert found == float(not ours and not theirs)


def test_words_of_scripts_without_spaces_are_their_characters() -> None:
    assert text_similarity("今日は良い天気", "今日は悪い天気") == pytest.approx(6 / 7)
