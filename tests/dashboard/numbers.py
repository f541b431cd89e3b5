"""Every number that the first page can show, with what a person reads there made anew from the JSON of its command.

A place is named as the page marks it: `command.path` of where in that JSON it stands, `*` for a name or number, and for
a cell of a table `table.key`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from reasoning_cli.dashboard.reader import QUESTIONS
from reasoning_cli.terminal.units import counted, duration, money, percent, whole_cents
from reasoning_cli.values import spell_model_type
from tests.dashboard.conftest import PATIENCE_MS, Program

if TYPE_CHECKING:
    from playwright.sync_api import Page

Said = Mapping[str, Any]
Place = tuple[str, ...]
ZONE = "Asia/Kathmandu"
# Seconds that may pass between a look of the reader and its being read on the page, on a busy machine too.
_LATE_SECONDS = 40
_SHOWN = """() => {
  const text = each => [...each.childNodes].filter(node => node.tagName !== 'BUTTON').map(node => node.textContent)
    .join('').trim();
  const cells = row => [...row.querySelectorAll('td[data-key]')].map(cell => [
    `${row.closest('table').dataset.table}.${cell.dataset.key}#${[...row.parentElement.children].indexOf(row)}`,
    text(cell)]);
  return [...document.querySelectorAll('[data-fact]:not([data-fact=""])')].map(each => [each.dataset.fact, text(each)])
    .concat([...document.querySelectorAll('[data-table] tbody tr')].flatMap(cells));
}"""
_UNMARKED = """() => {
  const found = [], page = document.querySelector('.nicegui-content');
  const walker = document.createTreeWalker(page, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const where = '[data-fact]:not([data-fact=""]), td[data-key], [data-part=age], [data-part=as-of], style, script';
    if (/\\d/.test(node.data) && !node.parentElement.closest(where)) found.push(node.data);
  }
  return found;
}"""


@dataclass(frozen=True)
class Number:
    """A place on the page: what a person reads there, as the commands say. `names` are what stands for each `*`."""

    reads: Callable[[Said, Place], str]
    # Whether a text is right that is not the same: of what goes on while it is read.
    allows: Callable[[str, str], bool] = str.__eq__


def ask(program: Program) -> dict[str, Any]:
    """What all commands say that the page asks: first the one that looks, from which others count."""
    names = sorted(QUESTIONS, key=lambda name: name != "status")
    found = {}
    for name in names:
        text = program.run(*QUESTIONS[name], "--json").stdout
        found[name] = json.loads(text) if text.strip() else None
    return found


def compare(program: Program, page: Page) -> tuple[Said, list[tuple[str, str]]]:
    """What the commands say and what the page shows at the same moment, as soon as that is the same; where that never
    comes, as both were at last."""
    give_up_at = time.monotonic() + PATIENCE_MS / 1000
    while True:
        said, seen = ask(program), shown(page)
        if not mismatches(said, seen) or time.monotonic() > give_up_at:
            return said, seen


def shown(page: Page) -> list[tuple[str, str]]:
    """Each place of the page that has a number or could have one, and what a person reads there."""
    return [(place, text) for place, text in page.evaluate(_SHOWN)]


def unmarked(page: Page) -> list[str]:
    """Texts with digits in places that are not named."""
    return [str(text) for text in page.evaluate(_UNMARKED)]


def pattern_of(place: str) -> tuple[str, Place]:
    """The name in NUMBERS of a place, and what stands for each `*` of it; of a cell the row's number."""
    if "#" in place:
        name, _, row = place.partition("#")
        return name, (row,)
    for pattern in NUMBERS:
        found = re.fullmatch(re.escape(pattern).replace(r"\*", "([^.]+)"), place)
        if found is not None:
            return pattern, found.groups()
    return place, ()


def mismatches(said: Said, seen: list[tuple[str, str]]) -> dict[str, list[str]]:
    """By their names in NUMBERS the places that are not as the commands say: what is read there, and what should be."""
    found: dict[str, list[str]] = {}
    for place, text in seen:
        pattern, names = pattern_of(place)
        number = NUMBERS.get(pattern)
        if number is None:
            found.setdefault(pattern, []).append(f"{place} shows `{text}`, and nothing compares it")
            continue
        right = number.reads(said, names)
        if not number.allows(text, right):
            found.setdefault(pattern, []).append(f"{place} shows `{text}`, not `{right}`")
    return found


