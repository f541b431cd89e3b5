"""`train start --engine head`: learn a head from the log, and say what it would answer, how well, and what it saves."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from reasoning_cli.commands._shared.session import Session
from reasoning_cli.commands.train._views import head_hints
from reasoning_cli.errors import DataError, ReasoningError, UsageError
from reasoning_cli.terminal.units import counted, money, percent
from reasoning_cli.values import DEFAULT_MAX_ERROR, head_training

if TYPE_CHECKING:
    from reasoning_cli.operations.train.head import TrainedHead
    from reasoning_cli.store.samples.training_log import SampleFilter

Fact = tuple[str, str]

# The options of `train start` that mean something here.
OPTIONS = frozenset(
    (
        *("model_type", "engine", "max_error", "curve", "suffix", "dry_run", "json", "yes", "again", "limit"),
        *("label", "agent", "room", "source", "decision", "since", "until"),
    )
)
_MOST_ERROR = Decimal(20)
_SHORT_SECONDS = 1.0  # nobody needs to be told what goes on for so long
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,50}")


def parse_max_error(text: str | None) -> float:
    """Percent of what a head answers that may disagree, as a share."""
    if text is None:
        return DEFAULT_MAX_ERROR
    try:
        percents = Decimal(text.strip().removesuffix("%").strip())
        if not percents.is_finite() or not 0 < percents <= _MOST_ERROR:
            raise ValueError
    except (ArithmeticError, ValueError):
        raise UsageError(f"`{text}` is not a bound", f"percent, up to {_MOST_ERROR}: --max-error 5") from None
    return float(percents / 100)


def refuse_others(typed: Collection[str]) -> None:
    """Raises UsageError for an option that a head has no use for."""
    if others := sorted(set(typed) - OPTIONS):
        option = others[0].replace("_", "-")
        raise UsageError(f"--engine head has no --{option}", "leave it out; `reasoning train start --help`")


def start_head(
    session: Session,
    model_type: str,
    wanted: SampleFilter,
    *,
    max_error: float,
    suffix: str | None,
    curve: Path | None,
    rehearsed: bool,
    json: bool,
) -> None:
    """Learn it and show what was found. Where nothing is proven there is no head, and the exit code says so."""
    from reasoning_cli.commands._shared.prices import prices_file
    from reasoning_cli.operations.costs.token_prices import read_prices
    from reasoning_cli.operations.train.head import HeadRequest, check_type, train_head
    from reasoning_cli.terminal.progress import waiting
    from reasoning_cli.values import spell_model_type

    check_type(model_type)
    name = suffix or spell_model_type(model_type)
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"`{name}` is not a name of a head", "letters, digits, - _ and . after the first")
    terminal = session.terminal
    begun = time.monotonic()
    with waiting(terminal, "reading the log") as shown:

        def notify(what: str, detail: str) -> None:
            if time.monotonic() - begun > _SHORT_SECONDS:
                shown.show(what, detail)

        trained = train_head(
            session.store,
            HeadRequest(wanted, max_error, name),
            folder=session.settings.paths.heads,
            prices=read_prices(prices_file(session)),
            now=session.now(),
            rehearsed=rehearsed,
            notify=notify,
        )
    if curve is not None:
        _draw(trained, curve)
    if json:
        terminal.json(head_record(trained))
    else:
        terminal.say(sentence(trained))
        terminal.facts(head_facts(trained))
    if not trained.found.share:
        raise _nothing_proven(trained)
    if json:
        return
    if rehearsed:
        terminal.note("Nothing was stored: --dry-run.")
        return
    if not trained.is_new and trained.run is not None:
        terminal.note(f"Run {trained.run.number} made the same; nothing is new since.")
    for hint in head_hints(trained.head.model):
        terminal.hint(hint)


def _draw(trained: TrainedHead, path: Path) -> None:
    from reasoning_cli.operations.train.head_curve import curve_svg

    try:
        path.write_text(curve_svg(trained.found), encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write `{path}`: {error.strerror}", "name a file in a folder that is there") from error


def _nothing_proven(trained: TrainedHead) -> ReasoningError:
    """That there is no head, and what would make one."""
    found = trained.found
    bound = percent(found.head.max_error)
    wider = next((at for at in sorted(found.share_at) if at > found.head.max_error and found.share_at[at]), None)
    proven = f"`{head_training(wider)}` would answer {percent(found.share_at[wider])}" if wider is not None else None
    missing = [group.rooms_missing for group in found.head.groups if group.rooms_missing]
    if missing:
        more = round(min(missing) / max(0.01, found.held_out / max(1, found.samples)))
        hint = f"about {counted(more, 'more room')} in the log may be enough"
    else:
        hint = "more rooms are not likely to help; whom the agent answers, in the log, may"
    if proven is not None:
        hint = f"{proven}; at this bound {hint}"
    rooms = counted(found.held_out_rooms, "held-out room")
    return ReasoningError(f"no head: on {rooms} nothing is proven to disagree in at most {bound}", hint)


def sentence(trained: TrainedHead) -> str:
    """What it would do, how well that is known, and of what it holds."""
    found = trained.found
    if not found.share:
        return "It would answer nothing."
    disagreed = found.proof.disagreed / found.proof.answered
    labels = [label for label in ("IGNORE", "RESPOND") if found.share_by_label[label]]
    only = f"{labels[0]} only" if len(labels) == 1 else "IGNORE and RESPOND"
    if trained.saved_cents_a_month is not None:
        saves = f"saves {money(trained.saved_cents_a_month)} a month"
    else:
        saves = f"saves {counted(round(trained.decisions_a_month * found.share), 'call')} a month"
    return (
        f"{trained.head.model} would answer {percent(found.share)} of decisions ({only}); on"
        f" {found.held_out_rooms:,} held-out rooms {_percent(disagreed)} disagreed with the log, at most"
        f" {_percent(found.proof.at_most)} counted by rooms; {saves}; this holds for rooms like those."
    )


def head_facts(trained: TrainedHead) -> list[Fact]:
    """What was learned from, both scorers beside the more frequent answer, and each group with its bound."""
    found = trained.found
    facts = [
        (
            "decisions",
            f"{found.samples:,} of {counted(found.rooms, 'room')}: {len(found.learned):,} to learn from,"
            f" {found.held_out:,} of {counted(found.held_out_rooms, 'room')} to prove it on{_left_out(trained)}",
        ),
        ("compared", f"with {_compared(trained)}"),
        ("always", f"{found.majority}: {_percent(found.majority_share)} is what the log says"),
    ]
    for by, scorer in found.by_scorer.items():
        name = "rules" if by == "rule" else by
        facts.append(
            (
                name,
                f"{_percent(scorer.accuracy)} is what the log says; alone would answer {percent(scorer.share)}"
                + (f", {_percent(scorer.disagreed)} of that against the log" if scorer.share else ""),
            )
        )
    facts.append(("at other bounds", _other_bounds(trained)))
    facts += [
        (f"{group.label.lower()}, {'somebody' if group.named else 'nobody'} named", _group_text(trained, place))
        for place, group in enumerate(found.head.groups)
    ]
    return facts


def _other_bounds(trained: TrainedHead) -> str:
    """What would be answered if more, or less, of it might disagree."""
    found = trained.found
    shares = sorted((bound, share) for bound, share in found.share_at.items() if bound != found.head.max_error)
    return "; ".join(f"{bound * 100:g} %: {percent(share) if share else 'nothing'}" for bound, share in shares)


def _group_text(trained: TrainedHead, place: int) -> str:
    group = trained.found.head.groups[place]
    if group.threshold is not None:
        share = group.proof.answered / trained.found.held_out
        return (
            f"{percent(share)} of decisions by {'rules' if group.by == 'rule' else 'model'}, from a confidence of"
            f" {group.threshold:.3f}; {group.proof.disagreed:,} of {group.proof.answered:,} disagreed in"
            f" {counted(group.proof.rooms, 'room')}, at most {_percent(group.proof.at_most)} by rooms"
        )
    if group.rooms_missing is None:
        return "off: it disagrees too often"
    return f"off: about {counted(group.rooms_missing, 'more held-out room')} may prove it"


def _left_out(trained: TrainedHead) -> str:
    left = trained.found.left_out
    return f"; {left:,} left out, of people on both sides" if left else ""


def _compared(trained: TrainedHead) -> str:
    found = trained.found
    if found.labelled == found.samples:
        text = "labels"
    elif found.labelled:
        text = f"labels where there are ({found.labelled:,}), else with what the baseline answered"
    else:
        text = "what the baseline answered: nobody labelled any"
    return f"{text}; {found.contradicting:,} contradict another about the same message" if found.contradicting else text


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def head_record(trained: TrainedHead) -> dict[str, object]:
    """The same for machines."""
    found, head = trained.found, trained.head
    return {
        "model": head.model if trained.path is not None else None,
        "run": trained.run.number if trained.run is not None else None,
        "file": str(trained.path) if trained.path is not None else None,
        "is_new": trained.is_new,
        "agents": list(head.agents),
        "max_error": head.max_error,
        "samples": found.samples,
        "labelled": found.labelled,
        "contradicting": found.contradicting,
        "rooms": found.rooms,
        "learned_from": len(found.learned),
        "held_out": found.held_out,
        "held_out_rooms": found.held_out_rooms,
        "left_out": found.left_out,
        "named_share": found.named_share,
        "majority": found.majority,
        "majority_share": found.majority_share,
        "share": found.share,
        "share_at_bounds": {f"{bound:g}": share for bound, share in found.share_at.items()},
        "share_by_label": dict(found.share_by_label),
        "disagreed": found.proof.disagreed / found.proof.answered if found.proof.answered else None,
        "at_most": found.proof.at_most if found.share else None,
        "decisions_a_month": trained.decisions_a_month,
        "saved_cents_a_month": None if trained.saved_cents_a_month is None else round(trained.saved_cents_a_month),
        "scorers": {
            by: {
                "accuracy": scorer.accuracy,
                "share": scorer.share,
                "disagreed": scorer.disagreed,
                "curve": [list(point) for point in scorer.curve],
            }
            for by, scorer in found.by_scorer.items()
        },
        "groups": [
            {
                "label": group.label,
                "named": group.named,
                "by": group.by,
                "threshold": group.threshold,
                "rooms": group.proof.rooms,
                "answered": group.proof.answered,
                "disagreed": group.proof.disagreed,
                "at_most": group.proof.at_most,
                "rooms_missing": group.rooms_missing,
            }
            for group in head.groups
        ],
    }
