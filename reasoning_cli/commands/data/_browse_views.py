"""How decisions look: a row of a listing, and one whole as a person reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal

from reasoning_cli.decisions.addressing import names_by_id
from reasoning_cli.decisions.reading import message_of
from reasoning_cli.operations.data.browse import Look, Page, corrected_decision
from reasoning_cli.operations.data.search import Found
from reasoning_cli.store.samples.labels import LabelRecord
from reasoning_cli.store.samples.listing import SampleRow
from reasoning_cli.store.samples.search import HIT_BEGINS, HIT_ENDS, Hit
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.terminal.cleaning import visible
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.listing import Column, Kind, Listing
from reasoning_cli.terminal.units import counted, moment
from reasoning_cli.terminal.wrapping import fold
from reasoning_cli.values import is_head, spell_model_type

Line = tuple[str, str]  # text and style

_LONGEST_DECISION = 28
_MOST_BRIEF = 20_000  # characters of one text
_MOST = 200_000
_INDENT = "  "
_LABEL_STYLES = {"good": "good", "bad": "bad", "corrected": "warning"}


def sample_columns(id_chars: int) -> list[Column[SampleRow]]:
    """The columns of a listing of decisions; ids in a table as long as tells them apart."""
    return [
        Column("id", lambda row: row.id, "ID", text=lambda row: row.id[:id_chars]),
        Column("at", lambda row: row.created_at, "AT", text=lambda row: moment(row.created_at), priority=4),
        Column(
            "model_type",
            lambda row: row.model_type,
            "TYPE",
            lambda row: spell_model_type(row.model_type),
            priority=3,
        ),
        Column("decision", lambda row: row.decision, "DECISION", _decision),
        Column("corrected_decision", corrected_decision),
        Column(
            "label",
            lambda row: row.label,
            "LABEL",
            kind=Kind.STATE,
            style=lambda row: _LABEL_STYLES.get(row.label or "", ""),
        ),
        Column("agent_name", lambda row: row.agent_name, "AGENT", priority=5),
        Column("source", lambda row: row.source, "BY", priority=6),
        Column("model", lambda row: row.model),
        Column("agent_id", lambda row: row.agent_id),
        Column("room_id", lambda row: row.room_id),
        Column("origin", lambda row: row.origin),
        Column("prompt_tokens", lambda row: row.prompt_tokens),
        Column("completion_tokens", lambda row: row.completion_tokens),
        Column("latency_ms", lambda row: row.latency_ms),
        Column("cost_micros", lambda row: row.cost_micros),
        Column("confidence", lambda row: row.confidence),
        Column("message", _message, "MESSAGE", lambda row: one_line(_message(row)), gives_way=True, prose=True),
    ]


def page_listing(page: Page) -> Listing[SampleRow]:
    """A page of decisions."""
    return Listing(sample_columns(page.id_chars), page.rows, id=lambda row: row.id, exact=True)


def hit_listing(found: Found) -> Listing[Hit]:
    """What a search found, for machines: the columns of a listing, with the words around the hit for the message."""
    columns = [
        Column(column.key, lambda hit, value=column.value: value(hit.row))  # type: ignore[misc]
        for column in sample_columns(found.id_chars)
        if column.key != "message"
    ]
    columns.append(Column("snippet", lambda hit: _marked(hit.snippet, "", "")))
    return Listing(columns, found.hits, id=lambda hit: hit.row.id, exact=True)


def hit_lines(found: Found, terminal: Terminal) -> list[str]:
    """What a search found, for people: a line that says where, and the words around the hit below it."""
    marks = ("\x1b[1m", "\x1b[0m") if terminal.use_color(terminal.out) else ("*", "*")
    lines = []
    for hit in found.hits:
        row = hit.row
        facts = [row.id[: found.id_chars], moment(row.created_at), spell_model_type(row.model_type), _decision(row)]
        where = visible("  ".join([*facts, *([row.label] if row.label else [])]))
        lines += [terminal.paint(line, "dim", terminal.out) for line in fold(where, terminal.width)]
        around = visible(one_line(hit.snippet), but=HIT_BEGINS + HIT_ENDS)
        lines += [_marked(line, *marks) for line in fold(around, terminal.width, "    ")]
    return lines


def _marked(text: str, begins: str, ends: str) -> str:
    return text.replace(HIT_BEGINS, begins).replace(HIT_ENDS, ends)


def label_listing(changes: Sequence[LabelRecord]) -> Listing[LabelRecord]:
    """The history of labels."""
    columns: list[Column[LabelRecord]] = [
        Column("number", lambda change: change.number, "NO", kind=Kind.NUMBER),
        Column("at", lambda change: change.at, "AT", text=lambda change: moment(change.at), priority=3),
        Column("id", lambda change: change.sample_id, "ID", gives_way=True, prose=True),
        Column(
            "label",
            lambda change: change.label,
            "LABEL",
            kind=Kind.STATE,
            style=lambda change: _LABEL_STYLES.get(change.label or "", ""),
        ),
        Column("was_label", lambda change: change.was_label, "WAS"),
        Column("by", lambda change: change.by, "BY", priority=2),
        Column("answer", lambda change: change.answer),
        Column("was_answer", lambda change: change.was_answer),
        Column("undoes", lambda change: change.undoes, "UNDOES", kind=Kind.NUMBER, priority=5),
        Column("note", lambda change: change.note, "NOTE", priority=5),
    ]
    return Listing(columns, changes, id=lambda change: str(change.number), exact=True)


def one_line(text: str) -> str:
    """A text in one line, as much of it as any terminal shows."""
    return " ".join(text[:2000].split())


def card(look: Look, width: int, *, talk_lines: int | None = None, brief: bool = False) -> list[Line]:
    """One decision in lines within `width` columns, of the conversation only the last `talk_lines`.

    It is `brief` without what a person does not judge by: its ids, and most of a text that nobody reads to its end.
    """
    most = _MOST_BRIEF if brief else _MOST
    sample = look.sample
    lines: list[Line] = [(line, "header") for line in fold(_headline(look), width)]
    lines += [(line, "dim") for text in _facts(sample, brief) for line in fold(text, width)]
    lines += [(line, _LABEL_STYLES.get(sample.label or "", "")) for line in fold(_labelled(look), width)]
    talk = look.talk if talk_lines is None else look.talk[max(0, len(look.talk) - talk_lines) :]
    if look.talk:
        left_out = len(look.talk) - len(talk)
        lines += _section(
            f"Before ({counted(left_out, 'line')} above)" if left_out else "Before", "\n".join(talk), width, "dim"
        )
    lines += _section("Request" if sample.model_type == "coding" else "Message", look.message, width, "", most)
    if look.problem is not None:
        lines += _section(f"Answer, of no use: {look.problem}", sample.output, width, "", most)
    else:
        lines += _parts("Answer", look.parts, width, most)
    if look.corrected:
        lines += _parts("Corrected", look.corrected, width, most)
    return lines


def raw_lines(sample: Sample) -> list[Line]:
    """The exact texts, each under a heading."""
    texts = [("system", sample.system), ("prompt", sample.prompt), ("answer", sample.output)]
    lines: list[Line] = [(f"{sample.id}", "header")]
    for name, text in [*texts, ("corrected", sample.corrected)]:
        if text is not None:
            lines += [(f"--- {name}", "dim"), (text, "")]
    return lines


def look_record(look: Look, *, raw: bool) -> dict[str, object]:
    """One decision for machines; the whole prompt only when it is asked for."""
    sample = {name: value for name, value in asdict(look.sample).items() if name not in ("seq", "shape", "identity")}
    if not raw:
        del sample["prompt"], sample["system"], sample["conversation"]
    return {
        **sample,
        "reply_targets": json.loads(look.sample.reply_targets or "[]"),
        "message": look.message,
        "talk": list(look.talk),
        "answer": dict(look.parts) if look.problem is None else None,
        "problem": look.problem,
        "corrected_answer": dict(look.corrected) or None,
        "changes": [asdict(change) for change in look.changes],
    }


def _decision(row: SampleRow) -> str:
    decided, instead = row.decision or "–", corrected_decision(row)
    text = f"{decided} → {instead}" if instead is not None and instead != row.decision else decided
    return text if len(text) <= _LONGEST_DECISION else f"{text[: _LONGEST_DECISION - 1]}…"


def _message(row: SampleRow) -> str:
    return message_of(row.model_type, row.tail or "")


def _headline(look: Look) -> str:
    name = spell_model_type(look.sample.model_type)
    return f"{name}  {look.sample.decision or ('unreadable' if look.sample.cut is None else 'cut')}"


def _facts(sample: Sample, brief: bool) -> list[str]:
    where = [moment(sample.created_at)]
    if agent := sample.agent_name or sample.agent_id:
        where.append(agent)
    if sample.room_id and not brief:
        where.append(f"room {sample.room_id}")
    answered = [f"{sample.model} ({sample.source})"]
    if sample.latency_ms is not None:
        answered.append(_seconds(sample.latency_ms))
    if sample.prompt_tokens is not None and sample.completion_tokens is not None:
        cached = f" ({sample.cached_tokens:,} cached)" if sample.cached_tokens else ""
        answered.append(f"{sample.prompt_tokens:,}{cached} + {sample.completion_tokens:,} tokens")
    if sample.cost_micros is not None:
        answered.append(f"${Decimal(sample.cost_micros).scaleb(-6):.4f}")
    if sample.confidence is not None:
        answered.append(f"confidence {sample.confidence:g}")
    lines = [*([] if brief else [sample.id]), ", ".join(where), f"by {', '.join(answered)}"]
    if is_head(sample.model) and (why := sample.metadata.get("why")):
        lines.append(f"decided in the gateway by {why}")
    if around := _addressing(sample):
        lines.append(", ".join(around))
    if sample.feedback:
        lines.append(f"feedback: {sample.feedback}")
    return [visible(line) for line in lines]


def _addressing(sample: Sample) -> list[str]:
    """What the log knows of whom a message may be meant for."""
    if not sample.burst:
        return []
    names = names_by_id(sample.prompt)

    def name(whose: str) -> str:
        return sample.agent_name or "the agent" if whose == sample.agent_id else names.get(whose, whose)

    found = [] if sample.spoke_before is None else [f"after {name(sample.spoke_before)}"]
    if sample.burst > 1:
        found.append(f"{sample.burst} messages in a row")
    targets = json.loads(sample.reply_targets or "[]")
    if targets and targets[0] is not None:
        found.append(f"{sample.agent_name or 'the agent'} last answered {name(targets[0])}")
    if sample.people is not None:
        found.append("a direct conversation" if sample.people == 1 else f"{sample.people} people in the room")
    return found


def _labelled(look: Look) -> str:
    label = look.sample.label
    if not look.changes:
        return f"label: {label or 'none'}"
    last = look.changes[0]
    text = f"label: {label or 'none'}, {'undone' if last.undoes else 'set'} by {last.by}, {moment(last.at)}"
    if last.was_label:
        text += f" (was {last.was_label})"
    return visible(f"{text}: {last.note}" if last.note else text)


def _section(heading: str, text: str, width: int, style: str = "", most: int = _MOST) -> list[Line]:
    folded = fold(_shown(text, most), width, _INDENT) if text else []
    return [("", ""), (heading, "header"), *((line, style) for line in folded)]


def _shown(text: str, most: int) -> str:
    """A text without what would move the cursor, at most so many characters of it."""
    shown = visible(text[:most].strip("\r\n"), but="\n\t")
    return (
        f"{shown}\n… {len(text) - most:,} characters more, see `data show DECISION --raw`"
        if len(text) > most
        else shown
    )


def _parts(heading: str, parts: Sequence[tuple[str, str]], width: int, most: int) -> list[Line]:
    """Parts with their names, the text beside them, or below them where it is narrow."""
    lines: list[Line] = [("", ""), (heading, "header")]
    indent = " " * (max((len(name) for name, _ in parts), default=0) + 2 + len(_INDENT))
    for name, value in parts:
        text = _shown(value, most)
        if name == "answer":
            lines += [(line, "") for line in fold(text, width, _INDENT)]
            continue
        folded = fold(text, width, indent)
        first = folded[0].strip() if folded else ""
        lines.append(((f"{_INDENT}{name}".ljust(len(indent)) + first).rstrip(), ""))
        lines += [(line, "") for line in folded[1:]]
    return lines


def _seconds(milliseconds: int) -> str:
    time = timedelta(milliseconds=milliseconds).total_seconds()
    return f"{time:.2f} s" if time < 10 else f"{time:.0f} s"
