"""Money: what was spent, on which day and for what, against the budget; when models ran; when they pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

from fastapi import Request
from nicegui import ui

from reasoning_cli.dashboard import wishes
from reasoning_cli.dashboard.charts import Limit, Series, draw
from reasoning_cli.dashboard.frame import BUILT_WITHIN, Context, Page
from reasoning_cli.dashboard.parts import LiveTable, Show, Tiles, box, button, rebuild, shown, table_of, write
from reasoning_cli.terminal.units import counted, money, percent
from reasoning_cli.values import spell_model_type

_STATES = ("ready", "stopped", "stopping", "failed", "degraded", "deleted")


def cents(value: Any) -> str:
    return "–" if value is None else money(value)


def _count(value: Any) -> str:
    return "–" if value is None else f"{value:,}"


def _day(at: str, form: str) -> str:
    """A day of the bill: the ledger's days begin where this machine is, wherever the viewer is."""
    return datetime.fromisoformat(at).astimezone().strftime(form)


_DAYS = (
    Show("begin", "DAY", text=lambda at: _day(at, "%Y-%m-%d")),
    Show("cost_cents", "COST", number=True, text=cents),
    Show("cost_low_cents", "AT LEAST", number=True, text=cents),
    Show("cost_high_cents", "AT MOST", number=True, text=cents),
    Show("decisions", "DECISIONS", number=True, text=_count),
)
_STATE_CHANGES = (
    Show("at", "AT"),
    Show("subject", "MODEL"),
    Show("action", "IS"),
    Show("detail", "WHY", text=lambda detail: str((detail or {}).get("why", "–"))),
)
_BREAKEVEN = (
    Show("model_type", "TYPE", text=spell_model_type),
    Show("running", "RUNS", text=lambda value: "yes" if value else "no"),
    Show("cents_per_hour", "$/H", number=True, text=cents),
    Show("decisions_last_day", "DECISIONS OF A DAY", number=True, text=_count),
    Show("original_cents_per_1000_decisions", "BASELINE PER 1,000", number=True, text=cents),
    Show("cents_per_1000_decisions", "OWN PER 1,000", number=True, text=cents),
    Show("pays_from_decisions_per_hour", "PAYS FROM AN HOUR", number=True, text=_count),
    Show("saved_cents_per_hour", "SAVES AN HOUR", number=True, text=cents),
    Show("busy_hours", "BUSY HOURS"),
)
_OF = {"month": " a month", "day": " a day", "total": " in total"}
_HOURS = (Show("hour", "HOUR"), Show("decisions", "DECISIONS AN HOUR", number=True, text=lambda value: f"{value:,.1f}"))
_RECONCILED = (
    Show("date", "DAY (UTC)"),
    Show("ledger_cents", "LEDGER", number=True, text=cents),
    Show("billed_cents", "BILL", number=True, text=cents),
    Show("difference_cents", "DIFFERENCE", number=True, text=cents),
)


def register(context: Context) -> None:
    @ui.page("/money", response_timeout=BUILT_WITHIN)
    async def money_page(request: Request) -> None:
        page = Page(context, request, "/money")
        await MoneyPage(page).build()


