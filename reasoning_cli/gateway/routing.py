"""Where a decision goes and why: to its slot's model or to the original provider. Pure, so that it can be explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

from reasoning_cli.decisions.compact import compact
from reasoning_cli.decisions.prompts import agent_name, sender_id
from reasoning_cli.decisions.recognise import ModelType, Recognition, recognise, without_codes
from reasoning_cli.gateway.dialects.forms import Asked
from reasoning_cli.operations.deploy.slots import SlotNow
from reasoning_cli.values import Mode, PromptForm

# A token is three bytes or more of what agents send; a short estimate would ask a model for what it cannot take.
_BYTES_PER_TOKEN = 3
TOOLS_UNKNOWN = "carries tools, and the model calls no functions"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call goes. `slot` is set when its model is asked: to answer, or in the shadow of the original (`shadow`).

    `reason` says why the original answers, or what was recognised when it does not. `prompt` is what the model is asked
    in the form it was trained on; for coding, where it gets the whole conversation, the last message alone.
    `shadow_route` leads to another model of the slot that is asked too, when this one has answered.
    """

    recognition: Recognition
    slot: SlotNow | None
    reason: str
    shadow: bool = False
    prompt: str = ""
    shadow_route: Route | None = None

    @property
    def to_slot(self) -> bool:
        return self.slot is not None and not self.shadow


def route(
    asked: Asked,
    headers: Mapping[str, str],
    slots: Mapping[str, SlotNow],
    size_bytes: int,
    broken: Mapping[str, str],
    *,
    named: ModelType | None = None,
) -> Route:
    """Decide on a call. `broken` names the circuits that are open, and why; `named` is the type where the caller says
    it, whatever its prompt looks like."""
    found = recognise(asked.text, headers, asked.tools, system=asked.system, max_tokens=asked.max_tokens)
    if named is not None and found.model_type != named:
        found = replace(found, model_type=named, reason="named by its caller")
    if found.model_type is None:
        return Route(found, None, found.reason)
    slot = slots.get(found.model_type)
    if slot is None:
        return Route(found, None, "no model is deployed")
    own = _into(asked, found, slot, size_bytes, broken)
    candidate = slot.candidate
    if candidate is None:
        return own
    new = _into(asked, found, candidate.slot, size_bytes, broken)
    if new.slot is not None and in_share(asked.text, candidate.percent, "challenger", asked.user):
        return new
    if slot.watched and own.to_slot and new.slot is not None:
        return replace(own, shadow_route=replace(new, shadow=True))
    if slot.watched and own.shadow and new.slot is not None:
        return replace(new, shadow=True)
    return own


def _into(asked: Asked, found: Recognition, slot: SlotNow, size_bytes: int, broken: Mapping[str, str]) -> Route:
    """Whether a model may be asked for a decision, and to what end."""
    reason = _doubt(asked, found, slot)
    prompt = _prompt(asked, found, slot) if reason is None else None
    if reason is None and prompt is None:
        reason = "no compact form of its prompt"
    if prompt is not None and _tokens(asked, prompt, slot, size_bytes) > slot.window_tokens:
        reason = "longer than the model's context window"
    reason = reason or broken.get(slot.circuit)
    if reason is not None or prompt is None:
        return Route(found, None, reason or found.reason)
    match slot.mode:
        case Mode.SHADOW:
            return Route(found, slot, "the model only shadows", shadow=True, prompt=prompt)
        case Mode.CANARY if not in_share(asked.text, slot.share_percent, user=asked.user):
            reason = "not in the canary's share"
            return (
                Route(found, slot, reason, shadow=True, prompt=prompt) if slot.watched else Route(found, None, reason)
            )
    return Route(found, slot, found.reason, prompt=prompt)


def in_share(prompt: str, percent: int, salt: str = "", user: str | None = None) -> bool:
    """Whether a canary answers this prompt: always the same for one agent and the person it answers, who is `user`
    where the caller says so.

    Another `salt` draws other people.
    """
    digest = blake2b(_whose(prompt, user).encode("utf-8", "replace"), digest_size=8, salt=salt.encode()).digest()
    return int.from_bytes(digest) % 10_000 < percent * 100


def _whose(prompt: str, user: str | None) -> str:
    """What stays the same over the prompts of one agent and person. A room has no name on the wire; who speaks does."""
    return f"{agent_name(prompt) or ''}\n{user or sender_id(prompt) or ''}"


def _doubt(asked: Asked, found: Recognition, slot: SlotNow) -> str | None:
    """What keeps the slot's model from being asked, or None."""
    if slot.closed is not None:
        return slot.closed
    if found.fmt != "xml":
        return "an answer in TOON, which our models do not write"
    if not found.can_be_echoed:
        return "wants codes echoed that it does not tell"
    if asked.has_images:
        return "carries images"
    if asked.tools and not slot.tools:
        return TOOLS_UNKNOWN
    return None


def _prompt(asked: Asked, found: Recognition, slot: SlotNow) -> str | None:
    """What the slot's model is asked, as it was trained on it; None when the prompt lacks what its form needs."""
    assert found.model_type is not None
    prompt = without_codes(asked.text)
    return compact(found.model_type, prompt) if slot.prompt_form is PromptForm.COMPACT else prompt


def _tokens(asked: Asked, prompt: str, slot: SlotNow, size_bytes: int) -> int:
    """How many tokens the prompt and its answer may come to, at the most."""
    if slot.prompt_form is PromptForm.COMPACT and slot.model_type != "coding":
        size_bytes = len(prompt.encode("utf-8", "replace")) + len((asked.system or "").encode("utf-8", "replace"))
    return size_bytes // _BYTES_PER_TOKEN + 64 + min(asked.max_tokens or slot.max_tokens, slot.max_tokens)
