"""Decisions: who answered, how fast and why not a model; any decision by filter or words; one of them whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request
from nicegui import background_tasks, ui

from reasoning_cli.dashboard.acts import Wish
from reasoning_cli.dashboard.charts import Series, draw
from reasoning_cli.dashboard.frame import BUILT_WITHIN, Context, Page
from reasoning_cli.dashboard.parts import (
    Field,
    LiveTable,
    Show,
    box,
    button,
    facts,
    rebuild,
    shown,
    table_of,
    write,
)
from reasoning_cli.dashboard.program import Answer
from reasoning_cli.terminal.units import percent
from reasoning_cli.values import MODEL_TYPES, spell_model_type

PAGE_ROWS = 25
# What is not in the search index yet is read by a process of its own, which goes on where another one ended.
INDEX = Wish("search index", ("data", "search", "--index", "build"))
_INDEX_SECONDS = 1.0
_SPANS = (("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days"))
_PIECES = 12
_WHO = {"head": "head", "slot": "model", "original": "baseline", "fallback": "fallback"}
_ANY = ("", "any")
_TYPES = (_ANY, *((name, spell_model_type(name)) for name in MODEL_TYPES))
_LABELS = (_ANY, *((name, name) for name in ("none", "good", "bad", "corrected")))
_SOURCES = (_ANY, ("slot", "model"), ("original", "baseline"), ("fallback", "fallback"))
_COLUMNS = (
    Show("at", "AT"),
    Show("model_type", "TYPE", text=spell_model_type),
    Show("decision", "DECISION"),
    Show("label", "LABEL"),
    Show("agent_name", "AGENT"),
    Show("source", "BY"),
    Show("latency_ms", "MS", number=True, text=lambda value: "–" if value is None else f"{value:,}"),
    Show("message", "MESSAGE", text=lambda value: " ".join(str(value or "–")[:300].split())),
)
_FOUND = (*_COLUMNS[:-1], Show("snippet", "FOUND", text=lambda value: " ".join(str(value or "–")[:300].split())))


def register(context: Context) -> None:
    @ui.page("/decisions", response_timeout=BUILT_WITHIN)
    async def decisions_page(request: Request) -> None:
        page = DecisionsPage(Page(context, request, "/decisions"))
        await page.look()


class DecisionsPage:
    """The page in one tab. `behind` are the last ids of the pages turned so far."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.behind: list[str] = []
        self.last: str | None = None
        with box("section", aria_label="Filters"):
            self.kind = Field("type", choices=_TYPES, on_change=self.begin)
            self.label = Field("label", choices=_LABELS, on_change=self.begin)
            self.source = Field("answered by", choices=_SOURCES, on_change=self.begin)
            self.decision = Field("decision", on_change=self.begin)
            self.agent = Field("agent", on_change=self.begin)
            self.room = Field("room", on_change=self.begin)
            self.since = Field("since (7d, 2026-11-01)", on_change=self.begin)
            self.words = Field("words in it", wide=True, on_change=self.begin)
            button("Look", self.begin, main=True)
        self.problem = box("div", role="status")
        self.index = write("p", "", "quiet", role="status", data_part="index")
        self.has_to_read, self.is_open = False, True
        page.client.on_delete(self._leave)
        command = page.context.facts.command
        self.table = LiveTable(
            "Decisions, the newest first",
            page.look.zone,
            empty=f"No decision matches; `{command} data import FILE` or `{command} gateway serve` brings some.",
            buttons=lambda record: [("Show", lambda: self.show(str(record["id"])))],
            row_id="id",
            name="decisions",
        )
        with box("p"):
            self.older = button("Older", self.turn)
            button("Newest", self.begin)
        self.chosen = box("section", aria_label="One decision")
        with box("p"):
            self.span = Field("who answered, of the last", value="24h", choices=_SPANS)
            button("Draw", self.draw)
        self.charts = box("div")
        page.refresh = self.look

    def _leave(self) -> None:
        self.is_open = False

    async def begin(self) -> None:
        """From the newest on."""
        self.behind = []
        await self.look()

    async def turn(self) -> None:
        if self.last is not None:
            self.behind.append(self.last)
            await self.look()

    async def look(self) -> None:
        """Ask for one page, and show it."""
        words = self.words.value.strip()
        typed = ["data", "search", "--index=as-is"] if words else ["data", "list"]
        typed += self._filters()
        typed += ["--limit", str(PAGE_ROWS)]
        if self.behind:
            typed.append(f"--after={self.behind[-1]}")
        if words:
            typed += ["--", *words.split()]
        answer = await self.page.context.ask(*typed) if not words else await self._search(typed)
        if words and not self.has_to_read and not (await self._index())["whole"]:
            self._show(words, answer)
            await self._have_index_read()
            answer = await self._search(typed)
        self._show(words, answer)

    def _show(self, words: str, answer: Answer) -> None:
        records = answer.document or []
        self.last = records[-1]["id"] if records else None
        self.older.set_visibility(len(records) == PAGE_ROWS)
        rebuild(self.problem, lambda: self._show_problem(answer))
        self.table.show(table_of(records, _FOUND if words else _COLUMNS, self.page.look.zone))

    async def _have_index_read(self) -> None:
        """Let a process of its own read into the search index what is not in it yet, and say how far that is."""
        acts, reading = self.page.context.acts, None
        self.has_to_read = True
        while self.is_open and not (state := await self._index())["whole"]:
            if INDEX.object not in acts.going:
                if reading is not None:  # it ended, and something is missing still
                    self.index.set_text(f"The search index is not whole: {shown(reading.result().text, 600)}")
                    break
                reading = background_tasks.create(acts.do(INDEX))
            held = f"{percent(state['share'])}, {state['decisions'] - state['unread']:,} of {state['decisions']:,}"
            self.index.set_text(f"The search index is being built: {held} decisions, the newest first.")
            await asyncio.sleep(_INDEX_SECONDS)
        else:
            self.index.set_text("")
        self.has_to_read = False

    async def _index(self) -> Mapping[str, Any]:
        answer = await self.page.context.ask("data", "search", "--index=show")
        return answer.document or {"whole": True}

    async def _search(self, typed: list[str]) -> Answer:
        """`--json` must stand before the words, which may begin with a dash."""
        place = typed.index("--")
        return await self.page.context.describe(*typed[:place], "--json", *typed[place:])

    def _filters(self) -> list[str]:
        given = (
            ("--model-type", self.kind),
            ("--label", self.label),
            ("--source", self.source),
            ("--decision", self.decision),
            ("--agent", self.agent),
            ("--room", self.room),
            ("--since", self.since),
        )
        return [f"{option}={field.value.strip()}" for option, field in given if field.value.strip()]

    @staticmethod
    def _show_problem(answer: Answer) -> None:
        if answer.problem is not None:
            write("p", shown(". ".join(filter(None, (answer.problem, answer.hint))), 1000), "bad")

    async def show(self, sample: str) -> None:
        """One decision whole."""
        answer = await self.page.context.ask("data", "show", f"{sample}")
        looks = answer.document or []

        def build() -> None:
            if not looks:
                self._show_problem(answer)
                return
            write("h2", f"Decision {looks[0]['id']}", tabindex="-1", id="decision")
            show_decision(looks[0], self.page)
            button("The prompt as it was", lambda: self._show_prompt(sample))
            self.prompt = box("div")

        rebuild(self.chosen, build)
        self.page.client.run_javascript("document.getElementById('decision')?.focus()")

    async def _show_prompt(self, sample: str) -> None:
        answer = await self.page.context.ask("data", "show", sample, "--raw")
        look = (answer.document or [{}])[0]

        def build() -> None:
            for name in ("system", "prompt", "output"):
                if look.get(name):
                    with box("details"):
                        write("summary", f"{name}, {len(look[name]):,} characters")
                        write("pre", shown(look[name]), tabindex="0")

        rebuild(self.prompt, build)

    async def draw(self) -> None:
        """Who answered over time, in so many pieces, by the log; and why decisions fell back, and agreement."""
        hours = {"24h": 24, "7d": 168, "30d": 720}[self.span.value]
        end = datetime.now(UTC)
        width = timedelta(hours=hours) / _PIECES
        pieces: list[dict[str, Any]] = []
        for number in range(_PIECES, 0, -1):
            begin = end - number * width
            answer = await self.page.context.ask(
                "gateway", "stats", f"--since={begin.isoformat()}", f"--until={(begin + width).isoformat()}"
            )
            pieces.append({"begin": begin, "types": (answer.document or {}).get("model_types", {})})
        whole = await self.page.context.ask(
            "gateway", "stats", f"--since={(end - hours * timedelta(hours=1)).isoformat()}"
        )
        compared = [await self.page.context.ask("train", "compare", spell_model_type(name)) for name in MODEL_TYPES]
        rebuild(self.charts, lambda: self._draw(pieces, whole, compared))

    def _draw(self, pieces: list[dict[str, Any]], whole: Answer, compared: list[Answer]) -> None:
        zone = self.page.look.zone
        rows = [_piece(piece, zone.moment(piece["begin"], "%b %d %H:%M")) for piece in pieces]
        places = [row["begin"] for row in rows]
        answered = [Series(name, [row[key] for row in rows], kind="bar", stack="who") for key, name in _WHO.items()]
        types = [name for name in MODEL_TYPES if any(row.get(f"p50 {name}") is not None for row in rows)]
        spans = [(f"{part} {name}", f"{part} {spell_model_type(name)}") for name in types for part in ("p50", "p95")]
        columns = (
            Show("begin", "FROM"),
            *(Show(key, name.upper(), number=True) for key, name in _WHO.items()),
            *(Show(key, f"{name.upper()} MS", number=True) for key, name in spans),
        )
        table = table_of(rows, columns)
        nothing = "No decision came through a gateway in that time."
        draw("Who answered", places, answered, unit="decisions", table=table, zone=zone, empty=nothing)
        speeds = [Series(name, [row.get(key) for row in rows]) for key, name in spans]
        nothing = "No model of yours answered in that time."
        draw("How fast models answered", places, speeds, unit="milliseconds", table=table, zone=zone, empty=nothing)
        write("h2", "Who answered, and why not your model")
        command = self.page.context.facts.command
        LiveTable(
            "By type",
            zone,
            empty=f"No decision came through a gateway: `{command} gateway serve`.",
            row_id="model_type",
            name="stats",
        ).show(table_of(_answered(whole.document or {}), _ANSWERED))
        write("h2", "Agreement of shadows with the baseline")
        agreements = [
            row for answer in compared if isinstance(answer.document, dict) for row in _agreement(answer.document)
        ]
        LiveTable(
            "With its interval",
            zone,
            empty=f"No model was asked as a shadow: `{command} models enable TYPE --mode shadow`.",
            row_id="model",
        ).show(table_of(agreements, _AGREEMENT))


