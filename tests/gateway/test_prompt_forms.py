"""What the slot's model is asked: the agent's prompt as it is, or the compact form it was trained on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reasoning_cli import settings as s
from reasoning_cli.decisions.compact import compact
from reasoning_cli.operations.deploy.slots import read_slots
from reasoning_cli.paths import find_paths
from reasoning_cli.settings import load_settings
from reasoning_cli.store.open import open_store
from reasoning_cli.values import PromptForm
from tests.gateway import canned
from tests.gateway.prompts import PATHS, PROMPTS, request
from tests.gateway.provider import Answering, Received
from tests.gateway.serving import Served

COMPACT = {one: compact(one, PROMPTS[one]) for one in ("should_respond", "planning", "coding")}


async def decides(request: Received, answering: Answering) -> None:
    """A model that was trained on the compact form: it knows its task from the first line."""
    first = canned.last_text(request.json).partition("\n")[0]
    kind = first.rpartition(": ")[2] if first.startswith("# Decision for Nova: ") else "coding"
    await answering.whole(200, canned.chat_answer(canned.MODEL_SAYS[kind], "acme/model"))


@pytest.mark.parametrize("face", PATHS)
@pytest.mark.parametrize("model_type", ["should_respond", "planning", "coding"])
def test_a_model_trained_on_the_compact_form_is_asked_it(gateway: Served, face: str, model_type: str) -> None:
    gateway.change(model_type, prompt_form=PromptForm.COMPACT)
    gateway.model.handler = decides
    answer = gateway.client.post(PATHS[face], json=request(face, PROMPTS[model_type]))
    assert answer.headers["x-reasoning-source"] == "slot"
    assert gateway.original.received == []
    (asked,) = gateway.model.received
    assert [one["role"] for one in asked.json["messages"]] == ["system", "user"]
    assert asked.json["messages"][-1]["content"] == COMPACT[model_type]
    (sample,) = gateway.samples(1)
    assert sample.metadata["prompt_form"] == "compact"
    # The log keeps what the agent sent: an export makes either form of it.
    assert sample.prompt == PROMPTS[model_type]


def test_a_prompt_without_a_compact_form_goes_to_the_original_and_says_why(gateway: Served) -> None:
    gateway.change("planning", prompt_form=PromptForm.COMPACT)
    bare = "<task>Generate dialog and actions for the character Nova.</task>\nSay something."
    assert gateway.client.post("/v1/responses", json=request("responses", bare)).status_code == 200
    assert gateway.model.received == []
    reasons = gateway.client.get("/stats").json()["model_types"]["planning"]["by_source"]["original"]["reasons"]
    assert reasons == {"no compact form of its prompt": 1}


def test_what_the_model_is_asked_has_to_fit_not_what_the_agent_sent(gateway: Served) -> None:
    long = PROMPTS["planning"].replace("<instructions>", "<instructions>" + "Be kind. " * 3000)
    gateway.change("planning", window_tokens=3000)
    gateway.client.post("/v1/chat/completions", json=request("chat", long))
    assert gateway.model.received == []
    gateway.change("planning", prompt_form=PromptForm.COMPACT)
    gateway.model.handler = decides
    gateway.client.post("/v1/chat/completions", json=request("chat", long))
    assert len(gateway.model.received) == 1


def test_the_setting_reaches_the_slot(home: Path, tmp_path: Path) -> None:
    settings = load_settings(find_paths({"REASONING_HOME": str(home)}), {}, {"planning.prompt_form": "compact"})
    assert settings.get(s.PROMPT_FORM["planning"]) is PromptForm.COMPACT
    with open_store(tmp_path / "log.db") as store:
        slots = read_slots(settings, store, datetime.now(UTC), together_url="http://x", together_key=None)
    assert [slot.prompt_form for slot in slots.values()] == [PromptForm.EXACT, PromptForm.COMPACT, PromptForm.EXACT]