# --- how a person reads it ---


def at(moment: str | None) -> str:
    return (
        "–" if moment is None else datetime.fromisoformat(moment).astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M")
    )


def span(seconds: float) -> str:
    return duration(timedelta(seconds=seconds))


def _budget(name: str, spelled: Callable[[Any], str]) -> Number:
    return Number(lambda said, _: spelled(said["report"]["budget"][name]))


def _rate(said: Said, _: Place) -> str:
    budget = said["report"]["budget"]
    tokens, cap = Decimal(budget["token_cents_last_hour"]), budget["cap_cents_per_hour"]
    assert budget["rate_cents_per_hour"] == whole_cents(budget["burn_cents_per_hour"] + tokens)
    what = "all replicas that may run"
    if tokens:
        what = f"{money(budget['burn_cents_per_hour'])} for replicas, {money(tokens)} by the token"
    limit = "no cap" if cap is None else f"cap {money(cap)}/h" + (" is reached" if budget["is_capped"] else "")
    return f"{what}; {limit}"


def _doubt(said: Said, _: Place) -> str:
    low, high = (said["report"]["budget"][f"used_{end}_cents"] for end in ("low", "high"))
    return "by our ledger" if low == high else f"{money(low)} to {money(high)}"


def _ends(said: Said, _: Place) -> str:
    budget = said["report"]["budget"]
    if budget["ends_at"] is not None:
        return f"gone at {at(budget['ends_at'])}"
    return "nothing is being spent" if budget["lasts_seconds"] is None else f"lasts {span(budget['lasts_seconds'])}"


def _tokens(said: Said, names: Place) -> str:
    cost = said["report"]["by_token"][int(names[0])]
    low, high = (
        None if cost[f"cost_{end}_cents"] is None else Decimal(cost[f"cost_{end}_cents"]) for end in ("low", "high")
    )
    price = "no price is known, and nothing of it is in any sum"
    if low is not None and high is not None:
        price = f"{money(low)} by the token" if low == high else f"{money(low)} to {money(high)} by the token"
    uncounted = f", and {counted(cost['uncounted'], 'answer')} without a count" if cost["uncounted"] else ""
    tokens = f"{cost['prompt_tokens']:,} tokens in, {cost['completion_tokens']:,} out{uncounted}"
    return f"{spell_model_type(cost['model_type'])}: this month {cost['model']} took {tokens}: {price}"


def _off(said: Said, names: Place) -> str:
    row = next(each for each in said["status"] if each["name"] == names[0])
    return f"{spell_model_type(row['model_type'])}: off since {at(row['off_since'])}: {row['off_why']}"


def _guard(said: Said, _: Place) -> str:
    guard = said["outlook"]["guard"]
    if guard["looked_at"] is None:
        return "▲ None was ever seen; none of this happens until one is: `reasoning costs guard`"
    if guard["running"] and guard["problem"]:
        return f"▲ Process {guard['pid']} sees nothing, {guard['looked_at']} after its last look: {guard['problem']}"
    if guard["running"]:
        return f"✓ At work, process {guard['pid']}; its last look was {guard['looked_at']} ago."
    return f"▲ None at work; the last look was {guard['looked_at']} ago: `reasoning costs guard`"


def _since_the_look(text: str, right: str) -> bool:
    """Whether a text says how long ago that was which stands in `right` as a moment."""
    moment = re.search(r"\d{4}-\d\d-\d\dT\S+Z", right)
    if moment is None:
        return text == right
    passed = (datetime.now(UTC) - datetime.fromisoformat(moment[0])).total_seconds()
    spans = {span(max(0.0, passed - late)) for late in range(_LATE_SECONDS)}
    return text in {right.replace(moment[0], each) for each in spans}


def _gateway(path: str, spelled: Callable[[Any], str] = "{:,}".format) -> Number:
    def reads(said: Said, _: Place) -> str:
        value = said["gateway"]
        for name in path.split("."):
            value = value[name]
        return spelled(value)

    return Number(reads)


