"""One sample as one line of a fine-tuning file.

A line holds what is trained on and nothing else: one system message at most, first, then user and assistant; of a
coding agent the whole conversation, with its tools, their calls and results. The user text is the prompt in the form
the model will be asked in; the assistant text is the answer in the one form the gateway sends, so what is trained is
what is served. A correction outranks what the model said.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from orjson import dumps, loads
from pydantic_core import SchemaSerializer

from reasoning_cli.decisions.answers import (
    Answer,
    CodingAnswer,
    InvalidAnswer,
    PlanningAnswer,
    ShouldRespondAnswer,
    decision_of,
    parse_answer,
    read_answer,
    render_answer,
    strip_thinking,
)
from reasoning_cli.decisions.coding_agents import without_billing
from reasoning_cli.decisions.compact import compact
from reasoning_cli.decisions.people import people_of
from reasoning_cli.decisions.quick_answers import canonical_check, is_canonical, quick_answer
from reasoning_cli.decisions.turns import answer_message, message_changed, read, without_additions
from reasoning_cli.operations.data.export.trainers import Trainer, end_of_line, misfit, record
from reasoning_cli.redaction.redactor import Redactor
from reasoning_cli.spreadsheet import cell
from reasoning_cli.store.samples.export_reader import TextRow
from reasoning_cli.values import MODEL_TYPES

Format = Literal["jsonl", "json", "parquet", "csv"]
FORMATS: tuple[Format, ...] = ("jsonl", "json", "parquet", "csv")


# Nobody outside the model knows its tokens. English has about four bytes to a token, and UTF-8 gives other scripts,
# which have more tokens to a letter, more bytes.
BYTES_PER_TOKEN = 4

_MOST_SYSTEMS = 64  # system messages that are kept in their written form: an agent has one
_NO_SYSTEM: Mapping[str | None, bytes] = {None: b"", "": b""}

# In the metadata of an answer that calls tools.
_CALLS = '"tool_calls"'
# The frame of a line.
_MESSAGES, _USER = b'{"messages":[', b'{"role":"user","content":'
_ASSISTANT = b'},{"role":"assistant","content":'

# Between texts that are redacted together; a line of its own, which no shape of personal data holds.
_BETWEEN = "\n\x1e\n"


@dataclass(frozen=True)
class Rules:
    """How samples become lines. Plain values throughout: another process is told them as JSON.

    `forms` and `max_tokens` are by model type; a sample of more tokens than that is left out. `salt` is the key of the
    placeholders in hexadecimal digits, None for no redaction; `head` stands in a file before its first sample. A file
    for another trainer than Together is JSON Lines; with `every_tools` each of its lines says its tools.
    """

    fmt: Format = "jsonl"
    forms: Mapping[str, str] = field(default_factory=dict)
    max_tokens: Mapping[str, int] = field(default_factory=dict)
    preference: bool = False
    salt: str | None = None
    redact_names: bool = False
    head: str = ""
    trainer: Trainer = "together"
    every_tools: bool = False


class Turns(NamedTuple):
    """What is trained on: the answer, and with preferences the one it is preferred to.

    `before` are the messages before it where they are more than `system` and `prompt`, `calls` those of the answer.
    """

    system: str | None
    prompt: str
    answer: str
    rejected: str | None
    decision: str
    before: Sequence[Mapping[str, object]] | None = None
    tools: Sequence[Mapping[str, object]] = ()
    calls: Sequence[Mapping[str, object]] = ()


class Renderer:
    """Makes lines of samples by rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        # What stands before and after the object of a sample in its file.
        self._begin, self._end = (b",\n  ", b"") if rules.fmt == "json" else (b"", b"\n")
        self._answered = end_of_line(rules.trainer, rules.every_tools) + self._end
        self._redactor = Redactor(bytes.fromhex(rules.salt)) if rules.salt is not None else None
        # As they are written, so nothing is in them to be taken out.
        self._systems: dict[str | None, bytes] = dict(_NO_SYSTEM)
        # The same JSON of UTF-8 as orjson's, which takes no bytes: they would have to be decoded and encoded again.
        self._quoted = SchemaSerializer({"type": "bytes"}).to_json
        # The types of which most go into their file as they are stored.
        self._canonical = {
            model_type: canonical_check(model_type)
            for model_type in MODEL_TYPES
            if not (rules.preference or rules.redact_names or rules.fmt == "csv")
            and rules.forms.get(model_type, "exact") == "exact"
        }

    @property
    def redactions(self) -> Counter[str]:
        """Values taken out so far, by kind."""
        return self._redactor.counts if self._redactor is not None else Counter()

    def quick_lines(self, rows: Sequence[TextRow]) -> list[bytes | None]:
        """The lines of samples that go into their file as they are stored, as nearly all do; None for any other.

        Those are for `turns` and `line`, which make the same lines; a test holds the two together.
        """
        made: list[bytes | None] = []
        add, join, canonical, systems, redactor = made.append, b"".join, self._canonical, self._systems, self._redactor
        begin, end, quoted = self._begin + _MESSAGES, self._answered, self._quoted
        for _, _, model_type, label, corrected, decision, system, output, prompt, cut, conversation, metadata in rows:
            if (
                decision is None
                or (metadata is not None and _CALLS in metadata)
                or cut is not None
                or conversation is not None
                or corrected is not None
                or label == "bad"
                or (before := systems.get(system)) is None
                or (is_canonical := canonical.get(model_type)) is None
                or not is_canonical(output)
                or not (prompt and (32 < prompt[0] < 127 or not prompt.decode(errors="replace").isspace()))
                or 0 in prompt
                or "\0" in output
                or (redactor and _may_hide(redactor, prompt, output))
            ):
                add(None)
                continue
            try:
                add(join((begin, before, _USER, quoted(prompt), _ASSISTANT, dumps(output), end)))
            except ValueError:  # no UTF-8
                add(None)
        return made

    def turns(self, row: TextRow) -> Turns | str:
        """The sample as turns, or why it is left out."""
        _, _, model_type, label, corrected, decision, system, output, written_prompt, cut, conversation, metadata = row
        if why := self._unfit(label, corrected, cut):
            return why
        try:
            prompt = written_prompt.decode()
        except UnicodeDecodeError:
            return "text that is not UTF-8"
        calls = _calls_in(metadata)
        if conversation is not None or calls:
            return self._conversation(row, prompt, conversation, calls)
        answer = self._answer(model_type, prompt, output, decision, corrected)
        if isinstance(answer, InvalidAnswer):
            return answer.reason
        rejected: Answer | str | None = None
        if self._rules.preference:
            if corrected is None:
                return "not corrected"
            rejected = _rejected(model_type, output)
            if not rejected:
                return "no answer it is preferred to"
            if rejected == answer:
                return "the correction changes nothing"
        names = people_of(prompt) if self._rules.redact_names else ()
        if self._rules.forms.get(model_type) == "compact":
            short = compact(model_type, prompt)
            if short is None:
                return "no compact form"
            prompt, system = short, _short_system(model_type, system)
        if self._redactor is not None:
            prompt, answer, rejected = self._redacted(prompt, answer, rejected, names)
            system = self._redacted_system(system, names)
        # Nothing to be taken out, and it stands there as it would be written.
        decided = decision or "" if isinstance(answer, str) else decision_of(answer)
        better, worse, system = _as_text(answer), None if rejected is None else _as_text(rejected), system or None
        texts = (("user", prompt), ("assistant", better), ("system", system), ("assistant", worse))
        return _first_flaw(texts) or Turns(system, prompt, better, worse, decided)

    def _conversation(
        self, row: TextRow, prompt: str, conversation: str | None, calls: Sequence[Mapping[str, object]]
    ) -> Turns | str:
        """A coding agent's answer with all that came before it."""
        _, _, model_type, _, corrected, decision, _, output, *_ = row
        rules = self._rules
        if rules.fmt not in ("jsonl", "json"):
            return f"a conversation with tools does not fit into {rules.fmt}"
        before, tools, why = read(conversation)
        if why is not None or not before:
            return why or "what came before its call of a tool is not known"
        if rules.preference and corrected is None:
            return "not corrected"
        answer, worse = strip_thinking(output), ""
        if corrected is not None:
            answer, worse = corrected, answer
        elif not calls and not answer.strip():
            return "empty"
        if rules.forms.get(model_type) == "compact":
            before = without_additions(before)
        if self._redactor is not None:
            clean = self._redactor.redact
            before = [message_changed(message, clean) for message in before]
            calls = _calls_changed(calls, clean)
            answer, worse = clean(answer), clean(worse)
        if flaw := _conversation_flaw(before, answer):
            return flaw
        mine = () if corrected is not None else tuple(calls)
        said, rejected = answer_message(answer, mine), None
        if rules.preference:
            if worse == answer:
                return "the correction changes nothing"
            # The answers differ in their text, and call the same tools.
            said, rejected = answer_message(answer, calls), dumps(answer_message(worse, calls)).decode()
        if why := misfit(rules.trainer, [*before, said], tools, preference=rules.preference):
            return why
        decided = decision or "" if corrected is None else _decision_in(model_type, answer)
        return Turns(None, prompt, answer, rejected, decided, before, tools, mine)

    def line(self, turns: Turns) -> bytes:
        """The turns as one line of UTF-8 JSON, its end included; in JSON as one element, the comma before it included.

        The frame is the same every time; only the texts in it are encoded.
        """
        system, prompt, answer, rejected, _, messages, *_ = turns
        if messages is not None or (rejected is not None and self._rules.trainer in ("trl", "axolotl")):
            return b"".join((self._begin, dumps(self._record(turns)), self._end))
        before = self._systems.get(system)
        if before is None:
            if len(self._systems) == _MOST_SYSTEMS:
                self._systems = dict(_NO_SYSTEM)
            before = self._systems[system] = b'{"role":"system","content":' + dumps(system) + b"},"
        user, good = dumps(prompt), dumps(answer)
        if rejected is None:
            return b"".join((self._begin, _MESSAGES, before, _USER, user, _ASSISTANT, good, self._answered))
        return (
            b'%b{"input":{"messages":[%b{"role":"user","content":%b}]},'
            b'"preferred_output":[{"role":"assistant","content":%b}],'
            b'"non_preferred_output":[{"role":"assistant","content":%b}]}%b'
        ) % (self._begin, before, user, good, dumps(rejected), self._end)

    def _record(self, turns: Turns) -> dict[str, object]:
        system, prompt, answer, rejected, _, messages, tools, calls = turns
        worse: Mapping[str, object] | None = None
        if messages is None:
            asked = {"role": "user", "content": prompt}
            messages = [{"role": "system", "content": system}, asked] if system else [asked]
            worse = None if rejected is None else answer_message(rejected, ())
        elif rejected is not None:
            worse = loads(rejected)
        rules, better = self._rules, answer_message(answer, calls)
        return record(rules.trainer, messages, better, worse, tools, every_tools=rules.every_tools)

    def too_long(self, model_type: str, tokens: int) -> str | None:
        """Why a sample of so many tokens is left out, if it is."""
        most = self._rules.max_tokens.get(model_type)
        return f"longer than {most:,} tokens" if most is not None and tokens > most else None

    def _answer(
        self, model_type: str, prompt: str, output: str, decision: str | None, corrected: str | None
    ) -> Answer | str | InvalidAnswer:
        """The answer to be trained on; as text if it stands in the log as it would be written and is not looked into.

        A person's correction may name what the prompt does not offer; an answer with a decision was found valid when it
        was stored.
        """
        if corrected is not None:
            return parse_answer(model_type, corrected)
        if decision is None:
            return read_answer(model_type, prompt, output)
        if self._redactor is None and not self._rules.preference and is_canonical(model_type, output):
            return output
        return quick_answer(model_type, output) or parse_answer(model_type, output)

    def _unfit(self, label: str | None, corrected: str | None, cut: str | None) -> str | None:
        """Why nobody trains on a sample, whatever is in it."""
        if label == "bad":
            return "labelled bad"
        return "the answer was cut" if cut is not None and (corrected is None or self._rules.preference) else None

    def _redacted_system(self, system: str | None, names: Sequence[str]) -> str | None:
        """A system message redacted, but for those that are known as they are written: nothing is in them."""
        if self._redactor is None or not system or (system in self._systems and not names):
            return system
        return self._redactor.redact(system, names)

    def _redacted(
        self, prompt: str, answer: Answer | str, rejected: Answer | str | None, names: Sequence[str]
    ) -> tuple[str, Answer | str, Answer | str | None]:
        """All texts of a sample redacted in one go, those of answers while they are not escaped yet."""
        texts = [prompt, *_texts_of(answer), *_texts_of(rejected)]
        assert self._redactor is not None
        joined = _BETWEEN.join(texts)
        cleaned = self._redactor.redact(joined, names)
        if cleaned == joined:
            return prompt, answer, rejected
        parts = cleaned.split(_BETWEEN)
        if len(parts) != len(texts):  # something reached from one into the next
            parts = [self._redactor.redact(text, names) for text in texts]
        prompt, *rest = parts
        mine = len(_texts_of(answer))
        better = _with_texts(answer, rest[:mine])
        assert better is not None
        return prompt, better, _with_texts(rejected, rest[mine:])


