"""First steps: the wizard, the agent's environment, and completion for the shell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.completion import Shell, complete_model_types, script
from reasoning_cli.commands._shared.options import OfflineOption
from reasoning_cli.commands._shared.session import Session, session_of
from reasoning_cli.commands.gateway.env import AgentOption, Syntax, env, show_environment
from reasoning_cli.errors import ExitCode, RemoteError, UsageError
from reasoning_cli.redact import mask, remember
from reasoning_cli.values import MODEL_TYPES, Agent, head_training, parse_model_type, spell_model_type

app = typer.Typer(rich_markup_mode=None)

app.command()(env)

_INTRODUCTION = (
    # What begins with the program's name is taken for a command to type.
    "Between an agent and its provider stands reasoning. Decisions that models of yours can take go to them; everything"
    " else goes on to the provider, and so does each decision that your model fails.",
    "",
    "A few questions follow. Enter takes what is offered, Ctrl-C leaves; nothing is written before you have seen it.",
    "",
)


@app.callback(invoke_without_command=True)
def setup(
    ctx: typer.Context,
    non_interactive: Annotated[
        bool, typer.Option("--non-interactive", help="Ask nothing; write what the options say.")
    ] = False,
    api_key_stdin: Annotated[
        bool, typer.Option("--api-key-stdin", help="Read the Together API key from standard input.")
    ] = False,
    model: Annotated[list[str] | None, typer.Option(metavar="TYPE=NAME", help="Model for a type; repeatable.")] = None,
    enable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE",
            help="Type that own models may answer; repeatable. Those not named stay with the provider.",
            autocompletion=complete_model_types,
        ),
    ] = None,
    budget: Annotated[str | None, typer.Option(metavar="USD", help="Dollars a period (budget.period) at most.")] = None,
    idle_minutes: Annotated[
        str | None, typer.Option(metavar="N", help="Stop a model after so long without a request; 0 = never.")
    ] = None,
    openai_upstream: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the agent's OpenAI calls go today.")
    ] = None,
    anthropic_upstream: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the agent's Anthropic calls go today.")
    ] = None,
    agent: AgentOption = Agent.ELIZAOS,
    offline: OfflineOption = False,
    from_env: Annotated[
        Path | None,
        typer.Option(
            "--from-env", metavar="FILE", help="Take over the `.env` of the original ElizaOS plugin; asks nothing."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --from-env: show it, write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="With --from-env: leave out what makes no sense.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --from-env: write what becomes of it as JSON.")] = False,
) -> None:
    """Choose models, budget and provider, step by step. Nothing is written before the end."""
    if ctx.invoked_subcommand is not None:
        return
    session = session_of(ctx)
    answered = (model, enable, budget, idle_minutes, openai_upstream, anthropic_upstream, api_key_stdin or None)
    if from_env is not None:
        from reasoning_cli.commands.setup.from_env import take_over

        if any(answer is not None for answer in answered):
            raise UsageError("--from-env reads every answer from the file", "`reasoning config set` changes one")
        take_over(session, from_env, dry_run=dry_run, force=force, json=json)
        return
    if dry_run or force or json:
        raise UsageError("this belongs to --from-env", "for example `reasoning setup --from-env .env --dry-run`")
    if not non_interactive and not session.terminal.can_ask:
        raise UsageError(
            "nobody is there to answer the questions",
            "add --non-interactive and the answers as options: `reasoning setup --help`",
        )
    key = session.terminal.input.readline().strip() if api_key_stdin else None
    typed_in = {
        s.BUDGET_LIMIT.name: budget,
        s.IDLE_MINUTES.name: idle_minutes,
        s.OPENAI_UPSTREAM.name: openai_upstream,
        s.ANTHROPIC_UPSTREAM.name: anthropic_upstream,
        **_models(model or []),
        **_types(enable or []),
        s.API_KEY.name: key,
    }
    answers: dict[str, str | None] = {name: text for name, text in typed_in.items() if text is not None}
    _check(session, answers)
    try:
        if key is not None and not offline:
            _try_unasked(session, key)
        if not non_interactive:
            answers = _asked_for(session, answers)
    except KeyboardInterrupt:
        session.terminal.note("Interrupted. Nothing was written.")
        raise
    _write(session, answers)
    show_environment(session, agent, Syntax.SH)
    _show_next_steps(session)


def _try_unasked(session: Session, key: str) -> None:
    """Try a key that was piped in. Where Together is out of reach nobody can be asked whether to go on: the option is
    named."""
    from reasoning_cli.commands.setup.wizard import try_key

    try:
        try_key(session, key)
    except RemoteError as problem:
        raise RemoteError(
            problem.message, "check the network, or write the key down unchecked: the same command with `--offline`"
        ) from problem


def _asked_for(session: Session, answers: dict[str, str | None]) -> dict[str, str | None]:
    """The answers to all questions, those given beforehand among them; a no to the last ends the command."""
    from reasoning_cli.commands.setup.wizard import ask_everything

    for line in _INTRODUCTION:
        session.terminal.note(line)
    answers = ask_everything(session, answers)
    _agree(session, answers)
    return answers


def _show_next_steps(session: Session) -> None:
    """What to type after setup, in the order that it is needed."""
    session.read_settings_again()
    enabled = [spell_model_type(name) for name, on in session.enabled.items() if on]
    has_key = session.in_sandbox or session.settings.resolve(s.API_KEY).value is not None
    steps = [
        ("check all of it", "`reasoning doctor`"),
        ("start the gateway", "`reasoning gateway serve`, then the agent with the lines above"),
        ("import the past", "`reasoning data import SOURCE`: what your agent decided already"),
    ]
    if not has_key:
        steps = [
            *_without_account(),
            *steps[:2],
            ("add a key", "`reasoning config set-key`, to deploy models of yours"),
        ]
    if enabled and has_key:
        steps.append(("see a price", f"`reasoning models deploy {enabled[0]} --dry-run`"))
    elif enabled:
        steps.append(
            ("see it first", f"`reasoning --sandbox models deploy {enabled[0]} --dry-run`: free, no key needed")
        )
    session.terminal.note("Next:")
    session.terminal.facts(steps, to_out=False)


def _without_account() -> list[tuple[str, str]]:
    """What gives something real at once: a head, which asks nobody and costs nothing."""
    from importlib.util import find_spec

    first = [] if find_spec("sklearn") else [("for a head, once", "`pip install 'reasoning[head]'`")]
    return [
        *first,
        ("import the past", "`reasoning data import SOURCE`: what your agent decided already"),
        (
            "learn a head of it",
            f"`{head_training()}`: says which decisions it would answer here, without key or calls, and how often it"
            " would disagree at most",
        ),
    ]


def _agree(session: Session, answers: dict[str, str | None]) -> None:
    """Show what would be written and ask; a no ends the command."""
    if not _agreed(session, answers):
        session.terminal.note("Nothing was written.")
        raise typer.Exit(ExitCode.FAILED)


def _write(session: Session, answers: Mapping[str, str | None]) -> None:
    """Write the answers down, and say which of them a variable wins over."""
    s.write_settings(session.settings.paths, answers)
    session.terminal.note(f"{session.settings.paths.config_file} is written.")
    for name in answers:
        if hidden_by := s.overrides(session.settings, s.BY_NAME[name]):
            session.terminal.warn(f"{name}: {hidden_by} is set too, and wins over the file")


@app.command()
def completion(ctx: typer.Context, shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print the script that completes commands and names on TAB."""
    terminal = session_of(ctx).terminal
    terminal.print(script(shell))
    match shell:
        case Shell.BASH:
            place = "~/.local/share/bash-completion/completions/reasoning`"
        case Shell.ZSH:
            place = "~/.zfunc/_reasoning`, and `fpath+=(~/.zfunc)` above `compinit` in ~/.zshrc"
        case Shell.FISH:
            place = "~/.config/fish/completions/reasoning.fish`"
    terminal.hint(f"keep it: `reasoning setup completion {shell} > {place}")


