"""Whether a shadow decided as the original did: the decision counts, not its wording."""

from __future__ import annotations

import pytest

from reasoning_cli.values import Mode
from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served

_PLAN = (
    "<response><thought>Mine.</thought><actions>{}</actions><providers></providers><text>Other words</text></response>"
)


def _choice(action: str) -> str:
    return f"<response><name>Nova</name><reasoning>Because.</reasoning><action>{action}</action></response>"


CASES = {
    "same action, other reasoning": ("should_respond", _choice("respond"), _choice("RESPOND"), True),
    "another action": ("should_respond", _choice("IGNORE"), _choice("RESPOND"), False),
    "silent in two ways": ("should_respond", _choice("IGNORE"), _choice("STOP"), False),
    "same actions in another order": (
        "planning",
        _PLAN.format("FOLLOW_ROOM, REPLY"),
        _PLAN.format("REPLY,FOLLOW_ROOM"),
        True,
    ),
    "one action more": ("planning", _PLAN.format("REPLY,FOLLOW_ROOM"), _PLAN.format("REPLY"), False),
    "no plan of the original's": ("planning", _PLAN.format("REPLY"), "I would rather talk.", None),
    "no plan of the model's": ("planning", "I would rather talk.", _PLAN.format("REPLY"), None),
    "the same code, set otherwise": (
        "coding",
        "Here:\n```python\nx = 1\n\n\nprint(x)\n```",
        "```py\nx = 1\nprint(x)  \n```",
        True,
    ),
    "other code in the same language": ("coding", "```python\nx = 1\n```", "```python\nx = 2\n```", False),
    "words where code was wanted": ("coding", "```python\nx = 1\n```", "Which language do you want?", None),
}


@pytest.mark.parametrize("case", CASES)
def test_decisions_are_compared_not_texts(gateway: Served, case: str) -> None:
    model_type, ours, theirs, agrees = CASES[case]
    prompt = PROMPTS[model_type].replace("response actions: REPLY, IGNORE", "response actions: REPLY, FOLLOW_ROOM")
    gateway.change(model_type, mode=Mode.SHADOW)
    gateway.model.handler = canned.saying(ours)

    async def original(request: Received, answering: Answering) -> None:
        await answering.whole(200, canned.chat_answer(theirs))

    gateway.original.handler = original
    gateway.client.post(PATHS["chat"], json=request("chat", prompt))
    (attempt,) = gateway.attempts(gateway.samples(1)[0])
    assert (attempt.agrees, attempt.failure is None) == (agrees, case != "no plan of the model's")