_ANSWERED = (
    Show("model_type", "TYPE", text=spell_model_type),
    Show("source", "BY"),
    Show("count", "N", number=True, text=lambda value: f"{value:,}"),
    Show("p50_ms", "P50 MS", number=True),
    Show("p95_ms", "P95 MS", number=True),
    Show(
        "reasons",
        "WHY",
        text=lambda reasons: ", ".join(f"{count:,} {why}" for why, count in (reasons or {}).items()) or "–",
    ),
)
_AGREEMENT = (
    Show("model_type", "TYPE", text=spell_model_type),
    Show("model", "MODEL"),
    Show("against", "AGAINST"),
    Show("question", "QUESTION"),
    Show("estimate", "FOUND", number=True),
    Show("decisions", "DECISIONS", number=True),
    Show("verdict", "VERDICT"),
)


def _answered(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"model_type": name, "source": source, **part}
        for name, entry in document.get("model_types", {}).items()
        for source, part in entry["by_source"].items()
    ]


def _agreement(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "model_type": document["model_type"],
            "model": document["model"],
            "against": document["against"],
            "question": question["text"],
            "estimate": f"{percent(question['estimate'])} ({percent(question['low'])}–{percent(question['high'])})"
            if question["decisions"]
            else "–",
            "decisions": question["decisions"],
            "verdict": question["verdict"],
        }
        for question in document["questions"]
    ]


