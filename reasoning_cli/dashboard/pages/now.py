"""Now: what runs and costs, what the guard will do, how the gateway does, what happened last, what waits for a yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
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
    Zone,
    box,
    button,
    is_under_way,
    rebuild,
    shown,
    table_of,
    write,
)
from reasoning_cli.dashboard.reader import Seen
from reasoning_cli.terminal.units import counted, duration, money, percent
from reasoning_cli.values import spell_model_type

_NEXT = (Show("name", "NAME"), Show("action", "WHAT"), Show("at", "AT"), Show("why", "RULE"), Show("text", "WHY"))
_PERIODS = {"month": "This month", "day": "Today", "total": "In total"}
# Where in a command's JSON the numbers of a line stand (empty where it has none), the line, and its style.
Line = tuple[str, str, str]
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
        self.off, self.by_token = box("div"), box("div")
        with box("div", "columns"):
            with box("div"):
                write("h2", "The guard")
                self.guard = box("div")
                self.next = LiveTable(
                    "What it does next, if nothing changes",
                    zone,
                    empty="No rule reaches what is deployed.",
                    name="outlook",
                )
                write("h2", "Gateway")
                self.gateway = box("div")
                write("h2", "Under way")
                self.going = box("div")
            with box("div"):
                write("h2", "Last events")
                self.events = LiveTable(
                    "The newest first", zone, empty="Nothing was done yet.", row_id="at", name="events"
                )
        self._built: dict[str, object] = {}
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
        models, report = _rows(self.seen.get("status")), _document(self.seen.get("report"))
        self._rebuild("guard", self.guard, self._guard_state(), self._show_guard)
        self._show_lines("off", self.off, [self._off(row) for row in models if row["off_why"]])
        by_token = report["by_token"] if isinstance(report, Mapping) else []
        self._show_lines("by token", self.by_token, [_tokens(number, cost) for number, cost in enumerate(by_token)])
        self._rebuild("gateway", self.gateway, self._gateway_state(), self._show_gateway)
        self._show_lines("going", self.going, self._under_way())
        self._rebuild("waiting", self.waiting, self._waits(), self._show_waiting)

    def _rebuild(self, name: str, place: ui.element, state: Any, show: Any) -> None:
        """Build a part anew where what it shows is another, or is shown in another zone."""
        state_here = state, self.page.look.zone.name
        if self._built.get(name) == state_here:
            return
        self._built[name] = state_here
        rebuild(place, lambda: show(state))

    def _show_lines(self, name: str, place: ui.element, lines: Sequence[Line]) -> None:
        self._rebuild(name, place, lines, _list)

    # --- how old it is ---

    def _show_age(self) -> None:
        reader, look = self.page.context.reader, self.page.look
        as_of, lines = ages(self.seen, reader.fresh_seconds, look.zone, sandbox=self.page.context.facts.sandbox)
        if as_of is not None:
            at, every = look.zone.moment(as_of, "%H:%M:%S"), f"looked at every {reader.every_seconds:.0f} seconds"
            self.as_of.set_text(f"As of {at}, {every}{' while nothing happens' if reader.is_calm else ''}.")
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
            self._gateway_tiles(gateway)
        elif running is not None:
            self.tiles.hide("Calls", "Baseline errors", "Decisions logged")
            self.tiles.show("Gateway", "none runs", fact="", value=None, style="dim")

    def _money_tiles(self, report: Mapping[str, Any]) -> None:
        budget = report["budget"]
        self._rate_tile(budget)
        used, low, high = (budget[name] for name in ("used_cents", "used_low_cents", "used_high_cents"))
        for period, name in _PERIODS.items():
            if period != budget["period"]:
                self.tiles.hide(name)
        self.tiles.show(
            _PERIODS[budget["period"]],
            money(used),
            fact="report.budget.used_cents",
            value=used,
            more=f"{money(low)} to {money(high)}" if low != high else "by our ledger",
            more_fact="report.budget.doubt",
        )
        limit = budget["limit_cents"]
        if limit is None:
            self.tiles.hide("Left")
            self.tiles.show("Budget", "none set", fact="report.budget.limit_cents", value=None, style="warning")
            return
        share = budget["used_share"] or 0
        self.tiles.show(
            "Budget",
            money(limit),
            fact="report.budget.limit_cents",
            value=limit,
            more=f"{percent(share)} used",
            more_fact="report.budget.used_share",
            style="bad" if share >= 1 else "",
        )
        self.tiles.show(
            "Left",
            money(budget["left_cents"]),
            fact="report.budget.left_cents",
            value=budget["left_cents"],
            more=self._ends(budget),
            more_fact="report.budget.ends",
        )

    def _rate_tile(self, budget: Mapping[str, Any]) -> None:
        rate, cap, by_token = (
            budget[name] for name in ("rate_cents_per_hour", "cap_cents_per_hour", "token_cents_last_hour")
        )
        what = "all replicas that may run"
        if Decimal(by_token):
            replicas = money(budget["burn_cents_per_hour"])
            what = f"{replicas} for replicas, {money(Decimal(by_token))} by the token"
        limit = "no cap" if cap is None else f"cap {money(cap)}/h{' is reached' if budget['is_capped'] else ''}"
        self.tiles.show(
            "Spending now",
            f"{money(rate)}/h",
            fact="report.budget.rate_cents_per_hour",
            value=rate,
            more=f"{what}; {limit}",
            more_fact="report.budget.rate",
            style="bad" if budget["is_capped"] else "warning" if rate else "",
        )

    def _ends(self, budget: Mapping[str, Any]) -> str:
        if budget["ends_at"] is not None:
            return f"gone at {self.page.look.zone.moment(budget['ends_at'])}"
        lasts = budget["lasts_seconds"]
        return "nothing is being spent" if lasts is None else f"lasts {duration(timedelta(seconds=lasts))}"

    def _gateway_tiles(self, record: Mapping[str, Any]) -> None:
        self.tiles.show(
            "Calls",
            f"{record['requests']:,}",
            fact="gateway.requests",
            value=record["requests"],
            more="" if (rate := record.get("requests_last_minute")) is None else f"{rate:,} in the last minute",
            more_fact="gateway.requests_last_minute",
        )
        errors, hosts = record["upstream_errors"], _hosts(record)
        count, kinds = sum(errors.values()), ", ".join(f"{kind} {number:,}" for kind, number in errors.items())
        away = any(not host["reachable"] for host in hosts)
        self.tiles.show(
            "Baseline errors",
            f"{count:,}",
            fact="gateway.sum.upstream_errors",
            value=count,
            more=shown(kinds or "none since it began", 300),
            more_fact="gateway.upstream_errors",
            style="bad" if away else "warning" if count else "good" if hosts else "",
        )
        stored = record["recording"]["stored"]
        lost = record["recording"]["dropped"] + record["recording"]["unreadable"]
        self.tiles.show(
            "Decisions logged",
            f"{stored:,}",
            fact="gateway.recording.stored",
            value=stored,
            more=f"{lost:,} lost" if lost else "none lost",
            more_fact="gateway.recording.lost",
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
            write("p", shown(text, 400), "warning", data_fact="outlook.guard")
        elif guard["running"]:
            write(
                "p",
                f"✓ At work, process {guard['pid']}; its last look was {guard['ago']} ago.",
                "good",
                data_fact="outlook.guard",
            )
        else:
            text = f"▲ None at work; the last look was {guard['ago']} ago: `{command} costs guard`"
            write("p", text, "warning", data_fact="outlook.guard")

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

    def _off(self, row: Mapping[str, Any]) -> Line:
        since = self.page.look.zone.moment(row["off_since"])
        text = f"{spell_model_type(row['model_type'])}: off since {since}: {row['off_why']}"
        return f"status.{row['name']}.off", text, ""

    # --- gateway ---

    def _gateway_state(self) -> tuple[str | None, Sequence[Line], Sequence[Line]] | None:
        """What is wrong with it, its slots and the baseline, and who shares its log; None where none runs."""
        seen = self.seen.get("gateway")
        if seen is None or seen.problem is not None or not isinstance(seen.good.document, Mapping):
            return None
        record = seen.good.document
        slots = [line for name, slot in record["slots"].items() for line in _slot_lines(name, slot, record)]
        slots += [self._baseline(number, each) for number, each in enumerate(_hosts(record))]
        fleet = [_presence(number, each) for number, each in enumerate(record.get("fleet", ()))]
        return record["problem"], slots, fleet

    def _baseline(self, number: int, host: Mapping[str, Any]) -> Line:
        """An original provider, and whether it answered when it was asked last."""
        at = self.page.look.zone.moment(host["answered_at"] if host["reachable"] else host["failed_at"])
        said = f"answered at {at}" if host["reachable"] else f"did not answer at {at}: {host['failure']}"
        text = f"{'✓' if host['reachable'] else '✗'} the baseline, {host['host']}, {said}"
        return f"gateway.baseline.{number}", text, "good" if host["reachable"] else "bad"

    def _show_gateway(self, state: tuple[str | None, Sequence[Line], Sequence[Line]] | None) -> None:
        if state is None:
            write("p", f"None answers on its port: `{self.page.context.facts.command} gateway serve`", "quiet")
            return
        problem, slots, fleet = state
        if problem:
            write("p", f"✗ {shown(problem, 400)}", "bad", data_fact="gateway.problem")
        _list(slots)
        if fleet:
            write("p", "Who shares this log:")
            with box("div", data_part="fleet"):
                _list(fleet)

    # --- under way, and waiting ---

    def _under_way(self) -> list[Line]:
        acts = self.page.context.acts
        lines: list[Line] = [("acts", f"◦ {act.wish.spoken} …", "going") for act in acts.going.values()]
        for row in _rows(self.seen.get("trained")):
            if row["stage"] in _GOING:
                name = spell_model_type(row["model_type"] or "–")
                fact = f"trained.{row['run']}"
                lines.append(
                    (fact, f"◦ training run {row['run']} for {name}: {row['state'].replace('_', ' ')}", "going")
                )
        for row in filter(is_under_way, _rows(self.seen.get("promotions"))):
            text = f"◦ {row['model']} into {spell_model_type(row['model_type'])}: {row['state']}"
            lines.append((f"promotions.{row['promotion']}", text, ""))
        for row in _rows(self.seen.get("loops")):
            if row["step"] not in ("resting", "waiting"):
                lines.append((f"loops.{row['type']}", f"◦ {spell_model_type(row['type'])}: {row['line']}", ""))
        for act in list(acts.ended)[:3]:
            done = act.outcome is not None and act.outcome.done
            lines.append(("acts", f"{'✓' if done else '✗'} {act.wish.spoken}", "good" if done else "bad"))
        return lines or [("", "Nothing is trained, promoted or done from here now.", "quiet")]

    def _waits(self) -> Any:
        return [(row["type"], row["line"]) for row in _rows(self.seen.get("loops")) if row["step"] == "waiting"]

    def _show_waiting(self, waits: Sequence[tuple[str, str]]) -> None:
        for model_type, line in waits:
            with box("div", "banner", data_part="waits", data_fact=f"loops.{model_type}"):
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


def ages(
    seen: Mapping[str, Seen], fresh_seconds: float, zone: Zone, *, sandbox: bool
) -> tuple[datetime | None, list[str]]:
    """Of when all is that is shown, but for what is older than `fresh_seconds` or has a problem: a line for each of
    those."""
    lines, fresh = [], []
    for name, each in seen.items():
        if name == "gateway" and _no_gateway(each):
            continue  # shown as what it is
        old = f"{duration(timedelta(seconds=each.age_seconds()))} old"
        if each.problem is not None:
            hint = f" ({each.last.hint})" if each.last.hint else ""
            lines.append(f"{_NAMES[name]}{f', {old}' if each.good is not each.last else ''}: {each.problem}{hint}")
        elif each.age_seconds() > fresh_seconds:
            lines.append(f"{_NAMES[name]}: {old}")
        else:
            fresh.append(each.good.at)
    if not seen:
        lines.append("Nothing was read yet.")
    if unknown := [row["seen_at"] for row in _rows(seen.get("status")) if not row["is_known"]]:
        at = max(map(datetime.fromisoformat, unknown))
        text = f"Models, costs and what the guard does next are as last seen at {zone.moment(at)}"
        # The sandbox's clock is not ours.
        lines.append(text if sandbox else f"{text}, {zone.ago(at, datetime.now(UTC))}")
    return min(fresh, default=None), lines


def _document(seen: Seen | None) -> Any:
    return None if seen is None else seen.good.document


def _rows(seen: Seen | None) -> Sequence[Mapping[str, Any]]:
    document = _document(seen)
    return document if isinstance(document, list) else []


def _list(lines: Sequence[Line]) -> None:
    if not lines:
        return
    with box("ul", "plain"):
        for fact, text, style in lines:
            item = write("li", shown(text, 400), style)
            if fact:
                item.props["data-fact"] = fact


def _tokens(number: int, cost: Mapping[str, Any]) -> Line:
    """What a slot that is paid for by the token took this month, and what that cost."""
    low, high = cost["cost_low_cents"], cost["cost_high_cents"]
    if low is None:
        price = "no price is known, and nothing of it is in any sum"
    else:
        price = f"{money(Decimal(low))}{'' if low == high else f' to {money(Decimal(high))}'} by the token"
    uncounted = f", and {counted(cost['uncounted'], 'answer')} without a count" if cost["uncounted"] else ""
    tokens = f"{cost['prompt_tokens']:,} tokens in, {cost['completion_tokens']:,} out{uncounted}"
    text = f"{spell_model_type(cost['model_type'])}: this month {cost['model']} took {tokens}: {price}"
    return f"report.by_token.{number}", text, "warning" if low is None else ""


def _hosts(record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The original providers; a gateway that was started before they were noted says nothing of them."""
    return record.get("baseline") or ()


