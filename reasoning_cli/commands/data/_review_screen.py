"""The screen of a review: a decision, as much of it as fits, what was said so far, and the keys."""

from __future__ import annotations

import os
import string
import tempfile
from collections import Counter
from pathlib import Path

from reasoning_cli.commands._shared.editor import run_editor
from reasoning_cli.commands.data._browse_views import Line, card
from reasoning_cli.decisions.answers import InvalidAnswer
from reasoning_cli.decisions.correcting import canonical, decisions_for, with_decision
from reasoning_cli.errors import ReasoningError
from reasoning_cli.operations.data.browse import look_at
from reasoning_cli.operations.data.review import Review
from reasoning_cli.paths import write_private
from reasoning_cli.store.samples.labels import Labelling
from reasoning_cli.store.samples.training_log import Sample
from reasoning_cli.terminal.cleaning import visible
from reasoning_cli.terminal.console import Terminal
from reasoning_cli.terminal.keys import CLOSED, ESCAPE, RESIZED, Keyboard
from reasoning_cli.terminal.units import counted
from reasoning_cli.terminal.wrapping import fold

_KEYS = ("a accept", "r reject", "e edit", "s skip", "u undo", "q quit", "? help")
_HELP = """\
a  accept: the answer is right
r  reject: the answer is wrong, nothing is trained on it
e  edit the answer in your editor; it is kept when the agent can use it
1 2 3  decide otherwise: RESPOND, IGNORE or STOP
p  plan otherwise: pick another action for the plan
s  skip: say nothing of it now
u  undo the last label
m  more of a long text, the space bar too
q  quit; what is labelled is kept, and the same command goes on
"""
_CLEAR = "\x1b[H\x1b[2J"


