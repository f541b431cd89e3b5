"""Look at decisions: `data list`, `data show` and `data search`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from reasoning_cli.commands._shared.options import (
    FormatOption,
    JsonOption,
    LimitOption,
    QuietOption,
    SinceOption,
    UntilOption,
    chosen_format,
)
from reasoning_cli.commands._shared.sample_options import (
    AgentOption,
    DecidedOption,
    DecisionsArgument,
    LabelOption,
    RoomOption,
    SourceOption,
    TypesOption,
    filter_of,
)
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.errors import UsageError
from reasoning_cli.terminal.listing import Format
from reasoning_cli.terminal.units import size


class IndexUse(StrEnum):
    """What a search does with its index."""

    READ = "read"
    AS_IS = "as-is"
    BUILD = "build"
    SHOW = "show"


AfterOption = Annotated[str | None, typer.Option(metavar="DECISION", help="Go on behind this decision.")]


def list_(
    ctx: typer.Context,
    model_type: TypesOption = None,
    agent: AgentOption = None,
    room: RoomOption = None,
    source: SourceOption = None,
    label: LabelOption = None,
    decision: DecidedOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 20,
    after: AfterOption = None,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List decisions, the newest first."""
    from reasoning_cli.commands.data._browse_views import page_listing
    from reasoning_cli.operations.data.browse import ids_of, page_of

    session = session_of(ctx)
    wanted = filter_of(session, model_type, agent, room, source, label, decision, since, until)
    if quiet:
        for sample_id in ids_of(session.store, wanted, after=after, limit=limit):
            session.terminal.print(sample_id)
        return
    page = page_of(session.store, wanted, after=after, limit=limit)
    fmt = chosen_format(fmt, json)
    session.terminal.show(page_listing(page), fmt, empty="No decisions match.")
    if page.more and fmt is Format.TABLE:
        session.terminal.note(f"There are more: add --after {page.rows[-1].id[: page.id_chars]}, or a higher --limit")


def show(
    ctx: typer.Context,
    ids: DecisionsArgument = None,
    last: Annotated[bool, typer.Option("--last", help="The newest decision.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The whole prompt and the answer as they were.")] = False,
    json: JsonOption = False,
) -> None:
    """Show decisions as a person reads them: what was said, what was answered, by whom, and what it was worth."""
    from reasoning_cli.commands.data._browse_views import card, look_record, raw_lines
    from reasoning_cli.operations.data.browse import find_sample, look_at, newest_sample
    from reasoning_cli.store.samples.training_log import SampleFilter
    from reasoning_cli.terminal.cleaning import visible

    session = session_of(ctx)
    terminal, store = session.terminal, session.store
    if bool(ids) == last:
        raise UsageError("which decision?", "`reasoning data show DECISION`, or `reasoning data show --last`; not both")
    samples = [newest_sample(store, SampleFilter())] if last else [find_sample(store, typed) for typed in ids or ()]
    looks = [look_at(store, sample) for sample in samples]
    if json:
        terminal.json([look_record(look, raw=raw) for look in looks], exact=True)
        return
    for number, look in enumerate(looks):
        if number:
            terminal.print()
        for text, style in raw_lines(look.sample) if raw else card(look, terminal.width):
            # Elsewhere than on a terminal the exact text does no harm.
            shown = visible(text, but="\n\t") if terminal.out_is_terminal else text
            terminal.print(terminal.paint(shown, style, terminal.out))


def search(
    ctx: typer.Context,
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help='Words that must all be there; "in quotes" in that order, begin* how one begins, OR and NOT.',
        ),
    ] = None,
    model_type: TypesOption = None,
    agent: AgentOption = None,
    room: RoomOption = None,
    source: SourceOption = None,
    label: LabelOption = None,
    decision: DecidedOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 20,
    after: AfterOption = None,
    index: Annotated[
        IndexUse,
        typer.Option(
            help="read: read what is new into the index first; as-is: search what it holds, and read a little at most;"
            " build: only read; show: only say how far it is."
        ),
    ] = IndexUse.READ,
    drop_index: Annotated[
        bool, typer.Option("--drop-index", help="Take the search index away and give its space back.")
    ] = False,
    fmt: FormatOption = Format.TABLE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search what people wrote and what was answered, the newest first. The first search makes an index."""
    from reasoning_cli.commands.data._browse_views import hit_lines, hit_listing
    from reasoning_cli.operations.data.search import read_a_little, search_samples
    from reasoning_cli.store.samples.search import Search

    session = session_of(ctx)
    terminal, store = session.terminal, session.store
    if index in (IndexUse.BUILD, IndexUse.SHOW):
        _look_after_index(session, text, index, json=json)
        return
    if drop_index:
        if text:
            raise UsageError("--drop-index takes no words to search for", "leave one of them out")
        before = store.size_bytes()
        Search(store).drop()
        terminal.say(f"The search index is gone: {size(max(0, before - store.size_bytes()))} given back.")
        return
    if not text:
        raise UsageError("nothing to search for", 'for example `reasoning data search "good morning"`')
    typed = " ".join(f'"{word}"' if " " in word and '"' not in word else word for word in text)
    wanted = filter_of(session, model_type, agent, room, source, label, decision, since, until)
    if index is IndexUse.AS_IS:
        read_a_little(store)
    else:
        _read_the_new(session)
    found = search_samples(store, typed, wanted, after=after, limit=limit)
    fmt = chosen_format(fmt, json)
    if fmt is not Format.TABLE or quiet or not found.hits:
        terminal.show(hit_listing(found), fmt, quiet=quiet, empty="Nothing was found.")
        return
    for line in hit_lines(found, terminal):
        terminal.print(line)
    if found.more:
        last = found.hits[-1].row.id[: found.id_chars]
        terminal.note(f"There are more: add --after {last}, or a higher --limit")


def _look_after_index(session: Session, text: list[str] | None, wanted: IndexUse, *, json: bool) -> None:
    """Read what is new into the search index, or say how far it is."""
    from reasoning_cli.operations.data.search import index_state

    if text:
        raise UsageError(f"--index {wanted} takes no words to search for", "leave one of them out")
    if wanted is IndexUse.BUILD:
        _read_the_new(session)
    state = index_state(session.store)
    if json:
        facts = {"made": state.is_made, "whole": state.is_whole, "share": round(state.share, 4)}
        session.terminal.json({**facts, "decisions": state.decisions, "unread": state.unread})
    elif not state.is_made:
        session.terminal.say("There is no search index; the first search makes one.")
    else:
        held = state.decisions - state.unread
        session.terminal.say(f"The search index holds {held:,} of {state.decisions:,} decisions.")


def _read_the_new(session: Session) -> None:
    """Bring the search index up to date, which takes minutes the first time."""
    from reasoning_cli.operations.data.search import bring_up_to_date
    from reasoning_cli.terminal.progress import waiting

    what = "reading decisions for the search"
    try:
        with waiting(session.terminal, what) as shown:
            bring_up_to_date(session.store, on_progress=lambda done, total: shown.show(what, f"{done:,} of {total:,}"))
    except KeyboardInterrupt:
        session.terminal.note("Interrupted. What was read stays; the next search goes on from there.")
        raise
