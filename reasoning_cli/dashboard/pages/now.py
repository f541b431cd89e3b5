"""Now: what runs and costs, what the guard will do, how the gateway does, what happened last, what waits for a yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request
from nicegui import ui

from reasoning_cli.dashboard import wishes
from reasoning_cli.dashboard.frame import BUILT_WITHIN, Context, Page
from reasoning_cli.dashboard.parts import (
    Button,
    LiveTable,
    Show,
    Tiles,
    box,
    button,
    is_under_way,
    rebuild,
    shown,
    table_of,
    write,
)
from reasoning_cli.dashboard.reader import Seen
from reasoning_cli.terminal.units import duration, money, percent
from reasoning_cli.values import spell_model_type

_NEXT = (Show("name", "NAME"), Show("action", "WHAT"), Show("at", "AT"), Show("why", "RULE"), Show("text", "WHY"))
_GOING = ("training", "planned", "exported", "uploaded", "validated")


def register(context: Context) -> None:
    @ui.page("/", response_timeout=BUILT_WITHIN)
    async def now(request: Request) -> None:
        await context.reader.fresh(0.3)
        NowPage(Page(context, request, "/"))


class NowPage:
    """The page in one tab."""

    def __init__(self, page: Page) -> None:
        self.page, self.seen = page, page.context.reader.seen
        zone = page.look.zone
        self.as_of = write("p", "", "quiet", data_part="as-of")
        self.old = box("div", aria_live="polite")
        self.waiting = box("div")
        self.tiles = Tiles()
        with box("div", "columns"):
            with box("div"):
                write("h2", "Models")
                self.models = LiveTable(
                    "Slots, and what else was deployed from here",
                    zone,
                    empty=f"Nothing is known yet: `{page.context.facts.command} models deploy planning` begins.",
                    buttons=None if page.context.read_only else self._buttons,
                    name="status",
                )
                if not page.context.read_only:
                    with box("p"):
                        button("Stop all …", lambda: page.wish(*wishes.stop_all()))
                        button("Budget …", lambda: wishes.ask_budget(page))
                self.off = box("div")
                write("h2", "Gateway")
                self.gateway = box("div")
            with box("div"):
                write("h2", "The guard")
                self.guard = box("div")
                self.next = LiveTable(
                    "What it does next, if nothing changes",
                    zone,
                    empty="No rule reaches what is deployed.",
                    name="outlook",
                )
                write("h2", "Under way")
                self.going = box("div")
                write("h2", "Last events")
                self.events = LiveTable(
                    "The newest first", zone, empty="Nothing was done yet.", row_id="at", name="events"
                )
        self._built: dict[str, object] = {}
        self._before: tuple[datetime, int] | None = None
        self._rate: float | None = None
        page.live(self.refresh)

    def refresh(self) -> None:
        """Show what is known now."""
        self._show_age()
        self._show_tiles()
        if (status := self.seen.get("status")) is not None:
            self.models.show(status.good.table)
        if isinstance(outlook := _document(self.seen.get("outlook")), Mapping):
            self.next.show(table_of(outlook["next"], _NEXT, self.page.look.zone))
        if (events := self.seen.get("events")) is not None:
            self.events.show(events.good.table)
        self._rebuild("guard", self.guard, self._guard_state(), self._show_guard)
        self._rebuild("off", self.off, [row.get("off_why") for row in _rows(self.seen.get("status"))], self._show_off)
        self._rebuild("gateway", self.gateway, self._gateway_state(), self._show_gateway)
        self._rebuild("going", self.going, self._under_way(), self._show_going)
        self._rebuild("waiting", self.waiting, self._waits(), self._show_waiting)

    def _rebuild(self, name: str, place: ui.element, state: Any, show: Any) -> None:
        """Build a part anew where what it shows is another."""
        if name in self._built and self._built[name] == state:
            return
        self._built[name] = state
        rebuild(place, lambda: show(state))

    # --- how old it is ---

    def _show_age(self) -> None:
        reader = self.page.context.reader
        lines = []
        if self.seen:
            newest = self.page.look.zone.moment(max(seen.good.at for seen in self.seen.values()), "%H:%M:%S")
            every = f"looked at every {reader.every_seconds:.0f} seconds"
            self.as_of.set_text(f"As of {newest}, {every}{' while nothing happens' if reader.is_calm else ''}.")
        for name, seen in self.seen.items():
            if name == "gateway" and _no_gateway(seen):
                continue  # shown below as what it is
            if seen.problem is not None:
                age = f", {duration(timedelta(seconds=seen.age_seconds()))} old" if seen.good is not seen.last else ""
                hint = f" ({seen.last.hint})" if seen.last.hint else ""
                lines.append(f"{_NAMES[name]}{age}: {seen.problem}{hint}")
            elif seen.age_seconds() > reader.fresh_seconds:
                lines.append(f"{_NAMES[name]}: {duration(timedelta(seconds=seen.age_seconds()))} old")
        if not self.seen:
            lines.append("Nothing was read yet.")
        if not lines and (unknown := [row["name"] for row in _rows(self.seen.get("status")) if _is_old(row)]):
            lines.append(f"As last seen: {', '.join(unknown)}")
        self._rebuild("old", self.old, tuple(lines), self._show_old)

    def _show_old(self, lines: Sequence[str]) -> None:
        if lines:
            with box("div", "banner problem", data_part="age"):
                for line in lines:
                    write("p", shown(line, 1000))

    # --- figures ---

    def _show_tiles(self) -> None:
        report, gateway, status = (_document(self.seen.get(name)) for name in ("report", "gateway", "status"))
        if isinstance(report, Mapping):
            self._money_tiles(report)
        models = status if isinstance(status, list) else []
        ready = sum(row["ready_replicas"] or 0 for row in models)
        self.tiles.show("Replicas ready", f"{ready:,}", fact="status.sum.ready_replicas", value=ready)
        running = self.seen.get("gateway")
        if running is not None and running.problem is None and isinstance(gateway, Mapping):
            self.tiles.hide("Gateway")
            self._gateway_tiles(gateway, running.good.at)
        elif running is not None:
            self.tiles.hide("Calls", "Baseline errors", "Decisions logged")
            self._before = self._rate = None
            self.tiles.show("Gateway", "none runs", fact="", value=None, style="dim")

    def _money_tiles(self, report: Mapping[str, Any]) -> None:
        budget, total = report["budget"], report["total"]
        rate = budget["burn_cents_per_hour"]
        self.tiles.show(
            "Spending now",
            f"{money(rate)}/h",
            fact="report.budget.burn_cents_per_hour",
            value=rate,
            more="all replicas that may run",
            style="warning" if rate else "",
        )
        spent = total["cost_cents"]
        doubt = total["cost_high_cents"] - total["cost_low_cents"]
        self.tiles.show(
            "This month",
            money(spent),
            fact="report.total.cost_cents",
            value=spent,
            more=f"{money(total['cost_low_cents'])} to {money(total['cost_high_cents'])}" if doubt else "by our ledger",
        )
        limit = budget["limit_cents"]
        if limit is None:
            self.tiles.show("Budget", "none set", fact="report.budget.limit_cents", value=None, style="warning")
            return
        used = budget["used_share"] or 0
        self.tiles.show(
            "Budget",
            money(limit),
            fact="report.budget.limit_cents",
            value=limit,
            more=f"{percent(used)} used",
            style="bad" if used >= 1 else "",
        )
        self.tiles.show(
            "Left",
            money(budget["left_cents"]),
            fact="report.budget.left_cents",
            value=budget["left_cents"],
            more=self._ends(budget),
        )

    def _ends(self, budget: Mapping[str, Any]) -> str:
        if budget["ends_at"] is not None:
            return f"gone at {self.page.look.zone.moment(budget['ends_at'])}"
        lasts = budget["lasts_seconds"]
        return "nothing is being spent" if lasts is None else f"lasts {duration(timedelta(seconds=lasts))}"

    def _gateway_tiles(self, record: Mapping[str, Any], at: datetime) -> None:
        requests = record["requests"]
        if self._before is not None and self._before[0] < at:
            passed = (at - self._before[0]).total_seconds()
            self._rate = max(0, requests - self._before[1]) * 60 / passed
        self._before = at, requests
        rate = "" if self._rate is None else f"{self._rate:,.0f} a minute"
        self.tiles.show("Calls", f"{requests:,}", fact="gateway.requests", value=requests, more=rate)
        errors = sum(record["upstream_errors"].values())
        self.tiles.show(
            "Baseline errors",
            f"{errors:,}",
            fact="gateway.sum.upstream_errors",
            value=errors,
            more=", ".join(f"{kind} {count:,}" for kind, count in record["upstream_errors"].items())
            or "the baseline answers",
            style="bad" if errors else "good",
        )
        stored = record["recording"]["stored"]
        lost = record["recording"]["dropped"] + record["recording"]["unreadable"]
        self.tiles.show(
            "Decisions logged",
            f"{stored:,}",
            fact="gateway.recording.stored",
            value=stored,
            more=f"{lost:,} lost" if lost else "none lost",
        )

    # --- guard ---

    def _guard_state(self) -> Any:
        document = _document(self.seen.get("outlook"))
        guard = document["guard"] if isinstance(document, Mapping) else None
        if guard is None or guard["looked_at"] is None:
            return guard
        ago = datetime.now(UTC) - datetime.fromisoformat(guard["looked_at"])
        return {**guard, "ago": duration(ago)}

    def _show_guard(self, guard: Mapping[str, Any] | None) -> None:
        command = self.page.context.facts.command
        if guard is None or guard["looked_at"] is None:
            write("p", f"▲ None was ever seen; none of this happens until one is: `{command} costs guard`", "warning")
        elif guard["running"] and guard["problem"]:
            text = f"▲ Process {guard['pid']} sees nothing, {guard['ago']} after its last look: {guard['problem']}"
            write("p", shown(text, 400), "warning")
        elif guard["running"]:
            write("p", f"✓ At work, process {guard['pid']}; its last look was {guard['ago']} ago.", "good")
        else:
            write("p", f"▲ None at work; the last look was {guard['ago']} ago: `{command} costs guard`", "warning")

    # --- models ---

    def _buttons(self, row: Mapping[str, Any]) -> list[Button]:
        page, name, model_type = self.page, row["name"], row["model_type"]
        made: list[Button] = []
        if row["state"] in ("READY", "DEGRADED", "SCALING", "PROVISIONING", "PENDING", "FAILED"):
            made.append(("Stop …", lambda: page.wish(*wishes.stop(name))))
        elif row["state"] == "STOPPED":
            made.append(("Start …", lambda: page.wish(*wishes.start(name))))
        if model_type is not None:
            made.append(("Traffic …", lambda: wishes.ask_traffic(page, row)))
        return made

    def _show_off(self, _: object) -> None:
        rows = [row for row in _rows(self.seen.get("status")) if row.get("off_why")]
        if not rows:
            return
        with box("ul", "plain"):
            for row in rows:
                since = self.page.look.zone.moment(row["off_since"])
                write("li", shown(f"{spell_model_type(row['model_type'])}: off since {since}: {row['off_why']}", 400))

    # --- gateway ---

    def _gateway_state(self) -> Any:
        seen = self.seen.get("gateway")
        if seen is None or seen.problem is not None or not isinstance(seen.good.document, Mapping):
            return None
        record = seen.good.document
        slots = {
            name: (slot["mode"], slot["share_percent"], slot["model"], slot["closed"], slot["circuit"])
            for name, slot in record["slots"].items()
        }
        fleet = [_presence(each) for each in record.get("fleet", ())]
        return {"slots": slots, "types": _answered(record), "problem": record["problem"], "fleet": fleet}

    def _show_gateway(self, state: Mapping[str, Any] | None) -> None:
        command = self.page.context.facts.command
        if state is None:
            write("p", f"None answers on its port: `{command} gateway serve`", "quiet")
            return
        if state["problem"]:
            write("p", f"✗ {shown(state['problem'], 400)}", "bad")
        with box("ul", "plain"):
            for name, (mode, share, model, closed, circuit) in state["slots"].items():
                way = f"canary {share} %" if mode == "canary" else mode
                text = closed or f"{way}, {model}" + ("" if circuit == "closed" else f", circuit {circuit}")
                sign = "–" if closed else "✓" if circuit == "closed" else "✗"
                style = "dim" if closed else "good" if circuit == "closed" else "bad"
                write("li", shown(f"{sign} {spell_model_type(name)}: {text}{state['types'].get(name, '')}", 400), style)
        if state["fleet"]:
            write("p", "Who shares this log:")
            with box("ul", "plain", data_part="fleet"):
                for text, style in state["fleet"]:
                    write("li", shown(text, 400), style)

    # --- under way, and waiting ---

    def _under_way(self) -> Any:
        acts = [(act.wish.spoken, None) for act in self.page.context.acts.going.values()]
        ended = [(act.wish.spoken, act.outcome.done if act.outcome else False) for act in self.page.context.acts.ended][
            :3
        ]
        trained = [row for row in _rows(self.seen.get("trained")) if row.get("stage") in _GOING]
        promotions = [row for row in _rows(self.seen.get("promotions")) if is_under_way(row)]
        loops = [row for row in _rows(self.seen.get("loops")) if row["step"] not in ("resting", "waiting")]
        return acts, ended, trained, promotions, loops

    def _show_going(self, state: Any) -> None:
        acts, ended, trained, promotions, loops = state
        with box("ul", "plain"):
            for spoken, _ in acts:
                write("li", f"◦ {spoken} …", "going")
            for row in trained:
                name = spell_model_type(row["model_type"] or "–")
                write("li", shown(f"◦ training run {row['run']} for {name}: {row['state']}", 300), "going")
            for row in promotions:
                write("li", shown(f"◦ {row['model']} into {spell_model_type(row['model_type'])}: {row['state']}", 300))
            for row in loops:
                write("li", shown(f"◦ {spell_model_type(row['type'])}: {row['line']}", 300))
            for spoken, done in ended:
                write("li", f"{'✓' if done else '✗'} {spoken}", "good" if done else "bad")
            if not any((acts, ended, trained, promotions, loops)):
                write("li", "Nothing is trained, promoted or done from here now.", "quiet")

    def _waits(self) -> Any:
        return [(row["type"], row["line"]) for row in _rows(self.seen.get("loops")) if row["step"] == "waiting"]

    def _show_waiting(self, waits: Sequence[tuple[str, str]]) -> None:
        for model_type, line in waits:
            with box("div", "banner", data_part="waits"):
                write("span", shown(f"Waits for your yes: {spell_model_type(model_type)}: {line} ", 600))
                if not self.page.context.read_only:
                    button("Approve …", lambda name=model_type: self.page.wish(*wishes.promote(name)), main=True)
                    button("Refuse …", lambda name=model_type: self.page.wish(*wishes.loop_off(name)))


_NAMES = {
    "status": "Models",
    "report": "Costs",
    "outlook": "The guard",
    "gateway": "Gateway",
    "events": "Events",
    "trained": "Trainings",
    "loops": "Training loops",
    "promotions": "Promotions",
}


def _document(seen: Seen | None) -> Any:
    return None if seen is None else seen.good.document


def _rows(seen: Seen | None) -> Sequence[Mapping[str, Any]]:
    document = _document(seen)
    return document if isinstance(document, list) else []


def _is_old(row: Mapping[str, Any]) -> bool:
    return False if row["seen_at"] is None else bool(row.get("not_known"))


def _presence(record: Mapping[str, Any]) -> tuple[str, str]:
    """A gateway or guard of the hosts that share a log, and how good it is that it is so."""
    does = {None: "at work", True: "acts", False: "stands by"}[record["acts"]]
    state = "gone" if record["gone"] else does
    text = f"{record['kind']} on {record['host']} (process {record['pid']}), {record['version']}: {state}"
    return (f"✗ {text}", "bad") if record["gone"] else (f"✓ {text}", "good")


def _no_gateway(seen: Seen) -> bool:
    return (seen.problem or "").startswith("no gateway answers")


def _answered(record: Mapping[str, Any]) -> dict[str, str]:
    """Who answered the decisions of each type so far, in words."""
    found = {}
    for name, entry in record["model_types"].items():
        parts = [f"{source} {part['count']:,}" for source, part in entry["by_source"].items()]
        agreed = "" if entry["agreement"] is None else f"; agrees in {percent(entry['agreement'])}"
        found[name] = f" ({', '.join(parts)}{agreed})" if parts else ""
    return found
