"""One sample as one line of a fine-tuning file.

A line holds what is trained on and nothing else: one system message at most, first, then user and assistant. The user
text is the prompt in the form the model will be asked in; the assistant text is the answer in the one form the gateway
sends, so what is trained is what is served. A correction outranks what the model said.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import orjson

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
from reasoning_cli.decisions.compact import compact
from reasoning_cli.decisions.prompts import agent_name, participants
from reasoning_cli.decisions.quick_answers import is_canonical, quick_answer
from reasoning_cli.personal import Redactor
from reasoning_cli.store.export_rows import TextRow

Format = Literal["jsonl", "json", "parquet", "csv"]
FORMATS: tuple[Format, ...] = ("jsonl", "json", "parquet", "csv")
Form = Literal["exact", "compact"]

Message = Mapping[str, str]

# Nobody outside the model knows its tokens. English has about four bytes to a token, and UTF-8 gives other scripts,
# which have more tokens to a letter, more bytes.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Rules:
    """How samples become lines. Plain values throughout: another process is told them as JSON.

    `forms` and `max_tokens` are by model type; a sample of more tokens than that is left out. `salt` is the key of the
    placeholders in hexadecimal digits, None for no redaction; `head` stands in a file before its first sample.
    """

    fmt: Format = "jsonl"
    forms: Mapping[str, str] = field(default_factory=dict)
    max_tokens: Mapping[str, int] = field(default_factory=dict)
    preference: bool = False
    salt: str | None = None
    redact_names: bool = False
    head: str = ""


class Turns(NamedTuple):
    """What is trained on: the answer, and with preferences the one it is preferred to."""

    system: str | None
    prompt: str
    answer: str
    rejected: str | None
    decision: str


class Renderer:
    """Makes lines of samples by rules; `left_out` counts those no model should learn from, by why."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        # What stands before and after the object of a sample in its file.
        self._begin, self._end = (b",\n  ", b"") if rules.fmt == "json" else (b"", b"\n")
        self._redactor = Redactor(bytes.fromhex(rules.salt)) if rules.salt is not None else None
        self._systems: dict[str, bytes] = {}

    @property
    def redactions(self) -> Counter[str]:
        """Values taken out so far, by kind."""
        return self._redactor.counts if self._redactor is not None else Counter()

    def turns(self, row: TextRow) -> Turns | str:
        """The sample as turns, or why it is left out."""
        _, _, model_type, label, corrected, decision, system, output, prompt = row
        if label == "bad":
            return "labelled bad"
        if self._rules.preference and corrected is None:
            return "not corrected"
        names = _people(prompt) if self._rules.redact_names else ()
        chosen = self._answer(model_type, prompt, output, decision, corrected, names)
        if isinstance(chosen, InvalidAnswer):
            return chosen.reason
        answer, decided = chosen
        rejected = None
        if self._rules.preference:
            rejected = self._rejected(model_type, output, names)
            if not rejected or rejected == answer:
                return "the correction changes nothing" if rejected else "no answer it is preferred to"
            if flaw := flaw_of_text("assistant", rejected):
                return flaw
        if self._rules.forms.get(model_type) == "compact":
            short = compact(model_type, prompt)
            if short is None:
                return "no compact form"
            prompt = short
        if self._redactor is not None:
            prompt = self._redactor.redact(prompt, names)
            system = self._redactor.redact(system, names) if system else system
        flaw = flaw_of_text("user", prompt) or flaw_of_text("assistant", answer)
        if system and not flaw:
            flaw = flaw_of_text("system", system)
        return flaw or Turns(system or None, prompt, answer, rejected, decided)

    def line(self, turns: Turns) -> bytes:
        """The turns as one line of UTF-8 JSON, its end included; in JSON as one element, the comma before it included.

        The frame is the same every time; only the texts in it are encoded.
        """
        system, prompt, answer, rejected, _ = turns
        begin = b""
        if system is not None:
            begin = self._systems.get(system, b"")
            if not begin:
                begin = b'{"role":"system","content":' + orjson.dumps(system) + b"},"
                self._systems = {system: begin}  # an agent has one
        user, good = orjson.dumps(prompt), orjson.dumps(answer)
        if rejected is None:
            return b'%b{"messages":[%b{"role":"user","content":%b},{"role":"assistant","content":%b}]}%b' % (
                self._begin,
                begin,
                user,
                good,
                self._end,
            )
        return (
            b'%b{"input":{"messages":[%b{"role":"user","content":%b}]},'
            b'"preferred_output":[{"role":"assistant","content":%b}],'
            b'"non_preferred_output":[{"role":"assistant","content":%b}]}%b'
        ) % (self._begin, begin, user, good, orjson.dumps(rejected), self._end)

    def too_long(self, model_type: str, tokens: int) -> str | None:
        """Why a sample of so many tokens is left out, if it is."""
        most = self._rules.max_tokens.get(model_type)
        return f"longer than {most:,} tokens" if most is not None and tokens > most else None

    def _answer(
        self,
        model_type: str,
        prompt: str,
        output: str,
        decision: str | None,
        corrected: str | None,
        names: Sequence[str],
    ) -> tuple[str, str] | InvalidAnswer:
        """The answer to be trained on and its decision. A person's correction may name what the prompt does not offer;
        an answer with a decision was found valid when it was stored."""
        if corrected is None and decision is not None and self._redactor is None and is_canonical(model_type, output):
            return output, decision
        answer: Answer | InvalidAnswer | None
        if corrected is not None:
            answer = parse_answer(model_type, corrected)
        elif decision is not None:
            answer = quick_answer(model_type, output) or parse_answer(model_type, output)
        else:
            answer = read_answer(model_type, prompt, output)
        if isinstance(answer, InvalidAnswer):
            return answer
        return render_answer(self._redacted(answer, names)), decision_of(answer)

    def _rejected(self, model_type: str, output: str, names: Sequence[str]) -> str:
        """What the model had said, in the written form if it has one."""
        answer = parse_answer(model_type, output)
        if not isinstance(answer, InvalidAnswer):
            return render_answer(self._redacted(answer, names))
        said = strip_thinking(output)
        return self._redactor.redact(said, names) if self._redactor is not None else said

    def _redacted(self, answer: Answer, names: Sequence[str]) -> Answer:
        """The answer with its texts redacted while they are not escaped yet."""
        if self._redactor is None:
            return answer

        def clean(text: str) -> str:
            assert self._redactor is not None
            return self._redactor.redact(text, names) if text else text

        match answer:
            case ShouldRespondAnswer():
                return replace(answer, reasoning=clean(answer.reasoning))
            case PlanningAnswer():
                return replace(
                    answer, thought=clean(answer.thought), text=clean(answer.text), params=clean(answer.params)
                )
            case CodingAnswer():
                return replace(answer, text=clean(answer.text))


def flaw_of_text(role: str, text: str) -> str | None:
    """What no file can carry, or Together would refuse, in one message's text."""
    if not text or text.isspace():
        return f"empty {role} message"
    return "a NUL character" if "\0" in text else None


def csv_row(turns: Turns) -> bytes:
    """The turns as one row of CSV, its end included; see `head_of` for the columns."""
    text = io.StringIO()
    cells = [turns.system or "", turns.prompt, turns.answer]
    csv.writer(text).writerow(cells if turns.rejected is None else [*cells, turns.rejected])
    return text.getvalue().encode()


def head_of(fmt: Format, preference: bool, holds: str) -> str:
    """What stands before the first sample of a file that `holds` a type or all."""
    if fmt == "csv":
        return "system,prompt,preferred,non_preferred\r\n" if preference else "system,prompt,completion\r\n"
    return f'{{"model_type": "{holds}", "format": "json", "samples": [' if fmt == "json" else ""


def _people(prompt: str) -> tuple[str, ...]:
    """Whose names become pseudonyms: all who take part but the agent, who must know when it is meant."""
    agent = agent_name(prompt)
    return tuple(name for name in participants(prompt) if name != agent)