def _models(pairs: list[str]) -> dict[str, str]:
    models = {}
    for pair in pairs:
        model_type, equals, name = pair.partition("=")
        if not equals:
            raise UsageError(f"`{pair}` names no model", "for example --model planning=acme/qwen-14b")
        models[s.MODEL[parse_model_type(model_type)].name] = name
    return models


def _types(enabled: list[str]) -> dict[str, str]:
    on = {parse_model_type(name) for name in enabled}
    return {s.ENABLED[model_type].name: str(model_type in on).lower() for model_type in MODEL_TYPES} if on else {}


def _check(session: Session, answers: dict[str, str | None]) -> None:
    """Refuse what makes no sense before anything is asked or tried."""
    from reasoning_cli.operations.agents.env import refuse_circle

    for name, text in answers.items():
        setting = s.BY_NAME[name]
        if setting.secret:
            remember(text or "")
        s.as_written(setting, text or "")
        if name in (s.OPENAI_UPSTREAM.name, s.ANTHROPIC_UPSTREAM.name):
            refuse_circle(text or "", session.settings.get(s.GATEWAY_PORT))


def _agreed(session: Session, answers: dict[str, str | None]) -> bool:
    shown = [
        (name, "–" if text is None else mask(text) if s.BY_NAME[name].secret else text)
        for name, text in answers.items()
    ]
    session.terminal.facts(shown, to_out=False)
    return session.prompter.confirm(f"Write this to {session.settings.paths.config_file}?", default=True)