def _slot_lines(name: str, slot: Mapping[str, Any], record: Mapping[str, Any]) -> list[Line]:
    """A slot as the gateway serves it and who answered its decisions; the head before it, and what is to follow it."""
    entry = record["model_types"].get(name)
    spelled, answered = spell_model_type(name), "" if entry is None else _answered(entry)
    lines = [_place(f"gateway.slots.{name}", spelled, slot, answered)]
    if (head := slot.get("head")) is not None:
        asked = "" if entry is None else _asked(entry)
        audited = f", {head['audit_percent']} % audited{asked}"
        closed = head["problem"] or head["closed"]
        lines.append(_place(f"gateway.slots.{name}.head", f"{spelled}, before it", {**head, "closed": closed}, audited))
    if (coming := slot["challenger"]) is not None:
        as_canary = {**coming, "mode": "canary", "share_percent": coming["percent"], "closed": None}
        lines.append(_place(f"gateway.slots.{name}.candidate", f"{spelled}, coming in", as_canary))
    if slot["closed"] and slot["waking"]:
        lines.append((f"gateway.slots.{name}.waking", f"◦ {spelled}: {slot['waking']}", "going"))
    return lines


def _place(fact: str, name: str, place: Mapping[str, Any], more: str = "") -> Line:
    """Who may answer there, and for how many."""
    if place["closed"]:
        return fact, f"– {name}: {place['closed']}{more}", "dim"
    way = f"canary {place['share_percent']} %" if place["mode"] == "canary" else place["mode"]
    if place["circuit"] != "closed":
        return fact, f"✗ {name}: {way}, {place['model']}, circuit {place['circuit']}{more}", "bad"
    return fact, f"✓ {name}: {way}, {place['model']}{more}", "good"