def _may_hide(redactor: Redactor, prompt: bytes, output: str) -> bool:
    """Whether a sample may hold what is to be taken out. What is escaped reads otherwise than what was written; nothing
    else could hide in an answer's frame."""
    return "&" in output or not redactor.leaves(b"".join((prompt, b"\n", output.encode())))


def _as_text(answer: Answer | str) -> str:
    return answer if isinstance(answer, str) else render_answer(answer)


def _decision_in(model_type: str, answer: str) -> str:
    """What a corrected answer decides; nothing where it is not valid."""
    parsed = parse_answer(model_type, answer)
    return "" if isinstance(parsed, InvalidAnswer) else decision_of(parsed)


def _calls_in(metadata: str | None) -> Sequence[Mapping[str, object]]:
    """The tools that an answer calls."""
    if metadata is None or _CALLS not in metadata:
        return ()
    calls: Sequence[Mapping[str, object]] = json.loads(metadata)["tool_calls"]
    return calls


def _calls_changed(
    calls: Iterable[Mapping[str, object]], change: Callable[[str], str]
) -> Sequence[Mapping[str, object]]:
    """Calls with what they give their tools changed."""
    return [{**call, "arguments": change(str(call.get("arguments") or ""))} for call in calls]


def _short_system(model_type: str, system: str | None) -> str | None:
    """The system message beside a compact prompt."""
    return without_billing(system) if system and model_type == "coding" else system


