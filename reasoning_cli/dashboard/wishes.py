"""What can be wished from the page, as commands: each with its plan, and the question that is asked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nicegui import ui

from reasoning_cli.dashboard.acts import Wish
from reasoning_cli.dashboard.frame import Page
from reasoning_cli.dashboard.parts import Field, box, button, write
from reasoning_cli.values import MODEL_TYPES, spell_model_type

Asked = tuple[Wish, str]

_WAYS = (
    ("live", "live: the model answers, the baseline where its answer is no good"),
    ("canary", "canary: the model answers a share of the users"),
    ("shadow", "shadow: the baseline answers, the model is compared"),
    ("off", "off: the baseline answers; the model goes on running"),
)


def stop(name: str) -> Asked:
    plan = ("models", "stop", name)
    return Wish(f"model {name}", (*plan, "--yes"), plan), f"Stop {spell_model_type(name)}?"


def stop_all() -> Asked:
    plan = ("models", "undeploy", "--all", "--keep")
    return Wish("all models", (*plan, "--yes"), plan), "Stop everything that was deployed from here?"


def start(name: str) -> Asked:
    plan = ("models", "start", name)
    return Wish(f"model {name}", (*plan, "--no-wait", "--yes"), plan), f"Start {spell_model_type(name)}?"


def promote(model_type: str) -> Asked:
    plan = ("train", "promote", spell_model_type(model_type))
    return Wish(f"promotion {model_type}", (*plan, "--yes"), plan), f"Promote it into {spell_model_type(model_type)}?"


def roll_back(model_type: str) -> Asked:
    plan = ("train", "rollback", spell_model_type(model_type))
    question = f"Go back to what answered {spell_model_type(model_type)} before?"
    return Wish(f"promotion {model_type}", (*plan, "--yes"), plan), question


def loop_off(model_type: str) -> Asked:
    name = spell_model_type(model_type)
    return Wish(f"promotion {model_type}", ("train", "auto", name, "--off")), f"Refuse, and train {name} no longer?"


def budget(amount: str, model_type: str | None) -> Asked:
    of_type = ("--model-type", spell_model_type(model_type)) if model_type else ()
    watched = f"{model_type}.budget_usd" if model_type else "budget.limit_usd"
    whose = f" for {spell_model_type(model_type)}" if model_type else ""
    question = f"Set the budget{whose} to {amount if amount == 'none' else f'${amount}'}?"
    wish = Wish("budget", ("costs", "set-budget", amount, *of_type), watched=(watched, "budget.period"))
    return wish, question


def cap(amount: str) -> Asked:
    wish = Wish("budget", ("costs", "set-cap", amount), watched=("budget.max_cost_per_hour_usd",))
    return wish, f"Let everything running cost {'any amount' if amount == 'none' else f'${amount}'} an hour?"


def traffic(model_type: str, way: str, share: str) -> Asked:
    name = spell_model_type(model_type)
    watched = tuple(f"{model_type}.{part}" for part in ("enabled", "mode", "share_percent"))
    if way == "off":
        return Wish(f"slot {model_type}", ("models", "disable", name), watched=watched), f"Disable {name}?"
    how = ("--share", share) if way == "canary" else ("--mode", way)
    of = f" for {share} % of the users" if way == "canary" else ""
    wish = Wish(f"slot {model_type}", ("models", "enable", name, *how), watched=watched)
    return wish, f"Enable {name} as {way}{of}?"


async def ask_budget(page: Page) -> None:
    """Which budget, and how much; then the question."""
    now = await page.context.settings(["budget.limit_usd", "budget.max_cost_per_hour_usd"])
    choices = [("all", "everything"), *((name, spell_model_type(name)) for name in MODEL_TYPES), ("cap", "an hour")]
    with page.questions, ui.dialog() as dialog, box("div", "ask", role="document"):
        write("h2", "A budget, or a cap")
        write(
            "p",
            f"Now: budget {_usd(now.get('budget.limit_usd'))}, "
            f"cap {_usd(now.get('budget.max_cost_per_hour_usd'))} an hour.",
            "quiet",
        )
        whose = Field("for", value="all", choices=choices)
        amount = Field("dollars, or none")
        with box("p"):
            button("Go on …", lambda: dialog.submit(True), main=True)
            button("Leave it", lambda: dialog.submit(False))
    dialog.props.update({"aria-label": "A budget, or a cap"})
    agreed = await dialog
    dialog.delete()
    wanted = amount.value.strip().lower().removeprefix("$")
    if not agreed or not wanted:
        return
    if whose.value == "cap":
        await page.wish(*cap(wanted), [f"the cap is {_usd(now.get('budget.max_cost_per_hour_usd'))} now"])
        return
    asked = budget(wanted, None if whose.value == "all" else whose.value)
    before = (await page.context.settings(asked[0].watched[:1])).get(asked[0].watched[0])
    report = (await page.context.ask("costs", "report", "--offline")).document or {}
    spent = report.get("total", {}).get("cost_high_cents")
    lines = [f"the budget is {_usd(before)} now"]
    if whose.value == "all" and spent is not None:
        lines.append(f"up to ${spent / 100:.2f} is spent this month; below that, the guard stops what runs")
    await page.wish(*asked, lines)


async def ask_traffic(page: Page, row: Mapping[str, Any]) -> None:
    """What a slot's model may do; then the question."""
    model_type, name = row["model_type"], spell_model_type(row["model_type"])
    now = "off" if not row["enabled"] else str(row["mode"] or "live")
    with page.questions, ui.dialog() as dialog, box("div", "ask", role="document"):
        write("h2", f"Who answers {name}?")
        way = Field("its model", value=now, choices=_WAYS)
        share = Field("share of the users in a canary, percent", value=str(row["share_percent"] or 10), kind="number")
        with box("p"):
            button("Go on …", lambda: dialog.submit(True), main=True)
            button("Leave it", lambda: dialog.submit(False))
    dialog.props.update({"aria-label": f"Who answers {name}?"})
    agreed = await dialog
    dialog.delete()
    if not agreed:
        return
    price = row["burn_cents_per_hour"]
    lines = [
        f"{row['model']} is {row['state']}" + (f", at ${price / 100:.2f} an hour" if price else ", and costs nothing"),
        f"now: {dict(_WAYS)[now]}",
    ]
    if way.value == "live" and now in ("off", "shadow"):
        lines.append("from then on every decision of this type goes to it")
    await page.wish(*traffic(model_type, way.value, share.value.strip()), lines)


def _usd(amount: object) -> str:
    return "none" if amount in (None, "none") else f"${amount}"
