"""One line of a fine-tuning file in a chat format, read as a sample somebody chose to train on.

    {"messages": [{"role": "system"}?, {"role": "user"}, {"role": "assistant"}]}
    {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}
    {"messages": [...], "reward": 0.7, "metadata": {...}}    a trajectory, as elizaOS's logger writes them for ART

The first two are what this program exports, too: with the manifest beside such a file its samples come back as what
they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from reasoning_cli.decisions.answers import InvalidAnswer, decision_of, read_answer, render_answer
from reasoning_cli.decisions.prompts import agent_name, sender_id, shape_of
from reasoning_cli.decisions.recognise import WEAK_SIGNS, recognise, without_codes
from reasoning_cli.operations.data.ingest.elizaos_logs import TOON, BadRow, NoDecision, content_id, storable
from reasoning_cli.store.samples.training_log import Sample

ORIGIN = "chat-file"

_TURNS = ("user", "assistant", "tool", "function")
_ROLES = ("system", "developer", *_TURNS)
_REJECTED = "non_preferred_output"


def read_chat(row: Mapping[str, object], model_type: str | None, at: datetime) -> Sample | NoDecision:
    """The sample in a line, or why there is none; `model_type` where the prompt does not tell, `at` its time.

    Raises BadRow for what is not such a line.
    """
    said = _said(row)
    turns = [message for message in said if message[0] in _TURNS]
    if why := _no_pair(turns):
        return NoDecision(why)
    (_, text), (_, answer) = turns
    found = recognise(text)
    kind = found.model_type
    if model_type is not None and (kind is None or found.reason in WEAK_SIGNS):
        kind = model_type  # type: ignore[assignment]
    if kind is None:
        return NoDecision(f"{found.reason}: --model-type says what it is")
    if found.fmt != "xml":
        return NoDecision(TOON)

    prompt = without_codes(text)
    better, worse = read_answer(kind, prompt, answer), None
    if row.get(_REJECTED) is not None:
        worse = _messages(row[_REJECTED])[-1][1]
        if isinstance(better, InvalidAnswer):
            return NoDecision(f"preferred answer: {better.reason}")
    given = better if worse is None else read_answer(kind, prompt, worse)
    return storable(
        Sample(
            id=content_id([kind, *said, worse]),
            created_at=at,
            model_type=kind,
            model="unknown",
            source="original",
            origin=ORIGIN,
            prompt=prompt,
            output=answer if worse is None else worse,
            corrected=None if worse is None or isinstance(better, InvalidAnswer) else render_answer(better),
            system=_system(said),
            decision=None if isinstance(given, InvalidAnswer) else decision_of(given),
            agent_name=agent_name(prompt),
            entity_id=sender_id(prompt),
            label="corrected" if worse is not None else _label(row, better),
            shape=shape_of(prompt),
        )
    )


def _said(row: Mapping[str, object]) -> list[tuple[str, str]]:
    """The messages of a line, the preferred answer last."""
    asked = row["input"] if isinstance(row.get("input"), dict) else row
    said = _messages(asked.get("messages")) if isinstance(asked, dict) else []
    preferred = row.get("preferred_output")
    if preferred is not None or row.get(_REJECTED) is not None:
        said += _messages(preferred)
    return said


def _no_pair(turns: Sequence[tuple[str, str]]) -> str | None:
    """Why messages are not a prompt and its answer, if so. Raises BadRow where nobody asks."""
    if not any(role == "user" for role, _ in turns):
        raise BadRow("no user message")
    role, text = turns[-1]
    if role != "assistant" or not text.strip():
        return "no answer"
    return None if len(turns) == 2 else "conversation of several turns"


def _system(said: Iterable[tuple[str, str]]) -> str | None:
    return "\n".join(content for role, content in said if role in ("system", "developer")) or None


def _label(row: Mapping[str, object], answer: object) -> str | None:
    """Somebody chose these lines to train on. Those of elizaOS's trajectory logger (ART) were chosen by nobody: their
    `reward` says how it went, 0 where nobody judged."""
    reward = row.get("reward")
    if "reward" not in row:
        return None if isinstance(answer, InvalidAnswer) else "good"
    if isinstance(reward, bool) or not isinstance(reward, int | float):
        raise BadRow("a `reward` that is not a number")
    if reward < 0:
        return "bad"
    return "good" if reward > 0 and not isinstance(answer, InvalidAnswer) else None


def _messages(value: object) -> list[tuple[str, str]]:
    """The messages by role and text."""
    if not isinstance(value, list):
        raise BadRow("no list of messages")
    found = []
    for message in value:
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise BadRow("a message without a known role")
        content = message.get("content")
        if isinstance(content, list):
            parts = [part.get("text") if isinstance(part, dict) else part for part in content]
            texts = [part for part in parts if isinstance(part, str)]
            if len(texts) < len(parts):
                raise BadRow("a message with a part that is not text")
            content = "\n".join(texts)
        if content is not None and not isinstance(content, str):
            raise BadRow("a message whose content is not text")
        found.append((role, content or ""))
    return found
