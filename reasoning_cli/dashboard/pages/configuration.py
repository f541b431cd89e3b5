"""Configuration: every setting with its value, where that comes from and what it means; keys are set, never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from nicegui import ui

from reasoning_cli.dashboard.acts import Wish
from reasoning_cli.dashboard.frame import BUILT_WITHIN, Context, Page
from reasoning_cli.dashboard.parts import Field, LiveTable, Show, box, button, rebuild, shown, table_of, write

# Money depends on these, and so do the commands that change them and say what that does.
_BY_COMMAND = {
    "budget.limit_usd": ("costs", "set-budget"),
    "budget.max_cost_per_hour_usd": ("costs", "set-cap"),
}
_KEY = "together.api_key"


def _written(value: Any) -> str:
    """A value as the file has it."""
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


_COLUMNS = (
    Show("name", "SETTING"),
    Show("value", "VALUE", text=_written),
    Show("source", "SOURCE"),
    Show("where", "WHERE"),
    Show("default", "DEFAULT", text=_written),
    Show("help", "MEANING"),
    Show("problem", "PROBLEM"),
)
_CHANGES = (
    Show("at", "AT"),
    Show("actor", "WHO"),
    Show("by", "AS"),
    Show("action", "WHAT"),
    Show("subject", "TO"),
    Show("said", "DETAIL"),
)
_CHANGING = (
    *("set", "unset", "set_budget", "clear_budget", "set_cap", "auto_shutdown", "schedule"),
    *("enable", "disable", "enable_head", "disable_head"),
)


def register(context: Context) -> None:
    @ui.page("/configuration", response_timeout=BUILT_WITHIN)
    async def configuration_page(request: Request) -> None:
        await ConfigurationPage(Page(context, request, "/configuration")).build()


class ConfigurationPage:
    """The page in one tab."""

    def __init__(self, page: Page) -> None:
        self.page, zone = page, page.look.zone
        self.rows: list[Mapping[str, Any]] = []
        with box("div", "finder"):
            self.sought = Field("find", on_change=self.build)
            button("Find", self.build)
            if not page.context.read_only:
                button("Set the Together key …", self.set_key)
        self.editor = box("section", aria_label="Change a setting")
        self.settings = LiveTable(
            "Every setting: a flag wins over the environment, that over .env, the file and the default",
            zone,
            empty="No setting is called so.",
            buttons=None if page.context.read_only else lambda record: [("Change …", lambda: self.edit(record))],
            name="settings",
        )
        write("h2", "Who changed what")
        self.changes = LiveTable(
            "The newest first", zone, empty="Nothing was changed yet.", row_id="at", name="changes"
        )
        write("h2", "Profiles")
        self.profiles = LiveTable("Settings, account and data each", zone, empty="There is one.", name="profiles")
        page.refresh = self.build

    async def build(self) -> None:
        """Read them anew."""
        ask = self.page.context.ask
        config = await ask("config")
        self.rows = config.document or []
        sought = self.sought.value.strip().lower()
        wanted = [row for row in self.rows if sought in f"{row['name']} {row['help']}".lower()]
        # A column of dashes would take its room from the others.
        columns = [column for column in _COLUMNS if column.key != "problem" or any(row["problem"] for row in wanted)]
        self.settings.show(table_of(wanted, columns))
        events = (await ask("costs", "events", "--limit", "200")).document or []
        changes = [{**event, "said": _said(event["detail"])} for event in events if event["action"] in _CHANGING]
        self.changes.show(table_of(changes[:20], _CHANGES, self.page.look.zone))
        self.profiles.show((await ask("config", "profiles")).table)
        if config.problem is not None:
            self.page.say("\n".join(filter(None, (config.problem, config.hint))), good=False)

    def edit(self, row: Mapping[str, Any]) -> None:
        """A field for one setting, with what it is now."""
        name = str(row["name"])
        if name == _KEY:
            self.set_key()
            return
        secret = bool(row["secret"])

        def build() -> None:
            write("h2", name)
            write("p", shown(str(row["help"]), 600))
            value = "" if secret or row["value"] is None else str(row["value"])
            field = Field("value", value=value, kind="password" if secret else "text", wide=True)
            if row["source"] in ("environment", ".env", "flag"):
                write("p", shown(f"{row['where']} says so now, and wins over the file.", 300), "warning")
            with box("p"):
                button("Set …", lambda: self.change(row, field.value), main=True)
                button("Take it out of the file …", lambda: self.change(row, None))
                button("Leave it", self.editor.clear)

        rebuild(self.editor, build)
        self.page.client.run_javascript("document.querySelector('section input')?.focus()")

    async def change(self, row: Mapping[str, Any], text: str | None) -> None:
        """Ask once, and write it, by the command of its own where it has one."""
        name = str(row["name"])
        if name in _BY_COMMAND:
            words = (*_BY_COMMAND[name], "none" if text is None else text.strip())
            await self.page.wish(Wish("budget", words, watched=(name,)), f"Change {name}?", self._effects(row, text))
            await self.build()
            return
        await self.page.wish_setting(name, text, self._effects(row, text))
        self.editor.clear()
        await self.build()

    def _effects(self, row: Mapping[str, Any], text: str | None) -> list[str]:
        """What it is now, and what the change does."""
        name = str(row["name"])
        lines = [f"now: {row['value'] if row['value'] is not None else 'not set'} ({row['source']})", str(row["help"])]
        if name.endswith(".mode") and (text or "").strip() == "live":
            lines.append("from then on every decision of this type goes to the model")
        if name.endswith(".enabled") and (text or "").strip().lower() in ("true", "yes", "1"):
            lines.append("from then on decisions of this type may go to the model")
        if name.startswith("budget.") or name.endswith("budget_usd"):
            lines.append("the guard stops what runs where more than the budget is spent already")
        return lines

    def set_key(self) -> None:
        """The Together key: tried before it takes the place of the old one, and never shown."""

        def build() -> None:
            write("h2", "The Together key")
            write("p", "It is tried before it takes the place of the old one, and is not shown again.")
            field = Field("key", kind="password", wide=True)
            with box("p"):
                button("Set it …", lambda: self._store_key(field.value), main=True)
                button("Leave it", self.editor.clear)

        rebuild(self.editor, build)
        self.page.client.run_javascript("document.querySelector('section input')?.focus()")

    async def _store_key(self, key: str) -> None:
        self.editor.clear()
        wish = Wish("key", ("config", "set-key", "--stdin", "--yes"), stdin=f"{key.strip()}\n")
        await self.page.wish(wish, "Put the new key in the place of the old one?")
        await self.build()


def _said(detail: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in detail.items()) or "–"
