"""Whom a message may be meant for is logged with each decision, found for what is stored, and forgotten with people."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reasoning_cli.commands.demo.synthetic_agent import AGENT, Made, agent_log, make_decisions
from reasoning_cli.decisions.addressing import Addressing, AnsweredMessages, addressing_of
from reasoning_cli.operations.data.addressing import address_log
from reasoning_cli.operations.data.erasure import Request, plan_forget
from reasoning_cli.operations.data.redact import redact_log
from reasoning_cli.store.database import Store
from reasoning_cli.store.open import open_store
from reasoning_cli.store.samples.training_log import EVERYTHING, Sample, Samples
from tests.conftest import Run
from tests.operations.taking_in import import_file

NOVA, ANN, BOB = "11111111-aaaa", "22222222-bbbb", "33333333-cccc"


@pytest.fixture(scope="module")
def made() -> list[Made]:
    """What the made-up agent decided in some rooms."""
    return list(make_decisions(150, seed=4))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "reasoning.db") as opened:
        yield opened


def prompt(*lines: tuple[str, str, str]) -> str:
    """A prompt whose conversation is these lines: clock, id and what stands behind it."""
    talk = "\n".join(f"{clock} (just now) [{who}] {text}" for clock, who, text in lines)
    received = lines[-1][2]
    people = f'"Ann" aka "ann"\nID: {ANN}\n\n"Bob"\nID: {BOB}\n\n"Nova"\nID: {NOVA}'
    return (
        f"<task>Decide on behalf of Nova whether they should respond to the message, ignore it or stop the"
        f" conversation.</task>\n\n<providers>\n# People in the Room\n{people}\n\n\n# About Nova\nNova is here."
        f"\n# Conversation Messages\n{talk}\n\n\n# Received Message\n{received}\n\n\n# Focus your response\n"
    )


ASKED = ("10:00", ANN, "Ann: Nova, when is it?")
BETWEEN = ("10:00", BOB, "Bob: no idea")
ANSWER = ("10:01", NOVA, "Nova: At noon.")
SILENT = ("10:01", NOVA, "(Nova's actions: IGNORE)")
NEXT = ("10:02", BOB, "Bob: and where?")


def known(*asked: str) -> AnsweredMessages:
    answered = AnsweredMessages()
    for each in asked:
        answered.note("Nova", each)
    return answered


def test_the_agents_last_message_answered_whom_it_was_asked_about_not_who_spoke_before_it() -> None:
    answered = known(prompt(ASKED))
    assert addressing_of(prompt(ASKED, BETWEEN, ANSWER, NEXT), "Nova", answered) == Addressing((ANN,), NOVA, 1, 2)
    # Of another agent in the same room nothing is known, and of a gateway that has just been started neither.
    assert addressing_of(prompt(ASKED, BETWEEN, ANSWER, NEXT), "Ada", answered).reply_targets == ()
    assert addressing_of(prompt(ASKED, BETWEEN, ANSWER, NEXT), "Nova", known()).reply_targets == ()


def test_a_message_the_agent_has_not_come_to_yet_is_not_what_it_answered() -> None:
    answered = known(prompt(ASKED), prompt(ASKED, ANSWER, NEXT))
    more, last = ("10:01", NOVA, "Nova: Sharp."), ("10:03", NOVA, "Nova: In the hall.")
    talk = prompt(ASKED, ANSWER, more, NEXT, last, ("10:04", ANN, "Ann: thanks"))
    assert addressing_of(talk, "Nova", answered).reply_targets == (BOB, ANN, ANN)
    assert addressing_of(talk, "Nova", known(prompt(ASKED, ANSWER, NEXT))).reply_targets == (BOB, None, None)
    assert addressing_of(prompt(ASKED, ANSWER, NEXT), "Nova", answered).reply_targets == (ANN,)


def test_messages_in_a_row_are_one_and_actions_are_no_messages() -> None:
    again = ("10:03", BOB, "Bob: hello?")
    found = addressing_of(prompt(ASKED, SILENT, NEXT, SILENT, again), "Nova", known(prompt(ASKED)))
    assert found == Addressing((), ANN, 2, 2)
    assert addressing_of("a prompt without a conversation", "Nova", known()) == Addressing()


def truth(made: list[Made]) -> list[str | None]:
    """Of each decision whether to respond, who was answered last in that room, as far as its prompt shows it."""
    last: dict[str, str] = {}
    found = []
    for decision in made:
        if decision.model_type == "should_respond":
            shown = f"] {AGENT}: " in decision.prompt
            found.append(last.get(decision.room) if shown else None)
        else:
            last[decision.room] = decision.sender
    return found


def names(store: Store) -> list[str | None]:
    """The same as the log has it, by the names that the prompts give to the ids."""
    found = []
    for sample in Samples(store).iterate():
        if sample.model_type == "should_respond":
            target = json.loads(sample.reply_targets)[0] if sample.reply_targets else None
            found.append(None if target is None else sample.prompt.partition(f"[{target}] ")[2].partition(":")[0])
    return found


def test_an_import_tells_whom_the_agent_answered_last(made: list[Made], store: Store) -> None:
    import_file(io.BytesIO(agent_log(iter(made)).encode()), store)
    expected, found = truth(made), names(store)
    assert len(expected) == len(found) == 150
    # A message that has left the prompt's few lines is not known any more.
    wrong = [pair for pair in zip(expected, found, strict=True) if pair[1] not in (None, pair[0])]
    assert not wrong
    assert sum(name is not None for name in found) >= 0.8 * sum(name is not None for name in expected) > 0


def test_rows_in_any_order_and_rows_of_before_come_to_the_same(made: list[Made], store: Store, tmp_path: Path) -> None:
    import_file(io.BytesIO(agent_log(iter(made)).encode()), store)
    right = {sample.id: sample for sample in Samples(store).iterate()}
    with open_store(tmp_path / "reversed.db") as other:
        lines = agent_log(iter(made)).splitlines(keepends=True)
        import_file(io.BytesIO("".join(reversed(lines)).encode()), other)
        assert columns(other) == columns(store)

    store.write("UPDATE samples SET reply_targets=NULL, spoke_before=NULL, burst=NULL, people=NULL")

    def cut(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        address_log(store, on_progress=cut)
    some = sum(sample.burst is not None for sample in Samples(store).iterate())
    assert 0 < some < 150
    assert address_log(store) == 150 - some
    assert address_log(store) == 0
    assert {sample.id: sample for sample in Samples(store).iterate()} == right


def columns(store: Store) -> dict[str, tuple[object, ...]]:
    return {
        sample.id: (sample.reply_targets, sample.spoke_before, sample.burst, sample.people)
        for sample in Samples(store).iterate()
    }


def stored(store: Store, **changes: object) -> Sample:
    sample = {"id": "s1", "model_type": "should_respond", "model": "m", "source": "original", "origin": "gateway"}
    moment = next(iter(make_decisions(1))).at
    made = Sample(**sample, created_at=moment, prompt="a", output="b", **changes)  # type: ignore[arg-type]
    Samples(store).insert_many([made])
    return made


def test_whoever_is_forgotten_is_found_in_the_new_columns_and_an_address_is_taken_out(store: Store) -> None:
    stored(store, reply_targets='[null, "ann@example.com"]', spoke_before="ann@example.com", burst=1)
    assert len(plan_forget(store, Request(entity="ann@example.com")).numbers) == 1
    redact_log(store, EVERYTHING)
    (left,) = Samples(store).iterate()
    assert "example.com" not in f"{left.reply_targets} {left.spoke_before}"
    assert json.loads(left.reply_targets or "") == [None, left.spoke_before]


def test_data_show_says_it(made: list[Made], reasoning: Run, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(agent_log(iter(made)))
    assert reasoning("data", "import", str(log), "--yes").exit_code == 0
    rows = json.loads(reasoning("data", "list", "--model-type", "should-respond", "--json", "--limit", "50").stdout)
    shown = [json.loads(reasoning("data", "show", row["id"], "--json").stdout)[0] for row in rows[:12]]
    wanted = next(row for row in shown if row["reply_targets"])
    text = reasoning("data", "show", wanted["id"]).stdout
    assert f"{AGENT} last answered " in text
    assert "4 people in the room" in text
