"""What a decision costs here and there, as it is typed and as it is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from reasoning_cli.commands._shared.model_options import OneTypeArgument
from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_model_type, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.costs.breakeven import Comparison, Original
    from reasoning_cli.terminal.console import Terminal
    from reasoning_cli.terminal.listing import Column


def compare(
    ctx: typer.Context,
    model_type: OneTypeArgument = None,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What a decision costs on your model and at the original provider, and when yours pays. Asks nobody."""
    from reasoning_cli.commands._shared.prices import prices_file
    from reasoning_cli.operations.costs.breakeven import compare
    from reasoning_cli.operations.costs.token_prices import read_prices
    from reasoning_cli.terminal.listing import Listing

    session = session_of(ctx)
    terminal, chosen = session.terminal, chosen_format(fmt, json)
    only = parse_model_type(model_type) if model_type else None
    found = compare(session.store, read_prices(prices_file(session)), session.now())
    found = [comparison for comparison in found if only in (None, comparison.model_type)]
    if chosen is not Format.TABLE or quiet:
        terminal.show(Listing(_columns(), found, id=lambda comparison: comparison.model_type), chosen, quiet=quiet)
        return
    show_comparisons(terminal, found)
    if not found:
        terminal.say("There is nothing to compare: no decision in the last day, and no deployment.")
        terminal.hint("`reasoning data import FILE` takes decisions in; `reasoning models deploy TYPE` deploys a model")


def show_comparisons(terminal: Terminal, found: Sequence[Comparison]) -> None:
    """One model type below the other: both prices, on a terminal one below the other, then what they come to."""
    for number, comparison in enumerate(found):
        if number:
            terminal.print()
        name = spell_model_type(comparison.model_type)
        terminal.say(f"{name}   {comparison.decisions_per_hour:,.0f} decisions an hour over the last day")
        if terminal.out_is_terminal:
            terminal.facts([(label.rstrip(), text) for label, text in _price_facts(comparison)])
        else:
            for label, text in _price_facts(comparison):
                terminal.say(f"  {label}   {text}")
        for line in _conclusion_lines(comparison):
            terminal.say(line)


def _price_facts(comparison: Comparison) -> list[tuple[str, str]]:
    """What a decision costs on our model, and at the original provider."""
    from reasoning_cli.terminal.units import money

    name = spell_model_type(comparison.model_type)
    if comparison.cents_per_hour is None:
        own = f"was never deployed: `reasoning models deploy {name} --dry-run` shows its price"
    else:
        each = comparison.own_cents_per_decision
        own = (
            f"{money(comparison.cents_per_hour)} an"
            f" hour{f' = {money(each * 1000)} per 1,000' if each is not None else ''}"
        )
    return [("your model", own), _original_fact(comparison)]


def _conclusion_lines(comparison: Comparison) -> list[str]:
    """How sure the prices are, from when ours pays, and what to do now."""
    from reasoning_cli.terminal.units import money

    lines = _estimate_lines(comparison.original)
    saved = comparison.saved_cents_per_hour
    if comparison.pays_from is not None and saved is not None:
        more = f"costs {money(-saved)} an hour more than it saves" if saved < 0 else f"saves {money(saved)} an hour"
        when = "Now it" if comparison.running else "Running, it"
        lines.append(f"  Your model pays from {comparison.pays_from:,} decisions an hour. {when} {more}.")
        lines.append(f"  → {_advice(comparison)}")
    return lines


def _original_fact(comparison: Comparison) -> tuple[str, str]:
    from reasoning_cli.terminal.units import moment, money

    original = comparison.original
    if original is None:
        none = "the log holds no answer of the original provider from the last 30 days"
        newest = comparison.newest_original
        return "original  ", f"{none}; its newest is of {moment(newest)}" if newest is not None else none
    each, price = original.cents_per_decision, original.price
    if each is None or price is None:
        return (
            original.model,
            "has no price in your table, and is not guessed at: add it with `reasoning costs prices --edit`",
        )
    dated = f"price of {price.date}" if price.date else "an undated price"
    return (
        original.model,
        f"{each:.3f} ¢ a decision = {money(each * 1000)} per 1,000 ({dated}; edit it: `reasoning costs prices --edit`)",
    )


def _estimate_lines(original: Original | None) -> list[str]:
    from reasoning_cli.terminal.units import percent

    if original is None or original.price is None:
        return []
    lines = []
    if original.cached_tokens:
        at = (
            "the full price: the table has no `cached_input` for it"
            if original.price.cached_usd is None
            else f"${original.price.cached_usd} for a million tokens"
        )
        part = percent(float(original.cached_share))
        lines.append(f"  {part} of what goes in the provider had cached, and is counted at {at}.")
    if original.estimated:
        share = "all" if original.estimated == original.decisions else f"{original.estimated:,}"
        lines.append(
            f"  Estimated: {share} of these {original.decisions:,} answers have no token counts in the log;"
            " theirs are characters ÷ 4."
        )
    return lines


def _advice(comparison: Comparison) -> str:
    name = spell_model_type(comparison.model_type)
    pays = (comparison.saved_cents_per_hour or 0) >= 0
    if pays:
        return "keep it running" if comparison.running else f"deploy it: `reasoning models deploy {name}`"
    if comparison.busy is not None:
        return f"let it run when it pays, {comparison.busy}: `reasoning costs schedule {name} {comparison.busy}`"
    return f"stop it: `reasoning models stop {name}`" if comparison.running else "leave it off"


def _columns() -> list[Column[Comparison]]:
    from reasoning_cli.terminal.listing import Column
    from reasoning_cli.terminal.units import whole_cents

    def per_1000(original: Original | None) -> int | None:
        each = original.cents_per_decision if original else None
        return None if each is None else whole_cents(each * 1000)

    return [
        Column("model_type", lambda comparison: comparison.model_type),
        Column("decisions_last_day", lambda comparison: comparison.decisions),
        Column("running", lambda comparison: comparison.running),
        Column("cents_per_hour", lambda comparison: comparison.cents_per_hour),
        Column(
            "cents_per_1000_decisions",
            lambda comparison: (
                None
                if comparison.own_cents_per_decision is None
                else whole_cents(comparison.own_cents_per_decision * 1000)
            ),
        ),
        Column("original_model", lambda comparison: comparison.original.model if comparison.original else None),
        Column("original_cents_per_1000_decisions", lambda comparison: per_1000(comparison.original)),
        Column("original_decisions", lambda comparison: comparison.original.decisions if comparison.original else None),
        Column(
            "original_decisions_estimated",
            lambda comparison: comparison.original.estimated if comparison.original else None,
        ),
        Column(
            "original_cached_percent",
            lambda comparison: round(comparison.original.cached_share * 100) if comparison.original else None,
        ),
        Column("pays_from_decisions_per_hour", lambda comparison: comparison.pays_from),
        Column(
            "saved_cents_per_hour",
            lambda comparison: (
                None if comparison.saved_cents_per_hour is None else whole_cents(comparison.saved_cents_per_hour)
            ),
        ),
        Column("busy_hours", lambda comparison: None if comparison.busy is None else str(comparison.busy)),
    ]
