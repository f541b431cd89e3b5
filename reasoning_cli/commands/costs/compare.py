"""What decisions cost by each way to have them answered, as it is typed and as it is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.model_options import OneTypeArgument
from reasoning_cli.commands._shared.options import (
    FormatOption,
    JsonOption,
    QuietOption,
    SinceOption,
    chosen_format,
    typed,
)
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.errors import NotFoundError, UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.values import parse_model_type, parse_usd, spell_model_type

if TYPE_CHECKING:
    from reasoning_cli.operations.advice.facts import SideBySide
    from reasoning_cli.operations.costs.breakeven import Comparison, Original
    from reasoning_cli.terminal.console import Terminal
    from reasoning_cli.terminal.listing import Column


DecisionsOption = Annotated[
    str | None, typer.Option("--decisions-per-hour", metavar="N", help="At so many in each hour, not at the log's.")
]
TokensOption = Annotated[
    str | None,
    typer.Option("--tokens", metavar="IN/OUT", help="Tokens of a decision, as 1500/100; default: the log's."),
]
BaselineOption = Annotated[
    str | None,
    typer.Option("--baseline", metavar="MODEL", help="The original's model, by your prices; default: the log's."),
]
GpuOption = Annotated[
    str | None, typer.Option("--gpu-per-hour", metavar="USD", help="A GPU at this price; default: your deployment's.")
]
ServerlessOption = Annotated[
    str | None,
    typer.Option("--serverless", metavar="MODEL", help="A model by the token, by your prices; default: the slot's."),
]


def compare(
    ctx: typer.Context,
    model_type: OneTypeArgument = None,
    since: SinceOption = None,
    decisions_per_hour: DecisionsOption = None,
    tokens: TokensOption = None,
    baseline: BaselineOption = None,
    gpu_per_hour: GpuOption = None,
    serverless: ServerlessOption = None,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Every way to have decisions answered, side by side: dollars a month, share, bound, latency. Asks nobody.

    At the traffic of the last day, or with --decisions-per-hour at any other, also without log or account.
    """
    from reasoning_cli.commands._shared.prices import prices_file
    from reasoning_cli.operations.advice.facts import Asked, side_by_side
    from reasoning_cli.operations.costs.date_range import parse_bounds
    from reasoning_cli.operations.costs.token_prices import read_prices
    from reasoning_cli.terminal.listing import Listing

    session = session_of(ctx)
    terminal, chosen = session.terminal, chosen_format(fmt, json)
    only = parse_model_type(model_type) if model_type is not None else None
    assumed = (tokens, gpu_per_hour, serverless)
    _refuse_halves(since, decisions_per_hour, assumed, only)
    now, prices = session.now(), read_prices(prices_file(session))
    for model in (baseline, serverless):
        if model is not None and model not in prices:
            raise NotFoundError(f"`{model}` has no price in your table", "`reasoning costs prices` shows what has one")
    asked = Asked(
        parse_bounds(since, None, now)[0],
        typed(_parse_rate, decisions_per_hour, "--decisions-per-hour 30") if decisions_per_hour is not None else None,
        typed(_parse_tokens, tokens, "--tokens 1500/100") if tokens is not None else None,
        baseline,
        typed(_parse_cents, gpu_per_hour, "--gpu-per-hour 5.49") if gpu_per_hour is not None else None,
        serverless,
    )
    found = side_by_side(session.store, session.settings, prices, now, asked, only)
    if chosen is not Format.TABLE or quiet:
        terminal.show(Listing(_columns(), found, id=lambda shown: shown.model_type), chosen, quiet=quiet)
        return
    show_comparisons(terminal, found)
    if not found:
        over = "since then" if since else "in the last day"
        terminal.say(f"There is nothing to compare: no decision {over}, and no deployment.")
        terminal.hint("`reasoning data import FILE` takes decisions in; `reasoning models deploy TYPE` deploys a model")
        terminal.hint(f"or at any traffic: `reasoning {_EXAMPLE} --tokens 1500/100 --baseline gpt-4o`")


_EXAMPLE = "costs compare should-respond --decisions-per-hour 300"


def _refuse_halves(
    since: str | None, decisions_per_hour: str | None, assumed: Sequence[str | None], only: str | None
) -> None:
    """Raises UsageError for options that say nothing by themselves, or two things at once."""
    if decisions_per_hour is None:
        if any(option is not None for option in assumed):
            raise UsageError("what is assumed needs a traffic", "add it: --decisions-per-hour 300")
    elif since is not None:
        raise UsageError("--since and --decisions-per-hour are two traffics", "type one of them")
    elif only is None:
        raise UsageError("a traffic that is assumed is that of one type", f"for example `reasoning {_EXAMPLE}`")


