"""How an upload that arrived looks, fetched by Together or sent from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reasoning_cli.commands._shared.model_options import remember_models
from reasoning_cli.commands._shared.session import Session

if TYPE_CHECKING:
    from reasoning_cli.engines.serving import Model, Revision


Record = dict[str, object]


def show_uploaded(session: Session, model: Model, revision: Revision, record: Record, *, json: bool) -> None:
    """The model that can be deployed now."""
    terminal = session.terminal
    remember_models(session, model.name)
    if json:
        terminal.json({**record, "name": model.name, "id": model.id, "revision": revision.revision_id})
        return
    terminal.say(f"{model.name} is there, and its weights are valid ({model.id}).")
    terminal.hint(f"deploy it: `reasoning models deploy {model.name} --as TYPE`")
