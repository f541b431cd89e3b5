"""What every page stands in: where one is, whose data it is, what was said, and the one question before anything is
done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from nicegui import Client, ui

from reasoning_cli.dashboard.access import LOGOUT, Keys
from reasoning_cli.dashboard.acts import Acts, Wish, agreed
from reasoning_cli.dashboard.parts import Zone, box, button, link, shown, write
from reasoning_cli.dashboard.program import Answer, Facts, Outcome, Program
from reasoning_cli.dashboard.reader import Reader

PLACES = (
    ("/", "Now"),
    ("/money", "Money"),
    ("/decisions", "Decisions"),
    ("/review", "Review"),
    ("/train", "Train"),
    ("/configuration", "Configuration"),
)
# Seconds that a page may take to be built: a busy machine is slow, and an error would help nobody.
BUILT_WITHIN = 60.0
_ZONE = "return Intl.DateTimeFormat().resolvedOptions().timeZone"
# Says at once, and whenever that changes, whether anybody can see the page.
_LOOKS = "(document.onvisibilitychange = () => emitEvent('seen', !document.hidden))()"


@dataclass
class Context:
    """What all pages of one dashboard share. `program` answers the pages' own questions, on a thread of its own: a
    search does not keep the reader waiting."""

    reader: Reader
    acts: Acts
    program: Program
    facts: Facts
    keys: Keys
    read_only: bool
    looks: dict[str, Look] = field(default_factory=dict)
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "pages"))

    async def ask(self, *words: str) -> Answer:
        """What a command says with `--json`."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, self.program.read, *words)

    async def describe(self, *words: str) -> Answer:
        """What a command tells a person."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, self.program.describe, *words)

    async def change_setting(self, name: str, text: str | None) -> Outcome:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.thread, self.program.change_setting, name, text)

    async def settings(self, names: Sequence[str]) -> dict[str, Any]:
        """The values of some settings as they are now."""
        if not names:
            return {}
        rows = (await self.ask("config")).document or []
        return {row["name"]: row["value"] for row in rows if row["name"] in names}


@dataclass
class Look:
    """How one session wants to see things: in its own zone, and dark, light or as its system says (None)."""

    zone: Zone = field(default_factory=Zone)
    dark: bool | None = None


class Page:
    """One page in one tab. `refresh` is called when something is to be shown anew."""

    def __init__(self, context: Context, request: Request, here: str) -> None:
        self.context = context
        self.session: str = request.scope["state"]["session"]
        self.look = context.looks.setdefault(self.session, Look())
        self.client: Client = ui.context.client
        self.refresh: Callable[[], Any] = lambda: None
        title = dict(PLACES)[here]
        ui.page_title(f"{title} – reasoning")
        ui.add_head_html('<link rel="stylesheet" href="/style.css">')
        self._dark = ui.dark_mode(self.look.dark)
        write("a", "Skip to the content", "skip", href="#content")
        self._header(here)
        self._banners()
        self.said = box("div", role="status", aria_live="polite")
        # Not beside the button that was clicked: a table may be built anew while a question stands.
        self.questions = box("div")
        self._title = write("h1", title, id="content", tabindex="-1")
        self.client.on_connect(self._connected)
        self.client.on_delete(lambda: context.reader.unsubscribe(self.client.id))

    def live(self, refresh: Callable[[], Any]) -> None:
        """Call `refresh` now, and after every round of the reader for as long as the page is open and can be seen: a
        tab in the background asks nothing."""

        def round_is_over() -> None:
            if not self.context.keys.is_open(self.session):
                self.client.run_javascript("location.reload()")
                return
            with self.client:
                refresh()

        def is_seen(event: Any) -> None:
            reader = self.context.reader
            if not event.args:
                reader.unsubscribe(self.client.id)
            elif not reader.is_subscribed(self.client.id):
                reader.subscribe(self.client.id, round_is_over)
                reader.look_now()

        self.refresh = refresh
        refresh()
        self.context.reader.subscribe(self.client.id, round_is_over)
        ui.on("seen", is_seen)
        self.client.on_connect(lambda: self.client.run_javascript(_LOOKS))

    def say(self, text: str, *, good: bool = True) -> None:
        """How something ended, until something else does."""
        self.said.clear()
        with self.said:
            write("div", shown(text, 4000), "said" if good else "said bad-end")

    async def wish(self, wish: Wish, question: str, facts: Sequence[str] = ()) -> None:
        """Show what would be done and what it costs, ask once, do it, and show how it ended."""
        if self.context.read_only:
            self.say("This dashboard only shows: it was started with --read-only.", good=False)
            return
        plan = await self._plan(wish)
        lines = list(facts)
        if wish.plan is not None:
            answer = await self.context.describe(*wish.plan, "--dry-run")
            lines += [self.look.zone.respelled(note) for note in answer.notes if note != "Nothing was changed."]
            if answer.problem is not None:
                self.say("\n".join(filter(None, [*lines, answer.problem, answer.hint])), good=False)
                return
        if not await self._asked(question, lines, wish):
            self.say("Nothing was changed.")
            return
        if await self._plan(wish) != plan:
            self.say("It is no longer as it was when you were asked, so nothing was done. Look again.", good=False)
            return
        self.say(f"`{wish.spoken}` is under way …")
        outcome = await self.context.acts.do(wish)
        with self.client:
            self.say(f"{wish.spoken}\n{self.look.zone.respelled(outcome.text)}", good=outcome.done)
            await self._show_anew()

    async def wish_setting(self, name: str, text: str | None, lines: Sequence[str]) -> None:
        """Ask once, write one setting, and show what that did."""
        context = self.context
        before = await context.settings([name])
        typed = ("config", "unset", name) if text is None else ("config", "set", name)
        question = f"Take {name} out of the file?" if text is None else f"Change {name}?"
        if context.read_only or not await self._asked(question, lines, Wish(f"setting {name}", typed)):
            self.say("Nothing was changed.", good=not context.read_only)
            return
        if await context.settings([name]) != before:
            self.say("It is no longer as it was when you were asked, so nothing was done. Look again.", good=False)
            return
        outcome = await context.change_setting(name, text)
        context.reader.look_now()
        self.say(outcome.text, good=outcome.done)

    async def _plan(self, wish: Wish) -> Any:
        document = (await self.context.ask(*wish.plan, "--dry-run")).document if wish.plan else None
        return agreed(document), await self.context.settings(wish.watched)

    async def _asked(self, question: str, lines: Sequence[str], wish: Wish) -> bool:
        with self.questions, ui.dialog() as dialog, box("div", "ask", role="document"):
            write("h2", question)
            with box("ul", "plain"):
                for line in lines:
                    write("li", shown(line, 2000))
            with box("p", "quiet"):
                write("span", "The same as ")
                write("code", f"{self.context.facts.command} {wish.spoken}")
            with box("p"):
                button("Yes", lambda: dialog.submit(True), main=True)
                button("No", lambda: dialog.submit(False))
        dialog.props.update({"aria-label": question})
        answer = await dialog
        dialog.delete()
        return bool(answer)

    async def _show_anew(self) -> None:
        result = self.refresh()
        if asyncio.iscoroutine(result):
            await result

    async def _connected(self) -> None:
        """Take the viewer's zone; from then on what is shown stays in its place under a hand that reaches for it."""
        name = await self.client.run_javascript(_ZONE, timeout=BUILT_WITHIN)
        if self.look.zone.set(str(name)):
            with self.client:
                await self._show_anew()
        self._title.props["data-connected"] = "true"
        self._title.update()

    def _header(self, here: str) -> None:
        with box("header", "top"):
            write("span", "reasoning", "brand")
            with box("nav", aria_label="Pages"):
                for place, name in PLACES:
                    current = {"aria_current": "page"} if place == here else {}
                    link(name, place, **current)
            button("Dark or light", self._turn)
            link("Log out", LOGOUT)

    def _banners(self) -> None:
        facts = self.context.facts
        if facts.sandbox:
            write("p", "Sandbox: nothing here is real, and nothing costs money.", "banner")
        if facts.profile:
            write("p", f"Profile {facts.profile}: settings, account and data of its own.", "banner")
        if self.context.read_only:
            write("p", "This dashboard only shows: it was started with --read-only.", "banner")

    async def _turn(self) -> None:
        if self._dark.value is None:
            is_dark = await self.client.run_javascript("return matchMedia('(prefers-color-scheme: dark)').matches")
            self._dark.value = not is_dark
        else:
            self._dark.value = not self._dark.value
        self.look.dark = self._dark.value