def _first_flaw(texts: Iterable[tuple[str, str | None]]) -> str | None:
    """The first flaw in the texts of some roles; None is no text."""
    return next(filter(None, (flaw_of_text(role, text) for role, text in texts if text is not None)), None)


def _conversation_flaw(before: Sequence[Mapping[str, object]], answer: str) -> str | None:
    """What nobody can train on in the messages before an answer, or in the answer; an assistant's may be empty."""
    texts = [(str(message["role"]), str(message.get("content") or "")) for message in before]
    if flaw := _first_flaw(text for text in texts if text[0] != "assistant"):
        return flaw
    return "a NUL character" if "\0" in answer or any("\0" in text for _, text in texts) else None


def _rejected(model_type: str, output: str) -> Answer | str:
    """What the model had said: the answer, or the bare text when it was none."""
    answer = parse_answer(model_type, output)
    return strip_thinking(output) if isinstance(answer, InvalidAnswer) else answer


def _texts_of(answer: Answer | str | None) -> tuple[str, ...]:
    """What people or models wrote in an answer."""
    match answer:
        case ShouldRespondAnswer():
            return (answer.reasoning,)
        case PlanningAnswer():
            return answer.thought, answer.text, answer.params
        case CodingAnswer():
            return (answer.text,)
        case str():
            return (answer,)
    return ()


