"""Train: what was trained, how models did side by side, and how far each has come into its slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from nicegui import ui

from reasoning_cli.dashboard import wishes
from reasoning_cli.dashboard.charts import Series, draw
from reasoning_cli.dashboard.frame import BUILT_WITHIN, Context, Page
from reasoning_cli.dashboard.parts import (
    LiveTable,
    Show,
    box,
    button,
    facts,
    is_under_way,
    rebuild,
    shown,
    table_of,
    write,
)
from reasoning_cli.dashboard.program import Answer
from reasoning_cli.terminal.units import money, percent
from reasoning_cli.values import spell_model_type

_PASSED = {True: "✓", False: "✗", None: "–"}
_GATE = (
    Show("passed", "", text=lambda value: _PASSED[value]),
    Show("text", "RULE"),
    Show("wanted", "WANTED"),
    Show("found", "FOUND"),
)


def _loss(value: Any) -> str:
    return "–" if value is None else f"{value:,.4f}"


_MEASURED = (
    Show("step", "STEP", number=True),
    Show("epoch", "EPOCH", number=True, text=lambda value: "–" if value is None else f"{value:,.2f}"),
    Show("train_loss", "LOSS", number=True, text=_loss),
    Show("eval_loss", "VALIDATION", number=True, text=_loss),
)


def register(context: Context) -> None:
    @ui.page("/train", response_timeout=BUILT_WITHIN)
    async def train_page(request: Request) -> None:
        await TrainPage(Page(context, request, "/train")).build()


class TrainPage:
    """The page in one tab: read when it is opened, and when somebody asks. `newest` is the last promotion of each type:
    what goes back is that alone, so no other row offers it."""

    def __init__(self, page: Page) -> None:
        self.page, zone, command = page, page.look.zone, page.context.facts.command
        self.newest: dict[str, int] = {}
        with box("p"):
            button("Look again", self.build)
        write("h2", "Runs")
        self.runs = LiveTable(
            "Every training, the newest first",
            zone,
            empty=f"Nothing was trained yet: `{command} train init` says what to begin with.",
            buttons=lambda record: [("Show", lambda: self.show_run(str(record["run"] or record["job"])))],
            row_id="job",
            name="trained",
        )
        self.run = box("div")
        write("h2", "Loops")
        self.loops = LiveTable(
            "Types that train themselves",
            zone,
            empty=f"Nothing trains itself: `{command} train auto TYPE` sets that up.",
            buttons=None if page.context.read_only else self._loop_buttons,
            row_id="type",
            name="loops",
        )
        write("h2", "Evaluations")
        self.evals = LiveTable(
            "Each of them, the newest first",
            zone,
            empty=f"Nothing was evaluated yet: `{command} train eval TYPE`.",
            buttons=lambda record: [("Show", lambda: self.show_evaluation(record))],
            row_id="evaluation",
            name="evals",
        )
        self.evaluation = box("div")
        write("h2", "Models in their slots")
        self.history = LiveTable(
            "Which model answered when, and why it came or went",
            zone,
            empty=f"No model of yours has answered yet: `{command} train promote TYPE` lets one in.",
            buttons=self._history_buttons,
            row_id="deployment_key",
            name="history",
        )
        self.promotion = box("div")
        page.refresh = self.build

    async def build(self) -> None:
        """Read anew."""
        ask = self.page.context.ask
        for table, words in (
            (self.runs, ("train", "list", "--offline")),
            (self.loops, ("train", "auto")),
            (self.evals, ("train", "evals")),
            (self.history, ("train", "history")),
        ):
            answer = await ask(*words)
            if answer.problem is not None:
                self.page.say("\n".join(filter(None, (answer.problem, answer.hint))), good=False)
                continue
            if table is self.history:
                self.newest = newest_promotions(answer.document or [])
            table.show(answer.table)

    def _loop_buttons(self, row: Mapping[str, Any]) -> list[Any]:
        name = row["type"]
        made = [("Switch off …", lambda: self.page.wish(*wishes.loop_off(name)))]
        if row["step"] == "waiting":
            made.insert(0, ("Approve …", lambda: self.page.wish(*wishes.promote(name))))
        return made

    def _history_buttons(self, row: Mapping[str, Any]) -> list[Any]:
        made: list[Any] = []
        if row["gate"]:
            made.append(("Gate", lambda: self._show_gate(row)))
        if self.page.context.read_only or row["promotion"] != self.newest.get(row["model_type"]):
            return made
        if row["state"].startswith("promoted"):
            made.append(("Roll back …", lambda: self.page.wish(*wishes.roll_back(row["model_type"]))))
        if is_under_way(row):
            made.append(("Refuse, go back …", lambda: self.page.wish(*wishes.roll_back(row["model_type"]))))
        return made

    def _show_gate(self, row: Mapping[str, Any]) -> None:
        """What was held against what, and why it stays or goes."""

        def build() -> None:
            write("h2", f"The gate of {row['model']}")
            if row["why"]:
                write("p", shown(f"Why: {row['why']}", 800), "warning")
            if row["forced_by"]:
                write("p", shown(f"Went on against the gate: {row['forced_by']}", 200), "warning")
            rules = [each for each in row["gate"] if isinstance(each, Mapping)]
            LiveTable("Its rules", self.page.look.zone, empty="No rules.", row_id="key").show(table_of(rules, _GATE))

        rebuild(self.promotion, build)

    async def show_run(self, name: str) -> None:
        """A run whole: what it was trained on, with what, at which price, and what came of it."""
        answer = await self.page.context.describe("train", "show", name)
        measured = (await self.page.context.ask("train", "events", name, "--metrics")).document or []

        def build() -> None:
            self._notes(f"Run {name}", answer)
            if measured:
                self._draw_loss(measured)

        rebuild(self.run, build)

    def _draw_loss(self, measured: Sequence[Mapping[str, Any]]) -> None:
        """The loss by step; of the validation file where that was measured."""
        both = [("training", "train_loss"), ("validation", "eval_loss")]
        series = [Series(label, [row[key] for row in measured]) for label, key in both]
        draw(
            "Loss",
            [str(number if row["step"] is None else row["step"]) for number, row in enumerate(measured, start=1)],
            [each for each in series if any(value is not None for value in each.values)],
            unit="loss",
            table=table_of(measured, _MEASURED),
            zone=self.page.look.zone,
            across="step" if measured[0]["step"] is not None else "as the trainer said it, one after the other",
            says=f"{len(measured):,} measurements, the last {_loss(measured[-1]['train_loss'])}",
        )

    def _notes(self, title: str, answer: Answer) -> None:
        write("h2", title)
        if answer.problem is not None:
            write("p", shown(answer.problem, 600), "bad")
        notes = [self.page.look.zone.respelled(note).partition(": ") for note in answer.notes]
        facts([(name, text) for name, _, text in notes])

    async def show_evaluation(self, row: Mapping[str, Any]) -> None:
        """Models side by side, each figure with its interval, and what differs for certain."""
        answer = await self.page.context.ask(
            "train", "eval", spell_model_type(row["model_type"]), "--show", str(row["evaluation"])
        )
        document = answer.document

        def build() -> None:
            write("h2", f"Evaluation {row['evaluation']}, {spell_model_type(row['model_type'])}")
            if not isinstance(document, Mapping):
                write("p", shown(answer.problem or "It is not finished.", 600), "bad")
                return
            names = [model["name"] for model in document["models"]]
            columns = (Show("figure", "FIGURE"), *(Show(name, name.upper(), number=True) for name in names))
            LiveTable("Side by side, with intervals", self.page.look.zone, empty="–", row_id="figure").show(
                table_of(_side_by_side(document), columns)
            )
            with box("ul", "plain"):
                for warning in document["warnings"]:
                    write("li", shown(f"▲ {warning}", 400), "warning")
                for each in document["differences"]:
                    write("li", shown(_difference(each), 400))

        rebuild(self.evaluation, build)


def newest_promotions(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The number of the last promotion of each type in `train history`."""
    found: dict[str, int] = {}
    for row in rows:
        if row["promotion"] is not None:
            found[row["model_type"]] = max(row["promotion"], found.get(row["model_type"], 0))
    return found


