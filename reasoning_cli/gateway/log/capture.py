"""One decision as it went by, kept raw, and turned into what the log stores later, off the path of the answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import chain
from random import getrandbits

from reasoning_cli.decisions.answers import (
    Answer,
    InvalidAnswer,
    agree,
    cut_of,
    decision_of,
    read_answer,
)
from reasoning_cli.decisions.prompts import agent_name, newest_lines, shape_of, speaker_id
from reasoning_cli.decisions.recognise import ModelType, without_codes
from reasoning_cli.decisions.scope import NOWHERE, Scope
from reasoning_cli.decisions.turns import identity, lost, opening
from reasoning_cli.gateway.dialects.events import last_event, read_events
from reasoning_cli.gateway.dialects.forms import (
    Asked,
    CapturedResponse,
    Dialect,
    Json,
    ToolCall,
    Unreadable,
    Untranslatable,
    json_of,
)
from reasoning_cli.gateway.dialects.tool_calls import calls_decided, same_calls
from reasoning_cli.gateway.http.unpacking import MOST_MEMBERS, Packed, unpack
from reasoning_cli.gateway.log.dating import Dated
from reasoning_cli.gateway.model_client import Attempt
from reasoning_cli.gateway.routing import Route
from reasoning_cli.operations.data.addressing import Addresser
from reasoning_cli.operations.deploy.slots import HEAD_PLACE, HeadSlot
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.store.serving.attempts import AttemptRecord
from reasoning_cli.store.serving.spool import Recording
from reasoning_cli.store.timestamps import to_ms
from reasoning_cli.values import PromptForm

# By which door a decision came.
GATEWAY, LIBRARY = "gateway", "library"
_REMEMBERED_LINES = 20_000
# Of an answer longer than this, packed or unpacked, nothing is kept for the log; it still passes.
LONGEST_STORED_BYTES = 8 * 1024 * 1024


@dataclass(slots=True)
class Decision:
    """A decision and what became of it.

    `asked_in` is the request as it came, in the encoding `asked_packed`, where the log keeps its conversation.

    `chunks` are the bytes of the original's answer as they passed, `encoding` their content encoding, `dated` what its
    head said of the time, `lost` why they cannot be kept, `broken` why they stop before the answer's end, `cut` whether
    their end may be missing; without any the agent got `attempt`'s reply. `attempt` is also set when the original
    answered after or beside the model; `shadow_attempt` is what a model said as the shadow of another of ours,
    `head_attempt` what the head in line would have answered.

    Of a decision in process, `response` is the original's answer, `scope` what its caller says of it, and `sample_id`
    the name it was given already.
    """

    dialect: Dialect
    asked: Asked
    route: Route
    body: Json
    request_id: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ticks: float = field(default_factory=time.perf_counter)
    dated: Dated | None = None
    attempt: Attempt | None = None
    shadow_attempt: Attempt | None = None
    head_attempt: Attempt | None = None
    status: int | None = None
    content_type: str = ""
    encoding: str = ""
    chunks: list[bytes] = field(default_factory=list)
    lost: str | None = None
    broken: str | None = None
    cut: bool = False
    latency_ms: int = 0
    size_bytes: int = 0
    asked_in: bytes = b""
    asked_packed: str = ""
    scope: Scope = NOWHERE
    origin: str = GATEWAY
    response: CapturedResponse | None = None
    sample_id: str | None = None

    @property
    def is_stream(self) -> bool:
        return self.content_type.startswith("text/event-stream")

    @property
    def from_slot(self) -> bool:
        return self.attempt is not None and self.attempt.reply is not None and not self.route.shadow


class Rooms:
    """Names the rooms that prompts come from.

    No room is on the wire, but consecutive prompts of one room share messages: whoever holds a message seen before is
    in the room where it was seen. The name is the hash of the first message seen there, so it is known again.
    """

    def __init__(self) -> None:
        # By the hash of a message. The older half is let go at once; what is still said was moved out of it.
        self._rooms: dict[int, str] = {}
        self._older: dict[int, str] = {}

    def room_of(self, agent: str, lines: Iterable[tuple[str, str]]) -> str | None:
        """The room of an agent's conversation, the newest message first; None without a message."""
        room, new = None, []
        for line in lines:
            key = hash((agent, line))
            if (room := self._rooms.get(key)) is not None:
                break
            new.append(key)
            if (room := self._older.get(key)) is not None:
                break
        else:
            if not new:
                return None
            first = f"{agent}\n{line[0]} {line[1]}"
            room = blake2b(first.encode("utf-8", "replace"), digest_size=16).hexdigest()
        for key in new:
            self._rooms[key] = room
        if len(self._rooms) > _REMEMBERED_LINES // 2:
            self._rooms, self._older = {}, self._rooms
        return room


