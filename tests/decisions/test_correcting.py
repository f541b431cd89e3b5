"""A correction is an answer the agent can use, in canonical form, and says nothing against itself."""

from __future__ import annotations

import pytest

from reasoning_cli.decisions.answers import InvalidAnswer, PlanningAnswer, ShouldRespondAnswer, parse_answer
from reasoning_cli.decisions.correcting import canonical, decisions_for, with_decision

ASK = "<task>Decide on behalf of Nova whether they should respond to the message, ignore it or stop it.</task>"
PLAN = (
    "<task>Generate dialog and actions for the character Nova.</task>\n"
    "Possible response actions: REPLY, IGNORE, MUTE_ROOM\n"
)
YES = "<response><name>Nova</name><reasoning>She is asked</reasoning><action>RESPOND</action></response>"
SAYS = "<response><thought>Say hi</thought><actions>REPLY</actions><providers></providers><text>Hi</text></response>"


def read(model_type: str, text: str | InvalidAnswer) -> object:
    assert isinstance(text, str), text
    return parse_answer(model_type, text)


def test_another_decision_whether_to_respond_takes_another_reason() -> None:
    changed = with_decision("should_respond", ASK, YES, "ignore")
    assert read("should_respond", changed) == ShouldRespondAnswer("Nova", "The message is not for Nova.", "IGNORE")


def test_the_same_decision_changes_nothing_but_the_form() -> None:
    assert with_decision("should_respond", ASK, YES, "RESPOND") == canonical("should_respond", ASK, YES)


def test_an_answer_nobody_can_read_still_gets_a_decision() -> None:
    changed = with_decision("should_respond", ASK, "hm, no idea", "STOP")
    assert read("should_respond", changed) == ShouldRespondAnswer("Nova", "Nova is asked to stop.", "STOP")


def test_a_plan_takes_other_actions_as_its_prompt_spells_them() -> None:
    changed = read("planning", with_decision("planning", PLAN, SAYS, "reply, mute room".replace(" room", "_room")))
    assert changed == PlanningAnswer("Say hi", ("REPLY", "MUTE_ROOM"), (), "Hi")
    ignored = read("planning", with_decision("planning", PLAN, SAYS, "IGNORE"))
    assert ignored == PlanningAnswer("Say hi", ("IGNORE",), (), "")


@pytest.mark.parametrize(
    ("model_type", "prompt", "output", "decision", "why"),
    [
        ("should_respond", ASK, YES, "REPLY", "none of RESPOND"),
        ("should_respond", ASK, YES, "RESPOND,STOP", "none of RESPOND"),
        ("should_respond", ASK, YES, " , ", "no actions"),
        ("planning", PLAN, SAYS, "DANCE", "does not offer"),
        ("planning", PLAN, SAYS, "REPLY,IGNORE", "IGNORE beside"),
        ("planning", PLAN, SAYS, "", "no actions"),
        ("planning", PLAN, "no plan", "REPLY", "whole answer"),
        ("coding", "write", "```py\n1\n```", "python", "whole answer"),
    ],
)
def test_what_the_agent_could_not_use_is_no_correction(
    model_type: str, prompt: str, output: str, decision: str, why: str
) -> None:
    changed = with_decision(model_type, prompt, output, decision)
    assert isinstance(changed, InvalidAnswer)
    assert why in changed.reason


def test_what_could_be_decided() -> None:
    assert decisions_for("should_respond", ASK) == ("RESPOND", "IGNORE", "STOP")
    assert decisions_for("planning", PLAN) == ("REPLY", "IGNORE", "MUTE_ROOM")
    assert decisions_for("coding", PLAN) == ()
