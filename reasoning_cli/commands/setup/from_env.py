"""`setup --from-env`: what becomes of each variable of an agent's `.env`, and the settings written from it."""

from __future__ import annotations

from pathlib import Path

from reasoning_cli import settings as s
from reasoning_cli.commands._shared.session import Session
from reasoning_cli.dotenv_file import parse_dotenv
from reasoning_cli.errors import DataError, NotFoundError, ReasoningError
from reasoning_cli.operations.agents.migrate_env import Outcome, Plan, Variable, plan_taking_over
from reasoning_cli.terminal.checklist import show_check

_WORDS = {Outcome.SET: ("set", "good"), Outcome.SAME: ("same", "dim"), Outcome.WRONG: ("wrong", "bad")}


def take_over(session: Session, file: Path, *, dry_run: bool, force: bool, json: bool) -> None:
    """Show what becomes of every variable and write it, all or (but for `force`) nothing."""
    settings, terminal = session.settings, session.terminal
    plan = plan_taking_over(_read(file), settings)
    if json:
        terminal.json([_record(variable) for variable in plan.variables])
    else:
        _show(session, plan)
    refused = plan.wrong and not force
    if plan.changes and not dry_run and not refused:
        s.write_settings(settings.paths, plan.changes)
        terminal.note(f"{settings.paths.config_file} is written.")
        _say_what_hides(session, plan)
        terminal.hint("`reasoning doctor` checks all of it, the key too")
    else:
        terminal.note("Nothing was written.")
    if refused:
        count = "1 variable makes" if len(plan.wrong) == 1 else f"{len(plan.wrong)} variables make"
        raise ReasoningError(f"{count} no sense: {_names(plan.wrong)}", f"mend `{file}`, or leave out with --force")


def _read(file: Path) -> dict[str, str]:
    try:
        return parse_dotenv(file.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        raise NotFoundError(f"there is no file `{file}`", "name the `.env` of the agent") from None
    except OSError as error:
        raise DataError(f"cannot read `{file}`: {error.strerror}") from error


def _record(variable: Variable) -> dict[str, object]:
    return {
        "name": variable.name,
        "fate": variable.outcome,
        "setting": variable.setting,
        "value": variable.value,
        "before": variable.before,
        "why": variable.why,
    }


def _show(session: Session, plan: Plan) -> None:
    shown = [variable for variable in plan.variables if variable.outcome is not Outcome.IGNORED]
    for variable in shown:
        word, style = _WORDS.get(variable.outcome, ("none", "dim"))
        show_check(session.terminal, word, style, session.terminal.as_called(_said(variable)), None)
    if others := len(plan.variables) - len(shown):
        are = "1 other variable is" if others == 1 else f"{others} other variables are"
        session.terminal.note(f"{are} not for this program.")


def _said(variable: Variable) -> str:
    match variable.outcome:
        case Outcome.SET:
            was = f", was {variable.before}" if variable.before else ""
            return f"{variable.name}: {variable.setting} becomes {variable.value}{was}"
        case Outcome.SAME:
            return f"{variable.name}: {variable.setting} is {variable.value} already"
        case Outcome.WRONG:
            return f"{variable.name}: {variable.why}"
        case _:
            return f"{variable.name} has no effect here: {variable.why}"


def _say_what_hides(session: Session, plan: Plan) -> None:
    """A variable wins over the file just written, and goes on doing so when the file is changed."""
    hiding = [where for name in plan.changes if (where := s.overrides(session.settings, s.BY_NAME[name]))]
    if hiding:
        session.terminal.warn(f"set as variables too, which win over the file: {', '.join(hiding)}")


def _names(variables: tuple[Variable, ...]) -> str:
    return ", ".join(variable.name for variable in variables)