def is_over(decision: Decision) -> bool:
    """Whether the original has said all of its answer, though what ends it in HTTP has not come: Codex hangs up with
    the last event."""
    if decision.lost is not None:
        return False
    try:
        content = _content(decision)
        if decision.is_stream:
            last = last_event(content)
            return last is not None and decision.dialect.ends(*last)
        return isinstance(json_of(content), dict)
    except (ValueError, AttributeError):
        return False


def _content(decision: Decision) -> bytes:
    """The original's answer without its encodings. Raises Packed."""
    content, encoding = b"".join(decision.chunks), decision.encoding
    return unpack(content, encoding, LONGEST_STORED_BYTES, members=MOST_MEMBERS, cut=decision.cut)


def captured_response(decision: Decision) -> CapturedResponse:
    """The original's answer out of the bytes that passed. Raises Unreadable."""
    try:
        content = _content(decision)
        if decision.is_stream:
            return decision.dialect.capture_events(read_events(content))
        payload = json_of(content)
        if not isinstance(payload, dict):
            raise Unreadable("no object")
        return decision.dialect.capture(payload)
    except (Unreadable, Packed) as why:
        raise Unreadable(str(why)) from why
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise Unreadable("not an answer of its dialect") from error


def records_of(decision: Decision, rooms: Rooms, addresser: Addresser) -> Recording:
    """The sample a decision makes, and what models answered beside it that the agent did not get.

    An answer that was cut is kept as such: nothing was decided. Raises Unreadable, in words fit for counting, for an
    original that failed or said nothing.
    """
    model_type = decision.route.recognition.model_type
    assert model_type is not None
    captured = _slot_response(decision.attempt) if decision.from_slot else _original_response(decision)
    sample = addresser.addressed(_sample(decision, rooms, model_type, captured))
    others = [decision.shadow_attempt if decision.from_slot else decision.attempt, decision.head_attempt]
    if others == [None, None]:
        return sample, ()
    prompt = without_codes(decision.asked.text)
    return sample, tuple(
        _shadow_record(sample, other, decision, _agrees(model_type, prompt, other, captured))
        for other in others
        if other is not None
    )


def _slot_response(attempt: Attempt | None) -> CapturedResponse:
    """What our model answered."""
    assert attempt is not None and attempt.reply is not None
    return CapturedResponse(
        attempt.reply.text,
        attempt.slot.model,
        attempt.prompt_tokens,
        attempt.completion_tokens,
        tool_calls=attempt.reply.tool_calls,
        end="stop",
        cached_tokens=attempt.cached_tokens,
    )


def _original_response(decision: Decision) -> CapturedResponse:
    """What the original answered, as far as it came. Raises Unreadable."""
    captured = decision.response
    if captured is None and (decision.lost is not None or decision.status != 200):
        raise Unreadable(decision.lost or f"status {decision.status}")
    try:
        captured = captured or captured_response(decision)
    except Unreadable as why:
        raise Unreadable(decision.broken or str(why)) from why
    if decision.broken is not None:
        captured = replace(captured, whole=False, end=decision.broken)
    if captured.whole and not (captured.text.strip() or captured.tool_calls):
        raise Unreadable("empty")
    return captured


def place_of(decision: Decision) -> str:
    """Who in line gave the agent its answer: as the log has it, but the head apart from the slot's model."""
    by_head = decision.from_slot and decision.attempt is not None and isinstance(decision.attempt.slot, HeadSlot)
    return HEAD_PLACE if by_head else source_of(decision)


def source_of(decision: Decision) -> str:
    """Who gave the agent its answer: our model, the original after our model failed, or the original."""
    if decision.from_slot:
        return "slot"
    return "fallback" if decision.attempt is not None and not decision.route.shadow else "original"


def _sample(decision: Decision, rooms: Rooms, model_type: ModelType, captured: CapturedResponse) -> Sample:
    """What the agent asked and got, as the log stores it."""
    asked = decision.asked
    prompt = without_codes(asked.text)
    answer = read_answer(model_type, prompt, captured.text) if captured.whole else InvalidAnswer("cut")
    scope = decision.scope
    agent, lines = scope.agent_name or agent_name(prompt), newest_lines(prompt)
    conversation = _conversation(decision) if model_type == "coding" else None
    newest = next(lines, None)
    room = rooms.room_of(agent or "", chain((newest,), lines)) if newest is not None else _session(conversation)
    return Sample(
        id=decision.sample_id or new_sample_id(decision.at),
        created_at=decision.at,
        model_type=model_type,
        model=captured.model or asked.model,
        source=source_of(decision),
        origin=decision.origin,
        prompt=_storable(prompt),
        output=_storable(captured.text),
        system=None if asked.system is None else _storable(asked.system),
        decision=_decided(answer, captured),
        agent_name=agent,
        agent_id=scope.agent_id,
        room_id=scope.room_id or room,
        run_id=scope.run_id,
        entity_id=scope.entity_id or (speaker_id(newest) if newest is not None else None),
        provider=None if decision.from_slot or decision.response is not None else decision.dialect.upstream,
        prompt_tokens=captured.prompt_tokens,
        completion_tokens=captured.completion_tokens,
        latency_ms=decision.latency_ms,
        confidence=decision.attempt.confidence if decision.from_slot and decision.attempt is not None else None,
        metadata=_metadata(decision, captured.tool_calls),
        shape=shape_of(prompt),
        cut=None if captured.whole else cut_of(captured.end),
        cached_tokens=captured.cached_tokens,
        conversation=conversation,
        identity=_storable(identity(prompt, conversation)) if model_type == "coding" else "",
    )