def _parse_rate(text: str) -> Decimal:
    try:
        rate = Decimal(text.strip().replace(",", ""))
    except ArithmeticError:
        rate = Decimal("NaN")
    if not rate.is_finite() or not 0 < rate <= 10_000_000:
        raise ValueError("is not a number of decisions an hour")
    return rate


def _parse_cents(text: str) -> int:
    return round(parse_usd(text) * 100)


def _parse_tokens(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,7})/(\d{1,7})", text.strip())
    if found is None:
        raise ValueError("is not a number of tokens in and out")
    return int(found[1]), int(found[2])


def show_comparisons(terminal: Terminal, found: Sequence[SideBySide]) -> None:
    """One model type below the other: prices, when ours pays, all ways as a table, and what follows."""
    from reasoning_cli.commands._shared.way_views import advice_lines, notes, traffic_text, ways_listing

    for number, shown in enumerate(found):
        if number:
            terminal.print()
        terminal.say(f"{spell_model_type(shown.model_type)}   {traffic_text(shown)}")
        show_prices(terminal, shown.comparison, assumed=shown.is_assumed)
        if known := [way for way in shown.ways if way.share is not None]:
            terminal.print()
            terminal.table(ways_listing(known))
        for line in (*notes(shown), *advice_lines(shown)):
            terminal.say(line)


def show_prices(terminal: Terminal, comparison: Comparison, *, assumed: bool = False) -> None:
    """Both prices, on a terminal one below the other, how sure they are, and from when ours pays."""
    if terminal.out_is_terminal:
        terminal.facts([(label.rstrip(), text) for label, text in _price_facts(comparison)])
    else:
        for label, text in _price_facts(comparison):
            terminal.say(f"  {label}   {text}")
    for line in _conclusion_lines(comparison, assumed=assumed):
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


def _conclusion_lines(comparison: Comparison, *, assumed: bool) -> list[str]:
    """How sure the prices are, and from when ours pays."""
    from reasoning_cli.terminal.units import money

    lines = _estimate_lines(comparison.original)
    saved = comparison.saved_cents_per_hour
    if comparison.pays_from is not None and saved is not None:
        more = f"costs {money(-saved)} an hour more than it saves" if saved < 0 else f"saves {money(saved)} an hour"
        when = "Now it" if comparison.running and not assumed else "Running, it"
        lines.append(f"  Your model pays from {comparison.pays_from:,} decisions an hour. {when} {more}.")
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


def _columns() -> list[Column[SideBySide]]:
    from reasoning_cli.commands._shared.way_views import ways_listing
    from reasoning_cli.operations.costs.ways import cheapest
    from reasoning_cli.terminal.listing import Column
    from reasoning_cli.terminal.units import whole_cents

    def cents(amount: Decimal | None, times: int = 1) -> int | None:
        return None if amount is None else whole_cents(amount * times)

    def of_original(shown: SideBySide, value: Callable[[Original], object]) -> object:
        original = shown.comparison.original
        return None if original is None else value(original)

    return [
        Column("model_type", lambda shown: shown.model_type),
        Column("decisions_last_day", lambda shown: shown.comparison.decisions),
        Column("hours", lambda shown: round(shown.comparison.span.total_seconds() / 3600)),
        Column("is_assumed", lambda shown: shown.is_assumed),
        Column("running", lambda shown: shown.comparison.running),
        Column("cents_per_hour", lambda shown: shown.comparison.cents_per_hour),
        Column("cents_per_1000_decisions", lambda shown: cents(shown.comparison.own_cents_per_decision, 1000)),
        Column("original_model", lambda shown: of_original(shown, lambda original: original.model)),
        Column(
            "original_cents_per_1000_decisions",
            lambda shown: of_original(shown, lambda original: cents(original.cents_per_decision, 1000)),
        ),
        Column("original_decisions", lambda shown: of_original(shown, lambda original: original.decisions)),
        Column("original_decisions_estimated", lambda shown: of_original(shown, lambda original: original.estimated)),
        Column(
            "original_cached_percent",
            lambda shown: of_original(shown, lambda original: round(original.cached_share * 100)),
        ),
        Column("pays_from_decisions_per_hour", lambda shown: shown.comparison.pays_from),
        Column("saved_cents_per_hour", lambda shown: cents(shown.comparison.saved_cents_per_hour)),
        Column("busy_hours", lambda shown: None if shown.comparison.busy is None else str(shown.comparison.busy)),
        Column("ways", lambda shown: ways_listing(shown.ways).records()),
        Column("cheapest", lambda shown: None if (best := cheapest(shown.ways)) is None else str(best.kind)),
    ]
