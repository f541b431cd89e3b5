"""The questions of `setup`, one function each; what is known already is not asked. Nothing is written here."""

from __future__ import annotations

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.errors import ConfigurationError, ReasoningError, RemoteError
from reasoning_cli.operations.agents.env import refuse_circle
from reasoning_cli.redact import mask, remember
from reasoning_cli.terminal.prompts import Choice
from reasoning_cli.values import MODEL_TYPES, spell_model_type

Answers = dict[str, str | None]
"""What to write, by name of the setting; None takes it out of the file."""


def ask_everything(session: Session, given: Answers) -> Answers:
    """Ask for all that is not `given`, in the order a person thinks of it."""
    answers = dict(given)
    for ask in (_ask_key, _ask_types, _ask_models, _ask_budget, _ask_idle, _ask_provider):
        answers.update(ask(session, answers))
    return answers


def try_key(session: Session, key: str) -> bool:
    """Ask Together whose key this is and say so; whether the key has a project. Raises what Together answers."""
    client = session.connect(key)
    try:
        whose = client.whoami()
    finally:
        client.close()
    if whose.project is None:
        session.terminal.note(f"The key {mask(key)} is accepted; it belongs to an organisation, not to a project.")
        return False
    session.terminal.note(f"The key {mask(key)} is accepted; its project is {whose.project.name or whose.project.id}.")
    return True


def _ask_key(session: Session, answers: Answers) -> Answers:
    if session.in_sandbox or s.API_KEY.name in answers:
        return {}
    known = session.settings.resolve(s.API_KEY)
    key = known.value
    if key is not None:
        keep = session.prompter.confirm(f"Keep the key {mask(key)} of {known.where}?", default=True)
        if keep and (found := _tried(session, key)) is not None:
            return found
    while True:
        key = _ask_setting(session, s.API_KEY, "Together API key (hidden):", secret=True)
        if key is None:
            session.terminal.note(
                "No key for now; `reasoning config set together.api_key` asks again. A head, which decides here what it"
                " has proven, needs none."
            )
            return {}
        remember(key)
        found = _tried(session, key)
        if found is not None:
            return {s.API_KEY.name: key, **found}


def _tried(session: Session, key: str) -> Answers | None:
    """What follows from a key that works; None when it does not and another is to be asked for."""
    session.terminal.note("Asking Together …")
    try:
        has_project = try_key(session, key)
    except RemoteError as error:
        session.terminal.warn(error.message)
        if not session.prompter.confirm("Go on with this key, unchecked?"):
            raise
        return {}
    except s.RefusedAddressError:
        raise  # another key would not mend it
    except ReasoningError as error:
        session.terminal.warn(error.message)
        return None
    if has_project or session.settings.get(s.PROJECT_ID):
        return {}
    return {s.PROJECT_ID.name: _ask_setting(session, s.PROJECT_ID, "Id of the project to work in:")}


def _ask_types(session: Session, answers: Answers) -> Answers:
    if any(s.ENABLED[model_type].name in answers for model_type in MODEL_TYPES):
        return {}
    choices = [
        Choice(spell_model_type(model_type), model_type, ticked=session.settings.get(s.ENABLED[model_type]))
        for model_type in MODEL_TYPES
    ]
    ticked = session.prompter.tick("Which decisions may your own models take?", choices)
    return {s.ENABLED[model_type].name: str(model_type in ticked).lower() for model_type in MODEL_TYPES}


def _ask_models(session: Session, answers: Answers) -> Answers:
    wanted = [
        model_type
        for model_type in MODEL_TYPES
        if answers[s.ENABLED[model_type].name] == "true" and s.MODEL[model_type].name not in answers
    ]
    return {
        s.MODEL[model_type].name: _ask_setting(
            session, s.MODEL[model_type], f"Model for {spell_model_type(model_type)}:"
        )
        for model_type in wanted
    }


def _ask_budget(session: Session, answers: Answers) -> Answers:
    if s.BUDGET_LIMIT.name in answers:
        return {}
    question = f"Dollars {session.settings.get(s.BUDGET_PERIOD).spoken} at most (empty: no limit):"
    return {s.BUDGET_LIMIT.name: _ask_setting(session, s.BUDGET_LIMIT, question)}


def _ask_idle(session: Session, answers: Answers) -> Answers:
    if s.IDLE_MINUTES.name in answers:
        return {}
    question = "Stop a model after how many minutes without a request (up to 1440, 0: never):"
    return {s.IDLE_MINUTES.name: _ask_setting(session, s.IDLE_MINUTES, question)}


def _ask_provider(session: Session, answers: Answers) -> Answers:
    """Where the agent's calls go today: all that no model of ours answers goes on there, but not from the sandbox."""
    if session.in_sandbox or s.OPENAI_UPSTREAM.name in answers or s.ANTHROPIC_UPSTREAM.name in answers:
        return {}
    choices = [
        Choice("OpenAI", "openai"),
        Choice("Anthropic", "anthropic"),
        Choice("another that speaks like OpenAI (OpenRouter, vLLM, …)", "like openai"),
        Choice("another that speaks like Anthropic", "like anthropic"),
    ]
    chosen = session.prompter.choose("Which provider does your agent call today?", choices)
    setting = s.OPENAI_UPSTREAM if chosen.endswith("openai") else s.ANTHROPIC_UPSTREAM
    if not chosen.startswith("like"):
        return {setting.name: setting.default}
    while True:
        url = _ask_setting(session, setting, "Its base address, as the agent has it now:")
        try:
            refuse_circle(url or "", session.settings.get(s.GATEWAY_PORT))
        except ConfigurationError as error:
            session.terminal.warn(error.message)
        else:
            return {setting.name: url}


def _ask_setting(session: Session, setting: s.Setting[object], question: str, *, secret: bool = False) -> str | None:
    """A text for `setting` that makes sense, offering what it is now; None for nothing."""
    now = "" if secret else session.settings.get(setting)
    offered = "" if now is None else str(now)
    while True:
        text = session.prompter.secret(question) if secret else session.prompter.text(question, offered)
        if not text.strip():
            return None
        try:
            setting.parse(text)
        except ValueError as error:
            session.terminal.warn(f"`{mask(text) if secret else text}` {error}")
        else:
            return text.strip()
