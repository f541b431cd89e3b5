"""What a coding agent's program adds to its user's words counts for nothing, but in the exact form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reasoning_cli.decisions.reading import message_of
from reasoning_cli.store.open import open_store
from reasoning_cli.values import PromptForm
from tests.gateway import canned
from tests.gateway.official import CODE, anthropic_tools
from tests.gateway.serving import served
from tests.gateway.test_how_answers_end import exported

Json = dict[str, Any]
AGENT = {"user-agent": "claude-cli/2.1.332 (external, sdk-cli)"}


def asking(build: str, reminder: str, *, tools: bool = True) -> Json:
    """A request of Claude Code; the build in its bill and its reminders change from call to call."""
    return {
        "model": "claude-x",
        "max_tokens": 9999,
        "system": [
            {"type": "text", "text": f"x-anthropic-billing-header: cc_version={build}; cc_entrypoint=sdk-cli;"},
            {"type": "text", "text": "You write code."},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": f"<system-reminder>\n{reminder}\n</system-reminder>"},
                    {"type": "text", "text": CODE},
                ],
            }
        ],
        "tools": anthropic_tools() if tools else [],
    }


def test_two_builds_ask_the_same(tmp_path: Path) -> None:
    with served(tmp_path, slots=False) as gateway:
        for build, reminder in (("2.1.332.3c4", "It is Monday."), ("2.1.332.ac6", "It is Tuesday, and raining.")):
            gateway.client.post("/v1/messages", json=asking(build, reminder), headers=AGENT)
        for one in gateway.samples(2):
            assert message_of("coding", one.prompt) == CODE
            assert "It is" in one.prompt  # the log keeps what was sent
        with open_store(gateway.database) as store:
            same = {tuple(row) for row in store.rows("SELECT prompt_hash, shape_hash, room_id FROM samples")}
        assert len(same) == 1
        exact = exported(gateway.database)
        assert all("billing" in str(line) and "It is" in str(line) for line in exact)
        for line in exported(gateway.database, forms={"coding": "compact"}):
            assert line["messages"] == [
                {"role": "system", "content": "You write code."},
                {"role": "user", "content": CODE},
                {"role": "assistant", "content": canned.ORIGINAL_SAYS["coding"]},
            ]


@pytest.mark.parametrize("form", PromptForm)
def test_a_slot_is_asked_in_the_form_it_was_trained_on(tmp_path: Path, form: PromptForm) -> None:
    with served(tmp_path, tools=True, prompt_form=form) as gateway:
        gateway.client.post("/v1/messages", json=asking("1", "It is Monday."), headers=AGENT)
        asked = gateway.model.received[0].json["messages"]
        gateway.samples(1)
        [line] = exported(gateway.database, forms={"coding": str(form)})
        assert line["messages"][:-1] == asked
        assert ("It is" in str(asked)) == ("billing" in str(asked)) == (form is PromptForm.EXACT)
