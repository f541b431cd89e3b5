"""The prices of original providers: show them, find them, edit them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reasoning_cli.commands._shared.options import FormatOption, JsonOption, QuietOption, chosen_format
from reasoning_cli.commands._shared.prices import prices_file
from reasoning_cli.commands._shared.session import session_of
from reasoning_cli.errors import ConfigurationError, DataError, UsageError
from reasoning_cli.terminal.listing import Format

if TYPE_CHECKING:
    from reasoning_cli.operations.costs.token_prices import TokenPrice
    from reasoning_cli.terminal.listing import Column


def prices(
    ctx: typer.Context,
    edit: Annotated[bool, typer.Option("--edit", help="Open the table in your editor.")] = False,
    path: Annotated[bool, typer.Option("--path", help="Print where the table is.")] = False,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What original providers charge for tokens: a dated table that is yours to edit."""
    from reasoning_cli.operations.costs.token_prices import create_prices, read_prices
    from reasoning_cli.terminal.listing import Listing

    session = session_of(ctx)
    terminal, file = session.terminal, prices_file(session)
    if edit and path:
        raise UsageError("--edit and --path at once", "one after the other")
    try:
        if create_prices(file):
            terminal.note(f"{file} is made, from the table of this version.")
    except DataError:
        if edit or path:
            raise
    if path:
        terminal.print(str(file))
        return
    if edit:
        terminal.note(f"{file} is changed." if _edit(file) else "Nothing was changed.")
        return
    rows = sorted(read_prices(file).values(), key=lambda price: price.model)
    terminal.show(
        Listing(price_columns(rows), rows, id=lambda price: price.model), chosen_format(fmt, json), quiet=quiet
    )


def price_columns(prices: Sequence[TokenPrice] = ()) -> list[Column[TokenPrice]]:
    """One row a model: dollars for a million tokens. Cached input has a place in the table where `prices` know it."""
    from reasoning_cli.terminal.listing import Column, Kind

    cached = "CACHED" if any(price.cached_usd is not None for price in prices) else None
    return [
        Column("model", lambda price: price.model, "MODEL"),
        Column("input_usd_per_million", lambda price: price.input_usd, "INPUT", kind=Kind.NUMBER),
        Column("output_usd_per_million", lambda price: price.output_usd, "OUTPUT", kind=Kind.NUMBER),
        Column("cached_input_usd_per_million", lambda price: price.cached_usd, cached, kind=Kind.NUMBER, priority=3),
        Column("date", lambda price: price.date and str(price.date), "LOOKED UP", priority=2),
        Column("source", lambda price: price.source, "WHERE", gives_way=True, priority=4),
    ]


def _edit(file: Path) -> bool:
    """Edit a copy; only what makes sense takes the place of the table. Whether it changed."""
    from reasoning_cli.commands._shared.editor import run_editor
    from reasoning_cli.operations.costs.token_prices import parse_prices
    from reasoning_cli.paths import write_private
    from reasoning_cli.settings import environment

    before = file.read_text(encoding="utf-8")
    draft = file.with_name("prices.edit.toml")
    write_private(draft, before)
    try:
        run_editor(draft, environment())
        text = draft.read_text(encoding="utf-8")
        if text == before:
            return False
        try:
            parse_prices(text)
        except ValueError as error:
            rejected = file.with_name("prices.rejected.toml")
            draft.replace(rejected)
            raise ConfigurationError(
                f"`{rejected}`: {error}", "the table is as before; your text is in that file"
            ) from error
        write_private(file, text)
        return True
    finally:
        draft.unlink(missing_ok=True)
