"""What the agent says of its models, in sentences of its owner's language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reasoning_cli.gateway.slot_cache import View
from reasoning_cli.library.results import ServiceStatus, TypeStatus
from reasoning_cli.operations.deploy.slots import SlotNow
from reasoning_cli.values import Mode, spell_model_type


def status_text(status: ServiceStatus) -> str:
    """How the models do: what each does, what share it answered, what is off and why, samples and cost."""
    lines = [_of_type(each) for each in status.types]
    samples = sum(each.samples for each in status.types)
    known = [each.cents for each in status.types if each.cents is not None]
    cost = f"; the models cost ${sum(known) / 100:.2f} this month" if known else ""
    lines.append(f"{samples} sample{'' if samples == 1 else 's'} in the log{cost}.")
    if status.problem:
        lines.append(f"Problem: {status.problem}.")
    return "\n".join(lines)


def switch_text(verb: str, statuses: Sequence[TypeStatus]) -> str:
    """What was switched, and what each type does now."""
    names = ", ".join(spell_model_type(each.model_type) for each in statuses)
    return "\n".join([f"Custom reasoning is {verb} for {names}.", *map(_of_type, statuses)])


def line_of(view: View) -> str:
    """One line for the agent's state, the same as long as nothing is switched."""
    on = [_briefly(slot) for slot in view.slots.values() if slot.closed is None]
    off = [spell_model_type(slot.model_type) for slot in view.slots.values() if slot.closed is not None]
    return "Custom reasoning: " + "; ".join(filter(None, (", ".join(on), f"off for {_listed(off)}" if off else "")))


def _briefly(slot: SlotNow) -> str:
    does = "only shadows" if slot.mode is Mode.SHADOW else "answers"
    return f"{slot.model} {does} {spell_model_type(slot.model_type)}"


def _of_type(status: TypeStatus) -> str:
    name = spell_model_type(status.model_type)
    if status.off is not None:
        return f"{name} is off: {status.off}; the agent's own model decides."
    if status.circuit != "closed":
        return f"{name} is paused: {status.model} failed too often; the agent's own model decides."
    does = {"live": "answers", "canary": f"answers {status.share_percent} % of the users", "shadow": "only shadows"}
    asked = status.by_model + status.by_fallback + status.by_original
    share = f", {status.by_model} of {asked} decisions since the agent started" if asked else ""
    return f"{name}: {status.model} {does[status.mode]}{share}."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