def _answered(entry: Mapping[str, Any]) -> str:
    """Who answered the decisions of a type so far."""
    parts = [f"{source} {part['count']:,}" for source, part in entry["by_source"].items()]
    agreed = "" if entry["agreement"] is None else f"; agrees in {percent(entry['agreement'])}"
    return f" ({', '.join(parts)}{agreed})" if parts else ""


def _asked(entry: Mapping[str, Any]) -> str:
    """What came of asking the head of a type so far."""
    if (head := entry["head"]) is None:
        return ""
    compared = f"; {head['disagreed']:,} of {head['compared']:,} compared disagree" if head["compared"] else ""
    return f" (asked {head['asked']:,}{compared})"


def _presence(number: int, record: Mapping[str, Any]) -> Line:
    """A gateway or guard of the hosts that share a log, and how good it is that it is so."""
    does = {None: "at work", True: "acts", False: "stands by"}[record["acts"]]
    ago = duration(timedelta(seconds=record["seen_seconds_ago"]))
    state = f"gone, last seen {ago} ago" if record["gone"] else does
    text = f"{record['kind']} on {record['host']} (process {record['pid']}), {record['version']}: {state}"
    return f"gateway.fleet.{number}", f"{'✗' if record['gone'] else '✓'} {text}", "bad" if record["gone"] else "good"


def _no_gateway(seen: Seen) -> bool:
    return (seen.problem or "").startswith("no gateway answers")