class MoneyPage:
    """The page in one tab: read when it is opened, and when somebody asks."""

    def __init__(self, page: Page) -> None:
        self.page = page
        with box("p"):
            button("Look again", self.build)
            if not page.context.read_only:
                button("Budget or cap …", lambda: wishes.ask_budget(page))
        self.tiles = Tiles()
        self.place = box("div")
        self._show_bill()
        page.refresh = self.build

    async def build(self) -> None:
        """Read the ledger anew, and show it."""
        ask = self.page.context.ask
        days = await ask("costs", "report", "--offline", "--by", "day")
        models = await ask("costs", "report", "--offline")
        hours = await ask("costs", "report", "--offline", "--by", "hour", "--since", "7d")
        compared = await ask("costs", "compare")
        events = await ask("costs", "events", "--limit", "500")
        if days.problem is not None or days.document is None:
            self.page.say("\n".join(filter(None, (days.problem, days.hint))), good=False)
            return
        self._show_tiles(days.document)
        changes = [event for event in events.document or [] if event["action"] in _STATES]

        def show() -> None:
            self._show_days(days.document)
            self._show_models(models.document)
            self._show_states(changes)
            self._show_breakeven(compared.document or [], (hours.document or {}).get("lines", []))

        rebuild(self.place, show)

    def _show_tiles(self, report: Mapping[str, Any]) -> None:
        total, budget = report["total"], report["budget"]
        zone = self.page.look.zone
        self.tiles.show(
            "This month",
            money(total["cost_cents"]),
            fact="days.total.cost_cents",
            value=total["cost_cents"],
            more=f"between {money(total['cost_low_cents'])} and {money(total['cost_high_cents'])}"
            if total["cost_low_cents"] != total["cost_high_cents"]
            else "by our ledger",
        )
        limit = budget["limit_cents"]
        self.tiles.show(
            "Budget",
            cents(limit) if limit is not None else "none set",
            fact="days.budget.limit_cents",
            value=limit,
            more=f"{percent(budget['used_share'] or 0)} used" if limit is not None else "",
        )
        ends = zone.moment(budget["ends_at"]) if budget["ends_at"] else "not in this period at this rate"
        rate = budget["rate_cents_per_hour"]
        self.tiles.show(
            "Spending now",
            f"{money(rate)}/h",
            fact="days.budget.rate_cents_per_hour",
            value=rate,
            more=f"the budget ends: {ends}" if limit is not None else "",
        )
        unsettled = report["unsettled"]
        if unsettled["rounding_cents"]:
            self.tiles.show(
                "Not settled",
                f"up to {money(unsettled['rounding_cents'])} more",
                fact="days.unsettled.rounding_cents",
                value=unsettled["rounding_cents"],
                more=f"how a begun minute is billed, {counted(unsettled['starts'], 'start')}",
            )

    def _show_days(self, report: Mapping[str, Any]) -> None:
        lines, zone = report["lines"], self.page.look.zone
        spent = [line["cost_cents"] / 100 for line in lines]
        limit = report["budget"]["limit_cents"]
        draw(
            "Spent by day",
            [_day(line["begin"], "%b %d") for line in lines],
            [Series("of the day", spent, kind="bar"), Series("since the month began", list(accumulate(spent)))],
            unit="dollars",
            limit=None
            if limit is None
            else Limit(f"budget {money(limit)}{_OF[report['budget']['period']]}", limit / 100),
            table=table_of(lines, _DAYS),
            zone=zone,
            says=f"{len(lines)} days, {money(report['total']['cost_cents'])} together",
        )

    def _show_models(self, report: Mapping[str, Any] | None) -> None:
        write("h2", "By model and training")
        rows = [*(report or {}).get("models", []), *(report or {}).get("fine_tunes", [])]
        columns = (
            Show("name", "NAME"),
            Show("state", "STATE"),
            Show("model", "MODEL"),
            Show("price_cents_per_hour", "$/H", number=True, text=cents),
            Show("ready_seconds", "HOURS", number=True, text=lambda value: f"{(value or 0) / 3600:,.1f}"),
            Show("cost_cents", "COST", number=True, text=cents),
            Show("decisions", "DECISIONS", number=True, text=_count),
            Show("cents_per_1000_decisions", "PER 1,000", number=True, text=cents),
        )
        command = self.page.context.facts.command
        LiveTable(
            "This month", self.page.look.zone, empty=f"Nothing was deployed this month: `{command} models deploy TYPE`."
        ).show(table_of(rows, columns, self.page.look.zone))

    def _show_states(self, changes: Sequence[Mapping[str, Any]]) -> None:
        """When each model was ready: a line where it was, nothing where it was not."""
        zone = self.page.look.zone
        ordered = sorted(changes, key=lambda event: event["at"])
        names = list(dict.fromkeys(event["subject"] for event in ordered))[:6]
        ready: dict[str, bool] = {}
        values: dict[str, list[float | None]] = {name: [] for name in names}
        for event in ordered:
            if event["subject"] in values:
                ready[event["subject"]] = event["action"] in ("ready", "degraded")
            for place, name in enumerate(names):
                values[name].append(float(place) if ready.get(name) else None)
        draw(
            "Ready and stopped",
            [zone.moment(event["at"], "%b %d %H:%M") for event in ordered],
            [Series(name, values[name], step=True) for name in names],
            unit="model",
            table=table_of(changes, _STATE_CHANGES, zone),
            zone=zone,
            levels=names,
            empty="No model was ready yet: `reasoning models deploy planning` begins.",
            says="a line stands where a model was ready, and none where it was not",
        )

    def _show_breakeven(self, compared: Sequence[Mapping[str, Any]], hours: Sequence[Mapping[str, Any]]) -> None:
        zone = self.page.look.zone
        sums, counts = [0.0] * 24, [0] * 24
        for line in hours:
            hour = int(zone.moment(line["begin"], "%H"))
            sums[hour] += line["decisions"] or 0
            counts[hour] += 1
        means = [total / count if count else None for total, count in zip(sums, counts, strict=True)]
        pays = [row["pays_from_decisions_per_hour"] for row in compared if row["pays_from_decisions_per_hour"]]
        rows = [{"hour": f"{hour:02d}:00", "decisions": mean or 0.0} for hour, mean in enumerate(means)]
        draw(
            "When a model pays, by hour of the day",
            [f"{hour:02d}" for hour in range(24)],
            [Series("decisions an hour", means, kind="bar")],
            unit="decisions an hour",
            limit=Limit(f"pays from {min(pays):,}", float(min(pays))) if pays else None,
            table=table_of(rows, _HOURS),
            zone=zone,
            across="hour of the day, in your zone",
            below="The mean of seven days, of decisions that models of yours answered.",
            empty="Models of yours answered no decision in the last seven days.",
        )
        LiveTable("Break-even of each type", zone, empty="Nothing to compare yet.", row_id="model_type").show(
            table_of(compared, _BREAKEVEN, zone)
        )

    def _show_bill(self) -> None:
        write("h2", "Ledger and bill")
        write("p", "Together's own bill is asked for when you want it.", "quiet")
        with box("p"):
            button("Compare with Together's bill", self._reconcile)
        self.bill = box("div")

    async def _reconcile(self) -> None:
        answer = await self.page.context.ask("costs", "reconcile")
        document = answer.document or {}

        def show() -> None:
            if answer.problem is not None:
                write("p", shown(f"{answer.problem}. {answer.hint or ''}", 1000), "bad")
                return
            for note in answer.notes:
                write("p", shown(note, 500), "quiet")
            total = document.get("total", {})
            write(
                "p",
                f"{document.get('month')}: ledger {cents(total.get('ledger_cents'))}, "
                f"bill {cents(total.get('billed_cents'))}.",
            )
            LiveTable("Ledger and bill by day", self.page.look.zone, empty="Neither has anything.", row_id="date").show(
                table_of(document.get("days", []), _RECONCILED)
            )

        rebuild(self.bill, show)