def _conversation(decision: Decision) -> str | None:
    """What the log keeps of the turns before an answer."""
    if not decision.asked_in:
        return None
    try:
        body = json_of(unpack(decision.asked_in, decision.asked_packed, LONGEST_STORED_BYTES))
        stored = decision.dialect.conversation(body)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as why:
        stored = lost(str(why) if isinstance(why, Untranslatable) else "cannot be translated")
    return None if stored is None else _storable(stored.replace("\\u0000", ""))


def _session(conversation: str | None) -> str | None:
    """What stands for the room of a coding agent's turns: how their conversation began."""
    began = opening(conversation)
    return None if began is None else blake2b(began.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _decided(answer: Answer | InvalidAnswer, captured: CapturedResponse) -> str | None:
    """What an answer decided; None for one that was cut, or that nobody can read."""
    if not captured.whole:
        return None
    if captured.tool_calls:
        return calls_decided(captured.tool_calls)
    return None if isinstance(answer, InvalidAnswer) else decision_of(answer)


def _agrees(model_type: str, prompt: str, attempt: Attempt, captured: CapturedResponse) -> bool | None:
    """Whether the model decided as the original did; None when one of them decided nothing that can be compared."""
    if attempt.reply is None or not captured.whole:
        return None
    if attempt.reply.tool_calls or captured.tool_calls:
        return same_calls(attempt.reply.tool_calls, captured.tool_calls)
    ours, theirs = read_answer(model_type, prompt, attempt.reply.text), read_answer(model_type, prompt, captured.text)
    return None if isinstance(ours, InvalidAnswer) or isinstance(theirs, InvalidAnswer) else agree(ours, theirs)


def _shadow_record(sample: Sample, attempt: Attempt, decision: Decision, agrees: bool | None) -> AttemptRecord:
    in_shadow = decision.route.shadow or decision.from_slot
    return AttemptRecord(
        sample_id=sample.id,
        at=decision.at,
        model_type=sample.model_type,
        mode="shadow" if in_shadow and not isinstance(attempt.slot, HeadSlot) else str(attempt.slot.mode),
        model=attempt.slot.model or "",
        deployment_key=attempt.slot.deployment_key,
        decision=attempt.decision,
        agrees=agrees,
        failure=attempt.failure,
        confidence=attempt.confidence,
        latency_ms=attempt.latency_ms,
        prompt_tokens=attempt.prompt_tokens,
        completion_tokens=attempt.completion_tokens,
        output=_storable(attempt.output),
        why=attempt.why,
        named=attempt.named,
    )


def _metadata(decision: Decision, calls: Sequence[ToolCall]) -> Json:
    """What else belongs to a sample: why the original answered, the form the model was asked in if it was not the
    agent's own, and which tools were called."""
    metadata: Json = {"request_id": decision.request_id}
    if decision.from_slot and decision.attempt is not None and decision.attempt.slot.deployment_key is not None:
        metadata["deployment"] = decision.attempt.slot.deployment_key
    if decision.from_slot and decision.attempt is not None and decision.attempt.why is not None:
        metadata["why"] = decision.attempt.why
    if decision.attempt is not None and decision.attempt.failure is not None:
        metadata["fallback"] = decision.attempt.failure
    if decision.attempt is not None and decision.attempt.slot.prompt_form is not PromptForm.EXACT:
        metadata["prompt_form"] = str(decision.attempt.slot.prompt_form)
    if calls:
        metadata["tool_calls"] = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in calls]
    return metadata


def new_sample_id(at: datetime) -> str:
    """A UUID that begins with its time (version 7, RFC 9562 5.7), so that new ones stand together in an index."""
    bits = to_ms(at) << 80 | 7 << 76 | getrandbits(12) << 64 | 2 << 62 | getrandbits(62)
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _storable(text: str) -> str:
    """The text as a database can keep it."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