def _lost(recording: Mapping[str, Any]) -> str:
    lost = recording["dropped"] + recording["unreadable"]
    return f"{lost:,} lost" if lost else "none lost"


def _errors(errors: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in errors.items()) or "none since it began"


def _way(slot: Mapping[str, Any]) -> str:
    return f"canary {slot['share_percent']} %" if slot["mode"] == "canary" else str(slot["mode"])


def _slot(said: Said, names: Place) -> str:
    (name,) = names
    slot, entry = said["gateway"]["slots"][name], said["gateway"]["model_types"].get(name)
    answered = ""
    if entry is not None:
        counts = ", ".join(f"{source} {part['count']:,}" for source, part in entry["by_source"].items())
        agrees = "" if entry["agreement"] is None else f"; agrees in {percent(entry['agreement'])}"
        answered = f" ({counts}{agrees})"
    if slot["closed"]:
        return f"– {spell_model_type(name)}: {slot['closed']}{answered}"
    return f"✓ {spell_model_type(name)}: {_way(slot)}, {slot['model']}{answered}"


def _head(said: Said, names: Place) -> str:
    (name,) = names
    head, counted = said["gateway"]["slots"][name]["head"], said["gateway"]["model_types"][name]["head"]
    compared = f"; {counted['disagreed']:,} of {counted['compared']:,} compared disagree" if counted["compared"] else ""
    audited = f"{head['audit_percent']} % audited (asked {counted['asked']:,}{compared})"
    return f"✓ {spell_model_type(name)}, before it: {_way(head)}, {head['model']}, {audited}"


def _coming(said: Said, names: Place) -> str:
    coming = said["gateway"]["slots"][names[0]]["challenger"]
    return f"✓ {spell_model_type(names[0])}, coming in: canary {coming['percent']} %, {coming['model']}"


def _baseline(said: Said, names: Place) -> str:
    host = said["gateway"]["baseline"][int(names[0])]
    if host["reachable"]:
        return f"✓ the baseline, {host['host']}, answered at {at(host['answered_at'])}"
    return f"✗ the baseline, {host['host']}, did not answer at {at(host['failed_at'])}: {host['failure']}"


def _fleet(said: Said, names: Place) -> str:
    each = said["gateway"]["fleet"][int(names[0])]
    does = {None: "at work", True: "acts", False: "stands by"}[each["acts"]]
    return f"✓ {each['kind']} on {each['host']} (process {each['pid']}), {each['version']}: {does}"


def _trained(said: Said, names: Place) -> str:
    row = next(each for each in said["trained"] if str(each["run"]) == names[0])
    return f"◦ training run {row['run']} for {spell_model_type(row['model_type'])}: {row['state'].replace('_', ' ')}"


def _promotion(said: Said, names: Place) -> str:
    row = next(each for each in said["promotions"] if str(each["promotion"]) == names[0])
    return f"◦ {row['model']} into {spell_model_type(row['model_type'])}: {row['state']}"


def _loop(said: Said, names: Place) -> str:
    row = next(each for each in said["loops"] if each["type"] == names[0])
    line = f"{spell_model_type(row['type'])}: {row['line']}"
    return f"Waits for your yes: {line}" if row["step"] == "waiting" else f"◦ {line}"


def _cell(command: str, key: str, spelled: Callable[[Mapping[str, Any]], str], rows: str = "") -> tuple[str, Number]:
    """A column of a table, each row made of its record."""

    def reads(said: Said, names: Place) -> str:
        records = said[command][rows] if rows else said[command]
        return spelled(records[int(names[0])])

    return f"{command}.{key}", Number(reads)


def _sign(row: Mapping[str, Any]) -> str:
    good = {"READY": "✓", "elsewhere": "✓", "in line": "✓", "STOPPED": "–", "off": "–"}
    return good.get(row["state"], "▲") if row["is_known"] else "▲"


def _state(row: Mapping[str, Any]) -> str:
    if not row["is_known"]:
        return f"▲\N{NO-BREAK SPACE}not known, was {row['state']}"
    parts = [row["state"]]
    if row["mode"] in ("canary", "shadow"):
        parts.append(_way(row))
    return f"{_sign(row)}\N{NO-BREAK SPACE}{', '.join(parts)}"


def _is_deployed(row: Mapping[str, Any]) -> bool:
    return row["deployment_id"] is not None