class Screen:
    """One run of a review on a terminal."""

    def __init__(self, terminal: Terminal, review: Review) -> None:
        self._terminal, self._review = terminal, review
        self._said = Counter[str]()
        self._notice = ""
        self._top, self._whole = 0, False  # the first line shown; whether all of a long conversation is
        self._drafts: dict[str, str] = {}  # what was written and could not be kept

    def run(self) -> None:
        """Show decisions until there are no more, or until a person quits."""
        sample = self._review.next()
        if sample is None:
            self._terminal.note("All that match have a label: add --again to see those too.")
            return
        with Keyboard(self._terminal.input) as keyboard:
            while sample is not None:
                self._draw(sample)
                key = keyboard.read()
                if key in ("q", CLOSED):
                    return
                shown, sample = sample, self._do(key, sample, keyboard)
                if sample is None or sample.id != shown.id:
                    self._top, self._whole = 0, False

    def said(self) -> str:
        """What was said in this run."""
        said = +self._said
        made = ", ".join(f"{said[name]:,} {name}" for name in ("good", "bad", "corrected") if said[name])
        return f"Labelled {sum(said.values()):,} ({made})." if made else "Labelled none."

    # --- keys ---

    def _do(self, key: str, sample: Sample, keyboard: Keyboard) -> Sample | None:
        """Do what a key says; the decision to show then."""
        self._notice, top, self._top = "", self._top, 0
        offered = decisions_for(sample.model_type, sample.prompt)
        match key:
            case "a":
                return self._keep(Labelling(sample.id, "good"))
            case "r":
                return self._keep(Labelling(sample.id, "bad"))
            case "s":
                self._review.skip(sample)
                return self._review.next()
            case "u":
                return self._undo(sample)
            case "e":
                return self._edit(sample, keyboard)
            case "1" | "2" | "3" if sample.model_type == "should_respond":
                return self._decide(sample, offered[int(key) - 1])
            case "p" if sample.model_type == "planning" and offered:
                picked = self._pick(offered, keyboard)
                return self._decide(sample, picked) if picked else sample
            case "m" | " ":
                self._more(sample, top)
                return sample
            case "?":
                self._show([(line, "") for line in fold(_HELP, self._width)], "any key goes back", keyboard)
                return sample
        if key == RESIZED:
            self._top = top
        else:
            self._notice = "That key does nothing here: ? shows those that do."
        return sample

    def _keep(self, labelling: Labelling) -> Sample | None:
        self._review.label(labelling)
        self._said[labelling.label or ""] += 1
        return self._review.next()

    def _undo(self, sample: Sample) -> Sample:
        before = self._review.progress.labels.copy()
        undone = self._review.undo(sample)
        if undone is None:
            self._notice = "Nothing to undo in this run; `data label ID --undo` takes back earlier labels."
            return sample
        self._said.update(self._review.progress.labels)
        self._said.subtract(before)
        self._notice = "Undone."
        return undone

    def _decide(self, sample: Sample, decision: str) -> Sample | None:
        """Keep another decision; the one that was made is accepted."""
        return self._correct(sample, with_decision(sample.model_type, sample.prompt, sample.output, decision))

    def _correct(self, sample: Sample, corrected: str | InvalidAnswer) -> Sample | None:
        if isinstance(corrected, InvalidAnswer):
            self._notice = f"Not kept, the agent could not use it: {corrected.reason}."
            return sample
        self._drafts.pop(sample.id, None)
        if corrected == canonical(sample.model_type, sample.prompt, sample.output):
            return self._keep(Labelling(sample.id, "good"))
        return self._keep(Labelling(sample.id, "corrected", corrected))

    def _edit(self, sample: Sample, keyboard: Keyboard) -> Sample | None:
        offered = self._drafts.get(sample.id) or sample.corrected
        if offered is None:
            read = canonical(sample.model_type, sample.prompt, sample.output)
            offered = sample.output if isinstance(read, InvalidAnswer) else read
        ending = "md" if sample.model_type == "coding" else "xml"
        try:
            with tempfile.TemporaryDirectory(prefix="reasoning-") as folder:
                draft = Path(folder) / f"answer.{ending}"
                write_private(draft, offered.rstrip("\n") + "\n")
                with keyboard.lent():
                    run_editor(draft, self._terminal.environ)
                text = draft.read_text(encoding="utf-8")
        except ReasoningError as error:
            self._notice = error.message
            return sample
        except (OSError, UnicodeDecodeError) as error:
            self._notice = f"What was written cannot be read: {error}"
            return sample
        if text.strip() == offered.strip() and sample.id not in self._drafts:
            self._notice = "Nothing was changed: a accepts the answer as it is."
            return sample
        self._drafts[sample.id] = text
        return self._correct(sample, canonical(sample.model_type, sample.prompt, text))

    def _pick(self, offered: tuple[str, ...], keyboard: Keyboard) -> str | None:
        """One of the actions; None when another key is pressed."""
        keys = dict(zip(string.digits[1:] + string.ascii_lowercase, offered, strict=False))
        lines = [(line, "") for key, name in keys.items() for line in fold(f"{key}  {visible(name)}", self._width)]
        return keys.get(self._show(lines, "which action? Esc goes back", keyboard))

    # --- drawing ---

    @property
    def _width(self) -> int:
        return max(10, self._terminal.width_of(self._terminal.err))

    @property
    def _height(self) -> int:
        try:
            return os.get_terminal_size(self._terminal.err.fileno()).lines or 24
        except (OSError, ValueError):
            return 24

    def _footer(self, sample: Sample) -> list[Line]:
        progress = self._review.progress
        said = [f"{progress.done + 1:,} of {progress.total:,}" if progress.done < progress.total else "again"]
        said += [f"{count:,} {name}" for name, count in progress.labels.items() if count]
        said += [f"{progress.skipped:,} skipped"] if progress.skipped else []
        keys = list(_KEYS)
        if sample.model_type == "should_respond":
            keys[2:2] = [f"{number} {name}" for number, name in enumerate(decisions_for("should_respond", ""), 1)]
        elif decisions_for(sample.model_type, sample.prompt):
            keys[2:2] = ["p pick action"]
        lines = [(line, "warning") for line in fold(self._notice, self._width)] if self._notice else []
        lines += [(line, "header") for line in fold(", ".join(said), self._width)]
        return [*lines, *((line, "hint") for line in _beside(keys, self._width))]

    def _page(self, sample: Sample) -> int:
        """How many lines of a decision fit above a line for more, an empty one and the footer."""
        return max(1, self._height - len(self._footer(sample)) - 3)

    def _lines(self, sample: Sample) -> tuple[list[Line], bool]:
        """The decision in lines, and whether its conversation is cut: rather that than what is judged."""
        look, page = look_at(self._review.store, sample), self._page(sample)
        lines = card(look, self._width, brief=True)
        if len(lines) <= page or self._whole or not look.talk:
            return lines, False
        room = page - len(card(look, self._width, talk_lines=0, brief=True))
        talk = 0
        for line in reversed(look.talk):
            room -= len(fold(visible(line), self._width - 2))
            if room < 0:
                break
            talk += 1
        return card(look, self._width, talk_lines=talk, brief=True), True

    def _draw(self, sample: Sample) -> None:
        page = self._page(sample)
        lines, cut = self._lines(sample)
        if self._top >= len(lines):
            self._top = 0
        shown = lines[self._top : self._top + page]
        if below := len(lines) - self._top - len(shown):
            shown.append((f"m more: {counted(below, 'line')} below"[: self._width], "dim"))
        elif cut or self._top:
            shown.append((f"m {'the whole conversation' if cut else 'from the top'}"[: self._width], "dim"))
        self._put([*shown, ("", ""), *self._footer(sample)])

    def _more(self, sample: Sample, top: int) -> None:
        """The next part of a decision; behind the last one all of it again, with the whole conversation."""
        lines, cut = self._lines(sample)
        below = top + self._page(sample)
        if below < len(lines):
            self._top = below
        elif cut:
            self._whole = True

    def _show(self, lines: list[Line], below: str, keyboard: Keyboard) -> str:
        """Something else in the place of the decision, until a key is pressed."""
        key = RESIZED
        while key == RESIZED:
            self._put([*lines, ("", ""), (below, "hint")])
            key = keyboard.read()
        return "" if key == ESCAPE else key

    def _put(self, lines: list[Line]) -> None:
        terminal = self._terminal
        clear = "" if terminal.environ.get("TERM") == "dumb" else _CLEAR
        encoding = terminal.err.encoding or "utf-8"
        text = "\n".join(terminal.paint(visible(text), style, terminal.err) for text, style in lines)
        terminal.err.write(clear + text.encode(encoding, "replace").decode(encoding) + "\n")
        terminal.err.flush()


def _beside(words: list[str], width: int) -> list[str]:
    """Words side by side in as few lines as they take, none of them broken."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]}  {word}" if lines[-1] else word
        if len(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
