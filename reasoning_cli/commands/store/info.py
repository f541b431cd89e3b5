"""`store info`: where samples and costs are kept."""

from __future__ import annotations

from dataclasses import asdict

import typer

from reasoning_cli.commands._shared.options import JsonOption
from reasoning_cli.commands._shared.session import session_of


def info(ctx: typer.Context, json: JsonOption = False) -> None:
    """Show where samples and costs are kept: engine, version, size, rows, and whether it can be written."""
    from reasoning_cli.operations.store_copy import describe
    from reasoning_cli.terminal.units import counted, size

    session = session_of(ctx)
    terminal = session.terminal
    found = describe(session.store)
    if json:
        terminal.json(asdict(found))
        return
    rows = {name: count for name, count in found.rows.items() if count}
    terminal.facts(
        [
            ("store", found.store),
            ("engine", f"{found.engine} {found.engine_version}"),
            ("schema", f"version {found.schema_version}, {found.realm} data"),
            ("size", size(found.size_bytes)),
            ("rows", ", ".join(f"{name} {count:,}" for name, count in rows.items()) or counted(0, "row")),
            ("written", "yes" if found.why_read_only is None else f"no: {found.why_read_only}"),
        ]
    )
