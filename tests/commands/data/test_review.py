"""A review at a real terminal: accept, reject, correct, undo, leave and go on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reasoning_cli.decisions.answers import parse_answer
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.labels import Labels
from reasoning_cli.store.samples.training_log import Sample, Samples
from tests.commands.screens import Person
from tests.conftest import Run

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HEADS = {
    "should_respond": "<task>Decide on behalf of Nova whether they should respond to the message, ignore it or stop"
    " the conversation.</task>",
    "planning": "<task>Generate dialog and actions for the character Nova.</task>\n\n<providers>\n"
    "Possible response actions: REPLY, IGNORE, MUTE_ROOM",
}
ANSWERS = {
    "should_respond": "<response><name>Nova</name><reasoning>Asked</reasoning><action>RESPOND</action></response>",
    "planning": "<response><thought>Say hi</thought><actions>REPLY</actions><providers></providers><text>Hi</text>"
    "</response>",
}


def decision(number: int, model_type: str = "should_respond", said: str = "", **changes: object) -> Sample:
    message = f"Alice: message {number}{said}"
    made = Sample(
        id=f"{number:04}-decision",
        created_at=NOON - timedelta(minutes=number),  # so that number 1 is the newest
        model_type=model_type,
        model="TEXT_SMALL",
        source="original",
        origin="elizaos-logs",
        prompt=f"{HEADS[model_type]}\n\n# Conversation Messages\n11:59 (1 minute ago) [e0] Bob: before that\n"
        f"12:00 (just now) [e1] {message}\n\n\n# Received Message\n{message}\n\n\n# Focus your response\n</providers>",
        output=ANSWERS[model_type],
        decision="RESPOND" if model_type == "should_respond" else "REPLY",
        agent_name="Nova",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many([decision(1), decision(2), decision(3, "planning"), decision(4), decision(5)])
        yield store


def labels(store: Store) -> dict[int, str]:
    return {int(one.id[:4]): one.label for one in Samples(store).iterate() if one.label is not None}


def corrected(store: Store, number: int) -> object:
    sample = Samples(store).get(f"{number:04}-decision")
    assert sample is not None
    assert sample.corrected is not None
    return parse_answer(sample.model_type, sample.corrected)


def editor(tmp_path: Path, command: str) -> str:
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\n{command}\n")
    script.chmod(0o700)
    return str(script)


def test_accept_reject_correct_undo_leave_and_go_on(store: Store, tmp_path: Path) -> None:
    edits = editor(tmp_path, """sed -i 's/RESPOND/STOP/; s/Asked/Told to be still/' "$1" """)
    with Person("data", "review", "--annotator", "ada", EDITOR=edits) as person:
        screen = person.sees("message 1", "1 of 5", "? help")
        assert "11:59 Bob: before that" in screen
        assert "RESPOND" in screen
        person.type("a")
        person.sees("message 2", "2 of 5, 1 good")
        person.type("2")  # IGNORE
        person.sees("message 3", "3 of 5, 1 good, 1 corrected", "p pick action")
        person.type("p")
        person.sees("3  MUTE_ROOM", "which action?")
        person.type("3")
        person.sees("message 4", "4 of 5, 1 good, 2 corrected")
        person.type("u")
        person.sees("message 3", "Undone.", "3 of 5, 1 good, 1 corrected")
        assert labels(store) == {1: "good", 2: "corrected"}
        person.type("r")
        person.sees("message 4", "1 bad")
        person.type("e")
        person.sees("message 5", "5 of 5, 1 good, 1 bad, 2 corrected")
        person.type("q")
        code, end = person.ends()
    assert code == 0
    assert "Labelled 4 (1 good, 1 bad, 2 corrected)." in end
    assert "1 left; the same command goes on with them." in end
    assert labels(store) == {1: "good", 2: "corrected", 3: "bad", 4: "corrected"}
    assert corrected(store, 2) == parse_answer(
        "should_respond",
        "<response><name>Nova</name><reasoning>The message is not for Nova.</reasoning><action>IGNORE</action>"
        "</response>",
    )
    assert corrected(store, 4).reasoning == "Told to be still"  # type: ignore[attr-defined]
    assert [(one.by, one.label, one.undoes is not None) for one in Labels(store).history("0003-decision")] == [
        ("ada", "bad", False),
        ("ada", None, True),
        ("ada", "corrected", False),
    ]

    with Person("data", "review") as person:  # goes on with the one that is left
        person.sees("message 5", "5 of 5")
        person.type("sq")
        code, end = person.ends()
    assert (code, "Labelled none." in end) == (0, True)
    with Person("data", "review", "--label", "bad") as person:
        person.sees("message 3", "1 of 1", "label: bad, set by ada")
        person.type("a")
        assert "That was all of them." in person.ends()[1]
    assert labels(store)[3] == "good"


def test_what_the_agent_could_not_use_is_not_kept_and_not_lost(store: Store, tmp_path: Path) -> None:
    edits = editor(tmp_path, """grep -q DANCE "$1" && sed -i 's/DANCE/IGNORE/' "$1" || sed -i 's/REPLY/DANCE/' "$1" """)
    with Person("data", "review", "-m", "planning", EDITOR=edits) as person:
        person.sees("message 3", "1 of 1")
        person.type("e")
        person.sees("Not kept", "does not offer", "1 of 1")
        assert labels(store) == {}
        person.type("e")  # what was written is offered again
        assert person.ends()[0] == 0
    assert corrected(store, 3).actions == ("IGNORE",)  # type: ignore[attr-defined]


def test_an_editor_that_fails_or_changes_nothing_labels_nothing(store: Store, tmp_path: Path) -> None:
    with Person("data", "review", EDITOR=editor(tmp_path, "exit 3")) as person:
        person.sees("1 of 5")
        person.type("e")
        person.sees("with 3; nothing was changed")
    with Person("data", "review", EDITOR="true") as person:
        person.sees("1 of 5")
        person.type("e")
        person.sees("Nothing was changed")
    with Person("data", "review", EDITOR="no-such-editor") as person:
        person.sees("1 of 5")
        person.type("e")
        person.sees("does not start")
        person.type("u")
        person.sees("Nothing to undo in this run")
        person.type("x")
        person.sees("That key does nothing here")
    assert labels(store) == {}


@pytest.mark.parametrize(("end", "code"), [("\x03", 130), ("\x04", 0)])
def test_leaving_in_any_way_keeps_what_was_labelled(store: Store, end: str, code: int) -> None:
    with Person("data", "review") as person:
        person.sees("message 1")
        person.type("a")
        person.sees("message 2")
        person.type(end)
        seen, screen = person.ends()
    assert seen in (code, -signal.SIGINT if code == 130 else code)
    assert "Labelled 1 (1 good)" in screen
    assert labels(store) == {1: "good"}


def test_a_review_that_is_killed_has_kept_each_label(store: Store) -> None:
    with Person("data", "review") as person:
        person.sees("message 1")
        person.type("a")
        person.sees("message 2")
        person.process.kill()
        assert person.ends()[0] == -signal.SIGKILL
    assert labels(store) == {1: "good"}
    assert store.check().problems == ()


def test_the_screen_follows_the_window_and_long_texts_come_in_parts(home: Path) -> None:
    talk = "".join(f"\nword{number} " + "long " * 8 for number in range(40))
    with open_store(home / "reasoning.db") as store:
        Samples(store).insert_many([decision(1, said=talk)])
        with Person("data", "review") as person:
            screen = person.sees("m more", "1 of 1")
            assert "word0" in screen
            assert "word39" not in screen
            assert "11:59 Bob" not in screen
            while "reasoning  Asked" not in screen:
                person.type("m")
                screen = person.sees("1 of 1", "? help")
            assert "m the whole conversation" in screen
            person.type(" ")
            person.sees("11:59 Bob: before that", "1 of 1")
            person.resize(40)
            screen = person.sees("1 of 1", "? help")
            assert max(len(line) for line in screen.splitlines()) <= 40
            person.type("?")
            person.sees("any key goes back", "undo the last label")
            person.type("x1")  # whatever is pressed goes back; 1 is RESPOND, which it is: accepted
            assert person.ends()[0] == 0
        assert labels(store) == {1: "good"}


def test_a_huge_decision_is_shown_by_its_beginning(home: Path) -> None:
    with open_store(home / "reasoning.db") as store:
        huge = "word \x1b[31m\0 " * 500_000
        Samples(store).insert_many([decision(1, said=huge, model_type="should_respond", output=huge, decision=None)])
        with Person("data", "review") as person:
            screen = person.sees("unreadable", "m more", "1 of 1")
            assert "word \\x1b[31m\\x00 word" in screen
            person.type("3")
            assert person.ends()[0] == 0
        assert labels(store) == {1: "corrected"}


def test_a_sample_is_drawn_once_and_gone_on_with(store: Store) -> None:
    Samples(store).insert_many([decision(number) for number in range(10, 40)])
    seen = []
    for labelled in range(3):
        with Person("data", "review", "--since", "100d", "--sample", "3", "--seed", "7") as person:
            screen = person.sees(f"{labelled + 1} of 3")
            seen.append(next(line for line in screen.splitlines() if line.startswith("  Alice: message")))
            person.type("r" if labelled == 2 else "aq")
            person.ends()
        Samples(store).insert_many([decision(100 + labelled)])  # what comes meanwhile is not drawn
    assert len(set(seen)) == 3
    with Person("data", "review", "--since", "100d", "--sample", "3", "--seed", "7") as person:
        assert "add --again" in person.ends()[1]
    with Person("data", "review", "--since", "100d", "--sample", "3", "--seed", "7", "--again") as person:
        person.sees(seen[0], "1 of 3")


def test_without_a_terminal_or_decisions_it_says_so(store: Store, reasoning: Run, tmp_path: Path) -> None:
    done = reasoning("data", "review")
    assert done.exit_code == 2
    assert "reasoning data label DECISION --good" in done.stderr
    with Person("data", "review", "--agent", "nobody") as person:
        assert "No decisions match." in person.ends()[1]