def _with_texts(answer: Answer | str | None, texts: Sequence[str]) -> Answer | str | None:
    """The answer with other texts in their places."""
    match answer:
        case ShouldRespondAnswer():
            return replace(answer, reasoning=texts[0])
        case PlanningAnswer():
            return replace(answer, thought=texts[0], text=texts[1], params=texts[2])
        case CodingAnswer():
            return replace(answer, text=texts[0])
        case str():
            return texts[0]
    return None


def flaw_of_text(role: str, text: str) -> str | None:
    """What no file can carry, or Together would refuse, in one message's text."""
    if not text or text.isspace():
        return f"empty {role} message"
    return "a NUL character" if "\0" in text else None


def csv_row(turns: Turns) -> bytes:
    """The turns as one row of CSV, its end included; see `head_of` for the columns. A spreadsheet runs none of it."""
    text = io.StringIO()
    cells = [turns.system or "", turns.prompt, turns.answer]
    csv.writer(text).writerow(map(cell, cells if turns.rejected is None else [*cells, turns.rejected]))
    return text.getvalue().encode()


def head_of(fmt: Format, preference: bool, holds: str) -> str:
    """What stands before the first sample of a file that `holds` a type or all."""
    if fmt == "csv":
        return "system,prompt,preferred,non_preferred\r\n" if preference else "system,prompt,completion\r\n"
    return f'{{"model_type": "{holds}", "format": "json", "samples": [' if fmt == "json" else ""
