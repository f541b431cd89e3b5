"""Review: one decision after another, a key for each thing to say of it, each label stored the moment it is given."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from nicegui import ui
from nicegui.events import KeyEventArguments

from reasoning_cli.dashboard.frame import BUILT_WITHIN, Context, Page
from reasoning_cli.dashboard.pages.decisions import show_decision
from reasoning_cli.dashboard.parts import Field, box, button, rebuild, shown, write
from reasoning_cli.decisions.correcting import decisions_for
from reasoning_cli.values import MODEL_TYPES, spell_model_type

_TYPES = (("", "any"), *((name, spell_model_type(name)) for name in MODEL_TYPES))
_KEYS = (
    ("a", "accept"),
    ("r", "reject"),
    ("1 2 3", "decide otherwise"),
    ("p", "pick an action"),
    ("e", "edit the answer"),
    ("s", "skip"),
    ("u", "undo"),
)
_AHEAD = 20


def register(context: Context) -> None:
    @ui.page("/review", response_timeout=BUILT_WITHIN)
    async def review_page(request: Request) -> None:
        page = ReviewPage(Page(context, request, "/review"))
        await page.begin()


class ReviewPage:
    """One person's walk through decisions without a label. `ahead` are the ids that come next, `made` those labelled
    here, the last at the end."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.ahead: list[str] = []
        self.last: str | None = None
        self.skipped: set[str] = set()
        self.made: list[tuple[str, str]] = []
        self.look: Mapping[str, Any] | None = None
        self.offered: tuple[str, ...] = ()
        self.busy, self.moving = False, asyncio.Lock()
        self.kind = Field("type", choices=_TYPES, on_change=self.begin)
        with box("p", "quiet"):
            for key, meaning in _KEYS:
                write("kbd", key)
                write("span", f" {meaning}  ")
        self.counted = write("p", "", data_part="progress", role="status")
        self.place = box("div")
        self.editor = box("div")
        page.refresh = self._show
        if not page.context.read_only:
            ui.keyboard(on_key=self._key, repeating=False)

    async def begin(self) -> None:
        """From the newest decision without a label on."""
        async with self.moving:
            self.ahead, self.last = [], None
            await self._move()

    async def next(self) -> None:
        """The next one that nobody has labelled."""
        async with self.moving:
            await self._move()

    async def _move(self) -> None:
        while True:
            if not self.ahead and not await self._more():
                self.look = None
                break
            sample = self.ahead.pop(0)
            if sample in self.skipped:
                continue
            await self._fetch(sample)
            if self.look is not None and self.look["label"] is None:
                break
        self._show()

    async def _more(self) -> bool:
        typed = ["data", "list", "--label=none", "--limit", str(_AHEAD)]
        typed += [f"--model-type={self.kind.value}"] if self.kind.value else []
        typed += [f"--after={self.last}"] if self.last else []
        records = (await self.page.context.ask(*typed)).document or []
        self.ahead = [record["id"] for record in records]
        self.last = self.ahead[-1] if self.ahead else self.last
        return bool(self.ahead)

    async def _fetch(self, sample: str) -> None:
        looks = (await self.page.context.ask("data", "show", sample, "--raw")).document or []
        self.look = looks[0] if looks else None
        self.offered = decisions_for(self.look["model_type"], self.look["prompt"]) if self.look else ()

    def _show(self) -> None:
        said = Counter(label for _, label in self.made)
        words = [f"{count:,} {label}" for label, count in said.items()]
        words += [f"{len(self.skipped):,} skipped"] if self.skipped else []
        self.counted.set_text(f"Labelled here: {', '.join(words)}." if words else "Nothing is labelled here yet.")
        self.editor.clear()
        rebuild(self.place, self._build)

    def _build(self) -> None:
        look = self.look
        if look is None:
            write("p", "No decision without a label matches. That was all of them.", data_part="end")
            return
        place = {"data_decision": look["id"], "data_type": look["model_type"], "data_chosen": self.kind.value}
        write("h2", f"Decision {look['id'][:12]}", **place)
        if not self.page.context.read_only:
            with box("p"):
                button("Accept", lambda: self._label("good", "--good"), main=True)
                button("Reject", lambda: self._label("bad", "--bad"))
                if look["model_type"] in ("should_respond", "planning"):
                    with box("span", data_part="decisions"):
                        for name in self.offered[:12]:
                            button(shown(name, 60), lambda name=name: self._label("corrected", f"--decision={name}"))
                button("Edit …", self._edit)
                button("Skip", self._skip)
                button("Undo", self._undo)
        show_decision(look, self.page)

    async def _key(self, event: KeyEventArguments) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            return
        key = event.key.name.lower()
        if key == "u":
            await self._undo()
            return
        if self.look is None:
            return
        match key:
            case "a":
                await self._label("good", "--good")
            case "r":
                await self._label("bad", "--bad")
            case "s":
                await self._skip()
            case "e":
                self._edit()
            case "1" | "2" | "3" if self.look["model_type"] == "should_respond":
                await self._label("corrected", f"--decision={self.offered[int(key) - 1]}")
            case "p" if self.look["model_type"] == "planning":
                self._pick()

    async def _label(self, label: str, *how: str) -> None:
        """Store it by `data label`, and go on; two keys at once label one decision."""
        if self.look is None or self.busy:
            return
        self.busy = True
        try:
            sample = self.look["id"]
            answer = await self.page.context.ask("data", "label", sample, *how)
            if answer.problem is not None:
                self.page.say("\n".join(filter(None, (answer.problem, answer.hint))), good=False)
                return
            self.made.append((sample, (answer.document or [{}])[0].get("label") or label))
            self.page.said.clear()
            await self.next()
        finally:
            self.busy = False

    async def _skip(self) -> None:
        if self.look is not None and not self.busy:
            self.skipped.add(self.look["id"])
            await self.next()

    async def _undo(self) -> None:
        """Take the last label of this tab back, and show its decision again."""
        if self.busy or not self.made:
            self.page.say("Nothing to undo in this tab.", good=False)
            return
        sample, _ = self.made[-1]
        answer = await self.page.context.ask("data", "label", sample, "--undo")
        if answer.problem is not None:
            self.page.say("\n".join(filter(None, (answer.problem, answer.hint))), good=False)
            return
        self.made.pop()
        if self.look is not None:
            self.ahead.insert(0, self.look["id"])
        await self._fetch(sample)
        self._show()

    def _pick(self) -> None:
        """Move to the actions, which Tab and Enter choose among."""
        self.page.client.run_javascript("document.querySelector('[data-part=decisions] button')?.focus()")

    def _edit(self) -> None:
        look = self.look
        if look is None:
            return

        def build() -> None:
            text = Field("the answer as it should have been", value=look["corrected"] or look["output"], lines=True)
            # The last line says that this is a text, and not the name of a file.
            button("Store it", lambda: self._label("corrected", f"--answer={text.value.rstrip()}\n"), main=True)
            button("Leave it", self.editor.clear)

        rebuild(self.editor, build)
        self.page.client.run_javascript("document.querySelector('textarea')?.focus()")