def _piece(piece: Mapping[str, Any], begin: str) -> dict[str, Any]:
    """A piece of time: how many each source answered, and how fast the model of each type did; nothing where nothing
    came."""
    found: dict[str, Any] = {"begin": begin}
    for name, entry in piece["types"].items():
        for source, part in entry["by_source"].items():
            found[source] = found.get(source, 0) + part["count"]
            if source == "slot":
                found |= {f"p50 {name}": part["p50_ms"], f"p95 {name}": part["p95_ms"]}
    came = any(source in found for source in _WHO)
    return dict.fromkeys(_WHO, 0 if came else None) | found


def show_decision(look: Mapping[str, Any], page: Page) -> None:
    """A decision as a person judges it: the conversation folded, the message, the answer in its parts."""
    zone = page.look.zone
    about = [spell_model_type(look["model_type"]), look["agent_name"], zone.moment(look["created_at"])]
    by = [look["source"], look["model"], f"{look['latency_ms']:,} ms" if look["latency_ms"] is not None else None]
    spoken = [", ".join(str(part) for part in parts if part) for parts in (about, by)]
    write("p", shown(f"{spoken[0]}; by {spoken[1]}", 600), "quiet")
    label = look["label"] or "none"
    last = look["changes"][0] if look["changes"] else None
    set_by = f", set by {last['by']}, {zone.moment(last['at'])}" if last else ""
    write("p", shown(f"Label: {label}{set_by}", 400), data_part="label")
    if look["talk"]:
        with box("details"):
            write("summary", f"Before: {len(look['talk']):,} lines")
            write("pre", shown("\n".join(look["talk"])), tabindex="0")
    write("h2", "Message")
    write("pre", shown(look["message"]), tabindex="0", data_part="message")
    if look["problem"]:
        write("h2", "Answer, of no use")
        write("p", shown(look["problem"], 600), "bad")
        write("pre", shown(look["output"]), tabindex="0", data_part="answer")
    else:
        write("h2", "Answer")
        facts([(name, shown(str(value), 6000)) for name, value in (look["answer"] or {}).items()])
    if look["corrected_answer"]:
        write("h2", "Corrected")
        facts([(name, shown(str(value), 6000)) for name, value in look["corrected_answer"].items()])