def _idle(row: Mapping[str, Any]) -> str:
    seconds = row["quiet_seconds"]
    return "–" if seconds is None else f"{'> ' if seconds >= 3600 else ''}{span(seconds)}"


def _model(row: Mapping[str, Any]) -> str:
    return f"{row['model']} at {row['provider_url']}" if row["provider_url"] else str(row["model"])


def _detail(event: Mapping[str, Any]) -> str:
    """The reason first, then what it was about."""
    detail = dict(event["detail"])
    reason = [str(text) for text in (detail.pop("text", None) or detail.pop("why", None),) if text]
    facts = [f"{name.rpartition('.')[2].replace('_', ' ')} {value}" for name, value in detail.items()]
    return ", ".join([*reason, *facts]) or "–"


NUMBERS: Mapping[str, Number] = {
    "report.budget.rate_cents_per_hour": _budget("rate_cents_per_hour", lambda rate: f"{money(rate)}/h"),
    "report.budget.rate": Number(_rate),
    "report.budget.used_cents": _budget("used_cents", money),
    "report.budget.doubt": Number(_doubt),
    "report.budget.limit_cents": _budget("limit_cents", lambda cents: "none set" if cents is None else money(cents)),
    "report.budget.used_share": _budget("used_share", lambda share: f"{percent(share)} used"),
    "report.budget.left_cents": _budget("left_cents", money),
    "report.budget.ends": Number(_ends),
    "report.by_token.*": Number(_tokens),
    "status.sum.ready_replicas": Number(lambda said, _: f"{sum(row['ready_replicas'] for row in said['status']):,}"),
    "status.*.off": Number(_off),
    "outlook.guard": Number(_guard, _since_the_look),
    "gateway.requests": _gateway("requests"),
    "gateway.requests_last_minute": _gateway("requests_last_minute", "{:,} in the last minute".format),
    "gateway.sum.upstream_errors": _gateway("upstream_errors", lambda errors: f"{sum(errors.values()):,}"),
    "gateway.upstream_errors": _gateway("upstream_errors", _errors),
    "gateway.recording.stored": _gateway("recording.stored"),
    "gateway.recording.lost": _gateway("recording", _lost),
    "gateway.slots.*": Number(_slot),
    "gateway.slots.*.head": Number(_head),
    "gateway.slots.*.candidate": Number(_coming),
    "gateway.baseline.*": Number(_baseline),
    "gateway.fleet.*": Number(_fleet),
    "trained.*": Number(_trained),
    "promotions.*": Number(_promotion),
    "loops.*": Number(_loop),
    **dict(
        [
            _cell("status", "name", lambda row: row["name"].replace("_", "-")),
            _cell("status", "state", _state),
            _cell(
                *("status", "ready_replicas"),
                lambda row: f"{row['ready_replicas']} of {row['max_replicas']}" if _is_deployed(row) else "–",
            ),
            _cell(
                *("status", "burn_cents_per_hour"),
                lambda row: money(row["burn_cents_per_hour"]) if row["burn_cents_per_hour"] else "–",
            ),
            _cell(
                *("status", "ready_seconds"),
                lambda row: "–" if row["ready_seconds"] is None else span(row["ready_seconds"]),
            ),
            _cell("status", "cost_cents", lambda row: money(row["cost_cents"]) if _is_deployed(row) else "–"),
            _cell(
                *("status", "requests_last_hour"),
                lambda row: "–" if row["requests_last_hour"] is None else f"{row['requests_last_hour']:,}",
            ),
            _cell("status", "quiet_seconds", _idle),
            _cell("status", "model", _model),
            *(
                _cell("outlook", key, lambda row, key=key: row[key], "next")
                for key in ("name", "action", "why", "text")
            ),
            _cell("outlook", "at", lambda row: at(row["at"]), "next"),
            _cell("events", "at", lambda row: at(row["at"])),
            _cell("events", "actor", lambda row: f"{row['actor']} ({row['by']})" if row["by"] else row["actor"]),
            _cell("events", "action", lambda row: row["action"].replace("_", " ")),
            _cell("events", "subject", lambda row: row["subject"].replace("_", "-")),
            _cell("events", "detail", _detail),
        ]
    ),
}