def _side_by_side(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a figure, a column a model."""
    names: list[str] = ["valid"]
    for model in document["models"]:
        names += [name for name in model["metrics"] if name not in names]
    rows = [
        {
            "figure": name.replace("_", " "),
            **{model["name"]: _share(model, name) for model in document["models"]},
        }
        for name in names
    ]
    for key, label in (("latency_p50_ms", "p50, ms"), ("latency_p95_ms", "p95, ms")):
        rows.append(
            {
                "figure": label,
                **{
                    model["name"]: "–"
                    if not (found := model[key])
                    else f"{found['value']:,.0f} ({found['low']:,.0f}–{found['high']:,.0f})"
                    for model in document["models"]
                },
            }
        )
    rows.append(
        {
            "figure": "cost of 1,000",
            **{
                model["name"]: "–" if not (cost := model["cost_cents_per_1000"]) else money(round(cost["value"]))
                for model in document["models"]
            },
        }
    )
    return rows


def _share(model: Mapping[str, Any], name: str) -> str:
    found = model["valid"] if name == "valid" else model["metrics"].get(name)
    if found is None:
        return "–"
    if name in ("words_count", "mistake_cost"):
        return f"{found['value']:,.2f}"
    return f"{percent(found['value'])} ({percent(found['low'])}–{percent(found['high'])})"


def _difference(each: Mapping[str, Any]) -> str:
    figure = each["figure"]
    points = f"{figure['value'] * 100:+.1f} points ({figure['low'] * 100:+.1f} to {figure['high'] * 100:+.1f})"
    return f"{each['one']} beside {each['other']}, {each['metric'].replace('_', ' ')}: {points}: {each['verdict']}"
